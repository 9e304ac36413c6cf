/** CONNECT and extended CONNECT (RFC 9113 section 8.5, RFC 8441) over HTTP/2, from a client to an HTTP/2 endpoint. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import { after, before, beforeEach, describe, test } from 'node:test';
import { limits } from '../../agent/limits.ts';
import { until } from '../harness/hang.ts';
import { accept, eachRequest } from '../harness/http2-accept.ts';
import {
  ACK,
  block,
  END_HEADERS,
  frame,
  headers,
  type Http2Client,
  SETTINGS,
  settings,
} from '../harness/http2-frames.ts';
import { httpRoute, policy, service, WorkerLab, workload } from '../harness/worker-lab.ts';

/** Endpoints: Node's, with RFC 8441; Node's, without; by hand; HTTP/1.1 (declared so, behind a route's port). */
const WEB = '10.96.0.90';
const OLD = '10.96.0.91';
const HAND = '10.96.0.92';
const ROUTED = '10.96.0.93';
const { NGHTTP2_CANCEL, NGHTTP2_CONNECT_ERROR, NGHTTP2_NO_ERROR } = http2.constants;
const WEBSOCKET = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':scheme': 'http',
  ':path': '/chat',
  ':authority': 'web',
};
const PLAIN = { ':method': 'CONNECT', ':authority': 'db.example:5432' };

type Handler = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

let lab: WorkerLab;
let handle: Handler;
let seen: http2.IncomingHttpHeaders[] = [];
/** Connections to the endpoint by hand that have had no SETTINGS yet. */
let silent: ((peer: Http2Client) => void) | null = null;

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const b = await lab.addPod('b');
  const to = (targetPort: number): { servicePort: number; targetPort: number }[] => [{ servicePort: 80, targetPort }];
  await lab.mesh([
    service('web', WEB, 80, 'http2'),
    service('old', OLD, 80, 'http2'),
    service('hand', HAND, 80, 'http2'),
    service('routed', ROUTED, 80, 'http2'),
    service('plain', '10.96.0.94', 80, 'http'),
    workload(
      b,
      { app: 'b' },
      { 'default/web': to(8080), 'default/old': to(8081), 'default/hand': to(8082), 'default/plain': to(8083) },
    ),
    httpRoute('routed', 'routed', [
      {
        name: null,
        matches: [],
        filters: [],
        backends: [{ namespace: 'default', name: 'plain', port: 80, weight: 1, filters: [], valid: true }],
      },
    ]),
  ]);
  for (const [port, enableConnectProtocol] of [
    [8080, true],
    [8081, false],
  ] as const) {
    const server = http2.createServer({ settings: { enableConnectProtocol } });
    const onStream = (stream: http2.ServerHttp2Stream, received: http2.IncomingHttpHeaders): void => {
      seen.push(received);
      stream.on('error', () => undefined);
      handle(stream, received);
    };
    server.on('stream', onStream);
    // Node hands CONNECT to `stream` only while nobody listens for requests.
    await lab.serve('b', port, (socket) => server.emit('connection', socket));
  }
  await lab.serve('b', 8082, (socket) => {
    void accept(socket, null).then((peer) => {
      silent?.(peer);
      return eachRequest(peer, ({ stream }) => peer.send(headers(stream, block([[':status', '200']]), END_HEADERS)));
    });
  });
});
after(() => lab.stop());
beforeEach(() => {
  seen = [];
  silent = null;
  handle = (stream) => {
    stream.respond({ ':status': 200 });
    stream.on('data', (chunk: Buffer) => stream.write(`<${chunk.toString()}>`));
    stream.on('end', () => stream.end('bye'));
  };
});

async function connect(ip: string): Promise<http2.ClientHttp2Session> {
  const session = http2.connect('http://web', { createConnection: () => lab.dial('a', ip, 80) });
  session.on('error', () => undefined);
  await once(session, 'remoteSettings');
  return session;
}

interface Tunnel {
  readonly stream: http2.ClientHttp2Stream;
  readonly answered: Promise<http2.IncomingHttpHeaders>;
  readonly closed: Promise<void>;
  text: string;
}

function open(session: http2.ClientHttp2Session, fields: http2.OutgoingHttpHeaders): Tunnel {
  const stream = session.request(fields, { endStream: false });
  const tunnel: Tunnel = {
    stream,
    answered: once(stream, 'response').then(([received]) => received as http2.IncomingHttpHeaders),
    closed: new Promise((resolve) => stream.on('close', resolve)),
    text: '',
  };
  tunnel.answered.catch(() => undefined);
  stream.on('error', () => undefined);
  stream.on('data', (chunk: Buffer) => (tunnel.text += chunk.toString()));
  return tunnel;
}

/** Until the tunnel has brought that text. */
async function brings(tunnel: Tunnel, text: string): Promise<void> {
  while (!tunnel.text.includes(text)) await once(tunnel.stream, 'data');
}

for (const [name, fields] of [
  ['extended CONNECT', WEBSOCKET],
  ['CONNECT', PLAIN],
] as const) {
  describe(name, () => {
    test('carries octets both ways, and each side may end first', async () => {
      const session = await connect(WEB);
      assert.equal(session.remoteSettings.enableConnectProtocol, true);
      const tunnel = open(session, fields);
      assert.equal((await tunnel.answered)[':status'], 200);
      for (const word of ['one', 'two']) {
        tunnel.stream.write(word);
        await brings(tunnel, `<${word}>`);
      }
      tunnel.stream.end('three');
      await tunnel.closed;
      assert.equal(tunnel.text, '<one><two><three>bye');
      assert.equal(tunnel.stream.rstCode, NGHTTP2_NO_ERROR);
      assert.equal(seen[0]?.[':protocol'], (fields as http2.OutgoingHttpHeaders)[':protocol']);
      assert.equal(seen[0]?.[':authority'], fields[':authority']);

      let heard = '';
      const ended = new Promise<void>((resolve) => {
        handle = (stream) => {
          stream.respond({ ':status': 200 });
          stream.end('first');
          stream.on('data', (chunk: Buffer) => (heard += chunk.toString()));
          stream.on('end', resolve);
        };
      });
      const second = open(session, fields);
      await once(second.stream, 'end');
      assert.equal(second.text, 'first');
      second.stream.end('last');
      await ended;
      assert.equal(heard, 'last');
      await second.closed;
      session.close();
    });

    test('what is sent before it is agreed to arrives, more than a window of it', async () => {
      const session = await connect(WEB);
      let length = 0;
      handle = (stream) => {
        stream.on('data', (chunk: Buffer) => (length += chunk.length));
        stream.on('end', () => {
          stream.respond({ ':status': 200 });
          stream.end(String(length));
        });
      };
      const tunnel = open(session, fields);
      tunnel.stream.end(Buffer.alloc(300_000));
      await tunnel.closed;
      assert.equal(tunnel.text, '300000');
      session.close();
    });

    test('a refusal is passed on with its body', async () => {
      handle = (stream) => {
        stream.respond({ ':status': 403, 'x-why': 'no' });
        stream.end('never');
      };
      const session = await connect(WEB);
      const tunnel = open(session, fields);
      assert.equal((await tunnel.answered)['x-why'], 'no');
      tunnel.stream.end();
      await tunnel.closed;
      assert.equal(tunnel.text, 'never');
      session.close();
    });

    test('resets are passed on with their code, both ways', async () => {
      const session = await connect(WEB);
      const code = new Promise<number>((resolve) => {
        handle = (stream) => {
          stream.respond({ ':status': 200 });
          stream.write('up');
          stream.on('close', () => resolve(stream.rstCode));
        };
      });
      const tunnel = open(session, fields);
      await brings(tunnel, 'up');
      tunnel.stream.close(NGHTTP2_CONNECT_ERROR);
      assert.equal(await code, NGHTTP2_CONNECT_ERROR);
      handle = (stream) => stream.close(NGHTTP2_CONNECT_ERROR);
      const second = open(session, fields);
      await second.closed;
      assert.equal(second.stream.rstCode, NGHTTP2_CONNECT_ERROR);
      session.close();
    });

    test('ends when policy no longer allows it, also when the endpoint has ended its side', async () => {
      const session = await connect(WEB);
      const tunnel = open(session, fields);
      tunnel.stream.write('one');
      await brings(tunnel, '<one>');
      handle = (stream) => {
        stream.respond({ ':status': 200 });
        stream.end('half');
        stream.resume();
      };
      const half = open(session, fields);
      await once(half.stream, 'end');
      await lab.mesh([policy('late', 'DENY', { app: 'b' }, [{ to: [{ methods: ['CONNECT'] }] }])]);
      await Promise.all([tunnel.closed, half.closed]);
      assert.equal(tunnel.stream.rstCode, NGHTTP2_CANCEL);
      assert.equal(half.stream.rstCode, NGHTTP2_CANCEL);
      const refused = open(session, fields);
      assert.equal((await refused.answered)[':status'], 403);
      await lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/late' }]);
      session.close();
    });
  });
}

describe('an endpoint without RFC 8441', () => {
  test('an extended CONNECT is answered 501, a plain one is passed on', async () => {
    const session = await connect(OLD);
    const tunnel = open(session, WEBSOCKET);
    const answer = await tunnel.answered;
    assert.equal(answer[':status'], 501);
    assert.equal(answer['x-weir-reason'], 'EXTENDED_CONNECT_UNSUPPORTED');
    assert.deepEqual(seen, []);
    const plain = open(session, PLAIN);
    assert.equal((await plain.answered)[':status'], 200);
    session.close();
  });
});

describe('an endpoint that a route reaches over HTTP/1.1', () => {
  test('neither kind of CONNECT is translated: 501', async () => {
    const session = await connect(ROUTED);
    for (const [fields, reason] of [
      [WEBSOCKET, 'EXTENDED_CONNECT_UNSUPPORTED'],
      [PLAIN, 'CONNECT_UNSUPPORTED'],
    ] as const) {
      const answer = await open(session, fields).answered;
      assert.equal(answer[':status'], 501);
      assert.equal(answer['x-weir-reason'], reason);
    }
    session.close();
  });
});

describe('an endpoint whose SETTINGS are late', () => {
  /** The connection to the endpoint by hand; a new one, since the one before is closed. */
  function connection(): Promise<Http2Client> {
    return new Promise((resolve) => (silent = resolve));
  }

  const AGREES = [settings([8, 1]), frame(SETTINGS, ACK, 0)];

  test('is waited for, and hears what the client has said meanwhile', async () => {
    const arriving = connection();
    const session = await connect(HAND);
    const tunnel = open(session, WEBSOCKET);
    tunnel.stream.end('early');
    const peer = await arriving;
    peer.send(...AGREES);
    assert.equal((await tunnel.answered)[':status'], 200);
    assert.equal(peer.seen.filter((each) => each.startsWith('HEADERS')).length, 1);
    session.destroy();
    peer.destroy();
  });

  test('is closed meanwhile: 503', async () => {
    const arriving = connection();
    const session = await connect(HAND);
    const tunnel = open(session, WEBSOCKET);
    (await arriving).destroy();
    const answer = await tunnel.answered;
    assert.equal(answer[':status'], 503);
    assert.equal(answer['x-weir-reason'], 'UPSTREAM_CONNECT_FAILED');
    session.destroy();
  });

  test('never come: 503 after a time, and the connection goes on for others', async () => {
    const arriving = connection();
    const session = await connect(HAND);
    const tunnel = open(session, WEBSOCKET);
    const peer = await arriving;
    const answer = await tunnel.answered;
    assert.equal(answer[':status'], 503);
    assert.equal(answer['x-weir-reason'], 'UPSTREAM_CONNECT_FAILED');
    assert.equal((await lab.stats()).bounds['http2SettingsTimeoutMs'], 1, `after ${limits.http2SettingsTimeoutMs} ms`);
    peer.send(...AGREES);
    const second = open(session, WEBSOCKET);
    assert.equal((await second.answered)[':status'], 200);
    session.destroy();
    peer.destroy();
  });

  test('a client that gives up meanwhile leaves nothing behind', async () => {
    const gone = (): number => lab.accessLines.filter((line) => line.includes('"CLIENT_GONE"')).length;
    const before = gone();
    const arriving = connection();
    const session = await connect(HAND);
    const tunnel = open(session, WEBSOCKET);
    tunnel.stream.write('early');
    const peer = await arriving;
    tunnel.stream.close(NGHTTP2_CANCEL);
    await tunnel.closed;
    // The worker has heard of it: the two connections are not in step.
    await until(() => gone() !== before);
    const other = open(session, WEBSOCKET);
    peer.send(...AGREES);
    assert.equal((await other.answered)[':status'], 200);
    assert.equal(peer.seen.filter((each) => each.startsWith('HEADERS')).length, 1);
    session.destroy();
    peer.destroy();
  });
});
