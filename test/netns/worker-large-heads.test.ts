/** Large heads that come in parts, on many connections at once: their octets wait in buffers that are used again, and are never mixed up. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { service, WorkerLab, workload } from '../harness/worker-lab.ts';

const VIP = '10.96.0.10';
const CONNECTIONS = 24;
const REQUESTS = 6;

let lab: WorkerLab;

before(async () => {
  lab = await WorkerLab.start('errors');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  // Answers each head with its digest.
  await lab.serve('b', 8080, (socket) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n${digest(text.slice(0, end + 4))}`);
        text = text.slice(end + 4);
      }
    });
  });
});
after(() => lab.stop());

function digest(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex');
}

/** Deterministic, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function head(connection: number, index: number, next: () => number): string {
  let text = `GET /${connection}/${index} HTTP/1.1\r\nHost: web\r\n`;
  const octets = [300, 3_000, 6_000, 15_000, 30_000, 46_000][Math.floor(next() * 6)] as number;
  for (let field = 0; text.length < octets; field++) {
    text += `X-${connection}-${index}-${field}: ${String.fromCharCode(97 + ((connection + field) % 26)).repeat(390)}\r\n`;
  }
  return `${text}\r\n`;
}

async function converse(connection: number): Promise<void> {
  const next = random(connection + 1);
  const heads = Array.from({ length: REQUESTS }, (_, index) => head(connection, index, next));
  const socket: Socket = lab.dial('a', VIP, 80);
  let answers = '';
  const whole = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      answers += chunk.toString('latin1');
      if ([...answers.matchAll(/\r\n\r\n[0-9a-f]{64}/g)].length === REQUESTS) resolve();
    });
    socket.on('close', () => resolve());
  });
  const all = heads.join('');
  for (let at = 0; at < all.length; ) {
    const octets = 1 + Math.floor(next() * 20_000);
    socket.write(all.slice(at, at + octets), 'latin1');
    at += octets;
    if (next() < 0.7) await new Promise((resolve) => setTimeout(resolve, next() * 4));
  }
  await whole;
  socket.destroy();
  const digests = [...answers.matchAll(/\r\n\r\n([0-9a-f]{64})/g)].map((found) => found[1]);
  assert.deepEqual(digests, heads.map(digest), `connection ${connection}`);
}

test('each request arrives as it was sent, whole and in order', async () => {
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => converse(connection)));
});

test('nothing is held when it is over', async () => {
  const held = async (): Promise<number> => {
    const { pods } = await lab.stats();
    return pods.reduce((sum, pod) => sum + pod.bufferedBytes, 0);
  };
  for (let tries = 0; (await held()) > 0 && tries < 500; tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(await held(), 0);
});
