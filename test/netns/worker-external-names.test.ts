/** Hosts that a ServiceEntry says are to be looked up: they lead to what they resolve to, whatever address was dialled. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import * as tls from 'node:tls';
import type { PortProtocol } from '../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import type { ServiceEntry } from '../../mesh/traffic-model.ts';
import { backend, rule } from '../harness/route-rules.ts';
import { httpRoute, service, WorkerLab } from '../harness/worker-lab.ts';

/** Outside the mesh: the lab's root namespace. What clients dial, and where names lead. */
const DIALLED = '10.77.0.1';
const [FIRST, SECOND, VIP] = ['10.77.0.2', '10.77.0.3', '198.51.100.7'];
const FIRST_V6 = 'fd00:77::2';
const HTTP = 8000;
const OPAQUE = 9100;
const HOST = 'api.example';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
const servers: Server[] = [];
/** What came to each address. */
const read = new Map<string, string>();

before(async () => {
  lab = await WorkerLab.start();
  for (const ip of [FIRST, SECOND]) execFileSync('ip', ['addr', 'add', `${ip}/24`, 'dev', 'br0']);
  execFileSync('ip', ['-6', 'addr', 'add', `${FIRST_V6}/64`, 'dev', 'br0', 'nodad']);
  await lab.addPod('a');
  for (const ip of [DIALLED, FIRST, SECOND, FIRST_V6]) for (const port of [HTTP, OPAQUE, 443]) await listen(ip, port);
});
after(async () => {
  for (const server of servers) server.close();
  await lab.stop();
});
beforeEach(() => read.clear());
afterEach(async () => {
  const gone = [
    { kind: 'serviceEntry', key: 'default/named' } as const,
    { kind: 'meshSettings', key: 'istio-system/istio' } as const,
  ];
  await lab.mesh([], gone);
});

async function listen(ip: string, port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      read.set(ip, (read.get(ip) ?? '') + chunk.toString('latin1'));
      socket.write(OK);
    });
  });
  server.listen(port, ip);
  await once(server, 'listening');
  servers.push(server);
}

function entry(fields: Partial<ServiceEntry> = {}): ServiceEntry {
  const port = (number: number, protocol: PortProtocol) => ({
    port: number,
    name: `p${number}`,
    protocol,
    targetPort: number,
  });
  return {
    kind: 'serviceEntry',
    namespace: 'default',
    name: 'named',
    hosts: [HOST],
    addresses: [],
    ports: [port(HTTP, 'http'), port(443, 'tls'), port(OPAQUE, 'tcp')],
    location: 'MESH_EXTERNAL',
    resolution: 'DNS',
    endpoints: [],
    workloads: [],
    exportTo: ['*'],
    ...fields,
  };
}

const registryOnly = () => lab.mesh([{ ...DEFAULT_SETTINGS, outboundTrafficPolicy: 'REGISTRY_ONLY' }]);
const resolved = (...addresses: string[]) => lab.mesh([], [], [{ name: HOST, addresses }]);

function ask(host: string, ip = DIALLED): Promise<string> {
  const request = `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  return lab.exchange('a', ip, HTTP, request, (text) => text.endsWith('ok') || text.endsWith('\n'));
}

/** How a connection that begins so fares: `reset`, `closed`, or what comes back. */
function tried(ip: string, port: number, text: string): Promise<string> {
  const socket = lab.dial('a', ip, port);
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

/** A ClientHello with that name; resolves when the connection is over, which the answer in clear text sees to. */
function handshake(servername: string): Promise<void> {
  const socket: Socket = lab.dial('a', DIALLED, 443);
  const secure = tls.connect({ socket, servername });
  secure.on('error', () => undefined);
  return new Promise((resolve) => socket.on('close', resolve));
}

describe('a host with resolution DNS', () => {
  test('leads to what it resolves to, and not to the address that was dialled', async () => {
    await lab.mesh([entry()]);
    await resolved(FIRST);
    assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()], [FIRST]);
    read.clear();
    await handshake(HOST);
    assert.deepEqual([...read.keys()], [FIRST]);
    read.clear();
    assert.equal(await ask('other.example'), OK);
    assert.deepEqual([...read.keys()], [DIALLED], 'what the mesh does not know passes as it is (ALLOW_ANY)');
  });

  test('is answered with 503 until it is resolved, and when it resolves to nothing any more', async () => {
    await lab.mesh([entry()]);
    const refused = /^HTTP\/1.1 503 [^]*x-weir-reason: NO_HEALTHY_UPSTREAM\r\n/;
    assert.match(await ask(HOST), refused);
    await handshake(HOST);
    await resolved(FIRST);
    assert.equal(await ask(HOST), OK);
    await resolved();
    assert.match(await ask(HOST), refused);
    assert.deepEqual([...read.keys()], [FIRST]);
  });

  test('is balanced over all addresses; DNS_ROUND_ROBIN takes the first, also when another becomes it', async () => {
    await lab.mesh([entry()]);
    await resolved(FIRST, SECOND);
    for (let i = 0; i < 40; i++) assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()].sort(), [FIRST, SECOND]);
    for (const order of [
      [FIRST, SECOND],
      [SECOND, FIRST],
    ] as const) {
      await lab.mesh([entry({ resolution: 'DNS_ROUND_ROBIN' })]);
      await resolved(...order);
      read.clear();
      for (let i = 0; i < 10; i++) assert.equal(await ask(HOST), OK);
      assert.deepEqual([...read.keys()], [order[0]]);
    }
  });

  test('leads a client to addresses of the family it has dialled', async () => {
    await lab.mesh([entry()]);
    await resolved(FIRST, FIRST_V6);
    for (let i = 0; i < 10; i++) assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()], [FIRST]);
    read.clear();
    for (let i = 0; i < 10; i++) assert.equal(await ask(HOST, 'fd00:77::1'), OK);
    assert.deepEqual([...read.keys()], [FIRST_V6]);
  });

  test('loses idle connections to an address that its name no longer leads to', async () => {
    await lab.mesh([entry()]);
    await resolved(FIRST, SECOND);
    for (let i = 0; i < 40; i++) await ask(HOST);
    const idle = async (): Promise<number> => (await lab.stats()).counters['idle_upstreams'] ?? -1;
    assert.equal(await idle(), 2);
    await resolved(SECOND);
    assert.equal(await idle(), 1);
    read.clear();
    assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()], [SECOND]);
  });

  test('by its VIP: also what carries no name', async () => {
    await lab.mesh([entry({ addresses: [VIP] })]);
    assert.equal(await tried(VIP, OPAQUE, 'opaque octets'), 'reset');
    await resolved(SECOND);
    assert.equal(await tried(VIP, OPAQUE, 'opaque octets'), OK);
    assert.equal(await ask(HOST, VIP), OK);
    assert.deepEqual([...read.keys()], [SECOND]);
    assert.match(read.get(SECOND) ?? '', /^opaque octetsGET /);
  });

  test('keeps its routes at the address that it resolves to', async () => {
    const fault = { delay: null, abort: { perMillion: 1_000_000, status: 599, grpcStatus: null } };
    const rules = [rule({ backends: [backend(HOST, HTTP)], fault })];
    const route = { ...httpRoute('named', HOST, []), source: 'VirtualService' as const, rules };
    await lab.mesh([entry(), route]);
    await resolved(FIRST);
    for (const ip of [DIALLED, FIRST]) assert.match(await ask(HOST, ip), /^HTTP\/1.1 599 /);
    await lab.mesh([], [{ kind: 'httpRoute', key: 'VirtualService/default/named' }]);
  });

  test('can be the backend of a Service', async () => {
    const web = service('web', '10.96.0.10', HTTP, 'http');
    const route = httpRoute('web', 'web', [rule({ backends: [backend(HOST, HTTP)] })]);
    await lab.mesh([entry(), web, route]);
    await resolved(FIRST);
    assert.equal(await ask('web', '10.96.0.10'), OK);
    assert.deepEqual([...read.keys()], [FIRST]);
    await lab.mesh(
      [],
      [
        { kind: 'httpRoute', key: 'default/web' },
        { kind: 'service', key: 'default/web' },
      ],
    );
  });

  test('by the names of its endpoints, at their ports', async () => {
    const elsewhere = { ports: { [HTTP]: OPAQUE }, labels: {}, serviceAccount: '', weight: 1, locality: '' };
    await lab.mesh([entry({ endpoints: [{ ...elsewhere, address: 'real.example' }] })]);
    await resolved(FIRST);
    assert.match(await ask(HOST), /^HTTP\/1.1 503 /, 'the host itself is not looked up');
    await lab.mesh([], [], [{ name: 'real.example', addresses: [SECOND] }]);
    assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()], [SECOND]);
  });
});

describe('REGISTRY_ONLY', () => {
  test('a name that a pod may use opens no address but those that it resolves to', async () => {
    await registryOnly();
    await lab.mesh([entry()]);
    await ask(HOST);
    await handshake(HOST);
    assert.deepEqual([...read.keys()], [], 'not resolved');
    await resolved(FIRST);
    assert.equal(await ask(HOST), OK);
    await handshake(HOST);
    assert.match(await ask('other.example'), /NOT_IN_REGISTRY/);
    assert.equal(await tried(DIALLED, HTTP, 'opaque octets'), 'reset');
    assert.deepEqual([...read.keys()], [FIRST]);
  });

  test('nor does one of an entry whose endpoints are not there', async () => {
    await registryOnly();
    await lab.mesh([entry({ resolution: 'STATIC' })]);
    assert.match(await ask(HOST), /^HTTP\/1.1 503 [^]*NO_HEALTHY_UPSTREAM/);
    assert.deepEqual([...read.keys()], []);
  });

  test('with resolution NONE it does, at any address: Istio passes to the original destination', async () => {
    await registryOnly();
    await lab.mesh([entry({ resolution: 'NONE' })]);
    assert.equal(await ask(HOST), OK);
    assert.deepEqual([...read.keys()], [DIALLED]);
  });
});
