/**
 * A quiet pod beside a hostile one. The quiet pod asks at a steady low rate; its latency alone is held against its latency while a
 * neighbour attacks another server through the same proxy.
 *
 *   core 0: the proxy                       core 1: quiet client, its server, control      (normal)
 *                                                   attacker, attacked server              (only when nobody else wants)
 *
 * So that the load's own core is not what is measured, attacker and attacked server run at the lowest priority there is, and a
 * control asks the server directly, past the proxy, at the same time: what it suffers is not the proxy's doing.
 */
import { ATTACKS, type Attack } from './attacks.ts';
import { lowPriority, run } from './commands.ts';
import type { Contestant } from './contestant.ts';
import { cpuTime, spent } from './cpu.ts';
import type { ContestantName, SpecialItem } from './items.ts';
import { openLoop, type OpenLoopFigures } from './programs.ts';
import { type ItemResult, judge, median, type Plan, type Verdict } from './result.ts';
import { figure } from './table.ts';

const QUIET_RATE = 200;
const QUIET_CONNECTIONS = 8;
const QUIET_PATH = '/api/v1/items';
/** From the start of an attack's command until it is in full swing: the pod is entered, programs start, connections open. */
const RAMP_SECONDS = 2;
/** What weir aims at: attacked p99 / p99 alone. */
const GOAL = 1.1;

/** One run of the quiet client through one proxy. */
interface Sample {
  readonly quiet: OpenLoopFigures;
  readonly control: OpenLoopFigures;
  /** Share of its core that the proxy took meanwhile. */
  readonly busy: number;
  readonly strength: string;
}

/** Per contestant, per round. */
type Series = Map<ContestantName, Sample[]>;

export async function measureHostile(
  item: SpecialItem,
  contestants: readonly Contestant[],
  direct: Contestant,
  plan: Plan,
): Promise<ItemResult> {
  const alone: Series = new Map();
  const attacked = new Map<string, Series>(ATTACKS.map((attack) => [attack.name, new Map()]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const contestant of contestants) add(alone, contestant, await sample(contestant, direct, null, plan));
    for (const [index, attack] of ATTACKS.entries()) {
      // The smoke run shows that each attack runs, and that peers can be attacked at all.
      const taking = plan.smoke && index > 0 ? contestants.slice(0, 1) : contestants;
      const series = attacked.get(attack.name);
      for (const contestant of taking)
        if (series !== undefined) add(series, contestant, await sample(contestant, direct, attack, plan));
    }
  }
  const all = [...alone.values(), ...[...attacked.values()].flatMap((series) => [...series.values()])].flat();
  const lost = all.reduce((sum, each) => sum + each.quiet.errors, 0);
  return {
    item: item.name,
    title: item.title,
    table: tableOf(alone, attacked),
    notes: ATTACKS.map((attack) => `${attack.name}: ${attack.title}`),
    verdicts: ATTACKS.flatMap((attack) => verdictOf(item, attack, alone, attacked.get(attack.name) ?? new Map())),
    figures: {
      alone: Object.fromEntries(alone),
      attacked: Object.fromEntries([...attacked].map(([name, series]) => [name, Object.fromEntries(series)])),
    },
    problems: lost > 0 ? [`${lost} requests of the quiet client had no good answer`] : [],
  };
}

function add(series: Series, contestant: Contestant, sample: Sample): void {
  const samples = series.get(contestant.name) ?? [];
  samples.push(sample);
  series.set(contestant.name, samples);
}

/** The quiet client and the control, for the length of a round, while the attack runs. */
async function sample(contestant: Contestant, direct: Contestant, attack: Attack | null, plan: Plan): Promise<Sample> {
  const warmUp = plan.smoke ? 0.2 : 1;
  const load = { rate: QUIET_RATE, seconds: plan.seconds, warmUp, connections: QUIET_CONNECTIONS };
  const lasts = Math.ceil(RAMP_SECONDS + warmUp + plan.seconds + 1);
  const attacking =
    attack === null
      ? Promise.resolve('')
      : run(contestant.loadCommand(lowPriority(attack.command(contestant, lasts))), (lasts + 60) * 1_000);
  // A rejection is met below; until then it must not count as unhandled.
  attacking.catch(() => undefined);
  if (attack !== null) await new Promise((resolve) => setTimeout(resolve, RAMP_SECONDS * 1_000));
  const before = cpuTime(contestant.dataPlanePids);
  const beganMs = performance.now();
  const [quiet, control] = await Promise.all([
    openLoop(contestant, QUIET_PATH, load, 'quiet'),
    openLoop(direct, QUIET_PATH, load),
  ]);
  const used = spent(before, cpuTime(contestant.dataPlanePids));
  const busy = (used.userUs + used.systemUs) / 1_000 / (performance.now() - beganMs);
  const output = await attacking;
  return { quiet, control, busy, strength: attack === null ? '' : attack.strength(output) };
}

/** Attacked over alone, round by round. */
function factor(attacked: readonly Sample[], alone: readonly Sample[], of: (sample: Sample) => number): number {
  return median(
    attacked.flatMap((each, round) => {
      const reference = alone[round];
      return reference === undefined ? [] : [of(each) / of(reference)];
    }),
  );
}

const quiet50 = (sample: Sample): number => sample.quiet.p50Ms;
const quiet99 = (sample: Sample): number => sample.quiet.p99Ms;
const control99 = (sample: Sample): number => sample.control.p99Ms;

function tableOf(alone: Series, attacked: ReadonlyMap<string, Series>): string[][] {
  const headings = ['attack', 'p50 ms', 'p99 ms', 'p50 ×', 'p99 ×', 'control p99 ms', 'control ×', 'core', 'strength'];
  const row = (label: string, samples: readonly Sample[], reference: readonly Sample[]): string[] => [
    label,
    figure(median(samples.map(quiet50))),
    figure(median(samples.map(quiet99))),
    figure(factor(samples, reference, quiet50)),
    figure(factor(samples, reference, quiet99)),
    figure(median(samples.map(control99))),
    figure(factor(samples, reference, control99)),
    `${(median(samples.map((each) => each.busy)) * 100).toFixed(0)} %`,
    samples[0]?.strength ?? '',
  ];
  const rows = [...alone].map(([name, samples]) => row(`none, ${name}`, samples, samples));
  for (const [attack, series] of attacked)
    for (const [name, samples] of series) rows.push(row(`${attack}, ${name}`, samples, alone.get(name) ?? []));
  return [headings, ...rows];
}

/** weir must lose less than each peer. */
function verdictOf(item: SpecialItem, attack: Attack, alone: Series, attacked: Series): Verdict[] {
  const of = (name: ContestantName): number => factor(attacked.get(name) ?? [], alone.get(name) ?? [], quiet99);
  const peers = [...attacked.keys()].filter((name) => name !== 'weir');
  if (!attacked.has('weir') || peers.length === 0) return [];
  const theirs = peers.map((name) => `${name} ${figure(of(name))}`).join(', ');
  const limit = Math.min(...peers.map(of));
  return [judge(item.name, `p99 × under ${attack.name} (${theirs})`, of('weir'), { limit, goal: GOAL })];
}
