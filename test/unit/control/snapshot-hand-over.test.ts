/** The snapshot while two agents share a state folder: one writes, the other reads what was written. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SnapshotStore } from '../../../agent/control/snapshot-store.ts';
import type { Service } from '../../../mesh/model.ts';
import { service as builtService } from '../mesh/resources.ts';

function service(name: string): { version: string; resource: Service } {
  return { version: '1', resource: builtService({ name, addresses: ['10.96.0.1'] }) };
}

test('held: nothing is written until release; reload tells what another agent has added and removed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-snapshot-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'snapshot.json');
  const open = (): SnapshotStore => new SnapshotStore(path, { log: () => undefined });
  const successor = open();
  successor.hold();
  successor.record([service('a'), service('gone')], []);
  await successor.flush();
  assert.equal(existsSync(path), false);

  const before = open();
  before.record([service('a'), service('b')], []);
  await before.flush();
  before.hold();
  const { upserts, removals, error } = successor.reload();
  assert.equal(error, null);
  assert.deepEqual(
    upserts.map((resource) => (resource.kind === 'service' ? resource.name : resource.kind)),
    ['a', 'b'],
  );
  assert.deepEqual(removals, [{ kind: 'service', key: 'shop/gone' }]);

  successor.record([service('c')], []);
  successor.release();
  await successor.close();
  before.record([service('stale')], []);
  await before.close();
  assert.deepEqual(
    open()
      .load()
      .resources.map((resource) => (resource.kind === 'service' ? resource.name : resource.kind))
      .sort((x, y) => (x < y ? -1 : 1)),
    ['a', 'b', 'c'],
  );
});
