/**
 * Finds the policies that apply to a workload without looking at those that do not: by namespace (or the whole mesh), then by one
 * selector label, or by target Service. Istio scope rules: root namespace = mesh, else namespace; `selector` or `targetRefs`
 * narrow it. What they mean together for the workload is compiled on first use and kept until another set of them applies;
 * workloads that the same policies apply to share it (shared-sets.ts).
 *
 * The last changes are kept, so that a workload that was asked for before them only looks at those, not at all policies again.
 *
 * One index per kind: policy-index.ts (AuthorizationPolicy), peer-authentication.ts, request-authentication.ts, network-policy.ts.
 */
import type { NamespacedName, Workload } from './model.ts';
import { lowerBound } from './ordered.ts';
import { sameMember, type SharedSet, SharedSets } from './shared-sets.ts';

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

/** One policy that has come to apply to a workload, or has ceased to. */
export interface ScopedChange<C> {
  readonly scoped: Scoped<C>;
  readonly added: boolean;
}

/** How an index treats its kind of policy. `P`: the resource, `C`: one compiled, `V`: what those of a workload mean together. */
export interface PolicyKind<P, C, V> {
  scopeOf(policy: P): PolicyScope;
  compile(policy: P): C;
  /** Beyond the scope; null: nothing else decides. */
  readonly selects: ((policy: P, workload: Workload) => boolean) | null;
  combine(policies: readonly Scoped<C>[]): V;
  /** Makes what combine() gave into what it would give after the changes, for less; null: it costs nothing to combine anew. */
  readonly revise: ((value: V, changes: readonly ScopedChange<C>[]) => void) | null;
}

/** Changes that are kept: what has not been asked for since is looked up, and combined, anew. More are no cheaper one by one. */
const CHANGES_MAX = 1_024;

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

/** An entry that was added or removed; the version says when. */
interface Change<P, C> {
  readonly entry: Entry<P, C>;
  readonly added: boolean;
}

/** What a workload was told last. */
interface Told<P, C, V> {
  /** As it was when the policies were looked up. */
  workload: Workload;
  version: number;
  shared: SetOf<P, C, V>;
}

type SetOf<P, C, V> = SharedSet<Entry<P, C>, V, Told<P, C, V>>;

export class ScopedPolicyIndex<P, C, V> {
  /** Bucket → policies by name; see `bucketsOf`. */
  readonly #buckets = new Map<string, Map<NamespacedName, Entry<P, C>>>();
  readonly #kind: PolicyKind<P, C, V>;
  readonly #byWorkload = new Map<string, Told<P, C, V>>();
  readonly #sets = new SharedSets<Entry<P, C>, V, Told<P, C, V>>();
  /** The last ones; each made the version grow by one. */
  readonly #changes: Change<P, C>[] = [];
  #version = 0;
  #serials = 0;

  constructor(kind: PolicyKind<P, C, V>) {
    this.#kind = kind;
  }

  /** Grows whenever an answer of for() may have changed. */
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
    this.#changed({ entry, added: true });
  }

  /** Removes exactly what `add` put there. */
  remove(policy: P): void {
    const scope = this.#kind.scopeOf(policy);
    let entry: Entry<P, C> | undefined;
    for (const bucket of bucketsOf(scope)) {
      const members = this.#buckets.get(bucket);
      entry ??= members?.get(`${scope.namespace}/${scope.name}`);
      members?.delete(`${scope.namespace}/${scope.name}`);
      if (members?.size === 0) this.#buckets.delete(bucket);
    }
    if (entry !== undefined) this.#changed({ entry, added: false });
  }

  /**
   * What applies to a workload of the mesh; the same object until other policies do (where the kind can revise it, until forget(), but
   * then what was derived from it no longer holds). Remembered by uid; a Workload that is another object than last time is looked up again.
   */
  for(workload: Workload): V {
    const told = this.#byWorkload.get(workload.uid);
    if (told !== undefined && told.version === this.#version && told.workload === workload)
      return told.shared.value as V;
    const shared = told === undefined ? this.#first(workload) : this.#next(told, workload);
    const user = told ?? { workload, version: this.#version, shared };
    if (user.shared !== shared) this.#sets.release(user.shared, user);
    shared.users.add(user);
    user.shared = shared;
    user.workload = workload;
    user.version = this.#version;
    this.#byWorkload.set(workload.uid, user);
    return shared.value as V;
  }

  /** What would apply to a workload that is not, or no longer, of the mesh. Nothing is remembered. */
  once(workload: Workload): V {
    const applied = this.#applied(workload);
    return this.#sets.find(applied, this.#version)?.value ?? this.#combine(applied);
  }

  /** The workload has left the mesh. */
  forget(uid: string): void {
    const told = this.#byWorkload.get(uid);
    if (told === undefined) return;
    this.#byWorkload.delete(uid);
    this.#sets.release(told.shared, told);
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
    this.#changes.length = 0;
    this.#sets.clear();
    this.#version++;
  }

  #changed(change: Change<P, C>): void {
    this.#changes.push(change);
    if (this.#changes.length > CHANGES_MAX * 2) this.#changes.splice(0, CHANGES_MAX);
    this.#version++;
  }

  /** What applies to a workload that was told nothing yet. */
  #first(workload: Workload): SetOf<P, C, V> {
    const applied = this.#applied(workload);
    return this.#sets.find(applied, this.#version) ?? this.#sets.add(applied, this.#combine(applied), this.#version);
  }

  /** What applies to a workload after what it was told last. */
  #next(told: Told<P, C, V>, workload: Workload): SetOf<P, C, V> {
    const { shared } = told;
    const changes = told.workload === workload ? this.#changesSince(told.version, workload) : null;
    if (changes?.length === 0 && this.#sets.keep(shared, this.#version)) return shared;
    const applied = changes === null ? this.#applied(workload) : after(shared.members, changes);
    const known = this.#sets.find(applied, this.#version);
    if (known !== null) return known;
    return this.#sets.add(applied, this.#revised(told, applied) ?? this.#combine(applied), this.#version);
  }

  /** The value that the workload was told of made into that of what applies now; null: others need it, or it is no cheaper. */
  #revised(told: Told<P, C, V>, applied: readonly Applied<P, C>[]): V | null {
    const { revise } = this.#kind;
    const { shared } = told;
    if (revise === null) return null;
    for (const user of shared.users) if (user !== told && this.#stillHas(user)) return null;
    const changes = differences(shared.members, applied);
    if (changes.length > CHANGES_MAX) return null;
    const value = this.#sets.take(shared, this.#version);
    if (value === null) return null;
    revise(
      value,
      changes.map(({ member, added }) => ({ scoped: this.#scoped(member), added })),
    );
    return value;
  }

  #stillHas({ version, workload }: Told<P, C, V>): boolean {
    return this.#changesSince(version, workload)?.length === 0;
  }

  /** Those that concern the workload; null: that is too long ago. */
  #changesSince(version: number, workload: Workload): AppliedChange<P, C>[] | null {
    const count = this.#version - version;
    if (count > CHANGES_MAX || count > this.#changes.length) return null;
    const concerning: AppliedChange<P, C>[] = [];
    for (let i = this.#changes.length - count; i < this.#changes.length; i++) {
      const { entry, added } = this.#changes[i] as Change<P, C>;
      const member = this.#asApplied(entry, workload);
      if (member !== null) concerning.push({ member, added });
    }
    return concerning;
  }

  #combine(applied: readonly Applied<P, C>[]): V {
    return this.#kind.combine(applied.map((member) => this.#scoped(member)));
  }

  #scoped({ policy, ports }: Applied<P, C>): Scoped<C> {
    return { policy: this.#compiled(policy), ports };
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
    const targeting = new Set<Entry<P, C>>();
    for (const service of Object.keys(workload.services)) {
      for (const entry of this.#buckets.get(serviceBucket(service))?.values() ?? []) targeting.add(entry);
    }
    for (const entry of targeting) found.push(this.#asApplied(entry, workload) as Applied<P, C>);
    return found.sort(byName);
  }

  #collect(bucket: string, workload: Workload, found: Applied<P, C>[]): void {
    for (const entry of this.#buckets.get(bucket)?.values() ?? []) {
      const applied = this.#asApplied(entry, workload);
      if (applied !== null) found.push(applied);
    }
  }

  /** null: it does not apply. One that names several Services of the workload applies on the target ports of all of them. */
  #asApplied(entry: Entry<P, C>, workload: Workload): Applied<P, C> | null {
    const { meshWide, namespace, selector, targetServices } = entry.scope;
    if (targetServices.length > 0) {
      const services = targetServices.filter((service) => Object.hasOwn(workload.services, service));
      if (services.length === 0) return null;
      const ports = services.flatMap((service) =>
        (workload.services[service] ?? []).map(({ targetPort }) => targetPort),
      );
      return { policy: entry, ports: [...new Set(ports)].sort((a, b) => a - b) };
    }
    if (!meshWide && namespace !== workload.namespace) return null;
    if (!labelsMatch(selector, workload.labels)) return null;
    const { selects } = this.#kind;
    return selects === null || selects(entry.source, workload) ? { policy: entry, ports: null } : null;
  }
}

/** A policy as it applies to some workload. */
type Applied<P, C> = Scoped<Entry<P, C>>;

/** One that concerns the workload that is asked for. */
interface AppliedChange<P, C> {
  readonly member: Applied<P, C>;
  readonly added: boolean;
}

function byName<P, C>({ policy: left }: Applied<P, C>, { policy: right }: Applied<P, C>): number {
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

/** What applies once the changes are made, in their order. */
function after<P, C>(members: readonly Applied<P, C>[], changes: readonly AppliedChange<P, C>[]): Applied<P, C>[] {
  const next = [...members];
  for (const { member, added } of changes) {
    const at = lowerBound(next, (other) => other.policy.name < member.policy.name);
    next.splice(at, added ? 0 : 1, ...(added ? [member] : []));
  }
  return next;
}

/** What makes one list of policies, sorted by name, into another: of the same name, first the removal. */
function differences<P, C>(from: readonly Applied<P, C>[], to: readonly Applied<P, C>[]): AppliedChange<P, C>[] {
  const changes: AppliedChange<P, C>[] = [];
  let i = 0;
  let j = 0;
  while (i < from.length || j < to.length) {
    const left = from[i];
    const right = to[j];
    if (left !== undefined && right !== undefined && sameMember(left, right)) {
      i++;
      j++;
    } else if (right === undefined || (left !== undefined && left.policy.name <= right.policy.name)) {
      changes.push({ member: left as Applied<P, C>, added: false });
      i++;
    } else {
      changes.push({ member: right, added: true });
      j++;
    }
  }
  return changes;
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
