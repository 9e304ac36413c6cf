/**
 * Compares what iptables-save and ip show with the plan. Pure.
 *
 * Programs of different versions spell and order the parts of a rule differently (`-m tcp` or not, matches reordered), so rules
 * are compared as sets of options; within a chain their order counts, because the first match wins.
 */
import type { CapturePlan, PlannedChain } from './plan.ts';

/** One line per rule that is missing, misplaced or foreign in our chains; empty: all is as planned. */
export function missingRules(plan: CapturePlan, saved: string): readonly string[] {
  const found = parseSaved(saved);
  const lines: string[] = [];
  for (const chain of plan.chains) lines.push(...differences(chain, found));
  return lines.map((line) => `IPv${plan.family}: ${line}`);
}

function differences(chain: PlannedChain, found: SavedRules): readonly string[] {
  const where = `${chain.table} ${chain.name}`;
  const lines: string[] = [];
  const jumps = found.get(`${chain.table} ${chain.hook}`) ?? [];
  if (!jumps.includes(normaliseRule(chain.jump))) lines.push(`${chain.table} ${chain.hook}: no jump to ${chain.name}`);
  const actual = found.get(where);
  if (actual === undefined) return [...lines, `${where}: the chain is missing`];
  const expected = chain.rules.map(normaliseRule);
  for (const [index, rule] of expected.entries()) {
    if (!actual.includes(rule)) lines.push(`${where}: missing rule: ${chain.rules[index]}`);
  }
  for (const rule of actual) if (!expected.includes(rule)) lines.push(`${where}: rule that is not weir's: ${rule}`);
  if (lines.length === 0 && actual.join('\n') !== expected.join('\n'))
    lines.push(`${where}: rules are out of order or repeated`);
  return lines;
}

/** `table chain` to its rules, normalised, in order. A chain without rules is there with an empty list. */
type SavedRules = ReadonlyMap<string, readonly string[]>;

function parseSaved(saved: string): SavedRules {
  const chains = new Map<string, string[]>();
  let table = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const declared = /^:(\S+) /.exec(line)?.[1];
    if (declared !== undefined) chains.set(`${table} ${declared}`, []);
    const added = /^-A (\S+) (.*)$/.exec(line);
    if (added !== null) chains.get(`${table} ${added[1]}`)?.push(normaliseRule(added[2] ?? ''));
  }
  return chains;
}

/** A rule as its options, sorted; `-m NAME` left out, because NAME's own options say so. */
export function normaliseRule(rule: string): string {
  const options: string[] = [];
  let negated = false;
  for (const token of rule.match(/"[^"]*"|\S+/g) ?? []) {
    if (token === '!') negated = true;
    else if (/^--?[a-z]/.test(token)) {
      options.push(`${negated ? '! ' : ''}${token}`);
      negated = false;
    } else options.push(`${options.pop() ?? ''} ${token}`);
  }
  return options
    .filter((option) => !option.startsWith('-m '))
    .sort()
    .join(' ');
}
