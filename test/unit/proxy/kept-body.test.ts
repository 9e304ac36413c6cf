/** A request's body kept to be sent again: what is kept is what came, and every octet of room is booked and given back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DEFAULT_CAPS } from '../../../agent/ipc/caps.ts';
import { limits } from '../../../agent/limits.ts';
import { KeptBody } from '../../../agent/proxy/kept-body.ts';
import { KeptRequests } from '../../../agent/proxy/replay.ts';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';
import { PodUsage, WorkerUsage } from '../../../agent/upstream/usage.ts';

function usage(bufferedBytes: number): PodUsage {
  const caps = { ...DEFAULT_CAPS, pod: { ...DEFAULT_CAPS.pod, bufferedBytes } };
  return new PodUsage(0, new WorkerUsage(caps, new BoundCounters()));
}

const OCTETS = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7) & 0xff));

describe('a kept body', () => {
  for (const piece of [1, 100, 511, 4_096, 65_535]) {
    test(`in pieces of ${piece} octets is what came`, () => {
      const pod = usage(1_000_000);
      const body = new KeptBody(new KeptRequests(), pod);
      const max = limits.http2WaitingBodyBytesMax;
      for (let at = 0; at < max; at += piece) assert.ok(body.add(OCTETS, at, Math.min(piece, max - at), max));
      assert.equal(body.length, max);
      assert.ok(body.octets.subarray(0, max).equals(OCTETS.subarray(0, max)));
      assert.ok(pod.bufferedBytes >= max);
      body.drop();
      assert.equal(pod.bufferedBytes, 0);
      assert.equal(body.length, 0);
    });
  }

  test('beyond its bound is not kept at all', () => {
    const pod = usage(1_000_000);
    const body = new KeptBody(new KeptRequests(), pod);
    assert.ok(body.add(OCTETS, 0, limits.replayBytesMax, limits.replayBytesMax));
    assert.equal(body.add(OCTETS, 0, 1, limits.replayBytesMax), false);
    assert.equal(body.whole, false);
    assert.equal(pod.bufferedBytes, 0);
    assert.equal(body.add(OCTETS, 0, 1, limits.replayBytesMax), false);
  });

  test('is not kept when the pod may hold no more, which counts as no refusal', () => {
    const pod = usage(1_000);
    const body = new KeptBody(new KeptRequests(), pod);
    assert.ok(body.add(OCTETS, 0, 500, limits.replayBytesMax));
    assert.equal(body.add(OCTETS, 0, 500, limits.replayBytesMax), false);
    assert.equal(pod.bufferedBytes, 0);
    assert.equal(pod.shed.buffered, 0);
  });
});
