/** The two small queues: what overlaps, what is shared, what waits. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KeyedQueue } from '../../../agent/capture/keyed-queue.ts';
import { SerialWriter } from '../../../agent/capture/serial-writer.ts';

describe('SerialWriter', () => {
  test('writes never overlap, a request sees all changes before it, and requests during a write share one', async () => {
    let state = 0;
    let running = 0;
    const written: number[] = [];
    const gates: (() => void)[] = [];
    const writer = new SerialWriter(async () => {
      assert.equal(++running, 1);
      const seen = state;
      await new Promise<void>((resolve) => gates.push(resolve));
      running--;
      written.push(seen);
      return seen;
    });
    state = 1;
    const first = writer.request();
    await Promise.resolve();
    await Promise.resolve();
    state = 2;
    const [second, third] = [writer.request(), writer.request()];
    state = 3;
    while (written.length < 2) {
      gates.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(await first, 1);
    assert.equal(await second, 3);
    assert.equal(await third, 3);
    assert.deepEqual(written, [1, 3]);
  });
});

describe('KeyedQueue', () => {
  test('same key in order, also after a rejection; different keys at once; nothing is kept', async () => {
    const queue = new KeyedQueue();
    const order: string[] = [];
    let release = (): void => {};
    const blocked = queue.run('a', async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      order.push('a1');
      throw new Error('a1 failed');
    });
    const second = queue.run('a', async () => order.push('a2'));
    await queue.run('b', async () => order.push('b1'));
    assert.deepEqual(order, ['b1']);
    release();
    await assert.rejects(blocked, /a1 failed/);
    await second;
    assert.deepEqual(order, ['b1', 'a1', 'a2']);
    await queue.idle();
  });
});
