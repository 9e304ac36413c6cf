import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import type { RouteStatus } from '../../mesh/route-status.ts';
import { ControlBench, pod, policy, service, until } from './control-harness.ts';

async function bench(t: TestContext): Promise<ControlBench> {
  const control = new ControlBench();
  mkdirSync(control.objects);
  t.after(() => control.close());
  control.write('echo.yaml', service);
  await control.startController();
  return control;
}

test('only the owner may open the sockets of the controller', async (t) => {
  const control = await bench(t);
  assert.equal(statSync(control.adminSocket).mode & 0o777, 0o600);
  assert.equal(statSync(control.target.slice('unix:'.length)).mode & 0o777, 0o600);
});

test('GET /status, GET /objects and POST /sync say what was accepted, refused and why', async (t) => {
  const control = await bench(t);
  const before = (await control.admin('GET', '/status')).body['version'];
  control.write('bad.yaml', `# source: app.yaml:40\n${policy('bad', 'a').replace('rules', 'rule')}`);
  const sync = await control.admin('POST', '/sync');
  assert.equal(sync.status, 200);
  assert.equal(sync.body['version'], before, 'a refused object is no new configuration');
  assert.deepEqual(sync.body['findings'], [
    {
      severity: 'error',
      code: 'UNKNOWN_FIELD',
      file: 'app.yaml',
      line: 45,
      object: 'AuthorizationPolicy demo/bad',
      field: 'spec.rule',
      reason: 'unknown field "rule"',
      remedy: 'did you mean rules?',
    },
  ]);
  const { body } = await control.admin('GET', '/status');
  assert.deepEqual(body['objects'], { accepted: 1, refused: sync.body['findings'], warnings: [], findingsOmitted: 0 });
  const objects = (await control.admin('GET', '/objects')).body['objects'] as { name: string }[];
  assert.deepEqual(
    objects.map((object) => object.name),
    ['echo'],
  );
  control.write('a.yaml', pod('a', '10.0.0.1'));
  assert.equal((await control.admin('POST', '/sync')).body['version'], Number(before) + 1);
});

test('GET /routes says what became of routes, also of a version that was refused', async (t) => {
  const control = await bench(t);
  const route = (backend: string): string =>
    `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: demo, generation: 2}\n` +
    `spec: {parentRefs: [{group: "", kind: Service, name: echo}], rules: [{backendRefs: [${backend}]}]}\n`;
  const conditions = async (): Promise<unknown> => {
    await control.admin('POST', '/sync');
    const { routes } = (await control.admin('GET', '/routes')).body as { routes: readonly RouteStatus[] };
    return routes.flatMap(({ parents }) =>
      parents.flatMap((parent) => parent.conditions.map(({ type, status, reason }) => [type, status, reason])),
    );
  };
  assert.deepEqual(await conditions(), []);
  control.write('r.yaml', route('{name: gone, port: 80}'));
  assert.deepEqual(await conditions(), [
    ['Accepted', 'True', 'Accepted'],
    ['ResolvedRefs', 'False', 'BackendNotFound'],
  ]);
  control.write('r.yaml', route('{name: gone, port: 0}'));
  assert.deepEqual(await conditions(), [['Accepted', 'False', 'UnsupportedValue']]);
});

test('GET /wait: 200 when every agent has the version, 409 with the NACK, 504 when time is up, 400 for nonsense', async (t) => {
  const control = await bench(t);
  const { version } = await control.controller.sync();
  assert.equal((await control.admin('GET', `/wait?version=${version}`)).status, 200, 'nobody to wait for');
  const agent = control.agent();
  agent.client.start();
  await until('the service', () => agent.names().length === 1);
  assert.equal((await control.admin('GET', `/wait?version=${version}&timeoutMs=10000`)).status, 200);
  assert.equal((await control.admin('GET', `/wait?version=${version + 5}&timeoutMs=20`)).status, 504);
  agent.apply = async () => ({ ok: false, error: 'no', resource: null });
  control.write('a.yaml', pod('a', '10.0.0.1'));
  const sync = await control.admin('POST', '/sync');
  const refused = await control.admin('GET', `/wait?version=${String(sync.body['version'])}&timeoutMs=10000`);
  assert.equal(refused.status, 409);
  assert.deepEqual(refused.body['nacks'], [
    { node: 'node-1', resource: 'workload uid-a', error: 'no', version: sync.body['version'] },
  ]);
  for (const query of ['', 'version=x', 'version=-1', 'version=1&timeoutMs=9999999']) {
    assert.equal((await control.admin('GET', `/wait?${query}`)).status, 400, query);
  }
  assert.equal((await control.admin('GET', '/nothing')).status, 404);
});

test('an agent that has gone is shown as gone, and nobody waits for it', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the service', () => agent.names().length === 1);
  await control.settle();
  await agent.client.stop();
  await until('the controller notices', () => control.controller.status().agents[0]?.connected === false);
  control.write('a.yaml', pod('a', '10.0.0.1'));
  await control.settle();
  const [gone] = control.controller.status().agents;
  assert.equal(gone?.node, 'node-1');
  assert.ok((gone?.ackedVersion ?? 0) < control.controller.status().version);
});

test('a stale socket is replaced; a live one and a file are not', async (t) => {
  const control = await bench(t);
  await assert.rejects(control.startController(), /is in use; is another controller running\?/);
  await control.stopController();
  // A process that is killed leaves its socket file behind.
  const bind = "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
  spawnSync(process.execPath, ['-e', bind, control.adminSocket]);
  assert.ok(statSync(control.adminSocket).isSocket());
  await control.startController();
  await control.stopController();
  writeFileSync(control.adminSocket, '');
  await assert.rejects(control.startController(), /exists and is no socket/);
  unlinkSync(control.adminSocket);
  await control.startController();
});
