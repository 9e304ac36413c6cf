/** Resources of one kind by key, in the order in which they first came. */
import { keyOf, type MeshResource, type NamespacedName } from './model.ts';
import type { ScopedPolicyIndex } from './scope-index.ts';
import { sameJson } from './validate.ts';

/** Resources of one kind, each an object that is never changed. */
export class ResourceStore<R extends MeshResource> {
  readonly #byKey = new Map<NamespacedName, R>();

  get(key: NamespacedName): R | null {
    return this.#byKey.get(key) ?? null;
  }

  list(): readonly R[] {
    return [...this.#byKey.values()];
  }

  /** False: it is there already, equal. */
  upsert(resource: R): boolean {
    const { key } = keyOf(resource);
    if (sameJson(this.#byKey.get(key), resource)) return false;
    this.#byKey.set(key, resource);
    return true;
  }

  /** False: there was none. */
  remove(key: NamespacedName): boolean {
    return this.#byKey.delete(key);
  }
}

/** Policies of one kind, kept in the index that finds them by workload too. */
export class PolicyStore<P extends MeshResource> {
  readonly index: Pick<ScopedPolicyIndex<P, unknown, unknown>, 'add' | 'remove' | 'forget'>;
  readonly #resources = new ResourceStore<P>();

  constructor(index: PolicyStore<P>['index']) {
    this.index = index;
  }

  list(): readonly P[] {
    return this.#resources.list();
  }

  /** As ResourceStore.upsert. */
  upsert(policy: P): boolean {
    const previous = this.#resources.get(keyOf(policy).key);
    if (!this.#resources.upsert(policy)) return false;
    if (previous !== null) this.index.remove(previous);
    this.index.add(policy);
    return true;
  }

  /** As ResourceStore.remove. */
  remove(key: NamespacedName): boolean {
    const previous = this.#resources.get(key);
    if (previous === null) return false;
    this.#resources.remove(key);
    this.index.remove(previous);
    return true;
  }
}
