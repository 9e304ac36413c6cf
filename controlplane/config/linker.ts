/**
 * Accepted objects → mesh resources: links each object with the others it names (link/). Works on what changed and gives what a
 * translation of everything would give (a property the tests hold it to): an object is linked again when it, or any object of a
 * kind it looks up, has changed, and only what came out differently is passed on.
 */
import { keyOf, type MeshResource, type ResourceKey } from '../../mesh/model.ts';
import { sameJson } from '../../mesh/validate.ts';
import type { Finding } from '../finding.ts';
import { ObjectView } from './link/object-view.ts';
import { dependants, linkObject } from './link/registry.ts';
import type { Linked, LinkView } from './link/view.ts';
import { WorkloadLinks } from './link/workloads.ts';
import type { ObjectChange } from './object-store.ts';
import { type AcceptedObject, objectKey, type ObjectKey, type ObjectKind } from './objects.ts';

/** What a round of linking changed. */
export interface LinkResult {
  /** May hold resources that came out as they were. */
  readonly upserts: readonly MeshResource[];
  readonly removals: readonly ResourceKey[];
}

const NOTHING: Linked = { resources: [], findings: [] };

export class MeshLinker {
  readonly #view: ObjectView;
  readonly #workloads: WorkloadLinks;
  readonly #linked = new Map<ObjectKey, Linked>();

  /** `rootNamespace`: whose policies hold for the whole mesh. */
  constructor(rootNamespace: string) {
    this.#view = new ObjectView(rootNamespace);
    this.#workloads = new WorkloadLinks(this.#view);
  }

  /** Takes changed objects in and links again whatever depends on them. */
  update(changes: readonly ObjectChange[]): LinkResult {
    const changedKinds = new Set<ObjectKind>();
    for (const { before, after } of changes) {
      for (const kind of this.#view.replace(before, after)) changedKinds.add(kind);
      this.#workloads.changed(before, after);
    }
    const upserts: MeshResource[] = [];
    const removals: ResourceKey[] = [];
    const dirty = new Map<ObjectKey, AcceptedObject | null>(changes.map(({ key, after }) => [key, after]));
    for (const kind of dependants(changedKinds)) {
      for (const object of this.#view.of(kind)) {
        dirty.set(objectKey(object.kind, object.namespace, object.name), object);
      }
    }
    for (const [key, object] of dirty) this.#link(key, object, upserts, removals);
    this.#workloads.link(upserts, removals);
    return { upserts, removals };
  }

  findings(): Finding[] {
    const findings = [...this.#workloads.findings()];
    for (const linked of this.#linked.values()) findings.push(...linked.findings);
    return findings;
  }

  /** Every object as it is now, for questions such as the status of routes. */
  get view(): LinkView {
    return this.#view;
  }

  #link(key: ObjectKey, object: AcceptedObject | null, upserts: MeshResource[], removals: ResourceKey[]): void {
    const before = this.#linked.get(key) ?? NOTHING;
    const after = object === null ? NOTHING : linkObject(object, this.#view);
    if (after.resources.length === 0 && after.findings.length === 0) this.#linked.delete(key);
    else this.#linked.set(key, after);
    const old = new Map(before.resources.map((resource) => [textOf(keyOf(resource)), resource]));
    for (const resource of after.resources) {
      const text = textOf(keyOf(resource));
      if (!sameJson(old.get(text), resource)) upserts.push(resource);
      old.delete(text);
    }
    for (const resource of old.values()) removals.push(keyOf(resource));
  }
}

function textOf({ kind, key }: ResourceKey): string {
  return `${kind} ${key}`;
}
