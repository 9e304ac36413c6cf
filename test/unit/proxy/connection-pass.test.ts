/** A walk over a table that changes meanwhile visits everything that was there and stays, whatever comes and goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Pass } from '../../../agent/proxy/connection-pass.ts';
import { ConnectionTable, type LiveConnection } from '../../../agent/proxy/connection-table.ts';

function connection(): LiveConnection {
  return {
    tableIndex: -1,
    podIndex: 1,
    describe: () => assert.fail(),
    reevaluate: () => undefined,
    drain: () => undefined,
    cut: () => undefined,
  };
}

test('every connection that was there at the start and still is has been visited at the end', () => {
  const changes = fc.array(fc.record({ add: fc.boolean(), at: fc.nat({ max: 1_000 }) }), { maxLength: 60 });
  fc.assert(
    fc.property(
      fc.nat({ max: 50 }),
      fc.integer({ min: 1, max: 7 }),
      changes,
      fc.boolean(),
      (count, slice, steps, cuts) => {
        const table = new ConnectionTable();
        const first = Array.from({ length: count }, connection);
        for (const one of first) table.add(one);
        const visited = new Set<LiveConnection>();
        let ended = 0;
        const pass = new Pass(
          table,
          (one) => {
            visited.add(one);
            if (cuts) table.remove(one);
          },
          () => ended++,
        );
        const left = [...steps];
        for (;;) {
          let inSlice = 0;
          if (pass.slice(() => ++inSlice >= slice)) break;
          for (const step of left.splice(0, 3)) {
            if (step.add) table.add(connection());
            else if (table.size > 0) table.remove(table.at(step.at % table.size) as LiveConnection);
          }
        }
        assert.equal(ended, 1);
        for (const one of first) assert.ok(one.tableIndex < 0 || visited.has(one));
      },
    ),
  );
});
