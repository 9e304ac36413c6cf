/** As high as policy demands, no higher, in a whole mesh: what the ConfigMap switches, what a policy takes back. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Corner, ECHO, eventually, type Running } from './sandbox-harness.ts';

const YAML = `
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: echo}}
spec:
  nodeName: node-1
  containers:
  - name: c
    image: echo:1
    ports: [{name: web, containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: web}}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: http, port: 80, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: near, labels: {app: client}}
spec:
  nodeName: node-1
  containers: [{name: c, image: sh, command: [sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: far, labels: {app: client}}
spec:
  nodeName: node-0
  containers: [{name: c, image: sh, command: [sleep, infinity]}]
`;

const settings = (weir: string): string => `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultProviders:
      metrics: []
      accessLogging: []
${weir === '' ? '' : `  weir: |\n    ${weir}\n`}`;

/** Nobody calls from there, so everything is refused. */
const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody}
spec:
  selector: {matchLabels: {app: echo}}
  rules:
  - from: [{source: {namespaces: [nowhere]}}]
`;

/** Fields of the agents' documents that are read here. */
interface StatusRow {
  readonly node: string;
  readonly bypass: { readonly state: string; readonly reason: string | null; readonly entries: number };
}
interface ConnectionRow {
  readonly pod: string;
  readonly protocol: string;
  readonly service: string | null;
}

const corner = new Corner({ WEIR_SANDBOX: 'bypass' });
let sandbox: Running;

before(async () => {
  const image = `echo=${process.execPath} ${ECHO}`;
  const yaml = corner.file('mesh.yaml', YAML);
  const words = ['sandbox', '--name', 'bypass', '--nodes', '2', '--workers', '1', '-f', yaml, '--image', image];
  sandbox = corner.start(words);
  await sandbox.printed(/running; /);
});
after(() => corner.close());

const apply = (text: string): Promise<string> => corner.ok(['sandbox', 'apply', '-f', '-'], text);
const withdraw = (text: string): Promise<string> => corner.ok(['sandbox', 'delete', '-f', '-'], text);

/** Opens a connection from a pod to the Service, makes a request on it and keeps it. */
async function hold(pod: string): Promise<Running> {
  const script = `const s=require('net').connect(80,'echo',()=>s.write('GET / HTTP/1.1\\r\\nHost: echo\\r\\n\\r\\n'));
    s.on('data',()=>console.log('answered'));s.on('error',(e)=>{console.log(e.code);process.exit(1)});s.on('close',()=>process.exit(2));`;
  const running = corner.start(['sandbox', 'exec', pod, '--', process.execPath, '-e', script]);
  await running.printed(/answered/);
  return running;
}

const protocolsOf = async (pod: string): Promise<string[]> =>
  (await corner.json<ConnectionRow>(['connections']))
    .filter((row) => row.pod === `default/${pod}` && row.service === 'default/echo')
    .map((row) => row.protocol);

const isBypassing = async (): Promise<boolean> =>
  (await corner.json<StatusRow>(['status'])).every(({ bypass }) => bypass.state === 'on' && bypass.entries > 0);

test('by default a connection to an http port is parsed; without telemetry it is spliced and shown as tcp', async () => {
  await hold('near');
  assert.deepEqual(await protocolsOf('near'), ['http']);
  await apply(settings(''));
  await hold('far');
  assert.deepEqual(await protocolsOf('far'), ['tcp']);
  for (const { bypass } of await corner.json<StatusRow>(['status'])) assert.equal(bypass.state, 'off');
});

test('bypass: true is refused nothing but useless beside metrics: the controller says so, and so does weir status', async () => {
  const both = settings('bypass: true').replace('metrics: []', 'metrics: [prometheus]');
  await apply(both);
  await sandbox.printed(/data\.weir\.bypass.*has no effect while metrics/);
  assert.match(await corner.ok(['status']), /bypass is off: metrics are asked for/);
});

test('with telemetry off it takes hold: on the same node and from the other, shown by status, pods and connections', async () => {
  await apply(settings('bypass: true'));
  await eventually('both agents to let it bypass', isBypassing);
  assert.match(await corner.ok(['status']), /bypass: \d+ destination\(s\) in \d pod\(s\)/);
  const before = await opened();
  for (const pod of ['near', 'far']) assert.equal((await corner.fetchFrom(pod, 'http://echo/')).pod, 'server');
  assert.equal(await opened(), before, 'no agent has seen a connection');
  await hold('far');
  assert.ok((await protocolsOf('far')).includes('bypassed'));
});

test('a policy takes it back before it counts as applied: live connections are cut, new ones are judged', async () => {
  const [near, far] = [await hold('near'), await hold('far')];
  await apply(POLICY);
  for (const pod of ['near', 'far']) {
    const { status } = await corner.run([
      'sandbox',
      'exec',
      pod,
      '--',
      'curl',
      '-sS',
      '--fail',
      '-m',
      '10',
      'http://echo/',
    ]);
    assert.notEqual(status, 0);
  }
  for (const running of [near, far]) assert.notEqual((await running.finished).status, 0);
});

test('without the policy it bypasses again; without the ConfigMap everything is captured again', async () => {
  await withdraw(POLICY);
  await eventually('both agents to let it bypass', isBypassing);
  const before = await opened();
  await corner.fetchFrom('near', 'http://echo/');
  assert.equal(await opened(), before);
  await withdraw(settings('bypass: true'));
  await corner.fetchFrom('near', 'http://echo/');
  assert.ok((await opened()) > before);
  for (const { bypass } of await corner.json<StatusRow>(['status'])) assert.match(bypass.reason ?? '', /not asked for/);
});

/** Connections that agents have accepted, of all pods. */
async function opened(): Promise<number> {
  const rows = await corner.json<{ pods: { connectionsOpened: number }[] }>(['stats']);
  return rows.flatMap(({ pods }) => pods).reduce((sum, pod) => sum + pod.connectionsOpened, 0);
}
