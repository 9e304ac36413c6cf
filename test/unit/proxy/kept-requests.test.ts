/** Buffers for kept requests: of few sizes, used again, as many as the bounds say, and paid for by the pod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_CAPS } from '../../../agent/ipc/caps.ts';
import { limits } from '../../../agent/limits.ts';
import { KeptRequests } from '../../../agent/proxy/replay.ts';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';
import { PodUsage, WorkerUsage } from '../../../agent/upstream/usage.ts';

function usage(): PodUsage {
  const worker = new WorkerUsage(DEFAULT_CAPS, new BoundCounters());
  worker.podAdded();
  return new PodUsage(1, worker);
}

test('a buffer is as long as is asked for, is charged with its length, and is used again', () => {
  const [buffers, pod] = [new KeptRequests(), usage()];
  for (const octets of [1, 512, 513, 4_096, 4_097, 16_384, 40_000, limits.headBytesMax]) {
    const first = buffers.borrow(pod, octets);
    assert.ok(first !== null && first.length >= octets, `${octets}`);
    assert.equal(pod.bufferedBytes, first.length);
    buffers.release(pod, first);
    assert.equal(pod.bufferedBytes, 0);
    assert.equal(buffers.borrow(pod, octets), first, `${octets}: the same again`);
    buffers.release(pod, first);
  }
});

test('two that are borrowed at the same time are two', () => {
  const [buffers, pod] = [new KeptRequests(), usage()];
  const all = Array.from({ length: 10 }, () => buffers.borrow(pod, 30_000));
  assert.equal(new Set(all).size, 10);
});

test('what is free is bounded, and longer ones are made to measure and not kept', () => {
  const [buffers, pod] = [new KeptRequests(), usage()];
  const borrowed = Array.from({ length: limits.headBuffersMax + 5 }, () => buffers.borrow(pod, 40_000) as Buffer);
  for (const buffer of borrowed) buffers.release(pod, buffer);
  const again = new Set(Array.from({ length: borrowed.length }, () => buffers.borrow(pod, 40_000) as Buffer));
  assert.equal(borrowed.filter((buffer) => again.has(buffer)).length, limits.headBuffersMax);
  const long = buffers.borrow(pod, limits.headBytesMax + 10_000) as Buffer;
  assert.equal(long.length, limits.headBytesMax + 10_000);
  buffers.release(pod, long);
  assert.notEqual(buffers.borrow(pod, limits.headBytesMax + 10_000), long);
});
