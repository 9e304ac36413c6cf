/**
 * What a route's clock does to one request: holds it back (an injected delay), and ends it when it, or the attempt in work, takes too
 * long. Both codecs use it; an exchange makes one when a route first asks.
 *
 *   request's head ─(delay)─► forwarded ─► … request's last octet ─────── timeouts.request ───────► response's last octet
 *                              └──────────────── timeouts.backendRequest (each attempt) ───────────►
 */
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { limits } from '../limits.ts';
import type { WorkerContext } from './context.ts';

/** Why a request was ended: x-weir-reason. */
export type DeadlineReason = 'REQUEST_TIMEOUT' | 'UPSTREAM_TIMEOUT';

export interface DeadlineOwner {
  /** The delay is over. */
  onDelayOver(): void;
  /** The request is not over in time. Nothing more is heard of until the next start. */
  onDeadline(reason: DeadlineReason): void;
}

const NEVER = Number.POSITIVE_INFINITY;

export class RequestDeadlines implements TimerTarget {
  readonly tenant: number;
  readonly #context: WorkerContext;
  readonly #owner: DeadlineOwner;
  readonly #timer: Timer = new Timer(this);
  #delayed = false;
  #requestAtMs = NEVER;
  #attemptAtMs = NEVER;

  constructor(context: WorkerContext, tenant: number, owner: DeadlineOwner) {
    this.#context = context;
    this.tenant = tenant;
    this.#owner = owner;
  }

  /** The request is held back. */
  get delayed(): boolean {
    return this.#delayed;
  }

  /** Holds the request back; false: too many are, and this one goes on at once. */
  delay(delayMs: number): boolean {
    if (this.#context.delayedRequests >= limits.delayedRequestsMax) {
      this.#context.bounds.hit('delayedRequestsMax');
      return false;
    }
    this.#context.delayedRequests++;
    this.#delayed = true;
    this.#context.reactor.timers.arm(this.#timer, delayMs);
    return true;
  }

  /** An attempt begins. @param limitMs null: it may take as long as it likes */
  attemptBegins(limitMs: number | null): void {
    this.#attemptAtMs = limitMs === null ? NEVER : this.#context.reactor.nowMs + limitMs;
    this.#arm();
  }

  /** The request's last octet is here. */
  requestComplete(limitMs: number | null): void {
    if (limitMs === null || this.#requestAtMs !== NEVER) return;
    this.#requestAtMs = this.#context.reactor.nowMs + limitMs;
    this.#arm();
  }

  /** The request is over, in whatever way. */
  stop(): void {
    if (this.#delayed) this.#context.delayedRequests--;
    this.#delayed = false;
    this.#requestAtMs = NEVER;
    this.#attemptAtMs = NEVER;
    this.#context.reactor.timers.disarm(this.#timer);
  }

  onTimer(nowMs: number): void {
    if (this.#delayed) {
      this.#delayed = false;
      this.#context.delayedRequests--;
      this.#owner.onDelayOver();
      return;
    }
    const atMs = Math.min(this.#requestAtMs, this.#attemptAtMs);
    if (nowMs < atMs) {
      this.#arm();
      return;
    }
    const reason = this.#requestAtMs <= this.#attemptAtMs ? 'REQUEST_TIMEOUT' : 'UPSTREAM_TIMEOUT';
    this.stop();
    this.#context.bounds.event(reason.toLowerCase());
    this.#owner.onDeadline(reason);
  }

  #arm(): void {
    const { reactor } = this.#context;
    const atMs = Math.min(this.#requestAtMs, this.#attemptAtMs);
    if (atMs === NEVER) reactor.timers.disarm(this.#timer);
    else reactor.timers.arm(this.#timer, Math.max(0, atMs - reactor.nowMs));
  }
}
