import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, formatLatency, shortList, truncate } from '../../../agent/cli/format.ts';

const BYTES: readonly (readonly [number, string])[] = [
  [0, '0B'],
  [1_023, '1023B'],
  [1_024, '1.0KiB'],
  [1_536, '1.5KiB'],
  [20 * 1_024, '20KiB'],
  [5 * 1_024 ** 3, '5.0GiB'],
  [3_000 * 1_024 ** 4, '3000TiB'],
];
for (const [bytes, text] of BYTES) test(`${bytes} bytes is ${text}`, () => assert.equal(formatBytes(bytes), text));

const DURATIONS: readonly (readonly [number, string])[] = [
  [0, '0ms'],
  [250.4, '250ms'],
  [1_000, '1s'],
  [61_000, '1m1s'],
  [3_600_000, '1h'],
  [3_605_000, '1h'],
  [90_061_000, '1d1h'],
];
for (const [ms, text] of DURATIONS) test(`${ms} ms is ${text}`, () => assert.equal(formatDuration(ms), text));

test('latencies keep two figures', () => {
  assert.deepEqual([null, 0.42, 12.3, 1_540].map(formatLatency), ['-', '0.4ms', '12ms', '1.5s']);
});

test('long texts and lists are cut visibly', () => {
  assert.equal(truncate('abcdef', 4), 'abc…');
  assert.equal(truncate('abcd', 4), 'abcd');
  assert.equal(shortList(['a', 'b', 'c'], 2), 'a, b +1');
  assert.equal(shortList([], 2), '');
});
