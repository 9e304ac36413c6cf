import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { collectNodes, completionScript } from '../../../cli/completion-command.ts';
import { CliError } from '../../../cli/output.ts';
import { buildProgram, splitCommandLine } from '../../../cli/program.ts';

const everything = await buildProgram(splitCommandLine(['completion']));

test("what follows the first -- is not weir's", () => {
  assert.deepEqual(splitCommandLine(['sandbox', '-f', 'x']), { own: ['sandbox', '-f', 'x'], rest: null });
  assert.deepEqual(splitCommandLine(['a', '--', 'b', '--', 'c']), { own: ['a'], rest: ['b', '--', 'c'] });
  assert.deepEqual(splitCommandLine(['a', '--']), { own: ['a'], rest: [] });
});

test('every command and option says what it does', () => {
  for (const node of collectNodes(everything)) {
    assert.notEqual(node.description, '', node.path);
    for (const { flags, description } of node.options)
      assert.notEqual(description, '', `${node.path} ${flags.join(' ')}`);
  }
});

test('the parts of weir are all there', () => {
  const paths = collectNodes(everything).map(({ path }) => path);
  for (const wanted of ['agent', 'controller', 'cni', 'sandbox', 'status', 'pods', 'services', 'routes', 'policies']) {
    assert.ok(paths.includes(`weir ${wanted}`), wanted);
  }
  for (const wanted of ['exec', 'apply', 'delete', 'get', 'restart', 'logs', 'scale', 'stop', 'list']) {
    assert.ok(paths.includes(`weir sandbox ${wanted}`), wanted);
  }
});

test('--help loads neither gRPC nor FFI nor the logger', () => {
  const folder = mkdtempSync(join(tmpdir(), 'weir-help-'));
  const weir = fileURLToPath(new URL('../../../dist/cli/weir.js', import.meta.url));
  // Every CommonJS module that was loaded is in require.cache; the packages in question are all CommonJS.
  const spy = join(folder, 'spy.cjs');
  writeFileSync(
    spy,
    "process.on('exit', () => console.error(Object.keys(require('node:module')._cache).join('\\n')));\n",
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--require', spy, weir, '--help'], {
    encoding: 'utf8',
  });
  rmSync(folder, { recursive: true });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /sandbox .*agent/s);
  assert.match(stderr, /node_modules\/commander/);
  assert.doesNotMatch(stderr, /node_modules\/(@grpc|koffi|pino|protobufjs|prom-client|yaml)/);
});

test('completion scripts know the commands and options; another shell is wrong usage', () => {
  const nodes = collectNodes(everything);
  const bash = completionScript('bash', nodes);
  const complete = (...words: string[]): string[] => {
    const script = `${bash}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
    assert.equal(stderr, '');
    return stdout.split('\n').filter(Boolean);
  };
  assert.deepEqual(complete('weir', 'san'), ['sandbox']);
  assert.deepEqual(complete('weir', 'sandbox', 'ex'), ['exec']);
  assert.deepEqual(complete('weir', 'sandbox', 'restart', '--k'), ['--kill']);
  assert.ok(complete('weir', 'sandbox', '--').includes('--image'));
  assert.match(completionScript('fish', nodes), /-a exec /);
  assert.match(completionScript('zsh', nodes), /^#compdef weir\n/);
  assert.throws(() => completionScript('tcsh', nodes), CliError);
});
