/** Runs the rounds of one item and turns them into figures. */
import { type CpuTime, cpuTime, spent } from './cpu.ts';
import { run } from './commands.ts';
import type { Contestant } from './contestant.ts';
import type { ContestantName, Item } from './items.ts';
import { type Load, parseWrk, wrkArguments } from './wrk.ts';

/** One contestant in one round. */
export interface Sample {
  readonly load: Load;
  readonly dataPlane: CpuTime;
  readonly control: CpuTime;
}

/** CPU in microseconds per request, or nanoseconds per KiB, as the item says; medians over the rounds. */
export interface Figures {
  readonly contestant: ContestantName;
  readonly cpu: number;
  readonly user: number;
  readonly system: number;
  readonly control: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
}

/** How weir's CPU per unit relates to a peer's: each round gives one ratio, so that noise of minutes cancels out. */
export interface Ratio {
  readonly peer: ContestantName;
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
  readonly budget: number | null;
}

export interface ItemResult {
  readonly item: string;
  readonly title: string;
  readonly unit: 'µs/request' | 'ns/KiB';
  readonly figures: readonly Figures[];
  readonly ratios: readonly Ratio[];
  /** Why the item does not count; empty when every answer was good. */
  readonly problems: readonly string[];
}

export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** Alternates the contestants (ABC ABC ABC) over the rounds. Rejects only when a program cannot be run at all. */
export async function measureItem(item: Item, contestants: readonly Contestant[], plan: Plan): Promise<ItemResult> {
  const samples = new Map<ContestantName, Sample[]>(contestants.map((each) => [each.name, []]));
  const problems: string[] = [];
  if (plan.warmUpSeconds > 0) {
    for (const contestant of contestants) await sample(item, contestant, plan.warmUpSeconds);
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of contestants) {
      const taken = await sample(item, contestant, plan.seconds);
      samples.get(contestant.name)?.push(taken);
      if (taken.load.errors > 0)
        problems.push(`${contestant.name}: ${taken.load.errors} failed requests in round ${round + 1}`);
      if (taken.load.requests === 0) problems.push(`${contestant.name}: no request was answered in round ${round + 1}`);
    }
  }
  return {
    item: item.name,
    title: item.title,
    unit: item.per === 'request' ? 'µs/request' : 'ns/KiB',
    figures: [...samples].map(([name, taken]) => figuresOf(name, taken, item)),
    ratios: ratiosOf(item, samples),
    problems,
  };
}

async function sample(item: Item, contestant: Contestant, seconds: number): Promise<Sample> {
  const url = `${contestant.url(item.layer)}${item.path}`;
  const command = contestant.loadCommand(['wrk', ...wrkArguments(url, item.connections, seconds, item.closeEach)]);
  const dataBefore = cpuTime(contestant.dataPlanePids);
  const controlBefore = cpuTime(contestant.controlPids);
  const load = parseWrk(await run(command, (seconds + 60) * 1000));
  return {
    load,
    dataPlane: spent(dataBefore, cpuTime(contestant.dataPlanePids)),
    control: spent(controlBefore, cpuTime(contestant.controlPids)),
  };
}

/** Microseconds of CPU over the item's unit. */
export function perUnit(us: number, load: Load, item: Pick<Item, 'per' | 'bodyBytes'>): number {
  if (item.per === 'request') return us / load.requests;
  return (us * 1000) / ((load.requests * item.bodyBytes) / 1024);
}

function figuresOf(contestant: ContestantName, samples: readonly Sample[], item: Item): Figures {
  const middle = (of: (sample: Sample) => number): number => median(samples.map(of));
  return {
    contestant,
    cpu: middle((each) => perUnit(each.dataPlane.userUs + each.dataPlane.systemUs, each.load, item)),
    user: middle((each) => perUnit(each.dataPlane.userUs, each.load, item)),
    system: middle((each) => perUnit(each.dataPlane.systemUs, each.load, item)),
    control: middle((each) => perUnit(each.control.userUs + each.control.systemUs, each.load, item)),
    requestsPerSecond: middle((each) => each.load.requestsPerSecond),
    p50Ms: middle((each) => each.load.p50Ms),
    p99Ms: middle((each) => each.load.p99Ms),
    requests: samples.reduce((sum, each) => sum + each.load.requests, 0),
  };
}

function ratiosOf(item: Item, samples: ReadonlyMap<ContestantName, readonly Sample[]>): Ratio[] {
  const own = samples.get('weir');
  if (own === undefined) return [];
  const cost = (each: Sample): number => perUnit(each.dataPlane.userUs + each.dataPlane.systemUs, each.load, item);
  return [...samples]
    .filter(([name]) => name !== 'weir')
    .map(([peer, theirs]) => {
      const ratios = own.flatMap((each, round) => {
        const other = theirs[round];
        return other === undefined ? [] : [cost(each) / cost(other)];
      });
      return {
        peer,
        median: median(ratios),
        lowest: Math.min(...ratios),
        highest: Math.max(...ratios),
        budget: item.budget[peer] ?? null,
      };
    });
}

/** The middle value; of an even number of values the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}
