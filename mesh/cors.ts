/**
 * Cross-origin requests (WHATWG Fetch, "CORS protocol"): Gateway API HTTPCORSFilter, Istio CorsPolicy. An allowed origin is told back
 * as it came, `*` only where any origin is allowed without credentials.
 */
import type { RequestView } from './request.ts';
import type { Cors, NameValue } from './route-model.ts';
import { compileValueMatch, type ValueMatch } from './value-match.ts';

/** A filter, compiled. */
export interface CompiledCors {
  readonly filter: Cors;
  readonly anyOrigin: boolean;
  readonly origins: readonly ValueMatch[];
}

const NONE: readonly NameValue[] = [];

export function compileCors(filter: Cors): CompiledCors {
  const anyOrigin = filter.allowOrigins.some(({ type, value }) => type === 'exact' && value === '*');
  return { filter, anyOrigin, origins: filter.allowOrigins.map(({ type, value }) => compileValueMatch(type, value)) };
}

/**
 * The headers of the answer to a preflight (OPTIONS with Origin and Access-Control-Request-Method); null: it is none, or goes to
 * the backend. Without any header: the browser takes that for a no.
 */
export function corsPreflight(cors: CompiledCors, origin: string, request: RequestView): readonly NameValue[] | null {
  const method = request.header('access-control-request-method');
  if (request.method !== 'OPTIONS' || method === undefined) return null;
  const { filter } = cors;
  if (!isAllowed(cors, origin)) return filter.unmatchedPreflights === 'forward' ? null : NONE;
  const headers: NameValue[] = [...originHeaders(cors, origin)];
  const tell = (name: string, list: readonly string[], asked: string | undefined): void => {
    if (list.length === 0) return;
    // `*` is a name like any other to a request with credentials.
    const wild = list.includes('*') && filter.allowCredentials;
    const value = wild ? (asked ?? '') : list.join(', ');
    if (value !== '') headers.push({ name, value });
  };
  tell('access-control-allow-methods', filter.allowMethods, method);
  tell('access-control-allow-headers', filter.allowHeaders, request.header('access-control-request-headers'));
  if (filter.maxAgeS !== null) headers.push({ name: 'access-control-max-age', value: String(filter.maxAgeS) });
  return headers;
}

/** What is added to the backend's answer; empty when the origin is not allowed. */
export function corsResponseHeaders(cors: CompiledCors, origin: string): readonly NameValue[] {
  if (!isAllowed(cors, origin)) return NONE;
  const headers = [...originHeaders(cors, origin)];
  const exposed = cors.filter.exposeHeaders;
  if (exposed.length > 0) headers.push({ name: 'access-control-expose-headers', value: exposed.join(', ') });
  return headers;
}

function originHeaders(cors: CompiledCors, origin: string): readonly NameValue[] {
  const { allowCredentials } = cors.filter;
  const any = cors.anyOrigin && !allowCredentials;
  const headers: NameValue[] = [{ name: 'access-control-allow-origin', value: any ? '*' : origin }];
  if (!any) headers.push({ name: 'vary', value: 'Origin' });
  if (allowCredentials) headers.push({ name: 'access-control-allow-credentials', value: 'true' });
  return headers;
}

function isAllowed({ anyOrigin, origins }: CompiledCors, origin: string): boolean {
  return anyOrigin || origins.some((match) => match.test(origin));
}
