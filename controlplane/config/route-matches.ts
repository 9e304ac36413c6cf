/** Matches of HTTPRoute and GRPCRoute rules. */
import { normalisePath } from '../../mesh/path.ts';
import type { HeaderMatch, HttpRouteMatch, PathMatch } from '../../mesh/route-model.ts';
import { regexRefusal } from '../../mesh/value-match.ts';
import { HEADER_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import { ELEMENTS_MAX } from './route-references.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;
const TYPES = ['Exact', 'RegularExpression'] as const;

/** Characters of a path in a match: what the Gateway API's schema allows. */
const PATH_LENGTH_MAX = 1_024;
/** Gateway API GRPCMethodMatch, with type Exact. */
const GRPC_SERVICE = {
  pattern: /^[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i,
  description: 'the full name of a gRPC service such as helloworld.Greeter',
};
const GRPC_METHOD = { pattern: /^[a-z_][a-z_0-9]*$/i, description: 'the name of a gRPC method such as SayHello' };

/** Every request, as a match: the default of the Gateway API. */
export const MATCH_ALL: HttpRouteMatch = {
  path: { type: 'prefix', value: '/', ignoreCase: false },
  method: null,
  headers: [],
  queryParams: [],
  scheme: null,
  authority: null,
  port: null,
  client: null,
};

/** A match of an HTTPRoute; a path that is not written is the prefix `/` (Gateway API default). */
export function readHttpMatch(match: ObjectReader): HttpRouteMatch {
  const path = readPath(match.object('path'));
  const method = match.choice('method', METHODS);
  const headers = readValueMatches(match, 'headers', (name) => name.toLowerCase());
  const queryParams = readValueMatches(match, 'queryParams', (name) => name);
  match.finish();
  return {
    ...MATCH_ALL,
    path,
    method: method === null ? null : { type: 'exact', value: method },
    headers,
    queryParams,
  };
}

/** A match of a GRPCRoute: the method is the path of the request (gRPC over HTTP/2). */
export function readGrpcMatch(match: ObjectReader): HttpRouteMatch {
  const path = readGrpcMethod(match.object('method'));
  const headers = readValueMatches(match, 'headers', (name) => name.toLowerCase());
  match.finish();
  return { ...MATCH_ALL, path, headers };
}

function readPath(reader: ObjectReader | null): PathMatch {
  if (reader === null) return { type: 'prefix', value: '/', ignoreCase: false };
  const type = reader.choice('type', ['Exact', 'PathPrefix', 'RegularExpression']) ?? 'PathPrefix';
  const value = reader.text('value') ?? '/';
  reader.finish();
  if (type === 'RegularExpression') refuseRegex(reader, 'value', value);
  else refusePath(reader, 'value', value);
  const types = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;
  return { type: types[type], value, ignoreCase: false };
}

/** Reports a path that no request can have, or whose meaning would be in doubt. */
export function refusePath(reader: ObjectReader, field: string, value: string): void {
  const problem = pathProblem(value);
  if (problem !== null) reader.problems.error('INVALID_VALUE', reader.at(field), problem.reason, problem.remedy);
}

function pathProblem(value: string): { readonly reason: string; readonly remedy: string } | null {
  const normal = normalisePath(value);
  if (!value.startsWith('/')) return { reason: `is ${quote(value)}`, remedy: 'it must start with "/"' };
  if (!normal.ok) {
    const remedy = 'leave out query, fragment and bad escapes';
    return { reason: `${quote(value)} cannot be a path (${normal.reason})`, remedy };
  }
  if (normal.path !== value) {
    return { reason: `${quote(value)} never occurs in a request`, remedy: `write ${normal.path}` };
  }
  if (value.length <= PATH_LENGTH_MAX) return null;
  return { reason: `has ${value.length} characters`, remedy: `at most ${PATH_LENGTH_MAX} are allowed` };
}

/** Reports an expression that cannot be matched in linear time. */
function refuseRegex(reader: ObjectReader, field: string, value: string): void {
  const refusal = regexRefusal(value);
  if (refusal === null) return;
  const remedy = 'write RE2 syntax, which has no look-around and no back references';
  reader.problems.error('INVALID_VALUE', reader.at(field), `${quote(value)} ${refusal}`, remedy);
}

/** `/service/method`; what is not given is any. */
function readGrpcMethod(reader: ObjectReader | null): PathMatch {
  if (reader === null) return { type: 'prefix', value: '/', ignoreCase: false };
  const exact = (reader.choice('type', TYPES) ?? 'Exact') === 'Exact';
  const service = reader.text('service', exact ? GRPC_SERVICE : undefined);
  const method = reader.text('method', exact ? GRPC_METHOD : undefined);
  if (!reader.has('service') && !reader.has('method')) reader.missing('service', 'give service, method or both');
  reader.finish();
  if (!exact) {
    for (const [field, value] of [['service', service] as const, ['method', method] as const]) {
      if (value !== null) refuseRegex(reader, field, value);
    }
    const value = `/${service === null ? '[^/]+' : `(?:${service})`}/${method === null ? '[^/]+' : `(?:${method})`}`;
    return { type: 'regex', value, ignoreCase: false };
  }
  if (service === null) return { type: 'regex', value: `/[^/]+/${method ?? ''}`, ignoreCase: false };
  if (method === null) return { type: 'prefix', value: `/${service}`, ignoreCase: false };
  return { type: 'exact', value: `/${service}/${method}`, ignoreCase: false };
}

/** Of several entries for one name the first counts (Gateway API). */
function readValueMatches(match: ObjectReader, field: string, normalise: (name: string) => string): HeaderMatch[] {
  const found = new Map<string, HeaderMatch>();
  for (const reader of match.objects(field, ELEMENTS_MAX)) {
    const type = reader.choice('type', TYPES) ?? 'Exact';
    const name = normalise(reader.requiredText('name', HEADER_NAME) ?? '');
    const value = reader.requiredText('value') ?? '';
    reader.finish();
    if (type === 'RegularExpression') refuseRegex(reader, 'value', value);
    if (found.has(name)) {
      const remedy = 'remove it; the first entry counts';
      reader.problems.warning('NO_EFFECT', reader.at('name'), `${quote(name)} stands here twice`, remedy);
    } else found.set(name, { name, type: type === 'Exact' ? 'exact' : 'regex', value, invert: false });
  }
  return [...found.values()];
}
