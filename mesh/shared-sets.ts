/**
 * Sets of policies that apply to workloads, each with what it means together, shared by all workloads that have the same set. A set
 * that nobody has any more may give its value away, to be made into that of the set that comes after it.
 *
 *   pods a and b have {p, q}; then r comes: a asks first, takes the value and adds r to it; b asks, and finds {p, q, r}
 *   pods a and b have {p, q}; then s comes, which is a's alone: b keeps {p, q}, and {p, q, s} is made for a anew
 */
interface Member {
  readonly serial: number;
}

/** One policy of a set; `ports` null: all ports. */
interface SetMember<E> {
  readonly policy: E;
  readonly ports: readonly number[] | null;
}

export interface SharedSet<E, V, U> {
  /** Sorted by name. */
  readonly members: readonly SetMember<E>[];
  readonly fingerprint: number;
  /** null: given away. */
  value: V | null;
  /** Who was told last that it applies to them. */
  readonly users: Set<U>;
  /** The last version at which somebody was told that the set applies. */
  version: number;
}

export class SharedSets<E extends Member, V, U> {
  /** Those that have their value, by fingerprint. */
  readonly #byFingerprint = new Map<number, SharedSet<E, V, U>[]>();

  /** A set with exactly these members. */
  find(members: readonly SetMember<E>[], version: number): SharedSet<E, V, U> | null {
    const found = this.#byFingerprint.get(fingerprint(members))?.find((set) => sameMembers(set.members, members));
    if (found === undefined) return null;
    found.version = version;
    return found;
  }

  /** The set still applies to one of its users. False: it has no value to go on with. */
  keep(set: SharedSet<E, V, U>, version: number): boolean {
    if (set.value === null) return false;
    set.version = version;
    return true;
  }

  /** A set that is not there, and has no user yet. */
  add(members: readonly SetMember<E>[], value: V, version: number): SharedSet<E, V, U> {
    const set = { members, fingerprint: fingerprint(members), value, users: new Set<U>(), version };
    const others = this.#byFingerprint.get(set.fingerprint);
    if (others === undefined) this.#byFingerprint.set(set.fingerprint, [set]);
    else others.push(set);
    return set;
  }

  /** The value, which is the caller's from now on; null: it is given away, or somebody was told of it at this version. */
  take(set: SharedSet<E, V, U>, version: number): V | null {
    const { value } = set;
    if (value === null || set.version === version) return null;
    this.#delete(set);
    set.value = null;
    return value;
  }

  /** No value is good for anything any more. */
  clear(): void {
    for (const sets of this.#byFingerprint.values()) for (const set of sets) set.value = null;
    this.#byFingerprint.clear();
  }

  /** One user less. */
  release(set: SharedSet<E, V, U>, user: U): void {
    set.users.delete(user);
    if (set.users.size === 0 && set.value !== null) this.#delete(set);
  }

  #delete(set: SharedSet<E, V, U>): void {
    const rest = this.#byFingerprint.get(set.fingerprint)?.filter((other) => other !== set) ?? [];
    if (rest.length === 0) this.#byFingerprint.delete(set.fingerprint);
    else this.#byFingerprint.set(set.fingerprint, rest);
  }
}

/** The same for the same members, rarely the same for others. */
function fingerprint(members: readonly SetMember<Member>[]): number {
  let sum = members.length;
  for (const { policy, ports } of members) {
    let hash = policy.serial;
    if (ports !== null) for (const port of ports) hash = Math.imul(hash ^ port, 0x01000193);
    sum = Math.imul(sum ^ hash, 0x9e3779b1);
  }
  return sum;
}

function sameMembers(left: readonly SetMember<Member>[], right: readonly SetMember<Member>[]): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) {
    if (!sameMember(left[i] as SetMember<Member>, right[i] as SetMember<Member>)) return false;
  }
  return true;
}

/** The same policy, on the same ports. */
export function sameMember(one: SetMember<Member>, other: SetMember<Member>): boolean {
  return one.policy === other.policy && samePorts(one.ports, other.ports);
}

function samePorts(left: readonly number[] | null, right: readonly number[] | null): boolean {
  if (left === null || right === null) return left === right;
  return left.length === right.length && left.every((port, i) => port === right[i]);
}
