/** An HTTP/2 session without sockets: what it sends is collected, its streams have handlers that notice broken promises. */
import assert from 'node:assert/strict';
import type { FrameSink } from '../../../agent/http2/frame-writer.ts';
import { CANCEL } from '../../../agent/http2/frame.ts';
import { readLength } from '../../../agent/http2/field-rules.ts';
import { type HeaderList, HeaderListTable } from '../../../agent/http2/header-list.ts';
import { Http2Session } from '../../../agent/http2/session.ts';
import type { SessionOwner } from '../../../agent/http2/session-owner.ts';
import type { Http2Stream, MessageStream, StreamHandler } from '../../../agent/http2/stream.ts';
import { type LimitName, limits } from '../../../agent/limits.ts';

/** Collects frames. While `blocked`, DATA is to be held back; other frames still come. */
export class MemorySink implements FrameSink {
  bytes = Buffer.alloc(4_096);
  blocked = false;
  /** Octets booked for what streams keep, and how many may be. */
  held = 0;
  heldMax = Number.POSITIVE_INFINITY;
  #used = 0;

  reserve(octets: number): number {
    const at = this.#used;
    this.#used += octets;
    while (this.#used > this.bytes.length) this.bytes = Buffer.concat([this.bytes, Buffer.alloc(this.bytes.length)]);
    return at;
  }

  hold(octets: number): boolean {
    if (this.held + octets > this.heldMax) return false;
    this.held += octets;
    return true;
  }

  release(octets: number): void {
    this.held -= octets;
    assert.ok(octets >= 0 && this.held >= 0, 'more was released than held');
  }

  /** What came since the last time. */
  take(): Buffer {
    const taken = Buffer.from(this.bytes.subarray(0, this.#used));
    this.#used = 0;
    return taken;
  }
}

export const table = new HeaderListTable(limits);

export function list(fields: Readonly<Record<string, string>>): HeaderList {
  return table.intern(Object.keys(fields), Object.values(fields), null);
}

/** The promises of StreamHandler: what is called, how often, and in which order. */
export class CheckedHandler implements StreamHandler {
  /** END_STREAM was received. */
  ended = false;
  /** −1: not reset. */
  resetCode = -1;
  readonly heads: HeaderList[] = [];
  readonly received: Buffer[] = [];
  /** Octets that sendData() kept and onSent() has not told of. */
  keptBytes = 0;

  onHeaders(stream: MessageStream, fields: HeaderList, endStream: boolean): void {
    this.#live();
    stream.headSeen = true;
    this.heads.push(fields);
    this.ended = endStream;
  }

  onData(_stream: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void {
    this.#live();
    assert.ok(start >= 0 && length >= 0 && start + length <= from.length);
    this.received.push(Buffer.from(from.subarray(start, start + length)));
    this.ended = endStream;
  }

  onSent(_stream: MessageStream, octets: number): void {
    assert.equal(this.resetCode, -1, 'onSent after onReset');
    this.keptBytes -= octets;
    assert.ok(this.keptBytes >= 0, 'more was sent than kept');
  }

  onReset(_stream: MessageStream, code: number): void {
    assert.equal(this.resetCode, -1, 'onReset twice');
    this.resetCode = code;
  }

  #live(): void {
    assert.ok(!this.ended && this.resetCode < 0, 'called after the end');
  }

  get body(): string {
    return Buffer.concat(this.received).toString('latin1');
  }
}

/** Sends back what it gets; or, by stream number, much at once, nothing ever, or a reset at the first DATA. */
export class ServerHandler extends CheckedHandler {
  readonly #stream: Http2Stream;
  readonly #habit: number;

  constructor(stream: Http2Stream, echoOnly: boolean) {
    super();
    this.#stream = stream;
    this.#habit = echoOnly ? 0 : (stream.id >> 1) % 4;
  }

  begin(endStream: boolean): void {
    this.ended = endStream;
    if (this.#habit === 2) return;
    this.#stream.sendHeaders(list({ ':status': '200', 'x-stream': String(this.#stream.id) }), false);
    if (this.#habit === 1) this.#send(Buffer.alloc(100_000, 'x'), 0, 100_000, true);
    else if (endStream) this.#send(Buffer.alloc(0), 0, 0, true);
  }

  override onHeaders(stream: MessageStream, fields: HeaderList, endStream: boolean): void {
    super.onHeaders(stream, fields, endStream);
    if (this.#habit === 0 || this.#habit === 3) this.#stream.sendTrailers(fields);
  }

  override onData(stream: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void {
    super.onData(stream, from, start, length, endStream);
    if (this.#habit === 3) {
      this.#stream.reset(CANCEL);
      this.resetCode = CANCEL;
    } else if (this.#habit === 0) {
      const kept = this.#send(from, start, length, endStream);
      this.#stream.consumed(length - kept);
    } else {
      this.#stream.consumed(length);
    }
  }

  override onSent(stream: MessageStream, octets: number): void {
    super.onSent(stream, octets);
    if (this.#habit === 0) this.#stream.consumed(octets);
  }

  #send(from: Buffer, start: number, length: number, endStream: boolean): number {
    const kept = this.#stream.sendData(from, start, length, endStream);
    assert.ok(kept >= 0 && kept <= length);
    this.keptBytes += kept;
    return kept;
  }
}

/** A server's end. `requests` by stream number; what is too large is refused with 431 and no body. */
export class TestServer implements SessionOwner {
  readonly sink = new MemorySink();
  readonly session: Http2Session;
  readonly requests = new Map<number, ServerHandler>();
  readonly bounds: LimitName[] = [];
  readonly #echoOnly: boolean;

  constructor(echoOnly = false) {
    this.#echoOnly = echoOnly;
    this.session = new Http2Session(true, this, this.sink, table, 0);
    this.session.start();
  }

  onRequest(stream: Http2Stream, fields: HeaderList, endStream: boolean): void {
    assert.ok(!this.requests.has(stream.id), 'one request per stream');
    const handler = new ServerHandler(stream, this.#echoOnly);
    this.requests.set(stream.id, handler);
    stream.handler = handler;
    stream.expected = Math.max(-1, readLength(fields, 0));
    handler.begin(endStream);
  }

  onTooLarge(stream: Http2Stream): void {
    stream.sendHeaders(list({ ':status': '431' }), true);
  }

  onStreamClosed(): void {}

  onGoAway(): void {}

  onBound(name: LimitName): void {
    this.bounds.push(name);
  }
}

/** A client's end. */
export class TestClient implements SessionOwner {
  readonly sink = new MemorySink();
  readonly session: Http2Session;

  constructor() {
    this.session = new Http2Session(false, this, this.sink, table, 0);
    this.session.start();
  }

  /** Opens a stream for a request. */
  request(path: string, endStream: boolean): { stream: Http2Stream; handler: CheckedHandler } {
    const stream = this.session.open();
    const handler = new CheckedHandler();
    stream.handler = handler;
    stream.sendHeaders(
      list({ ':method': endStream ? 'GET' : 'POST', ':scheme': 'http', ':path': path, ':authority': 'web' }),
      endStream,
    );
    return { stream, handler };
  }

  onRequest(): void {
    assert.fail('a server opened a stream');
  }

  onTooLarge(): void {}

  onStreamClosed(): void {}

  onGoAway(): void {}

  onBound(): void {}
}

/** Hands octets to a session as they might arrive: the unfinished rest comes again with what follows. */
export class Feeder {
  readonly #session: Http2Session;
  #rest = Buffer.alloc(0);

  constructor(session: Http2Session) {
    this.#session = session;
  }

  feed(octets: Uint8Array): void {
    if (this.#session.failed >= 0) return;
    // Misleading octets before and behind: neither is the session's to read.
    const guard = Buffer.alloc(16, 0xff);
    const bytes = Buffer.concat([guard, this.#rest, octets, guard]);
    const end = bytes.length - guard.length;
    const rest = this.#session.receive(bytes, guard.length, end, 0);
    assert.ok(rest >= guard.length && rest <= end);
    this.#rest = Buffer.from(bytes.subarray(rest, end));
  }
}
