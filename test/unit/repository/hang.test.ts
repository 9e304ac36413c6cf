/** A test that waits in vain says where and what for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hangReport, onHang, until } from '../../harness/hang.ts';

test('waiting ends when it holds, whether at once, later, or told by a promise', async () => {
  let asked = 0;
  await until(() => true);
  await until(() => ++asked === 3);
  await until(() => Promise.resolve(++asked === 5));
  assert.equal(asked, 5);
});

for (const [what, holds] of [
  ['never holds', () => false],
  ['is never answered', () => new Promise<boolean>(() => undefined)],
] as const) {
  test(`what ${what} fails with the line that waits, what was waited for, and what witnesses say`, async () => {
    const end = onHang(() => 'a witness');
    const error = await until(holds, 20).then(
      () => assert.fail('it did not wait'),
      (reason: Error) => reason,
    );
    end();
    assert.match(error.message, /^waited 0\.02 s in vain until \(\) ?=>/);
    assert.match(error.stack ?? '', /hang\.test\.ts:\d+/);
    assert.match(error.stack ?? '', /\na witness$/);
  });
}

test('what fails while it is waited for fails the wait', async () => {
  await assert.rejects(
    until(() => assert.fail('broken')),
    /broken/,
  );
});

test('a witness that fails or is silent leaves the others their say', async () => {
  const ends = [
    onHang(() => {
      throw new Error('no worker');
    }),
    onHang(() => new Promise<string>(() => undefined)),
    onHang(async () => 'three sockets'),
  ];
  const report = await hangReport();
  for (const end of ends) end();
  assert.equal(report, 'Error: no worker\na witness said nothing for 2000 ms\nthree sockets');
  assert.equal(await hangReport(), '');
});
