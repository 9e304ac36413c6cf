/** Plants one violation of every layering rule in a small tree and checks that dependency-cruiser catches each. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const config = '.dependency-cruiser.mjs';
const folders = ['mesh', 'agent', 'cni-plugin', 'controlplane', 'sandbox', 'cli', 'test', 'scripts'];

/** Rule, file that breaks it, and the import that does. */
const planted: readonly (readonly [rule: string, file: string, line: string])[] = [
  ['no-unresolvable', 'mesh/lost.ts', "import './nowhere.ts';"],
  ['mesh-is-the-bottom', 'mesh/up.ts', "import '../agent/limits.ts';"],
  ['mesh-is-pure', 'mesh/clock.ts', "import 'node:perf_hooks';"],
  ['mesh-is-pure', 'mesh/npm.ts', "import 'pino';"],
  ['codecs-know-no-sockets', 'agent/http1/socket.ts', "import '../engine/base.ts';"],
  ['http2-knows-no-sockets', 'agent/http2/socket.ts', "import '../engine/base.ts';"],
  ['codecs-do-no-io', 'agent/http1/io.ts', "import 'node:net';"],
  ['engine-knows-no-mesh', 'agent/engine/mesh.ts', "import type { A } from '../../mesh/base.ts';"],
  ['data-plane-below-supervisor', 'agent/proxy/up.ts', "import '../admin/base.ts';"],
  ['upstream-below-proxy', 'agent/upstream/up.ts', "import '../proxy/base.ts';"],
  ['agent-stands-alone', 'agent/control/server.ts', "import '../../controlplane/base.ts';"],
  ['controlplane-stands-alone', 'controlplane/client.ts', "import '../agent/limits.ts';"],
  ['plugin-is-self-contained', 'cni-plugin/mesh.ts', "import type { A } from '../mesh/base.ts';"],
  ['plugin-is-self-contained', 'cni-plugin/npm.ts', "import 'pino';"],
  ['sandbox-starts-processes', 'sandbox/inside.ts', "import '../agent/limits.ts';"],
  ['agent-does-not-know-its-commands', 'agent/control/command.ts', "import '../cli/base.ts';"],
  ['node-commands-below-cli', 'agent/cli/top.ts', "import '../../cli/base.ts';"],
  ['node-commands-below-cli', 'agent/cli/sandbox.ts', "import '../../sandbox/base.ts';"],
  ['nobody-imports-the-cli', 'agent/cli.ts', "import '../cli/base.ts';"],
  ['cli-loads-lazily', 'cli/weir.ts', "import '../controlplane/base.ts';"],
  ['one-ffi', 'agent/admin/ffi.ts', "import 'koffi';"],
  ['product-without-tools', 'sandbox/tool.ts', "import 'fast-check';"],
  ['product-without-tools', 'agent/admin/test.ts', "import '../../test/base.ts';"],
];
const allowed: Readonly<Record<string, string>> = {
  'agent/cli/status.ts': "import '../../cli/output.ts';\nimport '../admin/base.ts';",
  'cli/output.ts': '',
  'cli/status.ts': "import 'commander';\nimport '../mesh/base.ts';",
  'agent/engine/ffi.ts': "import 'koffi';\nimport 'node:fs';",
  'agent/proxy/fine.ts': "import '../engine/base.ts';\nimport '../upstream/base.ts';\nimport '../limits.ts';",
  'cni-plugin/fine.ts': "import 'node:http';\nimport './base.ts';",
  'test/fine.ts': "import 'fast-check';\nimport '../agent/proxy/base.ts';",
};

interface Report {
  readonly summary: {
    readonly totalDependenciesCruised: number;
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

const tree = mkdtempSync(join(tmpdir(), 'weir-layering-'));
after(() => rmSync(tree, { recursive: true, force: true }));

function write(file: string, text: string): void {
  mkdirSync(dirname(join(tree, file)), { recursive: true });
  writeFileSync(join(tree, file), `${text}\nexport type A = 1;\n`);
}

function cruise(folder: string): Report {
  const program = join(repository, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const result = spawnSync(process.execPath, [program, '--config', config, '--output-type', 'json', ...folders], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.notEqual(result.stdout, '', result.stderr);
  return JSON.parse(result.stdout) as Report;
}

test('every layering rule catches a planted violation, and only that', () => {
  for (const folder of [
    'mesh',
    'agent/engine',
    'agent/proxy',
    'agent/upstream',
    'agent/admin',
    'agent/cli',
    'cni-plugin',
    'controlplane',
    'sandbox',
    'cli',
    'test',
    'scripts',
  ]) {
    write(`${folder}/base.ts`, '');
  }
  write('agent/limits.ts', '');
  for (const [, file, line] of planted) write(file, line);
  for (const [file, lines] of Object.entries(allowed)) write(file, lines);
  write('scripts/one.ts', "import './two.ts';");
  write('scripts/two.ts', "import './one.ts';");
  for (const file of [config, 'tsconfig.json', 'package.json']) copyFileSync(join(repository, file), join(tree, file));
  symlinkSync(join(repository, 'node_modules'), join(tree, 'node_modules'));

  const { violations } = cruise(tree).summary;
  const seen = violations.map((each) => `${each.rule.name} ${each.from}`);
  for (const [rule, file] of planted)
    assert.ok(seen.includes(`${rule} ${file}`), `${rule} did not catch ${file}: ${seen.join(', ')}`);
  assert.ok(
    seen.some((each) => each.startsWith('no-cycles scripts/')),
    'the cycle was not caught',
  );
  for (const file of Object.keys(allowed)) {
    assert.deepEqual(
      violations.filter((each) => each.from === file).map((each) => `${each.rule.name}: ${each.to}`),
      [],
    );
  }
});

test('every rule of the configuration has a planted violation', async () => {
  const loaded = (await import(new URL(`../../../${config}`, import.meta.url).href)) as {
    default: { forbidden: readonly { readonly name: string }[] };
  };
  const rules = loaded.default.forbidden.map((rule) => rule.name).filter((name) => name !== 'no-cycles');
  assert.deepEqual([...new Set(planted.map(([rule]) => rule))].sort(), rules.sort());
});
