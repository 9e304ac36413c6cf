/** As high as policy demands, no higher: what is parsed as HTTP and what is spliced, and what a change does to live connections. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { AccessLogMode, ConnectionInfo } from '../../agent/ipc/messages.ts';
import type { MeshSettings } from '../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import { until } from '../harness/hang.ts';
import { httpRoute, type LabPod, WorkerLab, policy, service, workload } from '../harness/worker-lab.ts';

const VIP = '10.96.0.30';
const QUIET: MeshSettings = { ...DEFAULT_SETTINGS, metrics: false, accessLog: false };
/** No HTTP parser would let this pass: two lengths that differ. */
const MALFORMED = 'GET / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n';
const GET = 'GET /x HTTP/1.1\r\nHost: web\r\n\r\n';

let lab: WorkerLab;
let b: LabPod;
/** The server's side of the last connection. */
let served: Socket | null = null;

before(async () => {
  lab = await WorkerLab.start('errors');
  await lab.addPod('a');
  b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  // Answers every read with what it read, so that a client sees what reached the server.
  await lab.serve('b', 8080, (socket) => {
    served = socket;
    socket.on('data', (chunk) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${chunk.length}\r\n\r\n`));
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => socket.end());
  });
});
after(() => lab.stop());

/** Sends, and resolves with all that came until `text` was among it. */
async function say(socket: Socket, request: string, text: string): Promise<string> {
  socket.write(request);
  let seen = '';
  while (!seen.includes(text)) {
    const [chunk] = (await Promise.race([
      once(socket, 'data'),
      once(socket, 'close').then(() => [Buffer.from(text)]),
    ])) as [Buffer];
    seen += chunk.toString('latin1');
  }
  return seen;
}

/** Stops this process's loop. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Resolves when it is closed, with the error that closed it. */
function closed(socket: Socket): Promise<string | undefined> {
  let code: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
  return new Promise((resolve) => socket.on('close', () => resolve(code)));
}

/** Resolves when the mode holds: the worker may be accepting while the message comes, but answers its messages in order. */
async function accessLog(mode: AccessLogMode): Promise<void> {
  lab.send({ type: 'accessLog', mode });
  await lab.stats();
}

const refused = (text: string): boolean => /^HTTP\/1\.1 400 /.test(text);

test('by default HTTP is parsed, because its metrics are asked for', async () => {
  assert.ok(refused(await lab.exchange('a', VIP, 80, MALFORMED)));
});

test('with no telemetry asked for, a connection to an http port is spliced, outbound and inbound', async () => {
  await lab.mesh([QUIET]);
  const socket = lab.dial('a', VIP, 80);
  assert.match(
    await say(socket, MALFORMED, 'Length: 2\r\n\r\n'),
    /^HTTP\/1\.1 200 OK[^]*Length: 1\r\nContent-Length: 2/,
  );
  const rows = await lab.connections();
  assert.deepEqual(
    rows.map(({ pod, direction, protocol, service: to, state }) => [pod, direction, protocol, to, state]),
    [['default/a', 'outbound', 'tcp', 'default/web', 'relaying']],
  );
  socket.destroy();
  // The node itself is a client outside the mesh: captured inbound.
  const { output } = await lab.exec('a', ['true']);
  assert.equal(output, '');
  const inbound = new (await import('node:net')).Socket();
  inbound.connect(8080, b.ip);
  await once(inbound, 'connect');
  assert.match(await say(inbound, MALFORMED, 'Length: 2\r\n\r\n'), /^HTTP\/1\.1 200 OK/);
  assert.deepEqual(
    (await lab.connections()).filter(({ direction }) => direction === 'inbound').map(({ protocol }) => protocol),
    ['tcp'],
  );
  inbound.destroy();
});

test('policy on connections leaves it spliced and is enforced', async () => {
  await lab.mesh([policy('p', 'ALLOW', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/a'] }] }])]);
  assert.match(await lab.exchange('a', VIP, 80, MALFORMED, (text) => text.includes('200')), /200 OK/);
  await lab.mesh([policy('p', 'ALLOW', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/x'] }] }])]);
  assert.equal(await lab.exchange('a', VIP, 80, MALFORMED), '');
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/p' }]);
});

for (const [what, action, to] of [
  ['an ALLOW', 'ALLOW', { methods: ['GET'] }],
  ['a DENY', 'DENY', { paths: ['/admin'] }],
] as const) {
  test(`${what} that needs HTTP cuts what is spliced already; new connections are parsed and judged`, async () => {
    const socket = lab.dial('a', VIP, 80);
    await say(socket, GET, '200 OK');
    const cut = closed(socket);
    await lab.mesh([policy('p', action, { app: 'b' }, [{ to: [to] }])]);
    assert.equal(await cut, 'ECONNRESET');
    assert.match(await lab.exchange('a', VIP, 80, GET, (text) => text.includes('200 OK')), /^HTTP\/1\.1 200/);
    const bad = action === 'ALLOW' ? GET.replace('GET', 'DELETE') : GET.replace('/x', '/admin');
    assert.match(await lab.exchange('a', VIP, 80, bad, (text) => text.includes('403')), /^HTTP\/1\.1 403/);
    assert.ok(refused(await lab.exchange('a', VIP, 80, MALFORMED)));
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/p' }]);
    assert.match(await lab.exchange('a', VIP, 80, MALFORMED, (text) => text.includes('200')), /200 OK/);
  });
}

test('a cut whose reset comes to the client together with octets is a reset all the same', async () => {
  const socket = lab.dial('a', VIP, 80);
  await say(socket, GET, '\r\n\r\nGET /x HTTP/1.1');
  const cut = closed(socket);
  // Nothing is read here while the worker relays what the server says, and while it cuts.
  served?.write('more');
  block(100);
  const applied = lab.mesh([policy('p', 'ALLOW', { app: 'b' }, [{ to: [{ methods: ['GET'] }] }])]);
  block(100);
  await applied;
  assert.equal(await cut, 'ECONNRESET');
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/p' }]);
});

test('a policy with HTTP fields of a pod that is not on this node is that node’s to enforce: spliced', async () => {
  const far = { ...b, name: 'far', enrolled: { ...b.enrolled, uid: 'uid-far', addresses: ['10.77.0.99'] } };
  await lab.mesh([
    service('far', '10.96.0.31', 80, 'http'),
    workload(far, { app: 'far' }, { 'default/far': [{ servicePort: 80, targetPort: 8080 }] }),
    policy('p', 'ALLOW', { app: 'far' }, [{ to: [{ methods: ['GET'] }] }]),
  ]);
  // Nobody answers there: the dial ends after the kernel's three seconds.
  let socket = lab.dial('a', '10.96.0.31', 80);
  let row: ConnectionInfo | undefined;
  await until(async () => {
    if (socket.destroyed) socket = lab.dial('a', '10.96.0.31', 80);
    row = (await lab.connections()).find(({ service: to }) => to === 'default/far');
    return row !== undefined;
  });
  assert.equal(row?.protocol, 'tcp');
  socket.destroy();
  await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/p' }]);
});

test('a route brings HTTP back, and so do the default settings when the ConfigMap is gone', async () => {
  const backends = [{ namespace: 'default', name: 'web', port: 80, weight: 1, filters: [], valid: true }];
  await lab.mesh([httpRoute('r', 'web', [{ name: null, matches: [], filters: [], backends }])]);
  assert.ok(refused(await lab.exchange('a', VIP, 80, MALFORMED)));
  await lab.mesh([], [{ kind: 'httpRoute', key: 'default/r' }]);
  assert.ok(!refused(await lab.exchange('a', VIP, 80, MALFORMED, (text) => text.includes('200'))));
  await lab.mesh([], [{ kind: 'meshSettings', key: 'istio-system/istio' }]);
  assert.ok(refused(await lab.exchange('a', VIP, 80, MALFORMED)));
});

test('an access log of everything, asked for on this node, brings HTTP back too', async () => {
  await lab.mesh([QUIET]);
  await accessLog('all');
  assert.ok(refused(await lab.exchange('a', VIP, 80, MALFORMED)));
  await accessLog('errors');
  assert.ok(!refused(await lab.exchange('a', VIP, 80, MALFORMED, (text) => text.includes('200'))));
});
