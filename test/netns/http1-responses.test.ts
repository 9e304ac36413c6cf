/**
 * What endpoints answer, through a real worker: malformed and ambiguous responses become 502 (or an error the client can see,
 * once the head is out), left-over octets never answer another request, interim and early responses, and the connection to the
 * endpoint is used again only when nothing speaks against it.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { until } from '../harness/hang.ts';
import { WorkerLab, service, workload } from '../harness/worker-lab.ts';
import type { ResponseCase } from '../unit/http1/corpus/corpus-case.ts';
import { responses } from '../unit/http1/corpus/responses.ts';

const VIP = '10.96.0.61';
const MARK = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nmark\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

let lab: WorkerLab;
/** Connections to the endpoint so far; the number of the one each request came on, by target. */
let connections = 0;
const cameOn = new Map<string, number>();
/** What the endpoint does with octets that are no /mark request. */
let respond: (socket: Socket, text: string) => void = () => undefined;
let received = '';

before(async () => {
  lab = await WorkerLab.start('off');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  await lab.serve('b', 8080, (socket) => {
    const number = ++connections;
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1');
      received += text;
      const target = /^[A-Z]+ (\S+)/.exec(text)?.[1] ?? '';
      if (target !== '') cameOn.set(target, number);
      if (target === '/mark') socket.write(MARK);
      else respond(socket, text);
    });
    socket.on('end', () => socket.end());
  });
});
after(() => lab.stop());

/** A client's connection whose octets so far can be waited for. */
class Client {
  text = '';
  ended = false;
  readonly socket: Socket;
  #wake: () => void = () => undefined;

  constructor() {
    this.socket = lab.dial('a', VIP, 80);
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      this.#wake();
    });
    for (const event of ['end', 'close', 'error'] as const) {
      this.socket.on(event, () => {
        this.ended = true;
        this.#wake();
      });
    }
  }

  send(text: string): this {
    this.socket.write(Buffer.from(text, 'latin1'));
    return this;
  }

  async until(enough: () => boolean): Promise<void> {
    while (!enough() && !this.ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const request = (target: string, method = 'GET'): string => `${method} ${target} HTTP/1.1\r\nHost: web\r\n\r\n`;

async function judge([name, method, octets, verdict]: ResponseCase): Promise<void> {
  const ends = verdict === 'cut' || (typeof verdict === 'object' && 'sentUntilClose' in verdict);
  respond = (socket) => {
    socket.write(Buffer.from(octets, 'latin1'));
    if (ends) socket.end();
  };
  const client = new Client().send(request('/case', method));
  const refusal = /HTTP\/1\.1 502 [^]*x-weir-reason: UPSTREAM_MALFORMED\r\n\r\n?[^]*\n$/;
  const isRefused = (): boolean => refusal.test(client.text);
  if (ends) await client.until(() => false);
  else if (verdict === 502) await client.until(isRefused);
  else await client.until(() => isRefused() || client.text.length >= (verdict as { sent: string }).sent.length);
  if (typeof verdict === 'object' && 'sentUntilClose' in verdict) {
    assert.equal(client.text, verdict.sentUntilClose, name);
    return;
  }
  if (verdict === 'cut') {
    assert.ok(octets.startsWith(client.text) && client.ended, `${name}: ${JSON.stringify(client.text)}`);
    return;
  }
  const first = client.text;
  if (verdict === 502) assert.match(first, refusal, name);
  else assert.equal(first, verdict.sent, name);
  // Whatever is left of it must not be what the next request is answered with.
  client.send(request('/mark'));
  await client.until(() => client.text.endsWith('mark\n'));
  assert.equal(client.text, first + MARK, name);
  const reused = cameOn.get('/mark') === cameOn.get('/case');
  assert.equal(reused, verdict !== 502 && verdict.reused, `${name}: the endpoint's connection is used again`);
  client.socket.destroy();
}

describe('corpus of responses', () => {
  for (const each of responses) test(`${each[0]} (${each[1]})`, () => judge(each));
});

test('chunks that turn out bad once the head is out: cut, never a complete response', async () => {
  const start = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n';
  for (const bad of ['2\nevil', 'x\r\n', '0\r\nContent-Length: 1\r\n\r\n', '1\r\nabc\r\n']) {
    let endpoint: Socket | null = null;
    respond = (socket) => {
      endpoint = socket;
      socket.write(start);
    };
    const client = new Client().send(request('/bad'));
    await client.until(() => client.text === start);
    (endpoint as Socket | null)?.write(bad);
    await client.until(() => false);
    assert.equal(client.text, start);
  }
});

test('a body that comes after its pipelined head is read, on a connection to the endpoint that was used before', async () => {
  respond = (socket, text) => {
    if (text.includes('/first') || text.endsWith('end')) socket.write(OK);
  };
  const post = 'POST /second HTTP/1.1\r\nHost: web\r\nContent-Length: 6\r\n\r\nbeg';
  const client = new Client().send(request('/first') + post);
  await client.until(() => client.text === OK);
  await until(() => received.endsWith('beg'));
  client.send('end');
  await client.until(() => client.text === OK + OK);
  assert.equal(client.text, OK + OK);
  client.socket.destroy();

  // …and when its client gives up, so does the request.
  const gone = new Client().send(request('/first') + post);
  gone.socket.end();
  await gone.until(() => false);
  assert.equal(gone.text, OK);
});

describe('1xx', () => {
  const POST = 'POST /e HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';

  test('100-continue: accepted, refused, ignored', async () => {
    respond = (socket, text) => {
      if (text.includes('Expect')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      if (text.endsWith('body')) socket.write(OK);
    };
    const accepted = new Client().send(POST);
    await accepted.until(() => accepted.text.endsWith('\r\n\r\n'));
    accepted.send('body');
    await accepted.until(() => accepted.text.endsWith('ok'));
    assert.equal(accepted.text, `HTTP/1.1 100 Continue\r\n\r\n${OK}`);

    // Refused: the body never comes, so neither connection is used again.
    respond = (socket) => socket.write('HTTP/1.1 417 No\r\ncontent-length: 0\r\n\r\n');
    const refused = new Client().send(POST);
    await refused.until(() => false);
    assert.equal(refused.text, 'HTTP/1.1 417 No\r\ncontent-length: 0\r\nConnection: close\r\n\r\n');
    const before = cameOn.get('/e');
    const next = new Client().send(request('/mark'));
    await next.until(() => next.text.endsWith('mark\n'));
    assert.notEqual(cameOn.get('/mark'), before);

    // Ignored: the client sends its body after a while all the same.
    received = '';
    respond = (socket, text) => {
      if (text.endsWith('body')) socket.write(OK);
    };
    const ignored = new Client().send(POST);
    const arrived = until(() => received.includes('Expect'));
    await arrived;
    ignored.send('body');
    await ignored.until(() => ignored.text.endsWith('ok'));
    assert.equal(ignored.text, OK);
  });

  test('an HTTP/1.0 client is sent no interim response', async () => {
    respond = (socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`);
    const client = new Client().send('GET /ten HTTP/1.0\r\nHost: web\r\n\r\n');
    await client.until(() => false);
    assert.equal(client.text, OK.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
  });

  test('interim responses without end are an error', async () => {
    respond = (socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(1_000));
    const client = new Client().send(request('/hints'));
    await client.until(() => client.text.includes('UPSTREAM_MALFORMED'));
    assert.match(client.text, /HTTP\/1\.1 502 [^]*UPSTREAM_MALFORMED/);
    assert.ok((await lab.stats()).bounds['interimResponsesMax'] === 1);
  });
});

describe('early responses', () => {
  const UPLOAD = 'POST /up HTTP/1.1\r\nHost: web\r\nContent-Length: 400000\r\n\r\n';

  for (const [what, end] of [
    ['and keeps its connection', false],
    ['and closes', true],
  ] as const) {
    test(`an endpoint that answers while the body is still coming ${what}: answered, then closed`, async () => {
      const answer = 'HTTP/1.1 413 Too Much\r\ncontent-length: 3\r\n\r\nno\n';
      respond = (socket) => {
        respond = () => undefined;
        if (end) socket.end(answer);
        else socket.write(answer);
      };
      const client = new Client().send(UPLOAD + 'x'.repeat(1_000));
      await client.until(() => client.text.endsWith('no\n'));
      assert.equal(client.text, answer.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
      // The rest of the body is read and dropped; none of it is taken for a request.
      client.send(request('/smuggled').repeat(50));
      await client.until(() => false);
      assert.equal(cameOn.get('/smuggled'), undefined);
      const next = new Client().send(request('/mark'));
      await next.until(() => next.text.endsWith('mark\n'));
      assert.notEqual(
        cameOn.get('/mark'),
        cameOn.get('/up'),
        'a connection with half a request on it is not used again',
      );
    });
  }

  test('an endpoint that answers early but takes the whole body is not asked again on that connection', async () => {
    respond = (socket) => {
      respond = (same, text) => {
        if (text.endsWith('end')) same.write('ok');
      };
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n..');
    };
    const client = new Client().send('POST /early HTTP/1.1\r\nHost: web\r\nContent-Length: 6\r\n\r\nbeg');
    await client.until(() => client.text.endsWith('..'));
    client.send('end');
    await client.until(() => client.text.endsWith('..ok'));
    const next = new Client().send(request('/mark'));
    await next.until(() => next.text.endsWith('mark\n'));
    assert.notEqual(cameOn.get('/mark'), cameOn.get('/early'));
  });

  test('a GET with content ends the connection to the endpoint, a POST does not', async () => {
    respond = (socket) => socket.write(OK);
    for (const [method, reused] of [
      ['GET', false],
      ['HEAD', false],
      ['DELETE', false],
      ['POST', true],
    ] as const) {
      const answer = method === 'HEAD' ? OK.slice(0, -2) : OK;
      respond = (socket) => socket.write(answer);
      const client = new Client().send(`${method} /body HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n\r\nhello`);
      await client.until(() => client.text.length >= answer.length);
      client.send(request('/mark'));
      await client.until(() => client.text.endsWith('mark\n'));
      assert.equal(cameOn.get('/mark') === cameOn.get('/body'), reused, method);
      client.socket.destroy();
    }
  });
});
