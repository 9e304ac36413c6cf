import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ControlBench, pod, policy, route, service, until } from './control-harness.ts';

async function bench(t: TestContext): Promise<ControlBench> {
  const control = new ControlBench();
  mkdirSync(control.objects);
  t.after(() => control.close());
  control.write('echo.yaml', service);
  control.write('a.yaml', pod('a', '10.0.0.1'));
  control.write('b.yaml', pod('b', '10.0.0.2'));
  control.write('policy.yaml', policy('only-web', 'web'));
  control.write('route.yaml', route('split', 80));
  await control.startController();
  return control;
}

const ALL = [
  'authorizationPolicy demo/only-web',
  'httpRoute demo/split',
  'service demo/echo',
  'workload demo/a',
  'workload demo/b',
];

test('an agent gets everything, then only what changes, then removals', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === ALL.length);
  assert.deepEqual(agent.names(), ALL);
  assert.equal(agent.client.status().connected, true);
  assert.deepEqual(agent.mesh.workloadByUid('uid-a')?.services, {
    'demo/echo': [{ servicePort: 80, targetPort: 8080 }],
  });
  await control.settle();

  agent.deltas.length = 0;
  control.write('b.yaml', pod('b', '10.0.0.3'));
  await control.settle();
  assert.deepEqual(
    agent.deltas.map((delta) => delta.upserts.map((resource) => resource.name)),
    [['b']],
  );
  assert.deepEqual(agent.mesh.workloadByUid('uid-b')?.addresses, ['10.0.0.3']);

  agent.deltas.length = 0;
  control.remove('b.yaml');
  await control.settle();
  assert.deepEqual(agent.deltas, [{ upserts: [], removals: [{ kind: 'workload', key: 'uid-b' }] }]);
  assert.ok(!agent.names().includes('workload demo/b'));
});

test('policies arrive before workloads and routes, and leave after them', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === ALL.length);
  const kinds = (): string[][] =>
    agent.deltas.map((delta) => [...new Set([...delta.upserts, ...delta.removals].map(({ kind }) => kind))].sort());
  assert.deepEqual(kinds(), [['authorizationPolicy'], ['service', 'workload'], ['httpRoute']]);
  await control.settle();
  agent.deltas.length = 0;
  for (const name of ['echo.yaml', 'a.yaml', 'b.yaml', 'policy.yaml', 'route.yaml']) control.remove(name);
  await control.settle();
  assert.deepEqual(kinds(), [['httpRoute'], ['service', 'workload'], ['authorizationPolicy']]);
  assert.deepEqual(agent.names(), []);
});

test('after a restart of the controller the agent is told only what differs from what it holds', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === ALL.length);
  await control.settle();

  await control.stopController();
  await until('the loss is noticed', () => !agent.client.status().connected);
  assert.match(agent.client.status().lastError ?? '', /shutting down|closed|ECONN|ENOENT|No connection/);
  assert.deepEqual(agent.names(), ALL, 'nothing is lost while the controller is away');
  agent.deltas.length = 0;
  control.remove('a.yaml');
  control.write('c.yaml', pod('c', '10.0.0.9'));
  await control.startController();
  await until('the agent is back', () => agent.client.status().connected);
  await control.settle();
  assert.deepEqual(
    agent.deltas.flatMap((delta) => [
      ...delta.upserts.map((resource) => `+${resource.name}`),
      ...delta.removals.map((key) => `-${key.key}`),
    ]),
    ['+c', '-uid-a'],
  );
});

test('an agent starts from its snapshot without a controller, and later hears only what changed', async (t) => {
  const control = await bench(t);
  const first = control.agent();
  first.client.start();
  await until('the first snapshot', () => first.names().length === ALL.length);
  await control.settle();
  await first.close();
  await control.stopController();
  assert.equal(statSync(join(control.folder, 'node-1.json')).mode & 0o777, 0o600);

  const second = control.agent();
  second.client.start();
  assert.equal(second.loadError, null);
  assert.deepEqual(second.names(), ALL);
  assert.deepEqual(second.mesh.list('workload'), first.mesh.list('workload'));
  await control.startController();
  await until('the agent is connected', () => second.client.status().connected);
  await control.settle();
  assert.deepEqual(second.deltas, []);
});

test('a corrupt snapshot is set aside with a clear error, and the agent starts empty', async (t) => {
  const control = await bench(t);
  const first = control.agent();
  first.client.start();
  await until('the first snapshot', () => first.names().length === ALL.length);
  await first.close();
  const path = join(control.folder, 'node-1.json');
  const bytes = readFileSync(path);
  const half = Math.floor(bytes.length / 2);
  bytes[half] = (bytes[half] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  const second = control.agent();
  assert.match(second.loadError ?? '', /does not match its checksum; it was moved to .*\.corrupt, starting without/);
  assert.deepEqual(second.names(), []);
  second.client.start();
  await until('everything again', () => second.names().length === ALL.length);
});

test('a refused resource is remembered with its reason, the others of its response arrive, and it comes back when it changes', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === ALL.length);
  await control.settle();

  agent.apply = async (delta) => {
    const bad = delta.upserts.find((resource) => resource.name === 'bad');
    if (bad === undefined) return agent.mesh.apply(delta);
    return { ok: false, error: 'cannot compile', resource: { kind: 'authorizationPolicy', key: 'demo/bad' } };
  };
  control.write('bad.yaml', policy('bad', 'x'));
  control.write('good.yaml', policy('good', 'y'));
  await control.settle();
  assert.ok(agent.names().includes('authorizationPolicy demo/good'));
  assert.ok(!agent.names().includes('authorizationPolicy demo/bad'));
  const status = control.controller.status();
  assert.deepEqual(
    status.agents.map((each) => each.nacks.map(({ resource, error }) => ({ resource, error }))),
    [[{ resource: 'authorizationPolicy demo/bad', error: 'cannot compile' }]],
  );
  assert.equal(status.agents[0]?.ackedVersion, status.version);
  assert.equal(agent.client.status().nacks.at(-1)?.resource, 'authorizationPolicy demo/bad');

  agent.deltas.length = 0;
  control.write('other.yaml', policy('other', 'z'));
  await control.settle();
  assert.ok(!agent.deltas.some((delta) => delta.upserts.some((resource) => resource.name === 'bad')), 'not sent again');

  agent.apply = async (delta) => agent.mesh.apply(delta);
  control.write('bad.yaml', policy('bad', 'x2'));
  await control.settle();
  assert.ok(agent.names().includes('authorizationPolicy demo/bad'));
  assert.deepEqual(control.controller.status().agents[0]?.nacks, []);
});

test('several agents get the same, and one that is slow does not hold up the others', async (t) => {
  const control = await bench(t);
  const [quick, slow] = [control.agent('quick'), control.agent('slow')];
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => (release = resolve));
  slow.apply = async (delta) => {
    await gate;
    return slow.mesh.apply(delta);
  };
  quick.client.start();
  slow.client.start();
  await until('the quick agent is complete', () => quick.names().length === ALL.length);
  assert.deepEqual(slow.names(), []);
  const { version } = await control.controller.sync();
  assert.equal(await control.controller.wait(version, 50), 'timeout');
  release();
  assert.equal(await control.controller.wait(version, 20_000), 'acked');
  assert.deepEqual(slow.names(), ALL);
});

test('a controller that restarts over a broken file does not make agents drop what the file held', async (t) => {
  const control = await bench(t);
  const agent = control.agent();
  agent.client.start();
  await until('the first snapshot', () => agent.names().length === ALL.length);
  await control.settle();
  await control.stopController();
  control.write('policy.yaml', 'apiVersion: [');
  control.write('route.yaml', route('split', 80).replace('rules', 'rulez'));
  control.remove('b.yaml');
  await control.startController();
  await until('the agent is back', () => agent.client.status().connected);
  await control.settle();
  assert.deepEqual(
    agent.names(),
    ALL.filter((name) => name !== 'workload demo/b'),
  );

  agent.deltas.length = 0;
  control.write('policy.yaml', policy('only-web', 'web'));
  control.remove('route.yaml');
  await control.settle();
  assert.deepEqual(agent.names(), ['authorizationPolicy demo/only-web', 'service demo/echo', 'workload demo/a']);
  assert.ok(
    !agent.deltas.some((delta) => delta.removals.some((key) => key.kind === 'authorizationPolicy')),
    'the policy was never away',
  );
});
