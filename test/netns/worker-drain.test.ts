/** How a worker ends: what waits to be accepted is served, what is idle is used once more, what is in flight has until the deadline. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { type LabPod, WorkerLab, service, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.50';
const RAW = '10.96.0.51';
const LONG_MS = 60_000;
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
let a: LabPod;
let b: LabPod;
let onServer: (socket: Socket) => void;

before(async () => {
  lab = await WorkerLab.start('all');
  a = await lab.addPod('a');
  b = await lab.addPod('b');
  await lab.serve('b', 8080, (socket) => onServer(socket));
});
after(() => lab.stop());

beforeEach(async () => {
  await lab.killWorker('SIGKILL');
  await lab.startWorker('all');
  const target = [{ servicePort: 80, targetPort: 8080 }];
  await lab.mesh([
    workload(a, { app: 'a' }),
    workload(b, { app: 'b' }, { 'default/web': target, 'default/raw': target }),
    service('web', WEB, 80, 'http'),
    service('raw', RAW, 80, 'tcp'),
  ]);
  for (const pod of [a, b]) await lab.listen(pod);
  lab.accessLines.length = 0;
  onServer = (socket) => socket.on('data', () => socket.write(OK));
});

function get(path = '/'): string {
  return `GET ${path} HTTP/1.1\r\nhost: web\r\n\r\n`;
}

/** What has arrived on a socket, and how it ended. */
class Seen {
  readonly socket: Socket;
  text = '';
  error: string | null = null;
  readonly closed: Promise<unknown>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    socket.on('end', () => socket.end());
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  async got(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      await Promise.race([once(this.socket, 'data'), this.closed]);
      assert.ok(pattern.test(this.text) || !this.socket.destroyed, `ended with ${this.error ?? 'FIN'}: ${this.text}`);
    }
  }
}

function connected(ip: string): Seen {
  return new Seen(lab.dial('a', ip, 80));
}

function drain(deadlineMs: number, successor: boolean): Promise<number | null> {
  const ended = lab.workerEnd();
  lab.send({ type: 'drain', deadlineMs, successor });
  return ended;
}

test('connections that wait to be accepted when the drain begins are all served', async () => {
  const { workerPid } = lab;
  process.kill(workerPid, 'SIGSTOP');
  // More than one event accepts (limits.acceptsPerEvent), some of them silent until after the drain has begun.
  const waiting = Array.from({ length: 150 }, () => connected(WEB));
  waiting.forEach(({ socket }, i) => i % 2 === 0 && socket.write(get()));
  const ended = drain(LONG_MS, false);
  process.kill(workerPid, 'SIGCONT');
  await Promise.all(waiting.filter((_, i) => i % 2 === 0).map((seen) => seen.got(/ok$/)));
  waiting.forEach(({ socket }, i) => i % 2 === 1 && socket.write(get()));
  await Promise.all(waiting.map((seen) => seen.got(/ok$/)));
  assert.equal(await ended, 0);
  for (const { text, error } of waiting) {
    assert.equal(error, null);
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n(?=[^]*connection: close\r\n)/i);
  }
});

test('with a successor an idle connection is used once more, and told; without one it is closed at once', async () => {
  for (const successor of [true, false]) {
    if (!successor) await lab.killWorker('SIGKILL').then(() => restart());
    const seen = connected(WEB);
    seen.socket.write(get('/first'));
    await seen.got(/ok$/);
    const ended = drain(LONG_MS, successor);
    if (successor) {
      // The answer to the query comes after the drain message was handled.
      await lab.stats();
      seen.text = '';
      seen.socket.write(get('/second'));
      await seen.got(/connection: close\r\n[^]*ok$/i);
    }
    await seen.closed;
    assert.equal(seen.error, null);
    assert.equal(await ended, 0);
  }
});

async function restart(): Promise<void> {
  await lab.startWorker('all');
  const target = [{ servicePort: 80, targetPort: 8080 }];
  await lab.mesh([
    workload(a, { app: 'a' }),
    workload(b, { app: 'b' }, { 'default/web': target }),
    service('web', WEB, 80, 'http'),
  ]);
  for (const pod of [a, b]) await lab.listen(pod);
}

test('an answer that has begun before the drain cannot say close: its connection waits for one more request', async () => {
  let answer: Socket | null = null;
  onServer = (socket) => {
    socket.once('data', () => {
      answer = socket;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no');
      socket.on('data', () => socket.write(OK));
    });
  };
  const seen = connected(WEB);
  seen.socket.write(get());
  await seen.got(/\r\n\r\no$/);
  const ended = drain(LONG_MS, true);
  await lab.stats();
  (answer as unknown as Socket).write('k');
  await seen.got(/ok$/);
  assert.doesNotMatch(seen.text, /connection: close/i);
  seen.text = '';
  seen.socket.write(get('/next'));
  await seen.got(/connection: close\r\n[^]*ok$/i);
  assert.equal(await ended, 0);
});

test('a relay lives on, and ends with its ends; its worker with it', async () => {
  onServer = (socket) => {
    socket.on('data', (chunk) => socket.write(chunk));
    socket.on('end', () => socket.end());
  };
  const seen = connected(RAW);
  seen.socket.write('one ');
  await seen.got(/one /);
  const ended = drain(LONG_MS, true);
  assert.equal((await lab.stats()).counters['connections'], 1);
  seen.socket.write('two');
  await seen.got(/one two/);
  seen.socket.end();
  await seen.closed;
  assert.equal(seen.error, null);
  assert.equal(await ended, 0);
});

test('at the deadline what is in flight is reset, and the access log says why; what is idle gets FIN', async () => {
  onServer = (socket) => {
    socket.on('data', (chunk) => {
      const text = chunk.toString();
      if (text.includes('/slow')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf');
      else socket.write(text.startsWith('GET') ? OK : chunk);
    });
  };
  const [idle, relay, slow] = [connected(WEB), connected(RAW), connected(WEB)];
  idle.socket.write(get('/'));
  await idle.got(/ok$/);
  relay.socket.write('hello');
  await relay.got(/hello/);
  slow.socket.write(get('/slow'));
  await slow.got(/half$/);
  assert.equal(await drain(200, true), 0);
  await Promise.all([idle.closed, relay.closed, slow.closed]);
  assert.deepEqual([idle.error, relay.error, slow.error], [null, 'ECONNRESET', 'ECONNRESET']);
  const reasons = lab.accessLines.map((line) => JSON.parse(line) as { protocol: string; reason: string | null });
  assert.deepEqual(
    reasons
      .filter(({ reason }) => reason !== null)
      .map(({ protocol, reason }) => [protocol, reason])
      .sort(),
    [
      ['http', 'DRAIN_DEADLINE'],
      ['tcp', 'DRAIN_DEADLINE'],
    ],
  );
});
