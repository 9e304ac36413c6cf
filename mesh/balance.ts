/** Choosing a backend by weight and an endpoint by load. Pure: randomness and load counters are arguments. */

import type { Endpoint } from './cluster.ts';

/**
 * Power of two choices: of two different random endpoints, the one with fewer requests in flight (Envoy LEAST_REQUEST
 * with choice_count 2). `inFlight` is indexed by `Endpoint.slot`; a slot beyond its end counts as idle. `avoid` (a host
 * that just failed) is passed over unless it is the only one. `random` yields [0, 1). Returns null without endpoints.
 */
export function pickEndpoint(
  endpoints: readonly Endpoint[],
  inFlight: Uint32Array,
  random: () => number,
  avoid: Endpoint | null = null,
): Endpoint | null {
  const count = endpoints.length;
  if (count <= 1) return count === 0 ? null : (endpoints[0] as Endpoint);
  const i = indexBelow(count, random);
  // The second index is drawn from the others and shifted past the first: every pair is equally likely.
  let j = indexBelow(count - 1, random);
  if (j >= i) j++;
  const first = endpoints[i] as Endpoint;
  const second = endpoints[j] as Endpoint;
  if (first === avoid) return second;
  if (second === avoid) return first;
  return (inFlight[second.slot] ?? 0) < (inFlight[first.slot] ?? 0) ? second : first;
}

/** Backends with a weight above 0 each, and the sum of their weights. */
export interface Weighted<T extends { readonly weight: number }> {
  readonly entries: readonly T[];
  readonly totalWeight: number;
}

/**
 * One backend in proportion to the weights; null when they sum to 0 (Gateway API: 500). The picked backend's `cluster` is
 * null when its reference is broken: that share is answered with 500 too.
 */
export function pickWeighted<T extends { readonly weight: number }>(
  backends: Weighted<T>,
  random: () => number,
): T | null {
  const { entries, totalWeight } = backends;
  if (entries.length <= 1) return entries.length === 0 ? null : (entries[0] as T);
  let ticket = indexBelow(totalWeight, random);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as T;
    ticket -= entry.weight;
    if (ticket < 0) return entry;
  }
  return entries[entries.length - 1] as T;
}

/** A source that answers 1 or NaN must not index past the end. */
function indexBelow(count: number, random: () => number): number {
  const index = Math.floor(random() * count);
  return index >= 0 && index < count ? index : count - 1;
}
