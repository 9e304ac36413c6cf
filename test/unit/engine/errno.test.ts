import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import * as errno from '../../../agent/engine/errno.ts';

test('every named errno has the value that Node reports for this system', () => {
  const all: readonly (readonly [string, unknown])[] = Object.entries(errno);
  const named = all.filter(([, value]) => typeof value === 'number');
  assert.ok(named.length > 20);
  const system: Record<string, number> = constants.errno;
  for (const [name, code] of named) assert.equal(code, system[name], name);
});

test('errnoName names both signs and prints the number of what it does not know', () => {
  assert.equal(errno.errnoName(-errno.ECONNRESET), 'ECONNRESET');
  assert.equal(errno.errnoName(errno.EAGAIN), 'EAGAIN');
  assert.equal(errno.errnoName(-4000), 'errno 4000');
});
