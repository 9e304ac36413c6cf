/**
 * A request that came in HTTP/2, carried to an endpoint that speaks HTTP/1.1: looks like an HTTP/2 stream to the exchange, and
 * like an exchange to the HTTP/1.1 connection.
 *
 *   fields ─► request head      DATA ─► chunks, or as it is under Content-Length     trailers ─► last chunk
 *   response head ─► fields     content ─► onData                                    trailer lines ─► trailers
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { ChunkPayload } from '../http1/chunk-payload.ts';
import { BODY_CHUNKED, BODY_LENGTH, BODY_NONE } from '../http1/framing.ts';
import { contentHasMeaning } from '../http1/request-method.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { INTERNAL_ERROR, NO_ERROR, PAYLOAD_MAX } from '../http2/frame.ts';
import type { HeaderList } from '../http2/header-list.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { CONNECTION_LOST, NOT_CONNECTED } from '../http2/stream.ts';
import type { MessageStream, StreamHandler } from '../http2/stream.ts';
import type { UpstreamEnvironment } from './environment.ts';
import type { Exchange, HttpUpstream, UpstreamFailure } from './http-upstream.ts';
import { lastChunkText, requestText, responseList, trailerList } from './message-lists.ts';

export class Http1Stream implements MessageStream, Exchange {
  headSeen = false;
  localClosed = false;
  closed = false;
  /** HTTP/1.1 checks its own lengths. */
  expected = -1;
  readonly #environment: UpstreamEnvironment;
  readonly #upstream: HttpUpstream;
  readonly #facts: RequestFacts;
  readonly #handler: StreamHandler;
  /** Of the last failure, −errno; 0: none. */
  errno = 0;
  readonly #payload = new ChunkPayload();
  #chunkedRequest = false;
  #chunkedResponse = false;
  /** Octets of the request that wait for the endpoint. */
  #kept = 0;
  /** Octets of the response that wait for the client. */
  #held = 0;
  #contentLeft = 0;
  /** The handler has been told of the end. */
  #ended = false;

  constructor(environment: UpstreamEnvironment, upstream: HttpUpstream, facts: RequestFacts, handler: StreamHandler) {
    this.#environment = environment;
    this.#upstream = upstream;
    this.#facts = facts;
    this.#handler = handler;
  }

  // --- request

  sendHeaders(list: HeaderList, endStream: boolean): void {
    this.#chunkedRequest = !endStream && this.#facts.contentLength < 0;
    const { method } = this.#facts;
    this.#upstream.begin(this, method, endStream || contentHasMeaning(method));
    if (endStream) this.#finish();
    this.#write(requestText(this.#facts, list, this.#chunkedRequest));
  }

  sendData(from: Uint8Array, start: number, length: number, endStream: boolean): number {
    if (this.closed || this.localClosed) return 0;
    if (endStream) this.#finish();
    for (let done = 0; done < length && !this.closed; ) {
      const part = Math.min(PAYLOAD_MAX, length - done);
      this.#writeContent(from, start + done, part);
      done += part;
    }
    if (endStream && this.#chunkedRequest) this.#write(lastChunkText(null));
    if (this.closed || !this.#upstream.blocked) return 0;
    this.#kept += length;
    return length;
  }

  sendTrailers(list: HeaderList): void {
    if (this.closed || this.localClosed) return;
    this.#finish();
    // Under Content-Length there is no place for them (RFC 9110 section 6.5).
    if (this.#chunkedRequest) this.#write(lastChunkText(list));
  }

  #finish(): void {
    this.localClosed = true;
    this.#upstream.requestFinished();
  }

  #writeContent(from: Uint8Array, start: number, length: number): void {
    const { scratch } = this.#environment;
    let at = 0;
    if (this.#chunkedRequest) at = scratch.bytes.write(`${length.toString(16)}\r\n`, 0, 'latin1');
    scratch.bytes.set(from.subarray(start, start + length), at);
    at += length;
    if (this.#chunkedRequest) at += scratch.bytes.write('\r\n', at, 'latin1');
    this.#send(scratch, at);
  }

  #write(text: string): void {
    if (this.closed) return;
    const { scratch } = this.#environment;
    this.#send(scratch, scratch.bytes.write(text, 0, 'latin1'));
  }

  #send(from: PinnedBuffer, length: number): void {
    const result = this.#upstream.write(from, 0, length);
    if (result >= 0) return;
    const { connected } = this.#upstream;
    this.#upstream.abort();
    this.onUpstreamFailed(connected ? 'reset' : 'connect', result);
  }

  onUpstreamDrained(): void {
    const kept = this.#kept;
    this.#kept = 0;
    if (kept > 0) this.#handler.onSent(this, kept);
  }

  // --- response

  consumed(octets: number): void {
    this.#held -= octets;
    if (this.#held === 0 && !this.closed) this.#upstream.resumeReading();
  }

  reset(_code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.#upstream.abort();
  }

  onInterim(head: ResponseHead): void {
    this.#handler.onHeaders(this, responseList(head, this.#environment.headerLists), false);
  }

  onResponse(head: ResponseHead, from: PinnedBuffer, offset: number, headLength: number, bodyLength: number): void {
    this.#chunkedResponse = head.bodyKind === BODY_CHUNKED;
    this.#contentLeft = head.bodyKind === BODY_LENGTH ? head.contentLength : Number.POSITIVE_INFINITY;
    const isEmpty = head.bodyKind === BODY_NONE || (head.bodyKind === BODY_LENGTH && head.contentLength === 0);
    this.#payload.reset();
    this.#ended = isEmpty;
    this.#handler.onHeaders(this, responseList(head, this.#environment.headerLists), isEmpty);
    if (bodyLength > 0) this.onResponseBody(from, offset + headLength, bodyLength);
  }

  onResponseBody(from: PinnedBuffer, offset: number, length: number): void {
    if (!this.#chunkedResponse) {
      this.#contentLeft -= length;
      this.#deliver(from.bytes, offset, length, this.#contentLeft === 0);
      return;
    }
    const end = offset + length;
    for (let at = offset; at < end && !this.closed; ) {
      at = this.#payload.next(from.bytes, at, end);
      if (this.#payload.end > this.#payload.start) {
        this.#deliver(from.bytes, this.#payload.start, this.#payload.end - this.#payload.start, false);
      }
    }
  }

  #deliver(from: Buffer, start: number, length: number, endStream: boolean): void {
    if (this.closed) return;
    if (endStream) this.#ended = true;
    this.#held += length;
    this.#handler.onData(this, from, start, length, endStream);
    if (this.#held > 0 && !this.closed && !this.#ended) this.#upstream.pauseReading();
  }

  onResponseEnd(): void {
    if (this.closed) return;
    this.closed = true;
    if (!this.#ended) this.#tellEnd();
    // The connection is closed already: nobody takes the rest of the request.
    if (!this.localClosed) this.#handler.onReset(this, NO_ERROR);
  }

  #tellEnd(): void {
    const trailers = this.#chunkedResponse ? trailerList(this.#payload.trailers, this.#environment.headerLists) : null;
    if (trailers !== null) this.#handler.onHeaders(this, trailers, true);
    else this.#handler.onData(this, Buffer.alloc(0), 0, 0, true);
  }

  /** Only an upgrade asks for it, and HTTP/2 has none. */
  onTunnel(): void {
    this.#upstream.abort();
    this.onUpstreamFailed('malformed', 0);
  }

  onUpstreamFailed(failure: UpstreamFailure, errno: number): void {
    if (this.closed) return;
    this.closed = true;
    this.errno = errno;
    const code = failure === 'connect' ? NOT_CONNECTED : failure === 'malformed' ? INTERNAL_ERROR : CONNECTION_LOST;
    this.#handler.onReset(this, code);
  }
}
