/**
 * One HTTP/2 connection without its socket (RFC 9113): octets in, frames out through a sink, streams in between. The same
 * for both ends; `server` says which one we are.
 *
 *   receive() ─► frame ─► connection: SETTINGS, PING, GOAWAY, WINDOW_UPDATE
 *                   └──► stream: HEADERS (+ CONTINUATION) ─► HPACK ─► owner.onRequest / handler.onHeaders
 *                                DATA ─► handler.onData      RST_STREAM ─► handler.onReset
 *
 * An error of a stream ends the stream (RST_STREAM); an error of the connection ends everything (GOAWAY, `failed` is set,
 * the owner closes once that is out). Whatever a peer can make us do or keep has a bound in agent/limits.ts.
 * Priority is parsed and ignored (RFC 9113 section 5.3.2). Server push is never asked for and refused.
 */
import { type LimitName, limits } from '../limits.ts';
import * as control from './control-frames.ts';
import { FloodMeter } from './flood-meter.ts';
import * as frame from './frame.ts';
import {
  type FrameSink,
  writeGoAway,
  writeHeaders,
  writePing,
  writeReset,
  writeSettings,
  writeWindowUpdate,
} from './frame-writer.ts';
import { HeaderFrames, type HeadedSession } from './header-frames.ts';
import type { HeaderList, HeaderListTable } from './header-list.ts';
import { CLIENT_SETTINGS, PeerSettings, SERVER_SETTINGS } from './peer-settings.ts';
import { ReceiveCredit } from './receive-credit.ts';
import { Sender } from './sender.ts';
import { StreamTable } from './stream-table.ts';
import type { SessionOwner } from './session-owner.ts';
import { Http2Stream } from './stream.ts';

export class Http2Session implements HeadedSession {
  readonly server: boolean;
  /** Why the connection has ended: an error code of RFC 9113 section 7, or −1. */
  failed = -1;
  failure = '';
  /** The last error of the socket below, −errno; 0: none. Set by the owner. */
  errno = 0;
  /** Streams that are open. */
  active = 0;
  /** No new stream: server, a GOAWAY was sent; client, one was received, or the owner wants none. */
  draining = false;
  /** A GOAWAY was received. */
  peerLeft = false;
  /** Server: our GOAWAY has named the last stream. */
  lastNamed = false;
  readonly peer = new PeerSettings();
  readonly #owner: SessionOwner;
  /** @internal As the fields and methods below that say so: for the files of this folder. */
  readonly sink: FrameSink;
  /** @internal */
  readonly sender: Sender;
  /** @internal */
  readonly streams: StreamTable;
  /** The peer's SETTINGS have been received: `peer` is what it announced. */
  settled = false;
  readonly #headers: HeaderFrames;
  readonly #credit: ReceiveCredit;
  /** Streams that did not come to their end. */
  readonly #cancelled: FloodMeter;
  /** Frames that carry nothing. */
  readonly #idle: FloodMeter;
  #prefaceSeen = 0;
  #nowMs: number;

  constructor(server: boolean, owner: SessionOwner, sink: FrameSink, table: HeaderListTable, nowMs: number) {
    this.server = server;
    this.streams = new StreamTable(server);
    this.#owner = owner;
    this.sink = sink;
    this.sender = new Sender(sink);
    this.#credit = new ReceiveCredit(sink);
    this.#headers = new HeaderFrames(this, owner, table);
    this.#nowMs = nowMs;
    this.#cancelled = new FloodMeter(limits.http2CancelBurst, limits.http2CancelPerSecond, nowMs);
    this.#idle = new FloodMeter(limits.http2ControlBurst, limits.http2ControlPerSecond, nowMs);
  }

  /** Preface (client) and SETTINGS; call once, before anything else. */
  start(): void {
    if (!this.server) {
      const at = this.sink.reserve(frame.PREFACE.length);
      frame.PREFACE.copy(this.sink.bytes, at);
      this.#prefaceSeen = frame.PREFACE.length;
    }
    writeSettings(this.sink, this.server ? SERVER_SETTINGS : CLIENT_SETTINGS);
    writeWindowUpdate(this.sink, 0, limits.http2ConnectionWindowBytes - frame.WINDOW_INITIAL);
  }

  // --- octets in

  /** Takes whole frames from [start, end); returns where the unfinished rest starts (`end` once `failed`). Hot. */
  receive(bytes: Buffer, start: number, end: number, nowMs: number): number {
    this.#nowMs = nowMs;
    let at = this.#prefaceSeen < frame.PREFACE.length ? this.#preface(bytes, start, end) : start;
    while (end - at >= frame.FRAME_HEADER && this.failed < 0) {
      const length = ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
      if (length > frame.PAYLOAD_MAX) {
        this.fail(frame.FRAME_SIZE_ERROR, 'frame larger than SETTINGS_MAX_FRAME_SIZE');
        break;
      }
      const payload = at + frame.FRAME_HEADER;
      if (end < payload + length) return at;
      this.#onFrame(
        bytes,
        bytes[at + 3] as number,
        bytes[at + 4] as number,
        frame.readStreamId(bytes, at + 5),
        payload,
        length,
      );
      at = payload + length;
    }
    return this.failed < 0 ? at : end;
  }

  #preface(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#prefaceSeen < frame.PREFACE.length) {
      if (bytes[at++] !== frame.PREFACE[this.#prefaceSeen++]) {
        this.fail(frame.PROTOCOL_ERROR, 'not an HTTP/2 preface');
        return end;
      }
    }
    return at;
  }

  #onFrame(bytes: Buffer, type: number, flags: number, id: number, at: number, length: number): void {
    if (!this.settled && type !== frame.SETTINGS) {
      this.fail(frame.PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    } else if (this.#headers.unfinished === 0) {
      this.#dispatch(bytes, type, flags, id, at, length);
    } else if (type === frame.CONTINUATION && id === this.#headers.unfinished) {
      this.#headers.onContinuation(bytes, flags, at, length);
    } else {
      this.fail(frame.PROTOCOL_ERROR, 'a header block was interrupted');
    }
  }

  #dispatch(bytes: Buffer, type: number, flags: number, id: number, at: number, length: number): void {
    switch (type) {
      case frame.DATA:
        this.#onData(bytes, flags, id, at, length);
        break;
      case frame.HEADERS:
        this.#headers.onHeaders(bytes, flags, id, at, length);
        break;
      case frame.PRIORITY:
        control.onPriority(this, bytes, id, at, length);
        break;
      case frame.RST_STREAM:
        control.onReset(this, bytes, id, at, length);
        break;
      case frame.SETTINGS:
        control.onSettings(this, bytes, flags, id, at, length);
        break;
      case frame.PING:
        control.onPing(this, bytes, flags, id, at, length);
        break;
      case frame.GOAWAY:
        control.onGoAway(this, bytes, id, at, length);
        break;
      case frame.WINDOW_UPDATE:
        control.onWindowUpdate(this, bytes, id, at, length);
        break;
      case frame.PUSH_PROMISE:
        this.fail(frame.PROTOCOL_ERROR, 'PUSH_PROMISE is not allowed here');
        break;
      case frame.CONTINUATION:
        this.fail(frame.PROTOCOL_ERROR, 'CONTINUATION without HEADERS');
        break;
      default:
        this.spendControl(); // unknown types are ignored (RFC 9113 section 4.1)
    }
  }

  // --- DATA

  #onData(bytes: Buffer, flags: number, id: number, at: number, length: number): void {
    if (id === 0) return this.fail(frame.PROTOCOL_ERROR, 'DATA on stream 0');
    if (!this.#credit.take(length)) return this.fail(frame.FLOW_CONTROL_ERROR, 'connection window exceeded');
    let start = at;
    let size = length;
    if ((flags & frame.FLAG_PADDED) !== 0) {
      const padding = length === 0 ? 0 : (bytes[at] as number);
      if (padding >= length) return this.fail(frame.PROTOCOL_ERROR, 'padding is longer than the frame');
      start = at + 1;
      size = length - 1 - padding;
    }
    const stream = this.streams.get(id);
    if (stream === undefined || stream.remoteClosed) return this.#dataAfterEnd(stream, id, length);
    const end = (flags & frame.FLAG_END_STREAM) !== 0;
    if (length === 0 && !end && !this.spendControl()) return;
    if (length > stream.receiveWindow) return this.streamError(stream, frame.FLOW_CONTROL_ERROR, length);
    if (!stream.headSeen) return this.streamError(stream, frame.PROTOCOL_ERROR, length);
    if (stream.expected >= 0) {
      stream.expected -= size;
      if (stream.expected < 0 || (end && stream.expected > 0)) {
        return this.streamError(stream, frame.PROTOCOL_ERROR, length);
      }
    }
    stream.moved = true;
    stream.receiveWindow -= length;
    stream.unconsumed += length;
    if (end) stream.remoteClosed = true;
    if (size !== length) this.returnCredit(stream, length - size);
    stream.handler?.onData(stream, bytes, start, size, end);
    if (end) this.endIfDone(stream);
  }

  /** DATA on a stream that takes none: what we reset ourselves may still be under way; anything else is an error. */
  #dataAfterEnd(stream: Http2Stream | undefined, id: number, length: number): void {
    this.#credit.give(length);
    if (stream !== undefined) this.streamError(stream, frame.STREAM_CLOSED, 0);
    else if (this.streams.isIdle(id)) this.fail(frame.PROTOCOL_ERROR, 'DATA on an idle stream');
    else if (this.streams.recent.wasReset(id) || (!this.server && !this.streams.recent.wasClosed(id))) return;
    else if (this.spendCancel()) writeReset(this.sink, id, frame.STREAM_CLOSED);
  }

  // --- streams

  /** Client: room for one more stream. */
  get hasRoom(): boolean {
    return (
      !this.draining &&
      this.failed < 0 &&
      this.active < this.peer.concurrentStreams &&
      this.active < limits.http2StreamsMax &&
      this.streams.hasNumbers
    );
  }

  /** Client: a new stream, to be used at once with sendHeaders. Only while `hasRoom`. */
  open(): Http2Stream {
    return this.add(this.streams.takeNumber());
  }

  /** @internal A stream that is open from now on. */
  add(id: number): Http2Stream {
    const stream = new Http2Stream(this, id, this.peer.initialWindow, frame.WINDOW_INITIAL);
    this.streams.add(stream);
    this.active++;
    return stream;
  }

  /** @internal Ends a stream from our side. */
  resetStream(stream: Http2Stream, code: number): void {
    if (stream.begun) writeReset(this.sink, stream.id, code);
    this.#remove(stream, true);
  }

  /** @internal The peer has broken a rule of the stream. */
  streamError(stream: Http2Stream, code: number, received: number): void {
    if (received > 0) this.#credit.give(received);
    if (!this.spendCancel()) return;
    writeReset(this.sink, stream.id, code);
    this.abandon(stream, code);
  }

  /** The request or response is malformed (RFC 9113 section 8.1.1): for those who read the fields. The handler is told. */
  malformed(stream: Http2Stream): void {
    if (!stream.closed) this.streamError(stream, frame.PROTOCOL_ERROR, 0);
  }

  /** @internal Both sides have ended: so has the stream. */
  endIfDone(stream: Http2Stream): void {
    if (stream.localClosed && stream.remoteClosed && !stream.closed) this.#remove(stream, false);
  }

  #remove(stream: Http2Stream, reset: boolean): void {
    stream.closed = true;
    this.sender.unlist(stream);
    stream.clear();
    this.streams.remove(stream, reset);
    this.active--;
    if (stream.unconsumed > 0 && this.failed < 0) this.#credit.give(stream.unconsumed);
    stream.unconsumed = 0;
    this.#owner.onStreamClosed();
  }

  /** @internal Books octets that a stream keeps; false: no more may be kept. */
  hold(octets: number): boolean {
    return this.sink.hold(octets);
  }

  /** @internal */
  release(octets: number): void {
    if (octets > 0) this.sink.release(octets);
  }

  /** @internal What the stream should send can neither be sent nor kept. The handler is told. */
  overflow(stream: Http2Stream): void {
    this.#cut(stream, frame.ENHANCE_YOUR_CALM);
  }

  /** Ends a stream on both sides: neither the peer nor the handler expects it. */
  #cut(stream: Http2Stream, code: number): void {
    writeReset(this.sink, stream.id, code);
    this.abandon(stream, code);
  }

  /** @internal Use Http2Stream.sendHeaders. */
  writeHeaders(stream: Http2Stream, list: HeaderList, endStream: boolean): void {
    stream.begun = true;
    stream.moved = true;
    writeHeaders(this.sink, stream.id, list.encoded, endStream);
    if (endStream) this.#closeLocal(stream);
  }

  /** @internal Use Http2Stream.sendData. Writes as much as windows and socket take; returns the octets. Hot. */
  writeData(stream: Http2Stream, from: Uint8Array, start: number, length: number, endStream: boolean): number {
    const sent = this.sender.write(stream, from, start, length, endStream);
    if (sent > 0) stream.moved = true;
    if (endStream && sent === length) this.#closeLocal(stream);
    return sent;
  }

  #closeLocal(stream: Http2Stream): void {
    stream.localClosed = true;
    this.endIfDone(stream);
  }

  /** @internal The stream has DATA that waits. */
  list(stream: Http2Stream): void {
    this.sender.list(stream);
  }

  /** Sends DATA that waits, while windows and socket allow it. Call when the sink has drained. */
  sendListed(): void {
    if (this.failed < 0) this.sender.sendListed();
  }

  /** @internal Octets of a stream were passed on. Hot. */
  returnCredit(stream: Http2Stream, octets: number): void {
    stream.moved = true;
    if (this.failed < 0) this.#credit.giveStream(stream, octets);
  }

  // --- the end

  /** Server: asks the client to open no more streams; those under way are finished (RFC 9113 section 6.8). */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    writeGoAway(this.sink, frame.STREAM_ID_MAX, frame.NO_ERROR, '');
    writePing(this.sink, false, control.DRAIN_PING, 0);
  }

  /** @internal The client has seen our first GOAWAY: now it can be told which stream is the last. */
  drainConfirmed(): void {
    if (this.lastNamed) return;
    this.lastNamed = true;
    writeGoAway(this.sink, this.streams.lastOfPeer, frame.NO_ERROR, '');
    this.#owner.onGoAway();
  }

  /** Server: the client opens no more streams, as it said or as it knows that it must not, and none is left. */
  get drained(): boolean {
    return this.active === 0 && (this.peerLeft || this.lastNamed);
  }

  /** An error of the connection: GOAWAY; every stream ends. The owner flushes and closes. */
  fail(code: number, reason: string): void {
    if (this.failed >= 0) return;
    this.failed = code;
    this.failure = reason;
    writeGoAway(this.sink, this.streams.lastOfPeer, code, reason);
    this.end(code);
  }

  /** @internal Ends a stream without a frame; its handler is told. */
  abandon(stream: Http2Stream, code: number): void {
    this.#remove(stream, true);
    stream.handler?.onReset(stream, code);
  }

  /** @internal The peer has ended a stream. */
  endedByPeer(stream: Http2Stream, code: number): void {
    this.#remove(stream, false);
    stream.handler?.onReset(stream, code);
  }

  /** @internal The peer takes no more streams. */
  peerLeaves(): void {
    this.#owner.onGoAway();
  }

  /**
   * Resets every stream on which nothing has moved since this was last asked; handlers are told. How many.
   * @param unanswered only requests that have not been sent whole and whose answer has not begun
   */
  endSilent(unanswered: boolean): number {
    let ended = 0;
    for (const stream of this.streams.values()) {
      const isSilent = !stream.moved && !(unanswered && (stream.localClosed || stream.headSeen));
      stream.moved = false;
      if (!isSilent) continue;
      ended++;
      this.#cut(stream, frame.CANCEL);
    }
    return ended;
  }

  /** The connection is gone: every stream is told. */
  end(code: number): void {
    if (this.failed < 0) this.failed = code;
    for (const stream of this.streams.values()) this.abandon(stream, code);
  }

  /** @internal A stream was cancelled, refused or in error. */
  spendCancel(): boolean {
    return this.#cancelled.spend(this.#nowMs) || this.#calm('http2CancelBurst', 'too many cancelled streams');
  }

  /** @internal A frame that only costs. */
  spendControl(): boolean {
    return this.#idle.spend(this.#nowMs) || this.#calm('http2ControlBurst', 'too many control frames');
  }

  #calm(bound: LimitName, reason: string): false {
    this.#owner.onBound(bound);
    this.fail(frame.ENHANCE_YOUR_CALM, reason);
    return false;
  }
}
