import assert from 'node:assert/strict';
import { test } from 'node:test';
import { affectedPods } from '../../../agent/supervisor/affected-pods.ts';
import { cpuMsOf, processUsage, pssBytesOf, rssBytesOf } from '../../../agent/supervisor/process-usage.ts';

test('CPU time is read after the command name, whatever is in it', () => {
  const rest = 'S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 11 0 99 1000 200';
  assert.equal(cpuMsOf(`42 (node) ${rest}`), 3_000);
  assert.equal(cpuMsOf(`42 (a) b (c) ${rest}`), 3_000);
  assert.equal(cpuMsOf('garbage'), null);
});

test('resident memory is read in bytes', () => {
  assert.equal(rssBytesOf('Name:\tnode\nVmRSS:\t   51200 kB\nThreads:\t1\n'), 52_428_800);
  assert.equal(rssBytesOf('Name:\tkthreadd\n'), null);
  assert.equal(pssBytesOf('Rss:   100 kB\nPss:   60 kB\nPss_Anon:  5 kB\n'), 61_440);
  assert.equal(pssBytesOf(''), null);
});

test('this process has usage, one that never was has none', async () => {
  const usage = await processUsage(process.pid);
  assert.ok(usage !== null && usage.rssBytes > 1_000_000);
  assert.equal(await processUsage(2 ** 30), null);
});

test('a dead worker names the pods that lost connections, most first, and bounds the names', () => {
  const entries = Array.from({ length: 30 }, (_, i) => ({
    index: i + 1,
    pod: { uid: `u${i}`, namespace: 'shop', name: `pod-${i}`, serviceAccount: 'd', addresses: [] },
    netnsPath: '/n',
    listeners: new Map(),
  }));
  const affected = affectedPods(
    entries,
    new Map([
      ['shop/pod-1', 2],
      ['shop/pod-2', 9],
      ['shop/pod-3', 0],
    ]),
  );
  assert.deepEqual(Object.entries(affected.connectionsLost), [
    ['shop/pod-2', 9],
    ['shop/pod-1', 2],
  ]);
  assert.equal(affected.pods.length, 20);
  assert.equal(affected.podCount, 30);
});
