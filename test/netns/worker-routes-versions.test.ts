/** Actions of routes where a request changes its version of HTTP on its way: both codecs decide and forward alike. */
import assert from 'node:assert/strict';
import * as http2 from 'node:http2';
import { after, before, beforeEach, describe, test } from 'node:test';
import { until } from '../harness/hang.ts';
import { backend, rule } from '../harness/route-rules.ts';
import { httpRoute, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const PLAIN = '10.96.0.10';
const MULTI = '10.96.0.11';
const PORT = 80;

let lab: WorkerLab;
/** What each endpoint has been asked, as `METHOD host path body`, first line of its version before it. */
const asked = new Map<'plain' | 'multi', string[]>();
let answers = true;

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const [b, c] = [await lab.addPod('b'), await lab.addPod('c')];
  await lab.mesh([
    service('plain', PLAIN, PORT, 'http'),
    service('multi', MULTI, PORT, 'http2'),
    workload(b, { app: 'b' }, { 'default/plain': [{ servicePort: PORT, targetPort: 8080 }] }),
    workload(c, { app: 'c' }, { 'default/multi': [{ servicePort: PORT, targetPort: 8080 }] }),
  ]);
  await lab.serve('b', 8080, (socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n') + 4;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (end < 4 || text.length < end + length) return;
      const [method, path] = text.split(' ');
      const host = /host: (.*)\r\n/i.exec(text)?.[1];
      asked.get('plain')?.push(`${method} ${host} ${path} ${text.slice(end, end + length)}`);
      text = text.slice(end + length);
      if (answers) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    let body = '';
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
    stream.on('end', () => {
      asked.get('multi')?.push(`${headers[':method']} ${headers[':authority']} ${headers[':path']} ${body}`);
      if (!answers) return;
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  await lab.serve('c', 8080, (socket) => server.emit('connection', socket));
});
after(() => lab.stop());
beforeEach(() => {
  asked.set('plain', []);
  asked.set('multi', []);
  answers = true;
});

/** `status body` of a request in either version. */
async function ask(version: 1 | 2, ip: string, path: string, body: string): Promise<string> {
  if (version === 1) {
    const head = `POST ${path} HTTP/1.1\r\nHost: web\r\nContent-Length: ${body.length}\r\n\r\n`;
    const isWhole = (text: string): boolean =>
      /(ok|\n|0\r\n\r\n)$/.test(text.split('\r\n\r\n').slice(1).join('\r\n\r\n'));
    const text = await lab.exchange('a', ip, PORT, head + body, isWhole);
    return `${text.split(' ')[1]} ${/x-weir-reason: (\S+)/.exec(text)?.[1] ?? /ok/.exec(text)?.[0]}`;
  }
  const session = http2.connect('http://web', { createConnection: () => lab.dial('a', ip, PORT) });
  session.on('error', () => undefined);
  const announced = { 'content-length': body.length };
  const stream = session.request({ ':method': 'POST', ':path': path, ':authority': 'web', ...announced });
  let [headers, text]: [http2.IncomingHttpHeaders, string] = [{}, ''];
  stream.on('response', (received) => (headers = received));
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  stream.end(body);
  await new Promise((resolve) => stream.on('close', resolve));
  session.destroy();
  return `${String(headers[':status'])} ${String(headers['x-weir-reason'] ?? text)}`;
}

const rewrite = { type: 'urlRewrite', hostname: 'inner', path: { type: 'full', value: '/inner' } } as const;
const mirror = (name: string) =>
  ({
    type: 'requestMirror',
    backend: { namespace: 'default', name, port: PORT, subset: null },
    valid: true,
    perMillion: 1_000_000,
  }) as const;

for (const version of [1, 2] as const) {
  // A route of the one Service leads to the other.
  for (const [parent, ip, to] of [
    ['plain', PLAIN, 'multi'],
    ['multi', MULTI, 'plain'],
  ] as const) {
    describe(`HTTP/${version} sent on to ${to}`, () => {
      test('is rewritten, and mirrored in the version of the mirror', async () => {
        await lab.mesh([
          httpRoute('route', parent, [rule({ filters: [rewrite, mirror(parent)], backends: [backend(to, PORT)] })]),
        ]);
        assert.equal(await ask(version, ip, '/outer?q=1', 'body'), '200 ok');
        await until(() => asked.get(parent)?.length === 1);
        assert.deepEqual(asked.get(to), ['POST inner /inner?q=1 body']);
        assert.deepEqual(asked.get(parent), ['POST inner-shadow /inner?q=1 body']);
      });

      test('is held back, and ends when its time is over', async () => {
        const timeouts = { requestMs: 60, backendRequestMs: null };
        const fault = { delay: { perMillion: 1_000_000, delayMs: 40 }, abort: null };
        await lab.mesh([httpRoute('route', parent, [rule({ timeouts, fault, backends: [backend(to, PORT)] })])]);
        assert.equal(await ask(version, ip, '/', 'body'), '200 ok');
        answers = false;
        assert.equal(await ask(version, ip, '/', 'body'), '504 REQUEST_TIMEOUT');
        assert.deepEqual(asked.get(to)?.length, 2);
      });
    });
  }
}
