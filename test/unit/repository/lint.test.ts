/** The rules that need types must really see types: without tsgolint they would be silent, and green. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const tree = mkdtempSync(join(tmpdir(), 'weir-lint-'));
after(() => rmSync(tree, { recursive: true, force: true }));

const planted: Readonly<Record<string, string>> = {
  'typescript(no-floating-promises)':
    'async function later(): Promise<void> {}\nexport function now(): void { later(); }\n',
  'typescript(switch-exhaustiveness-check)':
    "export function f(kind: 'a' | 'b'): number { switch (kind) { case 'a': return 1; } return 2; }\n",
  'typescript(no-explicit-any)': 'export const anything: any = 1;\n',
  'typescript(ban-ts-comment)': "// @ts-ignore: planted\nexport const wrong: number = 'text';\n",
  'eslint(no-empty)': 'export function f(): void { try { f(); } catch {} }\n',
  'eslint(no-warning-comments)': '// TODO: planted\nexport const later = 1;\n',
};

test('each rule that the project relies on catches a planted violation', () => {
  mkdirSync(join(tree, 'mesh'));
  const files = Object.entries(planted).map(([rule, text], index) => ({
    rule,
    file: `mesh/planted-${index}.ts`,
    text,
  }));
  for (const { file, text } of files) writeFileSync(join(tree, file), text);
  for (const file of ['.oxlintrc.json', 'tsconfig.json', 'package.json'])
    copyFileSync(join(repository, file), join(tree, file));
  symlinkSync(join(repository, 'node_modules'), join(tree, 'node_modules'));
  const oxlint = join(repository, 'node_modules/.bin/oxlint');
  const { stdout, status } = spawnSync(oxlint, ['--type-aware', '--deny-warnings', '-f', 'unix'], {
    cwd: tree,
    encoding: 'utf8',
  });
  assert.notEqual(status, 0);
  for (const { rule, file } of files) {
    const lines = stdout.split('\n').filter((line) => line.startsWith(`${file}:`));
    assert.ok(
      lines.some((line) => line.includes(rule)),
      `${rule} did not catch ${file}:\n${stdout}`,
    );
  }
});
