/** What the counts mean, as a table and as a verdict. Pure but for printing. */
import type { Counts } from './load.ts';

/** When a restart of all agents began and ended, ms since the epoch. */
export interface Round {
  readonly startedMs: number;
  readonly endedMs: number;
}

/** A worker notices its deadline within a turn of its loop, and a client the cut a moment later. */
const CUT_LATE_MS = 3_000;

/** Whether a connection was cut when an agent's drain deadline was over, and not before. */
export function isAtDeadline(cutMs: number, rounds: readonly Round[], deadlineMs: number): boolean {
  return rounds.some(
    ({ startedMs, endedMs }) => cutMs >= startedMs + deadlineMs && cutMs <= endedMs + deadlineMs + CUT_LATE_MS,
  );
}

/** Why it is not hitless, one line each; empty: it is. */
export function verdict(counts: readonly Counts[], rounds: readonly Round[], deadlineMs: number): string[] {
  const lines: string[] = [];
  for (const { kind, failed, failures, cuts } of counts) {
    if (failed > 0) {
      const shown = failures.map(({ what, code, at }) => `${what}: ${code} (${phase(at, rounds)})`);
      lines.push(`${kind}: ${failed} failed: ${shown.join('; ')}`);
    }
    const early = cuts.filter((cut) => !isAtDeadline(cut, rounds, deadlineMs));
    if (early.length > 0) lines.push(`${kind}: ${early.length} cut at another time than a drain deadline`);
  }
  return lines;
}

function phase(atMs: number, rounds: readonly Round[]): string {
  const last = rounds.findLast(({ startedMs }) => startedMs <= atMs);
  if (last === undefined) return 'before the first restart';
  return `${((atMs - last.startedMs) / 1_000).toFixed(1)} s after the begin of restart ${rounds.indexOf(last) + 1}`;
}

/** The table. */
export function printCounts(counts: readonly Counts[], seconds: number): void {
  const rows = counts.map(({ kind, requests, failed, retried, cuts }) => [
    kind,
    requests,
    failed,
    retried,
    cuts.length,
  ]);
  const sums = [1, 2, 3, 4].map((column) => rows.reduce((sum, row) => sum + Number(row[column]), 0));
  const header = ['kind', 'requests', 'failed', 'sent again', 'outlived the deadline'];
  for (const row of [header, ...rows, ['all', ...sums]]) {
    const [first, ...rest] = row.map(String);
    process.stdout.write(`${(first ?? '').padEnd(12)}${rest.map((cell) => cell.padStart(14)).join('')}\n`);
  }
  process.stdout.write(`${seconds.toFixed(1)} s, ${Math.round((sums[0] ?? 0) / seconds)} requests/s\n`);
}
