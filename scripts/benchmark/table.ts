/** Prints results for people. */
import type { ItemResult, Verdict } from './result.ts';

/** One item as text: its table, what is held against limits, what went wrong. */
export function formatItem(result: ItemResult): string {
  const lines = [`${result.item}: ${result.title}`, ...aligned(result.table)];
  for (const note of result.notes) lines.push(`  ${note}`);
  for (const verdict of result.verdicts) lines.push(`  ${formatVerdict(verdict)}`);
  for (const problem of result.problems) lines.push(`  FAIL ${problem}`);
  return `${lines.join('\n')}\n`;
}

function formatVerdict(verdict: Verdict): string {
  const sign = verdict.sense === 'at most' ? '≤' : '≥';
  const bounds = [
    ...(verdict.limit === null ? [] : [`limit ${sign} ${amount(verdict.limit, verdict.unit)}`]),
    ...(verdict.goal === null ? [] : [`goal ${sign} ${amount(verdict.goal, verdict.unit)}`]),
  ];
  const outcome = verdict.verdict === 'shown' ? '' : `  ${verdict.verdict}`;
  return `${verdict.figure} = ${amount(verdict.value, verdict.unit)}  (${bounds.join(', ') || 'no limit'})${outcome}`;
}

/** Every figure of all items that has a limit or a goal. */
export function formatSummary(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((each) => {
    const sign = each.sense === 'at most' ? '≤' : '≥';
    const bound = (value: number | null) => (value === null ? '-' : `${sign} ${amount(value, each.unit)}`);
    return [
      each.item,
      each.figure,
      amount(each.value, each.unit),
      bound(each.limit),
      bound(each.goal),
      each.verdict === 'shown' ? '-' : each.verdict,
    ];
  });
  return `${aligned([['item', 'figure', 'value', 'limit', 'goal', ''], ...rows], 2).join('\n')}\n`;
}

function amount(value: number, unit: string): string {
  return unit === '' ? figure(value) : `${figure(value)} ${unit}`;
}

/** Two decimals, none from 100. */
export function figure(value: number): string {
  return value.toFixed(Math.abs(value) < 100 ? 2 : 0);
}

/** Columns; the first `leftAligned` of them hold words. */
function aligned(rows: readonly (readonly string[])[], leftAligned = 1): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const cell = (text: string, column: number): string =>
    column < leftAligned ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`.trimEnd());
}
