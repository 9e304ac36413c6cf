/** Ports that a pod declares for the PROXY protocol: who must send a header, what policy makes of it, and who gets it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, createServer } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { readProxyHeader } from '../../agent/proxy-protocol/header.ts';
import { until } from '../harness/hang.ts';
import { type LabPod, WorkerLab, policy, service, workload } from '../harness/worker-lab.ts';
import { binaryHeader, checksummed, IPV4_BLOCK, IPV6_BLOCK } from '../unit/proxy-protocol/headers.ts';
import { hello, serverNames } from '../unit/tls/hellos.ts';
import { converse } from './tls-lab.ts';

let lab: WorkerLab;
let b: LabPod;
/** What the server in pod b has got, per connection. */
let received: string[] = [];
let greeting = '';

const WEB = '10.96.0.40';
const RAW = '10.96.0.41';
const GET = 'GET /x HTTP/1.1\r\nHost: shop.example\r\n\r\n';
const V1 = 'PROXY TCP4 192.0.2.7 10.77.0.12 4660 80\r\n';
const V2 = binaryHeader(1, 0x11, IPV4_BLOCK);

/** Answers each request head on a connection and echoes anything else; on the declared ports once the header is there. */
function serve(socket: Socket, expectsHeader: boolean): void {
  const at = received.push('') - 1;
  if (greeting !== '' && !expectsHeader) socket.write(greeting);
  let start = 0;
  socket.on('data', (chunk: Buffer) => {
    const octets = Buffer.from(`${received[at]}${chunk.toString('latin1')}`, 'latin1');
    received[at] = octets.toString('latin1');
    const header = readProxyHeader(octets, 0, octets.length);
    if (start === 0 && expectsHeader && header.kind === 'found') {
      start = header.length;
      if (greeting !== '') socket.write(greeting);
    }
    if (octets.length === start || header.kind === 'need-more') return;
    const isRequest = octets.includes('HTTP/1.1\r\n');
    socket.write(isRequest ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' : `echo ${octets.length}`);
  });
}

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  b = await lab.addPod('b');
  const web = [{ servicePort: 80, targetPort: 7080 }];
  const raw = [{ servicePort: 1, targetPort: 7081 }];
  await lab.mesh([
    service('web', WEB, 80, 'http'),
    service('raw', RAW, 1, 'tcp'),
    {
      ...workload(b, { app: 'b' }, { 'default/web': web, 'default/raw': raw }),
      annotations: { 'weir.dev/proxy-protocol-ports': '7080, 7081,7082,7084' },
    },
  ]);
  for (const port of [7080, 7081, 7082, 7083]) await lab.serve('b', port, (socket) => serve(socket, port !== 7083));
});
after(() => lab.stop());
beforeEach(() => {
  received = [];
  greeting = '';
});

function fromOutside(port: number): Socket {
  const socket = connect({ host: b.ip, port });
  socket.on('error', () => undefined);
  return socket;
}

async function withPolicy(rule: Parameters<typeof policy>[3][number], body: () => Promise<void>): Promise<void> {
  await lab.mesh([policy('remote', 'ALLOW', { app: 'b' }, [rule])]);
  await body();
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/remote' }]);
}

for (const [name, header] of [
  ['version 1', Buffer.from(V1)],
  ['version 2', V2],
  ['version 2 with a checksum', checksummed(1, 0x21, IPV6_BLOCK)],
] as const) {
  for (const port of [7080, 7082]) {
    test(`${name}, HTTP on port ${port}: the endpoint gets the header once, then the requests`, async () => {
      const socket = fromOutside(port);
      const first = Buffer.concat([header, Buffer.from(GET)]);
      socket.write(first.subarray(0, 5));
      await new Promise((resolve) => setImmediate(resolve));
      socket.write(first.subarray(5));
      assert.match(((await once(socket, 'data')) as [Buffer])[0].toString(), /^HTTP\/1.1 200/);
      assert.match(await converse(socket, GET, /ok$/), /ok$/);
      await until(() => received.length === 1);
      assert.equal(received[0], `${header.toString('latin1')}${GET}${GET}`);
    });
  }
}

test('HTTP/2 behind a header: requests are judged one by one, and the endpoint gets the header first', async () => {
  const server = createServer();
  server.on('stream', (stream, headers) => stream.end(`got ${headers[':path']}`));
  const begun: string[] = [];
  await lab.serve('b', 7084, (socket) => {
    const onData = (chunk: Buffer): void => {
      const header = readProxyHeader(chunk, 0, chunk.length);
      const length = header.kind === 'found' ? header.length : 0;
      begun.push(chunk.subarray(0, length).toString('latin1'));
      socket.pause();
      socket.off('data', onData);
      if (length < chunk.length) socket.unshift(chunk.subarray(length));
      server.emit('connection', socket);
    };
    socket.on('data', onData);
  });
  const paths = { from: [{ remoteIpBlocks: ['10.1.2.3'] }], to: [{ paths: ['/ok'] }] };
  await withPolicy(paths, async () => {
    const socket = fromOutside(7084);
    socket.write(V2);
    const session = connectHttp2('http://shop.example', { createConnection: () => socket });
    session.on('error', () => undefined);
    const ask = async (path: string): Promise<string> => {
      const request = session.request({ ':path': path });
      const [headers] = (await once(request, 'response')) as [Record<string, unknown>];
      let text = '';
      for await (const chunk of request) text += String(chunk);
      return `${String(headers[':status'])} ${text.slice(0, 11)}`;
    };
    assert.equal(await ask('/ok'), '200 got /ok');
    assert.equal(await ask('/no'), '403 RBAC_DENIED');
    assert.equal(await ask('/ok'), '200 got /ok');
    session.destroy();
  });
  assert.deepEqual(begun, [V2.toString('latin1')]);
});

test('policy compares the header’s source as remote address, and the balancer’s own as source', async () => {
  const ask = (header: Buffer | string, port = 7080): Promise<string> =>
    converse(fromOutside(port), Buffer.concat([Buffer.from(header), Buffer.from(GET)]), /ok$|denied|RBAC/s);
  for (const rule of [
    { from: [{ remoteIpBlocks: ['192.0.2.0/24'], ipBlocks: ['10.77.0.1'] }] },
    { when: [{ key: 'remote.ip' as const, values: ['192.0.2.7', 'fd00::1'] }] },
  ]) {
    await withPolicy(rule, async () => {
      assert.match(await ask(V1), /^HTTP\/1.1 200/);
      assert.match(await ask(V2), /^HTTP\/1.1 403[^]*RBAC_DENIED/);
      assert.match(await ask('PROXY UNKNOWN\r\n'), /^HTTP\/1.1 403/, 'unknown: the balancer itself');
      assert.match(await ask(binaryHeader(0, 0, Buffer.alloc(0))), /^HTTP\/1.1 403/, 'LOCAL: the balancer itself');
      // The same client, one connection after the other, each with its own remote address.
      assert.match(await ask(V1), /^HTTP\/1.1 200/);
    });
  }
  await withPolicy({ from: [{ notRemoteIpBlocks: ['192.0.2.0/24'] }] }, async () => {
    assert.match(await ask(V1), /^HTTP\/1.1 403/);
    assert.match(await ask(V2), /^HTTP\/1.1 200/);
  });
});

test('TCP and TLS behind a header: judged by remote address and server name, passed on as it came', async () => {
  await withPolicy({ when: [{ key: 'remote.ip', values: ['192.0.2.7'] }, { values: ['ok.example'] }] }, async () => {
    const say = (header: string, octets: Buffer): Promise<string> =>
      converse(fromOutside(7081), Buffer.concat([Buffer.from(header), octets]));
    const ok = hello(serverNames('ok.example'));
    assert.equal(await say(V1, ok), `echo ${V1.length + ok.length}`);
    assert.equal(received[0], V1 + ok.toString('latin1'));
    assert.equal(await say(V1, hello(serverNames('no.example'))), '');
    assert.equal(await say('PROXY UNKNOWN\r\n', ok), '');
  });
});

test('a server that speaks first does so after the header, at once', async () => {
  greeting = '220 ready\r\n';
  assert.equal(await converse(fromOutside(7081), V1), greeting);
  await until(() => received[0] === V1);
});

test('without a header, or with a broken one, a connection from outside is reset and counted', async () => {
  const broken = checksummed(1, 0x11, IPV4_BLOCK);
  broken[30] = 1;
  const before = (await lab.stats()).counters['undecided_proxy_header_malformed'] ?? 0;
  const bad: readonly (Buffer | string)[] = [
    GET,
    'PROXY TCP4 1.2.3.4\r\n',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\n',
    broken,
    hello(serverNames('a.b')),
  ];
  for (const octets of bad) {
    for (const port of [7080, 7081]) assert.equal(await converse(fromOutside(port), octets), '');
  }
  const half = fromOutside(7080);
  const closed = new Promise((resolve) => half.on('close', resolve));
  half.resume();
  half.end('PROXY TC');
  await closed;
  assert.deepEqual(received, []);
  assert.equal((await lab.stats()).counters['undecided_proxy_header_malformed'], before + 2 * bad.length + 1);
});

test('on any other port a header is nothing special', async () => {
  assert.equal(await converse(fromOutside(7083), V1), `echo ${V1.length}`);
  await withPolicy({ from: [{ remoteIpBlocks: ['192.0.2.7'] }] }, async () => {
    assert.equal(await converse(fromOutside(7083), V1), '');
  });
});

test('pods of the mesh need no header; one they send is read, and goes on with the octets', async () => {
  assert.match(await converse(lab.dial('a', WEB, 80), GET, /ok$/), /^HTTP\/1.1 200/);
  assert.equal(await converse(lab.dial('a', RAW, 1), 'abc'), 'echo 3');
  received = [];
  await withPolicy({ when: [{ key: 'remote.ip', values: ['192.0.2.7'] }] }, async () => {
    assert.match(await converse(lab.dial('a', WEB, 80), GET, /RBAC/), /^HTTP\/1.1 403/);
    // Its requests are not routed one by one: the header is this connection's.
    assert.match(await converse(lab.dial('a', WEB, 80), V1 + GET, /ok$/), /^HTTP\/1.1 200/);
    assert.deepEqual(received, [V1 + GET]);
    assert.equal(await converse(lab.dial('a', WEB, 80), `PROXY TCP4 9.9.9.9 1.1.1.1 1 2\r\n${GET}`), '');
  });
});
