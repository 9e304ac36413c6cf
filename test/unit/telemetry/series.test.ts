/** The worker's metric table: bounded however many statuses a service answers with, and forgetting what was deleted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '../../../agent/limits.ts';
import { BoundCounters } from '../../../agent/telemetry/bounds.ts';
import { SeriesTable } from '../../../agent/telemetry/series.ts';

const LABELS = { source_workload: 'a', destination_service_name: 'web' };
const nobodyGone = (): boolean => false;

function codes(table: SeriesTable): string[] {
  return table.collect(0, nobodyGone).http.map(({ labels }) => `${labels['response_code']}${labels['response_flags']}`);
}

test('a service that answers with ever new status codes gets a bounded number of series, the rest by class', () => {
  const bounds = new BoundCounters();
  const table = new SeriesTable(bounds);
  const pair = table.pair(LABELS, ['source'], 'uid-a', '');
  for (let status = 200; status < 1_000; status++) pair.http(status, '-').record(1, 0, 0);
  const seen = codes(table);
  assert.equal(seen.length, limits.statusesPerPairMax + 8);
  assert.ok(seen.includes('200-') && seen.includes('2xx-') && seen.includes('9xx-'));
  assert.equal(
    table.collect(0, nobodyGone).http.reduce((sum, { requests }) => sum + requests, 0),
    800,
  );
  assert.equal(bounds.hits()['statusesPerPairMax'], 800 - limits.statusesPerPairMax);
  assert.equal(pair.http(999, '-'), pair.http(998, 'UH'), 'rare flags are folded with their class');
});

test('a pair that is retired is dropped a minute later, unless it is asked for again', () => {
  const table = new SeriesTable(new BoundCounters());
  const pair = table.pair(LABELS, ['source'], 'uid-a', '');
  pair.http(503, 'UH').record(1, 0, 0);
  table.retire(pair);
  assert.equal(table.collect(0, nobodyGone).http.length, 1);
  assert.equal(table.pair(LABELS, ['source'], 'uid-a', ''), pair);
  assert.equal(table.collect(limits.goneSeriesKeptMs, nobodyGone).http.length, 1);
  table.retire(pair);
  table.collect(limits.goneSeriesKeptMs, nobodyGone);
  assert.equal(table.collect(2 * limits.goneSeriesKeptMs, nobodyGone).http.length, 0);
  assert.notEqual(table.pair(LABELS, ['source'], 'uid-a', ''), pair);
});
