/**
 * What agents should have: every mesh resource, encoded once, with the hash of its content as its version. All streams
 * send these same bytes.
 */
import { createHash } from 'node:crypto';
import { keyOf, type MeshResource, type ResourceKey } from '../../mesh/model.ts';
import { encodeDeltaResource } from '../../mesh/wire/discovery.ts';
import { encodeResource, RESOURCE_BYTES_MAX, typeUrlOf, wireNameOf } from '../../mesh/wire/resource.ts';
import type { LinkResult } from '../config/linker.ts';

export interface CachedResource {
  readonly key: ResourceKey;
  readonly resource: MeshResource;
  /** Hash of the payload: the same content has the same version, also after a restart of the controller. */
  readonly version: string;
  /** An encoded envoy.service.discovery.v3.Resource. */
  readonly encoded: Uint8Array;
}

/** A resource that is another than before, in terms of the wire. */
export interface CacheChange {
  readonly typeUrl: string;
  readonly name: string;
  readonly before: string | null;
}

/** Resources that agents may keep although the cache has no content for them (see ObjectStore.unresolved). */
export interface Hold {
  readonly names: ReadonlySet<string>;
  /** Every orphan but workloads: some file has never been understood. */
  readonly all: boolean;
}

/** `holdChanged`: what may be removed is not what it was. */
export type CacheListener = (changes: readonly CacheChange[], holdChanged: boolean) => void;

const NOTHING_HELD: Hold = { names: new Set(), all: false };
const NONE: ReadonlyMap<string, CachedResource> = new Map();

export class ResourceCache {
  readonly #types = new Map<string, Map<string, CachedResource>>();
  readonly #listeners = new Set<CacheListener>();
  #version: number;
  #hold: Hold = NOTHING_HELD;

  /** `firstVersion`: larger than any version of an earlier process, so that versions never go back. */
  constructor(firstVersion: number) {
    this.#version = firstVersion;
  }

  /** The configuration version: grows by one with every publication that changed something. */
  get version(): number {
    return this.#version;
  }

  resources(typeUrl: string): ReadonlyMap<string, CachedResource> {
    return this.#types.get(typeUrl) ?? NONE;
  }

  all(): CachedResource[] {
    return [...this.#types.values()].flatMap((resources) => [...resources.values()]);
  }

  /** True when an agent that has this resource must not be told to drop it yet. */
  holds(typeUrl: string, name: string): boolean {
    const isWorkload = !name.includes('/');
    return (this.#hold.all && !isWorkload) || this.#hold.names.has(`${typeUrl} ${name}`);
  }

  /** Called after every publication that changed something. */
  onChange(listener: CacheListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes linked resources in; returns those too large to be sent, whose earlier content stays. */
  publish(link: LinkResult, hold: Hold = NOTHING_HELD): ResourceKey[] {
    const changes: CacheChange[] = [];
    const tooLarge: ResourceKey[] = [];
    for (const resource of link.upserts) {
      const key = keyOf(resource);
      const value = encodeResource(resource);
      if (value.length > RESOURCE_BYTES_MAX) tooLarge.push(key);
      else this.#put(resource, key, value, changes);
    }
    for (const key of link.removals) {
      const [typeUrl, name] = [typeUrlOf(key.kind), wireNameOf(key)];
      const before = this.#types.get(typeUrl)?.get(name);
      if (before === undefined) continue;
      this.#types.get(typeUrl)?.delete(name);
      changes.push({ typeUrl, name, before: before.version });
    }
    // Contents and hold change together: a removal must not slip out between the two.
    const holdChanged = !sameHold(this.#hold, hold);
    this.#hold = hold;
    if (changes.length > 0) this.#version += 1;
    if (changes.length > 0 || holdChanged) for (const listener of this.#listeners) listener(changes, holdChanged);
    return tooLarge;
  }

  #put(resource: MeshResource, key: ResourceKey, value: Uint8Array, changes: CacheChange[]): void {
    const [typeUrl, name] = [typeUrlOf(key.kind), wireNameOf(key)];
    const version = createHash('sha256').update(value).digest('hex').slice(0, 24);
    const resources = this.#types.get(typeUrl) ?? new Map<string, CachedResource>();
    this.#types.set(typeUrl, resources);
    const before = resources.get(name);
    if (before?.version === version) return;
    resources.set(name, { key, resource, version, encoded: encodeDeltaResource({ name, version, typeUrl, value }) });
    changes.push({ typeUrl, name, before: before?.version ?? null });
  }
}

/** A hold on the named resources, or (`all`) on every one but workloads. */
export function holdOn(keys: readonly ResourceKey[], all: boolean): Hold {
  return { names: new Set(keys.map((key) => `${typeUrlOf(key.kind)} ${wireNameOf(key)}`)), all };
}

function sameHold(a: Hold, b: Hold): boolean {
  return a.all === b.all && a.names.size === b.names.size && [...a.names].every((name) => b.names.has(name));
}
