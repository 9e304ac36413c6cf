/** Regressions of HTTP/2 on the data path that a review found: whole answers, bodies where none may be, what is sent again, what stays. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { DEFAULT_CAPS } from '../../agent/ipc/caps.ts';
import { request } from '../harness/http2-case.ts';
import type { Http2Endpoint } from '../harness/http2-endpoint.ts';
import * as h2 from '../harness/http2-frames.ts';
import { policy } from '../harness/worker-lab.ts';
import {
  MIXED,
  MORE,
  WEB,
  client,
  ok,
  plainExchange,
  resetHandlers,
  response,
  start,
  state,
  status,
  until,
} from './http2-review-lab.ts';

const NO_ERROR = 0;
const EVIL = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil';

describe('between HTTP/2 and HTTP/2', () => {
  before(() => start());
  after(() => state.lab.stop());
  beforeEach(resetHandlers);

  test('an answer that is complete but waits for windows is not cut short when its endpoint resets the rest', async () => {
    state.answer = (endpoint, { stream }) =>
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

  test('a client that goes is let go when its last stream has ended', async () => {
    const from = await client(WEB);
    state.answer = () => undefined;
    from.send(h2.headers(1, h2.block(request('GET'))), h2.goaway(0, NO_ERROR));
    await until('the request', () => state.endpoints[0]?.requests.length === 1);
    const endpoint = state.endpoints[0] as Http2Endpoint;
    ok(endpoint, { stream: 1, fields: new Map(), endStream: true });
    assert.equal((await response(from, 1)).status, '200');
    assert.equal(await from.next(), null);
    from.destroy();
  });

  for (const [method, code] of [
    ['HEAD', '200'],
    ['GET', '204'],
    ['GET', '304'],
  ] as const) {
    test(`${method}, ${code}: content that may not be there is not passed on`, async () => {
      state.answer = (endpoint, { stream }) =>
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
    state.answer = (endpoint, { stream }) => {
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
    state.answer = (endpoint, received) => {
      release = () => ok(endpoint, received);
    };
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => state.endpoints.some(({ requests }) => requests.length > 0));
    const pid = state.lab.workerPid;
    const before = execFileSync('prlimit', ['--pid', String(pid), '--nofile', '--output=SOFT', '--noheadings']);
    const used = Math.max(...readdirSync(`/proc/${pid}/fd`).map(Number)) + 1;
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${used}:`]);
    const more = Array.from({ length: used }, () => state.lab.dial('a', WEB, 80));
    await until('EMFILE', async () => ((await state.lab.stats()).counters['accept_emfile'] ?? 0) > 0);
    execFileSync('prlimit', ['--pid', String(pid), `--nofile=${before.toString().trim()}:`]);
    for (const socket of more) socket.destroy();
    release();
    const { status: code, body } = await response(from, 1);
    assert.deepEqual([code, body], ['200', 'ok']);
    assert.equal(state.endpoints.filter(({ requests }) => requests.length > 0).length, 1);
    from.destroy();
  });

  test('a pod that leaves leaves no connection to an endpoint behind', async () => {
    state.answer = () => undefined;
    const pod = await state.lab.addPod('e');
    const from = new h2.Http2Client(state.lab.dial('e', WEB, 80));
    await from.handshake();
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => state.endpoints.some(({ requests }) => requests.length > 0));
    const gone = state.lab.wait((message) => message.type === 'podGone' && message.index === pod.index);
    state.lab.send({ type: 'podRemove', index: pod.index });
    await gone;
    await until('the end of its connections', () => state.endpoints.every(({ closed }) => closed));
    assert.equal(state.endpoints.length, 1);
    from.destroy();
  });

  test('a policy that comes later ends a request whose answer is complete but whose body goes on', async () => {
    state.answer = ok;
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('POST')), MORE));
    assert.equal((await response(from, 1)).body, 'ok');
    const sent = state.endpoints[0] as Http2Endpoint;
    from.send(h2.data(1, 'first'));
    await until('the first octets', () => sent.frames.some(({ type }) => type === h2.DATA));
    await state.lab.mesh([policy('late', 'DENY', { app: 'b' }, [{ to: [{ paths: ['/'] }] }])]);
    from.send(h2.data(1, 'second'));
    await until('the end of the request', () => sent.frames.some(({ type }) => type === h2.RST_STREAM));
    await state.lab.mesh([], [{ kind: 'authorizationPolicy', key: 'default/late' }]);
    assert.equal(sent.frames.filter(({ type }) => type === h2.DATA).length, 1);
    from.destroy();
  });

  test('aborted requests of all kinds leave nothing booked and nothing open', async () => {
    const fds = (): number => readdirSync(`/proc/${state.lab.workerPid}/fd`).length;
    const round = async (): Promise<void> => {
      const seen = await requestsOf('a');
      state.answer = (endpoint, received) => {
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
        const socket = state.lab.dial('a', WEB, 80);
        socket.write(`POST ${path} HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nhalf`);
        return socket;
      });
      await until('all requests', async () => (await requestsOf('a')) >= seen + 5 * paths.length);
      for (const socket of texts) socket.destroy();
      for (const from of clients) from.destroy();
      await until('nothing in flight', async () => {
        const { counters } = await state.lab.stats();
        return counters['requests_in_flight'] === 0 && counters['connections'] === 0;
      });
      for (const endpoint of state.endpoints) endpoint.close();
      for (const socket of state.plainSockets) socket.destroy();
      state.endpoints = [];
      state.plainSockets = [];
    };
    await round();
    await until('the first round closed', async () => (await state.lab.stats()).counters['buffered_bytes'] === 0);
    const before = fds();
    for (let i = 0; i < 8; i++) await round();
    const names = ['requests_in_flight', 'pending_connections', 'buffered_bytes', 'connections', 'idle_upstreams'];
    await until('everything given back', async () => {
      const { counters } = await state.lab.stats();
      return names.every((name) => counters[name] === 0);
    });
    await until('descriptors given back', () => fds() <= before);
    const { pods } = await state.lab.stats();
    for (const { name, connectionsActive, requestsActive, pending, bufferedBytes } of pods) {
      assert.deepEqual([connectionsActive, requestsActive, pending, bufferedBytes], [0, 0, 0, 0], name);
    }
  });
});

async function requestsOf(pod: string): Promise<number> {
  return (await state.lab.stats()).pods.find(({ name }) => name === pod)?.requests ?? 0;
}

function hasStatus(from: h2.Http2Client, frame: h2.Frame, code: string): boolean {
  return from.fields(frame).some(({ name, value }) => name === ':status' && value === code);
}

describe('a pod that may hold nothing', () => {
  before(() => start({ ...DEFAULT_CAPS, pod: { ...DEFAULT_CAPS.pod, bufferedBytes: 60 } }));
  after(() => state.lab.stop());
  beforeEach(resetHandlers);

  test('a request for which a connection has to be made is answered 503', async () => {
    const from = await client(WEB);
    from.send(h2.headers(1, h2.block(request('GET'))));
    assert.equal((await response(from, 1)).status, '503');
    from.destroy();
    assert.equal((await state.lab.stats()).counters['pending_connections'], 0);
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
    await state.lab.stop();
    rmSync(folder, { recursive: true });
  });
  beforeEach(resetHandlers);

  test('an answer that trickles for longer than the idle timeout is not cut; a silent connection is', async () => {
    state.answer = (endpoint, { stream }) => {
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
    await until('the idle timeout', async () => ((await state.lab.stats()).bounds['idleTimeoutMs'] ?? 0) === 1);
    from.destroy();
  });
});
