/**
 * What a rule does beside choosing a backend, compiled: faults, redirect, direct response, CORS, timeouts, mirrors. Everything here
 * is a decision; agent/proxy carries it out. What a redirect's Location is, and what CORS adds, are redirect.ts and cors.ts; a rewrite
 * belongs to each backend, see path-rewrite.ts.
 */
import type { Cluster } from './cluster.ts';
import { type CompiledCors, compileCors } from './cors.ts';
import type {
  BackendTarget,
  DirectResponse,
  Fault,
  HttpRouteRule,
  RequestRedirect,
  RouteTimeouts,
} from './route-model.ts';

export interface CompiledMirror {
  /** null: it does not resolve; nothing is mirrored. */
  readonly cluster: Cluster | null;
  /** Of a million requests. */
  readonly perMillion: number;
}

/** The actions of one rule. */
export interface RouteActions {
  readonly redirect: RequestRedirect | null;
  readonly directResponse: DirectResponse | null;
  readonly fault: Fault | null;
  readonly cors: CompiledCors | null;
  readonly timeouts: RouteTimeouts;
  readonly mirrors: readonly CompiledMirror[];
}

/** null: the rule forwards and does nothing else. @param clusterOf finds the cluster of a mirror's backend */
export function compileActions(
  rule: HttpRouteRule,
  clusterOf: (backend: BackendTarget) => Cluster | null,
): RouteActions | null {
  let redirect: RequestRedirect | null = null;
  let cors: CompiledCors | null = null;
  const mirrors: CompiledMirror[] = [];
  for (const filter of rule.filters) {
    switch (filter.type) {
      case 'requestRedirect':
        redirect ??= filter;
        break;
      case 'cors':
        cors ??= compileCors(filter);
        break;
      case 'requestMirror':
        mirrors.push({ cluster: filter.valid ? clusterOf(filter.backend) : null, perMillion: filter.perMillion });
        break;
      default:
        break;
    }
  }
  const { directResponse, fault, timeouts } = rule;
  const timed = timeouts.requestMs !== null || timeouts.backendRequestMs !== null;
  const plain = redirect === null && directResponse === null && fault === null && cors === null;
  if (plain && !timed && mirrors.length === 0) return null;
  return { redirect, directResponse, fault, cors, timeouts, mirrors };
}

/** Milliseconds to wait before anything else; 0: none. @param random from 0 to below 1 */
export function injectedDelay({ delay }: Fault, random: () => number): number {
  return delay !== null && isChosen(delay.perMillion, random) ? delay.delayMs : 0;
}

/** The answer instead of the backend's; null: none. */
export function injectedAbort(
  { abort }: Fault,
  random: () => number,
): { readonly status: number | null; readonly grpcStatus: number | null } | null {
  return abort !== null && isChosen(abort.perMillion, random) ? abort : null;
}

function isChosen(perMillion: number, random: () => number): boolean {
  return perMillion >= 1_000_000 || (perMillion > 0 && random() * 1_000_000 < perMillion);
}
