/** Which HTTP/2 requests are sent once more when an endpoint does not take them, and that what is sent again is the same. */
import assert from 'node:assert/strict';
import * as http2 from 'node:http2';
import { after, before, beforeEach, describe, test } from 'node:test';
import { limits } from '../../agent/limits.ts';
import { accept, eachRequest } from '../harness/http2-accept.ts';
import {
  block,
  DATA,
  data,
  END_HEADERS,
  END_STREAM,
  HEADERS,
  headers,
  Http2Client,
  INITIAL_WINDOW_SIZE,
  rstStream,
  settings,
  WINDOW_UPDATE,
  windowUpdate,
} from '../harness/http2-frames.ts';
import { service, WorkerLab, workload } from '../harness/worker-lab.ts';

const WEB = '10.96.0.70';
const HALF = '10.96.0.71';
const RELUCTANT = '10.96.0.72';
const { NGHTTP2_REFUSED_STREAM } = http2.constants;

type Handler = (stream: http2.ServerHttp2Stream, body: Buffer, attempt: number) => void;

interface Answer {
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly rstCode: number;
}

let lab: WorkerLab;
let handle: Handler;
let bodies: Buffer[] = [];
let trailers: http2.IncomingHttpHeaders[] = [];

before(async () => {
  lab = await WorkerLab.start();
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', WEB, 80, 'http2'),
    service('half', HALF, 80, 'http2'),
    service('reluctant', RELUCTANT, 80, 'http2'),
    workload(
      b,
      { app: 'b' },
      {
        'default/web': [{ servicePort: 80, targetPort: 8080 }],
        'default/half': [{ servicePort: 80, targetPort: 8081 }],
        'default/reluctant': [{ servicePort: 80, targetPort: 8082 }],
      },
    ),
  ]);
  const server = http2.createServer();
  server.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('error', () => undefined);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('trailers', (received) => trailers.push(received));
    stream.on('end', () => {
      bodies.push(Buffer.concat(chunks));
      handle(stream, bodies.at(-1) as Buffer, bodies.length);
    });
  });
  await lab.serve('b', 8080, (socket) => server.emit('connection', socket));
});
after(() => lab.stop());
beforeEach(() => {
  bodies = [];
  trailers = [];
});

function echo(stream: http2.ServerHttp2Stream, body: Buffer): void {
  stream.respond({ ':status': 200 });
  stream.end(body);
}

function refuseFirst(refusals: number): Handler {
  return (stream, body, attempt) => {
    if (attempt <= refusals) stream.close(NGHTTP2_REFUSED_STREAM);
    else echo(stream, body);
  };
}

async function send(
  chunks: readonly Buffer[],
  fields: http2.OutgoingHttpHeaders,
  end?: http2.OutgoingHttpHeaders,
  ip = WEB,
): Promise<Answer> {
  const session = http2.connect('http://web', { createConnection: () => lab.dial('a', ip, 80) });
  session.on('error', () => undefined);
  const stream = session.request(
    { ':path': '/', ':method': 'POST', ...fields },
    { waitForTrailers: end !== undefined },
  );
  if (end !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(end));
  let answered: http2.IncomingHttpHeaders = {};
  let body = '';
  stream.on('response', (received) => (answered = received));
  stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')));
  stream.on('error', () => undefined);
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await new Promise((resolve) => stream.on('close', resolve));
  session.close();
  return { headers: answered, body, rstCode: stream.rstCode };
}

describe('a request that the endpoint has not looked at', () => {
  test('is sent again with its body and trailers', async () => {
    handle = refuseFirst(1);
    const answer = await send([Buffer.from('one '), Buffer.from('two')], {}, { 'x-sum': '7' });
    assert.equal(answer.body, 'one two');
    assert.deepEqual(bodies.map(String), ['one two', 'one two']);
    assert.deepEqual(
      trailers.map((each) => each['x-sum']),
      ['7', '7'],
    );
  });

  test('is sent as often as the bound says, and then answered', async () => {
    handle = refuseFirst(limits.http2AttemptsMax - 1);
    assert.equal((await send([Buffer.from('x')], {})).body, 'x');
    assert.equal(bodies.length, limits.http2AttemptsMax);
    bodies = [];
    handle = refuseFirst(1_000);
    const call = { 'content-type': 'application/grpc', te: 'trailers' };
    const answer = await send([Buffer.from('x')], call);
    assert.equal(bodies.length, limits.http2AttemptsMax);
    assert.equal(answer.headers['grpc-status'], '14');
    assert.equal(answer.headers['x-weir-reason'], 'UPSTREAM_OVERFLOW');
  });

  test('is sent again up to the largest body that is kept, and not beyond', async () => {
    handle = refuseFirst(1);
    const fits = Buffer.alloc(limits.replayBytesMax, 'f');
    assert.equal((await send([fits], {})).body, fits.toString());
    bodies = [];
    const answer = await send([Buffer.concat([fits, Buffer.from('!')])], {});
    assert.equal(answer.headers[':status'], 503);
    assert.equal(answer.headers['x-weir-reason'], 'UPSTREAM_OVERFLOW');
    assert.equal(bodies.length, 1);
  });

  test('costs the client no window: hundreds of them on one connection, and a body larger than all windows after them', async () => {
    handle = (stream, body, attempt) =>
      (attempt % 2 === 1 && body.length < 4_000 ? refuseFirst(1_000) : echo)(stream, body, 1);
    const session = http2.connect('http://web', { createConnection: () => lab.dial('a', WEB, 80) });
    session.on('error', () => undefined);
    const post = async (body: Buffer): Promise<number> => {
      const stream = session.request({ ':path': '/', ':method': 'POST' });
      let length = 0;
      stream.on('data', (chunk: Buffer) => (length += chunk.length));
      stream.end(body);
      await new Promise((resolve) => stream.on('close', resolve));
      return length;
    };
    for (let i = 0; i < 300; i++) assert.equal(await post(Buffer.alloc(3_000)), 3_000);
    assert.equal(await post(Buffer.alloc(9_000_000)), 9_000_000);
    session.close();
    assert.equal(bodies.length, 601);
  });
});

describe('the window of a client whose request is sent again', () => {
  /** Takes a whole body, refuses it, and takes it the second time only little by little. */
  async function reluctant(peer: Http2Client): Promise<void> {
    let refuses = true;
    for (;;) {
      const received = await peer.next();
      if (received === null) return;
      const { type, stream } = received;
      if (type !== DATA) continue;
      if ((received.flags & END_STREAM) === 0) {
        peer.send(settings([INITIAL_WINDOW_SIZE, 65_535]));
        continue;
      }
      if (refuses) peer.send(settings([INITIAL_WINDOW_SIZE, 10]), rstStream(stream, NGHTTP2_REFUSED_STREAM));
      else peer.send(windowUpdate(0, 8_000), headers(stream, block([[':status', '200']])));
      refuses = !refuses;
    }
  }

  test('is given back once for each octet, however often it was sent', async () => {
    await lab.serve('b', 8082, (socket) => void accept(socket).then(reluctant));
    const client = new Http2Client(lab.dial('a', RELUCTANT, 80));
    await client.handshake();
    const head = block([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'web'],
    ]);
    let given = 0;
    const requests = 500;
    for (let i = 0; i < requests; i++) {
      const id = 2 * i + 1;
      client.send(headers(id, head, END_HEADERS), data(id, Buffer.alloc(4_000), END_STREAM));
      await client.until('the answer', ({ type, stream, payload }) => {
        if (type === WINDOW_UPDATE && stream === 0) given += payload.readUInt32BE(0);
        return type === HEADERS && stream === id;
      });
    }
    client.destroy();
    const sent = requests * 4_000;
    assert.ok(given <= sent && given >= sent / 2, `${given} octets given back for ${sent}`);
  });
});

describe('a request that may have been acted on', () => {
  test('a POST whose connection breaks is not sent again; UNAVAILABLE for a gRPC call', async () => {
    handle = (stream) => stream.session?.destroy();
    const plain = await send([Buffer.from('x')], {});
    assert.equal(plain.headers[':status'], 502);
    const call = await send([Buffer.from('x')], { 'content-type': 'application/grpc', te: 'trailers' });
    assert.equal(call.headers['grpc-status'], '14');
    assert.equal(call.headers['x-weir-reason'], 'UPSTREAM_RESET');
    assert.equal(bodies.length, 2);
  });

  test('one that was answered in part is not sent again, whatever the endpoint says then', async () => {
    let requests = 0;
    await lab.serve('b', 8081, (socket) => {
      void accept(socket).then((peer) =>
        eachRequest(peer, ({ stream }) => {
          requests++;
          const head = headers(stream, block([[':status', '200']]), END_HEADERS);
          peer.send(head, data(stream, 'half'), rstStream(stream, NGHTTP2_REFUSED_STREAM));
        }),
      );
    });
    const answer = await send([Buffer.from('x')], {}, undefined, HALF);
    assert.equal(answer.headers[':status'], 200);
    assert.equal(answer.rstCode, NGHTTP2_REFUSED_STREAM);
    assert.equal(requests, 1);
  });
});
