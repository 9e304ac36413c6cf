/** Runs the rounds of an item that compares CPU per unit of work, and turns them into figures. */
import { grpcMessageFile } from './backend.ts';
import { run } from './commands.ts';
import type { Contestant } from './contestant.ts';
import { type CpuTime, cpuTime, spent } from './cpu.ts';
import { h2loadArguments, parseH2load } from './h2load.ts';
import { type Bound, type ContestantName, isWeir, type ProxyItem } from './items.ts';
import { type ItemResult, judge, median, type Plan, type Verdict } from './result.ts';
import { figure } from './table.ts';
import { type Load, parseWrk, wrkArguments } from './wrk.ts';

/** One contestant in one round. */
interface Sample {
  readonly load: Load;
  readonly dataPlane: CpuTime;
  readonly control: CpuTime;
}

/** CPU in microseconds per request, or nanoseconds per KiB, as the item says; medians over the rounds. */
interface Figures {
  readonly contestant: ContestantName;
  readonly cpu: number;
  readonly user: number;
  readonly system: number;
  readonly control: number;
  /** Share of one core that the data plane had: near 1, the proxy was the bottleneck. */
  readonly busy: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
}

type Samples = ReadonlyMap<ContestantName, readonly Sample[]>;

/** Alternates the contestants (ABC ABC ABC) over the rounds. Rejects only when a program cannot be run at all. */
export async function measureItem(
  item: ProxyItem,
  contestants: readonly Contestant[],
  plan: Plan,
  files: { readonly http2: string },
): Promise<ItemResult> {
  const samples = new Map<ContestantName, Sample[]>(contestants.map((each) => [each.name, []]));
  const problems: string[] = [];
  const load = (contestant: Contestant, seconds: number): Promise<Sample> =>
    sample(item, contestant, seconds, grpcMessageFile(files.http2));
  if (plan.warmUpSeconds > 0) {
    for (const contestant of contestants) await load(contestant, plan.warmUpSeconds);
  }
  const seenBefore = await seen(contestants);
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of contestants) {
      const taken = await load(contestant, plan.seconds);
      samples.get(contestant.name)?.push(taken);
      if (taken.load.errors > 0)
        problems.push(`${contestant.name}: ${taken.load.errors} failed requests in round ${round + 1}`);
      if (taken.load.requests === 0) problems.push(`${contestant.name}: no request was answered in round ${round + 1}`);
    }
  }
  if (item.entry !== 'tcp') problems.push(...unseen(seenBefore, await seen(contestants), samples));
  const figures = [...samples].map(([name, taken]) => figuresOf(name, taken, item));
  return {
    item: item.name,
    title: `${item.title}  (CPU in ${item.per === 'request' ? 'µs/request' : 'ns/KiB'})`,
    table: tableOf(figures, item),
    notes: [],
    verdicts: [...cpuRatios(item, samples), ...rateRatios(item, samples)],
    figures,
    problems,
  };
}

async function seen(contestants: readonly Contestant[]): Promise<ReadonlyMap<ContestantName, number>> {
  const counts = new Map<ContestantName, number>();
  for (const contestant of contestants) {
    const count = await contestant.requestsSeen();
    if (count !== null) counts.set(contestant.name, count);
  }
  return counts;
}

/** A proxy that has counted fewer requests than were answered did not take the octets for requests: it was measured as a relay. */
export function unseen(
  before: ReadonlyMap<ContestantName, number>,
  after: ReadonlyMap<ContestantName, number>,
  samples: Samples,
): string[] {
  return [...before].flatMap(([name, count]) => {
    const counted = (after.get(name) ?? 0) - count;
    const answered = (samples.get(name) ?? []).reduce((sum, each) => sum + each.load.requests, 0);
    if (counted >= answered) return [];
    return [`${name} counted ${counted} of ${answered} requests: it relayed octets and did not parse this protocol`];
  });
}

async function sample(item: ProxyItem, contestant: Contestant, seconds: number, message: string): Promise<Sample> {
  const url = `${contestant.url(item.entry)}${item.path}`;
  const wrk = ['wrk', ...wrkArguments(url, item.connections, seconds, item.closeEach)];
  const http2 = { ...item, seconds, message: item.entry === 'grpc' ? message : null };
  const command = item.generator === 'wrk' ? wrk : ['h2load', ...h2loadArguments(url, http2)];
  const dataBefore = cpuTime(contestant.dataPlanePids);
  const controlBefore = cpuTime(contestant.controlPids);
  const text = await run(contestant.loadCommand(command), (seconds + 60) * 1_000);
  return {
    load: item.generator === 'wrk' ? parseWrk(text) : parseH2load(text, item.bodyBytes),
    dataPlane: spent(dataBefore, cpuTime(contestant.dataPlanePids)),
    control: spent(controlBefore, cpuTime(contestant.controlPids)),
  };
}

/** Microseconds of CPU over the item's unit. */
export function perUnit(us: number, load: Load, item: Pick<ProxyItem, 'per' | 'bodyBytes'>): number {
  if (item.per === 'request') return us / load.requests;
  return (us * 1000) / ((load.requests * item.bodyBytes) / 1024);
}

function totalUs(time: CpuTime): number {
  return time.userUs + time.systemUs;
}

function figuresOf(contestant: ContestantName, samples: readonly Sample[], item: ProxyItem): Figures {
  const middle = (of: (sample: Sample) => number): number => median(samples.map(of));
  return {
    contestant,
    cpu: middle((each) => perUnit(totalUs(each.dataPlane), each.load, item)),
    user: middle((each) => perUnit(each.dataPlane.userUs, each.load, item)),
    system: middle((each) => perUnit(each.dataPlane.systemUs, each.load, item)),
    control: middle((each) => perUnit(totalUs(each.control), each.load, item)),
    busy: middle((each) => totalUs(each.dataPlane) / 1_000_000 / each.load.seconds),
    requestsPerSecond: middle((each) => each.load.requestsPerSecond),
    p50Ms: middle((each) => each.load.p50Ms),
    p99Ms: middle((each) => each.load.p99Ms),
    requests: samples.reduce((sum, each) => sum + each.load.requests, 0),
  };
}

function tableOf(figures: readonly Figures[], item: ProxyItem): string[][] {
  const times = item.generator === 'wrk' ? ['p50 ms', 'p99 ms'] : ['mean ms', 'max ms'];
  return [
    ['', 'CPU', 'user', 'sys', 'beside', 'core', 'req/s', ...times],
    ...figures.map((each) => [
      each.contestant,
      figure(each.cpu),
      figure(each.user),
      figure(each.system),
      isWeir(each.contestant) ? figure(each.control) : '-',
      `${(each.busy * 100).toFixed(0)} %`,
      each.requestsPerSecond.toFixed(0),
      figure(each.p50Ms),
      figure(each.p99Ms),
    ]),
  ];
}

const NO_BOUND: Bound = { limit: null, goal: null };

function cpuRatios(item: ProxyItem, samples: Samples): Verdict[] {
  const cost = (each: Sample): number => perUnit(totalUs(each.dataPlane), each.load, item);
  return ratios(samples, cost).map(([own, peer, values]) =>
    judge(item.name, `CPU ${own} / ${peer} (${range(values)})`, median(values), item.cpu[peer] ?? NO_BOUND),
  );
}

function rateRatios(item: ProxyItem, samples: Samples): Verdict[] {
  return ratios(samples, (each) => each.load.requestsPerSecond).flatMap(([own, peer, values]) => {
    const bound = item.rate[peer];
    if (bound === undefined) return [];
    const name = `rate ${own} / ${peer} (${range(values)})`;
    return [judge(item.name, name, median(values), bound, { sense: 'at least' })];
  });
}

/** weir over each peer: each round gives one ratio, so that noise of minutes cancels out. */
function ratios(samples: Samples, of: (sample: Sample) => number): [ContestantName, ContestantName, number[]][] {
  const named = [...samples];
  return named
    .filter(([name]) => isWeir(name))
    .flatMap(([name, own]) =>
      named
        .filter(([peer]) => !isWeir(peer))
        .map(([peer, theirs]): [ContestantName, ContestantName, number[]] => [
          name,
          peer,
          own.flatMap((each, round) => {
            const other = theirs[round];
            return other === undefined ? [] : [of(each) / of(other)];
          }),
        ]),
    );
}

function range(values: readonly number[]): string {
  return `rounds ${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)}`;
}
