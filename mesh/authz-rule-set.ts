/**
 * The rules of a workload, apart by whether they go by ports, so that one port's are found without looking at those of other ports;
 * kept up to date policy by policy.
 */
import { type PlacedRule, RuleOrder } from './authz-order.ts';
import type { CompiledPolicy } from './authz-rule.ts';
import { SourceIndex } from './authz-source-index.ts';
import type { Scoped } from './scope-index.ts';

/** What no port of any rule or scope is called. */
export const UNNAMED_PORT = -1;

/** Rules that may match on some ports, indexed. */
export class RuleSet {
  readonly deny = new SourceIndex(true);
  readonly allow = new SourceIndex(false);
  readonly #port: number;
  /** How many rules there are, and how many of what kind. */
  #all = 0;
  #denying = 0;
  #askingHttp = 0;
  #askingServerName = 0;
  #askingIp = 0;

  constructor(port: number, rules: readonly PlacedRule[]) {
    this.#port = port;
    for (const placed of rules) this.add(placed);
  }

  get isEmpty(): boolean {
    return this.#all === 0;
  }

  get hasDeny(): boolean {
    return this.#denying > 0;
  }

  get needsHttp(): boolean {
    return this.#askingHttp > 0;
  }

  get needsServerName(): boolean {
    return this.#askingServerName > 0;
  }

  get needsIp(): boolean {
    return this.#askingIp > 0;
  }

  add(placed: PlacedRule): void {
    (placed.denies ? this.deny : this.allow).add(placed, this.#port);
    this.#count(placed, 1);
  }

  /** A rule that is there. */
  remove(placed: PlacedRule): void {
    (placed.denies ? this.deny : this.allow).remove(placed, this.#port);
    this.#count(placed, -1);
  }

  #count({ rule, denies }: PlacedRule, by: 1 | -1): void {
    this.#all += by;
    if (denies) this.#denying += by;
    if (denies ? rule.usesHttpOn(this.#port) : rule.usesHttp) this.#askingHttp += by;
    if (rule.usesServerName) this.#askingServerName += by;
    if (rule.usesAddress) this.#askingIp += by;
  }
}

/** All rules of a workload that are enforced. */
export class PortRules {
  /** Those that go by no port: shared by all. */
  readonly general: RuleSet;
  readonly #order: RuleOrder;
  readonly #byPort = new Map<number, Set<PlacedRule>>();
  /** Those that exclude ports. */
  readonly #excluding = new Set<PlacedRule>();
  /** What goes by the port, of the ports that somebody asked for. */
  readonly #special = new Map<number, RuleSet>();

  constructor(policies: readonly Scoped<CompiledPolicy>[]) {
    this.#order = new RuleOrder(policies);
    const rules = this.#order.rules();
    for (const placed of rules) for (const list of this.#listsOf(placed)) list.add(placed);
    this.general = new RuleSet(
      UNNAMED_PORT,
      rules.filter((placed) => isGeneral(placed)),
    );
  }

  add(scoped: Scoped<CompiledPolicy>): void {
    for (const placed of this.#order.add(scoped)) {
      if (isGeneral(placed)) this.general.add(placed);
      for (const list of this.#listsOf(placed)) list.add(placed);
      for (const set of this.#specialOf(placed)) set.add(placed);
    }
  }

  /** A policy that is there. */
  remove(scoped: Scoped<CompiledPolicy>): void {
    for (const placed of this.#order.remove(scoped)) {
      if (isGeneral(placed)) this.general.remove(placed);
      for (const list of this.#listsOf(placed)) list.delete(placed);
      for (const set of this.#specialOf(placed)) set.remove(placed);
    }
    for (const port of portsOf(scoped)) if (this.#byPort.get(port)?.size === 0) this.#byPort.delete(port);
  }

  /** What goes by the port, where something that does concerns it. */
  special(port: number): RuleSet | null {
    let set = this.#special.get(port);
    if (set === undefined) {
      const candidates = [...(this.#byPort.get(port) ?? []), ...this.#excluding];
      const rules = candidates.filter(({ rule }) => rule.concernsPort(port));
      set = new RuleSet(
        port,
        rules.sort((a, b) => a.ordinal - b.ordinal),
      );
      this.#special.set(port, set);
    }
    return set.isEmpty ? null : set;
  }

  /** Nothing names the port any more. */
  forget(port: number): void {
    this.#special.delete(port);
  }

  #listsOf(placed: PlacedRule): readonly Set<PlacedRule>[] {
    if (isGeneral(placed)) return [];
    const ports = onlyPortsOf(placed);
    if (ports === null) return [this.#excluding];
    return [...new Set(ports)].map((port) => {
      const known = this.#byPort.get(port) ?? new Set();
      this.#byPort.set(port, known);
      return known;
    });
  }

  /** The sets that a rule is, or belongs, in. */
  #specialOf(placed: PlacedRule): readonly RuleSet[] {
    if (isGeneral(placed)) return [];
    const ports = onlyPortsOf(placed);
    const sets: RuleSet[] = [];
    for (const port of ports === null ? this.#special.keys() : new Set(ports)) {
      const set = this.#special.get(port);
      if (set !== undefined && placed.rule.concernsPort(port)) sets.push(set);
    }
    return sets;
  }
}

function onlyPortsOf({ rule, scope }: PlacedRule): readonly number[] | null {
  return scope ?? rule.onlyPorts;
}

function isGeneral(placed: PlacedRule): boolean {
  return onlyPortsOf(placed) === null && placed.rule.namedPorts.length === 0;
}

/** Every port that the policy's scope or some rule of it names; a port may come several times. */
export function portsOf({ policy, ports }: Scoped<CompiledPolicy>): readonly number[] {
  return ports === null ? policy.namedPorts : [...ports, ...policy.namedPorts];
}
