/**
 * One agent's stream: what it holds, what it has yet to be told, what it refused. No I/O; `send` takes the response.
 *
 * The state of a stream is small: what the agent holds is what the cache holds, except for the names in `pending` (to be
 * told, with the version the agent has), in the response in flight, in `rejected` and in `orphans`.
 *
 *      cache change            taken into a response            ACK
 *   ──────────────────► pending ─────────────────► in flight ─────────► (as the cache)
 *                          ▲                           │ NACK
 *                          ├── others of the response ─┤
 *                          └── when it changes ── rejected ◄┘ those it names
 *
 * One response is in flight at a time, and changes that come meanwhile are merged. Order: policies are added before
 * workloads and services, those before routes; removals follow in the opposite order. So nothing is reachable before its
 * policy is there, and no route points to what is not known yet.
 */
import type { DeltaRequest, EncodedDeltaResponse, Nack } from '../../mesh/wire/discovery.ts';
import { TYPE_URLS } from '../../mesh/wire/resource.ts';
import { limits } from '../limits.ts';
import type { CacheChange, ResourceCache } from './resource-cache.ts';

/** A resource the agent refused, until it changes. */
export interface Rejected {
  readonly typeUrl: string;
  readonly name: string;
  readonly error: string;
  /** Configuration version of the response that carried it. */
  readonly version: number;
  /** The version of it that the agent still has; null: none. */
  readonly held: string | null;
}

interface Subscription {
  wildcard: boolean;
  readonly names: Set<string>;
  /** Name → version the agent has; null: none. */
  readonly pending: Map<string, string | null>;
  readonly rejected: Map<string, Rejected>;
  /** Held by the agent, unknown to the cache, and not to be removed yet. */
  readonly orphans: Map<string, string>;
  /** A first response was sent, be it empty: the agent knows that it has everything of the type. */
  answered: boolean;
}

interface InFlight {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: number;
  /** Name → version the agent had, and the one it was sent (null: removal). */
  readonly items: ReadonlyMap<string, { readonly held: string | null; readonly sent: string | null }>;
}

export class AgentStream {
  /** Configuration version up to which the agent has answered everything; 0 before. */
  settledVersion = 0;
  readonly #cache: ResourceCache;
  readonly #send: (response: EncodedDeltaResponse) => void;
  readonly #controlPlane: string;
  readonly #subscriptions = new Map<string, Subscription>();
  #inFlight: InFlight | null = null;
  #nonces = 0;

  constructor(cache: ResourceCache, controlPlane: string, send: (response: EncodedDeltaResponse) => void) {
    this.#cache = cache;
    this.#controlPlane = controlPlane;
    this.#send = send;
  }

  rejected(): Rejected[] {
    return [...this.#subscriptions.values()].flatMap((subscription) => [...subscription.rejected.values()]);
  }

  /** A message of the agent: subscription, ACK or NACK, or several of them. Returns why it breaks the protocol, or null. */
  receive(request: DeltaRequest): string | null {
    if (request.typeUrl === '') return 'type_url is missing';
    const known = this.#subscriptions.get(request.typeUrl);
    if (known === undefined && this.#subscriptions.size >= 16) return 'too many type URLs';
    const subscription = known ?? newSubscription();
    this.#subscriptions.set(request.typeUrl, subscription);
    if (subscription.names.size + request.subscribe.length > limits.subscribedNamesMax) return 'too many names';
    // An answer to anything but the response in flight is stale and says nothing (xDS protocol).
    if (request.nonce !== '' && request.nonce === this.#inFlight?.nonce) this.#answer(this.#inFlight, request.nack);
    if (known === undefined) this.#subscribeFirst(subscription, request);
    else this.#changeNames(subscription, request);
    this.pump();
    return null;
  }

  /** What changed in the cache. When the hold changed too, orphans are looked at again. */
  changed(changes: readonly CacheChange[], holdChanged: boolean): void {
    for (const { typeUrl, name, before } of changes) {
      const subscription = this.#subscriptions.get(typeUrl);
      if (subscription === undefined || !(subscription.wildcard || subscription.names.has(name))) continue;
      const rejected = subscription.rejected.get(name);
      // Without an exception the agent has, or is being sent, what the cache had before.
      const held = rejected !== undefined ? rejected.held : (subscription.orphans.get(name) ?? before);
      if (!subscription.pending.has(name)) subscription.pending.set(name, held);
      subscription.rejected.delete(name);
      subscription.orphans.delete(name);
    }
    for (const subscription of holdChanged ? this.#subscriptions.values() : []) {
      for (const [name, held] of subscription.orphans) subscription.pending.set(name, held);
      subscription.orphans.clear();
    }
    this.pump();
  }

  /** Sends the next response, if none is in flight and there is one to send. */
  pump(): void {
    if (this.#inFlight !== null || this.#subscriptions.size === 0) return;
    const others = [...this.#subscriptions.keys()].filter((typeUrl) => !TYPE_URLS.includes(typeUrl));
    const order = [...TYPE_URLS, ...others];
    for (const typeUrl of order) if (this.#sendNext(typeUrl, 'upserts')) return;
    for (const typeUrl of order.reverse()) if (this.#sendNext(typeUrl, 'removals')) return;
    this.settledVersion = this.#cache.version;
  }

  #subscribeFirst(subscription: Subscription, request: DeltaRequest): void {
    // A first request that names nothing subscribes to everything, as does the name `*`.
    subscription.wildcard = request.subscribe.length === 0 || request.subscribe.includes('*');
    for (const name of request.subscribe) if (name !== '*') subscription.names.add(name);
    const resources = this.#cache.resources(request.typeUrl);
    const wanted = subscription.wildcard ? resources.keys() : subscription.names;
    for (const name of wanted) {
      const held = Object.hasOwn(request.initialVersions, name) ? (request.initialVersions[name] ?? null) : null;
      const current = resources.get(name);
      if (current === undefined) subscription.pending.set(name, held ?? '');
      else if (current.version !== held) subscription.pending.set(name, held);
    }
    for (const [name, held] of Object.entries(request.initialVersions)) {
      if (subscription.wildcard && !resources.has(name)) subscription.pending.set(name, held);
    }
  }

  #changeNames(subscription: Subscription, request: DeltaRequest): void {
    for (const name of request.unsubscribe) {
      if (name === '*') subscription.wildcard = false;
      else subscription.names.delete(name);
      if (!subscription.wildcard) subscription.pending.delete(name);
    }
    for (const name of request.subscribe) {
      if (name === '*') {
        subscription.wildcard = true;
        for (const each of this.#cache.resources(request.typeUrl).keys()) {
          if (!subscription.names.has(each)) subscription.pending.set(each, null);
        }
        continue;
      }
      subscription.names.add(name);
      // What is asked for by name is sent even if the agent seems to have it: it may have dropped it (xDS protocol).
      subscription.pending.set(name, this.#cache.resources(request.typeUrl).has(name) ? null : '');
    }
  }

  #answer(inFlight: InFlight, nack: Nack | null): void {
    this.#inFlight = null;
    const subscription = this.#subscriptions.get(inFlight.typeUrl);
    if (nack === null || subscription === undefined) return;
    const named = new Map(nack.rejections.map((rejection) => [rejection.name, rejection.error]));
    const anyNamed = [...inFlight.items.keys()].some((name) => named.has(name));
    for (const [name, { held }] of inFlight.items) {
      const error = anyNamed ? named.get(name) : nack.message;
      if (error === undefined || subscription.pending.has(name)) {
        subscription.pending.set(name, held);
        continue;
      }
      const { typeUrl, version } = inFlight;
      subscription.rejected.set(name, { typeUrl, name, error, version, held });
    }
  }

  #sendNext(typeUrl: string, what: 'upserts' | 'removals'): boolean {
    const subscription = this.#subscriptions.get(typeUrl);
    if (subscription === undefined) return false;
    const items = new Map<string, { held: string | null; sent: string | null }>();
    const resources = what === 'upserts' ? this.#takeUpserts(typeUrl, subscription, items) : [];
    const removed = what === 'removals' ? this.#takeRemovals(typeUrl, subscription, items) : [];
    const firstAnswer = what === 'upserts' && !subscription.answered;
    if (items.size === 0 && !firstAnswer) return false;
    subscription.answered = true;
    this.#nonces += 1;
    const nonce = String(this.#nonces);
    const version = this.#cache.version;
    this.#inFlight = { typeUrl, nonce, version, items };
    this.#send({
      systemVersion: String(version),
      typeUrl,
      nonce,
      resources,
      removed,
      controlPlane: this.#controlPlane,
    });
    return true;
  }

  #takeUpserts(
    typeUrl: string,
    subscription: Subscription,
    items: Map<string, { held: string | null; sent: string | null }>,
  ): Uint8Array[] {
    const taken: Uint8Array[] = [];
    const resources = this.#cache.resources(typeUrl);
    let room: number = limits.responseBytesMax;
    for (const [name, held] of subscription.pending) {
      const current = resources.get(name);
      if (current === undefined) continue;
      if (current.version !== held && current.encoded.length > room && taken.length > 0) break;
      subscription.pending.delete(name);
      if (current.version === held) continue;
      room -= current.encoded.length;
      items.set(name, { held, sent: current.version });
      taken.push(current.encoded);
    }
    return taken;
  }

  #takeRemovals(
    typeUrl: string,
    subscription: Subscription,
    items: Map<string, { held: string | null; sent: string | null }>,
  ): string[] {
    const removed: string[] = [];
    const resources = this.#cache.resources(typeUrl);
    for (const [name, held] of subscription.pending) {
      if (resources.has(name)) continue;
      subscription.pending.delete(name);
      if (held === null) continue;
      if (held !== '' && this.#cache.holds(typeUrl, name)) {
        subscription.orphans.set(name, held);
        continue;
      }
      items.set(name, { held, sent: null });
      removed.push(name);
    }
    return removed;
  }
}

function newSubscription(): Subscription {
  return {
    wildcard: false,
    names: new Set(),
    pending: new Map(),
    rejected: new Map(),
    orphans: new Map(),
    answered: false,
  };
}
