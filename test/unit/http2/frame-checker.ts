/**
 * Watches both directions of a server's connection and holds its frames against RFC 9113: order, states, windows, counts.
 * It shares no code with the product, and knows only what goes over the wire.
 */
import assert from 'node:assert/strict';
import * as h2 from '../../harness/http2-frames.ts';
import { ReferenceDecoder } from './hpack-reference.ts';

const FRAME_BYTES_MAX = 16_384;
const WINDOW_INITIAL = 65_535;

/** The frames at the beginning of `octets`, and what is left behind them. */
export function framesOf(octets: Buffer): { frames: h2.Frame[]; rest: Buffer } {
  const frames: h2.Frame[] = [];
  let rest = octets;
  while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
    const end = 9 + rest.readUIntBE(0, 3);
    const [type, flags] = [rest[3] as number, rest[4] as number];
    frames.push({ type, flags, stream: rest.readUInt32BE(5) & 0x7fff_ffff, payload: rest.subarray(9, end) });
    rest = rest.subarray(end);
  }
  return { frames, rest };
}

interface StreamState {
  sendWindow: number;
  receiveWindow: number;
  headSent: boolean;
  /** The server has ended its half. */
  ended: boolean;
  reset: boolean;
}

export class FrameChecker {
  readonly #connectionWindowMax: number;
  readonly #streams = new Map<number, StreamState>();
  readonly #decoder = new ReferenceDecoder();
  #first = true;
  #failed = false;
  #initialWindow = WINDOW_INITIAL;
  #sendWindow = WINDOW_INITIAL;
  #receiveWindow = WINDOW_INITIAL;
  #lastOpened = 0;
  #settingsDue = 0;
  #pingsDue: string[] = [];
  #block: Buffer[] = [];
  #blockStream = 0;

  /** @param connectionWindowMax what the server may let a client send over all streams, octets */
  constructor(connectionWindowMax: number) {
    this.#connectionWindowMax = connectionWindowMax;
  }

  /** A frame the client sends next. */
  client({ type, flags, stream, payload }: h2.Frame): void {
    if (type === h2.HEADERS && stream % 2 === 1 && stream > this.#lastOpened) {
      this.#lastOpened = stream;
      this.#streams.set(stream, {
        sendWindow: this.#initialWindow,
        receiveWindow: WINDOW_INITIAL,
        headSent: false,
        ended: false,
        reset: false,
      });
    } else if (type === h2.DATA) {
      this.#receiveWindow -= payload.length;
      const state = this.#streams.get(stream);
      if (state !== undefined) state.receiveWindow -= payload.length;
    } else if (type === h2.SETTINGS && flags % 2 === 0 && payload.length % 6 === 0) {
      this.#settingsDue++;
      this.#clientSettings(payload);
    } else if (type === h2.PING && flags % 2 === 0 && payload.length === 8) {
      this.#pingsDue.push(payload.toString('latin1'));
    } else if (type === h2.WINDOW_UPDATE && payload.length === 4) {
      const increment = payload.readUInt32BE(0) & 0x7fff_ffff;
      const state = this.#streams.get(stream);
      if (stream === 0) this.#sendWindow += increment;
      else if (state !== undefined) state.sendWindow += increment;
    }
  }

  #clientSettings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== h2.INITIAL_WINDOW_SIZE) continue;
      const grown = payload.readUInt32BE(at + 2) - this.#initialWindow;
      this.#initialWindow += grown;
      for (const state of this.#streams.values()) state.sendWindow += grown;
    }
  }

  /** All that the server has sent since the last call; whole frames. */
  server(octets: Buffer): void {
    const { frames, rest } = framesOf(octets);
    assert.equal(rest.length, 0, 'the server sends whole frames');
    for (const frame of frames) {
      assert.ok(!this.#failed, `after GOAWAY with an error: ${h2.describeFrame(frame)}`);
      assert.ok(frame.payload.length <= FRAME_BYTES_MAX, h2.describeFrame(frame));
      assert.equal(this.#first, frame.type === h2.SETTINGS && frame.flags === 0, 'SETTINGS first and once');
      this.#first = false;
      assert.equal(this.#blockStream !== 0, frame.type === h2.CONTINUATION, 'a header block is not interrupted');
      this.#serverFrame(frame);
    }
  }

  #serverFrame(frame: h2.Frame): void {
    const { type, flags, stream, payload } = frame;
    if (type === h2.SETTINGS) {
      assert.ok(stream === 0 && (flags === 0 || payload.length === 0));
      if (flags === h2.ACK) assert.ok(this.#settingsDue-- > 0, 'SETTINGS acknowledged that were not sent');
    } else if (type === h2.PING) {
      assert.equal(flags, h2.ACK);
      assert.equal(payload.toString('latin1'), this.#pingsDue.shift());
    } else if (type === h2.GOAWAY) {
      assert.ok(stream === 0 && payload.length >= 8);
      assert.ok(payload.readUInt32BE(0) <= this.#lastOpened, 'the last stream of GOAWAY is one that was opened');
      this.#failed = payload.readUInt32BE(4) !== 0;
    } else if (type === h2.WINDOW_UPDATE) {
      this.#windowUpdate(frame);
    } else {
      this.#streamFrame(frame);
    }
  }

  #windowUpdate({ stream, payload }: h2.Frame): void {
    const increment = payload.readUInt32BE(0);
    assert.ok(payload.length === 4 && increment > 0);
    if (stream === 0) {
      this.#receiveWindow += increment;
      assert.ok(this.#receiveWindow <= this.#connectionWindowMax, 'the connection’s window outgrows its bound');
      return;
    }
    const state = this.#known(stream);
    assert.ok(!state.reset, 'WINDOW_UPDATE on a stream that the server has reset');
    state.receiveWindow += increment;
    assert.ok(state.receiveWindow <= WINDOW_INITIAL, 'a stream’s window outgrows its bound');
  }

  #known(stream: number): StreamState {
    const state = this.#streams.get(stream);
    assert.ok(state, `a frame on stream ${stream}, which nobody opened`);
    return state;
  }

  #streamFrame({ type, flags, stream, payload }: h2.Frame): void {
    if (type === h2.RST_STREAM) {
      assert.equal(payload.length, 4);
      // A stream may be reset that never came to be, or after its end: what the client sent on it was wrong.
      assert.ok(stream % 2 === 1 && stream <= this.#lastOpened, 'RST_STREAM on an idle stream');
      const state = this.#streams.get(stream);
      if (state !== undefined) state.reset = true;
      return;
    }
    const state = this.#known(stream);
    if (type === h2.DATA) {
      assert.ok(state.headSent && !state.ended && !state.reset, 'DATA before the head or after the end');
      state.sendWindow -= payload.length;
      this.#sendWindow -= payload.length;
      assert.ok(payload.length === 0 || (state.sendWindow >= 0 && this.#sendWindow >= 0), 'DATA beyond a window');
      state.ended = (flags & h2.END_STREAM) !== 0;
      return;
    }
    assert.ok(type === h2.HEADERS || type === h2.CONTINUATION, `a frame of type ${type}`);
    if (type === h2.HEADERS) {
      assert.ok(!state.ended && !state.reset, 'HEADERS after the end');
      state.headSent = true;
      state.ended = (flags & h2.END_STREAM) !== 0;
    } else {
      assert.equal(stream, this.#blockStream);
    }
    this.#block.push(payload);
    this.#blockStream = stream;
    if ((flags & h2.END_HEADERS) === 0) return;
    assert.ok(this.#decoder.decode(Buffer.concat(this.#block)).length > 0);
    this.#block = [];
    this.#blockStream = 0;
  }
}
