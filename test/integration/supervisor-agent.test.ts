/** The agent as a process, with its real workers and the real controller, without pods (those are in test/netns). */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { ask, isAlive, Place } from './fixtures/agent-process.ts';
import { waitUntil } from './fixtures/wait-until.ts';

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  clusterIP: 10.96.0.10
  selector: { app: web }
  ports: [{ name: http, port: 80 }]
`;

function place(t: TestContext): Place {
  const made = new Place();
  t.after(() => made.close());
  return made;
}

test('an agent without controller and snapshot serves its API but is not ready, and SIGTERM ends it with 0', async (t) => {
  const lab = place(t);
  const agent = lab.agent('node-1');
  const status = await lab.until('node-1', ({ workers }) => workers.every(({ state }) => state === 'serving'));
  assert.equal(status.workers.length, 2);
  await waitUntil(() => existsSync(lab.cniSocketOf('node-1')));
  for (const socket of [lab.socketOf('node-1'), lab.cniSocketOf('node-1')]) {
    assert.equal(statSync(socket).mode & 0o777, 0o600, socket);
  }
  assert.equal((await ask(lab.socketOf('node-1'), 'GET', '/healthz')).status, 200);
  const ready = await ask(lab.socketOf('node-1'), 'GET', '/ready');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /no configuration yet, neither stored nor from the controller at unix:/);
  assert.equal(await agent.end('SIGTERM'), 0);
  assert.equal(existsSync(lab.socketOf('node-1')), false);
  for (const { pid } of status.workers) assert.equal(isAlive(pid), false);
});

test('an agent of another node on the same run dir is refused with the remedy, and the first goes on', async (t) => {
  const lab = place(t);
  lab.agent('node-1');
  const before = await lab.until('node-1', ({ ready, workers }) => !ready && workers.length === 2);
  await waitUntil(() => existsSync(lab.cniSocketOf('node-1')));
  const second = lab.agent('node-1', '--node', 'node-2');
  assert.equal(await second.ended.then(({ code }) => code), 1);
  assert.match(
    second.err,
    /another agent already serves .*agent\.sock and cannot be replaced now: this agent serves node node-1, not node-2; stop it first, or give this one its own --run-dir/,
  );
  assert.equal((await lab.status('node-1')).pid, before.pid);
});

test('after kill -9 of the supervisor its workers are gone, and the next agent replaces the stale socket', async (t) => {
  const lab = place(t);
  const first = lab.agent('node-1');
  const { workers } = await lab.until('node-1', (status) => status.workers.every(({ state }) => state === 'serving'));
  await first.end('SIGKILL');
  await waitUntil(() => workers.every(({ pid }) => !isAlive(pid)), 'workers end with their supervisor');
  assert.ok(existsSync(lab.socketOf('node-1')), 'the socket file is left behind');
  lab.agent('node-1');
  await lab.until('node-1', ({ pid }) => pid !== first.child.pid);
});

test('a bug in the supervisor is logged and ends it with 1, and its workers with it', async (t) => {
  const lab = place(t);
  const agent = lab.agent('node-1');
  const { workers } = await lab.until('node-1', (status) => status.workers.every(({ state }) => state === 'serving'));
  assert.equal(await agent.end('SIGUSR2'), 1);
  assert.match(agent.err, /"level":"error".*"error":"a bug on request".*"message":"agent exits: uncaught exception"/);
  await waitUntil(() => workers.every(({ pid }) => !isAlive(pid)), 'workers end with their supervisor');
});

test('kill -9 of a worker: it is back at once, the log and the status say why, no counter falls', async (t) => {
  const lab = place(t);
  const agent = lab.agent('node-1');
  const before = await lab.until('node-1', ({ workers }) => workers.every(({ state }) => state === 'serving'));
  const turns = async (): Promise<number> => {
    const { body } = await ask(lab.socketOf('node-1'), 'GET', '/metrics');
    return Number(/^weir_events_total\{event="turns"\} (\d+)$/m.exec(body)?.[1]);
  };
  const turnsBefore = await turns();
  assert.ok(turnsBefore > 0);
  process.kill(before.workers[0]?.pid ?? 0, 'SIGKILL');
  const after = await lab.until(
    'node-1',
    ({ workers }) => workers[0]?.restarts === 1 && workers[0].state === 'serving',
  );
  assert.notEqual(after.workers[0]?.pid, before.workers[0]?.pid);
  assert.equal(after.workers[1]?.pid, before.workers[1]?.pid);
  assert.match(after.workers[0]?.lastExit ?? '', /SIGKILL from outside/);
  assert.ok((await turns()) >= turnsBefore);
  assert.match(agent.err, /"message":"worker 0 died"/);
  assert.match(after.errors.at(-1)?.message ?? '', /worker 0 died: SIGKILL/);
});

test('a worker that hangs up on SIGSTOP does not stop the API: the other one and known values answer', async (t) => {
  const lab = place(t);
  lab.agent('node-1');
  const { workers } = await lab.until('node-1', (status) => status.workers.every(({ state }) => state === 'serving'));
  const stopped = workers[0]?.pid ?? 0;
  process.kill(stopped, 'SIGSTOP');
  t.after(() => isAlive(stopped) && process.kill(stopped, 'SIGKILL'));
  assert.equal((await ask(lab.socketOf('node-1'), 'GET', '/metrics')).status, 200);
  const { body } = await ask(lab.socketOf('node-1'), 'GET', '/connections');
  assert.deepEqual(JSON.parse(body), { connections: [], truncated: true });
});

test('configuration comes from the controller, is stored, and is enough for the next start without it', async (t) => {
  const lab = place(t);
  lab.object('web', SERVICE);
  lab.startController();
  const agent = lab.agent('node-1');
  const connected = await lab.until('node-1', ({ ready, mesh }) => ready && mesh.services === 1);
  assert.equal(connected.controller.connected, true);
  assert.equal((await ask(lab.socketOf('node-1'), 'GET', '/ready')).status, 200);
  const services = JSON.parse((await ask(lab.socketOf('node-1'), 'GET', '/services')).body) as unknown[];
  assert.deepEqual(services, [
    {
      namespace: 'shop',
      name: 'web',
      hostname: 'web.shop.svc.cluster.local',
      addresses: ['10.96.0.10'],
      ports: [{ port: 80, name: 'http', protocol: 'http' }],
      endpoints: { ready: 0, total: 0 },
      routes: [],
    },
  ]);
  await lab.stopController();
  const away = await lab.until('node-1', ({ controller }) => !controller.connected);
  assert.equal(away.ready, true, 'the agent goes on without its controller');
  assert.equal(await agent.end(), 0);
  lab.agent('node-1');
  const restarted = await lab.until('node-1', ({ ready }) => ready);
  assert.equal(restarted.controller.connected, false);
  assert.equal(restarted.mesh.services, 1);
  assert.ok(restarted.snapshot.ageMs !== null);
});

test('requests the API does not know are refused with what it knows, and change nothing', async (t) => {
  const lab = place(t);
  lab.agent('node-1', '--metrics-listen', '127.0.0.1:0', '--log-level', 'info');
  await lab.until('node-1', ({ workers }) => workers.every(({ state }) => state === 'serving'));
  const socket = lab.socketOf('node-1');
  const refused: readonly (readonly [string, string, string, number, RegExp])[] = [
    ['GET', '/nothing', '', 404, /GET \/nothing is not part of the API; it has .*GET \/status/],
    ['POST', '/status', '', 405, /allowed: GET \/status/],
    ['GET', '//status', '', 404, /not part of the API/],
    ['PUT', '/log-level', '{"level":"loud"}', 400, /field level is \\"loud\\"; send one of debug, info, warn, error/],
    ['PUT', '/log-level', '', 400, /field level is nothing/],
    ['PUT', '/access-log', '{"mode":', 400, /not JSON/],
    ['PUT', '/access-log', ' '.repeat(1_048_577), 413, /above 1048576 bytes/],
    ['POST', '/capture/verify', '', 400, /add \?pod=NAMESPACE\/NAME/],
    ['POST', '/capture/verify?pod=a/b', '', 404, /pod a\/b is not enrolled/],
    ['GET', '/access-log/tail?lines=0', '', 400, /lines=0: write a number from 1 to 1000/],
  ];
  for (const [method, path, body, status, message] of refused) {
    const answer = await ask(socket, method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body}`);
    assert.match(answer.body, message);
  }
  const after = await lab.status('node-1');
  assert.deepEqual([after.logLevel, after.accessLog], ['info', 'errors']);
});

test('--metrics-listen serves metrics and health, and nothing that reveals or changes more', async (t) => {
  const lab = place(t);
  const agent = lab.agent('node-1', '--metrics-listen', '127.0.0.1:0');
  await waitUntil(() => /metrics are served/.test(agent.err));
  const port = Number(/"port":(\d+),"message":"metrics are served"/.exec(agent.err)?.[1]);
  const metrics = await ask(port, 'GET', '/metrics');
  assert.equal(metrics.status, 200);
  assert.match(metrics.body, /^weir_build_info\{version="[0-9.]+",node="node-1"\} 1$/m);
  assert.equal((await ask(port, 'GET', '/healthz')).status, 200);
  for (const path of ['/status', '/pods', '/connections', '/access-log/tail']) {
    assert.equal((await ask(port, 'GET', path)).status, 404, path);
  }
  assert.equal((await ask(port, 'PUT', '/log-level', '{"level":"debug"}')).status, 404);
});

test('a taken metrics port, a file in place of the socket and a path too long are told with the flag to change', async (t) => {
  const lab = place(t);
  const first = lab.agent('node-1', '--metrics-listen', '127.0.0.1:0');
  await waitUntil(() => /metrics are served/.test(first.err));
  const port = /"port":(\d+),"message":"metrics are served"/.exec(first.err)?.[1];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--metrics-listen', `127.0.0.1:${port}`], /--metrics-listen 127\.0\.0\.1:\d+: .*EADDRINUSE/],
    [['--run-dir', `${lab.folder}/${'x'.repeat(100)}`], /longer than 107 bytes .*choose a shorter --run-dir/],
    [['--controller-ca', `${lab.folder}/none.pem`], /--controller-ca .*none\.pem: ENOENT/],
  ];
  for (const [flags, message] of cases) {
    const agent = lab.agent('node-2', ...flags);
    assert.equal((await agent.ended).code, 1);
    assert.match(agent.err, message);
  }
});
