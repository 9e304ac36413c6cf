/** The parts of the benchmark that turn other programs' output into figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStat, spent } from '../../../scripts/benchmark/cpu.ts';
import { ITEMS } from '../../../scripts/benchmark/items.ts';
import { median, perUnit } from '../../../scripts/benchmark/measure.ts';
import { sandboxManifest } from '../../../scripts/benchmark/weir.ts';
import { parseWrk, wrkArguments } from '../../../scripts/benchmark/wrk.ts';

const REPORT = `Running 4s test @ http://127.0.0.1:9101/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.27ms  641.34us  11.32ms   78.94%
    Req/Sec    50.53k     3.32k   58.21k    70.00%
  Latency Distribution
     50%  950.00us
     75%    1.53ms
     90%    2.02ms
     99%    1.02s 
  201240 requests in 4.01s, 55.27MB read
Requests/sec:  50184.78
Transfer/sec:     13.78MB
`;

test('the report of wrk becomes numbers in one unit', () => {
  assert.deepEqual(parseWrk(REPORT), {
    requests: 201_240,
    seconds: 4.01,
    requestsPerSecond: 50_184.78,
    p50Ms: 0.95,
    p99Ms: 1020,
    errors: 0,
  });
});

test('every kind of failed request counts', () => {
  const failing = REPORT.replace(
    'Requests/sec',
    '  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 5\nRequests/sec',
  );
  assert.equal(parseWrk(failing).errors, 15);
});

test('anything that is not a report is an error that shows it', () => {
  assert.throws(() => parseWrk('unable to connect to 127.0.0.1:9101 Connection refused'), /Connection refused/);
  assert.throws(() => parseWrk(REPORT.replace(/50% .*/, '')), /50th percentile/);
});

test('a new connection per request is asked for with Connection: close', () => {
  assert.ok(wrkArguments('http://a/', 8, 2, true).includes('Connection: close'));
  assert.ok(!wrkArguments('http://a/', 8, 2, false).includes('Connection: close'));
});

test('CPU time is found behind a command name with spaces and parentheses', () => {
  const stat = '4242 (a (odd) name) S 1 4242 4242 0 -1 4194560 100 0 0 0 150 250 7 8 20 0 1 0 12345 1000 200';
  assert.deepEqual(parseStat(stat), { userUs: 1_500_000, systemUs: 2_500_000 });
  assert.throws(() => parseStat('nonsense'), /not a line/);
  assert.deepEqual(spent({ userUs: 1, systemUs: 2 }, { userUs: 11, systemUs: 32 }), { userUs: 10, systemUs: 30 });
});

test('cost is per request in microseconds or per KiB in nanoseconds', () => {
  const load = parseWrk(REPORT);
  assert.equal(perUnit(402_480, load, { per: 'request', bodyBytes: 1 }), 2);
  assert.equal(perUnit(201_240, load, { per: 'KiB', bodyBytes: 2048 }), 500);
});

test('median of odd, even and no values', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test('weir runs with what the issue asks for: a table of 20 rules and an L7 policy', () => {
  const objects = sandboxManifest(['nginx'])
    .split('\n---\n')
    .map(
      (text) =>
        JSON.parse(text) as {
          kind: string;
          spec?: { rules: readonly { to?: readonly { operation: { methods?: unknown } }[] }[] };
        },
    );
  assert.equal(objects.find((object) => object.kind === 'HTTPRoute')?.spec?.rules.length, 20);
  assert.ok(
    objects.find((object) => object.kind === 'AuthorizationPolicy')?.spec?.rules[0]?.to?.[0]?.operation.methods,
  );
});

test('weir takes part in every item, and no item has two names', () => {
  assert.ok(ITEMS.every((item) => item.contestants[0] === 'weir' && item.contestants.length > 1));
  assert.equal(new Set(ITEMS.map((item) => item.name)).size, ITEMS.length);
});
