/** What routes do beside choosing a backend, HTTP/1.1, through a real worker between captured pods: octets as each end sees them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { until } from '../harness/hang.ts';
import type { HttpRouteRule } from '../../mesh/route-model.ts';
import { limits } from '../../agent/limits.ts';
import { DEFAULT_SETTINGS } from '../../mesh/settings.ts';
import { backend, NO_TIMEOUTS, prefix, rule, setHeaders } from '../harness/route-rules.ts';
import { httpRoute, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.10';
const PORT = 80;
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
/** What each pod's server has read, connection by connection. */
const read = new Map<string, string[]>();
let respond: (socket: Socket, pod: string, head: string) => void;

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const [b, m] = [await lab.addPod('b'), await lab.addPod('m')];
  await lab.mesh([
    service('web', WEB, PORT, 'http'),
    service('shadow', '10.96.0.11', PORT, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: PORT, targetPort: 8080 }] }),
    workload(m, { app: 'm' }, { 'default/shadow': [{ servicePort: PORT, targetPort: 8080 }] }),
  ]);
  await serve('b');
  await serve('m');
});
after(() => lab.stop());
beforeEach(() => {
  read.set('b', []);
  read.set('m', []);
  respond = (socket) => socket.write(OK);
});

async function serve(pod: string): Promise<void> {
  await lab.serve(pod, 8080, (socket) => {
    let at = -1;
    let seen: string[] = [];
    let open = '';
    socket.on('data', (chunk) => {
      const connections = read.get(pod) as string[];
      if (connections !== seen) {
        seen = connections;
        at = connections.push('') - 1;
      }
      connections[at] += chunk.toString('latin1');
      open += chunk.toString('latin1');
      for (;;) {
        const end = open.indexOf('\r\n\r\n') + 4;
        const head = open.slice(0, end);
        const isChunked = /transfer-encoding: chunked/i.test(head);
        const chunked = isChunked ? open.indexOf('0\r\n\r\n', end) + 5 - end : 0;
        const length = isChunked ? chunked : Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
        if (end < 4 || open.length < end + length || (isChunked && chunked < 5)) return;
        open = open.slice(end + length);
        respond(socket, pod, head);
      }
    });
    socket.on('end', () => socket.end());
  });
}

async function routes(rules: readonly HttpRouteRule[]): Promise<void> {
  await lab.mesh([httpRoute('routes', 'web', rules)]);
}

const isWhole = (text: string): boolean => {
  const end = text.indexOf('\r\n\r\n') + 4;
  return end >= 4 && text.length >= end + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
};

function ask(request: string): Promise<string> {
  return lab.exchange('a', WEB, PORT, request, isWhole);
}

const get = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nHost: web\r\n${fields}\r\n`;

/** How a connection ends. */
function closed(socket: Socket): Promise<'reset' | 'ended'> {
  return new Promise((resolve) => {
    socket.on('error', () => resolve('reset'));
    socket.on('close', () => resolve('ended'));
  });
}

async function counter(name: string): Promise<number> {
  const { bounds, counters } = await lab.stats();
  return counters[name] ?? bounds[name] ?? 0;
}

describe('answers of the route itself', () => {
  test('a redirect says where to, keeps the query, and the connection goes on', async () => {
    const redirect = {
      type: 'requestRedirect',
      scheme: 'https',
      hostname: 'example.com',
      port: 'scheme',
      path: { type: 'prefix', value: '/new' },
      statusCode: 301,
    } as const;
    await routes([
      rule({ matches: [prefix('/old')], filters: [redirect] }),
      rule({ backends: [backend('web', PORT)] }),
    ]);
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(get('/old/x?q=1') + get('/other'));
    await until(() => text.endsWith('ok'));
    socket.destroy();
    const location = 'https://example.com/new/x?q=1';
    assert.equal(text, `HTTP/1.1 301 Moved Permanently\r\nlocation: ${location}\r\ncontent-length: 0\r\n\r\n${OK}`);
    assert.deepEqual(read.get('b'), [get('/other')]);
  });

  test('a direct response has its body in UTF-8, and HEAD its length only', async () => {
    await routes([rule({ directResponse: { status: 418, body: 'ü teapot' } })]);
    const text = await ask(get('/'));
    assert.match(text, /^HTTP\/1.1 418 I'm a teapot\r\n/);
    assert.match(text, /\r\ncontent-length: 9\r\n[^]*x-weir-reason: DIRECT_RESPONSE\r\n/);
    assert.ok(text.endsWith(Buffer.from('\r\n\r\nü teapot').toString('latin1')));
    const head = await lab.exchange('a', WEB, PORT, get('/').replace('GET', 'HEAD'), (seen) =>
      seen.endsWith('\r\n\r\n'),
    );
    assert.match(head, /content-length: 9\r\n/);
    assert.ok(head.endsWith('\r\n\r\n'));
    assert.deepEqual(read.get('b'), []);
  });

  test('a direct response to a request whose body is still coming ends the connection after it', async () => {
    await routes([rule({ directResponse: { status: 200, body: null } })]);
    const request = 'POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\nbegin';
    const text = await lab.exchange('a', WEB, PORT, request);
    assert.equal(text, 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
  });

  test('an injected abort answers instead of the backend', async () => {
    const abort = { perMillion: 1_000_000, status: 555, grpcStatus: null };
    await routes([rule({ fault: { delay: null, abort }, backends: [backend('web', PORT)] })]);
    const text = await ask(get('/'));
    assert.match(text, /^HTTP\/1.1 555 [^]*x-weir-reason: FAULT_ABORT\r\n/);
    assert.deepEqual(read.get('b'), []);
    await until(() => lab.accessLines.some((line) => line.includes('"reason":"FAULT_ABORT"')));
  });
});

describe('expressions that would take too long', () => {
  test('refuse the request, are counted, and the connection goes on', async () => {
    const costly = { name: 'x-a', type: 'regex', value: '(?:a?){300}b(?:a|b){300}', invert: true } as const;
    await routes([
      rule({ matches: [{ ...prefix('/'), headers: [costly] }], backends: [backend('web', PORT)] }),
      rule({ backends: [backend('web', PORT)] }),
    ]);
    const counted = await counter('expression_steps');
    const started = performance.now();
    const answer = await ask(get('/', `x-a: ${'a'.repeat(20_000)}\r\n`));
    assert.match(answer, /^HTTP\/1\.1 431 [^]*x-weir-reason: EXPRESSION_LIMIT\r\n/i);
    assert.ok(performance.now() - started < 100);
    assert.equal(await counter('expression_steps'), counted + 1);
    assert.equal(read.get('b')?.length, 0);
    assert.equal(await ask(get('/', 'x-a: a\r\n')), OK);
  });
});

describe('CORS', () => {
  const cors = {
    type: 'cors',
    allowOrigins: [{ type: 'exact', value: 'https://app.example' }],
    allowMethods: ['GET', 'PUT'],
    allowHeaders: ['x-a'],
    exposeHeaders: ['x-b'],
    allowCredentials: true,
    maxAgeS: 600,
    unmatchedPreflights: 'forward',
  } as const;
  const preflight = (origin: string): string =>
    `OPTIONS /p HTTP/1.1\r\nHost: web\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n`;

  test('a preflight from an allowed origin is answered here, from another it is the backend’s', async () => {
    await routes([rule({ filters: [cors], backends: [backend('web', PORT)] })]);
    const answered = await ask(preflight('https://app.example'));
    assert.match(answered, /^HTTP\/1.1 20[04] /);
    assert.match(answered, /\r\naccess-control-allow-origin: https:\/\/app.example\r\n/);
    assert.equal(answered.match(/access-control-allow-origin/g)?.length, 1);
    assert.deepEqual(read.get('b'), []);
    assert.equal(await ask(preflight('https://evil.example')), OK);
    assert.deepEqual(read.get('b'), [preflight('https://evil.example')]);
  });

  test('answers of the backend and of weir say what the origin may read', async () => {
    await routes([rule({ filters: [cors], backends: [backend('web', PORT), backend('none', PORT)].slice(0, 1) })]);
    respond = (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: accept\r\ncontent-length: 2\r\n\r\nok');
    const text = await ask(get('/', 'Origin: https://app.example\r\n'));
    assert.equal(/access-control-allow-origin: (.*)\r\n/i.exec(text)?.[1], 'https://app.example');
    assert.equal(text.match(/access-control-allow-origin/gi)?.length, 1);
    assert.match(text, /\r\nVary: accept\r\n/);
    assert.match(text, /\r\naccess-control-expose-headers: x-b\r\n/i);
    await lab.mesh([], [{ kind: 'service', key: 'default/shadow' }]);
    const other = await ask(get('/', 'Origin: https://evil.example\r\n'));
    assert.match(other, /Access-Control-Allow-Origin: \*\r\n/);
    await lab.mesh([service('shadow', '10.96.0.11', PORT, 'http')]);
  });
});

describe('rewrites', () => {
  const rewrite = {
    type: 'urlRewrite',
    hostname: 'inner.example',
    path: { type: 'prefix', value: '/inner' },
  } as const;

  test('the endpoint reads the new path and host, the query and all else as they came', async () => {
    await routes([
      rule({
        matches: [prefix('/outer')],
        filters: [rewrite, setHeaders('request', [{ name: 'x-set', value: '1' }])],
        backends: [backend('web', PORT)],
      }),
    ]);
    const request =
      'PUT /outer/./a%2Fb?q=/outer&r=%41 HTTP/1.1\r\nHost: Web:80\r\nX-Odd:  v \r\nContent-Length: 4\r\n\r\nbody';
    assert.equal(await ask(request), OK);
    const expected =
      'PUT /inner/a%2Fb?q=/outer&r=%41 HTTP/1.1\r\nHost: inner.example\r\nX-Odd:  v \r\nContent-Length: 4\r\nx-set: 1\r\n\r\nbody';
    assert.deepEqual(read.get('b'), [expected]);
  });

  test('policy judges what is forwarded, at once and when it changes', async () => {
    await routes([rule({ matches: [prefix('/outer')], filters: [rewrite], backends: [backend('web', PORT)] })]);
    const only = (paths: readonly string[], hosts: readonly string[]) =>
      lab.mesh([policy('only', 'ALLOW', { app: 'b' }, [{ to: [{ paths, hosts }] }])]);
    await only(['/inner/*'], ['inner.example']);
    assert.equal(await ask(get('/outer/x')), OK);
    await only(['/outer/*'], []);
    assert.match(await ask(get('/outer/x')), /^HTTP\/1.1 403 [^]*RBAC_DENIED/);
    await only(['/inner/*'], []);
    // One in flight is judged again by what was forwarded.
    let waiting: Socket | null = null;
    respond = (socket) => (waiting = socket);
    const socket = lab.dial('a', WEB, PORT);
    socket.write(get('/outer/x'));
    await until(() => waiting !== null);
    await only(['/inner/*', '/more'], []);
    (waiting as Socket | null)?.write(OK);
    assert.equal(String((await once(socket, 'data'))[0]), OK);
    waiting = null;
    socket.write(get('/outer/y'));
    await until(() => waiting !== null);
    const ended = closed(socket);
    await only(['/outer/*'], []);
    assert.equal(await ended, 'reset');
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/only' }]);
  });
});

describe('timeouts', () => {
  test('an endpoint that does not answer in time: 504, and the connection serves on', async () => {
    await routes([
      rule({
        matches: [prefix('/slow')],
        timeouts: { requestMs: 60, backendRequestMs: null },
        backends: [backend('web', PORT)],
      }),
      rule({ backends: [backend('web', PORT)] }),
    ]);
    respond = (socket, _pod, head) => {
      if (!head.includes('/slow')) socket.write(OK);
    };
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(get('/slow'));
    await until(() => text.includes('REQUEST_TIMEOUT: '));
    assert.match(text, /^HTTP\/1.1 504 Gateway Timeout\r\n[^]*x-weir-reason: REQUEST_TIMEOUT\r\n/);
    socket.write(get('/fast'));
    await until(() => text.endsWith(OK));
    socket.destroy();
    assert.equal(read.get('b')?.length, 2, 'the endpoint’s connection was not used again');
  });

  test('one attempt, while the body is still coming: 504, then the connection ends', async () => {
    const timeouts = { requestMs: 10_000, backendRequestMs: 60 };
    await routes([rule({ timeouts, backends: [backend('web', PORT)] })]);
    const request = 'POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nbegin';
    const text = await lab.exchange('a', WEB, PORT, request);
    assert.match(text, /^HTTP\/1.1 504 [^]*x-weir-reason: UPSTREAM_TIMEOUT\r\n[^]*connection: close\r\n/);
  });

  test('a response that has begun is cut', async () => {
    await routes([rule({ timeouts: { requestMs: 60, backendRequestMs: null }, backends: [backend('web', PORT)] })]);
    respond = (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(get('/'));
    assert.equal(await closed(socket), 'reset');
    assert.ok(text.endsWith('half'));
    await until(() =>
      lab.accessLines.some((line) => line.includes('"reason":"REQUEST_TIMEOUT"') && line.includes('"status":200')),
    );
  });

  test('a request that is answered in time leaves no clock behind for the next', async () => {
    await routes([
      rule({
        matches: [prefix('/timed')],
        timeouts: { requestMs: 500, backendRequestMs: 500 },
        backends: [backend('web', PORT)],
      }),
      rule({ backends: [backend('web', PORT)] }),
    ]);
    let last: Socket | null = null;
    respond = (socket, _pod, head) => {
      if (head.includes('/timed')) socket.write(OK);
      else last = socket;
    };
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(get('/timed'));
    await until(() => text === OK);
    socket.write(get('/untimed'));
    await until(() => last !== null);
    // Longer than what is left of the first one's limit.
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.equal(text, OK);
    (last as Socket | null)?.write(OK);
    await until(() => text === OK + OK);
    socket.destroy();
  });
});

describe('injected delays', () => {
  const delayed = (delayMs: number, abort: HttpRouteRule['fault'] = null): HttpRouteRule =>
    rule({
      fault: { delay: { perMillion: 1_000_000, delayMs }, abort: abort?.abort ?? null },
      backends: [backend('web', PORT)],
    });

  test('hold a request back, body and pipelined requests included, and nothing is lost', async () => {
    await routes([delayed(100)]);
    const body = 'x'.repeat(30_000);
    const post = `POST /1 HTTP/1.1\r\nHost: web\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const begunMs = performance.now();
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.write(post + get('/2'));
    await until(() => text === OK + OK);
    assert.ok(performance.now() - begunMs >= 195, 'both were delayed');
    socket.destroy();
    assert.deepEqual(read.get('b')?.join(''), post + get('/2'));
    const { pods } = await lab.stats();
    assert.equal(pods.find(({ name }) => name === 'a')?.requestsActive, 0);
  });

  test('come before an abort', async () => {
    const abort = { perMillion: 1_000_000, status: 503, grpcStatus: null };
    await routes([delayed(80, { delay: null, abort })]);
    const begunMs = performance.now();
    assert.match(await ask(get('/')), /^HTTP\/1.1 503 [^]*FAULT_ABORT/);
    assert.ok(performance.now() - begunMs >= 75);
  });

  test('end with their client', async () => {
    await routes([delayed(60_000)]);
    const socket = lab.dial('a', WEB, PORT);
    socket.write(get('/'));
    await until(async () => (await counter('delayed_requests')) === 1);
    socket.resetAndDestroy();
    await until(async () => (await counter('delayed_requests')) === 0);
    const { pods } = await lab.stats();
    assert.equal(pods.find(({ name }) => name === 'a')?.requestsActive, 0);
    assert.deepEqual(read.get('b'), []);
  });
});

describe('mirrors', () => {
  const mirror = (perMillion: number) =>
    ({
      type: 'requestMirror',
      backend: { namespace: 'default', name: 'shadow', port: PORT, subset: null },
      valid: true,
      perMillion,
    }) as const;
  const mirrored = (perMillion: number): HttpRouteRule =>
    rule({ filters: [mirror(perMillion)], backends: [backend('web', PORT)], timeouts: NO_TIMEOUTS });
  const shadow = (request: string): string => request.replaceAll('Host: web', 'Host: web-shadow');

  test('get the request as it is forwarded, body included; the client gets the backend’s answer', async () => {
    await routes([mirrored(1_000_000)]);
    respond = (socket, pod) => {
      if (pod === 'b') socket.write(OK);
      else socket.write('HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nnope');
    };
    const plain = get('/1?q');
    const post = 'POST /2 HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello';
    const chunked = 'POST /3 HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    assert.equal(await ask(plain), OK);
    assert.equal(await ask(post), OK);
    await until(() => read.get('m')?.join('').includes('hello') === true);
    const socket = lab.dial('a', WEB, PORT);
    socket.write(chunked.slice(0, -5));
    await until(() => read.get('b')?.join('').endsWith('abc\r\n') === true);
    socket.write(chunked.slice(-5));
    await until(() => read.get('m')?.join('').endsWith('0\r\n\r\n') === true);
    socket.destroy();
    assert.equal(read.get('m')?.join(''), shadow(plain + post + chunked));
    await until(async () => (await counter('mirrors_in_flight')) === 0);
  });

  test('that do not answer, or are not there, cost the request nothing', async () => {
    await routes([mirrored(1_000_000)]);
    respond = (socket, pod) => {
      if (pod === 'b') socket.write(OK);
    };
    assert.equal(await ask(get('/1')), OK);
    await until(() => read.get('m')?.join('') === shadow(get('/1')));
    await lab.mesh([], [{ kind: 'service', key: 'default/shadow' }]);
    assert.equal(await ask(get('/2')), OK);
    await lab.mesh([service('shadow', '10.96.0.11', PORT, 'http')]);
  });

  test('get nothing of a body that is too long, which is counted', async () => {
    await routes([mirrored(1_000_000)]);
    const body = 'x'.repeat(limits.mirrorBodyBytesMax + 1);
    const before = await counter('mirrorBodyBytesMax');
    assert.equal(await ask(`POST / HTTP/1.1\r\nHost: web\r\nContent-Length: ${body.length}\r\n\r\n${body}`), OK);
    assert.equal(await counter('mirrorBodyBytesMax'), before + 1);
    assert.deepEqual(read.get('m'), []);
    const { pods } = await lab.stats();
    assert.equal(pods.find(({ name }) => name === 'a')?.bufferedBytes, 0);
  });

  test('are judged by the policy of their own destination', async () => {
    await routes([mirrored(1_000_000)]);
    await lab.mesh([policy('closed', 'ALLOW', { app: 'm' }, [{ to: [{ paths: ['/open'] }] }])]);
    const before = await counter('mirror_denied');
    assert.equal(await ask(get('/secret')), OK);
    assert.equal(await counter('mirror_denied'), before + 1);
    assert.equal(await ask(get('/open')), OK);
    await until(() => read.get('m')?.join('') === shadow(get('/open')));
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/closed' }]);
  });

  test('of no request at all, when none of a million is asked for', async () => {
    await routes([mirrored(0)]);
    for (let i = 0; i < 5; i++) assert.equal(await ask(get(`/${i}`)), OK);
    assert.deepEqual(read.get('m'), []);
  });
});

describe('what the mesh and the client say', () => {
  test('paths are made normal as the settings ask, from one request to the next', async () => {
    const mode = (pathNormalization: (typeof DEFAULT_SETTINGS)['pathNormalization']) =>
      lab.mesh([{ ...DEFAULT_SETTINGS, pathNormalization }]);
    await routes([rule({ backends: [backend('web', PORT)] })]);
    const raw = '/a//b%2Fc/./d';
    const socket = lab.dial('a', WEB, PORT);
    for (const [name, path] of [
      ['NONE', raw],
      ['BASE', '/a//b%2Fc/d'],
      ['MERGE_SLASHES', '/a/b%2Fc/d'],
      ['DECODE_AND_MERGE_SLASHES', '/a/b/c/d'],
      ['BASE', '/a//b%2Fc/d'],
    ] as const) {
      await mode(name);
      read.set('b', []);
      socket.write(get(raw));
      assert.equal(String((await once(socket, 'data'))[0]), OK);
      assert.equal(read.get('b')?.join(''), get(path), name);
    }
    socket.destroy();
    await lab.mesh([], [{ kind: 'meshSettings', key: 'istio-system/istio' }]);
  });

  test('a route that is for other clients is none', async () => {
    const answers = rule({ directResponse: { status: 200, body: 'routed' } });
    const route = httpRoute('routes', 'web', [answers]);
    await lab.mesh([{ ...route, clients: ['elsewhere'] }]);
    assert.equal(await ask(get('/')), OK);
    await lab.mesh([{ ...route, clients: ['default'] }]);
    assert.match(await ask(get('/')), /routed$/);
  });
});

describe('what is kept of requests', () => {
  test('a refusal can be found by its id, headers included, credentials left out', async () => {
    await routes([rule({ matches: [prefix('/there')], backends: [backend('web', PORT)] })]);
    const text = await ask(get('/nowhere?q=1', 'X-Who: me\r\nAuthorization: Bearer secret\r\n'));
    const id = /x-weir-request: (\S+)/.exec(text)?.[1] ?? '';
    const [found] = await lab.requests(id);
    assert.ok(found !== undefined);
    assert.deepEqual(
      [found.status, found.reason, found.method, found.host, found.path, found.query, found.sourcePod],
      [404, 'NO_ROUTE', 'GET', 'web', '/nowhere', 'q=1', 'default/a'],
    );
    assert.deepEqual(found.headers, [
      ['host', 'web'],
      ['x-who', 'me'],
      ['authorization', '(not kept)'],
    ]);
    await until(() => lab.accessLines.some((line) => line.includes(`"id":"${id}"`)));
  });
});
