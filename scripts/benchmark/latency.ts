/**
 * What a proxy adds to latency at a rate that leaves it mostly idle: 1,000 requests per second in an open loop, through each
 * contestant and straight to the server. The figure is the difference of the percentiles in the same round.
 */
import { run } from './commands.ts';
import type { Contestant } from './contestant.ts';
import type { ContestantName, SpecialItem } from './items.ts';
import { openLoop, type OpenLoopFigures } from './programs.ts';
import { type ItemResult, judge, median, type Plan } from './result.ts';
import { figure } from './table.ts';
import { wrkArguments } from './wrk.ts';

const RATE = 1_000;
const CONNECTIONS = 32;
const PATH = '/api/v1/items';
/** p99 that weir may add, ms (design, Budgets). */
const ADDED_P99_MS = 0.2;

export async function measureLatency(
  item: SpecialItem,
  contestants: readonly Contestant[],
  plan: Plan,
): Promise<ItemResult> {
  const taken = new Map<ContestantName, OpenLoopFigures[]>(contestants.map((each) => [each.name, []]));
  const problems: string[] = [];
  if (!plan.smoke) for (const contestant of contestants) await warmUp(contestant, plan);
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of contestants) {
      const load = { rate: RATE, seconds: plan.seconds, warmUp: plan.smoke ? 0.2 : 1, connections: CONNECTIONS };
      const figures = await openLoop(contestant, PATH, load);
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

/** A proxy that compiles as it runs has done so when it is measured. */
async function warmUp(contestant: Contestant, plan: Plan): Promise<void> {
  const url = `${contestant.url('http')}${PATH}`;
  const command = ['wrk', ...wrkArguments(url, CONNECTIONS, plan.warmUpSeconds, false)];
  await run(contestant.loadCommand(command));
}

const percentile50 = (figures: OpenLoopFigures): number => figures.p50Ms;
const percentile99 = (figures: OpenLoopFigures): number => figures.p99Ms;
const percentile999 = (figures: OpenLoopFigures): number => figures.p999Ms;
