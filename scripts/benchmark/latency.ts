/**
 * What a proxy adds to latency at a rate that leaves it mostly idle: 1,000 requests per second in an open loop, through each
 * contestant and straight to the server. The figure is the difference of the percentiles in the same round.
 */
import type { Contestant } from './contestant.ts';
import type { ContestantName, SpecialItem } from './items.ts';
import { openLoop, type OpenLoopFigures } from './programs.ts';
import { type ItemResult, judge, median, type Plan } from './result.ts';
import { figure } from './table.ts';

const RATE = 1_000;
const CONNECTIONS = 32;
/** p99 that weir may add, ms (design, Budgets). */
const ADDED_P99_MS = 0.2;

export async function measureLatency(
  item: SpecialItem,
  contestants: readonly Contestant[],
  plan: Plan,
): Promise<ItemResult> {
  const taken = new Map<ContestantName, OpenLoopFigures[]>(contestants.map((each) => [each.name, []]));
  const problems: string[] = [];
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of contestants) {
      const load = { rate: RATE, seconds: plan.seconds, warmUp: plan.smoke ? 0.2 : 1, connections: CONNECTIONS };
      const figures = await openLoop(contestant, '/api/v1/items', load);
      taken.get(contestant.name)?.push(figures);
      if (figures.errors > 0) problems.push(`${contestant.name}: ${figures.errors} requests without a good answer`);
    }
  }
  const direct = taken.get('direct') ?? [];
  const added = (name: ContestantName, of: (figures: OpenLoopFigures) => number): number =>
    median(
      (taken.get(name) ?? []).flatMap((each, round) => {
        const reference = direct[round];
        return reference === undefined ? [] : [of(each) - of(reference)];
      }),
    );
  const rows = [...taken].map(([name, figures]) => [
    name,
    ...[percentile50, percentile99, percentile999].map((of) => figure(median(figures.map(of)))),
    ...[percentile50, percentile99].map((of) => (name === 'direct' ? '-' : figure(added(name, of)))),
  ]);
  const verdicts = [...taken.keys()]
    .filter((name) => name !== 'direct')
    .map((name) => {
      const limit = name === 'weir' ? ADDED_P99_MS : null;
      const value = added(name, percentile99);
      return judge(item.name, `p99 added by ${name}`, value, { limit, goal: null }, { unit: 'ms' });
    });
  const headings = ['ms', 'p50', 'p99', 'p99.9', 'p50 added', 'p99 added'];
  return {
    item: item.name,
    title: item.title,
    table: [headings, ...rows],
    notes: [],
    verdicts,
    figures: Object.fromEntries(taken),
    problems,
  };
}

const percentile50 = (figures: OpenLoopFigures): number => figures.p50Ms;
const percentile99 = (figures: OpenLoopFigures): number => figures.p99Ms;
const percentile999 = (figures: OpenLoopFigures): number => figures.p999Ms;
