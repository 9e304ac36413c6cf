/** Caps in the real worker: what one pod may use is bounded, it is told so, and the pod beside it is served meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Caps, DEFAULT_CAPS } from '../../agent/ipc/caps.ts';
import type { PodStats } from '../../agent/ipc/messages.ts';
import { type LabPod, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const MIB = 1024 * 1024;
const WEB = '10.96.0.40';
const HOLE = '10.96.0.41';
const ECHO = '10.96.0.42';
const GET = 'GET / HTTP/1.1\r\nHost: web\r\n\r\n';
const BIG = 'GET /big HTTP/1.1\r\nHost: web\r\n\r\n';
const HOLD = 'GET /hold HTTP/1.1\r\nHost: web\r\n\r\n';
const SERVER = `const held=[];require('http').createServer((q,s)=>{
  if (q.url==='/hold') { held.push(s); return; }
  if (q.url==='/free') { for (const one of held.splice(0)) one.end('freed'); }
  if (q.url==='/big') { s.end(Buffer.alloc(1048576)); return; }
  s.end('ok') }).listen({port:8080,backlog:4096},()=>console.log('up'));
  require('net').createServer((s)=>{s.on('error',()=>{});s.pipe(s)}).listen({port:7,backlog:4096})`;

let lab: WorkerLab;

/** Pods a (the offender), b (the server) and c (the quiet one). */
async function start(caps: Caps): Promise<void> {
  lab = await WorkerLab.start('off', null, caps);
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.addPod('c');
  await lab.mesh([
    service('web', WEB, 80, 'http'),
    service('hole', HOLE, 80, 'http'),
    service('echo', ECHO, 7, 'tcp'),
    endpointsOf(b),
  ]);
  await lab.run('b', ['node', '-e', SERVER]);
}

function endpointsOf(b: LabPod): ReturnType<typeof workload> {
  const services = {
    'default/web': [{ servicePort: 80, targetPort: 8080 }],
    'default/hole': [{ servicePort: 80, targetPort: 9999 }],
    'default/echo': [{ servicePort: 7, targetPort: 7 }],
  };
  return workload(b, { app: 'b' }, services);
}

const SMALL: Caps = {
  pod: { connections: 300, requests: 240, pending: 30, bufferedBytes: MIB },
  worker: { ...DEFAULT_CAPS.worker, bufferedBytes: 16 * MIB },
};

describe("a pod's own caps", () => {
  before(() => start(SMALL));
  after(() => lab.stop());

  test('requests: 503 POD_LIMIT_REQUESTS above the cap, for this pod only, until one ends', async () => {
    const held = await each(240, () => ask('a', HOLD));
    await until(async () => (await pod('a')).requestsActive === 240);
    const freed = held.map(answered);
    const refused = await get('a', WEB);
    assert.match(refused, /^HTTP\/1\.1 503 .*\r\nx-weir-reason: POD_LIMIT_REQUESTS\r\nretry-after: 1\r\n/s);
    assert.match(refused, /as many requests in flight as it may have/);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    assert.equal((await pod('a')).shed.requests, 1);
    assert.equal((await pod('c')).shed.requests, 0);
    assert.match(await get('c', WEB, '/free'), /200/);
    for (const answer of await Promise.all(freed)) assert.match(answer, /freed/);
    await until(async () => (await pod('a')).requestsActive === 0);
    assert.match(await get('a', WEB), /^HTTP\/1\.1 200/);
    destroy(held);
  });

  test('connections: RST above the cap, counted, and free again when they close', async () => {
    const open = Array.from({ length: 300 }, () => connect('a', WEB));
    await until(async () => (await pod('a')).connectionsActive === 300);
    await closed(ask('a', GET));
    const { shed, refused } = await pod('a');
    assert.equal(shed.connections, 1);
    assert.ok(refused >= 1);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    destroy(open);
    await until(async () => (await pod('a')).connectionsActive === 0);
    assert.match(await get('a', WEB), /^HTTP\/1\.1 200/);
  });

  test('an endpoint that swallows handshakes ties up a bounded number of dials', async () => {
    sh('ip netns exec b iptables -I INPUT -p tcp --dport 9999 -j DROP');
    const waiting = Array.from({ length: 30 }, () => ask('a', GET, HOLE));
    await until(async () => (await pod('a')).pending === 30);
    const refused = await get('a', HOLE);
    assert.match(refused, /^HTTP\/1\.1 503 .*\r\nx-weir-reason: POD_LIMIT_PENDING\r\n/s);
    await closed(connect('a', ECHO));
    assert.equal((await pod('a')).shed.pending, 2);
    assert.equal((await lab.stats()).counters['pending_connections'], 30);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    destroy(waiting);
    await until(async () => (await pod('a')).pending === 0);
    assert.match(await get('a', WEB), /^HTTP\/1\.1 200/);
    sh('ip netns exec b iptables -D INPUT -p tcp --dport 9999 -j DROP');
  });

  test('clients that do not read large responses: held octets stay below the cap, others are served', async () => {
    for (const name of ['a', 'b']) smallSocketBuffers(name);
    const sockets: Socket[] = [];
    let most = 0;
    for (let batch = 0; batch < 14; batch++) {
      for (let i = 0; i < 20; i++) sockets.push(ask('a', BIG).pause());
      most = Math.max(most, (await pod('a')).bufferedBytes);
      assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    }
    await until(async () => {
      const { bufferedBytes, shed } = await pod('a');
      most = Math.max(most, bufferedBytes);
      return bufferedBytes > MIB / 2 || shed.buffered > 0;
    });
    assert.ok(most <= MIB, `${most} of ${MIB}`);
    assert.equal((await pod('c')).shed.buffered, 0);
    destroy(sockets);
    await until(async () => (await pod('a')).bufferedBytes === 0);
    assert.equal((await lab.stats()).counters['buffered_bytes'], 0);
  });

  test('heads that never end: held octets stay below the cap, and all is given back', async () => {
    const head = `GET / HTTP/1.1\r\nHost: web\r\nx: ${'y'.repeat(40_000)}`;
    const sockets = Array.from({ length: 60 }, () => ask('a', head));
    await until(async () => (await pod('a')).shed.buffered > 1);
    assert.ok((await pod('a')).bufferedBytes <= MIB);
    // Small ones fill what is left; then an answer that its client does not take cannot be held, and that connection ends.
    for (const length of [3_000, 300, 40]) {
      for (const small of await each(40, () => ask('a', head.slice(0, length)))) sockets.push(small);
    }
    const { shed } = await pod('a');
    sockets.push(ask('a', BIG).pause());
    await until(async () => (await pod('a')).shed.buffered > shed.buffered);
    await until(async () => (await pod('a')).requestsActive === 0);
    assert.ok((await pod('a')).bufferedBytes <= MIB);
    assert.equal((await pod('c')).shed.buffered, 0);
    assert.ok(((await lab.stats()).bounds['bufferedBytesPerPodMax'] ?? 0) > 0);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    destroy(sockets);
    await until(async () => (await pod('a')).bufferedBytes === 0);
  });

  test('relayed connections nobody reads: what is in the pipes counts', async () => {
    smallSocketBuffers('a');
    const sockets = await each(40, () => connect('a', ECHO));
    for (const socket of sockets) {
      socket.pause();
      socket.write(Buffer.alloc(256 * 1024));
    }
    await until(async () => (await pod('a')).bufferedBytes > 0);
    assert.ok((await pod('a')).bufferedBytes <= MIB);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    destroy(sockets);
    await until(async () => (await pod('a')).bufferedBytes === 0);
  });

  test('a policy that denies, and a pod that leaves: hundreds of connections end, in slices, and nothing stays booked', async () => {
    const relayed = await each(250, () => connect('a', ECHO));
    await Promise.all(relayed.map(echoed));
    const cut = relayed.map(closed);
    await lab.mesh([policy('none', 'DENY', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/a'] }] }])]);
    await Promise.all(cut);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/none' }]);
    const again = await each(250, () => connect('c', ECHO));
    await Promise.all(again.map(echoed));
    const left = again.map(closed);
    const c = lab.pods.get('c') as LabPod;
    const gone = lab.wait((message) => message.type === 'podGone' && message.index === c.index);
    lab.send({ type: 'podRemove', index: c.index });
    await gone;
    await Promise.all(left);
    await lab.listen(c);
    const { counters } = await lab.stats();
    assert.equal(counters['connections'], 0);
    assert.equal(counters['pending_connections'], 0);
    assert.equal(counters['requests_in_flight'], 0);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
  });
});

describe("the worker's caps", () => {
  before(() =>
    start({
      pod: DEFAULT_CAPS.pod,
      worker: { connections: 400, requests: 100, pending: 1_000, bufferedBytes: 16 * MIB },
    }),
  );
  after(() => lab.stop());

  test('the pod with most requests is told OVERLOADED; a quiet one may have its own share at the same time', async () => {
    const held = Array.from({ length: 61 }, () => ask('a', HOLD));
    const answers = held.map(answered);
    await until(async () => (await pod('a')).shed.overloaded > 0);
    assert.equal((await pod('a')).requestsActive, 60); // four fifths of three quarters of 100
    assert.match(await Promise.race(answers), /^HTTP\/1\.1 503 .*x-weir-reason: OVERLOADED\r\nretry-after: 1/s);
    const quiet = Array.from({ length: 8 }, () => ask('c', HOLD));
    await until(async () => (await pod('c')).requestsActive === 8);
    assert.match(await get('a', WEB), /x-weir-reason: OVERLOADED/);
    assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    assert.equal((await pod('c')).shed.overloaded, 0);
    assert.ok(((await lab.stats()).bounds['requestsPerWorkerMax'] ?? 0) >= 2);
    await get('c', WEB, '/free');
    destroy([...held, ...quiet]);
    await until(async () => (await lab.stats()).counters['requests_in_flight'] === 0);
  });

  test('the pod with most connections gets RST; a quiet one is let in', async () => {
    const open = Array.from({ length: 260 }, () => connect('a', WEB));
    await until(async () => (await pod('a')).shed.overloaded > 2);
    assert.ok((await pod('a')).connectionsActive <= 240);
    for (let i = 0; i < 20; i++) assert.match(await get('c', WEB), /^HTTP\/1\.1 200/);
    assert.equal((await pod('c')).shed.overloaded, 0);
    destroy(open);
  });
});

/** Sends a request and leaves it at that. */
function ask(name: string, request: string, ip = WEB): Socket {
  const socket = connect(name, ip);
  socket.write(request);
  return socket;
}

function connect(name: string, ip: string): Socket {
  return lab.dial(name, ip, ip === ECHO ? 7 : 80);
}

/** So many, ten at a time, each lot after the last one's dials are over. */
async function each(count: number, make: () => Socket): Promise<Socket[]> {
  const sockets: Socket[] = [];
  const before = (await lab.stats()).pods.reduce((sum, one) => sum + one.connectionsOpened + one.refused, 0);
  while (sockets.length < count) {
    for (let i = 0; i < 10; i++) sockets.push(make());
    await until(async () => {
      const { pods, counters } = await lab.stats();
      const seen = pods.reduce((sum, { connectionsOpened, refused }) => sum + connectionsOpened + refused, 0);
      return counters['pending_connections'] === 0 && seen >= before + sockets.length;
    });
  }
  return sockets;
}

/** The first octets of an answer; '' when there is none. */
function answered(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')));
    socket.once('close', () => resolve(''));
  });
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.resume();
  });
}

function get(name: string, ip: string, path = '/'): Promise<string> {
  const request = `GET ${path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n`;
  return lab.exchange(name, ip, 80, request);
}

async function echoed(socket: Socket): Promise<void> {
  socket.write('x');
  await once(socket, 'data');
}

/** With RST: after a mere FIN an answer might still be waited for. */
function destroy(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.resetAndDestroy();
}

async function pod(name: string): Promise<PodStats> {
  const found = (await lab.stats()).pods.find((one) => one.name === name);
  assert.ok(found !== undefined);
  return found;
}

/** Asks the worker until it is so: each answer comes after a turn of its loop. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (await isSo()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { pods, bounds, counters } = await lab.stats();
  assert.fail(`never came true: ${JSON.stringify({ pods, bounds, counters })}`);
}

/** So that a megabyte does not disappear in the kernel. */
function smallSocketBuffers(name: string): void {
  for (const kind of ['rmem', 'wmem']) sh(`ip netns exec ${name} sysctl -qw "net.ipv4.tcp_${kind}=4096 4096 4096"`);
}

function sh(command: string): void {
  execFileSync('sh', ['-ec', command], { stdio: 'pipe' });
}
