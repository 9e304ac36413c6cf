/** TLS passed through: by server name routed and authorised, whatever the segments; and what a wrong guess costs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { until } from '../harness/hang.ts';
import type { AuthorizationPolicy } from '../../mesh/policy-model.ts';
import type { StreamBackend, TcpRoute, TlsRoute } from '../../mesh/route-model.ts';
import { tcpRoute as builtTcpRoute, tlsRoute as builtTlsRoute } from '../unit/mesh/resources.ts';
import { type LabPod, WorkerLab, policy, service, workload } from '../harness/worker-lab.ts';
import { ECH, hello, helloMessage, records, serverNames } from '../unit/tls/hellos.ts';
import { answerHello, converse, pingTls, serveTls } from './tls-lab.ts';

let lab: WorkerLab;
let b: LabPod;
let c: LabPod;

const TLS = '10.96.0.30';
const AUTO = '10.96.0.31';
const RAW = '10.96.0.32';
const TO_C = '10.96.0.33';
const TARGET = [{ servicePort: 443, targetPort: 7443 }];
const handlers: Record<string, (socket: Socket) => void> = {};

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  b = await lab.addPod('b');
  c = await lab.addPod('c');
  await lab.mesh([
    service('secure', TLS, 443, 'tls'),
    service('auto', AUTO, 443, 'detect'),
    service('raw', RAW, 443, 'tcp'),
    service('other', TO_C, 443, 'tls'),
    workload(b, { app: 'b' }, { 'default/secure': TARGET, 'default/auto': TARGET, 'default/raw': TARGET }),
    workload(c, { app: 'c' }, { 'default/other': TARGET }),
  ]);
  for (const name of ['b', 'c']) await lab.serve(name, 7443, (socket) => handlers[name]?.(socket));
});
after(() => lab.stop());

function logged(): Record<string, unknown>[] {
  return lab.accessLines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Applies policies and routes for the time of a test. */
async function withMesh(
  resources: readonly (AuthorizationPolicy | TlsRoute | TcpRoute)[],
  body: () => Promise<void>,
): Promise<void> {
  await lab.mesh(resources);
  await body();
  await lab.mesh(
    [],
    resources.map(({ kind, namespace, name }) => ({ kind, key: `${namespace}/${name}` })),
  );
}

for (const [name, vip] of [
  ['declared tls', TLS],
  ['undeclared', AUTO],
  ['declared tcp', RAW],
] as const) {
  test(`${name}: a real handshake passes, whole and octet by octet`, async () => {
    handlers['b'] = (socket) => serveTls(socket, 'b');
    assert.equal(await pingTls(lab.dial('a', vip, 443), 'shop.example'), 'b: ping');
    assert.equal(await pingTls(lab.dial('a', vip, 443), 'shop.example', 400), 'b: ping');
  });
}

test('the server name is in the access log, and the protocol', async () => {
  handlers['b'] = (socket) => serveTls(socket, 'b');
  assert.equal(await pingTls(lab.dial('a', TLS, 443), 'logged.example'), 'b: ping');
  await until(() => logged().some((line) => line['host'] === 'logged.example'));
  const line = logged().find((each) => each['host'] === 'logged.example');
  assert.deepEqual([line?.['protocol'], line?.['service']], ['tls', 'default/secure']);
});

const allowed = policy('sni', 'ALLOW', { app: 'b' }, [
  { when: [{ values: ['ok.example', '*.good.example'], notValues: ['not.good.example'] }] },
]);
const forbidden = policy('sni', 'DENY', { app: 'b' }, [{ when: [{ values: ['bad.example'] }] }]);
const part = hello(serverNames('ok.example')).subarray(0, 60);

for (const [name, dial] of [
  ['same node, declared tls', () => lab.dial('a', TLS, 443)],
  ['same node, undeclared', () => lab.dial('a', AUTO, 443)],
  ['same node, declared tcp', () => lab.dial('a', RAW, 443)],
  ['inbound', () => connect({ host: b.ip, port: 7443 })],
] as const) {
  test(`${name}: policy by server name, and no name is no match`, async () => {
    handlers['b'] = (socket) => answerHello(socket, 'b');
    const says = (octets: Buffer | string): Promise<string> =>
      converse(
        dial().on('error', () => undefined),
        octets,
      );
    await withMesh([allowed], async () => {
      assert.equal(await says(hello(serverNames('ok.example'))), 'b');
      assert.equal(await says(hello(serverNames('A.Good.Example.'))), 'b');
      assert.equal(await says(hello(serverNames('not.good.example'))), '');
      assert.equal(await says(hello(serverNames('bad.example'))), '');
      assert.equal(await says(hello()), '', 'no server name');
      assert.equal(await says(hello(serverNames('ok.example'), ECH)), 'b', 'ECH: the outer name');
      assert.equal(await says(hello(serverNames('ok.example', 'x.example'))), '', 'two names');
      assert.equal(await says('\x01\x02\x03'), '', 'not TLS');
    });
    await withMesh([forbidden], async () => {
      assert.equal(await says(hello(serverNames('ok.example'))), 'b');
      assert.equal(await says(hello()), 'b', 'no server name');
      assert.equal(await says('\x01\x02\x03'), 'b', 'not TLS');
      assert.equal(await says(hello(serverNames('bad.example'))), '');
      assert.equal(await says(hello(serverNames('bad.example\0'))), '', 'unreadable: counted against it');
    });
  });

  test(`${name}: a ClientHello in tiny records and segments is waited for before it is judged`, async () => {
    const trickle = async (serverName: string): Promise<string> => {
      const socket = dial().on('error', () => undefined);
      socket.setNoDelay(true);
      const answer = converse(socket, '');
      for (const octet of records(helloMessage({ extensions: [serverNames(serverName)] }), 3)) {
        if (socket.destroyed) break;
        await new Promise((resolve) => socket.write(Buffer.of(octet), () => setImmediate(resolve)));
      }
      return answer;
    };
    handlers['b'] = (socket) => answerHello(socket, 'b');
    await withMesh([allowed], async () => assert.equal(await trickle('ok.example'), 'b'));
    await withMesh([forbidden], async () => {
      assert.equal(await trickle('ok.example'), 'b');
      let reached = false;
      handlers['b'] = (socket) => socket.on('data', () => (reached = true));
      assert.equal(await trickle('bad.example'), '');
      assert.equal(reached, false, 'not an octet has reached the server');
    });
  });
}

test('a client that ends within its ClientHello has no server name to be judged by', async () => {
  let reached = false;
  handlers['b'] = () => (reached = true);
  await withMesh([forbidden], async () => {
    const socket = lab.dial('a', TLS, 443);
    const ended = Promise.race([once(socket, 'error'), once(socket, 'close'), once(socket, 'end')]);
    socket.resume();
    socket.end(part);
    await ended;
    assert.equal(reached, false);
  });
});

test('without anyone who asks for the name, part of a ClientHello goes on at once', async () => {
  handlers['b'] = (socket) => socket.on('data', (chunk) => socket.write(`${chunk.length} octets`));
  for (const vip of [TLS, AUTO]) assert.equal(await converse(lab.dial('a', vip, 443), part), '60 octets');
});

test('a change of policy cuts a connection whose server name was never looked at', async () => {
  handlers['b'] = (socket) => socket.on('data', (chunk) => socket.write(chunk));
  const socket = lab.dial('a', RAW, 443);
  socket.write('ping');
  await once(socket, 'data');
  const ended = Promise.race([once(socket, 'error'), once(socket, 'close')]);
  await withMesh([forbidden], async () => {
    await ended;
  });
});

for (const [name, vip] of [
  ['undeclared', AUTO],
  ['declared tcp', RAW],
  ['declared tls', TLS],
] as const) {
  test(`${name}: a server that speaks first is heard, also where policy goes by server name`, async () => {
    handlers['b'] = (socket) => {
      socket.write('J\0\0\0\n8.0.36\0');
      socket.on('data', (chunk) => socket.write(chunk));
    };
    for (const policies of [[], [forbidden]]) {
      await withMesh(policies, async () => {
        const socket = lab.dial('a', vip, 443);
        const [greeting] = (await once(socket, 'data')) as [Buffer];
        assert.equal(greeting.toString('latin1'), 'J\0\0\0\n8.0.36\0');
        socket.write('login');
        assert.equal(((await once(socket, 'data')) as [Buffer])[0].toString(), 'login');
        socket.destroy();
      });
    }
  });
}

for (const octets of ['P', 'PRI * HTTP', '\r\n', '\x16\x03']) {
  test(`undeclared: ${JSON.stringify(octets)} and then silence is relayed as it is`, async () => {
    handlers['b'] = (socket) => socket.on('data', (chunk) => socket.write(`got ${chunk.length}`));
    assert.equal(await converse(lab.dial('a', AUTO, 443), octets), `got ${octets.length}`);
    assert.ok(((await lab.stats()).bounds['detectStallMs'] ?? 0) > 0);
  });
}

test('undeclared: an HTTP/2 preface in pieces is HTTP/2', async () => {
  const socket = lab.dial('a', AUTO, 443);
  socket.setNoDelay(true);
  socket.write('PRI');
  await new Promise((resolve) => setImmediate(resolve));
  const settings = await converse(socket, ' * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', /^.{9}/s);
  assert.equal(settings.charCodeAt(3), 4, 'a SETTINGS frame');
});

function backend(name: string, weight = 1, valid = true): StreamBackend {
  return { namespace: 'default', name, port: 443, subset: null, weight, valid };
}

function tlsRoute(name: string, parent: string, hostnames: string[], backends: StreamBackend[]): TlsRoute {
  const parents = [{ namespace: 'default', name: parent, port: null }];
  return builtTlsRoute({ namespace: 'default', name, parents, hostnames, backends });
}

function tcpRoute(name: string, parent: string, backends: StreamBackend[]): TcpRoute {
  const parents = [{ namespace: 'default', name: parent, port: null }];
  return builtTcpRoute({ namespace: 'default', name, parents, backends });
}

for (const [name, vip, parent] of [
  ['declared tls', TLS, 'secure'],
  ['undeclared', AUTO, 'auto'],
] as const) {
  test(`${name}: TLSRoutes send each server name to its backend, and no other anywhere`, async () => {
    handlers['b'] = (socket) => serveTls(socket, 'b');
    handlers['c'] = (socket) => serveTls(socket, 'c');
    const routes = [
      tlsRoute('to-c', parent, ['c.example', '*.c.example'], [backend('other')]),
      tlsRoute('to-b', parent, ['b.example'], [backend('raw')]),
      tlsRoute('broken', parent, ['broken.example'], [backend('nobody', 1, false)]),
      tlsRoute('none', parent, ['none.example'], []),
    ];
    const ping = (serverName: string, trickled = 0): Promise<string> =>
      pingTls(lab.dial('a', vip, 443), serverName, trickled);
    await withMesh(routes, async () => {
      assert.equal(await ping('c.example'), 'c: ping');
      assert.equal(await ping('deep.down.c.example', 300), 'c: ping');
      assert.equal(await ping('b.example'), 'b: ping');
      assert.equal(await ping('elsewhere.example'), '');
      assert.equal(await ping('broken.example'), '');
      assert.equal(await ping('none.example'), '');
      assert.equal(await converse(lab.dial('a', vip, 443), hello()), '', 'no server name');
      await withMesh([tlsRoute('any', parent, [], [backend('other')])], async () => {
        handlers['c'] = (socket) => answerHello(socket, 'c');
        assert.equal(await converse(lab.dial('a', vip, 443), hello()), 'c');
        assert.equal(await converse(lab.dial('a', vip, 443), hello(ECH, serverNames('x.example'))), 'c');
      });
    });
    const here = (): Record<string, unknown>[] => logged().filter((line) => line['service'] === `default/${parent}`);
    await until(() => here().some((line) => line['host'] === 'deep.down.c.example'));
    assert.ok(here().some((line) => line['reason'] === 'NO_VALID_BACKEND'));
    const reasons = here().filter((line) => line['host'] === 'elsewhere.example');
    assert.deepEqual(
      reasons.map((line) => line['reason']),
      ['NO_ROUTE'],
    );
    const routed = here().filter((line) => line['host'] === 'deep.down.c.example');
    assert.deepEqual(
      routed.map((line) => line['route']),
      ['default/to-c'],
    );
  });
}

test('TLSRoute and policy together: the chosen backend’s policy decides by the same name', async () => {
  handlers['c'] = (socket) => answerHello(socket, 'c');
  const only = policy('only', 'ALLOW', { app: 'c' }, [{ when: [{ values: ['yes.c.example'] }] }]);
  await withMesh([tlsRoute('to-c', 'secure', ['*.c.example'], [backend('other')]), only], async () => {
    assert.equal(await converse(lab.dial('a', TLS, 443), hello(serverNames('yes.c.example'))), 'c');
    assert.equal(await converse(lab.dial('a', TLS, 443), hello(serverNames('no.c.example'))), '');
  });
});

test('TCPRoute: declared tcp and undeclared, server first or client first, and HTTP too', async () => {
  handlers['b'] = (socket) => socket.end('b');
  handlers['c'] = (socket) => socket.end('c');
  for (const [vip, parent] of [
    [RAW, 'raw'],
    [AUTO, 'auto'],
  ] as const) {
    await withMesh([tcpRoute('t', parent, [backend('other'), backend('secure', 0)])], async () => {
      assert.equal(await converse(lab.dial('a', vip, 443), ''), 'c');
      assert.equal(await converse(lab.dial('a', vip, 443), '\x01\x02'), 'c');
    });
  }
  handlers['c'] = (socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nc'));
  await withMesh([tcpRoute('t', 'auto', [backend('other')])], async () => {
    const answer = await converse(
      lab.dial('a', AUTO, 443),
      'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      /c$/,
    );
    assert.match(answer, /^HTTP\/1.1 200[^]*c$/);
  });
});

test('a connection that waits for its first octets goes on during a drain, for one request', async () => {
  handlers['b'] = (socket) => socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  const active = async (): Promise<number> =>
    (await lab.stats()).pods.find(({ name }) => name === 'a')?.connectionsActive ?? 0;
  const before = await active();
  const silent = lab.dial('a', AUTO, 443);
  await until(async () => (await active()) === before + 1);
  lab.send({ type: 'drain', deadlineMs: 20_000, successor: false });
  await until(async () => (await converse(lab.dial('a', AUTO, 443), 'x')) === '');
  const answer = await converse(silent, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /ok$/);
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
  assert.match(answer, /\r\nConnection: close\r\n/i);
});
