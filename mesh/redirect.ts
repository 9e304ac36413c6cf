/** Redirects: Gateway API HTTPRequestRedirectFilter, Istio HTTPRedirect. */
import { compilePath, type CompiledPath, modifiedPath } from './path-rewrite.ts';
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
const paths = new WeakMap<RequestRedirect, CompiledPath>();

/** The absolute URL of `Location`. Allocates; a redirect is an answer of its own. */
export function redirectLocation(redirect: RequestRedirect, facts: RedirectFacts): string {
  const scheme = redirect.scheme ?? 'http';
  const host = redirect.hostname ?? facts.host;
  const port =
    redirect.port === 'request' ? facts.port : redirect.port === 'scheme' ? WELL_KNOWN[scheme] : redirect.port;
  const authority = port === WELL_KNOWN[scheme] ? host : `${host}:${port}`;
  const path = redirect.path === null ? facts.path : modifiedPath(compiledPath(redirect), facts.matched, facts.path);
  return `${scheme}://${authority}${path}${facts.query === '' ? '' : `?${facts.query}`}`;
}

function compiledPath(redirect: RequestRedirect): CompiledPath {
  let compiled = paths.get(redirect);
  if (compiled === undefined) {
    compiled = compilePath(redirect.path ?? { type: 'full', value: '/' });
    paths.set(redirect, compiled);
  }
  return compiled;
}
