/**
 * HTTP/2 by hand (RFC 9113): any frame can be built, right or wrong, and what comes back is read frame by frame. It keeps no
 * stream states, no windows and no manners; the tests do. Header blocks are stateless unless a test writes its own.
 */
import type { Duplex } from 'node:stream';
import { type Field, ReferenceDecoder, ReferenceEncoder, type Representation } from '../unit/http2/hpack-reference.ts';

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;
const FRAME_NAMES = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
];

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
const WITH_PRIORITY = 0x20;

export const PROTOCOL_ERROR = 1;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;

export const HEADER_TABLE_SIZE = 1;
export const ENABLE_PUSH = 2;
export const MAX_CONCURRENT_STREAMS = 3;
export const INITIAL_WINDOW_SIZE = 4;
export const MAX_FRAME_SIZE = 5;
export const MAX_HEADER_LIST_SIZE = 6;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A frame of any type, flags and payload; nothing is checked. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

function uint32(...values: number[]): Buffer {
  const octets = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) octets.writeUInt32BE(value, i * 4);
  return octets;
}

export function data(stream: number, payload: Uint8Array | string, flags = 0): Buffer {
  return frame(DATA, flags, stream, payload);
}

export function headers(stream: number, block: Uint8Array, flags = END_HEADERS | END_STREAM): Buffer {
  return frame(HEADERS, flags, stream, block);
}

/** HEADERS with what RFC 9113 section 5.3 has deprecated; `weight` as on the wire, one less than meant. */
export function headersWithPriority(stream: number, block: Uint8Array, dependency: number, weight: number): Buffer {
  const payload = Buffer.concat([uint32(dependency), Buffer.of(weight), block]);
  return frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, stream, payload);
}

export function continuation(stream: number, block: Uint8Array, flags = 0): Buffer {
  return frame(CONTINUATION, flags, stream, block);
}

/** `weight` as on the wire, one less than meant. */
export function priority(stream: number, dependency: number, weight: number, exclusive = false): Buffer {
  const word = exclusive ? dependency + 0x8000_0000 : dependency;
  return frame(PRIORITY, 0, stream, Buffer.concat([uint32(word), Buffer.of(weight)]));
}

export function rstStream(stream: number, code: number): Buffer {
  return frame(RST_STREAM, 0, stream, uint32(code));
}

export function settings(...values: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  for (const [i, [id, value]] of values.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(SETTINGS, 0, 0, payload);
}

/** `payload` of eight octets, as it should be. */
export function ping(payload: string, flags = 0): Buffer {
  return frame(PING, flags, 0, payload);
}

export function goaway(lastStream: number, code: number, debug = ''): Buffer {
  return frame(GOAWAY, 0, 0, Buffer.concat([uint32(lastStream, code), Buffer.from(debug)]));
}

export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(WINDOW_UPDATE, 0, stream, uint32(increment));
}

export function pushPromise(stream: number, promised: number, block: Uint8Array): Buffer {
  return frame(PUSH_PROMISE, END_HEADERS, stream, Buffer.concat([uint32(promised), block]));
}

/** A header block of these fields, each written the same way; the dynamic table stays empty unless `how` says otherwise. */
export function block(
  fields: readonly (readonly [name: string, value: string])[],
  how: Representation = 'without',
  coded = false,
): Buffer {
  const encoder = new ReferenceEncoder();
  return Buffer.concat(fields.map(([name, value]) => encoder.field(name, value, how, true, coded)));
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** For messages of failing tests. */
export function describeFrame({ type, flags, stream, payload }: Frame): string {
  const detail =
    type === RST_STREAM && payload.length === 4
      ? ` code ${payload.readUInt32BE(0)}`
      : type === GOAWAY && payload.length >= 8
        ? ` code ${payload.readUInt32BE(4)} ${payload.toString('latin1', 8)}`
        : '';
  return `${FRAME_NAMES[type] ?? type} flags 0x${flags.toString(16)} stream ${stream} length ${payload.length}${detail}`;
}

/** A peer that is silent for so long has hung. Not a performance check. */
const SILENCE_MS = 20_000;

export class Http2Client {
  /** The peer's settings, as far as read. */
  readonly settings = new Map<number, number>();
  /** All that was read by next(), for messages of failing tests. */
  readonly seen: string[] = [];
  readonly #socket: Duplex;
  readonly #decoder = new ReferenceDecoder();
  #rest = Buffer.alloc(0);
  readonly #frames: Frame[] = [];
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(socket: Duplex) {
    this.#socket = socket;
    const close = (): void => {
      this.#closed = true;
      this.#wake?.();
    };
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    for (const event of ['end', 'close', 'error']) socket.on(event, close);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const [type, flags] = [this.#rest[3] as number, this.#rest[4] as number];
      const stream = this.#rest.readUInt32BE(5) & 0x7fff_ffff;
      this.#frames.push({ type, flags, stream, payload: this.#rest.subarray(9, end) });
      this.#rest = this.#rest.subarray(end);
    }
    this.#wake?.();
  }

  send(...octets: readonly Uint8Array[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(octets));
  }

  /** The next frame, or null when the peer has closed. Settings are taken note of. */
  async next(): Promise<Frame | null> {
    while (this.#frames.length === 0 && !this.#closed) await this.#arrival();
    const frame = this.#frames.shift() ?? null;
    this.seen.push(frame === null ? 'closed' : describeFrame(frame));
    if (frame?.type === SETTINGS && (frame.flags & ACK) === 0) {
      for (let at = 0; at + 6 <= frame.payload.length; at += 6) {
        this.settings.set(frame.payload.readUInt16BE(at), frame.payload.readUInt32BE(at + 2));
      }
    }
    return frame;
  }

  #arrival(): Promise<void> {
    return new Promise((resolve, reject) => {
      const hung = setTimeout(() => reject(new Error(`the peer hangs; so far: ${this.seen.join(', ')}`)), SILENCE_MS);
      this.#wake = () => {
        clearTimeout(hung);
        this.#wake = null;
        resolve();
      };
    });
  }

  /** Reads on until a frame is what is looked for; fails when the peer closes before. */
  async until(what: string, test: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const frame = await this.next();
      if (frame === null) throw new Error(`closed before ${what}; seen: ${this.seen.join(', ')}`);
      if (test(frame)) return frame;
    }
  }

  /** Preface, settings both ways, and their acknowledgements (RFC 9113 section 3.4). */
  async handshake(...values: readonly (readonly [id: number, value: number])[]): Promise<void> {
    this.send(PREFACE, settings(...values));
    await this.until('SETTINGS', (each) => each.type === SETTINGS && (each.flags & ACK) === 0);
    this.send(frame(SETTINGS, ACK, 0));
    await this.until('the acknowledgement of SETTINGS', (each) => each.type === SETTINGS && (each.flags & ACK) !== 0);
  }

  /** The fields of a HEADERS frame that has neither padding nor priority and whose block is whole; in order of arrival. */
  fields(received: Frame): Field[] {
    return this.#decoder.decode(received.payload);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
