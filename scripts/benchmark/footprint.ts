/** Memory of an agent that has many pods and two workers, and what idle connections add to it. */
import { readFileSync } from 'node:fs';
import { start, until } from './commands.ts';
import type { SpecialItem } from './items.ts';
import { ENTRIES } from './manifest.ts';
import { program } from './programs.ts';
import { type ItemResult, judge, type Plan, type Verdict } from './result.ts';
import { figure } from './table.ts';
import { agentProcesses, inPod, serviceAddresses } from './weir.ts';

const MIB = 1_048_576;
const FULL = { pods: 100, connections: 10_000 };
const SMOKE = { pods: 6, connections: 500 };
/** Whole agent with 100 pods, MiB. */
const MEMORY_LIMIT = 150;
/** Added by 10,000 idle connections, MiB. */
const IDLE_LIMIT = 60;
/** After the pods are ready, until the young heap is what it will stay. */
const SETTLE_MS = 2_000;

export function sizes(plan: Plan): { readonly pods: number; readonly connections: number } {
  return plan.smoke ? SMOKE : FULL;
}

/** Octets of a process (proc_pid_smaps(5)): its proportional share of everything; what only it has; what others have too. */
interface Memory {
  readonly pss: number;
  readonly alone: number;
  readonly shared: number;
}

export function parseRollup(text: string): Memory {
  const field = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text);
    if (found === null) throw new Error(`no ${name} in smaps_rollup: ${text.slice(0, 200)}`);
    return Number(found[1]) * 1_024;
  };
  return {
    pss: field('Pss'),
    alone: field('Private_Clean') + field('Private_Dirty'),
    shared: field('Shared_Clean') + field('Shared_Dirty'),
  };
}

interface Footprint {
  readonly supervisor: readonly Memory[];
  readonly workers: readonly Memory[];
}

function footprint(pids: {
  readonly dataPlanePids: readonly number[];
  readonly controlPids: readonly number[];
}): Footprint {
  const read = (pid: number): Memory => parseRollup(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return { supervisor: pids.controlPids.map(read), workers: pids.dataPlanePids.map(read) };
}

function total(of: Footprint, field: keyof Memory): number {
  return [...of.supervisor, ...of.workers].reduce((sum, each) => sum + each[field], 0) / MIB;
}

/** As if nothing else on the machine ran Node: shared pages counted in full, once. An upper bound, as processes share different ones. */
function asIfAlone(of: Footprint): number {
  return total(of, 'alone') + Math.max(...[...of.supervisor, ...of.workers].map((each) => each.shared)) / MIB;
}

/** Both items in one run: the second needs the first as its base. */
export async function measureFootprint(items: readonly SpecialItem[], plan: Plan): Promise<ItemResult[]> {
  const { pods, connections } = sizes(plan);
  const pids = await agentProcesses();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const before = footprint(pids);
  const results: ItemResult[] = [];
  for (const item of items) {
    if (item.kind === 'memory') results.push(memoryResult(item, before, pods, plan));
    if (item.kind !== 'idle') continue;
    await openIdle(connections);
    results.push(idleResult(item, before, footprint(pids), connections, plan));
  }
  return results;
}

async function openIdle(connections: number): Promise<void> {
  const url = `http://${(await serviceAddresses())('echo')}:${ENTRIES.http.port}/api/v1/items`;
  let log = '';
  const child = start(inPod('client', program('idle-connections', { url, connections })), (chunk) => {
    log += chunk;
  });
  await until(`${connections} idle connections`, 90_000, () => {
    if (child.exitCode !== null) throw new Error(`the program that opens connections ended: ${log}`);
    return log.includes('open ') ? Promise.resolve() : Promise.reject(new Error(`not yet: ${log}`));
  });
}

function memoryResult(item: SpecialItem, memory: Footprint, pods: number, plan: Plan): ItemResult {
  const row = (name: string, each: Memory): string[] => [
    name,
    ...[each.pss, each.alone, each.shared].map((octets) => figure(octets / MIB)),
  ];
  return {
    item: item.name,
    title: `${item.title}, ${pods} pods`,
    table: [
      ['MiB', 'PSS', 'its own', 'shared'],
      ...memory.supervisor.map((each) => row('supervisor', each)),
      ...memory.workers.map((each, index) => row(`worker ${index}`, each)),
    ],
    notes: [`as if nothing else ran Node here: ${figure(asIfAlone(memory))} MiB at most`],
    verdicts: verdict(item, `PSS with ${pods} pods`, total(memory, 'pss'), MEMORY_LIMIT, plan),
    figures: { pods, pssMiB: total(memory, 'pss'), asIfAloneMiB: asIfAlone(memory), processes: memory },
    problems: [],
  };
}

function idleResult(
  item: SpecialItem,
  before: Footprint,
  after: Footprint,
  connections: number,
  plan: Plan,
): ItemResult {
  const added = total(after, 'pss') - total(before, 'pss');
  const kib = (added * 1_024) / connections;
  return {
    item: item.name,
    title: `${item.title}: ${connections} of them, kept alive after one request`,
    table: [
      ['MiB', 'PSS'],
      ['before', figure(total(before, 'pss'))],
      ['after', figure(total(after, 'pss'))],
    ],
    notes: [`${figure(kib)} KiB per connection; socket buffers in the kernel are not in it`],
    verdicts: verdict(item, `PSS added by ${connections} connections`, added, IDLE_LIMIT, plan),
    figures: { connections, addedMiB: added, perConnectionKiB: kib },
    problems: [],
  };
}

/** The limits hold for the full size; a smoke run only shows its figure. */
function verdict(item: SpecialItem, name: string, value: number, limit: number, plan: Plan): Verdict[] {
  return [judge(item.name, name, value, { limit: plan.smoke ? null : limit, goal: null }, { unit: 'MiB' })];
}
