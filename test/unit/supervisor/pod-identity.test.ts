import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PodReference } from '../../../agent/capture/enrolment-types.ts';
import { awaitIdentity, findIdentity, type WorkloadSource } from '../../../agent/supervisor/pod-identity.ts';
import type { Workload } from '../../../mesh/model.ts';

class Source implements WorkloadSource {
  workloads: Workload[] = [];
  readonly listeners = new Set<() => void>();

  byUid(uid: string): Workload | null {
    return this.workloads.find((workload) => workload.uid === uid) ?? null;
  }
  byName(name: string): Workload | null {
    return this.workloads.find((workload) => `${workload.namespace}/${workload.name}` === name) ?? null;
  }
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  add(workload: Workload): void {
    this.workloads.push(workload);
    for (const listener of this.listeners) listener();
  }
}

function workload(change: Partial<Workload> = {}): Workload {
  return {
    kind: 'workload',
    uid: 'uid-1',
    namespace: 'shop',
    name: 'web-0',
    serviceAccount: 'web',
    node: 'node-1',
    addresses: [],
    ready: false,
    hostNetwork: false,
    labels: {},
    annotations: { 'weir.dev/exclude-inbound-ports': '22' },
    workloadName: 'web',
    canonicalName: 'web',
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services: {},
    ...change,
  };
}

const reference: PodReference = { namespace: 'shop', name: 'web-0', uid: 'uid-1' };
const identity = { uid: 'uid-1', serviceAccount: 'web', annotations: { 'weir.dev/exclude-inbound-ports': '22' } };
const CONNECTED = { connected: true, target: 'unix:/x', lastError: null };
const AWAY = { connected: false, target: 'unix:/x', lastError: 'ECONNREFUSED' };

function wait(
  source: Source,
  pod: PodReference,
  waitMs: number,
  controller = CONNECTED as typeof AWAY | typeof CONNECTED,
) {
  return awaitIdentity(pod, 'node-1', source, () => controller, waitMs);
}

test('a known pod is answered at once, by uid or (podman) by name', async () => {
  const source = new Source();
  source.add(workload());
  assert.deepEqual(await wait(source, reference, 0), { ok: true, value: identity });
  assert.deepEqual(await wait(source, { ...reference, uid: null }, 0), { ok: true, value: identity });
});

test('an unknown pod is answered as soon as the controller has sent it, and nothing is left behind', async () => {
  const source = new Source();
  const answer = wait(source, reference, 60_000);
  source.add(workload({ uid: 'uid-other', name: 'other' }));
  source.add(workload());
  assert.deepEqual(await answer, { ok: true, value: identity });
  assert.equal(source.listeners.size, 0);
});

test('a new pod never gets the identity of an earlier one of the same name', async () => {
  const source = new Source();
  source.add(workload({ uid: 'uid-old' }));
  const result = await wait(source, reference, 1);
  assert.ok(!result.ok);
  assert.equal(result.error.code, 'IDENTITY_UNKNOWN');
  assert.equal(result.error.retryable, true);
  assert.match(result.error.message, /shop\/web-0 \(uid uid-1\).*only for uid uid-old, an earlier pod/);
});

test('after the wait the message tells whether the controller was away', async () => {
  const connected = await wait(new Source(), reference, 1);
  assert.ok(!connected.ok);
  assert.match(connected.error.message, /unix:\/x has not sent it/);
  const away = await wait(new Source(), reference, 1, AWAY);
  assert.ok(!away.ok);
  assert.match(away.error.message, /unix:\/x is not connected: ECONNREFUSED/);
});

const REFUSED: readonly (readonly [string, Partial<Workload>, RegExp])[] = [
  ['of another node', { node: 'node-2' }, /has it on node node-2, this agent is node node-1/],
  ['not scheduled yet', { node: '' }, /has it on no node yet/],
  ['on the host network', { hostNetwork: true }, /hostNetwork: true/],
  ['with the uid of a pod of another name', { name: 'db-0' }, /the API server calls it shop\/db-0/],
];

for (const [what, change, reason] of REFUSED) {
  test(`a pod ${what} is refused without waiting`, async () => {
    const source = new Source();
    source.add(workload(change));
    assert.equal(findIdentity(reference, 'node-1', source).state, 'refused');
    const result = await wait(source, reference, 60_000);
    assert.ok(!result.ok);
    assert.match(result.error.message, reason);
    assert.equal(source.listeners.size, 0);
  });
}
