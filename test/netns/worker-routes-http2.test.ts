/** What routes do beside choosing a backend, HTTP/2 and gRPC, through a real worker between captured pods. */
import assert from 'node:assert/strict';
import * as http2 from 'node:http2';
import { after, before, beforeEach, describe, test } from 'node:test';
import { limits } from '../../agent/limits.ts';
import { until } from '../harness/hang.ts';
import type { HttpRouteRule } from '../../mesh/route-model.ts';
import { backend, prefix, rule, setHeaders } from '../harness/route-rules.ts';
import { httpRoute, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.10';
const PORT = 80;
const ALWAYS = 1_000_000;

interface Seen {
  readonly headers: http2.IncomingHttpHeaders;
  body: string;
  trailers: http2.IncomingHttpHeaders;
}

let lab: WorkerLab;
const seen = new Map<string, Seen[]>();
let handle: (stream: http2.ServerHttp2Stream, pod: string) => void;
let client: http2.ClientHttp2Session;

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const [b, m] = [await lab.addPod('b'), await lab.addPod('m')];
  await lab.mesh([
    service('web', WEB, PORT, 'http2'),
    service('shadow', '10.96.0.11', PORT, 'http2'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: PORT, targetPort: 8080 }] }),
    workload(m, { app: 'm' }, { 'default/shadow': [{ servicePort: PORT, targetPort: 8080 }] }),
  ]);
  for (const pod of ['b', 'm']) {
    const server = http2.createServer();
    server.on('stream', (stream, headers) => {
      const request: Seen = { headers, body: '', trailers: {} };
      seen.get(pod)?.push(request);
      stream.on('data', (chunk: Buffer) => (request.body += chunk.toString('latin1')));
      stream.on('trailers', (trailers) => (request.trailers = trailers));
      stream.on('error', () => undefined);
      handle(stream, pod);
    });
    await lab.serve(pod, 8080, (socket) => server.emit('connection', socket));
  }
  client = http2.connect('http://web', { createConnection: () => lab.dial('a', WEB, PORT) });
  client.on('error', () => undefined);
});
after(async () => {
  client.destroy();
  await lab.stop();
});
beforeEach(() => {
  seen.set('b', []);
  seen.set('m', []);
  handle = (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  };
});

async function routes(rules: readonly HttpRouteRule[]): Promise<void> {
  await lab.mesh([httpRoute('routes', 'web', rules)]);
}

interface Answer {
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly rstCode: number;
}

async function ask(headers: http2.OutgoingHttpHeaders, body: string | null = null): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === null });
  let [answered, trailers, text]: [http2.IncomingHttpHeaders, http2.IncomingHttpHeaders, string] = [{}, {}, ''];
  stream.on('response', (received) => (answered = received));
  stream.on('trailers', (received) => (trailers = received));
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  if (body !== null) stream.end(body);
  await new Promise((resolve) => stream.on('close', resolve));
  return { headers: answered, trailers, body: text, rstCode: stream.rstCode };
}

const call = { ':method': 'POST', ':path': '/pkg.Service/Call', 'content-type': 'application/grpc', te: 'trailers' };

async function counter(name: string): Promise<number> {
  const { bounds, counters } = await lab.stats();
  return counters[name] ?? bounds[name] ?? 0;
}

async function inFlight(): Promise<number | undefined> {
  const { pods } = await lab.stats();
  return pods.find(({ name }) => name === 'a')?.requestsActive;
}

describe('answers of the route itself', () => {
  test('a redirect', async () => {
    const redirect = {
      type: 'requestRedirect',
      scheme: null,
      hostname: 'example.com',
      port: 8443,
      path: null,
    } as const;
    await routes([rule({ filters: [{ ...redirect, statusCode: 302 }] })]);
    const { headers, body } = await ask({ ':path': '/x?q' });
    assert.deepEqual([headers[':status'], headers.location, body], [302, 'http://example.com:8443/x?q', '']);
  });

  test('a direct response, with its body', async () => {
    await routes([rule({ directResponse: { status: 503, body: 'ü' } })]);
    const { headers, body } = await ask({ ':path': '/' });
    assert.deepEqual([headers[':status'], headers['content-length'], body.length], [503, '2', 2]);
    assert.equal(headers['x-weir-reason'], 'DIRECT_RESPONSE');
    const head = await ask({ ':path': '/', ':method': 'HEAD' });
    assert.deepEqual([head.headers['content-length'], head.body], ['2', '']);
  });

  const ABORTS: readonly (readonly [string, number | null, number | null, string, number])[] = [
    ['a status', 503, null, '14', 503],
    ['a gRPC status', null, 8, '8', 429],
  ];
  for (const [name, status, grpcStatus, grpc, http] of ABORTS) {
    test(`an abort with ${name}, to gRPC and to others`, async () => {
      const abort = { perMillion: ALWAYS, status, grpcStatus };
      await routes([rule({ fault: { delay: null, abort }, backends: [backend('web', PORT)] })]);
      const told = await ask(call, '');
      assert.deepEqual([told.headers[':status'], told.headers['grpc-status']], [200, grpc]);
      assert.equal((await ask({ ':path': '/' })).headers[':status'], http);
      assert.deepEqual(seen.get('b'), []);
    });
  }

  test('a preflight', async () => {
    const cors = {
      type: 'cors',
      allowOrigins: [{ type: 'exact', value: 'https://app.example' }],
      allowMethods: ['*'],
      allowHeaders: ['*'],
      exposeHeaders: [],
      allowCredentials: false,
      maxAgeS: null,
      unmatchedPreflights: 'forward',
    } as const;
    await routes([rule({ filters: [cors], backends: [backend('web', PORT)] })]);
    const asked = { ':method': 'OPTIONS', ':path': '/', 'access-control-request-method': 'PUT' };
    const { headers } = await ask({ ...asked, origin: 'https://app.example' });
    assert.equal(headers['access-control-allow-origin'], 'https://app.example');
    assert.equal(seen.get('b')?.length, 0);
    const plain = await ask({ ':path': '/', origin: 'https://app.example' });
    assert.equal(plain.headers['access-control-allow-origin'], 'https://app.example');
    assert.equal(seen.get('b')?.length, 1);
  });
});

describe('rewrites', () => {
  const rewrite = { type: 'urlRewrite', hostname: 'inner.example', path: { type: 'prefix', value: '/inner' } } as const;
  const only = (paths: readonly string[]) => lab.mesh([policy('only', 'ALLOW', { app: 'b' }, [{ to: [{ paths }] }])]);
  const outer = (): HttpRouteRule =>
    rule({
      matches: [prefix('/outer')],
      filters: [rewrite, setHeaders('request', [{ name: 'x-set', value: '1' }])],
      backends: [backend('web', PORT)],
    });

  test('the endpoint reads the new path and authority, the query as it came', async () => {
    await routes([outer()]);
    await ask({ ':path': '/outer/./a%2Fb?q=/outer&r=%41', 'x-a': '1' });
    const [{ headers }] = seen.get('b') as [Seen];
    assert.deepEqual(
      [headers[':path'], headers[':authority'], headers['x-set'], headers['x-a']],
      ['/inner/a%2Fb?q=/outer&r=%41', 'inner.example', '1', '1'],
    );
  });

  test('policy judges what is forwarded, at once and when it changes', async () => {
    await routes([outer()]);
    await only(['/inner/*']);
    assert.equal((await ask({ ':path': '/outer/x' })).headers[':status'], 200);
    await only(['/outer/*']);
    assert.equal((await ask({ ':path': '/outer/x' })).headers[':status'], 403);
    await only(['/inner/*']);
    const waiting: http2.ServerHttp2Stream[] = [];
    handle = (stream) => waiting.push(stream);
    const pending = ask({ ':path': '/outer/y' });
    await until(() => waiting.length === 1);
    await only(['/inner/*', '/more']);
    waiting[0]?.respond({ ':status': 200 });
    waiting[0]?.end('ok');
    assert.equal((await pending).body, 'ok');
    const cut = ask({ ':path': '/outer/z' });
    await until(() => waiting.length === 2);
    await only(['/outer/*']);
    assert.equal((await cut).headers[':status'], 403);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/only' }]);
  });
});

describe('timeouts', () => {
  const timed = (requestMs: number | null, backendRequestMs: number | null): HttpRouteRule =>
    rule({ timeouts: { requestMs, backendRequestMs }, backends: [backend('web', PORT)] });

  test('an endpoint that does not answer: 504; DEADLINE_EXCEEDED to gRPC; the endpoint’s stream is reset', async () => {
    await routes([timed(60, null)]);
    const resets: number[] = [];
    handle = (stream) => stream.on('close', () => resets.push(stream.rstCode));
    const plain = await ask({ ':path': '/' });
    assert.deepEqual([plain.headers[':status'], plain.headers['x-weir-reason']], [504, 'REQUEST_TIMEOUT']);
    const grpc = await ask(call, 'body');
    assert.deepEqual([grpc.headers[':status'], grpc.headers['grpc-status']], [200, '4']);
    await until(() => resets.length === 2);
    assert.equal(await inFlight(), 0);
  });

  test('one attempt, while the body is still coming', async () => {
    await routes([timed(null, 60)]);
    handle = () => undefined;
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    stream.on('error', () => undefined);
    stream.write('begin');
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.on('response', resolve));
    assert.deepEqual([headers[':status'], headers['x-weir-reason']], [504, 'UPSTREAM_TIMEOUT']);
    stream.resume();
    await new Promise((resolve) => stream.on('close', resolve));
    assert.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR);
  });

  test('a response that has begun: gRPC is told in trailers, others are reset', async () => {
    await routes([timed(60, null)]);
    handle = (stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      stream.write('half');
    };
    const grpc = await ask(call, '');
    assert.deepEqual([grpc.body, grpc.trailers['grpc-status']], ['half', '4']);
    const plain = await ask({ ':path': '/' });
    assert.deepEqual([plain.body, plain.rstCode], ['half', http2.constants.NGHTTP2_CANCEL]);
  });
});

describe('injected delays', () => {
  const delayed = (delayMs: number): HttpRouteRule =>
    rule({ fault: { delay: { perMillion: ALWAYS, delayMs }, abort: null }, backends: [backend('web', PORT)] });

  test('hold a request back with its body and trailers, and others beside it each for itself', async () => {
    await routes([delayed(100)]);
    const begunMs = performance.now();
    const body = 'x'.repeat(20_000);
    const stream = client.request({ ...call }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
    stream.on('error', () => undefined);
    stream.end(body);
    stream.resume();
    const others = Array.from({ length: 5 }, (_, i) => ask({ ':path': `/${i}` }));
    await new Promise((resolve) => stream.on('close', resolve));
    for (const { body: answer } of await Promise.all(others)) assert.equal(answer, 'ok');
    const tookMs = performance.now() - begunMs;
    assert.ok(tookMs >= 95, `${tookMs} ms`);
    const whole = seen.get('b')?.find(({ headers }) => headers[':path'] === call[':path']);
    assert.deepEqual([whole?.body, whole?.trailers['x-end']], [body, 'yes']);
    assert.equal(await inFlight(), 0);
  });

  test('end with their request', async () => {
    await routes([delayed(60_000)]);
    const stream = client.request({ ':path': '/' });
    stream.on('error', () => undefined);
    await until(async () => (await counter('delayed_requests')) === 1);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await until(async () => (await counter('delayed_requests')) === 0);
    assert.equal(await inFlight(), 0);
    assert.deepEqual(seen.get('b'), []);
  });
});

describe('mirrors', () => {
  const mirrored = (service_: string): HttpRouteRule =>
    rule({
      filters: [
        {
          type: 'requestMirror',
          backend: { namespace: 'default', name: service_, port: PORT, subset: null },
          valid: true,
          perMillion: ALWAYS,
        },
      ],
      backends: [backend('web', PORT)],
    });

  test('get fields, body and trailers; the client gets the backend’s answer', async () => {
    await routes([mirrored('shadow')]);
    handle = (stream, pod) => {
      stream.respond({ ':status': pod === 'b' ? 200 : 500 });
      stream.end(pod === 'b' ? 'ok' : 'nope');
    };
    assert.equal((await ask({ ':path': '/1?q', 'x-a': '1' })).body, 'ok');
    const stream = client.request({ ...call }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
    stream.end('hello');
    stream.resume();
    await new Promise((resolve) => stream.on('close', resolve));
    await until(() => seen.get('m')?.length === 2 && seen.get('m')?.[1]?.trailers['x-end'] === 'yes');
    const [first, second] = seen.get('m') as [Seen, Seen];
    assert.deepEqual(
      [first.headers[':path'], first.headers[':authority'], first.headers['x-a']],
      ['/1?q', 'web-shadow:80', '1'],
    );
    assert.deepEqual([second.headers[':path'], second.body], [call[':path'], 'hello']);
    await until(async () => (await counter('mirrors_in_flight')) === 0);
    assert.equal(await inFlight(), 0);
  });

  for (const end of ['trailers', 'data'] as const) {
    test(`are sent also when the endpoint has answered before the request ended, here with its ${end}`, async () => {
      await routes([mirrored('shadow')]);
      const stream = client.request({ ...call }, { waitForTrailers: end === 'trailers' });
      const trailersDue = new Promise((resolve) => stream.on('wantTrailers', resolve));
      stream.write('hel');
      if (end === 'trailers') stream.end('lo');
      stream.resume();
      await new Promise((resolve) => stream.on('end', resolve));
      assert.deepEqual(seen.get('m'), []);
      if (end === 'data') stream.end('lo');
      else void trailersDue.then(() => stream.sendTrailers({ 'x-end': 'yes' }));
      const last = end === 'data' ? undefined : 'yes';
      await until(() => seen.get('m')?.[0]?.body === 'hello' && seen.get('m')?.[0]?.trailers['x-end'] === last);
      await until(async () => (await counter('mirrors_in_flight')) === 0);
      assert.equal(await inFlight(), 0);
    });
  }

  test('get nothing of a body that is too long, which is counted', async () => {
    await routes([mirrored('shadow')]);
    handle = (stream) => {
      stream.on('end', () => {
        stream.respond({ ':status': 200 });
        stream.end('ok');
      });
    };
    const before_ = await counter('mirrorBodyBytesMax');
    const body = 'x'.repeat(limits.mirrorBodyBytesMax + 1);
    assert.equal((await ask({ ':path': '/', ':method': 'POST' }, body)).body, 'ok');
    assert.equal(await counter('mirrorBodyBytesMax'), before_ + 1);
    assert.deepEqual(seen.get('m'), []);
  });
});
