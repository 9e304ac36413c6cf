/**
 * What a route does with a request before, or instead of, choosing a backend: faults, redirects, direct responses, CORS. The
 * decisions are those of mesh/route-actions.ts; here they get their order and become answers.
 *
 *   delay ─► abort ─► redirect │ direct response ─► CORS preflight ─► (a backend is chosen)
 */
import { corsPreflight } from '../../mesh/cors.ts';
import { redirectLocation } from '../../mesh/redirect.ts';
import { injectedAbort, injectedDelay, type RouteActions } from '../../mesh/route-actions.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { RouteMatch } from '../../mesh/route-table.ts';
import { type ConfiguredAnswer, localBody, NO_HEADERS } from './local-response.ts';

/** The delay that is injected, ms; 0: none. */
export function delayOf(actions: RouteActions, random: () => number): number {
  return actions.fault === null ? 0 : injectedDelay(actions.fault, random);
}

/** The abort that is injected; null: none. */
export function abortOf(actions: RouteActions, random: () => number): ConfiguredAnswer | null {
  const abort = actions.fault === null ? null : injectedAbort(actions.fault, random);
  if (abort === null) return null;
  const { grpcStatus } = abort;
  const status = abort.status ?? HTTP_STATUS[grpcStatus ?? 2] ?? 500;
  return { status, reason: 'FAULT_ABORT', headers: NO_HEADERS, body: localBody('FAULT_ABORT'), grpcStatus };
}

/** What the route answers without a backend; null: it has one. @param port that was dialled */
export function answerOf(
  match: RouteMatch,
  actions: RouteActions,
  request: RequestView,
  port: number,
): ConfiguredAnswer | null {
  const { redirect, directResponse, cors } = actions;
  if (redirect !== null) {
    const { path, query, host } = request;
    const location = redirectLocation(redirect, { path, query, host, port, matched: match.matched });
    return configured(redirect.statusCode, [{ name: 'location', value: location }], null);
  }
  if (directResponse !== null) return configured(directResponse.status, NO_HEADERS, directResponse.body);
  const origin = cors === null || request.method !== 'OPTIONS' ? undefined : request.header('origin');
  const headers = cors === null || origin === undefined ? null : corsPreflight(cors, origin, request);
  return headers === null ? null : configured(200, headers, null);
}

function configured(status: number, headers: ConfiguredAnswer['headers'], body: string | null): ConfiguredAnswer {
  return { status, reason: status >= 400 ? 'DIRECT_RESPONSE' : null, headers, body, grpcStatus: null };
}

/** By `grpc-status`, what an HTTP client sees (Envoy's grpcToHttpStatus, which is google.rpc.Code's mapping). */
const HTTP_STATUS: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];
