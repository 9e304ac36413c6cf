/** What a client's last answer costs on the wire: its octets and the end of the connection come in one segment (tcp(7), MSG_MORE). */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const VIP = '10.96.0.10';

let lab: WorkerLab;

before(async () => {
  lab = await WorkerLab.start('errors');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
    policy('p', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/denied'] }] }]),
  ]);
  await lab.serve('b', 8080, (socket) => {
    socket.on('data', (chunk) => {
      const answer = chunk.includes('/chunked')
        ? 'transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'
        : 'content-length: 2\r\n\r\nok';
      socket.write(`HTTP/1.1 200 OK\r\n${answer}`);
    });
  });
});
after(() => lab.stop());

/** One request on a new connection: the answer, whether the connection ended with it, and the segments that the client got. */
async function ask(path: string, connection: string): Promise<{ answer: string; ended: boolean; segments: number }> {
  const socket: Socket = lab.dial('a', VIP, 80);
  let [answer, ended] = ['', false];
  const whole = new Promise<void>((resolve) => {
    socket.on('end', () => {
      ended = true;
      resolve();
    });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1');
      if (connection === 'keep-alive' && isWhole(answer)) resolve();
    });
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: web\r\nConnection: ${connection}\r\n\r\n`);
  await whole;
  const { output } = await lab.exec('a', ['ss', '-tinH', 'dst', VIP]);
  socket.destroy();
  return { answer, ended, segments: Number(/ segs_in:(\d+)/.exec(output)?.[1]) };
}

function isWhole(answer: string): boolean {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  return length === undefined ? answer.endsWith('0\r\n\r\n') : body.length >= Number(length);
}

for (const [what, path, status] of [
  ['a forwarded answer', '/', 200],
  ['a chunked one', '/chunked', 200],
  ['an answer of weir’s own', '/denied', 403],
] as const) {
  test(`${what} that ends the connection takes no segment more than one that does not`, async () => {
    const kept = await ask(path, 'keep-alive');
    const closed = await ask(path, 'close');
    assert.deepEqual([kept.ended, closed.ended], [false, true]);
    for (const { answer } of [kept, closed]) assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `));
    assert.ok(kept.segments > 0, `ss shows no segments: ${kept.segments}`);
    assert.equal(closed.segments, kept.segments);
  });
}
