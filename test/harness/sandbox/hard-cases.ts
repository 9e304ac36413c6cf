/**
 * Runs as the COMMAND of a sandbox (see test/sandbox/hard-cases.test.ts): breaks things from the node's side while pods talk.
 * Prints one line per case; exits non-zero at the first that does not hold.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Always run compiled: dist/test/harness/sandbox/ → dist/cli/. */
const WEIR = fileURLToPath(new URL('../../../cli/weir.js', import.meta.url));
const LOAD = process.argv[2] as string;
const SCRATCH = process.argv[3] as string;

interface NodeStatus {
  readonly node: string;
  readonly pid: number;
  readonly ready: boolean;
  readonly workers: readonly { readonly pid: number; readonly restarts: number }[];
  readonly controller: { readonly connected: boolean };
}

function weir(...args: string[]): { status: number; out: string } {
  const run = spawnSync(process.execPath, [WEIR, ...args], { encoding: 'utf8', timeout: 120_000 });
  return { status: run.status ?? -1, out: run.stdout + run.stderr };
}

function status(): NodeStatus {
  const { status: code, out } = weir('status', '-o', 'json');
  assert.equal(code, 0, out);
  const [node] = JSON.parse(out) as NodeStatus[];
  assert.ok(node !== undefined);
  return node;
}

function statusOrNull(): NodeStatus | null {
  const { status: code, out } = weir('status', '-o', 'json');
  return code === 0 ? ((JSON.parse(out) as NodeStatus[])[0] ?? null) : null;
}

function curl(pod: string, ...args: string[]): { status: number; out: string } {
  return weir('sandbox', 'exec', pod, '--', 'curl', '-sS', '-m', '5', '-w', '%{http_code}', '-o', '/dev/null', ...args);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function workerKilledUnderLoad(): Promise<void> {
  const load = spawn(process.execPath, [WEIR, 'sandbox', 'exec', 'client', '--', 'node', LOAD], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(load.stdout, 'data');
  await later(700);
  const before = status();
  for (const worker of before.workers) process.kill(worker.pid, 'SIGKILL');
  await later(2_500);
  const result = await finish(load);
  assert.ok(result.ok > 100, JSON.stringify(result).slice(0, 500));
  const killed = before.workers.map((worker) => worker.pid);
  const after = status();
  assert.ok(
    after.workers.every((worker) => !killed.includes(worker.pid)),
    'the workers are new ones',
  );
  assert.ok(result.failures.length > 0, 'connections in flight failed');
  assert.ok(
    result.failures.every((failure) => failure.status === undefined),
    `failed connections were refused or reset, never answered wrongly: ${JSON.stringify(result.failures.slice(0, 5))}`,
  );
  assert.ok(result.clean !== null, 'after the last failure there was success');
  const gap = result.last - result.first;
  say(`worker killed under load: ${result.ok} succeeded, ${result.failures.length} failed within ${gap} ms`);
  // The issue asks for a second; the margin is for a machine that runs other tests beside this one.
  assert.ok(gap < 3_000, `failures went on for ${gap} ms`);
}

interface LoadResult {
  readonly ok: number;
  readonly failures: readonly { readonly at: number; readonly status?: number; readonly code?: string }[];
  readonly first: number;
  readonly last: number;
  readonly clean: number | null;
}

async function finish(load: ChildProcess): Promise<LoadResult> {
  let text = '';
  load.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  load.stdin?.end();
  await once(load, 'close');
  return JSON.parse(text.trim().split('\n').at(-1) ?? 'null') as LoadResult;
}

function identityHolds(when: string): void {
  assert.deepEqual(curl('client', 'http://web/'), { status: 0, out: '200' }, when);
  assert.deepEqual(curl('stranger', 'http://web/'), { status: 0, out: '403' }, when);
  assert.deepEqual(curl('client', '-X', 'POST', 'http://web/'), { status: 0, out: '403' }, when);
}

async function controllerAway(): Promise<void> {
  const controller = processOf('controller');
  process.kill(controller, 'SIGSTOP');
  try {
    identityHolds('controller stopped');
    const old = status();
    process.kill(old.pid, 'SIGKILL');
    assert.match(curl('client', 'http://web/').out, /refused|reset|Couldn't connect|200/i);
    await until(() => {
      const now = statusOrNull();
      return now !== null && now.pid !== old.pid && now.ready;
    });
    identityHolds('agent restarted while the controller is away');
    say('controller away: traffic, policy and an agent restart work from the last good snapshot');
  } finally {
    process.kill(controller, 'SIGCONT');
  }
  await until(() => status().controller.connected);
}

/** The sandbox starts the controller as `… weir.js controller …`. */
function processOf(command: string): number {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const args = commandLine(entry);
    const at = args.findIndex((arg) => arg.endsWith('weir.js'));
    if (at >= 0 && args[at + 1] === command) return Number(entry);
  }
  assert.fail(`no process of weir ${command}`);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // gone meanwhile
  }
}

function typoChangesNothing(): void {
  const cases: [string, string, RegExp][] = [
    ['syntax', 'apiVersion: v1\nkind: Service\nmetadata: {name: web\nspec: 5\n', /syntax\.yaml:\d+/],
    [
      'field',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: web}\nspec:\n  action: ALLOW\n  rule:\n  - {}\n',
      /field\.yaml:6.*rule/s,
    ],
    [
      'value',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: web}\nspec:\n  action: PERMIT\n  rules:\n  - {}\n',
      /value\.yaml:5.*PERMIT/s,
    ],
  ];
  for (const [name, yaml, message] of cases) {
    const path = join(SCRATCH, `${name}.yaml`);
    writeFileSync(path, yaml);
    const applied = weir('sandbox', 'apply', '-f', path);
    assert.notEqual(applied.status, 0, applied.out);
    assert.match(applied.out, message);
    identityHolds(`after applying ${name}.yaml`);
  }
  say('a YAML file with a typo is refused with file and line, and changes nothing that worked');
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (condition()) return;
    await later(100);
  }
  assert.fail('the expected state was not reached in time');
}

identityHolds('at the start');
await workerKilledUnderLoad();
identityHolds('after the worker was killed');
await controllerAway();
typoChangesNothing();
say('all hard cases hold');
