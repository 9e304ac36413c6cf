/** A pod's account: what is booked comes back, refusals are counted where they belong, reads shrink before anything is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Caps, DEFAULT_CAPS } from '../../../agent/ipc/caps.ts';
import { limits } from '../../../agent/limits.ts';
import {
  admitConnection,
  admitDial,
  admitRequest,
  bufferRefusal,
  requestEnded,
} from '../../../agent/proxy/admission.ts';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';
import { PodUsage, WorkerUsage } from '../../../agent/upstream/usage.ts';

const MIB = 1024 * 1024;

function pods(count: number, change: { pod?: Partial<Caps['pod']>; worker?: Partial<Caps['worker']> } = {}) {
  const bounds = new BoundCounters();
  const caps = { pod: { ...DEFAULT_CAPS.pod, ...change.pod }, worker: { ...DEFAULT_CAPS.worker, ...change.worker } };
  const worker = new WorkerUsage(caps, bounds);
  const made = Array.from({ length: count }, (_, index) => {
    worker.podAdded();
    return { usage: new PodUsage(index + 1, worker) };
  });
  return { bounds, worker, pods: made as [{ usage: PodUsage }, ...{ usage: PodUsage }[]] };
}

test('requests: up to the cap, then POD_LIMIT_REQUESTS until one ends', () => {
  const {
    bounds,
    pods: [pod],
  } = pods(1, { pod: { requests: 2 } });
  assert.equal(admitRequest(pod), null);
  assert.equal(admitRequest(pod), null);
  assert.deepEqual(admitRequest(pod), { reason: 'POD_LIMIT_REQUESTS', flags: 'UO' });
  requestEnded(pod);
  assert.equal(admitRequest(pod), null);
  assert.deepEqual(bounds.hits(), { requestsPerPodMax: 1 });
  assert.equal(pod.usage.shed.requests, 1);
});

test('requests: at the bound of the worker the heavy pod is told OVERLOADED, a quiet one is served', () => {
  const {
    bounds,
    pods: [heavy, quiet],
  } = pods(2, { worker: { requests: 100 }, pod: { requests: 100 } });
  let served = 0;
  while (admitRequest(heavy) === null) served++;
  assert.ok(served >= 50 && served < 75, `${served}`);
  assert.equal(admitRequest(heavy)?.reason, 'OVERLOADED');
  for (let i = 0; i < 12; i++) assert.equal(admitRequest(quiet as typeof heavy), null);
  assert.equal(heavy.usage.shed.overloaded, 2);
  assert.deepEqual(bounds.hits(), { requestsPerWorkerMax: 2 });
});

test('connections and dials have bounds of their own', () => {
  const {
    pods: [pod],
  } = pods(1, { pod: { connections: 1, pending: 1 } });
  assert.equal(admitConnection(pod), true);
  pod.usage.setConnections(1);
  assert.equal(admitConnection(pod), false);
  assert.equal(admitDial(pod), null);
  pod.usage.dialStarted();
  assert.equal(admitDial(pod)?.reason, 'POD_LIMIT_PENDING');
  pod.usage.dialEnded();
  assert.equal(admitDial(pod), null);
  assert.deepEqual({ ...pod.usage.shed }, { connections: 1, requests: 0, pending: 1, buffered: 0, overloaded: 0 });
});

test('octets: all or nothing, and reads become small from half of the cap on', () => {
  const {
    worker,
    pods: [pod],
  } = pods(1, { pod: { bufferedBytes: MIB } });
  assert.equal(pod.usage.readBytesMax, limits.readBufferBytes);
  assert.equal(pod.usage.hold(MIB / 2), true);
  assert.equal(pod.usage.readBytesMax, limits.readBufferBytes);
  assert.equal(pod.usage.hold(1), true);
  assert.equal(pod.usage.readBytesMax, limits.squeezedReadBytes);
  assert.equal(pod.usage.hold(MIB), false);
  assert.equal(bufferRefusal(pod).reason, 'POD_LIMIT_BUFFERED');
  assert.equal(worker.buffered.total, MIB / 2 + 1);
  pod.usage.release(MIB / 2 + 1);
  assert.equal(worker.buffered.total, 0);
});

test('octets: pods together never hold more than the worker may, and who holds little may hold on', () => {
  const { worker, pods: all } = pods(8, { pod: { bufferedBytes: 16 * MIB }, worker: { bufferedBytes: 16 * MIB } });
  const [quiet, ...greedy] = all;
  for (let round = 0; round < 1_000; round++) for (const pod of greedy) pod.usage.hold(65_536);
  assert.ok(worker.buffered.total <= 16 * MIB);
  assert.ok(greedy.every((pod) => pod.usage.shed.overloaded > 0));
  assert.equal(quiet.usage.hold(65_536), true);
  const refused = greedy.find((pod) => !pod.usage.hold(65_536));
  assert.ok(refused !== undefined);
  assert.equal(bufferRefusal(refused).reason, 'OVERLOADED');
});

test('a pod that is shed for its use of CPU gets neither connections nor requests', () => {
  const {
    bounds,
    pods: [pod],
  } = pods(1);
  pod.usage.shedForCpu = true;
  assert.equal(admitConnection(pod), false);
  assert.equal(admitRequest(pod)?.reason, 'OVERLOADED');
  assert.equal(pod.usage.requests, 0);
  assert.deepEqual(bounds.hits(), { saturatedAfterMs: 2 });
});
