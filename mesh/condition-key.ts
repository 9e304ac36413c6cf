/** The keys of `when` in an AuthorizationPolicy (Istio's "Authorization Policy Conditions"). */
import { CONDITION_KEYS } from './policy-model.ts';

/** A key that has a name in brackets, or one of CONDITION_KEYS. */
export type ConditionKey =
  | { readonly kind: (typeof CONDITION_KEYS)[number] }
  /** Lower case; `:method`, `:path` and `:authority` are the request's own, as in Envoy. */
  | { readonly kind: 'request.headers'; readonly name: string }
  /** Names from the outermost claim inwards; at least one. */
  | { readonly kind: 'request.auth.claims'; readonly path: readonly string[] };

/** Reads a key; null when Istio has no such. */
export function parseConditionKey(key: string): ConditionKey | null {
  const plain = CONDITION_KEYS.find((known) => known === key);
  if (plain !== undefined) return { kind: plain };
  const header = /^request\.headers\[([^[\]]+)\]$/.exec(key);
  if (header !== null) return { kind: 'request.headers', name: (header[1] as string).toLowerCase() };
  if (!/^request\.auth\.claims(\[[^[\]]+\])+$/.test(key)) return null;
  return { kind: 'request.auth.claims', path: [...key.matchAll(/\[([^[\]]+)\]/g)].map((match) => match[1] as string) };
}
