/** Agents of two nodes are replaced under load of every kind, and nothing fails: a short run of scripts/hitless. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isAtDeadline, verdict } from '../../scripts/hitless-restart/summary.ts';

const MAIN = fileURLToPath(new URL('../../scripts/hitless-restart/main.ts', import.meta.url));

test('three restarts of both agents, 20,000 requests: none fails', { timeout: 280_000 }, () => {
  const options = ['--restarts', '3', '--requests', '20000', '--drain-deadline', '3'];
  const run = spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...options], {
    encoding: 'utf8',
    timeout: 270_000,
  });
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  assert.match(run.stdout, /restart 3: both agents in .* 0 failed/);
  assert.match(run.stdout, /no request failed/);
});

test('the verdict: a failure, and a cut at another time than a deadline, are told; a cut at a deadline is none', () => {
  const counts = { kind: 'tcp', requests: 1, failed: 0, retried: 0, cuts: [], failures: [], done: true };
  const rounds = [{ startedMs: 1_000, endedMs: 3_000 }];
  assert.deepEqual(verdict([counts, { ...counts, cuts: [7_000] }], rounds, 5_000), []);
  assert.deepEqual(
    [5_999, 6_000, 11_000, 11_001].map((cut) => isAtDeadline(cut, rounds, 5_000)),
    [false, true, true, false],
  );
  const failure = { what: 'x', code: 'ECONNRESET', at: 1_500 };
  assert.deepEqual(verdict([{ ...counts, failed: 1, failures: [failure], cuts: [4_000] }], rounds, 5_000), [
    'tcp: 1 failed: x: ECONNRESET (0.5 s after the begin of restart 1)',
    'tcp: 1 cut at another time than a drain deadline',
  ]);
  assert.match(
    verdict([{ ...counts, failed: 1, failures: [{ ...failure, at: 1 }] }], [], 5_000)[0] ?? '',
    /before the first restart/,
  );
});
