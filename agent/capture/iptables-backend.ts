/**
 * Which iptables writes here? Two kernel interfaces exist (nf_tables and the legacy one), two sets of programs speak them, and
 * an image may have only one (Istio issues 55636, 58507). A backend works in a namespace when its save program can read it.
 */
import type { NetworkNamespace } from '../engine/netns.ts';
import { type CommandOutcome, describeOutcome, runCommand } from './command.ts';
import type { Family } from './plan.ts';
import { failure, type Result, success } from './result.ts';

/** A set of programs: `NAME-save`, `NAME-restore`, and their ip6tables twins. */
export interface Backend {
  readonly name: string;
  readonly program: Readonly<Record<Family, string>>;
}

/** In order of preference. The plain names last: they are whichever of the two the distribution chose. */
export const BACKENDS: readonly Backend[] = [
  { name: 'iptables-nft', program: { 4: 'iptables-nft', 6: 'ip6tables-nft' } },
  { name: 'iptables-legacy', program: { 4: 'iptables-legacy', 6: 'ip6tables-legacy' } },
  { name: 'iptables', program: { 4: 'iptables', 6: 'ip6tables' } },
];

/** iptables-save of one family; the value is its text. */
export async function saveRules(
  netns: NetworkNamespace | null,
  backend: Backend,
  family: Family,
): Promise<Result<string>> {
  const outcome = await runCommand(netns, `${backend.program[family]}-save`, [], '');
  return outcome.status === 0 ? success(outcome.stdout) : rulesFailed(outcome, netns);
}

/** iptables-restore of one family, without flushing what others have; waits for the lock of the legacy interface. */
export async function restoreRules(
  netns: NetworkNamespace | null,
  backend: Backend,
  family: Family,
  text: string,
): Promise<Result<void>> {
  const outcome = await runCommand(netns, `${backend.program[family]}-restore`, ['--noflush', '-w', '4'], text);
  return outcome.status === 0 ? success(undefined) : rulesFailed(outcome, netns);
}

function rulesFailed(outcome: CommandOutcome, netns: NetworkNamespace | null): Result<never> {
  const where = netns === null ? 'own network namespace' : `network namespace ${netns.path}`;
  return failure('RULES_FAILED', `${where}: ${describeOutcome(outcome)}`, true);
}
