/**
 * weir as a contestant: pods of a `weir sandbox`, reached through real capture, with what a mesh is used for switched on
 * (a route table of 20 rules, an L7 policy, metrics). manifest.ts has the pods; this file finds the processes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { LOAD_CORE, run, until } from './commands.ts';
import type { Contestant, Entry } from './contestant.ts';
import { ROUTED } from './items.ts';
import { ENTRIES, NAMESPACE, ROUTED_SUFFIX } from './manifest.ts';

export const CLI = fileURLToPath(new URL('../../dist/cli/weir.js', import.meta.url));

interface NodeStatus {
  readonly pid: number;
  readonly workers: readonly { readonly pid: number }[];
}

/** The mesh of the sandbox this process runs in, once its data plane answers: as it is, and in interception mode TPROXY. */
export async function findWeir(): Promise<readonly Contestant[]> {
  const addressOf = await serviceAddresses();
  const { dataPlanePids, controlPids } = await agentProcesses();
  const contestant = (name: 'weir' | typeof ROUTED, suffix: string): Contestant => ({
    name,
    dataPlanePids,
    controlPids,
    url: (entry: Entry) => `http://${addressOf(`${ENTRIES[entry].service}${suffix}`)}:${ENTRIES[entry].port}`,
    loadCommand: (command, from = 'client') => inPod(`${from}${suffix}`, ['taskset', '-c', `${LOAD_CORE}`, ...command]),
    requestsSeen: async () => {
      const pods = (await weirJson('pods')) as readonly { name: string; requests: number }[];
      return pods.find((each) => each.name === `client${suffix}`)?.requests ?? null;
    },
  });
  const both = [contestant('weir', ''), contestant(ROUTED, ROUTED_SUFFIX)];
  for (const each of both) {
    const probe = each.loadCommand(['curl', '-sSf', '-o', '/dev/null', `${each.url('http')}/api/v1/items`]);
    await until(`an answer through ${each.name}`, 15_000, () => run(probe));
    await assertPolicyHolds(each);
  }
  return both;
}

/** Cluster IPs by the name of the Service; the function throws when there is none of that name. */
export async function serviceAddresses(): Promise<(name: string) => string> {
  const services = (await weirJson('sandbox', 'get', 'services')) as readonly { name: string; clusterIP: string }[];
  return (name) => {
    const address = services.find((each) => each.name === name)?.clusterIP;
    if (address === undefined) throw new Error(`the sandbox has no Service named ${name}`);
    return address;
  };
}

/** The agent's processes, workers and supervisor; pids mean something in this PID namespace only. */
export async function agentProcesses(): Promise<Pick<Contestant, 'dataPlanePids' | 'controlPids'>> {
  const nodes = (await weirJson('status')) as readonly NodeStatus[];
  const dataPlanePids = nodes.flatMap((node) => node.workers.map((worker) => worker.pid));
  for (const pid of dataPlanePids) assertIsWorker(pid);
  return { dataPlanePids, controlPids: nodes.map((node) => node.pid) };
}

/** Runs a command in a pod of the sandbox. */
export function inPod(pod: string, command: readonly string[]): readonly string[] {
  return [process.execPath, CLI, 'sandbox', 'exec', `${pod}.${NAMESPACE}`, '--', ...command];
}

/** The policy refuses POST: were it answered, the benchmark would measure a mesh that decides nothing. */
async function assertPolicyHolds(weir: Contestant): Promise<void> {
  const url = `${weir.url('http')}/api/v1/items`;
  const post = ['curl', '-sS', '-X', 'POST', '-o', '/dev/null', '-w', '%{http_code}', url];
  const status = await run(weir.loadCommand(post));
  if (status !== '403') throw new Error(`a POST that the policy refuses was answered with ${status}, not 403`);
}

async function weirJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await run([process.execPath, CLI, ...args, '-o', 'json'])) as unknown;
}

/** A pid means nothing in another PID namespace: never measure a stranger. */
function assertIsWorker(pid: number): void {
  const command = readdirSync('/proc').includes(`${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, 'utf8') : '';
  if (!command.includes('worker'))
    throw new Error(`process ${pid} is not a weir worker here: ${command.replaceAll('\0', ' ')}`);
}
