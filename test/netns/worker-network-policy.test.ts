/** Kubernetes NetworkPolicy through a real worker: who is reset before anything is read, which endpoints are left, what lives on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import type { NetworkPolicy, NetworkRule } from '../../mesh/policy-model.ts';
import { until } from '../harness/hang.ts';
import { type LabPod, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const GET = 'GET / HTTP/1.1\r\nHost: web\r\n\r\n';
const WEB = '10.96.0.10';
const RAW = '10.96.0.11';

let lab: WorkerLab;
let pods: Record<'a' | 'b' | 'c', LabPod>;
let accepted = 0;

before(async () => {
  lab = await WorkerLab.start();
  pods = { a: await lab.addPod('a'), b: await lab.addPod('b'), c: await lab.addPod('c') };
  await lab.mesh([service('web', WEB, 80, 'http'), service('raw', RAW, 90, 'tcp')]);
  await both();
  for (const pod of ['b', 'c']) {
    await lab.serve(pod, 8080, (socket) => {
      accepted++;
      socket.on('data', () => socket.write(OK));
      socket.on('end', () => socket.end());
    });
    await lab.serve(pod, 9090, (socket) => {
      accepted++;
      socket.pipe(socket);
    });
  }
});
after(() => lab.stop());
afterEach(async () => {
  await lab.mesh(
    [],
    ['deny', 'other'].map((name) => ({ kind: 'networkPolicy', key: `default/${name}` }) as const),
  );
});

async function both(): Promise<void> {
  const ports = {
    'default/web': [{ servicePort: 80, targetPort: 8080 }],
    'default/raw': [{ servicePort: 90, targetPort: 9090 }],
  };
  await lab.mesh([workload(pods.b, { app: 'b' }, ports), workload(pods.c, { app: 'c' }, ports)]);
}

function networkPolicy(
  app: string,
  rules: { ingress?: readonly NetworkRule[]; egress?: readonly NetworkRule[] },
  name = 'deny',
): NetworkPolicy {
  return {
    kind: 'networkPolicy',
    namespace: 'default',
    name,
    podSelector: { matchLabels: { app }, matchExpressions: [] },
    ingress: rules.ingress ?? null,
    egress: rules.egress ?? null,
  };
}

const from = (app: string, port: number | null = null): NetworkRule => ({
  peers: [{ type: 'pods', namespaces: ['default'], podSelector: { matchLabels: { app }, matchExpressions: [] } }],
  ports: port === null ? [] : [{ port, endPort: null }],
});

/** What comes back on a connection: text, or `reset` when it is reset before anything does. */
async function tried(ip: string, port: number, text: string): Promise<string> {
  const socket = lab.dial('a', ip, port);
  const answered = once(socket, 'data').then(([chunk]) => String(chunk));
  const ended = new Promise<string>((resolve) => {
    socket.on('error', () => resolve('reset'));
    socket.on('close', () => resolve('closed'));
  });
  answered.catch(() => undefined);
  socket.write(text);
  const result = await Promise.race([answered.catch(() => ended), ended]);
  socket.destroy();
  return result;
}

for (const [name, rules, app] of [
  ['ingress of the destination', { ingress: [from('nobody')] }, 'b'],
  ['egress of the source', { egress: [from('nobody')] }, 'a'],
] as const) {
  describe(`what ${name} does not allow`, () => {
    test('is reset at a pod’s own address, TCP and HTTP, before its endpoint hears of it', async () => {
      await lab.mesh([networkPolicy(app, rules)]);
      accepted = 0;
      assert.equal(await tried(pods.b.ip, 9090, 'hello'), 'reset');
      assert.equal(await tried(pods.b.ip, 8080, GET), 'reset');
      assert.equal(accepted, 0);
      const isLogged = (line: string): boolean =>
        line.includes('"reason":"NETWORK_POLICY_DENIED","policy":"default/deny"');
      await until(() => lab.accessLines.some(isLogged));
    });
  });
}

describe('a Service with an endpoint that NetworkPolicy closes', () => {
  test('answers 503 for that one, and the other’s answer for the other', async () => {
    await lab.mesh([networkPolicy('b', { ingress: [from('nobody')] })]);
    const answers = new Set<string>();
    while (answers.size < 2) {
      const text = await lab.exchange('a', WEB, 80, GET, (seen) => seen.endsWith('ok') || seen.endsWith('\n'));
      answers.add(text.startsWith('HTTP/1.1 503') ? (/x-weir-reason: (\S+)/.exec(text)?.[1] ?? '') : text);
    }
    assert.deepEqual([...answers].sort(), [OK, 'NETWORK_POLICY_DENIED']);
    const raw = new Set<string>();
    while (raw.size < 2) raw.add(await tried(RAW, 90, 'hello'));
    assert.deepEqual([...raw].sort(), ['hello', 'reset']);
  });
});

describe('what is allowed', () => {
  test('is so by port of the pod, and comes before AuthorizationPolicy, which still counts', async () => {
    await lab.mesh([networkPolicy('b', { ingress: [from('a', 8080)] })]);
    assert.equal(await tried(pods.b.ip, 8080, GET), OK);
    assert.equal(await tried(pods.b.ip, 9090, 'hello'), 'reset');
    await lab.mesh([policy('none', 'ALLOW', { app: 'b' }, [])]);
    assert.match(await tried(pods.b.ip, 8080, GET), /RBAC_DENIED/);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/none' }]);
  });

  test('lives on while it is allowed, and is cut when it no longer is', async () => {
    const relay = lab.dial('a', pods.b.ip, 9090);
    relay.write('hello');
    assert.equal(String((await once(relay, 'data'))[0]), 'hello');
    await lab.mesh([networkPolicy('b', { ingress: [from('a')] }, 'other')]);
    relay.write('still');
    assert.equal(String((await once(relay, 'data'))[0]), 'still');
    const closed = new Promise((resolve) => relay.on('close', resolve));
    await lab.mesh([networkPolicy('b', { ingress: [from('nobody')] }, 'other')]);
    await closed;
  });

  test('from outside the node is judged by the address it comes from', async () => {
    const block = (cidr: string): NetworkRule => ({ peers: [{ type: 'ipBlock', cidr, except: [] }], ports: [] });
    const ask = (): Promise<string> => outside(pods.b);
    await lab.mesh([networkPolicy('b', { ingress: [block('10.77.0.1/32')] })]);
    assert.equal(await ask(), OK);
    await lab.mesh([networkPolicy('b', { ingress: [block('10.77.0.2/32')] })]);
    assert.equal(await ask(), 'reset');
  });
});

/** From the lab's root namespace, which is to the pods what another machine is to a node's. */
async function outside(pod: LabPod): Promise<string> {
  const socket = connect(8080, pod.ip);
  socket.write(GET);
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      socket.destroy();
      resolve(chunk.toString());
    });
    socket.on('error', () => resolve('reset'));
  });
}
