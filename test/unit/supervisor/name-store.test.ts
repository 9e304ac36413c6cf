/** names.json: what one agent has found, for the next one. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { limits } from '../../../agent/limits.ts';
import { NameStore } from '../../../agent/supervisor/name-store.ts';

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'weir-names-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}

function store(path: string): { readonly names: NameStore; readonly said: string[] } {
  const said: string[] = [];
  const log = { warn: (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`) };
  return { names: new NameStore(path, log), said };
}

const ANSWER = { name: 'a.test', family: 4, addresses: ['203.0.113.1'], ageMs: 5_000 } as const;

test('the last of what was saved is read back, older by the time that has passed', async (t) => {
  const path = folder(t);
  const { names, said } = store(path);
  assert.deepEqual(names.load(), []);
  names.save([]);
  names.save([ANSWER]);
  await names.close();
  assert.deepEqual(readdirSync(path), ['names.json']);
  const [read, ...more] = store(path).names.load();
  assert.deepEqual(more, []);
  assert.ok(read !== undefined && read.ageMs >= 5_000 && read.ageMs < 60_000);
  assert.deepEqual({ ...read, ageMs: 5_000 }, ANSWER);
  assert.deepEqual(said, []);
});

test('a file that is none of ours is as none, and what is malformed in one of ours is left out', (t) => {
  const path = folder(t);
  const good = { name: 'a.test', family: 6, addresses: ['2001:db8::1'], answeredAt: Date.now() + 1e9 };
  const bad = [null, 7, [], { ...good, family: 5 }, { ...good, name: null }, { ...good, addresses: [7] }];
  for (const text of ['', '{', 'null', '[]', '{"format":2,"answers":[]}', ' '.repeat(limits.nameStoreBytesMax + 1)]) {
    writeFileSync(join(path, 'names.json'), text);
    const { names, said } = store(path);
    assert.deepEqual(names.load(), []);
    assert.match(said.join(), /stored answers of DNS are not usable/);
  }
  writeFileSync(join(path, 'names.json'), JSON.stringify({ format: 1, answers: [...bad, good] }));
  assert.deepEqual(store(path).names.load(), [{ name: 'a.test', family: 6, addresses: ['2001:db8::1'], ageMs: 0 }]);
});

test('a folder that cannot be written to is told once', async (t) => {
  const path = folder(t);
  const { names, said } = store(join(path, 'absent'));
  for (let i = 0; i < 3; i++) {
    names.save([ANSWER]);
    await names.close();
  }
  assert.equal(said.length, 1);
  assert.match(said[0] ?? '', /answers of DNS cannot be stored .*ENOENT/);
  assert.throws(() => readFileSync(join(path, 'absent', 'names.json')));
});
