/**
 * What a route makes of a path: Gateway API HTTPPathModifier, Istio HTTPRewrite and HTTPRedirect. The query is never touched, and
 * the result is in normal form again, so that what policy judges is what is forwarded.
 */
import { RE2JS } from 're2js';
import { normalisePath } from './path.ts';
import type { PathMatch, PathModifier, UrlRewrite } from './route-model.ts';

/** A rewrite, compiled; the same object for all requests of a backend. */
export interface CompiledRewrite {
  /** Lower case, may carry a port; null: unchanged. */
  readonly host: string | null;
  readonly path: CompiledPath | null;
}

/** A path modifier, compiled. */
export interface CompiledPath {
  readonly modifier: PathModifier;
  /** Of a modifier by `regex`. */
  readonly pattern: RE2JS | null;
  readonly replacement: string;
}

/** The last rewrite of a list counts, field by field (a backend's own comes after its rule's); null: there is none. */
export function compileRewrite(rewrites: readonly UrlRewrite[]): CompiledRewrite | null {
  let host: string | null = null;
  let path: CompiledPath | null = null;
  for (const rewrite of rewrites) {
    host = rewrite.hostname ?? host;
    if (rewrite.path !== null) path = compilePath(rewrite.path);
  }
  return host === null && path === null ? null : { host, path };
}

export function compilePath(modifier: PathModifier): CompiledPath {
  if (modifier.type !== 'regex') return { modifier, pattern: null, replacement: modifier.value };
  return { modifier, pattern: RE2JS.compile(modifier.pattern), replacement: replacementOf(modifier.value) };
}

/** @param matched the path match of the route that held; null: it has none */
export function rewrittenPath(rewrite: CompiledRewrite, matched: PathMatch | null, path: string): string {
  return rewrite.path === null ? path : modifiedPath(rewrite.path, matched, path);
}

/** The modified path in normal form; the path as it was when the result could not be forwarded. */
export function modifiedPath(
  { modifier, pattern, replacement }: CompiledPath,
  matched: PathMatch | null,
  path: string,
): string {
  const modified = pattern === null ? replaced(modifier, matched, path) : pattern.matcher(path).replaceAll(replacement);
  const normal = normalisePath(modified.startsWith('/') ? modified : `/${modified}`);
  return normal.ok ? normal.path : path;
}

function replaced(modifier: PathModifier, matched: PathMatch | null, path: string): string {
  switch (modifier.type) {
    case 'full':
    case 'regex':
      return modifier.value;
    case 'prefix':
      return joined(modifier.value, path.slice(prefixLength(matched, path)));
    case 'stringPrefix':
      return matched === null || matched.type !== 'stringPrefix'
        ? modifier.value
        : modifier.value + path.slice(matched.value.length);
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

/** Envoy names groups as `\1` (RE2::Rewrite), re2js as `$1`. */
function replacementOf(value: string): string {
  return value.replaceAll('$', '\\$').replace(/\\(\d)/g, '$$$1');
}
