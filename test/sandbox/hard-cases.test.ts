/** The failures a mesh is judged by, in a real sandbox: killed workers, an absent controller, a typo in YAML. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The tests may run from their sources or compiled; processes always run what is built, YAML and scripts stay with the sources. */
const HERE = fileURLToPath(new URL('../../', import.meta.url));
const ROOT = HERE.endsWith('/dist/') ? join(HERE, '..') : HERE;
const WEIR = join(ROOT, 'dist/cli/weir.js');
const SCENARIO = join(ROOT, 'dist/test/harness/sandbox/hard-cases.js');
const SOURCES = join(ROOT, 'test/harness/sandbox/');
const WEB = `node -e "require('http').createServer((q,s)=>s.end('hello')).listen(8080)"`;

test('killed worker, controller away, YAML typo', { timeout: 280_000 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'weir-hard-cases-'));
  const run = spawnSync(
    process.execPath,
    [
      WEIR,
      'sandbox',
      '-f',
      `${SOURCES}cluster.yaml`,
      '--name',
      `hard-${process.pid}`,
      '--image',
      `web=${WEB}`,
      '--',
      process.execPath,
      SCENARIO,
      `${SOURCES}load.cjs`,
      scratch,
    ],
    { encoding: 'utf8', timeout: 270_000 },
  );
  rmSync(scratch, { recursive: true, force: true });
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  assert.match(run.stdout, /all hard cases hold/);
});
