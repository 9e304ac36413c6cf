/** What the supervisor does with workers that misbehave. The worker is scripted; everything else is real. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { EnrolledPod, WorkerStats } from '../../agent/ipc/messages.ts';
import type { Log, LogFields } from '../../agent/supervisor/log.ts';
import { MeshHub } from '../../agent/supervisor/mesh-hub.ts';
import { PodTable } from '../../agent/supervisor/pod-table.ts';
import { WorkerPool } from '../../agent/supervisor/worker-pool.ts';
import type { Workload } from '../../mesh/model.ts';
import { waitUntil } from './fixtures/wait-until.ts';

const SCRIPT = fileURLToPath(new URL('./fixtures/scripted-worker.mjs', import.meta.url));

class LineLog implements Log {
  readonly lines: (LogFields & { readonly message: string })[] = [];
  debug = (fields: LogFields, message: string): void => void this.lines.push({ ...fields, message });
  info = this.debug;
  warn = this.debug;
  error = this.debug;
  deaths(): string[] {
    return this.lines.filter(({ message }) => / died$/.test(message)).map((line) => String(line['error']));
  }
}

interface Script {
  /** Message type to misdeed (scripted-worker.mjs). */
  readonly on?: Readonly<Record<string, string>>;
  readonly start?: string;
  /** Only the first so many lives misbehave. */
  readonly brokenLives?: number;
}

interface Lab {
  readonly pool: WorkerPool;
  readonly hub: MeshHub;
  readonly pods: PodTable;
  readonly log: LineLog;
  readonly stats: WorkerStats[];
  readonly accessLog: () => string;
}

function lab(t: TestContext, script: Script, count = 1, pollMs = 60_000): Lab {
  const folder = mkdtempSync(join(tmpdir(), 'weir-pool-'));
  const before = process.env['WEIR_TEST_SCRIPT'];
  process.env['WEIR_TEST_SCRIPT'] = JSON.stringify({ marker: join(folder, 'lives'), ...script });
  const log = new LineLog();
  const hub = new MeshHub();
  const pods = new PodTable(() => undefined);
  const stats: WorkerStats[] = [];
  const accessLog: Buffer[] = [];
  const pool = new WorkerPool(
    { script: SCRIPT, count, node: 'node-1', trustDomain: 'cluster.local', accessLog: 'off', logLevel: 'info', pollMs },
    [hub, pods],
    {
      onStats: (_worker, reported) => stats.push(reported),
      onAccessLog: (_worker, chunk) => accessLog.push(chunk),
      onDeath: () => ({ pods: pods.list().map(({ pod }) => pod.name) }),
    },
    log,
  );
  t.after(async () => {
    await pool.drain(2_000, false);
    if (before === undefined) delete process.env['WEIR_TEST_SCRIPT'];
    else process.env['WEIR_TEST_SCRIPT'] = before;
    rmSync(folder, { recursive: true });
  });
  return { pool, hub, pods, log, stats, accessLog: () => Buffer.concat(accessLog).toString('utf8') };
}

const pod: EnrolledPod = {
  uid: 'uid-web',
  namespace: 'shop',
  name: 'web',
  serviceAccount: 'd',
  addresses: ['10.0.0.1'],
};

const workload: Workload = {
  kind: 'workload',
  uid: 'uid-web',
  namespace: 'shop',
  name: 'web',
  serviceAccount: 'd',
  node: 'node-1',
  addresses: ['10.0.0.1'],
  ready: true,
  hostNetwork: false,
  labels: {},
  annotations: {},
  workloadName: 'web',
  canonicalName: 'web',
  canonicalRevision: 'latest',
  namedPorts: {},
  locality: '',
  services: {},
};

test('two workers start, take the mesh and a pod, answer queries, write access log, drain and exit', async (t) => {
  const { pool, hub, pods, stats, log, accessLog } = lab(t, {}, 2);
  await pool.start();
  assert.deepEqual(
    pool.summaries().map(({ worker, state, restarts }) => [worker, state, restarts]),
    [
      [0, 'serving', 0],
      [1, 'serving', 0],
    ],
  );
  assert.deepEqual(await hub.apply({ upserts: [workload], removals: [] }), { ok: true });
  assert.ok((await pods.listen(1, pod, '/run/netns/web')).ok);
  await pool.refreshStats();
  assert.equal(stats.length, 2);
  assert.deepEqual(await pool.connections(), { connections: [], truncated: false });
  await waitUntil(() => accessLog() === '{"hello":true}\n{"hello":true}\n');
  const pids = pool.summaries().map(({ pid }) => pid);
  await pool.drain(5_000, false);
  for (const pid of pids) assert.throws(() => process.kill(pid, 0), /ESRCH/);
  assert.deepEqual(log.deaths(), []);
});

const FIRST_LIFE: readonly (readonly [string, Script, RegExp])[] = [
  ['exits before it is ready', { start: 'exit' }, /^exit code 3$/],
  ['dies with a message', { start: 'crash' }, /^signal SIGABRT; it said: FATAL ERROR: out of cheese$/],
  ['announces a frame that is too long', { on: { hello: 'tooLong' } }, /malformed frame: frame of 2147483647 bytes/],
  ['sends what is not JSON', { on: { hello: 'notJson' } }, /malformed message: payload of 3 bytes is not JSON/],
  ['sends a message of the wrong shape', { on: { meshDelta: 'wrongShape' } }, /podListening\.index is not an integer/],
  [
    'closes its socket but lives on',
    { on: { hello: 'closeIpc' } },
    // A close with the supervisor's messages still unread shows as a reset (unix(7)); which of the two is a matter of timing.
    /killed by the supervisor: (it closed its IPC socket|IPC socket: read ECONNRESET)$/,
  ],
];

for (const [what, script, reason] of FIRST_LIFE) {
  test(`a worker that ${what} is restarted, and the log says why`, async (t) => {
    const { pool, log } = lab(t, { ...script, brokenLives: 1 });
    await pool.start();
    await waitUntil(() => pool.summaries()[0]?.restarts === 1 && pool.summaries()[0]?.state === 'serving');
    assert.equal(log.deaths().length, 1);
    assert.match(log.deaths()[0] ?? '', reason);
    assert.match(pool.summaries()[0]?.lastExit ?? '', reason);
  });
}

test('a worker that dies during a mesh change does not hold it up, and comes back with mesh and pods', async (t) => {
  const { pool, hub, pods, log } = lab(t, {}, 2);
  await pool.start();
  assert.ok((await pods.listen(1, pod, '/run/netns/web')).ok);
  const victim = pool.summaries()[1]?.pid ?? 0;
  process.kill(victim, 'SIGSTOP');
  const applied = hub.apply({ upserts: [workload], removals: [] });
  process.kill(victim, 'SIGKILL');
  assert.deepEqual(await applied, { ok: true });
  await waitUntil(() => pool.summaries()[1]?.state === 'serving' && pool.summaries()[1]?.pid !== victim);
  assert.equal(pods.get(1)?.listeners.get(1), null);
  const death = log.lines.find(({ message }) => message === 'worker 1 died');
  assert.match(String(death?.['error']), /SIGKILL from outside/);
  assert.deepEqual(death?.['pods'], ['web']);
  assert.equal(death?.['restartInMs'], 0);
});

test('a worker that does not answer hangs nothing: queries time out, and the answer says that it is incomplete', async (t) => {
  const { pool, stats } = lab(t, { on: { query: 'silence' }, brokenLives: 99 });
  await pool.start();
  const before = performance.now();
  await pool.refreshStats();
  assert.deepEqual(stats, []);
  assert.deepEqual(await pool.connections(), { connections: [], truncated: true });
  assert.ok(performance.now() - before >= 1_000, 'it waited for the answer');
});

test('a worker that hangs is killed and replaced', async (t) => {
  const { pool, log } = lab(t, { on: { query: 'silence' }, brokenLives: 1 }, 1, 100);
  await pool.start();
  await waitUntil(() => pool.summaries()[0]?.restarts === 1 && pool.summaries()[0]?.state === 'serving');
  assert.match(log.deaths()[0] ?? '', /killed by the supervisor: hangs: it left 3 questions in a row unanswered/);
});

test('a worker that keeps dying is restarted ever more slowly', async (t) => {
  const { pool, log } = lab(t, { start: 'exit', brokenLives: 7 }, 1);
  await pool.start();
  assert.ok(log.deaths().length >= 7);
  const delays = log.lines.filter(({ message }) => / died$/.test(message)).map((line) => line['restartInMs']);
  assert.deepEqual(delays.slice(0, 7), [0, 0, 0, 0, 0, 250, 500]);
});

test('a worker that cannot be started at all is retried, not fatal', async (t) => {
  const { pool, log } = lab(t, { start: 'exit', brokenLives: 99 });
  const started = pool.start();
  await waitUntil(() => log.deaths().length >= 2);
  assert.notEqual(pool.summaries()[0]?.state, 'serving');
  await pool.drain(1_000, false);
  await started;
  const deaths = log.deaths().length;
  await pool.drain(1_000, false);
  assert.equal(log.deaths().length, deaths, 'nothing restarts after a drain');
});
