/** The parts of the benchmark that turn other programs' output into figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStat, spent } from '../../../scripts/benchmark/cpu.ts';
import { parseRollup } from '../../../scripts/benchmark/footprint.ts';
import { h2loadArguments, parseH2load } from '../../../scripts/benchmark/h2load.ts';
import { ITEMS } from '../../../scripts/benchmark/items.ts';
import { footprintManifest, proxiesManifest } from '../../../scripts/benchmark/manifest.ts';
import { perUnit, unseen } from '../../../scripts/benchmark/measure.ts';
import { readOptions } from '../../../scripts/benchmark/options.ts';
import { judge, median } from '../../../scripts/benchmark/result.ts';
import { formatSummary } from '../../../scripts/benchmark/table.ts';
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

const H2LOAD = `finished in 2.00s, 279636.00 req/s, 41.60MB/s
requests: 559272 total, 559400 started, 559272 done, 559272 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 559272 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 83.21MB (87248720) total, 5.34MB (5594624) headers (space savings 93.55%), 68.27MB (71586816) data
                     min         max         mean         sd        +/- sd
time for request:       67us      4.44ms       448us       114us    95.12%
`;

test('the report of h2load becomes numbers in one unit', () => {
  assert.deepEqual(parseH2load(H2LOAD, 128), {
    requests: 559_272,
    seconds: 2,
    requestsPerSecond: 279_636,
    p50Ms: 0.448,
    p99Ms: 4.44,
    errors: 0,
  });
});

test('HTTP/2 answers that are not 2xx, or have no body as a gRPC error, count as failed', () => {
  assert.equal(parseH2load(H2LOAD.replace('559272 2xx, 0 3xx', '559000 2xx, 272 3xx'), 128).errors, 272);
  assert.equal(parseH2load(H2LOAD.replace('(71586816) data', '(0) data'), 128).errors, 559_272);
  assert.throws(() => parseH2load('could not connect', 128), /could not connect/);
});

test('gRPC is a POST of a message with its content type and te: trailers', () => {
  const words = h2loadArguments('http://a/', { connections: 16, streams: 8, seconds: 4, message: '/m' });
  assert.deepEqual(words.slice(-7), [
    '-d',
    '/m',
    '-H',
    'content-type: application/grpc',
    '-H',
    'te: trailers',
    'http://a/',
  ]);
});

test('a proxy that counted fewer requests than were answered has only relayed octets', () => {
  const sample = (requests: number) => {
    const load = { ...parseWrk(REPORT), requests };
    return { load, dataPlane: { userUs: 0, systemUs: 0 }, control: { userUs: 0, systemUs: 0 } };
  };
  const samples = new Map([['weir' as const, [sample(100), sample(50)]]]);
  const counted = (count: number) => new Map([['weir' as const, count]]);
  assert.deepEqual(unseen(counted(7), counted(157), samples), []);
  assert.match(unseen(counted(7), counted(9), samples).join(), /weir counted 2 of 150/);
});

test('a figure is held against its limit in the sense it has; one that is not a number is over', () => {
  const bound = { limit: 1.1, goal: 1 };
  assert.equal(judge('i', 'f', 1.1, bound).verdict, 'PASS');
  assert.equal(judge('i', 'f', 1.2, bound).verdict, 'OVER');
  assert.equal(judge('i', 'f', Number.NaN, bound).verdict, 'OVER');
  assert.equal(judge('i', 'f', 0.8, { limit: 0.8, goal: null }, { sense: 'at least' }).verdict, 'PASS');
  assert.equal(judge('i', 'f', 0.7, { limit: 0.8, goal: null }, { sense: 'at least' }).verdict, 'OVER');
  assert.equal(judge('i', 'f', 9, { limit: null, goal: 1 }).verdict, 'shown');
});

test('the summary has a row for every figure, with limit and verdict', () => {
  const text = formatSummary([
    judge('latency', 'p99 added by weir', 0.15, { limit: 0.2, goal: null }, { unit: 'ms' }),
    judge('new-connection', 'rate weir / nginx', 0.7, { limit: 0.8, goal: 1 }, { sense: 'at least' }),
  ]);
  assert.match(text, /latency +p99 added by weir +0\.15 ms +≤ 0\.20 ms +- +PASS/);
  assert.match(text, /new-connection +rate weir \/ nginx +0\.70 +≥ 0\.80 +≥ 1\.00 +OVER/);
});

test('memory is read from smaps_rollup', () => {
  const text =
    'Rss: 90 kB\nPss:                5 kB\nPss_Anon: 1 kB\nShared_Clean: 40 kB\nShared_Dirty: 2 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 3 kB\n';
  assert.deepEqual(parseRollup(text), { pss: 5 * 1024, alone: 4 * 1024, shared: 42 * 1024 });
  assert.throws(() => parseRollup('Rss: 90 kB\n'), /no Pss/);
});

test('the command line chooses items, and says what is wrong with it', () => {
  const chosen = readOptions(['--only', 'grpc', '--only', 'hostile', '--smoke', '--strict']);
  assert.deepEqual(
    [chosen.items.map((item) => item.name), chosen.strict, chosen.plan.smoke],
    [['grpc', 'hostile'], true, true],
  );
  assert.throws(() => readOptions(['--only', 'all']), /no such item/);
  assert.throws(() => readOptions(['--rounds', '0']), /whole number/);
});

interface ManifestObject {
  readonly kind: string;
  readonly spec?: {
    readonly rules?: readonly { readonly to?: readonly { readonly operation: { readonly methods?: unknown } }[] }[];
    readonly ports?: readonly { readonly name: string; readonly appProtocol?: string }[];
  };
}

function objectsOf(manifest: string): ManifestObject[] {
  return manifest.split('\n---\n').map((text) => JSON.parse(text) as ManifestObject);
}

test('weir runs with what the issue asks for: tables of 20 rules, L7 policies, ports declared as HTTP/2 and gRPC', () => {
  const command = ['true'];
  const objects = objectsOf(proxiesManifest({ http: command, http2: command, grpc: command, attacked: command }));
  const routes = objects.filter((object) => object.kind === 'HTTPRoute');
  assert.deepEqual(
    routes.map((object) => object.spec?.rules?.length),
    [20, 20, 20, 20, 20],
  );
  const policies = objects.filter((object) => object.kind === 'AuthorizationPolicy');
  assert.ok(policies.length === 3 && policies.every((object) => object.spec?.rules?.[0]?.to?.[0]?.operation.methods));
  const ports = objects.flatMap((object) => (object.kind === 'Service' ? (object.spec?.ports ?? []) : []));
  assert.equal(ports.find((port) => port.name === 'http2')?.appProtocol, 'kubernetes.io/h2c');
  assert.ok(ports.some((port) => port.name === 'grpc'));
});

test('the footprint is that of as many pods as it says', () => {
  const objects = objectsOf(footprintManifest(100, ['true']));
  assert.equal(objects.filter((object) => object.kind === 'Pod').length, 100);
});

test('weir takes part in every item, and no item has two names', () => {
  assert.ok(ITEMS.every((item) => item.contestants.includes('weir')));
  assert.equal(new Set(ITEMS.map((item) => item.name)).size, ITEMS.length);
});
