/**
 * Timers for a worker: one hashed wheel, intrusive nodes, nothing allocated after construction.
 *
 *   slots:  [ 0 ][ 1 ][ 2 ] … [ n−1 ]      slot = tick mod n, tick = ⌊time / tickMs⌋
 *             │         └─ timer ⇄ timer    doubly linked, so disarm is O(1)
 *             └─ timer
 *
 * A node carries two ticks: `dueTick`, when it shall fire, and `visitTick` ≤ dueTick, when the wheel will look at it next (at most one
 * turn of the wheel ahead). Arming later than before changes dueTick only; the visit finds that it is not due and moves it. So the
 * common case, an idle timer pushed back on every request, is two stores.
 * Never early; late by at most a tick plus the time between two advance() calls. Timers that fall due in the same advance() fire in
 * order of their ticks; within a tick in no particular order.
 */
import { limits } from '../limits.ts';

/** What is called when a timer fires; `nowMs` is the wheel's clock. May arm and disarm any timer, also its own. */
export interface TimerTarget {
  /** Pod index that pays for it; left out: the agent itself. */
  readonly tenant?: number;
  onTimer(nowMs: number): void;
}

/** One purpose's timer, reusable for life; belongs to at most one wheel. */
export class Timer {
  readonly target: TimerTarget;
  /** Owned by the wheel; −1: not armed. */
  visitTick = -1;
  dueTick = 0;
  next: Timer | null = null;
  previous: Timer | null = null;

  constructor(target: TimerTarget) {
    this.target = target;
  }

  /** Whether it is waiting to fire. */
  get armed(): boolean {
    return this.visitTick >= 0;
  }
}

/** Calls a target, and meters it. */
export interface TimerRunner {
  fire(target: TimerTarget, nowMs: number): void;
}

const UNMETERED: TimerRunner = { fire: (target, nowMs) => target.onTimer(nowMs) };

/** All timers of one worker. */
export class TimerWheel {
  /** The wheel's idea of now, ms; the reactor sets it at the start of each turn, so that delays count from there. */
  nowMs: number;
  /** Timers waiting. */
  armed = 0;
  private readonly runner: TimerRunner;
  /** Timers that may still fire in this advance(). */
  private left = 0;
  private readonly tickMs: number;
  private readonly mask: number;
  private readonly slots: (Timer | null)[];
  /** Bit per slot: not empty. */
  private readonly occupied: Int32Array;
  /** All slots up to this tick have been visited. */
  private currentTick: number;

  /** `slotCount`: a power of two, at least 32. */
  constructor(
    nowMs: number,
    tickMs: number = limits.timerTickMs,
    slotCount: number = limits.timerSlots,
    runner: TimerRunner = UNMETERED,
  ) {
    if (slotCount < 32 || (slotCount & (slotCount - 1)) !== 0) throw new RangeError(`timer wheel: ${slotCount} slots`);
    this.nowMs = nowMs;
    this.runner = runner;
    this.tickMs = tickMs;
    this.mask = slotCount - 1;
    this.slots = new Array<Timer | null>(slotCount).fill(null);
    this.occupied = new Int32Array(slotCount / 32);
    this.currentTick = Math.floor(nowMs / tickMs);
  }

  /** Makes the timer fire `delayMs` after nowMs, instead of when it would have. Hot: O(1). */
  arm(timer: Timer, delayMs: number): void {
    const earliest = Math.floor(this.nowMs / this.tickMs) + 1;
    const due = Math.ceil((this.nowMs + delayMs) / this.tickMs);
    timer.dueTick = due > earliest ? due : earliest;
    if (timer.visitTick >= 0) {
      if (timer.visitTick <= timer.dueTick) return; // will be looked at early enough
      this.unlink(timer);
    }
    this.link(timer);
  }

  /** Stops the timer; harmless when it is not armed. */
  disarm(timer: Timer): void {
    if (timer.visitTick >= 0) this.unlink(timer);
  }

  /**
   * Fires what is due at `nowMs`, but no more than `most` timers: what is left fires in the next calls, and nextDelayMs is 0 until
   * then. A timer armed by a firing one waits for a later call, however short its delay.
   */
  advance(nowMs: number, most: number = Number.POSITIVE_INFINITY): void {
    if (nowMs > this.nowMs) this.nowMs = nowMs;
    const nowTick = Math.floor(this.nowMs / this.tickMs);
    this.left = most;
    while (this.armed > 0) {
      const tick = this.nextOccupiedTick(nowTick);
      if (tick < 0) break;
      this.currentTick = tick;
      if (!this.visit(tick & this.mask, nowTick)) {
        this.currentTick = tick - 1; // the slot is not empty: it is the next to be visited
        return;
      }
    }
    this.currentTick = nowTick;
  }

  /** Whole ms until advance() may have something to do; at most `maxMs`. For the timeout of epoll_wait. */
  nextDelayMs(maxMs: number): number {
    if (this.armed === 0) return maxMs;
    const horizon = Math.ceil((this.nowMs + maxMs) / this.tickMs);
    const tick = this.nextOccupiedTick(Math.min(horizon, this.currentTick + this.mask + 1));
    if (tick < 0) return maxMs;
    const delay = Math.ceil(tick * this.tickMs - this.nowMs);
    return delay < 0 ? 0 : delay < maxMs ? delay : maxMs;
  }

  /** Empties one slot: each node fires, or moves to where it belongs; false: stopped before that. No node can enter this slot meanwhile (see link). */
  private visit(slot: number, nowTick: number): boolean {
    for (let timer = this.slots[slot] ?? null; timer !== null; timer = this.slots[slot] ?? null) {
      if (timer.dueTick <= nowTick && this.left-- <= 0) return false;
      this.unlink(timer);
      if (timer.dueTick <= nowTick) this.runner.fire(timer.target, this.nowMs);
      else this.link(timer);
    }
    return true;
  }

  private link(timer: Timer): void {
    // The furthest slot is the one before the current: one turn of the wheel, less the slot that is being emptied.
    const furthest = this.currentTick + this.mask;
    const visitTick = timer.dueTick < furthest ? timer.dueTick : furthest;
    const slot = visitTick & this.mask;
    const head = this.slots[slot] ?? null;
    timer.visitTick = visitTick;
    timer.previous = null;
    timer.next = head;
    if (head !== null) head.previous = timer;
    this.slots[slot] = timer;
    this.occupied[slot >> 5] = (this.occupied[slot >> 5] ?? 0) | (1 << (slot & 31));
    this.armed++;
  }

  private unlink(timer: Timer): void {
    const { previous, next } = timer;
    if (next !== null) next.previous = previous;
    if (previous !== null) previous.next = next;
    else {
      const slot = timer.visitTick & this.mask;
      this.slots[slot] = next;
      if (next === null) this.occupied[slot >> 5] = (this.occupied[slot >> 5] ?? 0) & ~(1 << (slot & 31));
    }
    timer.next = null;
    timer.previous = null;
    timer.visitTick = -1;
    this.armed--;
  }

  /** The first tick after currentTick and up to `lastTick` whose slot is not empty; −1: none. Looks at 32 slots at a time. */
  private nextOccupiedTick(lastTick: number): number {
    let tick = this.currentTick + 1;
    while (tick <= lastTick) {
      const slot = tick & this.mask;
      const bits = (this.occupied[slot >> 5] ?? 0) & (-1 << (slot & 31));
      if (bits !== 0) {
        const found = tick + (31 - Math.clz32(bits & -bits)) - (slot & 31);
        return found <= lastTick ? found : -1;
      }
      tick += 32 - (slot & 31);
    }
    return -1;
  }
}
