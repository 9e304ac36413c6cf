/** Matches and filters of an HTTPRoute rule. */
import { headerNameRefusal, isHeaderValue } from '../../mesh/header-edits.ts';
import type { HeaderMatch, HeaderModifier, HttpRouteMatch, NameValue, PathMatch } from '../../mesh/route-model.ts';
import { normalisePath } from '../../mesh/path.ts';
import { HEADER_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;
const ELEMENTS_MAX = 128;

/** Filters of the Gateway API that weir cannot do yet, by their type. */
const UNSUPPORTED_FILTERS = ['RequestRedirect', 'URLRewrite', 'RequestMirror', 'CORS', 'ExternalAuth', 'ExtensionRef'];
const FILTER_TYPES = ['RequestHeaderModifier', 'ResponseHeaderModifier', ...UNSUPPORTED_FILTERS] as const;

/** A match; a path that is not written is the prefix `/` (Gateway API default). */
export function readMatch(match: ObjectReader): HttpRouteMatch {
  const path = readPath(match.object('path'));
  const method = match.choice('method', METHODS);
  const headers = readValueMatches(match, 'headers', (name) => name.toLowerCase());
  const queryParams = readValueMatches(match, 'queryParams', (name) => name);
  match.finish();
  return {
    path,
    method: method === null ? null : { type: 'exact', value: method },
    headers,
    queryParams,
    scheme: null,
    authority: null,
    port: null,
    client: null,
  };
}

function readPath(reader: ObjectReader | null): PathMatch {
  if (reader === null) return { type: 'prefix', value: '/', ignoreCase: false };
  const type = reader.choice('type', ['Exact', 'PathPrefix', 'RegularExpression']) ?? 'PathPrefix';
  const value = reader.text('value') ?? '/';
  reader.finish();
  if (type === 'RegularExpression') {
    const remedy = 'use Exact or PathPrefix';
    reader.problems.error(
      'UNSUPPORTED',
      reader.at('type'),
      'a path by RegularExpression is not supported by weir yet',
      remedy,
    );
    return { type: 'prefix', value: '/', ignoreCase: false };
  }
  const normal = normalisePath(value);
  if (!value.startsWith('/')) {
    reader.problems.error('INVALID_VALUE', reader.at('value'), `is ${quote(value)}`, 'it must start with "/"');
  } else if (!normal.ok) {
    const remedy = 'leave out query, fragment and bad escapes';
    reader.problems.error(
      'INVALID_VALUE',
      reader.at('value'),
      `${quote(value)} cannot be a path (${normal.reason})`,
      remedy,
    );
  } else if (normal.path !== value) {
    reader.problems.error(
      'INVALID_VALUE',
      reader.at('value'),
      `${quote(value)} never occurs in a request`,
      `write ${normal.path}`,
    );
  }
  return { type: type === 'Exact' ? 'exact' : 'prefix', value, ignoreCase: false };
}

/** Of several entries for one name the first counts (Gateway API). */
function readValueMatches(match: ObjectReader, field: string, normalise: (name: string) => string): HeaderMatch[] {
  const found = new Map<string, HeaderMatch>();
  for (const reader of match.objects(field, ELEMENTS_MAX)) {
    const type = reader.choice('type', ['Exact', 'RegularExpression']) ?? 'Exact';
    const name = normalise(reader.requiredText('name', HEADER_NAME) ?? '');
    const value = reader.requiredText('value') ?? '';
    reader.finish();
    if (found.has(name)) duplicate(reader, name);
    else found.set(name, { name, type: type === 'Exact' ? 'exact' : 'regex', value, invert: false });
  }
  return [...found.values()];
}

/** Header modifiers of a rule or a backend; any other filter refuses the route. */
export function readFilters(owner: ObjectReader): HeaderModifier[] {
  return owner.objects('filters', ELEMENTS_MAX).flatMap((filter) => {
    const type = filter.choice('type', FILTER_TYPES);
    if (!filter.has('type')) filter.missing('type', `write one of ${FILTER_TYPES.join(', ')}`);
    if (type === null) return [];
    if (UNSUPPORTED_FILTERS.includes(type)) {
      const remedy = 'remove it; until then the route is not applied';
      filter.problems.error(
        'UNSUPPORTED',
        filter.at('type'),
        `the filter ${type} is not supported by weir yet`,
        remedy,
      );
      return [];
    }
    const request = type === 'RequestHeaderModifier';
    const field = request ? 'requestHeaderModifier' : 'responseHeaderModifier';
    const modifier = filter.object(field);
    filter.finish();
    if (modifier === null) {
      if (!filter.has(field)) filter.missing(field);
      return [];
    }
    return readModifier(modifier, field);
  });
}

function readModifier(modifier: ObjectReader, type: HeaderModifier['type']): HeaderModifier {
  const set = readEdits(modifier, 'set');
  const add = readEdits(modifier, 'add');
  const remove = modifier.list('remove', ELEMENTS_MAX).flatMap((item) => {
    const name = modifier.asText(item, HEADER_NAME);
    const refusal = name === null ? null : headerNameRefusal(name);
    if (refusal !== null) refuseHeader(modifier, item.path, name ?? '', refusal);
    return name ?? [];
  });
  modifier.finish();
  return { type, set, add, remove };
}

function readEdits(modifier: ObjectReader, field: 'set' | 'add'): NameValue[] {
  const found = new Map<string, NameValue>();
  for (const reader of modifier.objects(field, ELEMENTS_MAX)) {
    const name = reader.requiredText('name', HEADER_NAME);
    const value = reader.requiredText('value');
    reader.finish();
    if (name === null || value === null) continue;
    const refusal = headerNameRefusal(name);
    if (refusal !== null) refuseHeader(modifier, reader.at('name'), name, refusal);
    if (!isHeaderValue(value) || value.length > 4_096) {
      const remedy = 'no line breaks, control characters or outer spaces, at most 4096 characters';
      reader.problems.error('INVALID_VALUE', reader.at('value'), `${quote(value)} is not a header value`, remedy);
    }
    if (found.has(name.toLowerCase())) duplicate(reader, name);
    else found.set(name.toLowerCase(), { name, value });
  }
  return [...found.values()];
}

function refuseHeader(modifier: ObjectReader, path: ObjectReader['path'], name: string, refusal: string): void {
  const [reason, remedy] = refusal.split(': ');
  modifier.problems.error(
    'INVALID_VALUE',
    path,
    `${quote(name)}: ${reason ?? refusal}`,
    remedy ?? 'write another name',
  );
}

function duplicate(reader: ObjectReader, name: string): void {
  const remedy = 'remove it; the first entry counts';
  reader.problems.warning('NO_EFFECT', reader.at('name'), `${quote(name)} stands here twice`, remedy);
}
