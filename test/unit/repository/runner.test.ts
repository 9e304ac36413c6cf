/** The test runner must never call a run good in which nothing, or not everything, was tested. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const runner = fileURLToPath(new URL('../../../scripts/run-tests.ts', import.meta.url));
const tsx = import.meta.resolve('tsx');
const harness = new URL('../../harness/hang.ts', import.meta.url).href;
const header = "import { test } from 'node:test';\nimport assert from 'node:assert/strict';\n";
const good = `${header}test('good', () => assert.equal(1, 1));\n`;
const folders: string[] = [];
/** Enough for a file to be loaded and its first test to begin, on a loaded machine. */
const LOADED_MS = 6_000;

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function project(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-runner-'));
  folders.push(folder);
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function run(root: string, ...args: string[]): { code: number | null; output: string; last: string } {
  return runWith(process.env, root, ...args);
}

function runWith(env: NodeJS.ProcessEnv, root: string, ...args: string[]) {
  const clean = { ...env };
  // Set by the runner this test runs under; a nested one would report to it.
  delete clean['NODE_TEST_CONTEXT'];
  const result = spawnSync(process.execPath, ['--import', tsx, runner, '--root', root, ...args], {
    encoding: 'utf8',
    env: clean,
  });
  const output = result.stdout + result.stderr;
  return { code: result.status, output, last: output.trimEnd().split('\n').at(-1) ?? '' };
}

/** A zombie that nobody has reaped yet is dead. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

test('passing tests: exit 0 and the closing line', () => {
  const result = run(project({ 'test/unit/a.test.ts': good, 'test/fuzz/b.fuzz.ts': good }));
  assert.equal(result.last, '2 passed, 0 failed');
  assert.equal(result.code, 0);
});

test('no test file at all fails', () => {
  const result = run(project({ 'test/unit/readme.txt': '' }));
  assert.equal(result.code, 1);
  assert.equal(result.last, '0 passed, 1 failed');
});

test('a filter that matches nothing fails', () => {
  const result = run(project({ 'test/unit/a.test.ts': good }), 'unit', 'nothing-like-this');
  assert.equal(result.code, 1);
  assert.match(result.output, /no test was found for: unit nothing-like-this/);
});

test('filters choose by group and by part of the path', () => {
  const root = project({
    'test/unit/a.test.ts': good,
    'test/unit/b.test.ts': good,
    'test/integration/a.test.ts': good,
  });
  assert.equal(run(root, 'unit').last, '2 passed, 0 failed');
  assert.equal(run(root, 'unit', 'a.test').last, '1 passed, 0 failed');
  assert.equal(run(root, 'a.test').last, '2 passed, 0 failed');
});

test('a file without tests fails, though others pass', () => {
  const result = run(project({ 'test/unit/a.test.ts': good, 'test/unit/empty.test.ts': 'export {};\n' }));
  assert.equal(result.code, 1);
  assert.equal(result.last, '1 passed, 1 failed');
  assert.match(result.output, /empty\.test\.ts[\s\S]*has no test/);
});

test('a failing test fails and its error is shown, once, without the tests around it', () => {
  const bad = `${header}test('outer', async (t) => { await t.test('inner', () => assert.equal('seen', 'wanted')); });\n`;
  const result = run(project({ 'test/unit/bad.test.ts': bad }));
  assert.equal(result.code, 1);
  assert.equal(result.last, '0 passed, 1 failed');
  assert.match(result.output, /FAIL outer > inner/);
  assert.match(result.output, /seen/);
});

test('a failing hook fails', () => {
  const bad =
    "import { before, describe, it } from 'node:test';\ndescribe('s', () => { before(() => { throw new Error('hook broke'); }); it('never runs', () => {}); });\n";
  const result = run(project({ 'test/unit/hook.test.ts': bad }));
  assert.equal(result.code, 1);
  assert.match(result.output, /hook broke/);
});

test('a file that throws while it is loaded fails', () => {
  const result = run(project({ 'test/unit/throws.test.ts': `${good}throw new Error('broken on import');\n` }));
  assert.equal(result.code, 1);
  assert.match(result.output, /broken on import/);
});

test('a file that exits with success before its tests have run fails', () => {
  const early = `${good}test('never runs', () => new Promise((r) => setTimeout(r, 60_000)));\nsetImmediate(() => process.exit(0));\n`;
  const result = run(project({ 'test/unit/early.test.ts': early }));
  assert.equal(result.code, 1);
  assert.match(result.output, /ended before its tests did|process\.exit\(\)/);
});

test('a hanging file is killed, with what it started, and fails', () => {
  const hangs = `${header}import { spawn } from 'node:child_process';\nconst child = spawn('sleep', ['1000']);\nconsole.log('child ' + child.pid);\ntest('hangs', () => new Promise((r) => setTimeout(r, 600_000)));\n`;
  const result = run(project({ 'test/unit/hangs.test.ts': hangs }), '--timeout-ms', String(LOADED_MS));
  assert.equal(result.code, 1);
  assert.match(result.output, /still running after 6 s, killed; the last test that began is "hangs"/);
  const pid = Number(/child (\d+)/.exec(result.output)?.[1]);
  assert.ok(pid > 1, result.output);
  assert.equal(isAlive(pid), false);
});

test('a file that hangs in a test is ended long before its time is over, and says what its harness knows', () => {
  const hangs = `${header}import { onHang } from '${harness}';
onHang(() => 'the worker has no connection');
onHang(() => new Promise(() => undefined));
test('hangs', () => new Promise((r) => setTimeout(r, 600_000)));\n`;
  const result = run(project({ 'test/unit/hangs.test.ts': hangs }), '--hang-ms', String(LOADED_MS));
  assert.equal(result.code, 1);
  assert.match(result.output, /no test began or ended for 6 s, killed; the last test that began is "hangs"/);
  assert.match(result.output, /the worker has no connection\n.*a witness said nothing/);
});

test('a file whose tests together or in a blocked loop take longer than one may hang is left alone', () => {
  const slow = `${header}import { execFileSync } from 'node:child_process';
for (let i = 0; i < 3; i++) test('short', () => new Promise((r) => setTimeout(r, ${LOADED_MS / 2.5})));
test('blocks', () => void execFileSync('sleep', ['${LOADED_MS / 1_000 + 1}']));\n`;
  const result = run(project({ 'test/unit/slow.test.ts': slow }), '--hang-ms', String(LOADED_MS));
  assert.equal(result.last, '4 passed, 0 failed');
});

test('skipped tests are counted apart, and skipping everything is not passing', () => {
  const skip = `${header}test('left out', { skip: true }, () => {});\n`;
  assert.equal(
    run(project({ 'test/unit/s.test.ts': skip + good.slice(header.length) })).last,
    '1 passed, 0 failed, 1 skipped',
  );
  assert.equal(run(project({ 'test/unit/s.test.ts': skip })).code, 1);
});

test('a netns file runs as root in namespaces of its own', () => {
  const inside = `${header}import { execFileSync } from 'node:child_process';
test('alone', () => {
  assert.equal(process.getuid?.(), 0);
  execFileSync('ip', ['netns', 'add', 'proof']);
  assert.doesNotMatch(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }), /eth0/);
});\n`;
  const result = run(project({ 'test/netns/inside.test.ts': inside }));
  assert.equal(result.last, '1 passed, 0 failed', result.output);
});

test('without unshare a netns file fails, with the reason, and is not skipped', () => {
  const root = project({
    'test/netns/a.test.ts': good,
    'bin/unshare': '#!/bin/sh\necho "unshare: Operation not permitted" >&2\nexit 1\n',
  });
  chmodSync(join(root, 'bin/unshare'), 0o755);
  const result = runWith({ ...process.env, PATH: `${join(root, 'bin')}:${process.env['PATH']}` }, root);
  assert.equal(result.code, 1);
  assert.equal(result.last, '0 passed, 1 failed');
  assert.match(result.output, /Operation not permitted/);
  assert.match(result.output, /unprivileged_userns_clone/);
});
