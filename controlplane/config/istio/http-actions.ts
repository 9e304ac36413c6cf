/** What an `http` entry of a VirtualService may answer or change by itself: redirect, rewrite, directResponse, corsPolicy. */
import { normalisePath } from '../../../mesh/path.ts';
import { regexRewriteRefusal } from '../../../mesh/regex-rewrite.ts';
import { regexRefusal } from '../../../mesh/value-match.ts';
import type {
  Cors,
  DirectResponse,
  PathModifier,
  RequestRedirect,
  StringMatch,
  UrlRewrite,
} from '../../../mesh/route-model.ts';
import { HEADER_NAME } from '../names.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { readDuration } from './object-head.ts';
import { readStringMatch } from './string-match.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '*'];
const REDIRECT_CODES = [301, 302, 303, 307, 308] as const;
/** Elements of a list of corsPolicy. */
const ELEMENTS_MAX = 128;
/** Octets of a direct response: it travels to every agent. Istio warns above 100 KiB. */
const BODY_BYTES_MAX = 100 * 1024;
/** `name` or `name:port`. */
const AUTHORITY = /^([a-z0-9]([-a-z0-9._]{0,251}[a-z0-9])?|\[[0-9a-f:.]+\])(:(\d{1,5}))?$/;

/** `redirect`; null when it is absent or wrong. */
export function readRedirect(rule: ObjectReader): RequestRedirect | null {
  const reader = rule.object('redirect');
  if (reader === null) return null;
  const path = readRedirectPath(reader);
  const authority = readAuthority(reader);
  const scheme = reader.choice('scheme', ['http', 'https']);
  const code = reader.integer('redirectCode', 0, 399) ?? 0;
  const port = reader.integer('port', 1, 65_535);
  const derive = reader.choice('derivePort', ['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT']);
  reader.finish();
  const { problems } = reader;
  if (port !== null && derive !== null) {
    problems.error('INVALID_VALUE', reader.at('derivePort'), 'stands beside port', 'keep one of them', 'key');
  }
  if (path === null && authority === null && scheme === null && port === null && derive === null && !problems.refused) {
    problems.error('INVALID_VALUE', reader.path, 'changes nothing', 'add uri, authority, scheme or port', 'key');
  }
  const statusCode = code === 0 ? 301 : REDIRECT_CODES.find((each) => each === code);
  if (statusCode === undefined) {
    const remedy = `write one of ${REDIRECT_CODES.join(', ')}`;
    problems.error('INVALID_VALUE', reader.at('redirectCode'), `is ${code}`, remedy);
  }
  const derived = derive === null ? null : derive === 'FROM_REQUEST_PORT' ? 'request' : 'scheme';
  // A new host or scheme comes with its own port (Envoy: the Host of the request is kept with its port, and only then).
  const otherwise = authority === null && scheme === null ? 'request' : 'scheme';
  return {
    type: 'requestRedirect',
    scheme,
    hostname: authority?.host ?? null,
    port: port ?? derived ?? authority?.port ?? otherwise,
    path,
    statusCode: statusCode ?? 301,
  };
}

function readRedirectPath(reader: ObjectReader): PathModifier | null {
  const uri = reader.text('uri');
  if (uri === null || uri === '') return null;
  if (!isPath(uri)) {
    const remedy = 'write a path beginning with "/"; the query of the request is kept as it is';
    reader.problems.error('INVALID_VALUE', reader.at('uri'), `${quote(uri)} is not a path`, remedy);
  }
  return { type: 'full', value: uri };
}

/** A path alone, without query, spaces and bad escapes. */
function isPath(text: string): boolean {
  return text.startsWith('/') && !/[?\s]/.test(text) && normalisePath(text).ok;
}

function readAuthority(reader: ObjectReader): { readonly host: string; readonly port: number | null } | null {
  const text = reader.text('authority');
  if (text === null || text === '') return null;
  const parts = AUTHORITY.exec(text.toLowerCase());
  const port = parts?.[4] === undefined ? null : Number(parts[4]);
  if (parts !== null && (port === null || (port >= 1 && port <= 65_535))) return { host: parts[1] ?? '', port };
  const remedy = 'write a host name, with :port where it is needed';
  reader.problems.error('INVALID_VALUE', reader.at('authority'), `is ${quote(text)}`, remedy);
  return null;
}

/** `rewrite`, its uri as for matches by prefix (see rewriteFor); null when it is absent or wrong. */
export function readRewrite(rule: ObjectReader): UrlRewrite | null {
  const reader = rule.object('rewrite');
  if (reader === null) return null;
  const authority = readAuthority(reader);
  const uri = reader.text('uri');
  const regex = readRegexRewrite(reader);
  reader.finish();
  const { problems } = reader;
  if (uri !== null && uri !== '' && regex !== null) {
    problems.error('INVALID_VALUE', reader.at('uriRegexRewrite'), 'stands beside uri', 'keep one of them', 'key');
  }
  if (uri !== null && uri !== '' && !isPath(uri)) {
    const remedy = 'write a path beginning with "/"; the query of the request is kept as it is';
    problems.error('INVALID_VALUE', reader.at('uri'), `${quote(uri)} is not a path`, remedy);
  }
  const path: PathModifier | null = regex ?? (uri === null || uri === '' ? null : { type: 'stringPrefix', value: uri });
  if (path === null && authority === null && !problems.refused) {
    problems.error('INVALID_VALUE', reader.path, 'changes nothing', 'add uri, uriRegexRewrite or authority', 'key');
  }
  const hostname =
    authority === null ? null : `${authority.host}${authority.port === null ? '' : `:${authority.port}`}`;
  return { type: 'urlRewrite', hostname, path };
}

function readRegexRewrite(rewrite: ObjectReader): PathModifier | null {
  const reader = rewrite.object('uriRegexRewrite');
  if (reader === null) return null;
  const pattern = reader.requiredText('match');
  const value = reader.requiredText('rewrite');
  reader.finish();
  if (pattern === null || value === null) return null;
  const { problems } = reader;
  const refusal = pattern === '' ? 'is empty' : regexRefusal(pattern);
  if (refusal !== null) {
    const remedy = 'write an RE2 expression (https://github.com/google/re2/wiki/Syntax)';
    problems.error('INVALID_VALUE', reader.at('match'), `${quote(pattern)} ${refusal}`, remedy);
  }
  if (value === '') problems.error('INVALID_VALUE', reader.at('rewrite'), 'is empty', 'write what replaces the match');
  const cannot = refusal === null ? regexRewriteRefusal(pattern, value) : null;
  if (cannot !== null) {
    const remedy = 'write \\0 to \\9 for groups and \\\\ for a backslash';
    problems.error('INVALID_VALUE', reader.at('rewrite'), `${quote(value)} ${cannot}`, remedy);
  }
  return { type: 'regex', pattern, value };
}

/** `directResponse`; null when it is absent or wrong. */
export function readDirectResponse(rule: ObjectReader): DirectResponse | null {
  const reader = rule.object('directResponse');
  if (reader === null) return null;
  if (!reader.has('status')) reader.missing('status', 'add the status code');
  const status = reader.integer('status', 200, 599);
  const body = reader.object('body');
  const text = body?.text('string') ?? null;
  const bytes = body?.text('bytes') ?? null;
  body?.finish();
  reader.finish();
  if (body !== null && text !== null && bytes !== null) {
    body.problems.error('INVALID_VALUE', body.at('bytes'), 'stands beside string', 'keep one of them', 'key');
  }
  const content = bytes === null || body === null ? text : decodeBody(body, bytes);
  if (content !== null && Buffer.byteLength(content) > BODY_BYTES_MAX) {
    const remedy = `at most ${BODY_BYTES_MAX} octets are allowed`;
    reader.problems.error('INVALID_VALUE', reader.at('body'), `has ${Buffer.byteLength(content)} octets`, remedy);
  }
  return status === null ? null : { status, body: content };
}

function decodeBody(body: ObjectReader, base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  const text = bytes.toString('utf8');
  const standard = bytes.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '');
  if (!standard) body.problems.error('INVALID_VALUE', body.at('bytes'), 'is not base64', 'encode it, or write string');
  else if (!Buffer.from(text, 'utf8').equals(bytes)) {
    body.problems.error('UNSUPPORTED', body.at('bytes'), 'is not text in UTF-8', 'weir answers with text only');
  }
  return text;
}

/** `corsPolicy`; null when it is absent. */
export function readCors(rule: ObjectReader): Cors | null {
  const reader = rule.object('corsPolicy');
  if (reader === null) return null;
  const allowOrigins = readOrigins(reader);
  const allowMethods = reader.list('allowMethods', ELEMENTS_MAX).flatMap((item) => {
    const method = reader.asText(item);
    if (method === null || METHODS.includes(method)) return method ?? [];
    const remedy = `write one of ${METHODS.join(', ')}`;
    reader.problems.error('INVALID_VALUE', item.path, `${quote(method)} is not a method`, remedy);
    return [];
  });
  const names = (field: string): string[] =>
    reader.list(field, ELEMENTS_MAX).flatMap((item) => reader.asText(item, HEADER_NAME)?.toLowerCase() ?? []);
  const allowHeaders = names('allowHeaders');
  const exposeHeaders = names('exposeHeaders');
  const maxAgeMs = readDuration(reader, 'maxAge', { minMs: 0 });
  if (maxAgeMs !== null && maxAgeMs % 1_000 !== 0) {
    reader.problems.error('INVALID_VALUE', reader.at('maxAge'), 'is finer than a second', 'write whole seconds');
  }
  const allowCredentials = reader.flag('allowCredentials') ?? false;
  const unmatched = reader.choice('unmatchedPreflights', ['UNSPECIFIED', 'FORWARD', 'IGNORE']);
  reader.finish();
  return {
    type: 'cors',
    allowOrigins,
    allowMethods,
    allowHeaders,
    exposeHeaders,
    allowCredentials,
    maxAgeS: maxAgeMs === null ? null : Math.floor(maxAgeMs / 1_000),
    unmatchedPreflights: unmatched === 'IGNORE' ? 'answer' : 'forward',
  };
}

function readOrigins(reader: ObjectReader): StringMatch[] {
  const origins = reader.objects('allowOrigins', ELEMENTS_MAX).flatMap((origin) => {
    const match = readStringMatch(origin);
    if (match !== 'present') return match ?? [];
    reader.problems.error('INVALID_VALUE', origin.path, 'allows no origin', 'add exact, prefix or regex');
    return [];
  });
  // The field before allowOrigins: `*` or an origin, compared as it is; of no meaning beside the new one.
  if (reader.has('allowOrigin')) {
    const remedy = 'write allowOrigins: [{exact: …}]';
    reader.problems.warning(
      'DEPRECATED',
      reader.at('allowOrigin'),
      'is the old spelling of allowOrigins',
      remedy,
      'key',
    );
  }
  const old = reader.list('allowOrigin', ELEMENTS_MAX).flatMap((item) => reader.asText(item) ?? []);
  return origins.length > 0 ? origins : old.map((value) => ({ type: 'exact', value }));
}
