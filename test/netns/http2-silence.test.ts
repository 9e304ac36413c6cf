/** What nobody uses any more does not keep a connection: silent streams, endpoints that go, waits that were given up. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { request } from '../harness/http2-case.ts';
import type { Http2Endpoint } from '../harness/http2-endpoint.ts';
import * as h2 from '../harness/http2-frames.ts';
import { service, workload } from '../harness/worker-lab.ts';
import { client, MORE, ok, resetHandlers, response, start, state, status, until, WEB } from './http2-review-lab.ts';

const NO_ERROR = 0;
const LATE = '10.96.0.63';
/** Bounds of the worker under test, so that minutes and hours need not pass. */
const SHORT = { halfCloseTimeoutMs: 300, idleTimeoutMs: 2_000, http2SettingsTimeoutMs: 300 };

const endpoint = (): Http2Endpoint => state.endpoints[0] as Http2Endpoint;
const bound = async (name: string): Promise<number> => (await state.lab.stats()).bounds[name] ?? 0;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A POST whose body is still to come. */
function post(stream: number): Buffer {
  return h2.headers(stream, h2.block(request('POST')), MORE);
}

/** The endpoint has that many requests. */
function requests(count: number): Promise<void> {
  return until(`request ${count}`, () => (state.endpoints[0]?.requests.length ?? 0) >= count);
}

/** Code of the RST_STREAM that a client is sent. */
async function resetOf(from: h2.Http2Client, stream: number): Promise<number> {
  const frame = await from.until('RST_STREAM', (each) => each.type === h2.RST_STREAM && each.stream === stream);
  return frame.payload.readUInt32BE(0);
}

describe('nobody waits for what is silent', () => {
  let folder = '';

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weir-limits-'));
    const here = new URL('../../', import.meta.url).href;
    const limitsUrl = `${here.endsWith('/dist/') ? here : `${here}dist/`}agent/limits.js`; // the worker runs from dist
    const preload = join(folder, 'limits.mjs');
    const assign = `Object.assign(limits, ${JSON.stringify(SHORT)});`;
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

  test('an endpoint that goes is not kept by a call that its client has forgotten', async () => {
    const before = await bound('halfCloseTimeoutMs');
    state.answer = () => undefined;
    const from = await client(WEB);
    from.send(post(1));
    await requests(1);
    endpoint().send(h2.goaway(1, NO_ERROR));
    assert.equal(await resetOf(from, 1), h2.CANCEL);
    await until('the end of its connection', () => endpoint().closed);
    assert.equal(await bound('halfCloseTimeoutMs'), before + 1);
    from.destroy();
  });

  test('an endpoint that goes has all the time it wants for what was sent whole, and for what it has begun to answer', async () => {
    state.answer = () => undefined;
    const from = await client(WEB);
    from.send(post(1), post(3), h2.headers(5, h2.block(request('POST'))));
    await requests(3);
    const [forgotten, begun, whole] = endpoint().requests.map(({ stream }) => stream) as [number, number, number];
    endpoint().send(h2.headers(begun, status('200'), MORE), h2.goaway(whole, NO_ERROR));
    endpoint().send(h2.goaway(whole, NO_ERROR));
    assert.equal(await resetOf(from, 1), h2.CANCEL);
    const isReset = (each: h2.Frame): boolean => each.type === h2.RST_STREAM;
    await until('the reset of what was forgotten', () => endpoint().frames.some(isReset));
    // As long again as it took: nothing else is reset meanwhile. A client that sends nothing at all would be idle.
    for (let i = 0; i < 8; i++) {
      from.send(h2.ping('12345678'));
      await pause(100);
    }
    endpoint().send(h2.data(begun, 'late', h2.END_STREAM), h2.headers(whole, status('204')));
    assert.equal((await response(from, 5)).status, '204');
    assert.deepEqual(
      endpoint()
        .frames.filter(isReset)
        .map(({ stream }) => stream),
      [forgotten],
    );
    from.send(h2.data(3, '', h2.END_STREAM));
    await until('the end of its connection', () => endpoint().closed);
    from.destroy();
  });

  test('a silent stream ends although its connection is busy', async () => {
    state.answer = (at, received) => {
      if (received.endStream) ok(at, received);
    };
    const before = await bound('idleTimeoutMs');
    const from = await client(WEB);
    from.send(post(1));
    await requests(1);
    const reset = resetOf(from, 1);
    let ended = false;
    void reset.then(() => (ended = true));
    let next = 3;
    for (; !ended && next < 403; next += 2) {
      from.send(h2.headers(next, h2.block(request('GET'))));
      await pause(50);
    }
    assert.equal(await reset, h2.CANCEL);
    const isReset = (each: h2.Frame): boolean => each.type === h2.RST_STREAM;
    await until('its reset at the endpoint', () => endpoint().frames.some(isReset));
    from.send(h2.headers(next, h2.block(request('GET'))));
    assert.equal((await response(from, next)).status, '200');
    assert.equal(await bound('idleTimeoutMs'), before + 1);
    from.destroy();
  });

  test('a wait for SETTINGS that was given up does not end the connection under others', async () => {
    let socket: Socket | null = null;
    await state.lab.serve('c', 8083, (made) => (socket = made));
    const c = state.lab.pods.get('c');
    assert.ok(c !== undefined);
    const ports = { 'default/late': [{ servicePort: 80, targetPort: 8083 }] };
    await state.lab.mesh([service('late', LATE, 80, 'http2'), workload(c, { app: 'c' }, ports)]);
    const from = await client(LATE);
    from.send(h2.headers(1, h2.block([...request('CONNECT'), [':protocol', 'websocket']]), MORE));
    await until('the connection', () => socket !== null);
    from.send(h2.rstStream(1, h2.CANCEL), h2.headers(3, h2.block(request('POST'))));
    // It is the first on that connection: the tunnel never came to be.
    await pause(2 * SHORT.http2SettingsTimeoutMs);
    (socket as unknown as Socket).write(Buffer.concat([h2.settings(), h2.headers(1, status('204'))]));
    assert.deepEqual(await response(from, 3).then(({ status: code, reset }) => [code, reset]), ['204', -1]);
    from.destroy();
  });
});
