/** Prints results for people. */
import type { ItemResult, Ratio } from './measure.ts';

const HEADINGS = ['', 'CPU', 'user', 'sys', 'beside', 'req/s', 'p50 ms', 'p99 ms'];

/** One item as text: a row per contestant, then the ratios, then what went wrong. */
export function formatItem(result: ItemResult): string {
  const rows = result.figures.map((each) => [
    each.contestant,
    figure(each.cpu),
    figure(each.user),
    figure(each.system),
    each.contestant === 'weir' ? figure(each.control) : '-',
    each.requestsPerSecond.toFixed(0),
    each.p50Ms.toFixed(2),
    each.p99Ms.toFixed(2),
  ]);
  const lines = [`${result.item}: ${result.title}  (CPU in ${result.unit})`, ...aligned([HEADINGS, ...rows])];
  for (const ratio of result.ratios) lines.push(`  ${formatRatio(ratio)}`);
  for (const problem of result.problems) lines.push(`  FAIL ${problem}`);
  return `${lines.join('\n')}\n`;
}

function formatRatio(ratio: Ratio): string {
  const range = `${ratio.lowest.toFixed(2)}–${ratio.highest.toFixed(2)}`;
  const goal =
    ratio.budget === null ? '' : `, goal ≤ ${ratio.budget.toFixed(1)}${ratio.median <= ratio.budget ? ' (met)' : ''}`;
  return `CPU weir / ${ratio.peer} = ${ratio.median.toFixed(2)}  (rounds ${range}${goal})`;
}

function figure(value: number): string {
  return value.toFixed(value < 100 ? 2 : 0);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .replace(/^/, '  '),
  );
}
