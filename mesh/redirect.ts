/** Redirects: Gateway API HTTPRequestRedirectFilter, Istio HTTPRedirect. */
import { type CompiledPath, compilePath, modifiedPath } from './path-rewrite.ts';
import type { PathMatch, RequestRedirect } from './route-model.ts';

/** What a redirect is made from. */
export interface RedirectFacts {
  /** Normalised, without query. */
  readonly path: string;
  readonly query: string;
  /** Lower case, without port. */
  readonly host: string;
  /** That was dialled. */
  readonly port: number;
  readonly matched: PathMatch | null;
}

const WELL_KNOWN = { http: 80, https: 443 } as const;
/** `host:port`, an IPv6 address in brackets. */
const WITH_PORT = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/;
const paths = new WeakMap<RequestRedirect, CompiledPath>();

/** The absolute URL of `Location`. Allocates; a redirect is an answer of its own. */
export function redirectLocation(redirect: RequestRedirect, facts: RedirectFacts): string {
  const scheme = redirect.scheme ?? 'http';
  const path = redirect.path === null ? facts.path : modifiedPath(compiledPath(redirect), facts.matched, facts.path);
  const target = path.startsWith('/') ? path : '/';
  return `${scheme}://${authorityOf(redirect, facts, scheme)}${target}${facts.query === '' ? '' : `?${facts.query}`}`;
}

/** A port that stands in the hostname (Istio authority) is as good as one that is given, unless one is given. */
function authorityOf({ hostname, port }: RequestRedirect, facts: RedirectFacts, scheme: 'http' | 'https'): string {
  const written = hostname === null ? null : WITH_PORT.exec(hostname);
  const host = written?.[1] ?? hostname ?? facts.host;
  const otherwise = written === null ? (port === 'request' ? facts.port : WELL_KNOWN[scheme]) : Number(written[2]);
  const number = typeof port === 'number' ? port : otherwise;
  return number === WELL_KNOWN[scheme] ? host : `${host}:${number}`;
}

/** Not normalised but for what may stand in a path at all: the client asks again, and is then treated as everybody is. */
function compiledPath(redirect: RequestRedirect): CompiledPath {
  let compiled = paths.get(redirect);
  if (compiled === undefined) {
    compiled = compilePath(redirect.path ?? { type: 'full', value: '/' }, 'NONE');
    paths.set(redirect, compiled);
  }
  return compiled;
}
