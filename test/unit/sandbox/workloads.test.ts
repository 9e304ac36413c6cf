import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ExistingPod,
  planPods,
  podMetadata,
  RoundRobin,
  shortHash,
  type WorkloadSet,
} from '../../../sandbox/workloads.ts';
import { pod, workload } from './objects.ts';

function deployment(fields: { replicas?: number; args?: string; strategy?: string; selector?: string } = {}): string {
  const { replicas, args = '[]', strategy = 'RollingUpdate', selector = '{app: echo}' } = fields;
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: shop}
spec:
  ${replicas === undefined ? '' : `replicas: ${replicas}`}
  strategy: {type: ${strategy}}
  selector: {matchLabels: ${selector}}
  template:
    metadata: {labels: {app: echo}}
    spec: {containers: [{name: c, image: echo, args: ${args}}]}
`;
}

function read(text: string): WorkloadSet {
  const { set, problems } = workload(text);
  assert.deepEqual(problems, []);
  assert.ok(set !== null);
  return set;
}

function podsOf(set: WorkloadSet, count: number, ready = true): ExistingPod[] {
  const { namespace, key: owner, hash } = set;
  return Array.from({ length: count }, (_, i) => ({
    uid: `${hash}-${i}`,
    name: `${set.name}-${i}`,
    namespace,
    owner,
    hash,
    ready,
  }));
}

const suffix = (): string => 'xxxxx';

test('a Deployment makes its replicas, one by default, named and labelled after the template', () => {
  const set = read(deployment());
  const plan = planPods([set], [], suffix);
  assert.equal(plan.create.length, 1);
  const [created] = plan.create;
  assert.ok(created !== undefined);
  assert.match(created.name, /^echo-[bcdfghjklmnpqrstvwxz2456789]{10}-xxxxx$/);
  const metadata = podMetadata(created, 'uid', 'now');
  assert.deepEqual(metadata['labels'], { app: 'echo', 'pod-template-hash': set.hash });
  const [owner] = metadata['ownerReferences'] as Record<string, unknown>[];
  assert.equal(owner?.['kind'], 'ReplicaSet');
  assert.equal(owner?.['name'], `echo-${set.hash}`);
  assert.equal(planPods([read(deployment({ replicas: 3 }))], [], suffix).create.length, 3);
  assert.equal(planPods([read(deployment({ replicas: 0 }))], [], suffix).create.length, 0);
});

test('nothing to do when everything is there', () => {
  const set = read(deployment({ replicas: 2 }));
  assert.deepEqual(planPods([set], podsOf(set, 2), suffix), { removeFirst: [], create: [], removeLast: [] });
});

test('scaling down takes unready pods first, then the youngest', () => {
  const set = read(deployment({ replicas: 1 }));
  const [a, b, c] = podsOf(set, 3);
  assert.ok(a && b && c);
  assert.deepEqual(planPods([set], [{ ...a, ready: false }, b, c], suffix).removeFirst, [c.uid, a.uid]);
});

test('a changed template replaces pods: new before old, or old before new with Recreate', () => {
  const old = read(deployment({ replicas: 2 }));
  const rolling = read(deployment({ replicas: 2, args: '[-v]' }));
  const plan = planPods([rolling], podsOf(old, 2), suffix);
  assert.deepEqual([plan.removeFirst.length, plan.create.length, plan.removeLast.length], [0, 2, 2]);
  const recreate = read(deployment({ replicas: 2, args: '[-v]', strategy: 'Recreate' }));
  const again = planPods([recreate], podsOf(old, 2), suffix);
  assert.deepEqual([again.removeFirst.length, again.create.length, again.removeLast.length], [2, 2, 0]);
});

test('a Pod keeps its name and is replaced only when its spec changes', () => {
  const before = read(pod('{name: c, image: echo}'));
  const labelled = read(pod('{name: c, image: echo}').replace('{name: p}', '{name: p, labels: {a: b}}'));
  assert.deepEqual(planPods([labelled], podsOf(before, 1), suffix).create, []);
  const changed = planPods([read(pod('{name: c, image: echo, args: [-v]}'))], podsOf(before, 1), suffix);
  assert.deepEqual([changed.removeFirst.length, changed.create.map(({ name }) => name)], [1, ['p']]);
});

test('pods whose object is gone are removed first', () => {
  const set = read(deployment());
  assert.deepEqual(planPods([], podsOf(set, 1), suffix).removeFirst, [`${set.hash}-0`]);
});

test('the hash does not depend on the order of keys', () => {
  assert.equal(shortHash({ a: 1, b: [{ c: 2, d: 3 }] }, 10), shortHash({ b: [{ d: 3, c: 2 }], a: 1 }, 10));
  assert.notEqual(shortHash({ a: 1 }, 10), shortHash({ a: 2 }, 10));
});

test('a selector that the template does not carry is refused', () => {
  const { problems } = workload(deployment({ selector: '{app: other}' }));
  assert.deepEqual(
    problems.map(({ field, reason }) => [field, reason]),
    [['spec.selector.matchLabels.app', 'the template has no label app: other']],
  );
});

test('pods without a wish go round the nodes', () => {
  const nodes = new RoundRobin(['node-0', 'node-1']);
  assert.deepEqual(
    [nodes.pick(null), nodes.pick('node-0'), nodes.pick(null), nodes.pick(null)],
    ['node-0', 'node-0', 'node-1', 'node-0'],
  );
});
