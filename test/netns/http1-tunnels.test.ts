/**
 * Requests that turn their connection into a tunnel (Upgrade, CONNECT), and requests in flight, under a policy that changes:
 * what opened a connection's long life is what it goes on being judged by.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { until as eventually } from '../harness/hang.ts';
import { WorkerLab, httpRoute, policy, service, workload } from '../harness/worker-lab.ts';

const VIP = '10.96.0.62';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';
const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

let lab: WorkerLab;
/** The endpoint's connections: sockets, and what each has received. */
let served: { socket: Socket; text: string }[] = [];
/** Called with each chunk an endpoint receives. */
let onData: (connection: { socket: Socket; text: string }, chunk: string) => void;
let progress: () => void = () => undefined;

before(async () => {
  lab = await WorkerLab.start('all');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  await lab.serve('b', 8080, (socket) => {
    const connection = { socket, text: '' };
    served.push(connection);
    socket.on('data', (chunk: Buffer) => {
      connection.text += chunk.toString('latin1');
      onData(connection, chunk.toString('latin1'));
      progress();
    });
    socket.on('end', () => socket.end());
  });
});
after(() => lab.stop());
afterEach(() => {
  for (const { socket } of served) socket.destroy();
  served = [];
});

class Client {
  text = '';
  ended = false;
  /** Ended by RST. */
  reset = false;
  readonly socket = lab.dial('a', VIP, 80);

  constructor(first: string) {
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      progress();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.reset ||= error.code === 'ECONNRESET';
    });
    for (const event of ['end', 'close'] as const) {
      this.socket.on(event, () => {
        this.ended = true;
        progress();
      });
    }
    this.send(first);
  }

  send(octets: string): void {
    this.socket.write(Buffer.from(octets, 'latin1'));
  }
}

/** Waits for an event after which the condition holds; a state that is never reached is shown, not waited for. */
async function until(condition: () => boolean): Promise<void> {
  const state = (): string => JSON.stringify(served.map(({ text }) => text));
  while (!condition()) {
    await new Promise<void>((resolve, reject) => {
      const patience = setTimeout(
        () => reject(new Error(`not reached: ${condition.toString()}; served ${state()}`)),
        15_000,
      );
      progress = () => {
        clearTimeout(patience);
        resolve();
      };
    });
  }
}

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: web\r\n${fields}\r\n`;
const connect = (target: string, fields = ''): string =>
  `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${fields}\r\n`;

/** One policy for the length of `body`. */
async function under(resource: ReturnType<typeof policy>, body: () => Promise<void>): Promise<void> {
  await lab.mesh([resource]);
  try {
    await body();
  } finally {
    await lab.mesh([], [{ kind: 'authorizationPolicy', key: `default/${resource.name}` }]);
  }
}

const deny = (to: Parameters<typeof policy>[3][0]['to']): ReturnType<typeof policy> =>
  policy('p', 'DENY', { app: 'b' }, [{ to: to ?? [] }]);

describe('WebSocket', () => {
  /** Accepts, then echoes. */
  const echoing = (): void => {
    onData = ({ socket, text }, chunk) => {
      if (text === chunk) socket.write(SWITCH);
      else socket.write(Buffer.from(chunk, 'latin1'));
    };
  };

  test('frames, pings included, pass as they are; both ends may close', async () => {
    echoing();
    const client = new Client(get('/ws', WEBSOCKET));
    await until(() => client.text === SWITCH);
    assert.equal(served[0]?.text, get('/ws', WEBSOCKET), 'the request is passed on as it is');
    const ping = '\x89\x80\x01\x02\x03\x04';
    const frames = `${ping}\x82\x04\0\xff\r\n${ping}GET / HTTP/1.1\r\n\r\n`;
    client.send(frames);
    await until(() => client.text === SWITCH + frames);
    client.send('\x88\x00');
    client.socket.end();
    await until(() => client.ended);
    assert.equal(client.text, `${SWITCH + frames}\x88\x00`);
  });

  test('octets sent before 101 wait for it', async () => {
    onData = () => undefined;
    const client = new Client(get('/ws', WEBSOCKET));
    client.send('early');
    await until(() => served.length === 1 && served[0]?.text !== '');
    const [connection] = served as [{ socket: Socket; text: string }];
    // A round trip on another connection: the early octets have had their time.
    onData = ({ socket }) => socket.write(OK);
    const other = new Client(get('/other'));
    await until(() => other.text === OK);
    assert.equal(connection.text, get('/ws', WEBSOCKET));
    onData = () => undefined;
    connection.socket.write(`${SWITCH}first`);
    await until(() => client.text === `${SWITCH}first` && connection.text.endsWith('early'));
    assert.equal(connection.text, `${get('/ws', WEBSOCKET)}early`);
    client.socket.destroy();
    other.socket.destroy();
  });

  for (const status of ['200 OK', '403 Forbidden', '426 Upgrade Required']) {
    test(`refused with ${status}: an ordinary response, and both connections go on`, async () => {
      const refusal = `HTTP/1.1 ${status}\r\ncontent-length: 2\r\n\r\nno`;
      onData = ({ socket }, chunk) => socket.write(chunk.includes('/ws') ? refusal : OK);
      const client = new Client(get('/ws', WEBSOCKET));
      await until(() => client.text === refusal);
      client.send(get('/after'));
      await until(() => client.text === refusal + OK);
      assert.equal(served.length, 1);
      client.socket.destroy();
    });
  }

  test('an upgrade to h2c is answered over HTTP/1.1', async () => {
    onData = ({ socket }) => socket.write(OK);
    const client = new Client(
      get(
        '/h2c',
        'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n',
      ),
    );
    await until(() => client.text === OK);
    assert.equal(served[0]?.text, get('/h2c'));
    client.socket.destroy();
  });

  test('a policy that denies the request which opened it cuts it; one that denies another does not', async () => {
    echoing();
    const chat = new Client(get('/chat', WEBSOCKET));
    const admin = new Client(get('/admin', WEBSOCKET));
    await until(() => chat.text === SWITCH && admin.text === SWITCH);
    await under(deny([{ paths: ['/admin*'] }]), async () => {
      await until(() => admin.ended);
      chat.send('still here');
      await until(() => chat.text === `${SWITCH}still here`);
    });
    assert.ok(admin.reset);
    chat.socket.destroy();
  });
});

describe('CONNECT', () => {
  test('2xx opens a tunnel; lengths in it mean nothing and go no further', async () => {
    onData = ({ socket, text }, chunk) => {
      if (text === chunk)
        socket.write(
          'HTTP/1.1 200 Established\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nX: y\r\n\r\nfirst',
        );
      else socket.write(chunk.toUpperCase());
    };
    const client = new Client(connect('db.example.com:443'));
    await until(() => client.text.endsWith('first'));
    assert.equal(client.text, 'HTTP/1.1 200 Established\r\nX: y\r\n\r\nfirst');
    assert.equal(served[0]?.text, connect('db.example.com:443'));
    client.send('0\r\n\r\nget / http/1.1\r\n\r\n');
    await until(() => client.text.endsWith('GET / HTTP/1.1\r\n\r\n'));
    client.socket.end();
    await until(() => client.ended);
  });

  test('HTTP/1.0 and Connection: close do not change that', async () => {
    onData = ({ socket }) => socket.write('HTTP/1.0 200 OK\r\n\r\nhello');
    for (const head of ['CONNECT a:1 HTTP/1.0\r\n\r\n', connect('a:1', 'Connection: close\r\n')]) {
      const client = new Client(head);
      await until(() => client.text.endsWith('hello'));
      assert.equal(client.text, 'HTTP/1.1 200 OK\r\n\r\nhello');
      client.socket.destroy();
    }
  });

  test('octets sent before the answer reach the endpoint after 2xx, and nobody after a refusal', async () => {
    onData = ({ socket, text }, chunk) => {
      if (text === chunk) socket.write('HTTP/1.1 200 OK\r\n\r\n');
    };
    const opened = new Client(`${connect('a:1')}hello`);
    await until(() => opened.text !== '' && served[0]?.text.endsWith('hello') === true);
    assert.equal(opened.text, 'HTTP/1.1 200 OK\r\n\r\n');
    opened.socket.destroy();
    served = [];

    const refusal = 'HTTP/1.1 407 Who\r\ncontent-length: 2\r\n\r\nno';
    onData = ({ socket }) => socket.write(refusal);
    const refused = new Client(connect('a:1') + get('/in-the-tunnel'));
    await until(() => refused.ended);
    assert.equal(refused.text, refusal.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    assert.equal(served.map(({ text }) => text).join(''), connect('a:1'));
  });

  test('101 to CONNECT is malformed', async () => {
    onData = ({ socket }) => socket.write(SWITCH);
    const client = new Client(connect('a:1', WEBSOCKET));
    await until(() => client.ended);
    assert.match(client.text, /^HTTP\/1\.1 502 [^]*UPSTREAM_MALFORMED/);
    client.socket.destroy();
  });

  test('policy sees method and host, and no path', async () => {
    onData = ({ socket }) => socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const outcome = async (target = 'a:1'): Promise<string> => {
      const client = new Client(connect(target));
      await until(() => client.text.includes('\r\n\r\n'));
      client.socket.destroy();
      return client.text.slice(9, 12);
    };
    await under(deny([{ methods: ['CONNECT'] }]), async () => assert.equal(await outcome(), '403'));
    await under(deny([{ hosts: ['*.example.com'] }]), async () => {
      assert.equal(await outcome('db.example.com:1'), '403');
      assert.equal(await outcome('db.example.org:1'), '200');
    });
    await under(deny([{ paths: ['*'] }]), async () => assert.equal(await outcome(), '200'));
    const allow = policy('p', 'ALLOW', { app: 'b' }, [{ to: [{ paths: ['/*'] }] }]);
    await under(allow, async () => assert.equal(await outcome(), '403'));
  });

  test('routes: a rule for every path takes it, a rule for a path does not', async () => {
    onData = ({ socket }) => socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const backends = [{ namespace: 'default', name: 'web', port: 80, weight: 1, filters: [], valid: true }];
    for (const [prefix, status] of [
      ['/', '200'],
      ['/proxy', '404'],
    ] as const) {
      const path = { type: 'prefix' as const, value: prefix };
      const matches = [{ path, method: null, headers: [], queryParams: [] }];
      await lab.mesh([httpRoute('r', 'web', [{ name: null, matches, filters: [], backends }])]);
      const client = new Client(connect('a:1'));
      await until(() => client.text.includes('\r\n\r\n'));
      assert.equal(client.text.slice(9, 12), status);
      client.socket.destroy();
    }
    await lab.mesh([], [{ kind: 'httpRoute', key: 'default/r' }]);
  });

  test('a policy that denies it cuts the tunnel', async () => {
    onData = ({ socket, text }, chunk) => socket.write(text === chunk ? 'HTTP/1.1 200 OK\r\n\r\n' : chunk);
    const bad = new Client(connect('bad.example:1'));
    const good = new Client(connect('good.example:1'));
    await until(() => bad.text !== '' && good.text !== '');
    await under(deny([{ hosts: ['bad.example'] }]), async () => {
      await until(() => bad.ended);
      good.send('here');
      await until(() => good.text.endsWith('here'));
    });
    good.socket.destroy();
  });

  test('the access log has its method and host', async () => {
    onData = ({ socket }) => socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const client = new Client(connect('logged.example:1'));
    await until(() => client.text !== '');
    client.socket.destroy();
    const line = (): string | undefined => lab.accessLines.find((each) => each.includes('logged.example'));
    await eventually(() => line() !== undefined);
    const { method, host, path, status } = JSON.parse(line() as string) as Record<string, unknown>;
    assert.deepEqual([method, host, path, status], ['CONNECT', 'logged.example', '', 200]);
  });
});

test('what weir answers itself counts by its body, as any response does', async () => {
  await under(deny([{ paths: ['/counted'] }]), async () => {
    for (const [method, counts] of [
      ['GET', true],
      ['HEAD', false],
    ] as const) {
      const client = new Client(get('/counted').replace('GET', method));
      await until(() => /\r\n\r\n(?:[^]+\n)?$/.test(client.text));
      client.socket.destroy();
      const line = (): string | undefined =>
        lab.accessLines.find((each) => each.includes(`"${method}"`) && each.includes('/counted'));
      await eventually(() => line() !== undefined);
      const { bytesToClient } = JSON.parse(line() as string) as { bytesToClient: number };
      const length = Number(/content-length: (\d+)/.exec(client.text)?.[1]);
      assert.equal(bytesToClient, counts ? length : 0);
    }
  });
});

describe('requests in flight when a rule about HTTP appears', () => {
  const STREAM = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n..\r\n';
  const shapes: readonly (readonly [string, (path: string) => string])[] = [
    ['a plain request', (path) => get(path)],
    ['a head that is rewritten', (path) => get(path, 'Connection: close\r\n')],
    ['a body still to come', (path) => `POST ${path} HTTP/1.1\r\nHost: web\r\nContent-Length: 9\r\n\r\nhalf`],
    ['a large head', (path) => get(path, `X: ${'y'.repeat(9_000)}\r\n`)],
  ];
  for (const [what, make] of shapes) {
    for (const answered of [true, false]) {
      test(`${what}, response ${answered ? 'begun' : 'awaited'}: the denied one is cut, the other is not`, async () => {
        // Once on a new connection to the endpoint, once on one that was used before.
        onData = ({ socket }) => socket.write(OK);
        const warm = new Client(get('/warm'));
        await until(() => warm.text === OK);
        warm.socket.destroy();
        onData = ({ socket }) => {
          if (answered) socket.write(STREAM);
        };
        const started = served.length;
        const denied = new Client(make('/admin'));
        await until(() => served.some(({ text }) => text.includes('/admin')));
        const allowed = new Client(make('/open'));
        await until(() => served.some(({ text }) => text.includes('/open')));
        assert.ok(served.length > started, 'two are in flight on two connections');
        if (answered) await until(() => denied.text.endsWith('..\r\n') && allowed.text.endsWith('..\r\n'));
        await under(deny([{ paths: ['/admin'] }]), async () => {
          await until(() => denied.ended);
          const open = served.find(({ text }) => text.includes('/open'));
          open?.socket.write(answered ? '0\r\n\r\n' : OK);
          await until(() => allowed.text.endsWith(answered ? '0\r\n\r\n' : 'ok'));
        });
        assert.ok(denied.reset || denied.text === '', 'never a complete response');
        allowed.socket.destroy();
      });
    }
  }
});
