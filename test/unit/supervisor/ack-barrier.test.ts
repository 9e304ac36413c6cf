import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckBarrier, type AckMember } from '../../../agent/supervisor/ack-barrier.ts';

const first: AckMember = { slot: 0, generation: 1 };
const second: AckMember = { slot: 1, generation: 2 };

test('it waits for every member', async () => {
  const barrier = new AckBarrier([first, second], 1);
  barrier.ack(first, null);
  assert.equal(barrier.settled, false);
  barrier.ack(second, null);
  assert.deepEqual(await barrier.done, { acks: 2, failures: [] });
});

test('a member that dies is not waited for', async () => {
  const barrier = new AckBarrier([first, second], 1);
  barrier.ack(first, null);
  barrier.gone(second);
  assert.deepEqual(await barrier.done, { acks: 1, failures: [] });
});

test('with acksMin 1 it goes on waiting while nobody is left, until one joins and answers', async () => {
  const barrier = new AckBarrier([first], 1);
  barrier.gone(first);
  assert.equal(barrier.settled, false);
  barrier.join(second);
  barrier.ack(second, null);
  assert.deepEqual(await barrier.done, { acks: 1, failures: [] });
});

test('with acksMin 0 nobody to wait for means done', async () => {
  assert.deepEqual(await new AckBarrier([], 0).done, { acks: 0, failures: [] });
});

test('failures are told by slot, and are an end even without an ack', async () => {
  const barrier = new AckBarrier([first, second], 1);
  barrier.ack(first, 'EADDRINUSE');
  barrier.ack(second, 'EMFILE');
  assert.deepEqual(await barrier.done, {
    acks: 0,
    failures: [
      { slot: 0, error: 'EADDRINUSE' },
      { slot: 1, error: 'EMFILE' },
    ],
  });
});

test('an answer of a generation that was not asked, or answers twice, counts for nothing', () => {
  const barrier = new AckBarrier([first, second], 1);
  barrier.ack({ slot: 0, generation: 9 }, null);
  barrier.ack(first, null);
  barrier.ack(first, null);
  assert.equal(barrier.settled, false);
  assert.deepEqual([...barrier.pending], [2]);
});

test('giving up ends the wait with what is there', async () => {
  const barrier = new AckBarrier([first, second], 1);
  barrier.ack(first, null);
  barrier.giveUp();
  assert.deepEqual(await barrier.done, { acks: 1, failures: [] });
  assert.equal(barrier.pending.size, 1);
});
