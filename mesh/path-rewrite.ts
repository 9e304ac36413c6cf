/**
 * What a route makes of a path: Gateway API HTTPPathModifier, Istio HTTPRewrite and HTTPRedirect. The query is never touched, and
 * the result is in normal form again, so that what policy judges is what is forwarded, and it has neither query, nor fragment, nor
 * control character.
 */
import { normalisePath, pathOctets, type PathNormalization } from './path.ts';
import { RegexRewrite } from './regex-rewrite.ts';
import type { PathMatch, PathModifier, UrlRewrite } from './route-model.ts';

/** A rewrite, compiled; the same object for all requests of a backend. */
export interface CompiledRewrite {
  /** Lower case, may carry a port; null: unchanged. WeightedCluster.requestEdits says the same. */
  readonly host: string | null;
  readonly path: CompiledPath | null;
}

/** A path modifier, compiled. */
export interface CompiledPath {
  readonly type: PathModifier['type'];
  /** In octets, as paths of requests are. Not used with `regex`. */
  readonly value: string;
  /** null: another type, or an expression that cannot be used, which changes nothing. */
  readonly regex: RegexRewrite | null;
  /** The mesh's: what is rewritten is normalised as what came was. */
  readonly mode: PathNormalization;
}

/** The last rewrite of a list counts, field by field (a backend's own comes after its rule's); null: there is none. */
export function compileRewrite(rewrites: readonly UrlRewrite[], mode: PathNormalization): CompiledRewrite | null {
  let host: string | null = null;
  let path: CompiledPath | null = null;
  for (const rewrite of rewrites) {
    host = rewrite.hostname ?? host;
    if (rewrite.path !== null) path = compilePath(rewrite.path, mode);
  }
  return host === null && path === null ? null : { host, path };
}

export function compilePath(modifier: PathModifier, mode: PathNormalization): CompiledPath {
  const { type, value } = modifier;
  if (type !== 'regex') return { type, value: pathOctets(value), regex: null, mode };
  const compiled = RegexRewrite.compile(modifier.pattern, value);
  return { type, value: '', regex: typeof compiled === 'string' ? null : compiled, mode };
}

/**
 * The path to forward. @param matched the path match of the route that held, as RouteMatch has it; null: it asks for no path
 * @param path of the request, normalised, without query
 */
export function rewrittenPath(rewrite: CompiledRewrite, matched: PathMatch | null, path: string): string {
  return rewrite.path === null ? path : modifiedPath(rewrite.path, matched, path);
}

/**
 * The modified path in normal form; the path as it was when the result could not be forwarded. `*` (OPTIONS *) and CONNECT have no path
 * that could be modified.
 */
export function modifiedPath(modifier: CompiledPath, matched: PathMatch | null, path: string): string {
  if (!path.startsWith('/')) return path;
  const modified = replaced(modifier, matched, path);
  const normal = normalisePath(modified.startsWith('/') ? modified : `/${modified}`, modifier.mode);
  return normal.ok ? normal.path : path;
}

function replaced({ type, value, regex }: CompiledPath, matched: PathMatch | null, path: string): string {
  switch (type) {
    case 'full':
      return value;
    case 'regex':
      return regex?.apply(path) ?? path;
    case 'prefix':
      return joined(value, path.slice(prefixLength(matched, path)));
    case 'stringPrefix':
      // Envoy RouteAction.prefix_rewrite: what the prefix matched is swapped, octet by octet; of an exact match or an expression it
      // is the whole path.
      return matched?.type === 'stringPrefix' ? value + path.slice(matched.value.length) : value;
  }
}

/** Octets that the match's whole segments take; `/foo/` matches as `/foo` does. */
function prefixLength(matched: PathMatch | null, path: string): number {
  if (matched === null || matched.type === 'regex') return 0;
  return Math.min(matched.value.replace(/\/+$/, '').length, path.length);
}

/** One slash between the two (Gateway API, table at ReplacePrefixMatch): `/xyz` + `/bar`, `/` + `/bar` is `/bar`, `/xyz` + '' is `/xyz`. */
function joined(prefix: string, rest: string): string {
  if (rest === '') return prefix === '' ? '/' : prefix;
  return prefix.replace(/\/+$/, '') + (rest.startsWith('/') ? rest : `/${rest}`);
}
