/**
 * One HTTP/1.1 connection to an endpoint: carries one exchange at a time, then goes back to its pool if it is provably
 * clean: response complete, keep-alive, no surplus octets, and the whole request sent before the response began. (An endpoint
 * that answers early may have ignored the body, and would then read it as the next request.)
 *
 *   dial ─► connecting ─► (exchange) head ─► body ─► done ─► idle ─► (exchange) …
 *                │                 │           │                └─ EOF, surplus octets, idle too long: closed
 *                └─ connect failed └─ reset: replayed by the exchange if nothing was answered and it is idempotent
 *
 * The response is parsed here and handed on in the shared read buffer; whoever owns the exchange writes it to the client.
 */
import { BodyScanner } from '../http1/body-scanner.ts';
import { EAGAIN, ECONNRESET, EINTR, ENOBUFS, EPIPE, EPROTO, ETIMEDOUT } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { ERROR, HANGUP, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { closeFd, isConnected, receive, takeSocketError } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { limits } from '../limits.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import { Outbox } from './outbox.ts';
import { DIAL_COST, dial } from './dial.ts';
import type { DialPlan, UpstreamEnvironment } from './environment.ts';
import type { PodUsage } from './usage.ts';

/** `refused`: the endpoint has said that it did not look at the request, so any request may be sent again (RFC 9113 section 8.7). */
export type UpstreamFailure = 'connect' | 'refused' | 'reset' | 'malformed' | 'truncated';

/** Who waits for the response: the client's side. All calls are synchronous, in order, and may end the exchange. */
export interface Exchange {
  /** Interim response (100, 103) whose head is [offset, offset+length). `head` is valid during the call. */
  onInterim(head: ResponseHead, from: PinnedBuffer, offset: number, length: number): void;
  /**
   * Final head at [offset, offset+headLength), followed by bodyLength octets of body. `head` is valid during the call.
   * @param last with these octets the response is complete: onResponseEnd follows at once.
   */
  onResponse(
    head: ResponseHead,
    from: PinnedBuffer,
    offset: number,
    headLength: number,
    bodyLength: number,
    last: boolean,
  ): void;
  /** @param last as in onResponse. */
  onResponseBody(from: PinnedBuffer, offset: number, length: number, last: boolean): void;
  /** Complete; the upstream has already left the exchange when `reusable`. */
  onResponseEnd(): void;
  /**
   * 101, or 2xx to CONNECT: both directions are opaque from now on. `surplus` octets after the head at `offset` belong to the
   * tunnel.
   */
  onTunnel(head: ResponseHead, from: PinnedBuffer, offset: number, headLength: number, surplus: number): void;
  onUpstreamFailed(failure: UpstreamFailure, errno: number): void;
  /** The request octets that were held back have been sent: read the client again. */
  onUpstreamDrained(): void;
}

/** What an exchange sends a request on and hears the response from: an HTTP/1.1 connection, or what stands for one. */
export interface UpstreamConnection {
  /** A request was answered on this connection before: a reset now may only mean that it was stale. */
  readonly reused: boolean;
  /** It can fail with `refused`. */
  readonly mayRefuse: boolean;
  /** The handshake is over. */
  readonly connected: boolean;
  /** A response octet of the current exchange has arrived. */
  readonly answered: boolean;
  /** Octets are held back because the endpoint does not take them: do not read the client meanwhile. */
  readonly blocked: boolean;
  /** @param mayReuse false: nothing may follow this request on its connection */
  begin(exchange: Exchange, method: string, mayReuse: boolean): void;
  /** 0 when sent or queued, −errno when the connection is broken (the caller fails the exchange). */
  write(from: PinnedBuffer, offset: number, length: number): number;
  /** Comes before the write() of the last octets. */
  requestFinished(): void;
  pauseReading(): void;
  resumeReading(): void;
  abort(): void;
  close(): void;
}

export interface UpstreamPoolLike {
  release(upstream: HttpUpstream): boolean;
  forget(upstream: HttpUpstream): void;
}

const HEAD = 0;
const BODY = 1;
const IDLE = 2;
const CLOSED = 3;

export class HttpUpstream implements ReadyHandler, TimerTarget, UpstreamConnection {
  readonly tenant: number;
  readonly endpoint: Endpoint;
  readonly plan: DialPlan;
  fd = -1;
  /** Position in its pool's stack while idle, and since when. */
  idleSinceMs = 0;
  /** A request was answered on this connection before: a reset now may only mean that it was stale. */
  reused = false;
  readonly mayRefuse = false;
  readonly #environment: UpstreamEnvironment;
  readonly #pool: UpstreamPoolLike | null;
  readonly #usage: PodUsage;
  readonly #outbox: Outbox;
  readonly #scanner = new BodyScanner();
  readonly #timer: Timer = new Timer(this);
  #exchange: Exchange | null = null;
  #state = HEAD;
  #connected = false;
  #readPaused = false;
  #requestComplete = false;
  #method = '';
  #mayReuse = true;
  #keepAlive = false;
  #interims = 0;
  #untilClose = false;
  #answered = false;
  /** The endpoint takes no more of the request; what it had to say before may still be there to be read. */
  #writeBroken = false;
  #pending: Buffer | null = null;

  constructor(
    environment: UpstreamEnvironment,
    usage: PodUsage,
    endpoint: Endpoint,
    plan: DialPlan,
    pool: UpstreamPoolLike | null,
  ) {
    this.#environment = environment;
    this.tenant = usage.tenant;
    this.#usage = usage;
    this.#outbox = new Outbox(usage);
    this.endpoint = endpoint;
    this.plan = plan;
    this.#pool = pool;
  }

  /** Dials: 0, or −errno. */
  open(): number {
    const { preamble } = this.plan;
    const held = preamble === null ? 0 : this.#outbox.holdKept(preamble);
    if (held < 0) return held;
    const opened = this.#openSocket();
    if (opened < 0) this.#outbox.clear();
    return opened;
  }

  #openSocket(): number {
    this.#environment.reactor.charge(DIAL_COST);
    const fd = dial(this.plan);
    if (fd < 0) return fd;
    const { preamble } = this.plan;
    this.#connected = isConnected(fd);
    const interest = this.#connected && preamble === null ? READABLE : READABLE | WRITABLE;
    const added = this.#environment.reactor.add(fd, interest, this);
    if (added < 0) {
      closeFd(fd);
      return added;
    }
    this.fd = fd;
    if (this.#connected) return 0;
    this.#usage.dialStarted();
    this.#environment.reactor.timers.arm(this.#timer, limits.connectTimeoutMs);
    return 0;
  }

  get idle(): boolean {
    return this.#state === IDLE;
  }

  /** The handshake is over. */
  get connected(): boolean {
    return this.#connected;
  }

  /** Octets held back because the endpoint does not take them: while > 0, do not read the client. */
  get blocked(): boolean {
    return this.#outbox.queuedBytes > 0;
  }

  /** True once a response octet of the current exchange arrived. */
  get answered(): boolean {
    return this.#answered;
  }

  /**
   * @param method of the request: HEAD and CONNECT change what the response means
   * @param mayReuse false: the endpoint may not take the request's body for one, so nothing follows it on this connection
   */
  begin(exchange: Exchange, method: string, mayReuse: boolean): void {
    this.#exchange = exchange;
    this.#method = method;
    this.#mayReuse = mayReuse;
    this.#interims = 0;
    this.#requestComplete = false;
    this.#answered = false;
    this.#untilClose = false;
    this.#state = HEAD;
    this.#environment.inFlight.begin(this.endpoint);
  }

  /**
   * Request octets: 0 when sent or queued, −errno when the connection is broken (the caller fails the exchange). A reset
   * fails nothing yet: the event that comes with it first reads a response (413, say) that was sent before. Hot.
   */
  write(from: PinnedBuffer, offset: number, length: number): number {
    if (this.#writeBroken) return 0;
    const result = this.#outbox.write(this.fd, from, offset, length);
    if (result < 0 && this.#isReset(result)) return 0;
    if (this.#outbox.queuedBytes > 0) this.#updateInterest();
    return result;
  }

  requestFinished(): void {
    this.#requestComplete = true;
  }

  pauseReading(): void {
    this.#readPaused = true;
    this.#updateInterest();
  }

  resumeReading(): void {
    this.#readPaused = false;
    this.#updateInterest();
  }

  /** Leaves the exchange and closes: the client is gone or the request cannot be finished. */
  abort(): void {
    this.#leave();
    this.close();
  }

  /** Gives the socket away (tunnel): no longer watched by this object. Returns the fd and what is still queued. */
  detach(): { fd: number; outbox: Outbox } {
    this.#leave();
    this.#setPending(null);
    const fd = this.fd;
    this.#environment.reactor.timers.disarm(this.#timer);
    this.#environment.reactor.remove(fd);
    this.fd = -1;
    this.#state = CLOSED;
    return { fd, outbox: this.#outbox };
  }

  close(): void {
    if (this.#state === IDLE) this.#pool?.forget(this);
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    if (this.fd >= 0 && !this.#connected) this.#usage.dialEnded();
    this.#outbox.clear();
    this.#setPending(null);
    this.#environment.reactor.timers.disarm(this.#timer);
    if (this.fd < 0) return;
    this.#environment.reactor.removeAndClose(this.fd);
    this.fd = -1;
  }

  onTimer(): void {
    if (this.#connected) return;
    this.#environment.bounds.hit('connectTimeoutMs');
    this.#fail('connect', -ETIMEDOUT);
  }

  onReady(events: number): number {
    if (!this.#connected) {
      const error = takeSocketError(this.fd);
      if (error !== 0) {
        this.#fail('connect', -Math.abs(error));
        return 500;
      }
      if ((events & WRITABLE) === 0) return 50;
      this.#connected = true;
      this.#usage.dialEnded();
      this.#environment.reactor.timers.disarm(this.#timer);
      if (this.#outbox.queuedBytes === 0) this.#updateInterest();
    }
    if ((events & WRITABLE) !== 0 && this.#outbox.queuedBytes > 0) {
      const flushed = this.#outbox.flush(this.fd);
      if (flushed < 0 && !this.#isReset(flushed)) {
        this.#fail('reset', flushed);
        return 200;
      }
      if (flushed < 0) this.#outbox.clear();
      if (flushed <= 0) {
        this.#updateInterest();
        this.#exchange?.onUpstreamDrained();
      }
    }
    if (this.#state === CLOSED || (events & (READABLE | HANGUP | ERROR)) === 0) return 200;
    if (this.#readPaused && (events & (HANGUP | ERROR)) === 0) return 100;
    return this.#read();
  }

  /** Whether a failed write means that the peer has reset the connection; epoll then says HANGUP until it is read. */
  #isReset(errno: number): boolean {
    this.#writeBroken = this.#connected && (errno === -EPIPE || errno === -ECONNRESET);
    return this.#writeBroken;
  }

  #read(): number {
    const buffer = this.#environment.readBuffer;
    let held = 0;
    if (this.#pending !== null) held = this.#pending.copy(buffer.bytes, 0);
    const room = buffer.length - held;
    const most = this.#usage.readBytesMax;
    const got = receive(this.fd, buffer, held, room < most ? room : most);
    if (got <= 0) {
      if (got === -EAGAIN || got === -EINTR) return 50;
      this.#onEnd(got);
      return 200;
    }
    if (this.#exchange === null) {
      // Octets nobody asked for: whatever they are, they must never answer a later request.
      this.#environment.bounds.event('upstream_unsolicited');
      this.close();
      return got;
    }
    this.#answered = true;
    if (held > 0) this.#setPending(null);
    this.#process(buffer, 0, held + got);
    return got + held + 200;
  }

  #process(buffer: PinnedBuffer, start: number, end: number): void {
    let at = start;
    while (this.#state === HEAD) {
      const head = this.#environment.responseHead;
      const length = head.parse(buffer.bytes, at, end, this.#method);
      if (length === 0) {
        if (end - at >= limits.headBytesMax) this.#fail('malformed', -EPROTO);
        else if (!this.#setPending(buffer.bytes.subarray(at, end))) this.#fail('reset', -ENOBUFS);
        return;
      }
      if (length < 0) {
        this.#fail('malformed', -EPROTO);
        return;
      }
      if (head.status === 101 || head.tunnel) {
        this.#exchange?.onTunnel(head, buffer, at, length, end - at - length);
        return;
      }
      if (head.status < 200) {
        if (++this.#interims > limits.interimResponsesMax) {
          this.#environment.bounds.hit('interimResponsesMax');
          this.#fail('malformed', -EPROTO);
          return;
        }
        this.#exchange?.onInterim(head, buffer, at, length);
        at += length;
        if (at === end || this.#exchange === null) return;
        continue;
      }
      at = this.#onFinalHead(head, buffer, at, length, end);
      if (at < 0) return;
      break;
    }
    if (this.#state === BODY && at < end) this.#onBody(buffer, at, end);
  }

  /** Forwards head and the body octets that came with it; returns where the rest starts, or −1 when nothing is left to do. */
  #onFinalHead(head: ResponseHead, buffer: PinnedBuffer, at: number, length: number, end: number): number {
    const isSent = this.#requestComplete && this.#outbox.queuedBytes === 0;
    this.#keepAlive = head.keepAlive && this.#mayReuse && isSent;
    this.#untilClose = head.bodyKind === 3;
    this.#scanner.start(head.bodyKind, head.contentLength);
    this.#state = BODY;
    const bodyStart = at + length;
    const body = this.#untilClose ? end - bodyStart : this.#scanner.scan(buffer.bytes, bodyStart, end);
    if (body < 0) {
      this.#fail('malformed', -EPROTO);
      return -1;
    }
    const complete = !this.#untilClose && this.#scanner.complete;
    this.#exchange?.onResponse(head, buffer, at, length, body, complete);
    if (!complete) return -1;
    this.#finish(bodyStart + body < end);
    return -1;
  }

  #onBody(buffer: PinnedBuffer, start: number, end: number): void {
    const body = this.#untilClose ? end - start : this.#scanner.scan(buffer.bytes, start, end);
    if (body < 0) {
      this.#fail('truncated', -EPROTO);
      return;
    }
    const complete = !this.#untilClose && this.#scanner.complete;
    this.#exchange?.onResponseBody(buffer, start, body, complete);
    if (complete) this.#finish(start + body < end);
  }

  /** @param surplus octets followed the response: the connection cannot be trusted with another request. */
  #finish(surplus: boolean): void {
    const exchange = this.#exchange;
    this.#leave();
    const clean = this.#keepAlive && !surplus && !this.#writeBroken;
    if (clean && this.#state !== CLOSED) {
      this.reused = true;
      this.#state = IDLE;
      if (this.#readPaused) this.resumeReading();
      if (this.#pool === null || !this.#pool.release(this)) {
        if (this.#pool !== null) this.close();
      }
    } else {
      this.close();
    }
    exchange?.onResponseEnd();
  }

  #onEnd(got: number): void {
    if (this.#exchange === null) {
      this.close();
      return;
    }
    // After a reset that a write has already reported, 0 is not the peer's FIN.
    if (got === 0 && this.#state === BODY && this.#untilClose && !this.#writeBroken) {
      this.#keepAlive = false;
      this.#finish(false);
      return;
    }
    this.#fail(this.#state === BODY ? 'truncated' : 'reset', got === 0 ? -ECONNRESET : got);
  }

  /** Keeps a copy of the start of a head, instead of what was kept; false: it may not be held. */
  #setPending(octets: Buffer | null): boolean {
    if (this.#pending !== null) this.#usage.release(this.#pending.length);
    this.#pending = null;
    if (octets === null) return true;
    if (!this.#usage.hold(octets.length)) return false;
    this.#pending = Buffer.from(octets);
    return true;
  }

  #fail(failure: UpstreamFailure, errno: number): void {
    const exchange = this.#exchange;
    this.#leave();
    this.close();
    exchange?.onUpstreamFailed(failure, errno);
  }

  #leave(): void {
    if (this.#exchange === null) return;
    this.#exchange = null;
    this.#environment.inFlight.end(this.endpoint);
  }

  #updateInterest(): void {
    if (this.fd < 0) return;
    let interest = this.#readPaused ? 0 : READABLE;
    if (!this.#connected || this.#outbox.queuedBytes > 0) interest |= WRITABLE;
    this.#environment.reactor.change(this.fd, interest);
  }
}
