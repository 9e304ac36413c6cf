/** What an item comes to: a table to read, figures for programs, and figures that are held against a limit. */
import type { Bound } from './items.ts';

/** One figure and its limit. */
export interface Verdict {
  readonly item: string;
  /** What it is, e.g. `CPU weir / nginx`. */
  readonly figure: string;
  readonly value: number;
  /** E.g. `ms`; empty for a ratio. */
  readonly unit: string;
  readonly sense: 'at most' | 'at least';
  readonly limit: number | null;
  readonly goal: number | null;
  /** `shown`: no limit. A figure that is not a number is over. */
  readonly verdict: 'PASS' | 'OVER' | 'shown';
}

export interface ItemResult {
  readonly item: string;
  readonly title: string;
  /** The first row has the headings. */
  readonly table: readonly (readonly string[])[];
  /** Lines below the table. */
  readonly notes: readonly string[];
  readonly verdicts: readonly Verdict[];
  /** Everything measured, for --json. */
  readonly figures: unknown;
  /** Why the item does not count; empty when all went well. */
  readonly problems: readonly string[];
}

/** Holds a value against its bound. */
export function judge(
  item: string,
  figure: string,
  value: number,
  bound: Bound,
  more: { readonly unit?: string; readonly sense?: Verdict['sense'] } = {},
): Verdict {
  const sense = more.sense ?? 'at most';
  const { limit, goal } = bound;
  const holds = limit !== null && (sense === 'at most' ? value <= limit : value >= limit);
  const verdict = limit === null ? 'shown' : holds ? 'PASS' : 'OVER';
  return { item, figure, value, unit: more.unit ?? '', sense, limit, goal, verdict };
}

/** The middle value; of an even number of values the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

/** How long everything is measured. */
export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Shows only that everything runs. */
  readonly smoke: boolean;
  /** Of `hostile`, only these; empty: all. */
  readonly attacks: readonly string[];
}
