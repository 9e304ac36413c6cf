/**
 * One client's HTTP/1.1 connection: reads, cuts the octets into requests, one HttpExchange at a time, and ends cleanly.
 *
 *            ┌───────────── next request (keep-alive, pipelined octets first) ─────────────┐
 *   READ_HEAD ─► IN_FLIGHT (see http-exchange.ts) ─────────────────────────────────────────┤
 *        └─ malformed ─► refused ─┐                                                        │
 *                                 └─► FLUSH (response queued) ─► LINGER ─► CLOSED ◄────────┘
 *
 * Pipelined octets wait in `#pending` and the socket is not read meanwhile. What a peer's socket does not take is queued
 * and its source is not read until it drains; nor is the next request begun while answers wait for the client. So memory
 * is bounded on both sides.
 */
import { EAGAIN, EINTR, ENOBUFS } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { ERROR, HANGUP, PEER_CLOSED, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { receive, setReset, shutdownWrite } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { HttpUpstream } from '../upstream/http-upstream.ts';
import { Outbox } from '../upstream/outbox.ts';
import type { PodUsage } from '../upstream/usage.ts';
import { bufferRefusal } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import { HttpExchange } from './http-exchange.ts';
import type { ClientSide } from './http-response-side.ts';
import type { PeerFacts } from './peer-facts.ts';
import { TcpRelay } from './tcp-relay.ts';

const READ_HEAD = 0;
const IN_FLIGHT = 1;
/** The last response is queued: close when it is out. */
const FLUSH = 2;
/** The last response is out but the client may still be sending: read and drop, so that a RST does not destroy it. */
const LINGER = 3;
const CLOSED = 4;
const STATE_NAMES: readonly string[] = ['idle', 'in flight', 'flushing', 'lingering', 'closed'];

/** Pending octets beyond this are kept in a buffer that is used again. */
const LARGE_BYTES = 4_096;

/** Charged per request beside its octets: parsing and deciding cost about as much as moving a kilobyte. */
const REQUEST_COST = 1_000;

export class HttpDownstream implements ReadyHandler, TimerTarget, LiveConnection, ClientSide {
  readonly tenant: number;
  readonly podIndex: number;
  tableIndex = -1;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  readonly #fd: number;
  readonly #exchange: HttpExchange;
  readonly #usage: PodUsage;
  readonly #outbox: Outbox;
  readonly #timer: Timer = new Timer(this);
  #state = READ_HEAD;
  #pending: Buffer | null = null;
  /** What is pending stands at its start; a large one is borrowed. */
  #pendingBytes = 0;
  #readPaused = false;
  /** The client has sent FIN and everything before it has been read. */
  #clientEnded = false;
  /** FIN has arrived while reading was paused. */
  #finSeen = false;
  #headTimerArmed = false;
  #lastActiveMs: number;
  #requests = 0;
  #bytesFromClient = 0;
  #bytesToClient = 0;
  #discarded = 0;

  /**
   * Takes over a connection whose first `length` octets are in the context's read buffer.
   * @param watched whether the reactor has the fd already, with interest READABLE.
   */
  static start(context: WorkerContext, flow: Flow, fd: number, length: number, watched: boolean): void {
    const downstream = new HttpDownstream(context, flow, fd);
    if (watched) context.reactor.handOver(fd, downstream);
    else context.reactor.add(fd, READABLE, downstream);
    context.connections.add(downstream);
    context.reactor.timers.arm(downstream.#timer, limits.idleTimeoutMs);
    downstream.#received(length);
    downstream.#consume(context.readBuffer, 0, length, 0);
  }

  private constructor(context: WorkerContext, flow: Flow, fd: number) {
    this.#context = context;
    this.#flow = flow;
    this.#fd = fd;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    this.#usage = flow.pod.usage;
    this.#outbox = new Outbox(this.#usage);
    this.#exchange = new HttpExchange(context, flow, this);
    this.#lastActiveMs = context.reactor.nowMs;
  }

  // --- events

  onReady(events: number): number {
    this.#lastActiveMs = this.#context.reactor.nowMs;
    if ((events & WRITABLE) !== 0 && this.#outbox.queuedBytes > 0) this.#flush();
    if (this.#state === CLOSED || (events & (READABLE | PEER_CLOSED | HANGUP | ERROR)) === 0) return 200;
    if (!this.#readPaused && !this.#clientEnded) return this.#read();
    if ((events & (HANGUP | ERROR)) !== 0) {
      this.#clientGone();
    } else if ((events & PEER_CLOSED) !== 0) {
      // FIN behind octets that were not read yet: nothing to do now, and it would be reported for ever.
      this.#finSeen = true;
      this.#updateInterest();
    }
    return 100;
  }

  onTimer(nowMs: number): void {
    if (this.#state === LINGER || this.#state === FLUSH) {
      this.#close(true);
      return;
    }
    if (this.#headTimerArmed && this.#state === READ_HEAD) {
      this.#context.bounds.hit('headTimeoutMs');
      this.#refuse(408, 'HEAD_TIMEOUT');
      return;
    }
    const bound = this.#clientEnded ? 'halfCloseTimeoutMs' : 'idleTimeoutMs';
    const idleMs = nowMs - this.#lastActiveMs;
    if (idleMs < limits[bound]) {
      this.#context.reactor.timers.arm(this.#timer, limits[bound] - idleMs);
      return;
    }
    this.#context.bounds.hit(bound);
    this.cut('IDLE_TIMEOUT');
  }

  #read(): number {
    const buffer = this.#context.readBuffer;
    const held = this.#pending === null ? 0 : this.#pending.copy(buffer.bytes, 0, 0, this.#pendingBytes);
    const room = buffer.length - held;
    const most = this.#usage.readBytesMax;
    const got = receive(this.#fd, buffer, held, room < most ? room : most);
    if (got <= 0) {
      if (got !== -EAGAIN && got !== -EINTR) this.#onClientEnd(got);
      return 50;
    }
    this.#received(got);
    if (this.#state === LINGER) return this.#discard(got);
    if (this.#state === FLUSH) return got; // of a request that has been answered: dropped
    if (held > 0) this.#setPending(null);
    if (this.#state === READ_HEAD) {
      this.#consume(buffer, 0, held + got, held);
      return got + held + REQUEST_COST; // what is held is copied twice each time
    }
    const end = held + got;
    const at = this.#exchange.requestComplete ? 0 : this.#exchange.forwardBody(buffer, 0, end);
    // The exchange may have ended in forwardBody: what follows the body is then the next request.
    if (at < end && this.#state === READ_HEAD) this.#consume(buffer, at, end, 0);
    else if (at < end && this.#state === IN_FLIGHT) this.#keepPending(buffer, at, end);
    return got + 200;
  }

  #received(octets: number): void {
    this.#bytesFromClient += octets;
    if (this.#flow.direction === 'outbound') this.#flow.pod.bytesOut += octets;
    else this.#flow.pod.bytesIn += octets;
  }

  // --- requests

  /**
   * Parses and starts requests from [start, end) until one is in flight, answers wait for the client, or octets run out.
   * @param seen octets of the first head that were here before and did not make it complete.
   */
  #consume(buffer: PinnedBuffer, start: number, end: number, seen: number): void {
    const head = this.#context.requestHead;
    let at = start;
    while (this.#state === READ_HEAD && at < end && !this.blocked) {
      const length = head.parse(buffer.bytes, at, end, at === start ? seen : 0);
      if (length === 0) {
        this.#keepPartialHead(buffer, at, end);
        return;
      }
      if (length < 0) {
        this.#refuse(-length, head.refusal);
        return;
      }
      if (this.#headTimerArmed) {
        this.#headTimerArmed = false;
        this.#context.reactor.timers.arm(this.#timer, limits.idleTimeoutMs);
      }
      this.#requests++;
      this.#flow.pod.requests++;
      this.#state = IN_FLIGHT;
      at = this.#exchange.begin(head, buffer, at, length, end);
    }
    if (at < end && (this.#state === IN_FLIGHT || this.#state === READ_HEAD)) this.#keepPending(buffer, at, end);
  }

  #refuse(status: number, reason: string): void {
    this.#setPending(null);
    this.#state = IN_FLIGHT;
    this.#exchange.refuse(status, reason);
  }

  exchangeEnded(close: boolean): void {
    if (close || this.#clientEnded) {
      this.#endOfConnection();
      return;
    }
    this.#state = READ_HEAD;
    // A client that asks on and on but reads no answers is not read from either (see #flush).
    if (this.blocked) this.pauseReading();
    else this.#nextRequest();
  }

  #nextRequest(): void {
    const pending = this.#pending;
    if (pending !== null) {
      const { readBuffer } = this.#context;
      const held = pending.copy(readBuffer.bytes, 0, 0, this.#pendingBytes);
      this.#setPending(null);
      this.#consume(readBuffer, 0, held, 0);
    }
    const readsOn = this.#state === READ_HEAD || (this.#state === IN_FLIGHT && this.#exchange.takesBody);
    if (this.#readPaused && readsOn && !this.blocked) this.resumeReading();
  }

  /** The delay is over: the request, which waits in `#pending`, begins again, and is counted when it does. */
  resumeRequest(): void {
    this.#requests--;
    this.#flow.pod.requests--;
    this.#state = READ_HEAD;
    this.#nextRequest();
  }

  // --- writing to the client

  write(from: PinnedBuffer, offset: number, length: number, last: boolean): boolean {
    this.#lastActiveMs = this.#context.reactor.nowMs;
    this.#bytesToClient += length;
    if (this.#flow.direction === 'outbound') this.#flow.pod.bytesIn += length;
    else this.#flow.pod.bytesOut += length;
    const result = this.#outbox.write(this.#fd, from, offset, length, last);
    if (result < 0) {
      if (result === -ENOBUFS) this.#overBudget();
      else this.#clientGone();
      return false;
    }
    if (this.#outbox.queuedBytes > 0) this.#updateInterest();
    return true;
  }

  get blocked(): boolean {
    return this.#outbox.queuedBytes > 0;
  }

  #flush(): void {
    const flushed = this.#outbox.flush(this.#fd);
    if (flushed < 0) {
      this.#clientGone();
      return;
    }
    if (flushed === 1) return;
    this.#updateInterest();
    if (this.#state === FLUSH) this.#endOfConnection();
    else if (this.#state === IN_FLIGHT) this.#exchange.clientDrained();
    else if (this.#state === READ_HEAD && this.#readPaused) this.#nextRequest();
  }

  // --- reading and its pauses

  #keepPartialHead(buffer: PinnedBuffer, start: number, end: number): void {
    if (!this.#setPending(buffer.bytes.subarray(start, end))) {
      this.#refuse(503, bufferRefusal(this.#flow.pod).reason);
      return;
    }
    if (this.#headTimerArmed) return;
    this.#headTimerArmed = true;
    this.#context.reactor.timers.arm(this.#timer, limits.headTimeoutMs);
  }

  /** Octets of later requests wait here; at most one read's worth, then the socket is not read. */
  #keepPending(buffer: PinnedBuffer, start: number, end: number): void {
    if (this.#setPending(buffer.bytes.subarray(start, end))) this.pauseReading();
    else this.#overBudget();
  }

  /** Keeps a copy of octets for later, instead of what was kept; false: they may not be held. */
  #setPending(octets: Buffer | null): boolean {
    const { keptRequests } = this.#context;
    const before = this.#pending;
    if (before !== null && this.#pendingBytes > LARGE_BYTES) keptRequests.release(this.#usage, before);
    else if (before !== null) this.#usage.release(before.length);
    this.#pending = null;
    if (octets === null) return true;
    if (octets.length <= LARGE_BYTES) {
      if (!this.#usage.hold(octets.length)) return false;
      this.#pending = Buffer.from(octets);
    } else {
      const borrowed = keptRequests.borrow(this.#usage, octets.length);
      if (borrowed === null) return false;
      octets.copy(borrowed);
      this.#pending = borrowed;
    }
    this.#pendingBytes = octets.length;
    return true;
  }

  /** More would have to be held for this connection than its pod may: it ends, and what it holds is free again. */
  #overBudget(): void {
    const { reason, flags } = bufferRefusal(this.#flow.pod);
    this.#exchange.cut(reason, flags);
    this.#close(true);
  }

  pauseReading(): void {
    this.#readPaused = true;
    this.#updateInterest();
  }

  resumeReading(): void {
    this.#readPaused = false;
    this.#updateInterest();
  }

  #updateInterest(): void {
    if (this.#state === CLOSED) return;
    // While paused, a client that vanishes must still be noticed.
    const paused = this.#readPaused || this.#clientEnded;
    const read = !paused ? READABLE : this.#finSeen || this.#clientEnded ? ERROR : PEER_CLOSED;
    const write = this.#outbox.queuedBytes > 0 ? WRITABLE : 0;
    this.#context.reactor.change(this.#fd, read | write);
  }

  // --- the end

  #onClientEnd(got: number): void {
    if (got === 0 && this.#outbox.queuedBytes > 0 && !this.#exchange.active) {
      // It will ask for nothing more, but has not read all of its last answer.
      this.#clientEnded = true;
      this.#endOfConnection();
      return;
    }
    if (got < 0 || !this.#exchange.active || !this.#exchange.requestComplete) {
      this.#clientGone(got < 0);
      return;
    }
    // The client has said all it will say and still waits for the answer.
    this.#clientEnded = true;
    this.#context.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
    this.#updateInterest();
  }

  #clientGone(reset = true): void {
    this.#exchange.cut('CLIENT_GONE', 'DC');
    this.#close(reset);
  }

  #endOfConnection(): void {
    if (this.#outbox.queuedBytes > 0) {
      this.#state = FLUSH;
      this.#context.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
      this.#updateInterest();
      return;
    }
    const nothingUnread = this.#exchange.requestComplete && this.#pending === null && !this.#readPaused;
    if (this.#clientEnded || (nothingUnread && this.#exchange.status < 400)) {
      this.#close(false);
      return;
    }
    this.#state = LINGER;
    this.#setPending(null);
    shutdownWrite(this.#fd);
    this.#context.reactor.timers.arm(this.#timer, limits.lingerTimeoutMs);
    this.resumeReading();
  }

  #discard(octets: number): number {
    this.#discarded += octets;
    if (this.#discarded > limits.lingerBytesMax) {
      this.#context.bounds.hit('lingerBytesMax');
      this.#close(true);
    }
    return octets;
  }

  reset(): void {
    this.#close(true);
  }

  #close(reset: boolean): void {
    if (this.#state === CLOSED) return;
    this.#leave();
    if (reset) setReset(this.#fd);
    this.#context.reactor.removeAndClose(this.#fd);
    this.#flow.pod.connectionsActive--;
  }

  /** Leaves timers and table; the fd stays open and in the reactor. */
  #leave(): void {
    this.#state = CLOSED;
    this.#exchange.close();
    this.#context.reactor.timers.disarm(this.#timer);
    this.#context.connections.remove(this);
    this.#setPending(null);
    this.#outbox.clear();
  }

  becomeTunnel(upstream: HttpUpstream, peer: PeerFacts, request: Buffer, octets: Buffer): void {
    const toClient = Buffer.concat([this.#outbox.takeAll(), octets]);
    const { fd, outbox } = upstream.detach();
    const pending = this.#pending?.subarray(0, this.#pendingBytes) ?? Buffer.alloc(0);
    const toServer = Buffer.concat([outbox.takeAll(), pending]);
    this.#leave();
    this.#context.reactor.remove(this.#fd);
    new TcpRelay(this.#context, this.#flow, peer, this.#fd, fd, orNull(toServer), orNull(toClient), request);
  }

  // --- as a live connection

  reevaluate(): void {
    const denied = this.#exchange.deniedNow();
    if (denied === null) return;
    this.#context.bounds.event('connection_cut_by_policy');
    this.cut(denied);
  }

  /** Idle and patient: the next request is answered with `Connection: close`, since the context drains (http-exchange.ts). */
  drain(patient: boolean): void {
    if (this.#state === READ_HEAD) {
      if (!patient && this.#pending === null) this.#endOfConnection();
    } else {
      this.#exchange.closeAfterResponse(patient);
    }
  }

  cut(reason: string): void {
    this.#exchange.cut(reason, '-');
    this.#close(true);
  }

  describe(nowMs: number): ConnectionInfo {
    return connectionInfo(this.#flow, nowMs, {
      protocol: 'http',
      peer: this.#exchange.peer,
      state: STATE_NAMES[this.#state] as string,
      idleMs: nowMs - this.#lastActiveMs,
      bytesFromClient: this.#bytesFromClient,
      bytesToClient: this.#bytesToClient,
      requests: this.#requests,
    });
  }
}

function orNull(octets: Buffer): Buffer | null {
  return octets.length === 0 ? null : octets;
}
