import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ProbeSpec } from '../../../sandbox/probe-spec.ts';
import { ProbeTracker } from '../../../sandbox/probe-tracker.ts';

const SPEC: ProbeSpec = {
  action: { type: 'tcp', port: 1, host: null },
  initialDelaySeconds: 0,
  periodSeconds: 10,
  timeoutSeconds: 1,
  failureThreshold: 3,
  successThreshold: 1,
};

/** Answers with `success` until the tracker decides or the time is over; when it decided, ms after the first question. */
function runUntil(
  tracker: ProbeTracker,
  success: boolean,
  limitMs: number,
): { outcome: string | null; atMs: number; asked: number } {
  let atMs = 0;
  for (let asked = 1; ; asked++) {
    const outcome = tracker.record(success);
    if (outcome !== null || atMs > limitMs) return { outcome, atMs, asked };
    atMs += tracker.nextDelayMs();
  }
}

test('a container that is not ready is asked soon and then less often, within one period', () => {
  const tracker = new ProbeTracker('readiness', SPEC);
  assert.equal(tracker.record(false), null);
  const delays = [tracker.nextDelayMs(), tracker.nextDelayMs(), tracker.nextDelayMs()];
  assert.deepEqual(delays, [50, 100, 200]);
  assert.equal(tracker.record(true), 'passed');
  assert.equal(tracker.nextDelayMs(), 10_000);
});

test('quick looks do not count as failures: a startup probe gives up after failureThreshold periods, not earlier', () => {
  const { outcome, atMs, asked } = runUntil(new ProbeTracker('startup', SPEC), false, 60_000);
  assert.equal(outcome, 'failed');
  assert.equal(atMs, 20_000); // questions at 0, 10 and 20 s
  assert.ok(asked > 5, `asked ${asked} times`);
});

test('liveness keeps its own pace and fails after failureThreshold in a row', () => {
  const tracker = new ProbeTracker('liveness', SPEC);
  assert.equal(tracker.passing, true);
  assert.deepEqual([tracker.record(false), tracker.record(false), tracker.record(true)], [null, null, 'passed']);
  assert.equal(tracker.nextDelayMs(), 10_000);
  assert.deepEqual([tracker.record(false), tracker.record(false), tracker.record(false)], [null, null, 'failed']);
});

test('successThreshold counts answers in a row at the probe pace', () => {
  const tracker = new ProbeTracker('readiness', { ...SPEC, successThreshold: 2 });
  assert.equal(tracker.record(true), null);
  assert.equal(tracker.nextDelayMs(), 10_000);
  assert.equal(tracker.record(false), null);
  tracker.nextDelayMs();
  assert.equal(tracker.record(true), null);
  assert.equal(tracker.record(true), 'passed');
});

test('a ready container becomes unready after failureThreshold, and is then asked quickly again', () => {
  const tracker = new ProbeTracker('readiness', SPEC);
  assert.equal(tracker.record(true), 'passed');
  for (const expected of [null, null, 'failed']) {
    tracker.nextDelayMs();
    assert.equal(tracker.record(false), expected);
  }
  assert.equal(tracker.passing, false);
  assert.ok(tracker.nextDelayMs() < 10_000);
});
