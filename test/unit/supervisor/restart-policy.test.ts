import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RestartPolicy } from '../../../agent/supervisor/restart-policy.ts';

const LIMITS = { deathsMax: 5, windowMs: 10_000, backoffMinMs: 250, backoffMaxMs: 10_000 };

test('a single death, and five in the window, are answered at once', () => {
  const policy = new RestartPolicy(LIMITS);
  for (let i = 0; i < 5; i++) assert.equal(policy.delayAfterDeath(1_000 + i * 100, 90), 0);
});

test('more deaths in the window are delayed, doubling up to the bound', () => {
  const policy = new RestartPolicy(LIMITS);
  const delays: number[] = [];
  let now = 0;
  for (let i = 0; i < 14; i++) {
    const delay = policy.delayAfterDeath(now, 50);
    delays.push(delay);
    now += delay + 50;
  }
  assert.deepEqual(delays, [0, 0, 0, 0, 0, 250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
});

test('a worker that lived through the window starts afresh', () => {
  const policy = new RestartPolicy(LIMITS);
  for (let i = 0; i < 7; i++) policy.delayAfterDeath(i * 100, 50);
  assert.equal(policy.delayAfterDeath(60_000, 20_000), 0);
  assert.equal(policy.delayAfterDeath(60_100, 100), 0);
});

test('deaths that are far apart never count together', () => {
  const policy = new RestartPolicy(LIMITS);
  for (let i = 0; i < 50; i++) assert.equal(policy.delayAfterDeath(i * 3_000, 2_900), 0);
});
