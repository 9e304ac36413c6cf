/**
 * HEADERS and CONTINUATION (RFC 9113 sections 6.2 and 6.10): put together, decoded in the order they came in, and given to the
 * stream that they open, answer or end.
 */
import { limits } from '../limits.ts';
import type { ControlledSession } from './control-frames.ts';
import * as frame from './frame.ts';
import { writeReset } from './frame-writer.ts';
import { HeaderBlock } from './header-block.ts';
import type { HeaderList, HeaderListTable } from './header-list.ts';
import { HPACK_ERROR, HPACK_TOO_LARGE, HpackDecoder } from './hpack-decoder.ts';
import type { SessionOwner } from './session-owner.ts';
import type { Http2Stream } from './stream.ts';

/** Of Http2Session, what these frames may touch. */
export interface HeadedSession extends ControlledSession {
  readonly active: number;
  readonly lastNamed: boolean;
  add(id: number): Http2Stream;
  endIfDone(stream: Http2Stream): void;
}

export class HeaderFrames {
  readonly #session: HeadedSession;
  readonly #owner: SessionOwner;
  readonly #decoder: HpackDecoder;
  readonly #block = new HeaderBlock();

  constructor(session: HeadedSession, owner: SessionOwner, table: HeaderListTable) {
    this.#session = session;
    this.#owner = owner;
    this.#decoder = new HpackDecoder(table, {
      tableBytesMax: limits.http2HeaderTableBytes,
      listBytesMax: limits.headBytesMax,
      fieldCountMax: limits.headerCountMax,
    });
  }

  /** The stream whose header block has begun and not ended: nothing else may come before its end; 0: none. */
  get unfinished(): number {
    return this.#block.streamId;
  }

  /** HEADERS of `length` octets at `at`. */
  onHeaders(bytes: Buffer, flags: number, id: number, at: number, length: number): void {
    if (id === 0) return this.#session.fail(frame.PROTOCOL_ERROR, 'HEADERS on stream 0');
    let start = at;
    let end = at + length;
    let selfDependent = false;
    if ((flags & frame.FLAG_PADDED) !== 0) {
      const padding = length === 0 ? 0 : (bytes[at] as number);
      if (padding >= length) return this.#session.fail(frame.PROTOCOL_ERROR, 'padding is longer than the frame');
      start++;
      end -= padding;
    }
    if ((flags & frame.FLAG_PRIORITY) !== 0) {
      if (end - start < 5) return this.#session.fail(frame.FRAME_SIZE_ERROR, 'HEADERS too short for its priority');
      selfDependent = frame.readStreamId(bytes, start) === id;
      start += 5;
    }
    const endStream = (flags & frame.FLAG_END_STREAM) !== 0;
    if ((flags & frame.FLAG_END_HEADERS) !== 0) {
      this.#onBlock(bytes, start, end, id, endStream, selfDependent);
      return;
    }
    this.#block.begin(id, endStream, selfDependent, bytes, start, end);
  }

  /** CONTINUATION of the stream that is unfinished. */
  onContinuation(bytes: Buffer, flags: number, at: number, length: number): void {
    const block = this.#block;
    if (!block.append(bytes, at, at + length)) {
      this.#owner.onBound('http2HeaderBlockBytesMax');
      return this.#session.fail(frame.ENHANCE_YOUR_CALM, 'header block too large or in too many frames');
    }
    if ((flags & frame.FLAG_END_HEADERS) === 0) return;
    const octets = block.take();
    this.#onBlock(octets, 0, octets.length, block.lastStreamId, block.endStream, block.selfDependent);
  }

  /** A complete header block. It is decoded whatever becomes of its stream: the compression state is the connection's. */
  #onBlock(bytes: Buffer, start: number, end: number, id: number, endStream: boolean, selfDependent: boolean): void {
    const session = this.#session;
    const decoded = this.#decoder.decode(bytes, start, end);
    if (decoded === HPACK_ERROR) return session.fail(frame.COMPRESSION_ERROR, 'header block cannot be decoded');
    const stream = session.streams.get(id);
    if (stream === undefined && !session.server) return this.#headersAfterEnd(id);
    const target = stream ?? this.#openByPeer(id, endStream);
    if (target === null) return;
    target.moved = true;
    if (selfDependent) return session.streamError(target, frame.PROTOCOL_ERROR, 0);
    if (stream !== undefined && stream.remoteClosed) return session.streamError(stream, frame.STREAM_CLOSED, 0);
    if (decoded === HPACK_TOO_LARGE) return this.#onTooLarge(target, stream === undefined);
    const list = this.#decoder.list as HeaderList;
    if (endStream) {
      target.remoteClosed = true;
      // What Content-Length announced has not come; a response head says for itself what it means (onHeaders).
      if (target.expected > 0 && target.headSeen) return session.streamError(target, frame.PROTOCOL_ERROR, 0);
    }
    if (stream === undefined) {
      target.headSeen = true;
      this.#owner.onRequest(target, list, endStream);
    } else if (session.server && !endStream) {
      return session.streamError(target, frame.PROTOCOL_ERROR, 0); // trailers that do not end the stream
    } else {
      target.handler?.onHeaders(target, list, endStream);
    }
    if (endStream) session.endIfDone(target);
  }

  #onTooLarge(stream: Http2Stream, isRequest: boolean): void {
    this.#owner.onBound('headBytesMax');
    if (isRequest) this.#owner.onTooLarge(stream, this.#decoder.contentType);
    else this.#session.streamError(stream, frame.ENHANCE_YOUR_CALM, 0);
  }

  /** Server: the stream of a new request, or null when there must be none. */
  #openByPeer(id: number, endStream: boolean): Http2Stream | null {
    const session = this.#session;
    const { streams } = session;
    if (id <= streams.lastOfPeer || (id & 1) === 0) {
      this.#headersAfterEnd(id);
      return null;
    }
    streams.lastOfPeer = id;
    if (session.lastNamed) return null; // beyond the last stream that our GOAWAY named
    if (session.active >= limits.http2StreamsMax) {
      this.#owner.onBound('http2StreamsMax');
      streams.recent.add(id, true);
      if (session.spendCancel()) writeReset(session.sink, id, frame.REFUSED_STREAM);
      return null;
    }
    const stream = session.add(id);
    stream.begun = true;
    stream.remoteClosed = endStream;
    return stream;
  }

  #headersAfterEnd(id: number): void {
    const { server, streams } = this.#session;
    if (streams.recent.wasReset(id)) return;
    // Answers to what we cancelled may come after many other streams have ended: they are no error of the peer.
    if (!server && !streams.isIdle(id) && !streams.recent.wasClosed(id)) return;
    if (streams.recent.wasClosed(id)) this.#session.fail(frame.STREAM_CLOSED, 'HEADERS on a closed stream');
    else this.#session.fail(frame.PROTOCOL_ERROR, 'HEADERS with a stream identifier that may not be used');
  }
}
