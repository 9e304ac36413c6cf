/** Rules of HTTP routes for tests: what is not said is left out of the rule. */
import type { HttpFilter, HttpRouteBackend, HttpRouteMatch, HttpRouteRule, NameValue } from '../../mesh/route-model.ts';

export const NO_TIMEOUTS: HttpRouteRule['timeouts'] = { requestMs: null, backendRequestMs: null };

/** A rule for everything, without backends. */
export function rule(fields: Partial<HttpRouteRule>): HttpRouteRule {
  return {
    name: null,
    matches: [],
    filters: [],
    backends: [],
    directResponse: null,
    fault: null,
    timeouts: NO_TIMEOUTS,
    retry: null,
    sessionPersistence: null,
    ...fields,
  };
}

/** All of a Service in the namespace `default`. */
export function backend(name: string, port: number, filters: readonly HttpFilter[] = []): HttpRouteBackend {
  return { namespace: 'default', name, port, subset: null, weight: 1, filters, valid: true };
}

/** Whole segments. */
export function prefix(value: string): HttpRouteMatch {
  return {
    path: { type: 'prefix', value, ignoreCase: false },
    method: null,
    headers: [],
    queryParams: [],
    scheme: null,
    authority: null,
    port: null,
    client: null,
  };
}

export function setHeaders(direction: 'request' | 'response', set: readonly NameValue[]): HttpFilter {
  return { type: `${direction}HeaderModifier`, set, add: [], remove: [] };
}
