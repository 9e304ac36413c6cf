/**
 * Load of every kind between pods of two nodes while their agents are replaced one after the other (`weir sandbox restart agent`), and
 * what it counted. Exit status 1 when anything failed, or was cut before the drain deadline.
 *
 * Started twice: by a user, and by itself as the COMMAND of the sandbox it starts.
 */
import { spawn, spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { Load } from './load.ts';
import { printCounts, type Round, verdict } from './summary.ts';

const HERE = new URL('.', import.meta.url).pathname;
const WEIR = new URL('../../dist/cli/weir.js', import.meta.url).pathname;

/** Kind of load and how many at a time: about half of the requests on kept connections. */
const LOADS: readonly (readonly [string, number])[] = [
  ['new', 8],
  ['keep-alive', 12],
  ['http2', 2],
  ['tcp', 4],
  ['long', 2],
];

const { values } = parseArgs({
  options: {
    restarts: { type: 'string', default: '3' },
    requests: { type: 'string', default: '60000' },
    'drain-deadline': { type: 'string', default: '5' },
    hard: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
const restarts = Number(values.restarts);
const requests = Number(values.requests);
const deadlineMs = Number(values['drain-deadline']) * 1_000;

function startSandbox(): number {
  const image = `echo=${process.execPath} ${HERE}server.mjs`;
  const flags = ['--nodes', '2', '--workers', '2', '--drain-deadline', values['drain-deadline'], '--image', image];
  const command = [process.execPath, '--import', 'tsx', ...process.argv.slice(1)];
  const argv = [WEIR, 'sandbox', '-f', `${HERE}cluster.yaml`, '--name', `hitless-${process.pid}`, '-q', ...flags];
  const { status } = spawnSync(process.execPath, [...argv, '--', ...command], {
    stdio: 'inherit',
    env: { ...process.env, WEIR_HITLESS: '1' },
  });
  return status ?? 1;
}

/** Replaces the agents of both nodes, one after the other; resolves with when it began and ended. */
function restartAgents(): Promise<Round> {
  const startedMs = Date.now();
  const manner = values.hard ? ['--hard'] : [];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WEIR, 'sandbox', 'restart', 'agent', ...manner], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    child.on('error', reject);
    child.on('exit', (status) => {
      if (status === 0) resolve({ startedMs, endedMs: Date.now() });
      else reject(new Error(`weir sandbox restart agent ended with status ${status}`));
    });
  });
}

async function measure(): Promise<number> {
  const loads = LOADS.map(([kind, concurrency]) => new Load(WEIR, `${HERE}client.mjs`, kind, concurrency));
  const total = (): number => loads.reduce((sum, load) => sum + load.counts.requests, 0);
  const reached = async (count: number): Promise<void> => {
    while (total() < count) {
      await Promise.race(loads.map((load) => load.progress()));
      if (loads.some((load) => load.ended)) throw new Error('a client has ended by itself');
    }
  };
  const startedMs = Date.now();
  const rounds: Round[] = [];
  for (let round = 1; round <= restarts; round++) {
    await reached((requests * round) / (restarts + 1));
    const done = await restartAgents();
    rounds.push(done);
    const failed = loads.reduce((sum, load) => sum + load.counts.failed, 0);
    const took = ((done.endedMs - done.startedMs) / 1_000).toFixed(1);
    process.stdout.write(`restart ${round}: both agents in ${took} s; ${total()} requests, ${failed} failed\n`);
  }
  await reached(requests);
  await Promise.all(loads.map((load) => load.stop()));
  const counts = loads.map((load) => load.counts);
  printCounts(counts, (Date.now() - startedMs) / 1_000);
  const wrong = verdict(counts, rounds, deadlineMs);
  for (const line of wrong) process.stdout.write(`${line}\n`);
  process.stdout.write(wrong.length === 0 ? 'no request failed\n' : 'NOT hitless\n');
  return wrong.length === 0 ? 0 : 1;
}

if (values.help) {
  process.stdout.write('usage: scripts/hitless [--restarts N] [--requests N] [--drain-deadline SECONDS] [--hard]\n');
} else if (![restarts, requests, deadlineMs].every((value) => Number.isFinite(value) && value >= 0)) {
  process.stderr.write('hitless: --restarts, --requests and --drain-deadline are numbers\n');
  process.exitCode = 2;
} else {
  process.exitCode = process.env['WEIR_HITLESS'] === '1' ? await measure() : startSandbox();
}
