import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { candidateRoots, SandboxPaths, SOCKET_PATH_BYTES_MAX } from '../../../sandbox/paths.ts';
import {
  claim,
  ownPidNamespace,
  processStartTicks,
  removeDeadSandboxes,
  runningSandboxes,
  writeRecord,
} from '../../../sandbox/registry.ts';
import { defaultAgentSockets, defaultControllerSocket } from '../../../cli/sandbox-registry.ts';

const ALIVE = {
  pid: process.pid,
  startTicks: processStartTicks(process.pid) ?? '',
  pidNamespace: ownPidNamespace(),
  initPid: null,
  innerPidNamespace: null,
  nodes: ['node-0', 'node-1'],
  mesh: true,
};
/** The process id is in use, by a process that started at another time. */
const DEAD = { ...ALIVE, startTicks: '1' };

const before = { ...process.env };
let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'weir-registry-'));
  process.env['XDG_RUNTIME_DIR'] = base;
  delete process.env['WEIR_SANDBOX_DIR'];
});
afterEach(() => {
  process.env = { ...before };
  rmSync(base, { recursive: true, force: true });
});

const own = (): string[] =>
  runningSandboxes()
    .filter(({ paths }) => paths.root.startsWith(base))
    .map(({ record }) => record.name);

test('a claimed name has a private folder, is found, and cannot be claimed again', () => {
  const { paths } = claim('one', ALIVE);
  assert.equal(statSync(paths.root).mode & 0o777, 0o700);
  assert.equal(statSync(paths.record).mode & 0o777, 0o600);
  assert.deepEqual(own(), ['one']);
  assert.throws(() => claim('one', ALIVE), /a sandbox named one is already running \(process \d+\)/);
});

test('without a name a free one is taken', () => {
  const names = [1, 2, 3].map(() => claim(null, ALIVE).record.name);
  assert.equal(new Set(names).size, 3);
  for (const name of names) assert.match(name, /^sandbox(-\d+)?$/);
});

test('a reused process id is not the sandbox: its folder is cleared, its name free', () => {
  const { paths } = claim('gone', DEAD);
  writeFileSync(join(paths.root, 'left'), '');
  assert.deepEqual(own(), []);
  assert.deepEqual(
    removeDeadSandboxes().filter((name) => name === 'gone'),
    ['gone'],
  );
  assert.deepEqual(readdirSync(join(base, readdirSync(base)[0] ?? '')), []);
  claim('gone', DEAD);
  assert.equal(claim('gone', ALIVE).record.name, 'gone');
});

test('a folder that is being made right now is left alone, an old broken one is not', () => {
  const root = join(candidateRoots()[0] ?? '', 'half');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  chmodSync(candidateRoots()[0] ?? '', 0o700);
  assert.throws(() => claim('half', ALIVE), /already running/);
  utimesSync(root, 0, 0);
  assert.equal(claim('half', ALIVE).record.name, 'half');
});

test('names that would not fit in a path or host name are refused', () => {
  for (const name of ['', 'A', '-a', 'a-', 'a/b', '..', 'a'.repeat(25), 'a b']) {
    assert.throws(() => claim(name, ALIVE), /use 1 to 24 lower-case/, name);
  }
  claim('a'.repeat(24), ALIVE);
});

test('a folder that others can write to is not used', () => {
  mkdirSync(candidateRoots()[0] ?? '', { mode: 0o777 });
  chmodSync(candidateRoots()[0] ?? '', 0o777);
  assert.throws(() => claim('x', ALIVE), /must belong to you with mode 0700/);
});

test('folders too deep for a socket are passed over; every socket fits', () => {
  process.env['XDG_RUNTIME_DIR'] = `/${'deep/'.repeat(20)}`;
  assert.equal(
    candidateRoots().some((root) => root.includes('deep')),
    false,
  );
  for (const root of candidateRoots()) {
    const socket = new SandboxPaths(join(root, 'a'.repeat(24))).agentSocket('node-63');
    assert.ok(Buffer.byteLength(socket) <= SOCKET_PATH_BYTES_MAX, socket);
  }
});

test('a missing XDG_RUNTIME_DIR (su, cron) is passed over', () => {
  process.env['XDG_RUNTIME_DIR'] = join(base, 'missing');
  process.env['TMPDIR'] = base;
  assert.ok(claim('x', ALIVE).paths.root.startsWith(join(base, 'weir-sandbox-')));
  assert.equal(existsSync(join(base, 'missing')), false);
});

test('agents to ask: WEIR_SOCKET, then the sandbox named, then the only one, then the node', () => {
  const { paths } = claim('one', ALIVE);
  const sockets = [paths.agentSocket('node-0'), paths.agentSocket('node-1')];
  assert.deepEqual(defaultAgentSockets({ WEIR_SOCKET: '/a,/b', WEIR_SANDBOX: 'one' }), ['/a', '/b']);
  assert.deepEqual(defaultAgentSockets({ WEIR_SANDBOX: 'one' }), sockets);
  assert.throws(() => defaultAgentSockets({ WEIR_SANDBOX: 'two' }), /no sandbox named two is running/);
  claim('two', ALIVE);
  assert.throws(() => defaultAgentSockets({}), /several sandboxes run \(.*one.*\); name one/);
});

test('the controller to ask: the one of the agents that are asked, and none where agents are named by socket', () => {
  assert.equal(defaultControllerSocket({ WEIR_SOCKET: '/a' }), null);
  assert.equal(defaultControllerSocket({ WEIR_SOCKET: '/a', WEIR_CONTROLLER_SOCKET: '/c' }), '/c');
  const { paths } = claim('one', ALIVE);
  assert.equal(defaultControllerSocket({ WEIR_SANDBOX: 'one' }), paths.controllerSocket);
  assert.throws(() => defaultControllerSocket({ WEIR_SANDBOX: 'two' }), /no sandbox named two is running/);
});

test('the record is replaced whole', () => {
  const found = claim('one', ALIVE);
  writeRecord(found.paths, { ...found.record, initPid: 7 });
  assert.equal(runningSandboxes().find(({ record }) => record.name === 'one')?.record.initPid, 7);
  assert.deepEqual(readdirSync(found.paths.root), ['sandbox.json']);
});
