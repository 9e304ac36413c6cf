import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EnrolledPod } from '../../../agent/ipc/messages.ts';
import { PodTable } from '../../../agent/supervisor/pod-table.ts';
import { isSettled, RecordingLink } from './recording-link.ts';

const NETNS = '/run/netns/a';

function pod(name: string): EnrolledPod {
  return { uid: `uid-${name}`, namespace: 'shop', name, serviceAccount: 'default', addresses: ['10.0.0.1'] };
}

function table(): { pods: PodTable; errors: string[] } {
  const errors: string[] = [];
  const pods = new PodTable((entry, slot, error) => errors.push(`${entry.pod.name}@${slot}: ${error}`));
  return { pods, errors };
}

function listening(pods: PodTable, worker: RecordingLink, index: number, error: string | null = null): void {
  pods.onMessage(worker, { type: 'podListening', index, error });
}

test('listen resolves when all live workers listen', async () => {
  const { pods } = table();
  const [a, b] = [new RecordingLink(0, 1), new RecordingLink(1, 2)];
  await Promise.all([pods.welcome(a), pods.welcome(b)]);
  const listened = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  assert.deepEqual([a.take(), b.take()], [['podAdd'], ['podAdd']]);
  listening(pods, a, 1);
  assert.equal(await isSettled(listened), false);
  listening(pods, b, 1);
  assert.deepEqual(await listened, { ok: true, value: undefined });
});

test('one worker that cannot listen fails the whole, and the message names it and the cause', async () => {
  const { pods } = table();
  const [a, b] = [new RecordingLink(0, 1), new RecordingLink(1, 2)];
  await Promise.all([pods.welcome(a), pods.welcome(b)]);
  const listened = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  listening(pods, a, 1);
  listening(pods, b, 1, 'EADDRINUSE on 15001');
  const result = await listened;
  assert.ok(!result.ok);
  assert.equal(result.error.code, 'LISTENERS_FAILED');
  assert.match(result.error.message, /shop\/web in \/run\/netns\/a .*worker 1: EADDRINUSE on 15001/);
  // A repair asks only the worker that does not listen: the other one's connections must live.
  a.take();
  b.take();
  const repaired = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  assert.deepEqual([a.take(), b.take()], [[], ['podAdd']]);
  listening(pods, b, 1);
  assert.ok((await repaired).ok);
});

test('a worker that dies while it is asked does not hold up the rest', async () => {
  const { pods } = table();
  const [a, b] = [new RecordingLink(0, 1), new RecordingLink(1, 2)];
  await Promise.all([pods.welcome(a), pods.welcome(b)]);
  const listened = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  listening(pods, a, 1);
  pods.farewell(b);
  assert.ok((await listened).ok);
});

test('with no worker alive listen waits for one that comes, and is answered by it', async () => {
  const { pods } = table();
  const listened = pods.listen(1, pod('web'), NETNS);
  assert.equal(await isSettled(listened), false);
  const a = new RecordingLink(0, 1);
  const caughtUp = pods.welcome(a);
  assert.deepEqual(a.take(), ['podAdd']);
  assert.equal(await isSettled(caughtUp), false);
  listening(pods, a, 1);
  await caughtUp;
  assert.ok((await listened).ok);
});

test('a restarted worker gets every pod again, and a failure then is told', async () => {
  const { pods, errors } = table();
  const a = new RecordingLink(0, 1);
  await pods.welcome(a);
  for (const [index, name] of [
    [1, 'web'],
    [2, 'db'],
  ] as const) {
    const listened = pods.listen(index, pod(name), NETNS);
    await isSettled(Promise.resolve());
    listening(pods, a, index);
    assert.ok((await listened).ok);
  }
  pods.farewell(a);
  const again = new RecordingLink(0, 2);
  const caughtUp = pods.welcome(again);
  assert.deepEqual(again.take(), ['podAdd', 'podAdd']);
  listening(pods, again, 1);
  assert.equal(await isSettled(caughtUp), false);
  listening(pods, again, 2, 'ENOENT');
  await caughtUp;
  assert.deepEqual(errors, ['db@0: ENOENT']);
  assert.equal(pods.get(2)?.listeners.get(0), 'ENOENT');
});

test('an index is given out again only after every worker let go of it', async () => {
  const { pods } = table();
  const a = new RecordingLink(0, 1);
  await pods.welcome(a);
  const first = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  listening(pods, a, 1);
  await first;
  const gone = pods.unlisten(1);
  const next = pods.listen(1, pod('other'), '/run/netns/b');
  await isSettled(next);
  assert.deepEqual(a.take(), ['podAdd', 'podRemove']);
  pods.onMessage(a, { type: 'podGone', index: 1 });
  await gone;
  await isSettled(Promise.resolve());
  assert.deepEqual(a.take(), ['podAdd']);
  listening(pods, a, 1);
  assert.ok((await next).ok);
  assert.equal(pods.get(1)?.pod.name, 'other');
});

test('removing a pod ends the wait for its listeners, and a new worker does not wait for it either', async () => {
  const { pods } = table();
  const a = new RecordingLink(0, 1);
  await pods.welcome(a);
  const listened = pods.listen(1, pod('web'), NETNS);
  await isSettled(Promise.resolve());
  const b = new RecordingLink(1, 2);
  const caughtUp = pods.welcome(b);
  const gone = pods.unlisten(1);
  assert.ok(!(await listened).ok);
  await caughtUp;
  for (const worker of [a, b]) pods.onMessage(worker, { type: 'podGone', index: 1 });
  await gone;
  assert.deepEqual(pods.list(), []);
});

test('unlisten of an unknown index is done at once', async () => {
  await table().pods.unlisten(77);
});
