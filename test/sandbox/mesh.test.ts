/** The whole of weir through `weir sandbox`: two nodes, controller, agents, routes, policies, refusals, restarts. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Corner, ECHO, eventually, type PodRow, type Running } from './sandbox-harness.ts';

const deployment = (name: string, version: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: echo, version: ${version}}}
  template:
    metadata: {labels: {app: echo, version: ${version}}}
    spec:
      containers:
      - name: server
        image: echo:1
        args: [${version}]
        ports: [{name: web, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: web}}
---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  selector: {app: echo, version: ${version}}
  ports: [{name: http, port: 80, targetPort: web}]
---`;

const client = (name: string, node: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop}
spec:
  serviceAccountName: ${name}
  nodeName: ${node}
  containers: [{name: c, image: sh, command: [sleep, infinity]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: ${name}, namespace: shop}
---`;

const YAML = `${deployment('echo-v1', 'v1')}${deployment('echo-v2', 'v2')}${client('friend', 'node-0')}${client('stranger', 'node-1')}
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: http, port: 80, targetPort: web}]
`;

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: canary}
spec:
  parentRefs: [{group: "", kind: Service, name: echo, port: 80}]
  rules:
  - matches: [{headers: [{name: user-agent, type: RegularExpression, value: ".*Firefox.*"}]}]
    backendRefs: [{name: echo-v2, port: 80}]
  - backendRefs: [{name: echo-v1, port: 80}]
`;

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: friends-only}
spec:
  action: ALLOW
  rules:
  - from: [{source: {serviceAccounts: ["shop/friend"]}}]
`;

const corner = new Corner({ WEIR_SANDBOX: 'meshed' });
let sandbox: Running;

before(async () => {
  const image = `echo=${process.execPath} ${ECHO}`;
  const yaml = corner.file('mesh.yaml', YAML);
  sandbox = corner.start([
    'sandbox',
    '--name',
    'meshed',
    '--nodes',
    '2',
    '--workers',
    '1',
    '-f',
    yaml,
    '--image',
    image,
  ]);
  await sandbox.printed(/running; /);
});
after(() => corner.close());

const url = 'http://echo.default/';
const curl = (pod: string, ...words: string[]): Promise<string> => {
  const quiet = ['curl', '-sS', '-o', '/dev/null', '--max-time', '10', '-w', '%{http_code} %header{x-weir-reason}'];
  return corner.ok(['sandbox', 'exec', `${pod}.shop`, '--', ...quiet, ...words]);
};
interface AgentOnNode {
  readonly name: string;
  readonly agent: { readonly pid: number; readonly restarts: number; readonly socket: string };
}
const nodes = (): Promise<AgentOnNode[]> => corner.json<AgentOnNode>(['sandbox', 'get', 'nodes']);

test('every pod is enrolled by the real CNI chain, and status shows it from another shell', async () => {
  const rows = await corner.json<PodRow>(['sandbox', 'get', 'pods']);
  const captured = await corner.json<{ name: string; namespace: string }>(['pods']);
  assert.deepEqual(captured.map(({ name }) => name).sort(), rows.map(({ name }) => name).sort());
  assert.match(await corner.ok(['sandbox', 'logs', 'cni']), /ADD weir-cni shop\/friend status 0/);
  assert.match(await corner.ok(['status']), /node-0 +yes[^]*node-1 +yes/);
});

test('apply -f of a route takes effect at once: header to v2, everything else to v1, from both nodes', async () => {
  assert.match(
    await corner.ok(['sandbox', 'apply', '-f', corner.file('route.yaml', ROUTE)]),
    /HTTPRoute default\/canary created/,
  );
  for (const pod of ['friend.shop', 'stranger.shop']) {
    assert.deepEqual((await corner.fetchFrom(pod, url)).args, ['v1'], pod);
    assert.deepEqual((await corner.fetchFrom(pod, url, '-A', 'Mozilla Firefox/1')).args, ['v2'], pod);
  }
});

test('apply -f of something the controller refuses fails with file, line and remedy, and changes nothing', async () => {
  const typo = ROUTE.replace('  rules:', '  rulez:');
  const refused = await corner.run(['sandbox', 'apply', '-f', corner.file('typo.yaml', `# comment\n---\n${typo}`)]);
  assert.equal(refused.status, 1, refused.stdout);
  assert.match(refused.stderr, /typo\.yaml:8: HTTPRoute default\/canary: .*rulez/);
  assert.deepEqual((await corner.fetchFrom('friend.shop', url, '-A', 'Firefox')).args, ['v2']);
  // A controller that starts anew knows only what is written: the refused text must not be there.
  await corner.ok(['sandbox', 'restart', 'controller', '--kill']);
  assert.deepEqual((await corner.fetchFrom('friend.shop', url, '-A', 'Firefox')).args, ['v2']);
  assert.match(await corner.ok(['sandbox', 'apply', '-f', corner.file('route.yaml', ROUTE)]), /canary unchanged/);
});

test('apply and delete of a policy: allowed, denied with a reason, allowed again', async () => {
  assert.equal(await curl('stranger', url), '200 ');
  await corner.ok(['sandbox', 'apply', '-f', corner.file('policy.yaml', POLICY)]);
  assert.equal(await curl('friend', url), '200 ');
  assert.equal(await curl('stranger', url), '403 RBAC_DENIED');
  await corner.ok(['sandbox', 'delete', '-f', corner.file('policy.yaml', POLICY)]);
  assert.equal(await curl('stranger', url), '200 ');
});

test('no admin socket is reachable from a pod', async () => {
  for (const { agent } of await nodes()) {
    assert.ok(existsSync(agent.socket));
    const words = [
      'sandbox',
      'exec',
      'friend.shop',
      '--',
      'curl',
      '-sS',
      '--unix-socket',
      agent.socket,
      'http://x/status',
    ];
    const found = await corner.run(words);
    assert.notEqual(found.status, 0, found.stdout);
  }
});

test('restart agent, with and without --hard and --kill, returns when traffic flows again', async () => {
  for (const words of [[], ['--hard'], ['--kill'], ['--node', '1', '--kill']]) {
    await corner.ok(['sandbox', 'restart', 'agent', ...words]);
    for (const pod of ['friend', 'stranger']) assert.equal(await curl(pod, url), '200 ', words.join(' '));
  }
  const [first, second] = await nodes();
  assert.deepEqual([first?.agent.restarts, second?.agent.restarts], [3, 4]);
});

test('restart agent with a controller that hangs does not wait for it', async () => {
  const controller = processOf('controller');
  process.kill(controller, 'SIGSTOP');
  try {
    const [before] = await nodes();
    await corner.ok(['sandbox', 'restart', 'agent', '--node', '0', '--timeout', '25']);
    const [now] = await nodes();
    assert.notEqual(now?.agent.pid, before?.agent.pid);
    assert.equal(await curl('friend', url), '200 ');
  } finally {
    process.kill(controller, 'SIGCONT');
  }
  await corner.ok(['sandbox', 'restart', 'agent']);
});

/** The sandbox's process of `weir COMMAND`. */
function processOf(command: string): number {
  const found = readdirSync('/proc').find((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    const args = commandLine(entry);
    const at = args.findIndex((arg) => arg.endsWith('weir.js'));
    return at >= 0 && args[at + 1] === command && args.some((arg) => arg.includes(corner.folder));
  });
  assert.ok(found !== undefined, `no process of weir ${command}`);
  return Number(found);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return []; // gone meanwhile
  }
}

test('restart controller --kill: traffic goes on, and what is applied afterwards is acknowledged', async () => {
  await corner.ok(['sandbox', 'restart', 'controller', '--kill']);
  assert.equal(await curl('friend', url), '200 ');
  await corner.ok(['sandbox', 'apply', '-f', corner.file('policy.yaml', POLICY)]);
  assert.equal(await curl('stranger', url), '403 RBAC_DENIED');
  await corner.ok(['sandbox', 'delete', 'authorizationpolicy', 'friends-only']);
});

test('an agent that dies is started again, with a line that says so', async () => {
  const [node] = await nodes();
  assert.ok(node !== undefined);
  process.kill(node.agent.pid, 'SIGKILL');
  await sandbox.printed(/agent on node-0 was ended by SIGKILL; starting it again/);
  await eventually(
    'traffic',
    async () =>
      (await corner.run(['sandbox', 'exec', 'friend.shop', '--', 'curl', '-sf', '-m', '2', url])).status === 0,
  );
});

test('a pod that is added while the mesh runs is captured and reachable; when it is deleted its namespace is gone', async () => {
  await corner.ok(['sandbox', 'apply', '-f', corner.file('late.yaml', client('late', 'node-1'))]);
  assert.equal(await curl('late', url), '200 ');
  const row = (await corner.json<PodRow>(['sandbox', 'get', 'pods', 'late']))[0];
  await corner.ok(['sandbox', 'delete', 'pod', 'late', '-n', 'shop']);
  assert.equal(existsSync(row?.netns ?? '/'), false);
  assert.equal(
    (await corner.json<{ name: string }>(['pods'])).some(({ name }) => name === 'late'),
    false,
  );
});

test('stop ends a sandbox with a mesh too', async () => {
  await corner.ok(['sandbox', 'stop']);
  assert.equal((await sandbox.finished).status, 0);
});
