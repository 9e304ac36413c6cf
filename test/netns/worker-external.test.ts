/** Destinations that the mesh does not know by address: by name (ServiceEntry), by the outbound traffic policy, by what a pod can see. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import * as tls from 'node:tls';
import { until } from '../harness/hang.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import type { ServiceEntry, SidecarScope } from '../../mesh/traffic-model.ts';
import { backend, rule, setHeaders } from '../harness/route-rules.ts';
import { httpRoute, service, WorkerLab, workload } from '../harness/worker-lab.ts';

/** Outside the mesh: the lab's root namespace. */
const OUTSIDE = '10.77.0.1';
/** The same machine's other address: that of an endpoint. */
const ENDPOINT = '10.77.0.2';
const DIALLED = 8000;
const ELSEWHERE = 8001;
const GREETING = 9000;
const WEB = '10.96.0.10';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
const servers: Server[] = [];
/** What came to each port outside. */
const read = new Map<number, string>();

before(async () => {
  lab = await WorkerLab.start();
  execFileSync('ip', ['addr', 'add', `${ENDPOINT}/24`, 'dev', 'br0']);
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', WEB, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  await lab.serve('b', 8080, (socket) => socket.on('data', () => socket.write(OK)));
  for (const port of [DIALLED, ELSEWHERE, GREETING]) await listen(port);
});
after(async () => {
  for (const server of servers) server.close();
  await lab.stop();
});
beforeEach(() => read.clear());
afterEach(async () => {
  const gone = [
    ...['known', 'static'].map((name) => ({ kind: 'serviceEntry', key: `default/${name}` }) as const),
    { kind: 'meshSettings', key: 'istio-system/istio' } as const,
    { kind: 'sidecarScope', key: 'default/scope' } as const,
  ];
  await lab.mesh([], gone);
});

async function listen(port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (port === GREETING) socket.write('220 welcome\r\n');
    socket.on('data', (chunk) => {
      read.set(port, (read.get(port) ?? '') + chunk.toString('latin1'));
      if (port !== GREETING) socket.write(OK);
    });
  });
  server.listen(port, '0.0.0.0');
  await once(server, 'listening');
  servers.push(server);
}

function entry(name: string, host: string, endpoints: ServiceEntry['endpoints']): ServiceEntry {
  return {
    kind: 'serviceEntry',
    namespace: 'default',
    name,
    hosts: [host],
    addresses: [],
    ports: [
      { port: DIALLED, name: 'http', protocol: 'http', targetPort: DIALLED },
      { port: 443, name: 'tls', protocol: 'tls', targetPort: 443 },
    ],
    location: 'MESH_EXTERNAL',
    resolution: endpoints.length === 0 ? 'NONE' : 'STATIC',
    endpoints,
    workloads: [],
    exportTo: ['*'],
  };
}

const elsewhere: ServiceEntry['endpoints'][number] = {
  address: ENDPOINT,
  ports: { [DIALLED]: ELSEWHERE, 443: ELSEWHERE },
  labels: {},
  serviceAccount: '',
  weight: 1,
  locality: '',
};

const registryOnly = () => lab.mesh([{ ...DEFAULT_SETTINGS, outboundTrafficPolicy: 'REGISTRY_ONLY' }]);
const get = (host: string): string => `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

function ask(host: string, ip = OUTSIDE, port = DIALLED): Promise<string> {
  return lab.exchange('a', ip, port, get(host), (text) => text.endsWith('ok') || text.endsWith('\n'));
}

/** How a connection fares that says this: `reset`, or what comes back. */
function tried(port: number, text: string): Promise<string> {
  const socket = lab.dial('a', OUTSIDE, port);
  return new Promise((resolve) => {
    const tell = (result: string): void => {
      resolve(result);
      socket.destroy();
    };
    socket.on('data', (chunk: Buffer) => tell(chunk.toString()));
    socket.on('error', () => tell('reset'));
    socket.on('close', () => tell('closed'));
    socket.write(text);
  });
}

function handshake(socket: Socket, servername: string): Promise<void> {
  const secure = tls.connect({ socket, servername });
  secure.on('error', () => undefined);
  return new Promise((resolve) => socket.on('close', resolve));
}

describe('a host that a ServiceEntry names', () => {
  test('has its routes, whatever its address; other hosts pass as they are', async () => {
    const fault = { delay: null, abort: { perMillion: 1_000_000, status: 599, grpcStatus: null } };
    const filters = [setHeaders('request', [{ name: 'x-set', value: '1' }])];
    const backends = [backend('api.example', DIALLED, filters)];
    const known = { ...httpRoute('known', 'api.example', []), source: 'VirtualService' as const };
    await lab.mesh([entry('known', 'api.example', []), { ...known, rules: [rule({ backends })] }]);
    assert.equal(await ask('api.example'), OK);
    assert.equal(read.get(DIALLED), 'GET / HTTP/1.1\r\nHost: api.example\r\nx-set: 1\r\n\r\n');
    read.clear();
    assert.equal(await ask('other.example'), OK);
    assert.equal(read.get(DIALLED), get('other.example'));
    await lab.mesh([{ ...known, rules: [rule({ backends, fault })] }]);
    assert.match(await ask('api.example'), /^HTTP\/1.1 599 /);
    await lab.mesh([], [{ kind: 'httpRoute', key: 'VirtualService/default/known' }]);
  });

  test('leads to its endpoints, by Host and by server name', async () => {
    await lab.mesh([entry('static', 'static.example', [elsewhere])]);
    assert.equal(await ask('static.example'), OK);
    assert.deepEqual([...read.keys()], [ELSEWHERE]);
    read.clear();
    const socket = lab.dial('a', OUTSIDE, 443);
    await handshake(socket, 'static.example');
    assert.match(read.get(ELSEWHERE) ?? '', /static\.example/);
  });

  test('does not keep a server from speaking first at another address', async () => {
    await lab.mesh([entry('known', 'api.example', [])]);
    const socket = lab.dial('a', OUTSIDE, GREETING);
    assert.equal(String((await once(socket, 'data'))[0]), '220 welcome\r\n');
    socket.write('EHLO\r\n');
    await until(() => read.get(GREETING) === 'EHLO\r\n');
    socket.destroy();
  });
});

describe('REGISTRY_ONLY', () => {
  test('refuses what the mesh does not know: 502 to HTTP, a reset to all else', async () => {
    await registryOnly();
    assert.match(await ask('other.example'), /^HTTP\/1.1 502 [^]*x-weir-reason: NOT_IN_REGISTRY\r\n/);
    assert.equal(await tried(DIALLED, 'opaque octets'), 'reset');
    await handshake(lab.dial('a', OUTSIDE, DIALLED), 'other.example');
    assert.deepEqual([...read.keys()], []);
    assert.equal(await ask('web', WEB, 80), OK);
  });

  test('lets pass what a ServiceEntry names, and nothing else on the same address', async () => {
    await registryOnly();
    await lab.mesh([entry('known', 'api.example', [])]);
    assert.equal(await ask('api.example'), OK);
    assert.match(await ask('other.example'), /NOT_IN_REGISTRY/);
  });

  test('takes a Service that a Sidecar hides for unknown', async () => {
    const scope = (hosts: readonly string[]): SidecarScope => ({
      kind: 'sidecarScope',
      namespace: 'default',
      name: 'scope',
      meshWide: false,
      selector: null,
      egress: [{ port: null, hosts: hosts.map((host) => ({ namespace: 'default', host })) }],
      outboundTrafficPolicy: 'REGISTRY_ONLY',
      createdMs: 0,
    });
    await lab.mesh([scope(['other.default.svc.cluster.local'])]);
    assert.match(await ask('web', WEB, 80), /NOT_IN_REGISTRY/);
    // Nor does a name that the pod may use lead to an address that it may not.
    const visible = {
      ...entry('known', 'api.example', []),
      ports: [{ port: 80, name: 'web', protocol: 'http' as const, targetPort: 80 }],
    };
    await lab.mesh([visible, scope(['other.default.svc.cluster.local', 'api.example'])]);
    assert.match(await ask('api.example', WEB, 80), /NOT_IN_REGISTRY/);
    await lab.mesh([scope(['web.default.svc.cluster.local'])]);
    assert.equal(await ask('web', WEB, 80), OK);
  });
});
