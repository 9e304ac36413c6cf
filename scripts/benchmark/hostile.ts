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
const RAMP_SECONDS = 1.5;
/** Of each attack, before anything is measured. */
const WARM_UP_SECONDS = 2;
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

/** What happens at the same time. */
interface Wave {
  readonly name: string;
  readonly attacks: readonly Attack[];
}
const ALONE: Wave = { name: 'none', attacks: [] };
const WAVES: readonly Wave[] = ATTACKS.map((attack) => ({ name: attack.name, attacks: [attack] }));
/** The smoke run shows that every attack runs against every proxy, and has no time for more: it gives no factors. */
const ALL_AT_ONCE: Wave = { name: 'all at once', attacks: ATTACKS };

/** Per contestant, per round. */
type Series = Map<ContestantName, Sample[]>;

export async function measureHostile(
  item: SpecialItem,
  contestants: readonly Contestant[],
  direct: Contestant,
  plan: Plan,
): Promise<ItemResult> {
  if (!plan.smoke) for (const contestant of contestants) await warmUp(contestant);
  const chosen = WAVES.filter(({ name }) => plan.attacks.length === 0 || plan.attacks.includes(name));
  const waves = plan.smoke ? [ALL_AT_ONCE] : chosen;
  const taken = new Map<Wave, Series>((plan.smoke ? waves : [ALONE, ...waves]).map((wave) => [wave, new Map()]));
  for (let round = 0; round < plan.rounds; round++) {
    for (const [wave, series] of taken) {
      for (const contestant of contestants) {
        const samples = series.get(contestant.name) ?? [];
        samples.push(await sample(contestant, direct, wave, plan));
        series.set(contestant.name, samples);
      }
    }
  }
  return {
    item: item.name,
    title: item.title,
    table: tableOf(taken),
    notes: ATTACKS.map((attack) => `${attack.name}: ${attack.title}`),
    verdicts: waves.flatMap((wave) => verdictOf(item, wave, taken)),
    figures: Object.fromEntries([...taken].map(([wave, series]) => [wave.name, Object.fromEntries(series)])),
    problems: [...taken].flatMap(([wave, series]) => problemsOf(wave, series, plan)),
  };
}

/** A request of the quiet client that is lost is a failure; the smoke run only wants to see that it is served at all. */
function problemsOf(wave: Wave, series: Series, plan: Plan): string[] {
  return [...series].flatMap(([name, samples]) => {
    const lost = samples.reduce((sum, each) => sum + each.quiet.errors, 0);
    const answered = samples.reduce((sum, each) => sum + each.quiet.answered, 0);
    if (answered > 0 && (lost === 0 || plan.smoke)) return [];
    return [`${name}, attack ${wave.name}: ${lost} requests of the quiet client had no good answer`];
  });
}

/** A proxy that compiles as it runs has done so when it is measured. */
async function warmUp(contestant: Contestant): Promise<void> {
  for (const attack of ATTACKS) await run(contestant.loadCommand(attack.command(contestant, WARM_UP_SECONDS)));
}

/** The quiet client and the control, for the length of a round, while the attack runs. */
async function sample(contestant: Contestant, direct: Contestant, wave: Wave, plan: Plan): Promise<Sample> {
  const warmUp = plan.smoke ? 0.2 : 1;
  const load = { rate: QUIET_RATE, seconds: plan.seconds, warmUp, connections: QUIET_CONNECTIONS };
  const lasts = Math.ceil(RAMP_SECONDS + warmUp + plan.seconds + 1);
  const attacking = Promise.all(
    wave.attacks.map(async (attack) => {
      const command = attack.command(contestant, lasts);
      // On a busy machine what has the lowest priority may never even start: the smoke run must not depend on that.
      const placed = contestant.loadCommand(plan.smoke ? command : lowPriority(command));
      return attack.strength(await run(placed, (lasts + 60) * 1_000));
    }),
  );
  // A rejection is met below; until then it must not count as unhandled.
  attacking.catch(() => undefined);
  if (wave.attacks.length > 0) await new Promise((resolve) => setTimeout(resolve, RAMP_SECONDS * 1_000));
  const before = cpuTime(contestant.dataPlanePids);
  const beganMs = performance.now();
  const [quiet, control] = await Promise.all([
    openLoop(contestant, QUIET_PATH, load, 'quiet'),
    openLoop(direct, QUIET_PATH, load),
  ]);
  const used = spent(before, cpuTime(contestant.dataPlanePids));
  const busy = (used.userUs + used.systemUs) / 1_000 / (performance.now() - beganMs);
  return { quiet, control, busy, strength: (await attacking).join(', ') };
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

function tableOf(taken: ReadonlyMap<Wave, Series>): string[][] {
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
  const alone = taken.get(ALONE);
  const rows = [...taken].flatMap(([wave, series]) =>
    [...series].map(([name, samples]) => row(`${wave.name}, ${name}`, samples, alone?.get(name) ?? [])),
  );
  return [headings, ...rows];
}

/** weir must lose less than each peer. */
function verdictOf(item: SpecialItem, wave: Wave, taken: ReadonlyMap<Wave, Series>): Verdict[] {
  const [alone, attacked] = [taken.get(ALONE), taken.get(wave)];
  if (alone === undefined || attacked === undefined) return [];
  const of = (name: ContestantName): number => factor(attacked.get(name) ?? [], alone.get(name) ?? [], quiet99);
  const peers = [...attacked.keys()].filter((name) => name !== 'weir');
  if (!attacked.has('weir') || peers.length === 0) return [];
  const theirs = peers.map((name) => `${name} ${figure(of(name))}`).join(', ');
  const limit = Math.min(...peers.map(of));
  return [judge(item.name, `p99 × under ${wave.name} (${theirs})`, of('weir'), { limit, goal: GOAL })];
}
