/** Durations and percentages of Istio's kinds: tables, and properties that hold for every text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDuration } from '../../../../controlplane/config/istio/duration.ts';
import { parsePercent } from '../../../../controlplane/config/istio/percent.ts';

const DURATIONS: readonly (readonly [string, number])[] = [
  ['0', 0],
  ['0s', 0],
  ['3s', 3_000],
  ['0.5s', 500],
  ['1.5s', 1_500],
  ['.5s', 500],
  ['1.s', 1_000],
  ['250ms', 250],
  ['1000us', 1],
  ['1000µs', 1],
  ['1000000ns', 1],
  ['1h10m', 4_200_000],
  ['1h1m1.001s', 3_661_001],
  ['0.0000001h0.64ms', 1],
  ['8760h', 31_536_000_000],
];

test('durations in the formats of Go and protobuf', () => {
  for (const [text, ms] of DURATIONS) assert.deepEqual(parseDuration(text), { ok: true, ms }, text);
});

const NOT_DURATIONS: readonly (readonly [string, string, string])[] = [
  ['', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['s', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['.s', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['1d', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['1s ', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['1e3s', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['1 s', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['five', 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  [`${'9'.repeat(65)}s`, 'is not a duration', 'write it as 1.5s, 250ms or 1h10m'],
  ['5', 'has no unit', 'write 5s for seconds'],
  ['1.5', 'has no unit', 'write 1.5s for seconds'],
  ['-1s', 'is negative', 'a duration is 0s or longer'],
  ['1ns', 'is finer than a millisecond', 'round it to whole milliseconds'],
  ['0.0001s', 'is finer than a millisecond', 'round it to whole milliseconds'],
  ['8761h', 'is longer than a year', 'check its unit'],
  [`${'9'.repeat(60)}h`, 'is longer than a year', 'check its unit'],
];

test('what is no duration is refused with what to write', () => {
  for (const [text, reason, remedy] of NOT_DURATIONS) {
    assert.deepEqual(parseDuration(text), { ok: false, reason, remedy }, text);
  }
});

test('a duration in milliseconds reads as it was written', () => {
  const ms = fc.integer({ min: 0, max: 31_536_000_000 });
  fc.assert(
    fc.property(ms, (value) => {
      assert.deepEqual(parseDuration(`${value}ms`), { ok: true, ms: value });
      assert.deepEqual(parseDuration(`${Math.floor(value / 1_000)}s${value % 1_000}ms`), { ok: true, ms: value });
      assert.deepEqual(parseDuration(`${(value / 1_000).toFixed(3)}s`), { ok: true, ms: value });
    }),
  );
});

const PERCENTAGES: readonly (readonly [unknown, number])[] = [
  [0, 0],
  [100, 1_000_000],
  [0.1, 1_000],
  [12.5, 125_000],
  [33.3333, 333_333],
  [0.0001, 1],
];

test('percentages become parts per million', () => {
  for (const [value, perMillion] of PERCENTAGES) {
    assert.deepEqual(parsePercent(value), { ok: true, perMillion }, String(value));
  }
});

const NOT_PERCENTAGES: readonly (readonly [unknown, string, string])[] = [
  [-1, 'is -1', 'write a number from 0 to 100'],
  [100.1, 'is 100.1', 'write a number from 0 to 100'],
  [0.00001, 'is 0.00001', 'write 0, or at least 0.0001'],
  ['50', 'is not a number', 'write the number alone: 50'],
  ['50%', 'is not a number', 'write the number alone: 50'],
  ['half', 'is not a number', 'write a number from 0 to 100'],
  [Number.NaN, 'is not a number', 'write a number from 0 to 100'],
  [Number.POSITIVE_INFINITY, 'is not a number', 'write a number from 0 to 100'],
  [{}, 'is not a number', 'write a number from 0 to 100'],
];

test('what is no percentage is refused with what to write', () => {
  for (const [value, reason, remedy] of NOT_PERCENTAGES) {
    const expected = { ok: false, reason: reason.replace('0.00001', String(0.00001)), remedy };
    assert.deepEqual(parsePercent(value), expected, String(value));
  }
});
