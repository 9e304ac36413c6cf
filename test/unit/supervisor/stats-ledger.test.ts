import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LedgerSeries, SeriesLedger, StatsLedger } from '../../../agent/telemetry/stats-ledger.ts';

function series(name: string, ...values: number[]): LedgerSeries {
  return { labels: { name }, values: Float64Array.from(values) };
}

function totals(ledger: SeriesLedger): Record<string, number[]> {
  return Object.fromEntries([...ledger.totals()].map(({ labels, values }) => [labels['name'] ?? '', [...values]]));
}

test('workers are added up, and a dead one stays counted', () => {
  const ledger = new SeriesLedger(1, 10);
  ledger.report(1, [series('a', 5)]);
  ledger.report(2, [series('a', 7)]);
  ledger.report(1, [series('a', 6)]);
  assert.deepEqual(totals(ledger), { a: [13] });
  ledger.close(1);
  assert.deepEqual(totals(ledger), { a: [13] });
  ledger.report(3, [series('a', 1)]);
  assert.deepEqual(totals(ledger), { a: [14] });
});

test('the same labels twice in one report are added', () => {
  const ledger = new SeriesLedger(1, 10);
  ledger.report(1, [series('a', 5), series('a', 6)]);
  assert.deepEqual(totals(ledger), { a: [11] });
  // One of the two pairs is dropped by the worker: the total must not fall, nor count the other one twice.
  ledger.report(1, [series('a', 6)]);
  assert.deepEqual(totals(ledger), { a: [11] });
  ledger.report(1, [series('a', 8)]);
  assert.deepEqual(totals(ledger), { a: [13] });
});

test('no sequence of reports, drops and deaths makes a total fall', () => {
  const event = fc.record({
    reporter: fc.nat(2),
    what: fc.constantFrom('report', 'drop', 'close'),
    values: fc.tuple(fc.nat(100), fc.nat(100)),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const ledger = new SeriesLedger(2, 10);
      let before = [0, 0];
      for (const { reporter, what, values } of events) {
        if (what === 'close') ledger.close(reporter);
        else ledger.report(reporter, what === 'drop' ? [] : [series('a', ...values)]);
        const now = totals(ledger)['a'] ?? before;
        now.forEach((value, i) => assert.ok(value >= (before[i] ?? 0), `${value} after ${before[i]}`));
        before = now;
      }
    }),
  );
});

test('cumulative buckets stay cumulative when parts of a sum are dropped', () => {
  const ledger = new SeriesLedger(3, 10);
  ledger.report(1, [series('a', 0, 10, 10), series('a', 5, 5, 9)]);
  ledger.report(1, [series('a', 5, 5, 12)]);
  const [first = 0, second = 0, third = 0] = totals(ledger)['a'] ?? [];
  assert.ok(first <= second && second <= third, `${first} ${second} ${third}`);
});

test('a report with more numbers than the ledger keeps does not spill', () => {
  const ledger = new SeriesLedger(2, 10);
  ledger.report(1, [series('a', 1, 2, 3, 4)]);
  ledger.report(1, [series('b', 1)]);
  assert.deepEqual(totals(ledger), { a: [1, 2], b: [1, 0] });
});

test('series beyond the bound are left out and counted', () => {
  const ledger = new SeriesLedger(1, 2);
  ledger.report(1, [series('a', 1), series('b', 1), series('c', 1)]);
  assert.deepEqual(Object.keys(totals(ledger)), ['a', 'b']);
  assert.equal(ledger.refused, 1);
});

test('a series is forgotten a minute after its pod is gone, not before', () => {
  const ledger = new SeriesLedger(1, 10);
  ledger.report(1, [series('gone', 1), series('live', 1)]);
  ledger.close(1);
  const isLive = (labels: Readonly<Record<string, string>>): boolean => labels['name'] === 'live';
  ledger.expire(0, 60_000, isLive);
  ledger.expire(59_999, 60_000, isLive);
  assert.deepEqual(Object.keys(totals(ledger)), ['gone', 'live']);
  ledger.expire(60_000, 60_000, isLive);
  assert.deepEqual(Object.keys(totals(ledger)), ['live']);
  assert.equal(ledger.size, 1);
});

test('a pod that comes back within the minute keeps its counter', () => {
  const ledger = new SeriesLedger(1, 10);
  ledger.report(1, [series('a', 4)]);
  ledger.expire(0, 60_000, () => false);
  ledger.expire(30_000, 60_000, () => true);
  ledger.expire(80_000, 60_000, () => false);
  ledger.expire(120_000, 60_000, () => false);
  assert.deepEqual(totals(ledger), { a: [4] });
});

test('an expired series that a worker still reports is hidden, and does not come back as long as its pod is gone', () => {
  const ledger = new SeriesLedger(1, 10);
  for (const now of [0, 60_000, 61_000, 200_000]) {
    ledger.report(1, [series('a', 4)]);
    ledger.expire(now, 60_000, () => false);
  }
  assert.deepEqual(totals(ledger), {});
  ledger.report(1, []);
  ledger.expire(201_000, 60_000, () => false);
  assert.equal(ledger.size, 0);
});

test('levels and open connections end with their worker, counters do not', () => {
  const ledger = new StatsLedger(20, 100);
  const pod = {
    index: 1,
    namespace: 'shop',
    name: 'web',
    cpuMs: 5,
    bytesIn: 1,
    bytesOut: 1,
    requests: 9,
    connectionsOpened: 3,
    connectionsActive: 2,
    refused: 0,
    requestsActive: 0,
    pending: 0,
    bufferedBytes: 0,
    shed: { connections: 0, requests: 0, pending: 0, buffered: 0, overloaded: 0 },
  };
  const stats = { worker: 0, pid: 1, http: [], tcp: [], pods: [pod], bounds: { headBytesMax: 2 } };
  ledger.report(1, { ...stats, counters: { idle_upstreams: 7, turns: 10 } });
  ledger.report(2, { ...stats, counters: { idle_upstreams: 1, turns: 5 } });
  assert.equal(ledger.level('idle_upstreams'), 8);
  assert.equal(ledger.activeConnections().get('shop/web'), 4);
  ledger.close(1);
  assert.equal(ledger.level('idle_upstreams'), 1);
  assert.equal(ledger.activeConnections().get('shop/web'), 2);
  assert.deepEqual(totals(ledger.counters), { turns: [15] });
  assert.deepEqual(totals(ledger.bounds), { headBytesMax: [4] });
});
