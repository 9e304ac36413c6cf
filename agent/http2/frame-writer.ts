/** Frames going out, written straight into the sink that batches them. None of these knows a stream's state. */
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_HEADER,
  GOAWAY,
  HEADERS,
  PAYLOAD_MAX,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  writeFrameHeader,
  writeUint32,
} from './frame.ts';

/** Where frames are collected until the end of the worker's turn: one write(2) then carries them all. */
export interface FrameSink {
  /** Room for `octets` (at most a frame); returns its position in `bytes`, which must be read after this call. Fill all of it. */
  reserve(octets: number): number;
  readonly bytes: Buffer;
  /** The peer does not take what was sent: hold DATA back. */
  readonly blocked: boolean;
  /** Books octets that are kept for later; false: no more may be kept. */
  hold(octets: number): boolean;
  /** Gives booked octets back. */
  release(octets: number): void;
}

/** Below this a loop over octets is faster than Buffer.copy (scripts/bench-http1.ts). */
const LOOP_COPY_MAX = 128;

/** Copies [start, start + length) to into[at…]. Hot. */
export function copyOctets(from: Uint8Array, start: number, length: number, into: Buffer, at: number): void {
  if (length <= LOOP_COPY_MAX) for (let i = 0; i < length; i++) into[at + i] = from[start + i] as number;
  else (from as Buffer).copy(into, at, start, start + length);
}

/** A header block as HEADERS and, when it is longer than a frame, CONTINUATION. Hot. */
export function writeHeaders(sink: FrameSink, streamId: number, block: Buffer, endStream: boolean): void {
  const end = endStream ? FLAG_END_STREAM : 0;
  const { length } = block;
  if (length <= PAYLOAD_MAX) {
    const at = sink.reserve(FRAME_HEADER + length);
    const into = sink.bytes;
    copyOctets(block, 0, length, into, writeFrameHeader(into, at, length, HEADERS, end | FLAG_END_HEADERS, streamId));
    return;
  }
  for (let done = 0; done < length; ) {
    const part = Math.min(PAYLOAD_MAX, length - done);
    const at = sink.reserve(FRAME_HEADER + part);
    const into = sink.bytes;
    const last = done + part === length ? FLAG_END_HEADERS : 0;
    const payload =
      done === 0
        ? writeFrameHeader(into, at, part, HEADERS, end | last, streamId)
        : writeFrameHeader(into, at, part, CONTINUATION, last, streamId);
    copyOctets(block, done, part, into, payload);
    done += part;
  }
}

/** One DATA frame of at most PAYLOAD_MAX octets. Hot. */
export function writeData(
  sink: FrameSink,
  streamId: number,
  from: Uint8Array,
  start: number,
  length: number,
  endStream: boolean,
): void {
  const at = sink.reserve(FRAME_HEADER + length);
  const into = sink.bytes;
  const payload = writeFrameHeader(into, at, length, DATA, endStream ? FLAG_END_STREAM : 0, streamId);
  copyOctets(from, start, length, into, payload);
}

export function writeReset(sink: FrameSink, streamId: number, code: number): void {
  const at = sink.reserve(FRAME_HEADER + 4);
  writeUint32(sink.bytes, writeFrameHeader(sink.bytes, at, 4, RST_STREAM, 0, streamId), code);
}

/** `increment` ≥ 1. */
export function writeWindowUpdate(sink: FrameSink, streamId: number, increment: number): void {
  const at = sink.reserve(FRAME_HEADER + 4);
  writeUint32(sink.bytes, writeFrameHeader(sink.bytes, at, 4, WINDOW_UPDATE, 0, streamId), increment);
}

/** `opaque`: 8 octets from `start`. */
export function writePing(sink: FrameSink, acknowledge: boolean, opaque: Uint8Array, start: number): void {
  const at = sink.reserve(FRAME_HEADER + 8);
  const payload = writeFrameHeader(sink.bytes, at, 8, PING, acknowledge ? FLAG_ACK : 0, 0);
  copyOctets(opaque, start, 8, sink.bytes, payload);
}

/** `reason`: ASCII for whoever debugs the peer (RFC 9113 section 6.8, Additional Debug Data). */
export function writeGoAway(sink: FrameSink, lastStreamId: number, code: number, reason: string): void {
  const length = 8 + reason.length;
  const at = sink.reserve(FRAME_HEADER + length);
  const into = sink.bytes;
  let next = writeFrameHeader(into, at, length, GOAWAY, 0, 0);
  next = writeUint32(into, next, lastStreamId);
  next = writeUint32(into, next, code);
  into.write(reason, next, 'latin1');
}

/** Pairs of identifier and value. */
export function writeSettings(sink: FrameSink, settings: readonly (readonly [number, number])[]): void {
  const length = settings.length * 6;
  const at = sink.reserve(FRAME_HEADER + length);
  const into = sink.bytes;
  let next = writeFrameHeader(into, at, length, SETTINGS, 0, 0);
  for (const [identifier, value] of settings) {
    into[next] = identifier >>> 8;
    into[next + 1] = identifier & 0xff;
    next = writeUint32(into, next + 2, value);
  }
}

export function writeSettingsAck(sink: FrameSink): void {
  const at = sink.reserve(FRAME_HEADER);
  writeFrameHeader(sink.bytes, at, 0, SETTINGS, FLAG_ACK, 0);
}
