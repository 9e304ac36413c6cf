/** `match` of an `http` entry of a VirtualService → HttpRouteMatch. */
import { normalisePath } from '../../../mesh/path.ts';
import type { ClientMatch, HeaderMatch, HttpRouteMatch, PathMatch, StringMatch } from '../../../mesh/route-model.ts';
import { HEADER_NAME, LABEL_KEY, LABEL_NAME, LABEL_VALUE } from '../names.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { concernsMesh } from './gateways.ts';
import { readEntries } from './object-head.ts';
import { readStringMatch } from './string-match.ts';

/** Matches of one rule. */
const MATCHES_MAX = 128;

/** Where the rule of a match stands. */
export interface MatchContext {
  /** False: the VirtualService is for gateways alone. */
  readonly mesh: boolean;
  /** False: the rule delegates or is a delegate's (Istio allows no expressions there). */
  readonly regexAllowed: boolean;
}

/** RFC 9110 section 9.1. */
const METHOD = /^[-!#$%&'*+.^_`|~0-9A-Za-z]+$/;
/** Keys of `headers` that Istio ignores: there are fields for them. */
const HEADERS_WITH_FIELDS = ['uri', 'scheme', 'method', 'authority'];
/** Gateways route by claims of a token so. */
const CLAIM_PREFIX = '@request.auth.claims';

/** The matches of a rule that can hold in the mesh. `matchesNothing`: there are some, and none can. */
export function readHttpMatches(
  rule: ObjectReader,
  context: MatchContext,
): { readonly matches: readonly HttpRouteMatch[]; readonly matchesNothing: boolean } {
  const written = rule.objects('match', MATCHES_MAX);
  const matches = written.flatMap((reader) => readHttpMatch(reader, context) ?? []);
  return { matches, matchesNothing: written.length > 0 && matches.length === 0 };
}

/** null: it cannot hold in the mesh (and a finding says why), or it is wrong. */
function readHttpMatch(reader: ObjectReader, context: MatchContext): HttpRouteMatch | null {
  const path = readPath(reader, context);
  const method = readField(reader, 'method', context);
  const scheme = readField(reader, 'scheme', context);
  const authority = readField(reader, 'authority', context);
  const headers = [
    ...readHeaderMatches(reader, 'headers', context),
    ...readHeaderMatches(reader, 'withoutHeaders', context),
  ];
  const queryParams = readEntries(reader, 'queryParams').flatMap(({ key, value }) => {
    const match = readStringMatch(value, context.regexAllowed);
    if (key === '') {
      const remedy = 'name the parameter';
      value.problems.error('INVALID_VALUE', value.path, 'has no name', remedy, 'key');
    }
    return match === null ? [] : [valueMatch(key, match, false)];
  });
  const port = reader.integer('port', 0, 65_535);
  const client = readClientMatch(reader);
  const mesh = concernsMesh(reader, 'the match', context.mesh);
  reader.finish(['name', 'statPrefix']);
  if (!mesh || path === 'never') return null;
  return {
    path,
    method,
    headers,
    queryParams,
    scheme,
    authority: authority === null ? null : hostOnly(authority),
    port: port === 0 ? null : port,
    client,
  };
}

/** `sourceLabels` and `sourceNamespace`; null: any client. */
export function readClientMatch(reader: ObjectReader): ClientMatch | null {
  const labels = reader.textMap('sourceLabels', LABEL_KEY, LABEL_VALUE);
  const namespace = reader.text('sourceNamespace', LABEL_NAME);
  return namespace === null && Object.keys(labels).length === 0 ? null : { namespace, labels };
}

function readField(reader: ObjectReader, field: string, context: MatchContext): StringMatch | null {
  const value = reader.object(field);
  const match = value === null ? null : readStringMatch(value, context.regexAllowed);
  if (match === null || match === 'present') return null;
  if (field !== 'method' || match.type === 'regex' || METHOD.test(match.value)) return match;
  const remedy = 'write a method such as GET';
  reader.problems.error('INVALID_VALUE', [...reader.at(field), match.type], `is ${quote(match.value)}`, remedy);
  return null;
}

/** What is compared has no port and is lower case. */
function hostOnly(match: StringMatch): StringMatch {
  if (match.type === 'regex') return match;
  const lower = match.value.toLowerCase();
  return { type: match.type, value: match.type === 'exact' ? lower.replace(/:\d+$/, '') : lower };
}

function readPath(reader: ObjectReader, context: MatchContext): PathMatch | null | 'never' {
  const match = readField(reader, 'uri', context);
  const ignoreCase = reader.flag('ignoreUriCase') ?? false;
  if (match === null) return null;
  const at = [...reader.at('uri'), match.type];
  if (match.type === 'regex') {
    if (!ignoreCase) return { type: 'regex', value: match.value, ignoreCase: false };
    // Envoy ignores it there as well.
    const remedy = 'begin the expression with (?i)';
    reader.problems.warning('NO_EFFECT', reader.at('ignoreUriCase'), 'does not concern a regex', remedy, 'key');
    return { type: 'regex', value: match.value, ignoreCase: false };
  }
  const problem = neverRequested(match);
  if (problem === null) {
    return { type: match.type === 'exact' ? 'exact' : 'stringPrefix', value: match.value, ignoreCase };
  }
  reader.problems.warning(
    'NO_EFFECT',
    at,
    `${quote(match.value)} ${problem.reason}, so this never matches`,
    problem.remedy,
  );
  return 'never';
}

/** Why no request has such a path; Istio takes the match, and it never holds. */
function neverRequested({ type, value }: StringMatch): { reason: string; remedy: string } | null {
  if (!value.startsWith('/')) return { reason: 'does not begin with "/"', remedy: `write /${value}` };
  if (/[?#]/.test(value)) return { reason: 'has more than a path', remedy: 'match the query with queryParams' };
  const normal = normalisePath(value);
  if (!normal.ok) return { reason: `cannot be a path (${normal.reason})`, remedy: 'correct its escapes' };
  // The beginning of a path may end in the midst of a segment, so only whole ones can be told.
  if (type === 'exact' && normal.path !== value) {
    return { reason: 'is not the normal form of a path', remedy: `write ${normal.path}` };
  }
  return null;
}

function readHeaderMatches(
  reader: ObjectReader,
  field: 'headers' | 'withoutHeaders',
  context: MatchContext,
): HeaderMatch[] {
  return readEntries(reader, field).flatMap(({ key, value }) => {
    const match = readStringMatch(value, context.regexAllowed);
    const name = key.toLowerCase();
    if (match === null || !headerIsUsable(reader, [...reader.at(field), key], key, context)) return [];
    return [valueMatch(name, match, field === 'withoutHeaders')];
  });
}

function headerIsUsable(reader: ObjectReader, path: ObjectReader['path'], key: string, context: MatchContext): boolean {
  const { problems } = reader;
  if (key.startsWith(CLAIM_PREFIX)) {
    const remedy = 'match a header that the claim was copied to';
    if (context.mesh)
      problems.error('UNSUPPORTED', path, 'claims of a token are matched by gateways only', remedy, 'key');
    return false;
  }
  if (HEADERS_WITH_FIELDS.includes(key)) {
    problems.warning('NO_EFFECT', path, `${key} is no header, and ignored here`, `write the match field ${key}`, 'key');
    return false;
  }
  if (HEADER_NAME.pattern.test(key)) return true;
  const pseudo = key.startsWith(':');
  const remedy = pseudo
    ? 'write the match field method, uri, scheme or authority'
    : `it must be ${HEADER_NAME.description}`;
  problems.error('INVALID_VALUE', path, `${quote(key)} is not a header name`, remedy, 'key');
  return false;
}

function valueMatch(name: string, match: StringMatch | 'present', invert: boolean): HeaderMatch {
  if (match === 'present') return { name, type: 'present', value: '', invert };
  return { name, type: match.type, value: match.value, invert };
}
