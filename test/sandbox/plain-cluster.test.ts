/** A cluster without the mesh: CNI bridge, pods, names, Services, and every command on it from another shell. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Corner, ECHO, eventually, isNetnsMounted, type PodRow, type Running } from './sandbox-harness.ts';

const YAML = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo, version: v1}}
    spec:
      serviceAccountName: robot
      initContainers:
      - {name: first, image: sh, command: [sh, -c, "echo init ran"]}
      containers:
      - name: server
        image: echo:1
        args: ["--pod=$(POD_NAME)"]
        ports: [{name: web, containerPort: 8080}]
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: ACCOUNT, valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}}
        - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
        readinessProbe: {httpGet: {path: /healthz, port: web}}
        livenessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  selector: {app: echo}
  ports: [{name: http, port: 80, targetPort: web}]
---
apiVersion: v1
kind: Service
metadata: {name: echo-pods}
spec:
  clusterIP: None
  selector: {app: echo}
  ports: [{port: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec:
  nodeName: node-0
  containers:
  - {name: shell, image: sh, command: [sleep, infinity], env: [{name: WHO, value: the client}]}
  - {name: side, image: sh, command: [sh, -c, "echo side says hello; exec sleep infinity"]}
`;

const corner = new Corner({ WEIR_SANDBOX: 'plain' });
let sandbox: Running;

before(async () => {
  const yaml = corner.file('shop.yaml', YAML);
  const image = `echo=${process.execPath} ${ECHO}`;
  sandbox = corner.start(['sandbox', '--no-mesh', '--name', 'plain', '--nodes', '2', '-f', yaml, '--image', image]);
  await sandbox.printed(/running; /);
});
after(() => corner.close());

const pods = (): Promise<PodRow[]> => corner.json<PodRow>(['sandbox', 'get', 'pods']);
const stateFolder = async (): Promise<string> => {
  const rows = await corner.json<{ name: string; folder: string }>(['sandbox', 'list']);
  return rows.find(({ name }) => name === 'plain')?.folder ?? '';
};
const inPod = (pod: string, ...command: string[]): Promise<string> =>
  corner.ok(['sandbox', 'exec', pod, '--', ...command]);

test('pods are ready, spread over the nodes, with one address per family from their node', async () => {
  const rows = await pods();
  assert.deepEqual(
    rows.map(({ name, ready }) => [name.replace(/-[^-]+-[^-]+$/, ''), ready]),
    [
      ['echo', true],
      ['echo', true],
      ['client', true],
    ],
  );
  const echoes = rows.filter(({ namespace }) => namespace === 'default');
  assert.deepEqual(echoes.map(({ node }) => node).sort(), ['node-0', 'node-1']);
  for (const { node, ips } of rows) {
    const n = node.replace('node-', '');
    assert.match(ips[0] ?? '', new RegExp(`^10\\.244\\.${n}\\.`));
    assert.match(ips[1] ?? '', n === '0' ? /^fd00:10:244::/ : /^fd00:10:244:1::/);
  }
  assert.match(sandbox.stdout, /NAMESPACE +NAME +READY/);
});

test('names resolve from a pod: all forms, both families, headless to pods, short ones only in the own namespace', async () => {
  for (const name of ['echo.default', 'echo.default.svc', 'echo.default.svc.cluster.local']) {
    assert.equal((await corner.fetchFrom('client.shop', `http://${name}/x`)).url, '/x', name);
  }
  await corner.fetchFrom('client.shop', 'http://echo.default/', '-4');
  await corner.fetchFrom('client.shop', 'http://echo.default/', '-6');
  const headless = (await inPod('client.shop', 'getent', 'ahostsv4', 'echo-pods.default')).match(/^[\d.]+/gm) ?? [];
  const addresses = (await pods()).filter(({ namespace }) => namespace === 'default').map(({ ip }) => ip);
  assert.deepEqual([...new Set(headless)].sort(), addresses.sort());
  const short = await corner.run(['sandbox', 'exec', 'client.shop', '--', 'getent', 'hosts', 'echo']);
  assert.equal(short.status, 2, 'a short name of another namespace must not resolve');
});

test('a Service reaches all its pods; pods see each other under their own addresses', async () => {
  const seen = new Set<string>();
  await eventually('answers from both pods', async () => {
    seen.add((await corner.fetchFrom('client.shop', 'http://echo.default/')).pod);
    return seen.size === 2;
  });
  const rows = await pods();
  const client = rows.find(({ name }) => name === 'client');
  const remote = rows.find(({ node }) => node === 'node-1');
  assert.equal((await corner.fetchFrom('client.shop', `http://${remote?.ip}:8080/`)).from, client?.ip);
});

test('a container gets downward API, ConfigMap, expanded args, and nothing of the shell that started the sandbox', async () => {
  const { env, args, pod } = await corner.fetchFrom('client.shop', 'http://echo.default/');
  const row = (await pods()).find(({ name }) => name === pod);
  assert.deepEqual(
    [env['POD_NAMESPACE'], env['POD_IP'], env['NODE'], env['ACCOUNT'], env['COLOR'], env['HOSTNAME']],
    ['default', row?.ip, row?.node, 'robot', 'blue', pod],
  );
  assert.deepEqual(args, [`--pod=${pod}`]);
  assert.equal(env['XDG_RUNTIME_DIR'], undefined);
});

test('exec passes stdin, stdout, stderr, environment, working folder and exit status', async () => {
  const script = 'cat; echo "$WHO $(hostname) $0" ; echo oops >&2; exit 42';
  const { status, stdout, stderr } = await corner.run(
    ['sandbox', 'exec', 'client.shop', '--', 'sh', '-c', script],
    'hello\n',
  );
  assert.deepEqual([status, stdout, stderr], [42, 'hello\nthe client client sh\n', 'oops\n']);
  assert.equal((await corner.run(['sandbox', 'exec', 'client.shop', '--', 'sh', '-c', 'kill -TERM $$'])).status, 143);
  assert.equal((await corner.run(['sandbox', 'exec', 'client.shop', '--', 'no-such-program'])).status, 127);
  assert.equal(
    await corner.ok(['sandbox', 'exec', 'client.shop', '-c', 'side', '--', 'sh', '-c', 'echo "[$WHO]"']),
    '[]\n',
  );
});

test('exec ends what it runs when it is killed', async () => {
  const exec = corner.start(['sandbox', 'exec', 'client.shop', '--', 'sleep', '4242']);
  const sleeps = async (): Promise<boolean> => / sleep 4242/.test(await inPod('client.shop', 'ps', 'ax'));
  await eventually('the command to run', sleeps);
  await exec.kill();
  await eventually('the command to be gone', async () => !(await sleeps()));
});

test('exec names what is there when the pod or container is not', async () => {
  const pod = await corner.run(['sandbox', 'exec', 'nobody', '--', 'true']);
  assert.equal(pod.status, 1);
  assert.match(pod.stderr, /there is no pod nobody; there are: .*client\.shop/);
  const container = await corner.run(['sandbox', 'exec', 'client.shop', '-c', 'nobody', '--', 'true']);
  assert.match(container.stderr, /has no container nobody; it has shell, side/);
});

test('a pod sees neither the sandbox state, nor its sockets, nor other pods, and cannot touch its network', async () => {
  const state = await stateFolder();
  assert.ok(existsSync(`${state}/control.sock`));
  const look = await corner.run(['sandbox', 'exec', 'client.shop', '--', 'ls', '-A', state]);
  assert.notEqual(look.status, 0, look.stdout);
  assert.doesNotMatch(await inPod('client.shop', 'ls', '-A', '/run'), /netns|user|weir/);
  assert.doesNotMatch(await inPod('client.shop', 'ps', 'ax'), /echo\.mjs/);
  for (const command of [
    ['ip', 'link', 'set', 'eth0', 'down'],
    ['iptables', '-F'],
    ['umount', '/run'],
    ['nsenter', '--net=/proc/1/root/run/netns/node-0', 'true'],
  ]) {
    assert.notEqual(
      (await corner.run(['sandbox', 'exec', 'client.shop', '--', ...command])).status,
      0,
      command.join(' '),
    );
  }
});

test('pid and netns of get are valid in the calling shell', async () => {
  const rows = await pods();
  for (const { pid, netns, ip, name } of rows) {
    const enter = [
      '--target',
      String(pid),
      '--user',
      '--preserve-credentials',
      `--net=${netns}`,
      'ip',
      '-o',
      'address',
      'show',
      'eth0',
    ];
    const found = spawnSync('nsenter', enter, { encoding: 'utf8' });
    assert.match(found.stdout, new RegExp(`inet ${ip.replaceAll('.', '\\.')}/`), `${name}: ${found.stderr}`);
  }
  const side = rows.find(({ name }) => name === 'client')?.containers.find(({ name }) => name === 'side');
  assert.match(readFileSync(`/proc/${side?.pid}/cmdline`, 'utf8'), /^sleep/);
});

test('get knows services, nodes, deployments and other objects, filters, and says what it does not know', async () => {
  const [echo] = await corner.json<{ clusterIP: string; pods: string[] }>(['sandbox', 'get', 'svc', 'echo']);
  assert.equal(echo?.clusterIP, '10.96.0.10');
  assert.equal(echo?.pods.length, 2);
  assert.deepEqual(
    (await corner.json<{ name: string }>(['sandbox', 'get', 'nodes'])).map(({ name }) => name),
    ['node-0', 'node-1'],
  );
  assert.deepEqual(await corner.json(['sandbox', 'get', 'deploy']), [
    { name: 'echo', namespace: 'default', replicas: 2, ready: 2 },
  ]);
  assert.equal((await corner.json(['sandbox', 'get', 'pods', '-n', 'shop'])).length, 1);
  assert.match(await corner.ok(['sandbox', 'get', 'configmap']), /settings +\S*shop\.yaml:10/);
  assert.match(await corner.ok(['sandbox', 'get', 'pods', 'client', '-o', 'yaml']), /^- name: client/);
  const unknown = await corner.run(['sandbox', 'get', 'unicorns']);
  assert.deepEqual([unknown.status, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /nothing of kind unicorns/);
});

test('logs: of a pod, of one container, of an init container, the last lines only', async () => {
  assert.match(await corner.ok(['sandbox', 'logs', 'client.shop', '-c', 'side']), /^side says hello\n$/);
  const echo = await corner.ok(['sandbox', 'logs', 'echo']);
  assert.match(echo, /default\/echo-\S+\/first: init ran/);
  assert.match(echo, /default\/echo-\S+\/server: echo listens on 8080/);
  assert.equal(await corner.ok(['sandbox', 'logs', 'client.shop', '-c', 'side', '--tail', '0']), '');
  assert.match(
    (await corner.run(['sandbox', 'logs', 'nobody'])).stderr,
    /no log of nobody; there are agent, controller, cni and the pods/,
  );
});

test('scale changes the number of pods, and hosts files follow', async () => {
  await corner.ok(['sandbox', 'scale', 'deployment/echo', '--replicas', '3']);
  const resolved = async (): Promise<number> => {
    return new Set((await inPod('client.shop', 'getent', 'ahostsv4', 'echo-pods.default')).match(/^[\d.]+/gm)).size;
  };
  assert.equal(await resolved(), 3);
  await corner.ok(['sandbox', 'scale', 'deployment/echo', '--replicas', '2']);
  assert.equal(await resolved(), 2);
});

test('apply: a typo changes nothing, naming file and line', async () => {
  const before = await pods();
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: good}\nspec: {containers: [{name: c, image: sh, command: [sleep, infinity]}]}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers:\n  - {name: c, image: mystery}\n';
  const refused = await corner.run(['sandbox', 'apply', '-f', corner.file('typo.yaml', text)]);
  assert.equal(refused.status, 1);
  assert.match(
    refused.stderr,
    /typo\.yaml:11: Pod default\/bad: spec\.containers\[0\]\.image: .*--image 'mystery=COMMAND'/,
  );
  assert.equal((await corner.run(['sandbox', 'apply', '-f', '-'], 'kind: [')).status, 1);
  assert.deepEqual(await pods(), before);
});

test('apply: a changed template makes new pods, an unchanged one keeps them; labels change in place', async () => {
  const names = async (): Promise<string[]> =>
    (await pods()).filter(({ namespace }) => namespace === 'default').map(({ uid }) => uid);
  const before = await names();
  const yaml = corner.file('shop.yaml', YAML);
  assert.match(await corner.ok(['sandbox', 'apply', '-f', yaml]), /Deployment default\/echo unchanged/);
  assert.deepEqual(await names(), before);
  corner.file('shop.yaml', YAML.replace('data: {color: blue}', 'data: {color: red}').replace('--pod=', '--changed='));
  await corner.ok(['sandbox', 'apply', '-f', yaml]);
  const now = await names();
  assert.equal(now.length, 2);
  assert.deepEqual(
    now.filter((uid) => before.includes(uid)),
    [],
  );
  const { env, args } = await corner.fetchFrom('client.shop', 'http://echo.default/');
  assert.equal(env['COLOR'], 'red');
  assert.match(args[0] ?? '', /^--changed=/);
});

test('apply: what fails to become ready is told with the end of its log', async () => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: broken}\nspec: {containers: [{name: c, image: sh, command: [sh, -c, "echo no database; exit 9"]}]}\n';
  const failed = await corner.run(['sandbox', 'apply', '--timeout', '2', '-f', '-'], text);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /pod default\/broken on node-\d is not ready: CrashLoopBackOff/);
  assert.match(failed.stderr, /\| no database/);
  await corner.ok(['sandbox', 'delete', 'pod', 'broken']);
  assert.equal(
    (await pods()).some(({ name }) => name === 'broken'),
    false,
  );
});

test('a container that ends is started again, and counted', async () => {
  const target = (await pods()).find(({ namespace }) => namespace === 'default');
  assert.ok(target !== undefined);
  await corner.run(['sandbox', 'exec', 'client.shop', '--', 'curl', '-s', `http://${target.ip}:8080/exit`]);
  await eventually('the restart', async () => {
    const row = (await pods()).find(({ name }) => name === target.name);
    return row !== undefined && row.ready && row.restarts === 1;
  });
  assert.match(sandbox.stderr, /container server ended with status 3; starting it again/);
});

test('delete ends pods with SIGTERM and frees their namespaces', async () => {
  const rows = (await pods()).filter(({ namespace }) => namespace === 'default');
  const log = rows[0]?.containers.find(({ name }) => name === 'server')?.log ?? '';
  const inodes = rows.map(({ netns }) => statSync(netns).ino);
  for (const inode of inodes) assert.equal(isNetnsMounted(inode), true);
  await corner.ok(['sandbox', 'delete', 'deployment', 'echo']);
  assert.match(readFileSync(log, 'utf8'), /echo got SIGTERM/);
  assert.equal((await pods()).length, 1);
  for (const { netns } of rows) assert.equal(existsSync(netns), false, netns);
  for (const inode of inodes) assert.equal(isNetnsMounted(inode), false, 'another pod keeps a copy of the mount');
  const again = await corner.run(['sandbox', 'delete', 'deployment', 'echo']);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /not found: deployment default\/echo/);
});

test('stop ends it with status 0 and leaves no state', async () => {
  const folder = await stateFolder();
  await corner.ok(['sandbox', 'stop']);
  assert.equal((await sandbox.finished).status, 0);
  assert.equal(existsSync(folder), false);
  assert.equal((await corner.run(['sandbox', 'get', 'pods'])).status, 3);
});
