/** HTTP/2 and gRPC through a real worker between captured pods: what arrives, how it is spread, and how each end looks. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { WrittenRule } from '../unit/mesh/resources.ts';
import { WorkerLab, httpRoute, policy, service, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.10';
const MIXED = '10.96.0.11';
const GRPC = '10.96.0.12';
const PORT = 80;

type Handler = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, pod: string) => void;

let lab: WorkerLab;
let handle: Handler;
/** Requests seen by each pod's HTTP/2 server. */
const seen = new Map<string, http2.IncomingHttpHeaders[]>();
/** Heads seen by the HTTP/1.1 server in pod c, and its connections. */
let plain: string[] = [];

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const pods = { b: await lab.addPod('b'), d: await lab.addPod('d'), c: await lab.addPod('c') };
  const both = {
    'default/web': [{ servicePort: PORT, targetPort: 8080 }],
    'default/mixed': [{ servicePort: PORT, targetPort: 8080 }],
    'default/grpc': [{ servicePort: PORT, targetPort: 8080 }],
  };
  await lab.mesh([
    service('web', WEB, PORT, 'http2'),
    service('mixed', MIXED, PORT, 'http2'),
    service('grpc', GRPC, PORT, 'grpc'),
    service('plain', '10.96.0.13', PORT, 'http'),
    workload(pods.b, { app: 'b' }, both),
    workload(pods.d, { app: 'b' }, both),
    workload(pods.c, { app: 'c' }, { 'default/plain': [{ servicePort: PORT, targetPort: 8081 }] }),
    // Requests to /plain of the service `mixed` are sent to endpoints that speak HTTP/1.1.
    httpRoute('mixed', 'mixed', [rule('/plain', 'plain'), rule('/', 'mixed')]),
  ]);
  for (const pod of ['b', 'd']) await serveHttp2(pod);
  await lab.serve('c', 8081, (socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (!/\r\n\r\n/.test(text) || (/chunked/.test(text) && !text.endsWith('0\r\n\r\n'))) return;
      plain.push(text);
      text = '';
      socket.write('HTTP/1.1 200 OK\r\nX-Kind: plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab');
      setImmediate(() => socket.write('c\r\n0\r\nx-end: yes\r\n\r\n'));
    });
  });
});
after(() => lab.stop());
beforeEach(() => {
  seen.clear();
  plain = [];
  handle = (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('ok');
  };
});

function rule(prefix: string, name: string): WrittenRule {
  return {
    name: null,
    matches: [{ path: { type: 'prefix', value: prefix }, method: null, headers: [], queryParams: [] }],
    filters: [],
    backends: [{ namespace: 'default', name, port: PORT, weight: 1, filters: [], valid: true }],
  };
}

async function serveHttp2(pod: string): Promise<void> {
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const list = seen.get(pod) ?? [];
    list.push(headers);
    seen.set(pod, list);
    stream.on('error', () => undefined);
    handle(stream, headers, pod);
  });
  await lab.serve(pod, 8080, (socket) => server.emit('connection', socket));
}

function connect(ip: string): http2.ClientHttp2Session {
  const session = http2.connect('http://web', { createConnection: () => lab.dial('a', ip, PORT) });
  session.on('error', () => undefined);
  return session;
}

interface Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly rstCode: number;
}

async function ask(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body: string | null = null,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === null });
  let answered: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  let text = '';
  stream.on('response', (received) => (answered = received));
  stream.on('trailers', (received) => (trailers = received));
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  if (body !== null) stream.end(body);
  await new Promise((resolve) => stream.on('close', resolve));
  return { status: Number(answered[':status'] ?? 0), headers: answered, trailers, body: text, rstCode: stream.rstCode };
}

describe('requests', () => {
  test('fields, body and trailers arrive as they were sent, both ways', async () => {
    handle = (stream) => {
      let body = '';
      stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
      stream.on('end', () => {
        stream.respond({ ':status': 201, 'x-odd': ['1', '2'], 'content-type': 'text/x' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'abc' }));
        stream.end(`got ${body}`);
      });
    };
    const session = connect(WEB);
    const answer = await ask(session, { ':method': 'PUT', ':path': '/a/../b?q=1', 'x-mine': 'yes' }, 'hello');
    session.close();
    assert.equal(answer.status, 201);
    assert.equal(answer.body, 'got hello');
    assert.equal(answer.headers['x-odd'], '1, 2');
    assert.equal(answer.trailers['x-sum'], 'abc');
    const [headers] = [...seen.values()].flat();
    assert.equal(headers?.[':path'], '/b?q=1');
    assert.equal(headers?.[':authority'], 'web:80');
    assert.equal(headers?.['x-mine'], 'yes');
  });

  test('requests of one connection are spread over the endpoints', async () => {
    const session = connect(WEB);
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask(session, { ':path': '/' })));
    session.close();
    assert.ok(answers.every(({ status, body }) => status === 200 && body === 'ok'));
    const counts = ['b', 'd'].map((pod) => seen.get(pod)?.length ?? 0);
    assert.ok(
      counts.every((count) => count >= 5),
      `spread ${counts.join(' and ')}`,
    );
  });

  test('large bodies pass whole both ways under flow control, and a slow reader holds up nobody else', async () => {
    const large = 'x'.repeat(3_000_000);
    handle = (stream, headers) => {
      if (headers[':path'] === '/up') {
        let length = 0;
        stream.on('data', (chunk: Buffer) => (length += chunk.length));
        stream.on('end', () => {
          stream.respond({ ':status': 200 });
          stream.end(String(length));
        });
      } else {
        stream.respond({ ':status': 200 });
        stream.end(large);
      }
    };
    const session = connect(WEB);
    const stalled = session.request({ ':path': '/down' });
    stalled.on('error', () => undefined);
    await once(stalled, 'response'); // never read from here on
    const [up, down] = await Promise.all([
      ask(session, { ':method': 'POST', ':path': '/up' }, large),
      ask(session, { ':path': '/down' }),
    ]);
    assert.equal(up.body, String(large.length));
    assert.equal(down.body.length, large.length);
    session.destroy();
  });

  test('a cancelled request is cancelled at the endpoint with the same code', async () => {
    let ended: (code: number) => void = () => undefined;
    const code = new Promise<number>((resolve) => (ended = resolve));
    let begun: () => void = () => undefined;
    const started = new Promise<void>((resolve) => (begun = resolve));
    handle = (stream) => {
      stream.on('close', () => ended(stream.rstCode));
      begun();
    };
    const session = connect(WEB);
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    stream.on('error', () => undefined);
    await started;
    stream.close(http2.constants.NGHTTP2_CANCEL);
    assert.equal(await code, http2.constants.NGHTTP2_CANCEL);
    session.close();
  });

  test('an endpoint that resets a stream resets it for the client with its code', async () => {
    handle = (stream) => {
      stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    const session = connect(WEB);
    const answer = await ask(session, { ':path': '/', ':method': 'POST' }, 'x');
    assert.equal(answer.rstCode, http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.close();
  });

  test('an informational response is passed on before the final one', async () => {
    handle = (stream) => {
      stream.additionalHeaders({ ':status': 103, link: '</x>' });
      stream.respond({ ':status': 200 });
      stream.end();
    };
    const session = connect(WEB);
    const stream = session.request({ ':path': '/' });
    const [early] = (await once(stream, 'headers')) as [http2.IncomingHttpHeaders];
    assert.equal(early[':status'], 103);
    stream.resume();
    await once(stream, 'close');
    session.close();
  });

  test('what the path normalisation refuses is answered 400 and reaches nobody', async () => {
    const session = connect(WEB);
    for (const path of ['/a%00b', '/a#b', '*']) {
      const answer = await ask(session, { ':path': path });
      assert.equal(answer.status, 400, path);
    }
    session.close();
    assert.equal(seen.size, 0);
  });
});

describe('policy', () => {
  test('each request is judged by itself; a gRPC call is refused as gRPC does', async () => {
    await lab.mesh([policy('web', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/secret*'] }] }])]);
    const session = connect(WEB);
    const open = await ask(session, { ':path': '/open' });
    const secret = await ask(session, { ':path': '/open/../secret' });
    const call = await ask(
      session,
      { ':path': '/secret.Service/Get', ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' },
      'x',
    );
    session.close();
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/web' }]);
    assert.equal(open.status, 200);
    assert.equal(secret.status, 403);
    assert.equal(secret.headers['x-weir-reason'], 'RBAC_DENIED');
    assert.equal(call.status, 200);
    assert.equal(call.headers['grpc-status'], '7');
    assert.equal(call.headers['x-weir-reason'], 'RBAC_DENIED');
  });

  test('a policy that comes later ends the stream it denies and leaves the other', async () => {
    const streams: http2.ServerHttp2Stream[] = [];
    handle = (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('begun');
      streams.push(stream);
    };
    const session = connect(WEB);
    const denied = session.request({ ':path': '/watch/a' });
    const kept = session.request({ ':path': '/watch/b' });
    for (const stream of [denied, kept]) stream.on('error', () => undefined);
    await Promise.all([once(denied, 'data'), once(kept, 'data')]);
    const closed = once(denied, 'close');
    await lab.mesh([policy('late', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/watch/a'] }] }])]);
    await closed;
    assert.equal(denied.rstCode, http2.constants.NGHTTP2_CANCEL);
    assert.equal(kept.closed, false);
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/late' }]);
    session.destroy();
  });
});

describe('gRPC', () => {
  test('the status of a call is in the metrics, from trailers and from trailers-only answers', async () => {
    handle = (stream, headers) => {
      if (headers[':path'] === '/s/Fails') {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true });
        return;
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    };
    const session = connect(GRPC);
    const grpc = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
    const good = await ask(session, { ...grpc, ':path': '/s/Works' }, 'x');
    const bad = await ask(session, { ...grpc, ':path': '/s/Fails' }, 'x');
    session.close();
    assert.equal(good.trailers['grpc-status'], '0');
    assert.equal(bad.headers['grpc-status'], '5');
    const stats = await lab.stats();
    const codes = stats.http
      .filter(({ labels }) => labels['request_protocol'] === 'grpc' && labels['destination_service_name'] === 'grpc')
      .map(({ labels }) => labels['grpc_response_status']);
    assert.deepEqual(new Set(codes), new Set(['0', '5']));
  });

  test('no endpoint: UNAVAILABLE', async () => {
    await lab.mesh([service('empty', '10.96.0.14', PORT, 'grpc')]);
    const session = connect('10.96.0.14');
    const answer = await ask(
      session,
      { ':method': 'POST', ':path': '/s/M', 'content-type': 'application/grpc+proto', te: 'trailers' },
      'x',
    );
    session.close();
    assert.equal(answer.headers['grpc-status'], '14');
    assert.equal(answer.headers['x-weir-reason'], 'NO_HEALTHY_UPSTREAM');
  });
});

describe('versions', () => {
  test('a route leads an HTTP/2 request to an HTTP/1.1 endpoint', async () => {
    const session = connect(MIXED);
    const answer = await ask(
      session,
      { ':method': 'POST', ':path': '/plain?x=1', 'x-mine': 'yes', cookie: ['a=1', 'b=2'] },
      'body',
    );
    session.close();
    assert.equal(answer.status, 200);
    assert.equal(answer.body, 'abc');
    assert.equal(answer.headers['x-kind'], 'plain');
    assert.equal(answer.headers['transfer-encoding'], undefined);
    assert.equal(answer.trailers['x-end'], 'yes');
    assert.equal(plain.length, 1);
    assert.match(plain[0] as string, /^POST \/plain\?x=1 HTTP\/1\.1\r\nhost: web:80\r\n/);
    assert.match(plain[0] as string, /\r\ncookie: a=1; b=2\r\n/);
    assert.match(plain[0] as string, /\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n$/);
  });

  test('an HTTP/1.1 request reaches an endpoint that is declared to speak HTTP/2', async () => {
    handle = (stream, headers) => {
      let body = '';
      stream.on('data', (chunk: Buffer) => (body += chunk.toString()));
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'x-path': headers[':path'] ?? '' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
        stream.end(`got ${body}`);
      });
    };
    const socket = lab.dial('a', WEB, PORT);
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    const complete = async (): Promise<void> => {
      while (!text.endsWith('x-end: yes\r\n\r\n')) await once(socket, 'data');
    };
    socket.write(
      'POST /one HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    );
    await complete();
    assert.match(text, /^HTTP\/1\.1 200 \r\n/);
    assert.match(text, /\r\nx-path: \/one\r\n/);
    assert.match(text, /\r\n9\r\ngot abcde\r\n0\r\nx-end: yes\r\n\r\n$/);
    text = '';
    socket.write('POST /two HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi');
    await complete();
    assert.match(text, /\r\nx-path: \/two\r\n/);
    assert.match(text, /\r\n6\r\ngot hi\r\n0\r\n/);
    socket.destroy();
    const [first] = [...seen.values()].flat();
    assert.equal(first?.[':method'], 'POST');
    assert.equal(first?.[':authority'], 'web');
  });
});

describe('failures', () => {
  test('an endpoint that refuses connections: 503', async () => {
    await lab.mesh([
      service('dead', '10.96.0.15', PORT, 'http2'),
      workload(
        lab.pods.get('c') as never,
        { app: 'c' },
        {
          'default/dead': [{ servicePort: PORT, targetPort: 9 }],
          'default/plain': [{ servicePort: PORT, targetPort: 8081 }],
        },
      ),
    ]);
    const session = connect('10.96.0.15');
    const answer = await ask(session, { ':path': '/' });
    session.close();
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['x-weir-reason'], 'UPSTREAM_CONNECT_FAILED');
  });

  test('a connection that is lost mid-response ends the stream with an error, never short', async () => {
    handle = (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half');
      setImmediate(() => stream.session?.destroy());
    };
    const session = connect(WEB);
    const answer = await ask(session, { ':path': '/' });
    session.close();
    assert.equal(answer.status, 200);
    assert.notEqual(answer.rstCode, http2.constants.NGHTTP2_NO_ERROR);
  });

  test('after GOAWAY requests go to a new connection', async () => {
    const session = connect(WEB);
    handle = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('ok');
      stream.session?.close();
    };
    for (let i = 0; i < 20; i++) assert.equal((await ask(session, { ':path': '/' })).status, 200);
    session.close();
  });
});
