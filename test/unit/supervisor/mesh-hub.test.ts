import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MeshDelta, Service, Workload } from '../../../mesh/model.ts';
import { FRAME_HEADER_BYTES } from '../../../agent/ipc/frame.ts';
import { fullStateFrames, MeshHub } from '../../../agent/supervisor/mesh-hub.ts';
import { MeshState } from '../../../mesh/state.ts';
import { serviceEntry } from '../mesh/resources.ts';
import { isSettled, RecordingLink } from './recording-link.ts';

function workload(name: string): Workload {
  return {
    kind: 'workload',
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    serviceAccount: 'default',
    node: 'node-1',
    addresses: [],
    ready: false,
    hostNetwork: false,
    labels: {},
    annotations: {},
    workloadName: name,
    canonicalName: name,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services: {},
  };
}

function upsert(...names: string[]): MeshDelta {
  return { upserts: names.map(workload), removals: [] };
}

/** Answers what the link has been sent and not yet answered. */
function answer(hub: MeshHub, link: RecordingLink, error: string | null = null): void {
  for (const message of link.sent.splice(0)) {
    if (message.type === 'meshDelta') hub.onMessage(link, { type: 'meshApplied', sequence: message.sequence, error });
  }
}

test('apply resolves when every live worker has applied', async () => {
  const hub = new MeshHub();
  const links = [new RecordingLink(0, 1), new RecordingLink(1, 2)] as const;
  for (const link of links) {
    const caughtUp = hub.welcome(link);
    answer(hub, link);
    await caughtUp;
  }
  const applied = hub.apply(upsert('web'));
  assert.deepEqual(links[0].sent, [{ type: 'meshDelta', sequence: 1, delta: upsert('web') }]);
  answer(hub, links[0]);
  assert.equal(await isSettled(applied), false);
  answer(hub, links[1]);
  assert.deepEqual(await applied, { ok: true });
  assert.equal(hub.byUid('uid-web')?.name, 'web');
});

test('a worker that dies while applying does not hold the change up, and gets all of it when it is back', async () => {
  const hub = new MeshHub();
  const link = new RecordingLink(0, 1);
  void hub.welcome(link);
  answer(hub, link);
  const applied = hub.apply(upsert('web'));
  hub.farewell(link);
  assert.deepEqual(await applied, { ok: true });
  const again = new RecordingLink(0, 2);
  const caughtUp = hub.welcome(again);
  const first = again.sent[0];
  assert.ok(first?.type === 'meshDelta');
  assert.equal(first.sequence, 1);
  assert.deepEqual(first.delta.upserts, [workload('web')]);
  answer(hub, again);
  await caughtUp;
});

test('a delta that is refused reaches no worker and changes nothing', async () => {
  const hub = new MeshHub();
  const link = new RecordingLink(0, 1);
  void hub.welcome(link);
  answer(hub, link);
  const bad = { kind: 'service', namespace: 'shop', name: 'web' } as unknown as Service;
  const result = await hub.apply({ upserts: [workload('web'), bad], removals: [] });
  assert.ok(!result.ok);
  assert.deepEqual(result.resource, { kind: 'service', key: 'shop/web' });
  assert.deepEqual(link.sent, []);
  assert.deepEqual(hub.resources(), []);
});

test('a worker that refuses what the supervisor accepted is restarted', async () => {
  const hub = new MeshHub();
  const link = new RecordingLink(0, 1);
  void hub.welcome(link);
  answer(hub, link);
  const applied = hub.apply(upsert('web'));
  answer(hub, link, 'workload uid-web: no');
  assert.match(link.killed ?? '', /refused mesh change 1 .* workload uid-web: no/);
  hub.farewell(link);
  assert.deepEqual(await applied, { ok: true });
});

test('an answer to the full state is not taken for the answer to a change that was sent after it', async () => {
  const hub = new MeshHub();
  await hub.apply(upsert('web'));
  const link = new RecordingLink(0, 1);
  const caughtUp = hub.welcome(link);
  const applied = hub.apply(upsert('db'));
  const [full, change] = link.sent;
  assert.ok(full?.type === 'meshDelta' && change?.type === 'meshDelta');
  hub.onMessage(link, { type: 'meshApplied', sequence: full.sequence, error: null });
  await caughtUp;
  assert.equal(await isSettled(applied), false);
  hub.onMessage(link, { type: 'meshApplied', sequence: change.sequence, error: null });
  assert.deepEqual(await applied, { ok: true });
});

test('a new worker has caught up only when it has applied every frame of the state', async () => {
  const hub = new MeshHub(1);
  await hub.apply(upsert('web', 'db'));
  const link = new RecordingLink(0, 1);
  const caughtUp = hub.welcome(link);
  assert.equal(link.sent.length, 2);
  hub.onMessage(link, { type: 'meshApplied', sequence: 1, error: null });
  assert.equal(await isSettled(caughtUp), false);
  hub.onMessage(link, { type: 'meshApplied', sequence: 1, error: null });
  await caughtUp;
});

test('a whole state is split into frames near the bound that carry every resource once, in order', () => {
  const resources = Array.from({ length: 50 }, (_, i) => workload(`pod-${i}`));
  const one = JSON.stringify(resources[0]).length;
  const frames = fullStateFrames(resources, [], 7, one * 10);
  assert.ok(frames.length >= 5, `${frames.length} frames`);
  const seen = frames.flatMap((frame) => {
    assert.ok(frame.length < one * 12);
    const message = JSON.parse(frame.subarray(FRAME_HEADER_BYTES).toString('utf8')) as { delta: MeshDelta };
    return message.delta.upserts;
  });
  assert.deepEqual(seen, resources);
  assert.equal(fullStateFrames([], [], 0, 10).length, 1);
});

describe('answers of DNS', () => {
  const entry = serviceEntry({ name: 'e', resolution: 'DNS' });
  const answers = (...addresses: string[]) => [{ name: 'api.example.com', addresses }];
  const told = (link: RecordingLink) =>
    link.sent.flatMap((message) => (message.type === 'meshDelta' ? [message.delta.answers ?? []] : []));

  test('go to every worker, and to one that starts later with the rest of the state', async () => {
    const hub = new MeshHub(1);
    await hub.apply({ upserts: [entry, workload('web')], removals: [] });
    const first = new RecordingLink(0, 1);
    void hub.welcome(first);
    first.sent.splice(0);
    void hub.apply({ upserts: [], removals: [], answers: answers('203.0.113.1') });
    assert.deepEqual(told(first), [answers('203.0.113.1')]);
    const second = new RecordingLink(0, 2);
    void hub.welcome(second);
    assert.deepEqual(told(second), [[], answers('203.0.113.1')], 'in the last frame, when the entry is there');
    const mesh = new MeshState();
    for (const message of second.sent) if (message.type === 'meshDelta') assert.ok(mesh.apply(message.delta).ok);
    const endpoints = mesh.resolveHost(null, 'api.example.com', 80, 4)?.target.cluster.endpoints;
    assert.deepEqual(
      endpoints?.map(({ address }) => address),
      ['203.0.113.1'],
    );
  });

  test('that make no difference are told to nobody', async () => {
    const hub = new MeshHub();
    await hub.apply({ upserts: [entry], removals: [], answers: answers('203.0.113.1', '203.0.113.2') });
    const link = new RecordingLink(0, 1);
    void hub.welcome(link);
    link.sent.splice(0);
    const same = await hub.apply({ upserts: [], removals: [], answers: answers('203.0.113.2', '203.0.113.1') });
    const unneeded = [{ name: 'other.test', addresses: [] }];
    assert.deepEqual(
      [same, await hub.apply({ upserts: [], removals: [], answers: unneeded })],
      [{ ok: true }, { ok: true }],
    );
    assert.deepEqual(link.sent, []);
  });
});
