/** Regressions of the data path that a review found: ends and pauses of connections, stale facts, tunnels, counters. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { LimitName } from '../../agent/limits.ts';
import { VERIFY_ADDRESS_V4, VERIFY_PORT } from '../../mesh/ports.ts';
import { until } from '../harness/hang.ts';
import { type LabPod, WorkerLab, policy, service, workload } from '../harness/worker-lab.ts';

const VIP = '10.96.0.40';
const OTHER = '10.96.0.41';
const AUTO = '10.96.0.42';
const MIB = 1024 * 1024;
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
let a: LabPod;
let b: LabPod;
let served: Socket[] = [];
/** What a server in a pod does with a connection; replaced by tests. */
let onServer: (socket: Socket) => void;

function request(path: string, method = 'GET'): string {
  return `${method} ${path} HTTP/1.1\r\nHost: web\r\n\r\n`;
}

/** Answers every head it reads with `answer`. */
function answering(answer: string | Buffer): (socket: Socket) => void {
  return (socket) => {
    socket.on('data', (chunk) => {
      for (let n = chunk.toString('latin1').split('\r\n\r\n').length - 1; n > 0; n--) socket.write(answer);
    });
    socket.on('end', () => socket.end());
  };
}

/** New handling of connections; those that are open, pooled ones above all, are closed first. */
async function serve(handler: (socket: Socket) => void): Promise<void> {
  onServer = handler;
  for (const socket of served) socket.destroy();
  served = [];
  await pause(30);
}

/** A worker that knows all pods, after the one before. */
async function freshWorker(flags = ''): Promise<void> {
  await lab.killWorker('SIGKILL');
  if (flags !== '') process.env['WORKER_FLAGS'] = flags;
  await lab.startWorker('off');
  delete process.env['WORKER_FLAGS'];
  await describeMesh();
  for (const pod of lab.pods.values()) await lab.listen(pod);
}

function describeMesh(): Promise<void> {
  const target = [{ servicePort: 80, targetPort: 8080 }];
  return lab.mesh([
    service('web', VIP, 80, 'http'),
    service('other', OTHER, 80, 'http'),
    service('auto', AUTO, 80, 'detect'),
    workload(a, { app: 'a' }),
    workload(b, { app: 'b' }, { 'default/web': target, 'default/other': target, 'default/auto': target }),
  ]);
}

before(async () => {
  onServer = answering(OK);
  lab = await WorkerLab.start('off');
  a = await lab.addPod('a');
  b = await lab.addPod('b');
  await describeMesh();
  for (const port of [8080, 9000]) {
    await lab.serve('b', port, (socket) => {
      served.push(socket);
      onServer(socket);
    });
  }
});
after(() => lab.stop());

describe('connections', () => {
  before(() => freshWorker());

  test('a client that pipelines refused requests and reads nothing is not read from without end', async () => {
    const before = await podStats('a');
    const socket = lab.dial('a', VIP, 80);
    socket.pause();
    // Refused by weir itself, so that no endpoint slows it down; each answer is several times as long as its request.
    await lab.mesh([policy('shut', 'DENY', { app: 'b' }, [{}])]);
    socket.write(Buffer.alloc(24 * MIB, request('/')));
    const read = (await settled(async () => (await podStats('a')).bytesOut)) - before.bytesOut;
    socket.destroy();
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/shut' }]);
    assert.ok(
      read < 12 * MIB,
      `${(read / MIB).toFixed(1)} MiB of requests were read from a client that reads no answer`,
    );
  });

  test('pipelined requests of a client that reads late are all answered, in order', async () => {
    await serve((socket) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
          const path = text.split(' ')[1] as string;
          text = text.slice(end + 4);
          socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n${path.padEnd(30_000, '.')}`);
        }
      });
    });
    const socket = lab.dial('a', VIP, 80);
    socket.pause();
    const paths = Array.from({ length: 400 }, (_, i) => `/n${i}`);
    socket.write(paths.map((path) => request(path)).join(''));
    await settled(async () => (await podStats('a')).bytesIn);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.resume();
    await until(() => text.split('HTTP/1.1 200').length === 401 && text.length > 400 * 30_000);
    assert.deepEqual(text.match(/\/n\d+/g), paths);
    socket.destroy();
    await serve(answering(OK));
  });

  test('a request pipelined behind one whose endpoint broke is answered, not dropped', async () => {
    const server = await serverSockets();
    const socket = lab.dial('a', VIP, 80);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.write('POST /first HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\nhello');
    await until(() => server.sockets.length > 0 && server.text.includes('hello'));
    // Both events are ready when the worker looks next, the client's first: it is the write that finds out.
    process.kill(lab.workerPid, 'SIGSTOP');
    socket.write('world' + 'POST /second HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc');
    await pause(50);
    server.sockets[0]?.resetAndDestroy();
    await pause(50);
    onServer = answering(OK); // for the next connection
    process.kill(lab.workerPid, 'SIGCONT');
    await until(() => /HTTP\/1\.1 502[^]*HTTP\/1\.1 200/.test(text)).catch(() => assert.fail(`answers: ${text}`));
    socket.destroy();
  });

  test('an endpoint that answers early and resets is heard before its reset', async () => {
    const server = await serverSockets();
    const socket = lab.dial('a', VIP, 80);
    socket.write('POST /upload HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nhello');
    await until(() => server.text.includes('hello'));
    process.kill(lab.workerPid, 'SIGSTOP');
    socket.write('more');
    await pause(50);
    server.sockets[0]?.write('HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig');
    await pause(20);
    server.sockets[0]?.resetAndDestroy();
    await pause(50);
    process.kill(lab.workerPid, 'SIGCONT');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 413 [^]*\r\n\r\nbig$/);
    socket.destroy();
  });

  test('a client that sends FIN while the rest of its answer is queued gets the rest', async () => {
    for (const spare of [5_000, 20_000, 40_000, 60_000]) {
      const { socket, size } = await queuedAnswer(spare);
      socket.end();
      await pause(50);
      assert.equal(await readToEnd(socket), size, `${spare} octets below the capacity of the path`);
    }
  });

  test('octets that a client sent before a server spoke first are relayed, not lost', async () => {
    let heard = '';
    await serve((socket) => {
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1');
      });
      setTimeout(() => socket.write('220 ready\r\n'), 200);
    });
    const socket = lab.dial('a', AUTO, 80);
    await pause(60);
    socket.write('P'); // may become a method
    await once(socket, 'data');
    socket.write('ING\r\n');
    await until(() => heard.endsWith('ING\r\n'));
    assert.equal(heard, 'PING\r\n');
    socket.destroy();
    await serve(answering(OK));
  });

  test('a tunnel allowed by HTTP rules outlives mesh changes, and is cut when policy denies its request', async () => {
    await serve((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n');
        socket.on('data', (chunk) => socket.write(chunk));
      });
    });
    await lab.mesh([policy('ws', 'ALLOW', { app: 'b' }, [{ to: [{ paths: ['/ws'], methods: ['GET'] }] }])]);
    const socket = lab.dial('a', VIP, 80);
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    let closed = false;
    socket.on('close', () => {
      closed = true;
    });
    socket.write('GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await until(() => text.includes('\r\n\r\n'));
    await lab.mesh([service('unrelated', '10.96.0.99', 80, 'http')]);
    socket.write('still here');
    await until(() => text.endsWith('still here') || closed);
    assert.equal(closed, false, 'the tunnel was cut by an unrelated change');
    await lab.mesh([policy('ws', 'ALLOW', { app: 'b' }, [{ to: [{ paths: ['/other'] }] }])]);
    await until(() => closed);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/ws' }]);
    await serve(answering(OK));
  });

  test('requests to a pod that is gone from the node fail; the worker goes on', async () => {
    await serve(answering(OK));
    // A port behind no Service: the connection itself remembers the peer.
    const socket = lab.dial('a', b.ip, 9000);
    socket.write(request('/'));
    await once(socket, 'data');
    const gone = lab.wait((message) => message.type === 'podGone');
    lab.send({ type: 'podRemove', index: b.index });
    await gone;
    for (const open of served) open.resetAndDestroy();
    await pause(50);
    socket.write(request('/'));
    const [answer] = (await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['closed'])])) as [
      Buffer | string,
    ];
    assert.match(answer.toString(), /^HTTP\/1\.1 503/);
    socket.destroy();
    await lab.listen(b);
    await serve(answering(OK));
  });

  test('a pod that is enrolled after it was first called is reached with its caller’s identity', async () => {
    await lab.mesh([policy('only-a', 'ALLOW', { app: 'b' }, [{ from: [{ serviceAccounts: ['default/a'] }] }])]);
    lab.send({ type: 'podRemove', index: b.index });
    const early = await lab.exchange('a', VIP, 80, request('/'), (text) => text.endsWith('\n'));
    assert.match(early, /^HTTP\/1\.1 503/);
    await lab.listen(b);
    const text = await lab.exchange('a', VIP, 80, request('/'), (seen) => /\r\n\r\n[^]+/.test(seen));
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/only-a' }]);
    assert.equal(text, OK);
  });
});

describe('counters', () => {
  before(() => freshWorker());

  test('a pair of workloads and a service has one series, however often its traffic alternates', async () => {
    for (let i = 0; i < 10; i++) {
      for (const ip of [VIP, OTHER]) await lab.exchange('a', ip, 80, request('/'), (text) => text.endsWith('ok'));
      await lab.exchange('a', b.ip, 9000, request('/'), (text) => text.endsWith('ok'));
    }
    const labels = (await lab.stats()).http.map((series) => JSON.stringify(series.labels));
    assert.deepEqual(labels.length, new Set(labels).size, 'label sets of one answer are distinct');
    const requests = (await lab.stats()).http.reduce((sum, series) => sum + series.requests, 0);
    assert.equal(requests, 60, 'each of 30 requests once per reporter');
  });

  test('a malformed request from outside is counted for the pod as destination', async () => {
    const socket = connect(8080, b.ip);
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 400/);
    socket.destroy();
    const series = (await lab.stats()).http.filter(({ labels }) => labels['response_code'] === '400');
    assert.deepEqual(
      series.map(({ labels }) => [labels['reporter'], labels['source_workload'], labels['destination_workload']]),
      [['destination', 'unknown', 'b']],
    );
  });
});

describe('bounds', () => {
  let folder = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-limits-'));
    const small: Partial<Record<LimitName, number>> = {
      idleTimeoutMs: 1_500,
      halfCloseTimeoutMs: 300,
      connectionsPerPodMax: 8,
    };
    const here = new URL('../../', import.meta.url).href;
    const limitsUrl = `${here.endsWith('/dist/') ? here : `${here}dist/`}agent/limits.js`; // the worker runs from dist
    const preload = join(folder, 'limits.mjs');
    writeFileSync(
      preload,
      `import { limits } from ${JSON.stringify(limitsUrl)};\nObject.assign(limits, ${JSON.stringify(small)});\n`,
    );
    await freshWorker(`--import=${preload}`);
  });
  after(() => rmSync(folder, { recursive: true }));

  test('a response that keeps flowing for longer than the idle timeout is not cut', async () => {
    await serve((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
        let left = 25;
        const timer = setInterval(() => {
          socket.write(--left > 0 ? '5\r\nevent\r\n' : '0\r\n\r\n');
          if (left === 0) clearInterval(timer);
        }, 100);
        socket.on('close', () => clearInterval(timer));
      });
    });
    const text = await lab.exchange('a', VIP, 80, request('/'), (seen) => seen.endsWith('0\r\n\r\n'));
    assert.match(text, /0\r\n\r\n$/, 'the client sees the end of the response');
    await serve(answering(OK));
  });

  test('a half-closed relay without progress ends after the half-close timeout', async () => {
    await serve((socket) => socket.resume());
    const socket = lab.dial('a', AUTO, 80);
    socket.write('\0opaque');
    await pause(50);
    const started = performance.now();
    socket.end();
    socket.resume();
    await endOf(socket);
    const tookMs = performance.now() - started;
    assert.ok(tookMs < 1_000, `closed after ${tookMs.toFixed(0)} ms`);
    await serve(answering(OK));
  });

  test('a client that has said all it will, and whose endpoint never answers, is let go after the half-close timeout', async () => {
    await serve((socket) => socket.resume());
    const socket = lab.dial('a', VIP, 80);
    socket.end(request('/'));
    socket.resume();
    await endOf(socket);
    assert.equal((await lab.stats()).bounds['halfCloseTimeoutMs'], 2);
    await serve(answering(OK));
  });

  test('connections to the verification address count towards the pod’s bound', async () => {
    const sockets = Array.from({ length: 20 }, () => lab.dial('a', VERIFY_ADDRESS_V4, VERIFY_PORT));
    let closed = 0;
    for (const socket of sockets) {
      socket.resume();
      socket.on('close', () => closed++);
    }
    await pause(500);
    const refused = closed;
    for (const socket of sockets) socket.destroy();
    assert.ok(refused >= 12, `${20 - refused} of 20 are open, 8 are allowed`);
    await until(async () => (await podStats('a')).connectionsActive === 0);
  });
});

test('a drain lets an answer that is queued for a slow client out whole', async () => {
  await freshWorker();
  const { socket, size } = await queuedAnswer(30_000);
  lab.send({ type: 'drain', deadlineMs: 5_000, successor: false });
  await pause(100);
  assert.equal(await readToEnd(socket), size);
});

/** Collects what arrives on the server's connections, and answers nothing. */
async function serverSockets(): Promise<{ sockets: Socket[]; text: string }> {
  const seen = { sockets: [] as Socket[], text: '' };
  await serve((socket) => {
    seen.sockets.push(socket);
    socket.on('data', (chunk) => {
      seen.text += chunk.toString('latin1');
    });
  });
  return seen;
}

/** A client that has not read its answer, all of which the endpoint has sent and part of which the worker holds. */
async function queuedAnswer(spare: number): Promise<{ socket: Socket; size: number }> {
  const fill = async (size: number): Promise<Socket> => {
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`;
    await serve(answering(Buffer.concat([Buffer.from(head), Buffer.alloc(size, 'x')])));
    const socket = lab.dial('a', VIP, 80);
    socket.pause();
    socket.write(request('/big'));
    return socket;
  };
  const start = (await podStats('a')).bytesIn;
  const first = await fill(40 * MIB);
  const capacity = (await settled(async () => (await podStats('a')).bytesIn)) - start;
  first.destroy();
  await until(async () => (await podStats('a')).connectionsActive === 0);
  const size = capacity - spare;
  const socket = await fill(size);
  await settled(async () => (await podStats('a')).bytesIn);
  return { socket, size };
}

/** Octets of the body that a paused socket still gives. */
async function readToEnd(socket: Socket): Promise<number> {
  let octets = 0;
  let headLength = 0;
  socket.on('data', (chunk: Buffer) => {
    if (octets === 0) headLength = chunk.indexOf('\r\n\r\n') + 4;
    octets += chunk.length;
  });
  const ended = endOf(socket);
  socket.resume();
  await ended;
  return octets - headLength;
}

/** FIN or RST. */
function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('end', resolve);
    socket.once('close', () => resolve());
  });
}

async function podStats(name: string) {
  const found = (await lab.stats()).pods.find((pod) => pod.name === name);
  assert.ok(found !== undefined);
  return found;
}

/** Waits until a figure has not changed for 300 ms. */
async function settled(figure: () => Promise<number>): Promise<number> {
  let last = Number.NaN;
  let same = 0;
  for (let i = 0; i < 600 && same < 6; i++) {
    const now = await figure();
    same = now === last ? same + 1 : 0;
    last = now;
    await pause(50);
  }
  return last;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
