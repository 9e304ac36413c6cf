/**
 * Durations and percentages of Istio's kinds, whatever stands there: no exception, linear time, a whole number within bounds or a
 * reason with a remedy, and no number for what Go would not take. FUZZ_RUNS: cases per property. Seeds that failed:
 * corpus/istio-quantities/, verbatim.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseDuration } from '../../controlplane/config/istio/duration.ts';
import { parsePercent } from '../../controlplane/config/istio/percent.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 2_000);
const CORPUS = new URL('./corpus/istio-quantities/', import.meta.url);

/** The grammar of time.ParseDuration without a sign. */
const GO = /^(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/;

function examine(text: string): void {
  const duration = parseDuration(text);
  if (duration.ok) {
    assert.match(text, GO);
    assert.ok(Number.isSafeInteger(duration.ms) && duration.ms >= 0 && duration.ms <= 31_536_000_000, text);
    assert.deepEqual(parseDuration(`${duration.ms}ms`), duration);
  } else assert.ok(duration.reason.length > 0 && duration.remedy.length > 0);
  for (const value of [text, Number(text)]) {
    const percent = parsePercent(value);
    if (!percent.ok) assert.ok(percent.reason.length > 0 && percent.remedy.length > 0);
    else assert.ok(Number.isInteger(percent.perMillion) && percent.perMillion >= 0 && percent.perMillion <= 1_000_000);
    if (typeof value === 'string') assert.ok(!percent.ok);
  }
}

const piece = fc.oneof(
  fc.constantFrom('ns', 'us', 'µs', 'μs', 'ms', 's', 'm', 'h', '.', '-', '+', '0', ' ', 'e', '%', '١'),
  fc.nat({ max: 100_000 }).map(String),
  fc.double({ min: 0, max: 200, noNaN: true }).map(String),
  fc.string({ maxLength: 4 }),
);

test('pieces of durations in any order', () => {
  const text = fc.array(piece, { maxLength: 10 }).map((pieces) => pieces.join(''));
  fc.assert(fc.property(text, examine), { numRuns });
});

test('any text', () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), examine), { numRuns });
});

test('kept inputs', () => {
  for (const name of readdirSync(CORPUS)) examine(readFileSync(new URL(name, CORPUS), 'utf8'));
});
