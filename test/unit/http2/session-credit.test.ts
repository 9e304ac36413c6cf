/** Flow control over the long run: credit is neither lost nor invented, whatever becomes of the streams it was spent on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CONNECTION_LOST } from '../../../agent/http2/stream.ts';
import { limits } from '../../../agent/limits.ts';
import { POST, request } from '../../harness/http2-case.ts';
import * as h2 from '../../harness/http2-frames.ts';
import { FrameChecker, framesOf } from './frame-checker.ts';
import { type CheckedHandler, Feeder, list, TestClient, TestServer } from './session-support.ts';

const WINDOW_INITIAL = 65_535;

/** A client by hand that keeps to the windows: it can only go on while it is given credit for what it sent. */
class Uploader {
  readonly server = new TestServer();
  readonly #feeder = new Feeder(this.server.session);
  readonly #checker = new FrameChecker(limits.http2ConnectionWindowBytes);
  #connectionWindow = WINDOW_INITIAL;
  readonly #windows = new Map<number, number>();
  readonly reset = new Set<number>();

  constructor() {
    this.#feeder.feed(h2.PREFACE);
    this.send(h2.settings([h2.INITIAL_WINDOW_SIZE, 0x7fff_ffff]), h2.windowUpdate(0, 0x7fff_0000));
  }

  send(...frames: Buffer[]): void {
    for (const octets of frames) {
      for (const frame of framesOf(octets).frames) this.#checker.client(frame);
      this.#feeder.feed(octets);
      const output = this.server.sink.take();
      this.#checker.server(output);
      for (const { type, stream, payload } of framesOf(output).frames) {
        if (type === h2.RST_STREAM) this.reset.add(stream);
        if (type !== h2.WINDOW_UPDATE) continue;
        const increment = payload.readUInt32BE(0);
        if (stream === 0) this.#connectionWindow += increment;
        else this.#windows.set(stream, (this.#windows.get(stream) as number) + increment);
      }
    }
    assert.equal(this.server.session.failed, -1, this.server.session.failure);
  }

  open(stream: number, block = POST): void {
    this.#windows.set(stream, WINDOW_INITIAL);
    this.send(h2.headers(stream, block, h2.END_HEADERS));
  }

  /** False when the stream's own window is used up. */
  data(stream: number, payload: Buffer, flags: number): boolean {
    const window = this.#windows.get(stream) as number;
    assert.ok(this.#connectionWindow >= payload.length, 'credit of the connection was lost');
    if (window < payload.length) return false;
    this.#windows.set(stream, window - payload.length);
    this.#connectionWindow -= payload.length;
    this.send(h2.data(stream, payload, flags));
    return true;
  }
}

describe('flow-control credit', () => {
  /** Streams 1, 9, 17, … are echoed; 3 answered at once; 5 never answered; 7 reset by us at the first DATA. */
  const habits = { 1: 'echoed', 3: 'answered early', 5: 'never answered', 7: 'reset by us' } as const;
  for (const [first, habit] of Object.entries(habits)) {
    it(`32 MiB in padded frames, each stream ${habit}`, () => {
      const uploader = new Uploader();
      // 200 octets of padding, and the octet that says so.
      const payload = Buffer.alloc(16_000, 0x78);
      payload[0] = 200;
      let sent = 0;
      for (let stream = Number(first); sent < 32 * 1024 * 1024; stream += 8) {
        uploader.open(stream);
        for (let i = 0; i < 500 && !uploader.reset.has(stream); i++) {
          const hasWindow = uploader.data(stream, payload, h2.PADDED);
          assert.ok(hasWindow || habit === 'never answered', 'credit of the stream was lost');
          if (!hasWindow) break;
          sent += payload.length;
        }
        if (!uploader.reset.has(stream)) uploader.data(stream, Buffer.alloc(0), h2.END_STREAM);
        if (habit === 'never answered') uploader.send(h2.rstStream(stream, h2.CANCEL));
      }
      assert.deepEqual(uploader.server.bounds, []);
    });
  }

  it('DATA that breaks its content-length gives its credit back, too', () => {
    const uploader = new Uploader();
    const block = h2.block(request('POST', [['content-length', '1']]));
    for (let stream = 1; stream < 800; stream += 2) {
      uploader.open(stream, block);
      assert.ok(uploader.data(stream, Buffer.alloc(16_000), 0));
      assert.ok(uploader.reset.has(stream));
    }
  });

  it('DATA for streams that are gone gives its credit back, too', () => {
    const uploader = new Uploader();
    uploader.open(7);
    const payload = Buffer.alloc(16_000, 0x78);
    // The first is reset by us; what the client sent before it could know is dropped.
    for (let i = 0; i < 4; i++) assert.ok(uploader.data(7, payload, 0));
    for (let stream = 15; stream < 15 + 8 * 300; stream += 8) {
      uploader.open(stream);
      for (let i = 0; i < 4; i++) assert.ok(uploader.data(stream, payload, 0));
    }
  });
});

/** Both ends of our own making, with a wire that stalls. */
class Pair {
  readonly client = new TestClient();
  readonly server = new TestServer(true);
  readonly #toServer = new Feeder(this.server.session);
  readonly #toClient = new Feeder(this.client.session);

  /** Carries what was sent, until nothing is left to carry. */
  carry(): void {
    for (;;) {
      const up = this.client.sink.take();
      this.#toServer.feed(up);
      const down = this.server.sink.take();
      this.#toClient.feed(down);
      if (up.length === 0 && down.length === 0) return;
    }
  }

  stall(client: boolean, server: boolean): void {
    this.client.sink.blocked = client;
    this.server.sink.blocked = server;
    if (!client) this.client.session.sendListed();
    if (!server) this.server.session.sendListed();
  }
}

describe('two ends', () => {
  it('bodies of any size come back whole, whatever stalls and whoever gives up', () => {
    const step = fc.record({
      stream: fc.nat(7),
      octets: fc.oneof(fc.nat(300), fc.integer({ min: 10_000, max: 200_000 })),
      action: fc.constantFrom('data', 'data', 'data', 'end', 'trailers', 'reset'),
      stallClient: fc.boolean(),
      stallServer: fc.boolean(),
      carry: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const pair = new Pair();
        pair.carry();
        const requests = Array.from({ length: 8 }, (_, i) => ({
          ...pair.client.request(`/${i}`, false),
          sent: [] as Buffer[],
          state: 'open' as 'open' | 'ended' | 'reset',
        }));
        for (const [i, { stream, octets, action, stallClient, stallServer, carry }] of steps.entries()) {
          const request = requests[stream];
          if (request === undefined || request.state !== 'open') continue;
          pair.stall(stallClient, stallServer);
          if (action === 'reset') {
            request.stream.reset(8);
            request.state = 'reset';
          } else if (action === 'trailers') {
            request.stream.sendTrailers(list({ 'x-sum': String(stream) }));
            request.state = 'ended';
          } else {
            const body = Buffer.alloc(octets, 0x61 + (i % 26));
            request.sent.push(body);
            request.handler.keptBytes += request.stream.sendData(body, 0, octets, action === 'end');
            if (action === 'end') request.state = 'ended';
          }
          if (carry) pair.carry();
        }
        for (const request of requests.filter(({ state }) => state === 'open')) {
          request.stream.sendData(Buffer.alloc(0), 0, 0, true);
          request.state = 'ended';
        }
        settle(
          pair,
          requests.map(({ stream, handler }) => ({ stream, handler })),
        );
        assert.equal(pair.client.session.failed, -1, pair.client.session.failure);
        assert.equal(pair.server.session.failed, -1, pair.server.session.failure);
        for (const { handler, sent, state } of requests) {
          if (state !== 'ended') continue;
          assert.equal(handler.resetCode, -1);
          assert.ok(handler.ended);
          assert.ok(Buffer.concat(sent).equals(Buffer.concat(handler.received)));
        }
        assert.equal(pair.client.session.active + pair.server.session.active, 0);
        pair.client.session.end(CONNECTION_LOST);
      }),
      { numRuns: 150 },
    );
  });
});

interface Given {
  readonly stream: { consumed(octets: number): void };
  readonly handler: CheckedHandler;
}

/** Lets everything through; the client gives credit for what it has read. */
function settle(pair: Pair, requests: readonly Given[]): void {
  const credited = new Map<Given, number>();
  for (let quiet = 0; quiet < 2; ) {
    pair.stall(false, false);
    pair.carry();
    let fresh = 0;
    for (const request of requests) {
      const read = request.handler.received.reduce((sum, { length }) => sum + length, 0);
      const octets = read - (credited.get(request) ?? 0);
      credited.set(request, read);
      if (octets > 0) request.stream.consumed(octets);
      fresh += octets;
    }
    quiet = fresh === 0 ? quiet + 1 : 0;
  }
}
