/**
 * The order in which the rules of a workload are evaluated, as numbers that still hold when a policy comes between two others: every
 * policy has room around it, and only when there is none left between two neighbours are all numbers given anew.
 *
 *   CUSTOM by name │ DENY by name │ ALLOW by name          ordinal of a rule = that of its policy's first rule + its index
 */
import type { CompiledPolicy, CompiledRule } from './authz-rule.ts';
import { lowerBound } from './ordered.ts';
import type { Scoped } from './scope-index.ts';

/** One rule at its place. */
export interface PlacedRule {
  readonly rule: CompiledRule;
  /** Of a policy that denies when it matches: these are asked before those that allow. */
  readonly denies: boolean;
  /** Ports of the policy's scope; null: all. */
  readonly scope: readonly number[] | null;
  /** Grows along the order. Numbers are given anew at times, which changes nothing between two rules. */
  ordinal: number;
}

/** What stands at the place of a rule. */
interface InOrder {
  readonly placed: PlacedRule;
}

/** A policy that has rules. */
interface PlacedPolicy {
  readonly policy: CompiledPolicy;
  readonly rules: readonly PlacedRule[];
}

/** Ordinals are whole numbers below this, which doubles hold exactly. */
const ORDINAL_END = 2 ** 53;

const CLASSES = { CUSTOM: 0, DENY: 1, ALLOW: 2, AUDIT: 3 } as const;

export class RuleOrder {
  readonly #policies: PlacedPolicy[];

  constructor(policies: readonly Scoped<CompiledPolicy>[]) {
    const withRules = policies.filter(({ policy }) => policy.rules.length > 0);
    this.#policies = withRules.map(placedPolicy).sort((a, b) => compare(a.policy, b.policy));
    this.#number();
  }

  /** All rules, in order. */
  rules(): readonly PlacedRule[] {
    return this.#policies.flatMap(({ rules }) => rules);
  }

  /** Gives a policy its place; its rules, in order. */
  add(scoped: Scoped<CompiledPolicy>): readonly PlacedRule[] {
    const placed = placedPolicy(scoped);
    const { policy, rules } = placed;
    if (rules.length === 0) return rules;
    const at = this.#position(policy);
    const before = this.#policies[at - 1]?.rules;
    const start = before === undefined ? 0 : (before[before.length - 1] as PlacedRule).ordinal + 1;
    const room = (this.#policies[at]?.rules[0]?.ordinal ?? ORDINAL_END) - start;
    this.#policies.splice(at, 0, placed);
    if (room < rules.length) this.#number();
    else numberFrom(rules, start + Math.floor((room - rules.length) / 2));
    return rules;
  }

  /** Takes a policy out; the rules that it had. */
  remove({ policy }: Scoped<CompiledPolicy>): readonly PlacedRule[] {
    if (policy.rules.length === 0) return [];
    const at = this.#position(policy);
    const placed = this.#policies[at];
    if (placed?.policy !== policy) throw new Error(`${policy.name} has no place among the policies of the workload`);
    this.#policies.splice(at, 1);
    return placed.rules;
  }

  /** The first place that is not before the policy. */
  #position(policy: CompiledPolicy): number {
    return lowerBound(this.#policies, (placed) => compare(placed.policy, policy) < 0);
  }

  #number(): void {
    const step = Math.floor(ORDINAL_END / (this.#policies.length + 1));
    let start = step;
    for (const { rules } of this.#policies) {
      numberFrom(rules, start);
      start += step;
    }
  }
}

function placedPolicy({ policy, ports }: Scoped<CompiledPolicy>): PlacedPolicy {
  const denies = policy.source.action !== 'ALLOW';
  return { policy, rules: policy.rules.map((rule) => ({ rule, denies, scope: ports, ordinal: 0 })) };
}

function numberFrom(rules: readonly PlacedRule[], start: number): void {
  for (let i = 0; i < rules.length; i++) (rules[i] as PlacedRule).ordinal = start + i;
}

function compare(left: CompiledPolicy, right: CompiledPolicy): number {
  const classes = CLASSES[left.source.action] - CLASSES[right.source.action];
  if (classes !== 0) return classes;
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}

/** Puts an item at its place in a list that is in order, behind others of the same rule. False: it is there already. */
export function insertInOrder<T extends InOrder>(list: T[], item: T): boolean {
  const { ordinal } = item.placed;
  const last = list[list.length - 1];
  if (last === undefined || last.placed.ordinal < ordinal) {
    list.push(item);
    return true;
  }
  const end = lowerBound(list, ({ placed }) => placed.ordinal <= ordinal);
  for (let i = end - 1; i >= 0 && list[i]?.placed.ordinal === ordinal; i--) if (list[i] === item) return false;
  list.splice(end, 0, item);
  return true;
}

/** False: it is not in the list. */
export function removeInOrder<T extends InOrder>(list: T[], item: T): boolean {
  for (let i = firstOf(list, item.placed); list[i]?.placed === item.placed; i++) {
    if (list[i] !== item) continue;
    list.splice(i, 1);
    return true;
  }
  return false;
}

/** What a list in order has of a rule. */
export function itemsOf<T extends InOrder>(list: readonly T[], placed: PlacedRule): readonly T[] {
  const start = firstOf(list, placed);
  let end = start;
  while (list[end]?.placed === placed) end++;
  return list.slice(start, end);
}

function firstOf(list: readonly InOrder[], { ordinal }: PlacedRule): number {
  return lowerBound(list, ({ placed }) => placed.ordinal < ordinal);
}
