/**
 * A request that came in HTTP/1.1, carried to an endpoint that speaks HTTP/2: looks like an HTTP/1.1 connection to the exchange,
 * and like the user of a stream to the HTTP/2 connection.
 *
 *   request octets (head, then body as framed) ─► fields, DATA, trailers
 *   fields ─► response head      DATA ─► chunks, or as it is under Content-Length      trailers ─► last chunk
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { ChunkPayload } from '../http1/chunk-payload.ts';
import { BODY_CHUNKED, BODY_NONE, hasNoContent } from '../http1/framing.ts';
import { RequestHead } from '../http1/request-head.ts';
import { trailersAreValid } from '../http2/field-rules.ts';
import { CANCEL, INTERNAL_ERROR, REFUSED_STREAM } from '../http2/frame.ts';
import type { HeaderList } from '../http2/header-list.ts';
import { ResponseFacts } from '../http2/response-facts.ts';
import { NOT_CONNECTED } from '../http2/stream.ts';
import type { Http2Stream, MessageStream, StreamHandler } from '../http2/stream.ts';
import { limits } from '../limits.ts';
import type { UpstreamEnvironment } from './environment.ts';
import type { Exchange, UpstreamConnection, UpstreamFailure } from './http-upstream.ts';
import type { Http2Upstream } from './http2-upstream.ts';
import { lastChunkText, requestList, responseText, trailerList } from './message-lists.ts';

/** Of the request in work: read again from the octets that are forwarded, edits and all. */
const requestHead = new RequestHead();
const NOTHING = Buffer.alloc(0);

export class TranslatedUpstream implements UpstreamConnection, StreamHandler {
  /** The connection is shared and may have ended before the endpoint saw the request. */
  readonly reused = true;
  readonly mayRefuse = true;
  readonly connected = true;
  answered = false;
  readonly #environment: UpstreamEnvironment;
  readonly #stream: Http2Stream;
  readonly #payload = new ChunkPayload();
  #exchange: Exchange | null = null;
  #method = '';
  #interims = 0;
  #http10 = false;
  #headSent = false;
  #chunkedRequest = false;
  #requestFinished = false;
  #chunkedResponse = false;
  #paused = false;
  /** Octets of the response that were delivered while reading is paused. */
  #withheld = 0;

  constructor(environment: UpstreamEnvironment, connection: Http2Upstream) {
    this.#environment = environment;
    this.#stream = connection.begin(this);
  }

  // --- request

  begin(exchange: Exchange, method: string): void {
    this.#exchange = exchange;
    this.#method = method;
  }

  get blocked(): boolean {
    return this.#stream.pendingBytes > 0;
  }

  requestFinished(): void {
    this.#requestFinished = true;
  }

  /** Octets of the request, the first ones beginning with its whole head. Always 0: failures are told to the exchange. */
  write(from: PinnedBuffer, offset: number, length: number): number {
    const end = offset + length;
    const start = this.#headSent ? offset : this.#sendHead(from, offset, end);
    if (!this.#stream.localClosed) this.#sendBody(from.bytes, start, end);
    return 0;
  }

  /** Returns where the body starts. */
  #sendHead(from: PinnedBuffer, offset: number, end: number): number {
    const head = requestHead;
    const length = head.parse(from.bytes, offset, end);
    if (length <= 0) throw new Error(`translated request: the forwarded head does not parse (${head.refusal})`);
    this.#headSent = true;
    this.#http10 = head.versionMinor === 0;
    this.#chunkedRequest = head.bodyKind === BODY_CHUNKED;
    const target = from.bytes.toString('latin1', head.targetStart, head.targetEnd);
    const host = head.header('host') ?? '';
    const list = requestList(head, host, target, this.#environment.headerLists);
    this.#stream.sendHeaders(list, head.bodyKind === BODY_NONE);
    return offset + length;
  }

  #sendBody(bytes: Buffer, start: number, end: number): void {
    const stream = this.#stream;
    if (!this.#chunkedRequest) {
      stream.sendData(bytes, start, end - start, this.#requestFinished);
      return;
    }
    const payload = this.#payload;
    for (let at = start; at < end; ) {
      at = payload.next(bytes, at, end);
      if (payload.end > payload.start) stream.sendData(bytes, payload.start, payload.end - payload.start, false);
    }
    if (!this.#requestFinished) return;
    const trailers = trailerList(payload.trailers, this.#environment.headerLists);
    if (trailers === null) stream.sendData(NOTHING, 0, 0, true);
    else stream.sendTrailers(trailers);
  }

  onSent(): void {
    if (this.#stream.pendingBytes === 0) this.#exchange?.onUpstreamDrained();
  }

  // --- response

  pauseReading(): void {
    this.#paused = true;
  }

  resumeReading(): void {
    this.#paused = false;
    const octets = this.#withheld;
    this.#withheld = 0;
    if (octets > 0) this.#stream.consumed(octets);
  }

  onHeaders(stream: MessageStream, list: HeaderList, endStream: boolean): void {
    this.answered = true;
    if (stream.headSeen) this.#onTrailers(list, endStream);
    else this.#onHead(list, endStream);
  }

  #onHead(list: HeaderList, endStream: boolean): void {
    const facts = (list.response ??= new ResponseFacts(list));
    const isBodiless = hasNoContent(this.#method, facts.status);
    const lengthLies = endStream && facts.contentLength > 0 && !isBodiless;
    if (facts.malformed !== '' || (facts.status < 200 && endStream) || lengthLies) {
      this.#malformed();
      return;
    }
    const isFinal = facts.status >= 200;
    // What has no length is sent in chunks; to a client of HTTP/1.0 until the connection ends.
    this.#chunkedResponse = isFinal && !endStream && !isBodiless && facts.contentLength < 0 && !this.#http10;
    const { translation, responseHead } = this.#environment;
    const isEmpty = isFinal && endStream && !isBodiless && facts.contentLength < 0;
    const text = responseText(list, facts.status, this.#chunkedResponse, isEmpty);
    const length = translation.bytes.write(text, 0, 'latin1');
    if (responseHead.parse(translation.bytes, 0, length, this.#method) !== length) {
      this.#malformed();
      return;
    }
    if (!isFinal) {
      if (this.#isFlood()) return;
      this.#exchange?.onInterim(responseHead, translation, 0, length);
      return;
    }
    this.#stream.headSeen = true;
    this.#stream.expected = isBodiless ? 0 : facts.contentLength;
    this.#exchange?.onResponse(responseHead, translation, 0, length, 0, endStream);
    if (endStream) this.#end();
  }

  /** Too many interim responses: the exchange has been told. */
  #isFlood(): boolean {
    if (++this.#interims <= limits.interimResponsesMax) return false;
    this.#environment.bounds.hit('interimResponsesMax');
    this.#malformed();
    return true;
  }

  onData(_stream: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void {
    const { translation } = this.#environment;
    let at = 0;
    if (length > 0) {
      if (this.#chunkedResponse) at = translation.bytes.write(`${length.toString(16)}\r\n`, 0, 'latin1');
      from.copy(translation.bytes, at, start, start + length);
      at += length;
      if (this.#chunkedResponse) at += translation.bytes.write('\r\n', at, 'latin1');
    }
    if (endStream && this.#chunkedResponse) at += translation.bytes.write(lastChunkText(null), at, 'latin1');
    if (at > 0) this.#exchange?.onResponseBody(translation, 0, at, endStream);
    if (this.#paused) this.#withheld += length;
    else this.#stream.consumed(length);
    if (endStream) this.#end();
  }

  #onTrailers(list: HeaderList, endStream: boolean): void {
    if (!endStream || !trailersAreValid(list)) {
      this.#malformed();
      return;
    }
    if (this.#chunkedResponse) {
      const { translation } = this.#environment;
      const length = translation.bytes.write(lastChunkText(list), 0, 'latin1');
      this.#exchange?.onResponseBody(translation, 0, length, true);
    }
    this.#end();
  }

  #end(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    // An endpoint that has answered needs no more of the request.
    if (!this.#stream.localClosed) this.#stream.reset(CANCEL);
    exchange?.onResponseEnd();
  }

  #malformed(): void {
    this.#stream.reset(INTERNAL_ERROR);
    this.#fail('malformed', 0);
  }

  onReset(stream: MessageStream, code: number): void {
    const lost = stream.headSeen ? 'truncated' : code === REFUSED_STREAM ? 'refused' : 'reset';
    this.#fail(code === NOT_CONNECTED ? 'connect' : lost, stream.errno);
  }

  #fail(failure: UpstreamFailure, errno: number): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onUpstreamFailed(failure, errno);
  }

  /** Leaves the exchange: the client is gone or the request cannot be finished. */
  abort(): void {
    this.#exchange = null;
    this.#stream.reset(CANCEL);
  }

  close(): void {
    this.abort();
  }
}
