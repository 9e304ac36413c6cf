/**
 * One stream of a connection (RFC 9113 section 5): its two halves, its windows, and the DATA that waits for them.
 *
 *   sendData ─► window and socket take it ─► DATA frame in the sink
 *         └─► else: copied to `pending`, at most what the other side's stream window let in (credit is given back only as
 *             octets are sent: onSent), and sent when WINDOW_UPDATE arrives or the socket drains, streams taking turns
 */
import { PAYLOAD_MAX } from './frame.ts';
import type { HeaderList } from './header-list.ts';
import type { Http2Session } from './session.ts';

/** StreamHandler.onReset: the connection broke. Beyond the codes of RFC 9113 section 7, which are all a peer can make us see. */
export const CONNECTION_LOST = 0x100;
/** StreamHandler.onReset: the connection was never made; nothing has been sent. */
export const NOT_CONNECTED = 0x101;

/** A request to an endpoint, whatever version of HTTP carries it. */
export interface MessageStream {
  /** The final response head has been received. Set by the handler. */
  headSeen: boolean;
  /** Octets of body that must still come to fulfil Content-Length; −1: not known. Set by the handler. */
  expected: number;
  /** Our side is done: request sent, or kept to be sent. */
  readonly localClosed: boolean;
  /** Gone, in whatever way. */
  readonly closed: boolean;
  /** Of the connection's last failure, −errno; 0: none. */
  readonly errno: number;
  sendHeaders(list: HeaderList, endStream: boolean): void;
  /** Sends or keeps; returns how many octets were kept (onSent will follow). */
  sendData(from: Uint8Array, start: number, length: number, endStream: boolean): number;
  /** Trailers; they end our side. */
  sendTrailers(list: HeaderList): void;
  /** So many octets given to onData have been passed on. */
  consumed(octets: number): void;
  /** Ends it at once; the handler hears nothing more. */
  reset(code: number): void;
}

/** Who uses a stream. Calls are synchronous and may reset it. */
export interface StreamHandler {
  /** Response head, interim response, or trailers. */
  onHeaders(stream: MessageStream, list: HeaderList, endStream: boolean): void;
  /** [start, start + length) of `from`, valid during the call. Say consumed() once they have been passed on. */
  onData(stream: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void;
  /** So many octets that sendData() had kept are now written. */
  onSent(stream: MessageStream, octets: number): void;
  /** Ended by the peer's RST_STREAM, by an error of the peer, or with its connection; the stream is gone. */
  onReset(stream: MessageStream, code: number): void;
}

export class Http2Stream implements MessageStream {
  readonly id: number;
  readonly session: Http2Session;
  handler: StreamHandler | null = null;
  /** Octets the peer lets us send. */
  sendWindow: number;
  /** Octets the peer may still send. */
  receiveWindow: number;
  /** Passed on, but not yet given back to the peer. */
  returnable = 0;
  /** Received and not yet passed on. */
  unconsumed = 0;
  /** Octets of body that must still come to fulfil Content-Length; −1: not known. */
  expected = -1;
  /** The final response head has been received (client side), or the request head (server side). */
  headSeen = false;
  localClosed = false;
  remoteClosed = false;
  closed = false;
  pendingBytes = 0;
  /** In the session's list of streams with something to send. */
  listed = false;
  previous: Http2Stream | null = null;
  next: Http2Stream | null = null;
  /** The peer knows of it. */
  begun = false;
  /** Something has come, gone or been passed on since Http2Session.endSilent() was last asked. */
  moved = true;
  #pending: Buffer[] = [];
  #sentOfFirst = 0;
  #endPending = false;
  #trailersPending: HeaderList | null = null;
  /** The code to reset it with once our side has ended; −1: it may go on. */
  #resetWhenSent = -1;

  constructor(session: Http2Session, id: number, sendWindow: number, receiveWindow: number) {
    this.session = session;
    this.id = id;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }

  get errno(): number {
    return this.session.errno;
  }

  sendHeaders(list: HeaderList, endStream: boolean): void {
    if (this.closed || this.localClosed) return;
    this.session.writeHeaders(this, list, endStream);
  }

  /** Sends or keeps; returns how many octets were kept (onSent will follow). Hot. */
  sendData(from: Uint8Array, start: number, length: number, endStream: boolean): number {
    if (this.closed || this.localClosed) return 0;
    let sent = 0;
    if (this.pendingBytes === 0) {
      sent = this.session.writeData(this, from, start, length, endStream);
      if (sent === length) return 0;
    }
    if (!this.#keep(from, start + sent, length - sent)) {
      this.session.overflow(this);
      return 0;
    }
    this.#endPending = endStream;
    this.session.list(this);
    return length - sent;
  }

  /** Trailers; they wait behind DATA that waits. Ends this side. */
  sendTrailers(list: HeaderList): void {
    if (this.closed || this.localClosed) return;
    if (this.pendingBytes === 0) this.session.writeHeaders(this, list, true);
    else this.#trailersPending = list;
  }

  /** So many octets given to onData have been passed on: the peer may send as many more. Hot. */
  consumed(octets: number): void {
    if (!this.closed) this.session.returnCredit(this, octets);
  }

  /** Ends the stream at once; the handler hears nothing more. */
  reset(code: number): void {
    if (this.closed) return;
    this.session.resetStream(this, code);
  }

  /**
   * What the peer still sends is of no use, but what it is sent is whole: resets the stream once our side has ended, which has
   * been asked for (RFC 9113 section 8.1). The handler hears nothing of that.
   */
  resetWhenSent(code: number): void {
    if (this.closed) return;
    if (this.localClosed) this.reset(code);
    else this.#resetWhenSent = code;
  }

  /** @internal Sends at most one frame of what waits. */
  sendPending(): void {
    const first = this.#pending[0];
    if (first === undefined) return;
    const left = first.length - this.#sentOfFirst;
    const length = left < PAYLOAD_MAX ? left : PAYLOAD_MAX;
    const isEnd = this.#endPending && length === this.pendingBytes;
    const sent = this.session.writeData(this, first, this.#sentOfFirst, length, isEnd);
    if (sent === 0) return;
    if (!this.closed) this.#sent(sent, left); // with END_STREAM the stream may be over, and nothing of it is left
    this.handler?.onSent(this, sent);
    if (this.#resetWhenSent >= 0 && this.localClosed) this.reset(this.#resetWhenSent);
  }

  /** So many octets of the first chunk, of which `left` were unsent, are out. */
  #sent(octets: number, left: number): void {
    this.pendingBytes -= octets;
    this.session.release(octets);
    this.#sentOfFirst += octets;
    if (octets === left) {
      this.#pending.shift();
      this.#sentOfFirst = 0;
    }
    const trailers = this.#trailersPending;
    if (this.pendingBytes > 0 || trailers === null) return;
    this.#trailersPending = null;
    this.session.writeHeaders(this, trailers, true);
  }

  /** @internal Forgets what waits: the stream is gone. */
  clear(): void {
    this.#pending = [];
    this.session.release(this.pendingBytes);
    this.pendingBytes = 0;
    this.#trailersPending = null;
    this.#endPending = false;
  }

  /** False: no more may be kept. */
  #keep(from: Uint8Array, start: number, length: number): boolean {
    if (length === 0) return true;
    if (!this.session.hold(length)) return false;
    const copy = Buffer.allocUnsafeSlow(length);
    copy.set(from.subarray(start, start + length), 0);
    this.#pending.push(copy);
    this.pendingBytes += length;
    return true;
  }
}
