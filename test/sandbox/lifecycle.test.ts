/** How a sandbox starts and ends: exit statuses, signals, kill -9, refusals, terminals, other users. Without the mesh. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Corner, ECHO, eventually, type PodRow, pidNamespacesBelow, processesIn, Running } from './sandbox-harness.ts';

const SLEEPER = `
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  terminationGracePeriodSeconds: 600
  containers: [{name: c, image: sh, command: [sh, -c, "trap 'true' TERM; while true; do sleep 1; done"]}]
`;

const corner = new Corner();
after(() => corner.close());
const yaml = corner.file('sleeper.yaml', SLEEPER);
const plain = ['sandbox', '--no-mesh', '-f', yaml];
/** Folders of sandboxes that are left in this file's corner. */
const leftovers = (): string[] => {
  return readdirSync(join(corner.folder, 'run')).flatMap((root) => readdirSync(join(corner.folder, 'run', root)));
};

test('COMMAND: its stdio and exit status are passed on, progress goes to stderr, nothing is left', async () => {
  const { status, stdout, stderr } = await corner.run([...plain, '--', 'sh', '-c', 'cat; exit 7'], 'to stdin\n');
  assert.deepEqual([status, stdout], [7, 'to stdin\n'], stderr);
  assert.match(stderr, /ready after [\d.]+ s\nNAMESPACE +NAME/);
  assert.deepEqual(leftovers(), []);
});

test('COMMAND: 128 + n when a signal ends it, 127 when it does not exist', async () => {
  assert.equal((await corner.run([...plain, '-q', '--', 'sh', '-c', 'kill -USR1 $$'])).status, 138);
  const missing = await corner.run([...plain, '-q', '--', 'no-such-program']);
  assert.deepEqual([missing.status, missing.stderr], [127, 'weir sandbox: no-such-program: command not found\n']);
});

test('COMMAND finds its sandbox: names in the environment, weir on PATH, processes as they are inside', async () => {
  const script =
    'echo "$WEIR_SANDBOX ${WEIR_SOCKET:-none}"; weir sandbox get pods -o json; weir sandbox exec sleeper -- hostname';
  const { stdout, stderr } = await corner.run([...plain, '-q', '--name', 'inner', '--', 'sh', '-c', script]);
  const [first, ...rest] = stdout.split('\n');
  assert.equal(first, 'inner none', stderr);
  const rows = JSON.parse(rest.slice(0, rest.lastIndexOf(']') + 1).join('\n')) as PodRow[];
  assert.match(rows[0]?.netns ?? '', /^\/run\/netns\/pod-/);
  assert.equal(rest.at(-2), 'sleeper');
});

test('COMMAND may leave processes behind: they are collected while it runs and gone when it ends', async () => {
  const script = '(sh -c "sleep 0.1" &) ; (sleep 4343 &) ; sleep 1; ps ax | grep -c "[d]efunct"';
  const { stdout, stderr } = await corner.run([...plain, '-q', '--', 'sh', '-c', script]);
  assert.equal(stdout, '0\n', stderr);
  assert.doesNotMatch(spawnSync('ps', ['ax'], { encoding: 'utf8' }).stdout, /sleep 4343/);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`${signal} reaches COMMAND, which decides; then everything is taken down`, async () => {
    const trap = `trap 'echo got it; exit 5' ${signal.slice(3)}; echo waiting; while true; do sleep 0.1; done`;
    const running = corner.start([...plain, '-q', '--', 'sh', '-c', trap]);
    await running.printed(/waiting/);
    running.child.kill(signal);
    const { status, stdout } = await running.finished;
    assert.deepEqual([status, stdout], [5, 'waiting\ngot it\n']);
  });
}

test('without COMMAND, SIGTERM is the normal end, even with a pod that ignores SIGTERM', async () => {
  const running = corner.start(plain);
  await running.printed(/running; /);
  running.child.kill('SIGTERM');
  assert.equal((await running.finished).status, 0);
  assert.deepEqual(leftovers(), []);
});

test('a signal while it starts ends it with 128 + n', async () => {
  const never = SLEEPER.replace('command:', 'readinessProbe: {exec: {command: ["false"]}}, command:');
  const running = corner.start(['sandbox', '--no-mesh', '-f', corner.file('never.yaml', never)]);
  await running.printed(/applying/);
  running.child.kill('SIGINT');
  assert.equal((await running.finished).status, 130);
});

test('kill -9 of the outer process: every process inside is gone, and the next sandbox clears the folder', async () => {
  const running = corner.start([...plain, '--name', 'killed']);
  await running.printed(/running; /);
  const namespaces = pidNamespacesBelow(running.child.pid ?? 0);
  assert.ok(namespaces.size >= 2, 'the sandbox and its container have PID namespaces of their own');
  assert.ok(processesIn(namespaces).length >= 4);
  await running.kill();
  await eventually('the end of all processes', () => processesIn(namespaces).length === 0);
  assert.deepEqual(leftovers(), ['killed']);
  assert.equal((await corner.run([...plain, '-q', '--name', 'killed', '--', 'true'])).status, 0);
  assert.deepEqual(leftovers(), []);
});

test('kill -9 of the inner process ends everything too', async () => {
  const running = corner.start(plain);
  await running.printed(/running; /);
  const namespaces = pidNamespacesBelow(running.child.pid ?? 0);
  const isInside = (pid: number): boolean =>
    /^\S*node\0.*inside\.js\0$/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  const own = processesIn(namespaces).find(isInside);
  assert.ok(own !== undefined);
  process.kill(own, 'SIGKILL');
  assert.equal((await running.finished).status, 137);
  await eventually('the end of all processes', () => processesIn(namespaces).length === 0);
});

test('the same name twice is refused; without --name a free one is found', async () => {
  const first = corner.start([...plain, '--name', 'twice']);
  await first.printed(/running; /);
  const second = await corner.run([...plain, '--name', 'twice', '--', 'true']);
  assert.equal(second.status, 1);
  assert.match(
    second.stderr,
    /a sandbox named twice is already running \(process \d+\).*weir sandbox stop --name twice/,
  );
  assert.equal((await corner.run([...plain, '-q', '--', 'true'])).status, 0);
  first.child.kill('SIGTERM');
  await first.finished;
});

test('what is wrong with the input is told with status 1, with wrong usage 2, before anything starts', async () => {
  const table: [string[], number, RegExp][] = [
    [['-f', 'nowhere.yaml'], 1, /-f nowhere\.yaml: there is no such file or folder/],
    [['-f', corner.file('bad.yaml', 'kind: Pod\n')], 1, /bad\.yaml:1: apiVersion: missing/],
    [['-f', yaml, '--image', 'nothing'], 2, /--image nothing: write IMAGE=COMMAND/],
    [['-f', yaml, '--nodes', '0'], 2, /--nodes <n>.*'0' is invalid/],
    [['-f', yaml, '--name', 'No!'], 1, /--name No!: use 1 to 24/],
    [['-f', yaml, '--'], 2, /a command must follow --/],
    [[], 2, /give what to run: weir sandbox -f PATH/],
    [['aply', '-f', yaml], 2, /weir sandbox aply: no such command; there are exec, apply/],
  ];
  for (const [words, status, message] of table) {
    const found = await corner.run(
      ['sandbox', '--no-mesh', ...words].filter((word) => word !== '--no-mesh' || words[0] !== 'aply'),
    );
    assert.equal(found.status, status, `${words.join(' ')}\n${found.stderr}`);
    assert.match(found.stderr, message);
    assert.equal(found.stdout, '');
  }
});

test('pods that do not become ready: status 1, which, why, and the end of their log', async () => {
  const text = SLEEPER.replace('command:', 'readinessProbe: {httpGet: {path: /ok, port: 81}}, command:').replace(
    'sh, -c, "',
    'sh, -c, "echo starting; ',
  );
  const failed = await corner.run([
    'sandbox',
    '--no-mesh',
    '--timeout',
    '2',
    '-f',
    corner.file('unready.yaml', text),
    '--',
    'true',
  ]);
  assert.equal(failed.status, 1);
  assert.match(
    failed.stderr,
    /pod default\/sleeper on node-0 is not ready: Running\n +container c: readiness probe: connect ECONNREFUSED 10\.244\.0\.2:81\n +\| starting/,
  );
});

test('restartPolicy Never: a pod that ends well is done, one that fails is told at once', async () => {
  const pod = (status: number): string =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: job}\nspec: {restartPolicy: Never, containers: [{name: c, image: sh, command: [sh, -c, "exit ${status}"]}]}\n`;
  const done = await corner.run(['sandbox', '--no-mesh', '-f', corner.file('job.yaml', pod(0)), '--', 'true']);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /job +0\/1 +Completed/);
  const failed = await corner.run(['sandbox', '--no-mesh', '-f', corner.file('job.yaml', pod(4)), '--', 'true']);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /container c: ended with status 4/);
});

test('an init container runs to its end before the others start', async () => {
  const text = `apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  initContainers: [{name: i, image: sh, command: [sh, -c, "sleep 0.3; date +%s%N > ${corner.folder}/init"]}]
  containers: [{name: c, image: sh, command: [sh, -c, "cat ${corner.folder}/init > ${corner.folder}/seen; exec sleep infinity"]}]
`;
  await corner.ok([
    'sandbox',
    '--no-mesh',
    '-q',
    '-f',
    corner.file('two.yaml', text),
    '--',
    'test',
    '-s',
    `${corner.folder}/seen`,
  ]);
});

test('liveness: a container that stops answering is ended and started again', async () => {
  const text = `apiVersion: v1
kind: Pod
metadata: {name: frail}
spec:
  containers:
  - name: c
    image: sh
    command: [sh, -c, "rm -f ${corner.folder}/sick; exec sleep infinity"]
    livenessProbe: {exec: {command: [test, "!", -e, ${corner.folder}/sick]}, periodSeconds: 1, failureThreshold: 1}
`;
  const running = corner.start(['sandbox', '--no-mesh', '--name', 'frail', '-f', corner.file('frail.yaml', text)]);
  await running.printed(/running; /);
  writeFileSync(join(corner.folder, 'sick'), '');
  await eventually('a restart', async () => {
    const [row] = await corner.json<PodRow>(['sandbox', 'get', 'pods', '--name', 'frail']);
    return row?.restarts === 1 && row.ready;
  });
  assert.match(running.stderr, /liveness probe failed, ending it: status 1/);
  await corner.ok(['sandbox', 'stop', '--name', 'frail']);
});

test("weir's own bridge plugin gives pods the same network as the standard ones", async () => {
  const server = SLEEPER.replace('name: sleeper', 'name: server').replace(
    /command: \[.*?\]/,
    'command: [node, $(ECHO)], env: [{name: ECHO, value: ' + ECHO + '}], readinessProbe: {httpGet: {port: 8080}}',
  );
  const script = `set -e
weir sandbox exec sleeper -- sh -ec "curl -4 -sf http://server:8080/four; curl -6 -sf http://server:8080/six; ip -o address show eth0; ip route"
weir sandbox delete pod server
weir sandbox logs cni`;
  const words = [
    'sandbox',
    '--no-mesh',
    '-q',
    '--nodes',
    '2',
    '-f',
    corner.file('pair.yaml', `${SLEEPER}---\n${server}`),
    '--',
    'sh',
    '-c',
    script,
  ];
  const { status, stdout, stderr } = await corner.run(words, '', { WEIR_SANDBOX_BRIDGE: 'builtin' });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /"from":"10\.244\.0\.2","url":"\/four"/);
  assert.match(stdout, /"from":"fd00:10:244::2","url":"\/six"/);
  assert.match(stdout, /inet 10\.244\.0\.2\/24/);
  assert.match(stdout, /inet6 fd00:10:244::2\/64/);
  assert.match(stdout, /default via 10\.244\.0\.1/);
  assert.match(stdout, /ADD bridge default\/sleeper status 0/);
  assert.match(stdout, /DEL bridge default\/server status 0/);
});

test('a container ended by a signal is told as 128 + n', async () => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: job}\nspec: {restartPolicy: Never, containers: [{name: c, image: sh, command: [sh, -c, "sh -c \'kill -9 $$$$\'; exit $?"]}]}\n';
  const failed = await corner.run(['sandbox', '--no-mesh', '-f', corner.file('killed.yaml', text), '--', 'true']);
  assert.match(failed.stderr, /container c: ended with status 137/);
});

/** Counts SIGINT, says when it can be typed at, and ends two seconds after the first one. */
const COUNTER = `
let count = 0;
let line = '';
process.stdin.on('data', (chunk) => (line += String(chunk).trim()));
process.on('SIGINT', () => {
  count += 1;
  if (count === 1) setTimeout(() => (console.log('line=' + line + ' interrupts=' + count), process.exit(0)), 2000);
});
console.log('terminal=' + process.stdin.isTTY);
`;

test('in a terminal COMMAND reads from it, and Ctrl-C reaches it once', async () => {
  const weir = join(import.meta.dirname, '../../dist/cli/weir.js');
  const command = [
    process.execPath,
    weir,
    ...plain,
    '-q',
    '--',
    process.execPath,
    corner.file('counter.cjs', COUNTER),
  ].join(' ');
  const terminal = new Running(
    spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: corner.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: join(corner.folder, 'run') },
    }),
  );
  await terminal.printed(/terminal=true/);
  terminal.child.stdin?.write('hello\n');
  await terminal.printed(/hello/);
  terminal.child.stdin?.write('\u0003');
  await terminal.printed(/line=hello interrupts=1/);
  await terminal.finished;
});

test('it runs for a user without root and without an entry in passwd', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const prefix = ['setpriv', '--reuid', '64321', '--regid', '64321', '--clear-groups', '--'];
  const probe = spawnSync('setpriv', [
    ...prefix.slice(1),
    process.execPath,
    join(import.meta.dirname, '../../dist/cli/weir.js'),
    '--version',
  ]);
  if (probe.status !== 0) return t.skip('this checkout or Node cannot be read by another user');
  const other = new Corner({ HOME: '/' }, prefix);
  t.after(() => other.close());
  chmodSync(other.folder, 0o777);
  chmodSync(join(other.folder, 'run'), 0o777);
  mkdirSync(join(other.folder, 'run', 'deeper'));
  const file = other.file('sleeper.yaml', SLEEPER);
  const script = 'weir sandbox exec sleeper -- id -u; ip -o -4 address show weir0';
  const { status, stdout, stderr } = await other.run([
    'sandbox',
    '--no-mesh',
    '-q',
    '-f',
    file,
    '--image',
    `echo=${ECHO}`,
    '--',
    'sh',
    '-c',
    script,
  ]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^0\n.*172\.30\.0\.1/s);
  assert.equal(existsSync(join(other.folder, 'run', 'weir-sandbox-64321', 'sandbox')), false);
});
