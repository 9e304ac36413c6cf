/**
 * One HTTP/2 connection to an endpoint: carries many requests at a time, for all client connections of a pod (or, inbound,
 * for one client whose address it has).
 *
 *   dial ─► connecting (requests are collected meanwhile) ─► open ─► draining (GOAWAY, too old) ─► closed when the last stream ends
 */
import { EAGAIN, EINTR, ENOBUFS, ETIMEDOUT } from '../engine/errno.ts';
import { ERROR, HANGUP, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { closeFd, receive, takeSocketError } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { Http2Session } from '../http2/session.ts';
import type { SessionOwner } from '../http2/session-owner.ts';
import { CONNECTION_LOST, NOT_CONNECTED } from '../http2/stream.ts';
import type { Http2Stream, StreamHandler } from '../http2/stream.ts';
import { type LimitName, limits } from '../limits.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import { dial } from './dial.ts';
import type { DialPlan, UpstreamEnvironment } from './environment.ts';
import { FrameOutput, type OutputOwner } from './frame-output.ts';
import { Remainder } from './remainder.ts';
import type { PodUsage } from './usage.ts';

/** Told when the connection can take no more streams, or is closed. */
export interface Http2PoolLike {
  forget(upstream: Http2Upstream): void;
}

/** Who must know what the endpoint announces in SETTINGS before anything is sent. Told once, of one or the other. */
export interface SettingsWaiter {
  onSettled(): void;
  /** The connection could not be made or broke (`errno`: −errno, or 0), or no SETTINGS came in time. */
  onNotSettled(errno: number): void;
}

export class Http2Upstream implements ReadyHandler, TimerTarget, SessionOwner, OutputOwner {
  readonly tenant: number;
  readonly endpoint: Endpoint;
  fd = -1;
  idleSinceMs: number;
  readonly session: Http2Session;
  readonly #environment: UpstreamEnvironment;
  readonly #plan: DialPlan;
  readonly #pool: Http2PoolLike | null;
  readonly #usage: PodUsage;
  readonly #output: FrameOutput;
  readonly #rest: Remainder;
  readonly #timer: Timer = new Timer(this);
  readonly #waiters = new Set<SettingsWaiter>();
  #connected = false;
  #closed = false;
  #paused = false;
  /** It has sent GOAWAY. */
  #endpointLeaves = false;

  constructor(
    environment: UpstreamEnvironment,
    usage: PodUsage,
    endpoint: Endpoint,
    plan: DialPlan,
    pool: Http2PoolLike | null,
  ) {
    this.#environment = environment;
    this.tenant = usage.tenant;
    this.#usage = usage;
    this.#rest = new Remainder(usage);
    this.endpoint = endpoint;
    this.#plan = plan;
    this.#pool = pool;
    this.idleSinceMs = environment.reactor.nowMs;
    this.#output = new FrameOutput(environment.frameBuffers, this, usage, false);
    this.session = new Http2Session(false, this, this.#output, environment.headerLists, environment.reactor.nowMs);
  }

  /** Dials: 0, or −errno. */
  open(): number {
    const fd = dial(this.#plan);
    if (fd < 0) return fd;
    const added = this.#environment.reactor.add(fd, READABLE | WRITABLE, this);
    if (added < 0) {
      closeFd(fd);
      return added;
    }
    this.fd = fd;
    this.#usage.dialStarted();
    this.#environment.reactor.timers.arm(this.#timer, limits.connectTimeoutMs);
    const { preamble } = this.#plan;
    if (preamble !== null) {
      const at = this.#output.reserve(preamble.length);
      preamble.copy(this.#output.bytes, at);
    }
    this.session.start();
    return 0;
  }

  /** A request may be sent on it. */
  get hasRoom(): boolean {
    return !this.#closed && this.session.hasRoom;
  }

  /** Opens a stream for a request; only while `hasRoom`. */
  begin(handler: StreamHandler): Http2Stream {
    const stream = this.session.open();
    stream.handler = handler;
    this.#environment.inFlight.begin(this.endpoint);
    return stream;
  }

  /** Tells it when `session.settled`, which is not so yet, or that it will not be. */
  awaitSettings(waiter: SettingsWaiter): void {
    this.#waiters.add(waiter);
    if (this.#connected) this.#armForSettings();
  }

  /** It waits no more. */
  forget(waiter: SettingsWaiter): void {
    if (this.#waiters.delete(waiter)) this.#closeIfDone();
  }

  onReady(events: number): number {
    if (!this.#connected && !this.#onConnecting(events)) return 500;
    let cost = 200;
    if ((events & WRITABLE) !== 0 && this.#output.blocked && this.#output.drain()) {
      this.#paused = false;
      this.session.sendListed();
      this.#updateInterest();
    }
    if ((events & (READABLE | HANGUP | ERROR)) !== 0 && !this.#closed) cost += this.#read();
    return cost;
  }

  onTimer(): void {
    if (this.#output.broken) {
      this.close(this.#connected ? CONNECTION_LOST : NOT_CONNECTED);
    } else if (!this.#connected) {
      this.#environment.bounds.hit('connectTimeoutMs');
      this.session.errno = -ETIMEDOUT;
      this.close(NOT_CONNECTED);
    } else if (this.#waiters.size > 0) {
      this.#onNoSettings();
    } else if (this.#endpointLeaves) {
      this.#endSilent();
    }
  }

  #onConnecting(events: number): boolean {
    const error = takeSocketError(this.fd);
    if (error !== 0) {
      this.session.errno = -Math.abs(error);
      this.close(NOT_CONNECTED);
      return false;
    }
    if ((events & WRITABLE) === 0) return false;
    this.#connected = true;
    this.#usage.dialEnded();
    if (this.#output.broken) {
      this.close(NOT_CONNECTED);
      return false;
    }
    this.#output.ready = true;
    this.#environment.reactor.timers.disarm(this.#timer);
    if (this.#waiters.size > 0) this.#armForSettings();
    this.#updateInterest();
    return true;
  }

  #armForSettings(): void {
    if (!this.#timer.armed) this.#environment.reactor.timers.arm(this.#timer, limits.http2SettingsTimeoutMs);
  }

  #onSettings(): void {
    if (!this.#output.broken && !this.#endpointLeaves) this.#environment.reactor.timers.disarm(this.#timer);
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.onSettled();
    this.#closeIfDone();
  }

  /** Those who have sent something wait on: only who must know first has waited in vain. */
  #onNoSettings(): void {
    this.#environment.bounds.hit('http2SettingsTimeoutMs');
    this.#tellNotSettled(-ETIMEDOUT);
  }

  #tellNotSettled(errno: number): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.onNotSettled(errno);
    this.#closeIfDone();
  }

  #read(): number {
    const buffer = this.#environment.readBuffer;
    const held = this.#rest.copyTo(buffer.bytes);
    const got = receive(this.fd, buffer, held, Math.min(buffer.length - held, this.#usage.readBytesMax));
    if (got <= 0) {
      if (got === -EAGAIN || got === -EINTR) return 50;
      this.session.errno = got;
      this.close(CONNECTION_LOST);
      return 200;
    }
    this.#rest.clear();
    const end = held + got;
    const rest = this.session.receive(buffer.bytes, 0, end, this.#environment.reactor.nowMs);
    if (this.#waiters.size > 0 && this.session.settled) this.#onSettings();
    if (this.#closed) return got;
    if (this.session.failed >= 0 || !this.#rest.put(buffer.bytes, rest, end)) this.close(CONNECTION_LOST);
    return got;
  }

  // --- as owner of the session

  onRequest(): void {
    this.session.fail(1, 'a server does not open streams'); // the session has refused even identifiers before
  }

  onTooLarge(): void {}

  onStreamClosed(): void {
    this.#environment.inFlight.end(this.endpoint);
    if (this.session.active === 0) this.idleSinceMs = this.#environment.reactor.nowMs;
    this.#closeIfDone();
  }

  onGoAway(): void {
    this.#environment.bounds.event('http2_upstream_goaway');
    this.#pool?.forget(this);
    this.#closeIfDone();
    if (this.#closed || this.#endpointLeaves) return;
    this.#endpointLeaves = true;
    this.session.endSilent(true); // none yet: from now on it is noted what moves
    if (!this.#output.broken) this.#environment.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
  }

  /** It takes no more requests, and there is nobody left for whom it is kept. */
  #closeIfDone(): void {
    if (this.session.draining && this.idle) this.close();
  }

  /**
   * A client that neither ends its request nor gives it up does not keep an endpoint from going (grpc-js 1.14 forgets the reset
   * when a call is cancelled in the tick that makes it). What is answered, or waits for an answer, may take its time.
   */
  #endSilent(): void {
    if (this.session.endSilent(true) > 0) this.#environment.bounds.hit('halfCloseTimeoutMs');
    if (!this.#closed) this.#environment.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
  }

  onBound(name: LimitName): void {
    this.#environment.bounds.hit(name);
  }

  // --- as owner of the output

  onOutputBlocked(): void {
    this.#paused = this.#output.queuedBytes > limits.http2OutputPauseBytes;
    this.#updateInterest();
  }

  /** A reset by the endpoint comes as an event too, after what it said before; only a want of room is found here alone. */
  onOutputBroken(): void {
    if (this.#closed) return;
    if (!this.#connected) this.session.errno = -ENOBUFS;
    this.#environment.reactor.timers.arm(this.#timer, 0);
  }

  #updateInterest(): void {
    if (this.fd < 0) return;
    let interest = this.#paused ? 0 : READABLE;
    if (!this.#connected || this.#output.blocked) interest |= WRITABLE;
    this.#environment.reactor.change(this.fd, interest);
  }

  /** Nothing is under way on it. */
  get idle(): boolean {
    return this.session.active === 0 && this.#waiters.size === 0;
  }

  /** Closes the socket; streams that are left hear `code`. */
  close(code: number = CONNECTION_LOST): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pool?.forget(this);
    this.#environment.reactor.timers.disarm(this.#timer);
    if (this.fd >= 0 && !this.#connected) this.#usage.dialEnded();
    this.session.end(code);
    if (this.#waiters.size > 0) this.#tellNotSettled(this.session.errno);
    this.#output.close();
    if (this.fd >= 0) this.#environment.reactor.removeAndClose(this.fd);
    this.fd = -1;
    this.#rest.clear();
  }
}
