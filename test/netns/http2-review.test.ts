/** Regressions of HTTP/2 on the data path that a review found: whole answers, bodies where none may be, what is sent again, what stays. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { DEFAULT_CAPS } from '../../agent/ipc/caps.ts';
import type { HeaderModifier, HttpRouteRule } from '../../mesh/model.ts';
import { request } from '../harness/http2-case.ts';
import { Http2Endpoint, type ReceivedRequest } from '../harness/http2-endpoint.ts';
import * as h2 from '../harness/http2-frames.ts';
import { httpRoute, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.60';
const MIXED = '10.96.0.61';
const NO_ERROR = 0;
const MORE = h2.END_HEADERS;
const EVIL = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';

type Answer = (endpoint: Http2Endpoint, request: ReceivedRequest) => void;

let lab: WorkerLab;
let endpoints: Http2Endpoint[] = [];
let answer: Answer;
/** What the HTTP/1.1 server in pod c does with octets, and its connections. */
let plain: (socket: Socket, text: string) => void;
let plainSockets: Socket[] = [];

const ok: Answer = (endpoint, { stream }) =>
  endpoint.send(h2.headers(stream, status('200'), MORE), h2.data(stream, 'ok', h2.END_STREAM));

function status(code: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return h2.block([[':status', code], ...more]);
}

function rule(prefix: string, name: string, modifiers: Partial<HeaderModifier>[] = []): HttpRouteRule {
  const none = { type: 'requestHeaderModifier', set: [], add: [], remove: [] } as const;
  return {
    name: null,
    matches: [{ path: { type: 'prefix', value: prefix }, method: null, headers: [], queryParams: [] }],
    filters: modifiers.map((modifier) => ({ ...none, ...modifier })),
    backends: [{ namespace: 'default', name, port: 80, weight: 1, filters: [], valid: true }],
  };
}

async function start(caps = DEFAULT_CAPS): Promise<void> {
  lab = await WorkerLab.start('off', null, caps);
  await lab.addPod('a');
  const b = await lab.addPod('b');
  const c = await lab.addPod('c');
  const large = Array.from({ length: 30 }, (_, i) => ({ name: `x-large-${i}`, value: 'v'.repeat(4_096) }));
  await lab.mesh([
    service('web', WEB, 80, 'http2'),
    service('mixed', MIXED, 80, 'http2'),
    service('plain', '10.96.0.62', 80, 'http'),
    workload(
      b,
      { app: 'b' },
      {
        'default/web': [{ servicePort: 80, targetPort: 8080 }],
        'default/mixed': [{ servicePort: 80, targetPort: 8080 }],
      },
    ),
    workload(c, { app: 'c' }, { 'default/plain': [{ servicePort: 80, targetPort: 8081 }] }),
    httpRoute('web', 'web', [
      rule('/bad-host', 'web', [{ set: [{ name: 'host', value: 'not a host' }] }]),
      rule('/', 'web'),
    ]),
    httpRoute('mixed', 'mixed', [rule('/large', 'plain', [{ add: large }]), rule('/', 'plain')]),
  ]);
  await lab.serve('b', 8080, (socket) => {
    endpoints.push(new Http2Endpoint(socket, (endpoint, received) => answer(endpoint, received)));
  });
  await lab.serve('c', 8081, (socket) => {
    plainSockets.push(socket);
    socket.on('data', (chunk: Buffer) => plain(socket, chunk.toString('latin1')));
    socket.on('end', () => socket.end());
  });
}

function resetHandlers(): void {
  answer = ok;
  plain = (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  for (const endpoint of endpoints) endpoint.close();
  for (const socket of plainSockets) socket.destroy();
  endpoints = [];
  plainSockets = [];
}

/** A client by hand whose handshake is over. */
async function client(ip: string, ...settings: [number, number][]): Promise<h2.Http2Client> {
  const made = new h2.Http2Client(lab.dial('a', ip, 80));
  await made.handshake(...settings);
  return made;
}

interface Response {
  readonly status: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  /** The code of RST_STREAM; −1: ended without. */
  readonly reset: number;
}

/** All that comes on a stream, until it ends. */
async function response(from: h2.Http2Client, stream: number): Promise<Response> {
  let fields = new Map<string, string>();
  let body = '';
  for (;;) {
    const frame = await from.until(`the end of stream ${stream}`, (each) => each.stream === stream);
    if (frame.type === h2.RST_STREAM) {
      return { status: fields.get(':status') ?? '', fields, body, reset: frame.payload.readUInt32BE(0) };
    }
    if (frame.type === h2.HEADERS) fields = new Map(from.fields(frame).map(({ name, value }) => [name, value]));
    if (frame.type === h2.DATA) body += frame.payload.toString('latin1');
    if ((frame.flags & h2.END_STREAM) !== 0) return { status: fields.get(':status') ?? '', fields, body, reset: -1 };
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`${what} did not come to be`);
}

/** One HTTP/1.1 exchange with `web`; all octets until the connection ends or `enough` says so. */
function plainExchange(text: string, enough: (text: string) => boolean): Promise<string> {
  return lab.exchange('a', WEB, 80, text, enough);
}

const whole = (text: string): boolean => /\r\n\r\n(?:.*\n)?(?:ok|0\r\n\r\n)/s.test(text) || /503|502|500/.test(text);

describe('between HTTP/2 and HTTP/2', () => {
  before(() => start());
  after(() => lab.stop());
  beforeEach(resetHandlers);

  test('an answer that is complete but waits for windows is not cut short when its endpoint resets the rest', async () => {
    answer = (endpoint, { stream }) =>
      endpoint.send(
        h2.headers(stream, status('200'), MORE),
        h2.data(stream, 'x'.repeat(100), h2.END_STREAM),
        h2.rstStream(stream, NO_ERROR),
      );
    const from = await client(WEB, [h2.INITIAL_WINDOW_SIZE, 10]);
    from.send(h2.headers(1, h2.block(request('POST')), MORE));
    await from.until('the first octets', (frame) => frame.type === h2.DATA);
    // The endpoint's RST_STREAM has been read when the next answer is here.
    from.send(h2.headers(3, h2.block(request('GET'))), h2.windowUpdate(3, 1_000));
    const other = await response(from, 3);
    from.send(h2.windowUpdate(1, 1_000));
    const rest = await response(from, 1);
    assert.equal(other.body.length, 100);
    assert.equal(rest.body.length, 90);
    assert.equal(rest.reset, -1);
    const reset = await from.until('RST_STREAM', (frame) => frame.type === h2.RST_STREAM);
    assert.deepEqual([reset.stream, reset.payload.readUInt32BE(0)], [1, NO_ERROR]);
    from.destroy();
  });

  for (const [method, code] of [
    ['HEAD', '200'],
    ['GET', '204'],
    ['GET', '304'],
  ] as const) {
    test(`${method}, ${code}: content that may not be there is not passed on`, async () => {
      answer = (endpoint, { stream }) =>
        endpoint.send(h2.headers(stream, status(code), MORE), h2.data(stream, EVIL, h2.END_STREAM));
      const from = await client(WEB);
      from.send(h2.headers(1, h2.block(request(method))));
      const { body, reset } = await response(from, 1);
      assert.equal(body, '');
      assert.ok(reset > 0);
      from.destroy();
      const text = await plainExchange(`${method} / HTTP/1.1\r\nHost: web\r\n\r\n`, (got) => got.includes('evil'));
      assert.doesNotMatch(text, /evil/);
    });
  }

  test('informational responses without end: 502', async () => {
    answer = (endpoint, { stream }) => {
      for (let i = 0; i < 200; i++) endpoint.send(h2.headers(stream, status('103', [['link', '</x>']]), MORE));
    };
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    const seen = await Promise.race([
      from.until('502', (frame) => frame.type === h2.HEADERS && hasStatus(from, frame, '502')),
      until('a flood', () => false).catch(() => null),
    ]);
    assert.ok(seen !== null, 'never answered');
    from.destroy();
    const text = await plainExchange('GET / HTTP/1.1\r\nHost: web\r\n\r\n', (got) => got.includes('502'));
    assert.match(text, /HTTP\/1\.1 502/);
  });

  test('descriptors run out: connections that carry requests stay', async () => {
    let release: () => void = () => undefined;
    answer = (endpoint, received) => {
      release = () => ok(endpoint, received);
    };
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => endpoints.some(({ requests }) => requests.length > 0));
    const pid = lab.workerPid;
    const before = execFileSync('prlimit', ['--pid', String(pid), '--nofile', '--output=SOFT', '--noheadings']);
    const used = Math.max(...readdirSync(`/proc/${pid}/fd`).map(Number)) + 1;
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${used}:`]);
    const more = Array.from({ length: used }, () => lab.dial('a', WEB, 80));
    await until('EMFILE', async () => ((await lab.stats()).counters['accept_emfile'] ?? 0) > 0);
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${before.toString().trim()}:`]);
    for (const socket of more) socket.destroy();
    release();
    const { status: code, body } = await response(from, 1);
    assert.deepEqual([code, body], ['200', 'ok']);
    assert.equal(endpoints.filter(({ requests }) => requests.length > 0).length, 1);
    from.destroy();
  });

  test('a pod that leaves leaves no connection to an endpoint behind', async () => {
    answer = () => undefined;
    const pod = await lab.addPod('e');
    const from = new h2.Http2Client(lab.dial('e', WEB, 80));
    await from.handshake();
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => endpoints.some(({ requests }) => requests.length > 0));
    const gone = lab.wait((message) => message.type === 'podGone' && message.index === pod.index);
    lab.send({ type: 'podRemove', index: pod.index });
    await gone;
    await until('the end of its connections', () => endpoints.every(({ closed }) => closed));
    assert.equal(endpoints.length, 1);
    from.destroy();
  });

  test('a policy that comes later ends a request whose answer is complete but whose body goes on', async () => {
    answer = ok;
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('POST')), MORE));
    assert.equal((await response(from, 1)).body, 'ok');
    const sent = endpoints[0] as Http2Endpoint;
    from.send(h2.data(1, 'first'));
    await until('the first octets', () => sent.frames.some(({ type }) => type === h2.DATA));
    await lab.mesh([policy('late', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/'] }] }])]);
    from.send(h2.data(1, 'second'));
    await until('the end of the request', () => sent.frames.some(({ type }) => type === h2.RST_STREAM));
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/late' }]);
    assert.equal(sent.frames.filter(({ type }) => type === h2.DATA).length, 1);
    from.destroy();
  });

  test('aborted requests of all kinds leave nothing booked and nothing open', async () => {
    const fds = (): number => readdirSync(`/proc/${lab.workerPid}/fd`).length;
    const round = async (): Promise<void> => {
      const seen = await requestsOf('a');
      answer = (endpoint, received) => {
        const { stream, fields } = received;
        const path = fields.get(':path') ?? '';
        if (path === '/half')
          endpoint.send(h2.headers(stream, status('200'), MORE), h2.data(stream, 'x'.repeat(60_000)));
        else if (path === '/reset') endpoint.send(h2.rstStream(stream, h2.CANCEL));
        else if (path === '/close') endpoint.close();
        else if (path === '/early') endpoint.send(h2.headers(stream, status('200')), h2.rstStream(stream, NO_ERROR));
        else if (path !== '/never') ok(endpoint, received);
      };
      const paths = ['/', '/half', '/reset', '/never', '/early', '/close'];
      const clients = await Promise.all([
        client(WEB, [h2.INITIAL_WINDOW_SIZE, 1_000]),
        client(MIXED, [h2.INITIAL_WINDOW_SIZE, 1_000]),
      ]);
      for (const from of clients) {
        paths.forEach((path, i) => {
          const fields = request('POST', [[':path', path]], [':path']);
          const ordered = [
            ...fields.filter(([name]) => name.startsWith(':')),
            ...fields.filter(([n]) => !n.startsWith(':')),
          ];
          from.send(h2.headers(4 * i + 1, h2.block(ordered), MORE), h2.data(4 * i + 1, 'x'.repeat(9_000)));
          from.send(h2.headers(4 * i + 3, h2.block(ordered)));
          if (i % 2 === 0) from.send(h2.rstStream(4 * i + 3, h2.CANCEL));
        });
      }
      const texts = paths.map((path) => {
        const socket = lab.dial('a', WEB, 80);
        socket.write(`POST ${path} HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nhalf`);
        return socket;
      });
      await until('all requests', async () => (await requestsOf('a')) >= seen + 5 * paths.length);
      for (const socket of texts) socket.destroy();
      for (const from of clients) from.destroy();
      await until('nothing in flight', async () => {
        const { counters } = await lab.stats();
        return counters['requests_in_flight'] === 0 && counters['connections'] === 0;
      });
      for (const endpoint of endpoints) endpoint.close();
      for (const socket of plainSockets) socket.destroy();
      endpoints = [];
      plainSockets = [];
    };
    await round();
    await until('the first round closed', async () => (await lab.stats()).counters['buffered_bytes'] === 0);
    const before = fds();
    for (let i = 0; i < 8; i++) await round();
    const names = ['requests_in_flight', 'pending_connections', 'buffered_bytes', 'connections', 'idle_upstreams'];
    await until('everything given back', async () => {
      const { counters } = await lab.stats();
      return names.every((name) => counters[name] === 0);
    });
    await until('descriptors given back', () => fds() <= before);
    const { pods } = await lab.stats();
    for (const { name, connectionsActive, requestsActive, pending, bufferedBytes } of pods) {
      assert.deepEqual([connectionsActive, requestsActive, pending, bufferedBytes], [0, 0, 0, 0], name);
    }
  });
});

async function requestsOf(pod: string): Promise<number> {
  return (await lab.stats()).pods.find(({ name }) => name === pod)?.requests ?? 0;
}

function hasStatus(from: h2.Http2Client, frame: h2.Frame, code: string): boolean {
  return from.fields(frame).some(({ name, value }) => name === ':status' && value === code);
}

describe('from HTTP/1.1 to HTTP/2', () => {
  before(() => start());
  after(() => lab.stop());
  beforeEach(resetHandlers);

  test('a request that cannot be forwarded leaves the connection that it would have gone on alone', async () => {
    const from = await client(WEB);
    answer = () => undefined;
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => endpoints.length === 1 && endpoints[0]?.requests.length === 1);
    const text = await plainExchange('GET /bad-host HTTP/1.1\r\nHost: web\r\n\r\n', (got) =>
      got.includes('BAD_HEADER_EDIT: '),
    );
    assert.match(text, /^HTTP\/1\.1 500 /);
    const [endpoint] = endpoints as [Http2Endpoint];
    ok(endpoint, endpoint.requests[0] as ReceivedRequest);
    assert.equal((await response(from, 1)).body, 'ok');
    const streams = new Set(endpoint.requests.map(({ stream }) => stream));
    const unknown = endpoint.frames.filter(({ type, stream }) => type === h2.RST_STREAM && !streams.has(stream));
    assert.deepEqual(unknown.map(h2.describeFrame), []);
    from.destroy();
  });

  for (const [name, text] of [
    ['GET', 'GET / HTTP/1.1\r\nHost: web\r\n\r\n'],
    ['a short POST', 'POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody'],
  ] as const) {
    test(`${name} that the endpoint's GOAWAY leaves out is sent again`, async () => {
      answer = (endpoint, received) => {
        if (endpoints.indexOf(endpoint) === 0) endpoint.send(h2.goaway(0, NO_ERROR));
        else ok(endpoint, received);
      };
      const got = await plainExchange(text, whole);
      assert.match(got, /^HTTP\/1\.1 200 /);
      if (name !== 'GET') {
        const [, second] = endpoints;
        const sent = second?.frames.filter(({ type }) => type === h2.DATA).map(({ payload }) => payload.toString());
        assert.equal(sent?.join(''), 'body');
      }
    });

    test(`${name} on a connection that breaks is ${name === 'GET' ? 'sent again' : 'not sent again'}`, async () => {
      answer = (endpoint, received) => {
        if (endpoints.indexOf(endpoint) === 0) endpoint.close();
        else ok(endpoint, received);
      };
      const got = await plainExchange(text, whole);
      assert.match(got, name === 'GET' ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 502 /);
      assert.equal(endpoints.length, name === 'GET' ? 2 : 1);
    });
  }

  test('a request that names no host has no authority', async () => {
    await plainExchange('GET / HTTP/1.0\r\n\r\n', whole);
    assert.equal(endpoints[0]?.requests.length, 1);
    assert.equal(endpoints[0]?.requests[0]?.fields.has(':authority'), false);
  });
});

describe('from HTTP/2 to HTTP/1.1', () => {
  before(() => start());
  after(() => lab.stop());
  beforeEach(resetHandlers);

  test('CONNECT is refused, not forwarded as something else', async () => {
    let text = '';
    plain = (_, octets) => {
      text += octets;
    };
    const from = await client(MIXED);
    from.send(
      h2.headers(
        1,
        h2.block([
          [':method', 'CONNECT'],
          [':authority', 'web:80'],
        ]),
        MORE,
      ),
    ); // prettier-ignore
    const { status: code } = await response(from, 1);
    assert.ok(['404', '501'].includes(code), code);
    assert.equal(text, '');
    from.destroy();
  });

  test('an empty :authority does not hide the Host that was judged', async () => {
    let text = '';
    plain = (socket, octets) => {
      text += octets;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    };
    const from = await client(MIXED);
    const fields = request(
      'GET',
      [
        [':authority', ''],
        ['host', 'judged'],
      ],
      [':authority'],
    ); // prettier-ignore
    from.send(h2.headers(1, h2.block(fields)));
    const { status: code, reset } = await response(from, 1);
    assert.ok(code === '400' || reset > 0, `answered ${code}; sent ${JSON.stringify(text)}`);
    assert.equal(text, '');
    from.destroy();
  });

  test('fields that some servers read as lengths are refused as over HTTP/1.1', async () => {
    const from = await client(MIXED);
    let stream = 1;
    for (const [name, value] of [
      ['transfer_encoding', 'chunked'],
      ['content_length', '5'],
    ] as const) {
      // prettier-ignore
      from.send(h2.headers(stream, h2.block(request('GET', [[name, value]]))));
      const { status: code, fields } = await response(from, stream);
      assert.deepEqual([code, fields.get('x-weir-reason')], ['400', 'LOOKALIKE_LENGTH'], name);
      stream += 2;
    }
    assert.equal(plainSockets.length, 0);
    from.destroy();
  });

  test('a head that header modifiers make too large is refused, not cut', async () => {
    let text = '';
    plain = (_, octets) => {
      text += octets;
    };
    const from = await client(MIXED);
    const long = request(
      'GET',
      [
        [':path', '/large'],
        ['x-filling', 'f'.repeat(14_000)],
      ],
      [':path'],
    ); // prettier-ignore
    const ordered = [
      ...long.filter(([name]) => name.startsWith(':')),
      ...long.filter(([name]) => !name.startsWith(':')),
    ];
    from.send(h2.headers(1, h2.block(ordered)));
    const { status: code } = await response(from, 1);
    assert.equal(code, '431');
    assert.equal(text, '');
    from.destroy();
  });

  test('trailers that belong into a head do not come behind it', async () => {
    let text = '';
    plain = (socket, octets) => {
      text += octets;
      if (text.endsWith('\r\n\r\n') && text.includes('\r\n0\r\n')) socket.write('HTTP/1.1 204 No\r\n\r\n');
    };
    const from = await client(MIXED);
    const trailers = [
      ['authorization', 'Bearer x'],
      ['transfer_encoding', 'chunked'],
      ['x-sum', '1'],
    ] as const; // prettier-ignore
    from.send(h2.headers(1, h2.block(request('POST')), MORE), h2.data(1, 'body'), h2.headers(1, h2.block(trailers)));
    assert.equal((await response(from, 1)).status, '204');
    assert.match(text, /\r\n0\r\nx-sum: 1\r\n\r\n$/);
    from.destroy();
  });

  test('requests with bodies use a connection again', async () => {
    plain = (socket, octets) => {
      if (octets.includes('body')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    };
    const from = await client(MIXED);
    for (let stream = 1; stream < 9; stream += 2) {
      const head = h2.block(request('POST', [['content-length', '4']]));
      from.send(h2.headers(stream, head, MORE), h2.data(stream, 'body', h2.END_STREAM));
      assert.equal((await response(from, stream)).body, 'ok');
    }
    assert.equal(plainSockets.length, 1);
    from.destroy();
  });

  test('an endpoint that answers early: the answer, and then the client is told to stop', async () => {
    plain = (socket) => socket.write('HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno');
    const from = await client(MIXED);
    from.send(h2.headers(1, h2.block(request('POST')), MORE), h2.data(1, 'x'));
    const { status: code, body, reset } = await response(from, 1);
    assert.deepEqual([code, body, reset], ['413', 'no', -1]);
    const told = await from.until('RST_STREAM', (frame) => frame.type === h2.RST_STREAM);
    assert.equal(told.payload.readUInt32BE(0), NO_ERROR);
    from.destroy();
  });
});

describe('a pod that may hold nothing', () => {
  before(() => start({ ...DEFAULT_CAPS, pod: { ...DEFAULT_CAPS.pod, bufferedBytes: 60 } }));
  after(() => lab.stop());
  beforeEach(resetHandlers);

  test('a request for which a connection has to be made is answered 503', async () => {
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    assert.equal((await response(from, 1)).status, '503');
    from.destroy();
    assert.equal((await lab.stats()).counters['pending_connections'], 0);
  });
});

describe('idle connections', () => {
  let folder = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-limits-'));
    const here = new URL('../../', import.meta.url).href;
    const limitsUrl = `${here.endsWith('/dist/') ? here : `${here}dist/`}agent/limits.js`; // the worker runs from dist
    const preload = join(folder, 'limits.mjs');
    const assign = 'Object.assign(limits, { idleTimeoutMs: 1_000 });';
    writeFileSync(preload, `import { limits } from ${JSON.stringify(limitsUrl)};\n${assign}\n`);
    process.env['WORKER_FLAGS'] = `--import=${preload}`;
    await start();
    delete process.env['WORKER_FLAGS'];
  });
  after(async () => {
    await lab.stop();
    rmSync(folder, { recursive: true });
  });
  beforeEach(resetHandlers);

  test('an answer that trickles for longer than the idle timeout is not cut; a silent connection is', async () => {
    answer = (endpoint, { stream }) => {
      endpoint.send(h2.headers(stream, status('200'), MORE));
      let left = 30;
      const timer = setInterval(() => {
        endpoint.send(h2.data(stream, 'x', --left === 0 ? h2.END_STREAM : 0));
        if (left === 0) clearInterval(timer);
      }, 100);
    };
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    assert.equal((await response(from, 1)).body.length, 30);
    await until('the idle timeout', async () => ((await lab.stats()).bounds['idleTimeoutMs'] ?? 0) === 1);
    from.destroy();
  });
});
