/**
 * Finds the policies that apply to a workload without looking at those that do not: by namespace (or the whole mesh), then by one
 * selector label, or by target Service. Istio scope rules: root namespace = mesh, else namespace; `selector` or `targetRefs`
 * narrow it. What they mean together for the workload is compiled on first use and kept until another set of them applies;
 * workloads that the same policies apply to share it.
 *
 * One index per kind: policy-index.ts (AuthorizationPolicy), peer-authentication.ts, request-authentication.ts, network-policy.ts.
 */
import type { NamespacedName, Workload } from './model.ts';

/** Where a policy applies. */
export interface PolicyScope {
  readonly namespace: string;
  readonly name: string;
  readonly meshWide: boolean;
  readonly selector: Readonly<Record<string, string>> | null;
  readonly targetServices: readonly NamespacedName[];
}

/** A compiled policy as it applies to one workload; `ports` null: all ports, else the target ports of the Services it names. */
export interface Scoped<C> {
  readonly policy: C;
  readonly ports: readonly number[] | null;
}

/** How an index treats its kind of policy. `P`: the resource, `C`: one compiled, `V`: what those of a workload mean together. */
export interface PolicyKind<P, C, V> {
  scopeOf(policy: P): PolicyScope;
  compile(policy: P): C;
  /** Beyond the scope; null: nothing else decides. */
  readonly selects: ((policy: P, workload: Workload) => boolean) | null;
  combine(policies: readonly Scoped<C>[]): V;
}

/** Bucket key of mesh-wide policies: no namespace is called that. */
const MESH = '*';

/** A policy and its compiled form, made on first use and dropped with it. */
class Entry<P, C> {
  readonly name: NamespacedName;
  readonly source: P;
  readonly scope: PolicyScope;
  /** Never given twice, so that a list of serials tells which policies they were. */
  readonly serial: number;
  compiled: C | null = null;

  constructor(source: P, scope: PolicyScope, serial: number) {
    this.name = `${scope.namespace}/${scope.name}`;
    this.source = source;
    this.scope = scope;
    this.serial = serial;
  }
}

interface Applied<P, C> {
  readonly entry: Entry<P, C>;
  readonly ports: readonly number[] | null;
}

/** What one or more workloads get. */
interface Shared<V> {
  readonly key: string;
  readonly value: V;
  users: number;
}

interface Cached<V> {
  /** As it was when the policies were looked up. */
  workload: Workload;
  version: number;
  shared: Shared<V>;
}

export class ScopedPolicyIndex<P, C, V> {
  /** Bucket → policies by name; see `bucketsOf`. */
  readonly #buckets = new Map<string, Map<NamespacedName, Entry<P, C>>>();
  readonly #kind: PolicyKind<P, C, V>;
  readonly #byWorkload = new Map<string, Cached<V>>();
  readonly #shared = new Map<string, Shared<V>>();
  #version = 0;
  #serials = 0;

  constructor(kind: PolicyKind<P, C, V>) {
    this.#kind = kind;
  }

  /** Grows by one whenever an answer of for() may have changed. */
  get version(): number {
    return this.#version;
  }

  /** Adds a valid policy that is not in the index. */
  add(policy: P): void {
    const entry = new Entry<P, C>(policy, this.#kind.scopeOf(policy), ++this.#serials);
    for (const bucket of bucketsOf(entry.scope)) {
      const members = this.#buckets.get(bucket);
      if (members === undefined) this.#buckets.set(bucket, new Map([[entry.name, entry]]));
      else members.set(entry.name, entry);
    }
    this.#version++;
  }

  /** Removes exactly what `add` put there. */
  remove(policy: P): void {
    const scope = this.#kind.scopeOf(policy);
    for (const bucket of bucketsOf(scope)) {
      const members = this.#buckets.get(bucket);
      members?.delete(`${scope.namespace}/${scope.name}`);
      if (members?.size === 0) this.#buckets.delete(bucket);
    }
    this.#version++;
  }

  /**
   * What applies to a workload of the mesh; the same object until other policies do. Remembered by uid until forget(); a
   * Workload that is another object than last time is looked up again.
   */
  for(workload: Workload): V {
    const cached = this.#byWorkload.get(workload.uid);
    if (cached !== undefined && cached.version === this.#version && cached.workload === workload) {
      return cached.shared.value;
    }
    const applied = this.#applied(workload);
    const key = keyOfApplied(applied);
    if (cached === undefined) {
      const shared = this.#take(key, applied);
      this.#byWorkload.set(workload.uid, { workload, version: this.#version, shared });
      return shared.value;
    }
    if (cached.shared.key !== key) {
      const previous = cached.shared;
      cached.shared = this.#take(key, applied);
      this.#release(previous);
    }
    cached.workload = workload;
    cached.version = this.#version;
    return cached.shared.value;
  }

  /** What would apply to a workload that is not, or no longer, of the mesh. Nothing is remembered. */
  once(workload: Workload): V {
    const applied = this.#applied(workload);
    return this.#shared.get(keyOfApplied(applied))?.value ?? this.#combine(applied);
  }

  /** The workload has left the mesh. */
  forget(uid: string): void {
    const cached = this.#byWorkload.get(uid);
    if (cached === undefined) return;
    this.#byWorkload.delete(uid);
    this.#release(cached.shared);
  }

  /** What compile() goes by has changed: all is compiled anew on next use. */
  recompile(): void {
    // An entry that names several Services stands in several buckets: its successor does too.
    const successors = new Map<Entry<P, C>, Entry<P, C>>();
    for (const members of this.#buckets.values()) {
      for (const [name, entry] of members) {
        const next = successors.get(entry) ?? new Entry<P, C>(entry.source, entry.scope, ++this.#serials);
        successors.set(entry, next);
        members.set(name, next);
      }
    }
    this.#version++;
  }

  #take(key: string, applied: readonly Applied<P, C>[]): Shared<V> {
    const shared = this.#shared.get(key) ?? { key, value: this.#combine(applied), users: 0 };
    shared.users++;
    this.#shared.set(key, shared);
    return shared;
  }

  #release(shared: Shared<V>): void {
    shared.users--;
    if (shared.users === 0) this.#shared.delete(shared.key);
  }

  #combine(applied: readonly Applied<P, C>[]): V {
    return this.#kind.combine(applied.map(({ entry, ports }) => ({ policy: this.#compiled(entry), ports })));
  }

  #compiled(entry: Entry<P, C>): C {
    entry.compiled ??= this.#kind.compile(entry.source);
    return entry.compiled;
  }

  /** The policies that apply, sorted by name so that verdicts name the same policy everywhere. */
  #applied(workload: Workload): Applied<P, C>[] {
    const found: Applied<P, C>[] = [];
    for (const scope of [MESH, workload.namespace]) {
      this.#collect(`${scope}|`, workload, found);
      for (const label of Object.keys(workload.labels)) {
        this.#collect(labelBucket(scope, label, workload.labels[label] as string), workload, found);
      }
    }
    this.#collectTargeted(workload, found);
    return found.sort(({ entry: left }, { entry: right }) =>
      left.name < right.name ? -1 : left.name > right.name ? 1 : 0,
    );
  }

  #collect(bucket: string, workload: Workload, found: Applied<P, C>[]): void {
    const { selects } = this.#kind;
    for (const entry of this.#buckets.get(bucket)?.values() ?? []) {
      if (!labelsMatch(entry.scope.selector, workload.labels)) continue;
      if (selects === null || selects(entry.source, workload)) found.push({ entry, ports: null });
    }
  }

  /** A policy that names several Services of one workload applies on the target ports of all of them. */
  #collectTargeted(workload: Workload, found: Applied<P, C>[]): void {
    const ports = new Map<Entry<P, C>, Set<number>>();
    for (const service of Object.keys(workload.services)) {
      for (const entry of this.#buckets.get(serviceBucket(service))?.values() ?? []) {
        const known = ports.get(entry) ?? new Set();
        ports.set(entry, known);
        for (const { targetPort } of workload.services[service] ?? []) known.add(targetPort);
      }
    }
    for (const [entry, known] of ports) found.push({ entry, ports: [...known].sort((a, b) => a - b) });
  }
}

/** True when every label of the selector is there with its value; null selects everything. */
export function labelsMatch(
  selector: Readonly<Record<string, string>> | null,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (selector === null) return true;
  for (const name of Object.keys(selector)) {
    if (!Object.hasOwn(labels, name) || labels[name] !== selector[name]) return false;
  }
  return true;
}

function keyOfApplied(applied: readonly { entry: { serial: number }; ports: readonly number[] | null }[]): string {
  return applied
    .map(({ entry, ports }) => (ports === null ? `${entry.serial}` : `${entry.serial}:${ports.join('.')}`))
    .join(',');
}

/** The keys under which a policy is found: one per target Service, else one by its first selector label or by its scope. */
function bucketsOf(policy: PolicyScope): string[] {
  if (policy.targetServices.length > 0) return [...new Set(policy.targetServices)].map(serviceBucket);
  const scope = policy.meshWide ? MESH : policy.namespace;
  const label = Object.keys(policy.selector ?? {}).sort()[0];
  if (policy.selector === null || label === undefined) return [`${scope}|`];
  return [labelBucket(scope, label, policy.selector[label] as string)];
}

function labelBucket(scope: string, label: string, value: string): string {
  return `${scope}|${label}=${value}`;
}

function serviceBucket(service: NamespacedName): string {
  return `service|${service}`;
}
