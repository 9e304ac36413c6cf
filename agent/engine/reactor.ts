/**
 * The worker's loop: level-triggered epoll, fair turns by tenant (pod), timers.
 *
 *   epoll_wait ─► all events of one tenant, nothing left over? ── yes ─► plain loop over the kernel's list
 *                       │ no
 *                       ▼
 *   per tenant a queue of descriptors (linked through Int32Arrays indexed by fd; a descriptor is in at most one place)
 *                       │
 *                       ▼
 *   one round of deficit round robin (Shreedhar, Varghese, SIGCOMM 1995): tenant 0 to its end, then each tenant with work until the costs its
 *   handlers return exceed its deficit + quantum. What is left waits in the queue for the next turn, which polls without
 *   waiting; newly reported events of a queued descriptor replace the old ones. A tenant that becomes active goes to the head of the
 *   round, so a quiet pod is served before the floods; since a round serves everybody once, nobody gains bandwidth by that.
 *
 * Bound: an event of a quiet tenant waits for the turn in progress (at most one quantum, plus the overshoot of one event, per active
 * tenant; soloQuanta of them when one tenant is alone) and then for nobody but other newcomers, as soon as epoll_wait
 * has shown it. One turn looks at up to eventsPerWait × waitsPerTurnMax ready descriptors, and the kernel rotates its list.
 *
 * Stale events: epoll data = fd (low 32 bits) and its generation (high 32). remove() starts a new generation, so an event that was fetched before
 * a close, and meant the descriptor's earlier owner, is dropped and counted, even when the number is in use again.
 *
 * Work outside a tenant's events (its timers, a policy change) is metered and charged with bill(): the tenant owes it, and is served
 * less until the debt is worked off. Timers that fall due in bulk fire a few per turn.
 *
 * Handlers may add, change and remove any descriptor. A handler that throws leaves the reactor usable; its event is spent.
 */
import { limits } from '../limits.ts';
import { EEXIST, EINTR, ENOENT, errnoName } from './errno.ts';
import { readErrno } from './ffi.ts';
import { architectureOf, epollEventLayout } from './layout.ts';
import * as libc from './libc.ts';
import { allocatePinned } from './memory.ts';
import { type TimerTarget, TimerWheel } from './timer-wheel.ts';

/** EPOLLIN: there is something to read, or the end, or an error. */
export const READABLE = 0x1;
/** EPOLLOUT. */
export const WRITABLE = 0x4;
/** EPOLLERR: always reported; takeSocketError has the cause. */
export const ERROR = 0x8;
/** EPOLLHUP: both directions are shut; always reported. */
export const HANGUP = 0x10;
/** EPOLLRDHUP: the peer has sent FIN; unread bytes may come before it. Stays set: ask for it only where it is acted on. */
export const PEER_CLOSED = 0x2000;

const ALWAYS_REPORTED = ERROR | HANGUP;
const EVENT = epollEventLayout(architectureOf(process.arch));
const EVENT_WORDS = EVENT.size / 4;
const FD_WORD = EVENT.dataOffset / 4;
const GENERATION_WORD = FD_WORD + 1;
const NONE = -1;

/** What is called when a descriptor is ready. */
export interface ReadyHandler {
  /** Pod index that pays for the work; 0 = the agent itself, served first and never held back. Constant while registered. */
  readonly tenant: number;
  /** Events are among those asked for, plus ERROR and HANGUP. Answers the cost: about octets moved, plus 1,000 per request. */
  onReady(events: number): number;
}

/** Least cost of a timer that fires: it closes a connection or dials. */
const TIMER_COST = 500;

/** Cumulative since the reactor was made. */
export interface ReactorCounters {
  /** epoll_wait calls. */
  waits: number;
  /** Events they reported. */
  events: number;
  /** Events dropped because their descriptor was removed, replaced, or no longer asked for them. */
  staleEvents: number;
  /** Rounds of deficit round robin; turns with a single tenant need none. */
  rounds: number;
  /** Events carried over to a later turn, counted once per turn. */
  deferred: number;
}

/** One per worker. */
export class Reactor {
  /** The injected clock, ms, read once per turn after waiting (and again before timers fire). */
  nowMs: number;
  readonly timers: TimerWheel;
  readonly counters: ReactorCounters = { waits: 0, events: 0, staleEvents: 0, rounds: 0, deferred: 0 };
  /** Wall time spent in each tenant's handlers, ms. Index: tenant. Replaced when it grows: see cpuMs. */
  tenantCpuMs = new Float64Array(64);

  /** How long the last turn took after its wait, ms, and whether it left events behind. */
  turnMs = 0;

  private readonly clock: () => number;
  private readonly quantum: number;
  private epollFd: number;
  private readonly control = allocatePinned(EVENT.size);
  private readonly fetched = allocatePinned(EVENT.size * limits.eventsPerWait);
  private readonly fetchedWords: Int32Array;

  // Indexed by fd. Replaced when they grow, which a handler can cause through add(): read them through `this` after each handler.
  private handlers: (ReadyHandler | undefined)[] = new Array<ReadyHandler | undefined>(1024).fill(undefined);
  private generations = new Int32Array(1024);
  private interests = new Int32Array(1024);
  /** Events waiting in a queue; 0: not queued (the kernel reports no empty events). */
  private queuedEvents = new Int32Array(1024);
  private queueNext = new Int32Array(1024);
  private queuePrevious = new Int32Array(1024);
  private queueTenant = new Int32Array(1024);

  // Indexed by tenant; same rule.
  private queueHead = new Int32Array(64).fill(NONE);
  private queueTail = new Int32Array(64).fill(NONE);
  /** What the tenant may still spend; negative: overspent. */
  private deficits = new Float64Array(64);
  /** Value of `opportunities` when it was last active: debts are forgiven at one quantum per opportunity. */
  private idleSince = new Float64Array(64);
  private active = new Uint8Array(64);
  private activeNext = new Int32Array(64).fill(NONE);
  private activeHead = NONE;
  private queued = 0;
  /** What charge() has added since the handler that runs was called. */
  private surcharge = 0;
  /** Turns and rounds so far: how often a tenant could have been served. */
  private opportunities = 0;

  /** `clock`: monotonic ms, fractions welcome (performance.now). `quantum`: cost units per tenant and round. Throws when epoll is not to be had. */
  constructor(clock: () => number, quantum: number) {
    if (!(quantum >= 1)) throw new RangeError(`reactor: quantum ${quantum} is not a positive number of cost units`);
    this.clock = clock;
    this.quantum = quantum;
    this.nowMs = clock();
    this.timers = new TimerWheel(this.nowMs, limits.timerTickMs, limits.timerSlots, {
      fire: (target, nowMs) => this.fireTimer(target, nowMs),
    });
    this.fetchedWords = new Int32Array(
      this.fetched.bytes.buffer,
      this.fetched.bytes.byteOffset,
      this.fetched.length / 4,
    );
    this.epollFd = libc.epollCreate1(libc.EPOLL_CLOEXEC);
    if (this.epollFd < 0)
      throw new Error(`reactor: epoll_create1 failed: ${errnoName(readErrno())}; raise the open-files limit`);
  }

  /** Watches a descriptor: 0 or −errno. With interest 0 it is parked (see change). */
  add(fd: number, interest: number, handler: ReadyHandler): number {
    if (fd >= this.handlers.length) this.growDescriptors(fd);
    if (handler.tenant >= this.active.length) this.growTenants(handler.tenant);
    if (this.handlers[fd] !== undefined) this.forget(fd); // closed without remove(): the kernel has dropped it already
    this.generations[fd] = this.generation(fd) + 1;
    if (interest !== 0) {
      let result = this.epollControl(libc.EPOLL_CTL_ADD, fd, interest);
      if (result === -EEXIST) result = this.epollControl(libc.EPOLL_CTL_MOD, fd, interest);
      if (result < 0) return result;
    }
    this.handlers[fd] = handler;
    this.interests[fd] = interest;
    return 0;
  }

  /**
   * Asks for other events: 0 or −errno; no system call when nothing changes.
   * Interest 0 parks the descriptor: nothing is reported at all, not even ERROR and HANGUP. (epoll reports those whatever
   * was asked, so a half-finished connection that waits for its other side would otherwise spin.) Interest ERROR reports
   * ERROR and HANGUP and nothing else.
   */
  change(fd: number, interest: number): number {
    const before = this.interests[fd] ?? 0;
    if (before === interest) return this.handlers[fd] === undefined ? -ENOENT : 0;
    if (this.handlers[fd] === undefined) return -ENOENT;
    const operation = before === 0 ? libc.EPOLL_CTL_ADD : interest === 0 ? libc.EPOLL_CTL_DEL : libc.EPOLL_CTL_MOD;
    const result = this.epollControl(operation, fd, interest);
    if (result < 0) return result;
    this.interests[fd] = interest;
    return 0;
  }

  /** Gives a watched descriptor to another handler of the same tenant: no system call, its interest and queued events stay. */
  handOver(fd: number, handler: ReadyHandler): void {
    if (this.handlers[fd] !== undefined) this.handlers[fd] = handler;
  }

  /** Stops watching; comes before close(2). Events of this turn for the descriptor are dropped. Harmless when not watched. */
  remove(fd: number): void {
    if (this.handlers[fd] === undefined) return;
    // Fails only when the descriptor was closed before: then the kernel has dropped it already.
    if (this.interests[fd] !== 0) libc.epollCtl(this.epollFd, libc.EPOLL_CTL_DEL, fd, this.control.address);
    this.forget(fd);
  }

  /** remove() and close(2) in one, a system call less: 0 or −errno of close. Not for descriptors shared with another process. */
  removeAndClose(fd: number): number {
    if (this.handlers[fd] !== undefined) this.forget(fd); // closing the last reference takes it out of the epoll set
    return libc.close(fd) < 0 ? -readErrno() : 0;
  }

  /** One epoll_wait of at most `maxWaitMs` (≥ 0), one fair round over what is ready, then the timers that are due. */
  turn(maxWaitMs: number): void {
    const timeoutMs = this.queued > 0 ? 0 : this.timers.nextDelayMs(maxWaitMs);
    const count = this.fetch(timeoutMs);
    const startedMs = this.clock();
    this.nowMs = startedMs;
    this.timers.nowMs = startedMs;
    this.opportunities++;
    if (count > 0 || this.queued > 0) {
      const tenant = this.queued === 0 && count < limits.eventsPerWait ? this.soleTenant(count) : NONE;
      if (tenant !== NONE) this.serveSole(tenant, count);
      else this.serveFairly(count);
    }
    this.timers.advance(this.nowMs, limits.timersPerTurn);
    this.turnMs = this.nowMs - startedMs;
  }

  /** Whether events wait that the last turn did not come to. */
  get hasBacklog(): boolean {
    return this.queued > 0;
  }

  /** Adds to the cost of the handler that runs, for work whose cost it cannot return, such as a dial. */
  charge(cost: number): void {
    this.surcharge += cost;
  }

  /** Charges work for a tenant outside its events, and the time since `sinceMs`; the clock's reading, which is the new nowMs. */
  bill(tenant: number, cost: number, sinceMs: number): number {
    const owed = cost + this.surcharge;
    this.surcharge = 0;
    if (tenant >= this.active.length) this.growTenants(tenant);
    this.meter(tenant, sinceMs);
    if (tenant !== 0) {
      const least = -this.quantum * limits.debtQuantaMax;
      const deficit = (this.deficits[tenant] as number) - owed;
      this.deficits[tenant] = deficit > least ? deficit : least;
    }
    return this.nowMs;
  }

  private fireTimer(target: TimerTarget, nowMs: number): void {
    const startedMs = this.nowMs;
    target.onTimer(nowMs);
    if (target.tenant !== undefined) this.bill(target.tenant, TIMER_COST, startedMs);
  }

  /** The clock's reading, which is the new nowMs: where the time given to bill() starts. */
  readClock(): number {
    this.nowMs = this.clock();
    return this.nowMs;
  }

  /** CPU time of a tenant, ms: the wall time of its handlers, so it includes time the worker was preempted, but not the kernel's network work outside system calls. */
  cpuMs(tenant: number): number {
    return this.tenantCpuMs[tenant] ?? 0;
  }

  /** Forgets meter and debt of a tenant index, before another pod gets it. */
  resetTenant(tenant: number): void {
    if (tenant >= this.active.length) return;
    this.tenantCpuMs[tenant] = 0;
    this.deficits[tenant] = 0;
  }

  /** Closes the epoll descriptor; the reactor is of no use afterwards. Idempotent. */
  close(): void {
    if (this.epollFd >= 0) libc.close(this.epollFd);
    this.epollFd = -1;
  }

  private fetch(timeoutMs: number): number {
    const count = libc.epollWait(this.epollFd, this.fetched.address, limits.eventsPerWait, timeoutMs);
    this.counters.waits++;
    if (count < 0) {
      const errno = readErrno();
      if (errno === EINTR) return 0;
      throw new Error(
        `reactor: epoll_wait failed: ${errnoName(errno)}; the reactor was closed, or something closed its descriptor`,
      );
    }
    this.counters.events += count;
    return count;
  }

  /** The tenant all fetched events belong to, or NONE. */
  private soleTenant(count: number): number {
    let tenant = NONE;
    for (let index = 0, word = FD_WORD; index < count; index++, word += EVENT_WORDS) {
      const handler = this.handlers[this.fetchedWords[word] as number];
      if (handler === undefined) return NONE;
      if (tenant === NONE) tenant = handler.tenant;
      else if (handler.tenant !== tenant) return NONE;
    }
    return tenant;
  }

  /** The plain loop. Nobody else waits, so nothing is charged; but after soloQuanta we look whether somebody does. */
  private serveSole(tenant: number, count: number): void {
    let budget = tenant === 0 ? Number.POSITIVE_INFINITY : this.quantum * limits.soloQuanta;
    for (let index = 0; index < count; index++) {
      if (budget <= 0) {
        this.enqueue(index, count);
        this.counters.deferred += this.queued;
        break;
      }
      const word = index * EVENT_WORDS;
      const fd = this.fetchedWords[word + FD_WORD] as number;
      if (this.generations[fd] !== this.fetchedWords[word + GENERATION_WORD]) this.counters.staleEvents++;
      else budget -= this.dispatch(fd, this.fetchedWords[word] as number);
    }
    this.meter(tenant, this.nowMs);
  }

  /** Calls the handler with what it asks for now; the cost. */
  private dispatch(fd: number, events: number): number {
    const interest = this.interests[fd] as number;
    const wanted = interest === 0 ? 0 : events & (interest | ALWAYS_REPORTED);
    const handler = this.handlers[fd];
    if (wanted === 0 || handler === undefined) {
      this.counters.staleEvents++;
      return 0;
    }
    this.surcharge = 0;
    const cost = handler.onReady(wanted) + this.surcharge;
    return cost > limits.eventCostMin ? cost : limits.eventCostMin;
  }

  /** Charges the time since `sinceMs` to the tenant; the clock's reading is the new nowMs. */
  private meter(tenant: number, sinceMs: number): void {
    this.nowMs = this.clock();
    this.tenantCpuMs[tenant] = (this.tenantCpuMs[tenant] as number) + this.nowMs - sinceMs;
  }

  private serveFairly(fetchedCount: number): void {
    this.enqueue(0, fetchedCount);
    // A full list may hide somebody behind it.
    let count = fetchedCount;
    for (let waits = 1; count === limits.eventsPerWait && waits < limits.waitsPerTurnMax; waits++) {
      const before = this.queued;
      count = this.fetch(0);
      this.enqueue(0, count);
      if (this.queued === before) break; // all of them known: the kernel's list has gone round
    }
    this.nowMs = this.clock();
    this.serveQueue(0, Number.POSITIVE_INFINITY);
    // When all are in debt a round serves nobody and only adds quanta; debts are bounded by the cost of one event and by debtQuantaMax.
    let served = false;
    while (!served && this.queued > 0) {
      served = this.serveRound();
      if (!served) this.opportunities++;
    }
    this.counters.deferred += this.queued;
  }

  /** One round; whether any handler was called. */
  private serveRound(): boolean {
    this.counters.rounds++;
    let served = false;
    let previous = NONE;
    let tenant = this.activeHead;
    const isAlone = tenant !== NONE && this.activeNext[tenant] === NONE;
    const allowance = isAlone ? this.quantum * limits.soloQuanta : this.quantum;
    while (tenant !== NONE) {
      const deficit = (this.deficits[tenant] as number) + allowance;
      this.deficits[tenant] = deficit;
      if (deficit > 0 && this.queueHead[tenant] !== NONE) {
        this.deficits[tenant] = this.serveQueue(tenant, deficit);
        served = true;
      }
      const next = this.activeNext[tenant] as number;
      if (this.queueHead[tenant] === NONE) this.deactivate(tenant, previous);
      else previous = tenant;
      tenant = next;
    }
    return served;
  }

  /** Serves a tenant's queue until the allowance is spent; what is left of it (negative: overspent). */
  private serveQueue(tenant: number, allowance: number): number {
    if (this.queueHead[tenant] === NONE) return allowance;
    const startedMs = this.nowMs;
    let left = allowance;
    while (left > 0) {
      const fd = this.queueHead[tenant] as number;
      if (fd === NONE) break;
      const events = this.queuedEvents[fd] as number;
      this.unqueue(fd);
      left -= this.dispatch(fd, events);
    }
    this.meter(tenant, startedMs);
    return left;
  }

  /** Queues fetched events [from, to), replacing those of descriptors that wait already. */
  private enqueue(from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const word = index * EVENT_WORDS;
      const fd = this.fetchedWords[word + FD_WORD] as number;
      const handler = this.handlers[fd];
      if (handler === undefined || this.generations[fd] !== this.fetchedWords[word + GENERATION_WORD]) {
        this.counters.staleEvents++;
        continue;
      }
      const isQueued = this.queuedEvents[fd] !== 0;
      this.queuedEvents[fd] = this.fetchedWords[word] as number;
      if (!isQueued) this.append(fd, handler.tenant);
    }
  }

  private append(fd: number, tenant: number): void {
    const tail = this.queueTail[tenant] as number;
    this.queueTenant[fd] = tenant;
    this.queueNext[fd] = NONE;
    this.queuePrevious[fd] = tail;
    this.queueTail[tenant] = fd;
    this.queued++;
    if (tail !== NONE) {
      this.queueNext[tail] = fd;
      return;
    }
    this.queueHead[tenant] = fd;
    if (tenant !== 0 && this.active[tenant] === 0) this.activate(tenant);
  }

  private unqueue(fd: number): void {
    const tenant = this.queueTenant[fd] as number;
    const next = this.queueNext[fd] as number;
    const previous = this.queuePrevious[fd] as number;
    if (previous === NONE) this.queueHead[tenant] = next;
    else this.queueNext[previous] = next;
    if (next === NONE) this.queueTail[tenant] = previous;
    else this.queuePrevious[next] = previous;
    this.queuedEvents[fd] = 0;
    this.queued--;
  }

  private activate(tenant: number): void {
    const missed = this.opportunities - (this.idleSince[tenant] as number) - 1;
    this.deficits[tenant] = Math.min(0, (this.deficits[tenant] as number) + missed * this.quantum);
    this.active[tenant] = 1;
    this.activeNext[tenant] = this.activeHead;
    this.activeHead = tenant;
  }

  /** Takes a tenant without work out of the ring; credit is lost, debt is kept (else a pod with one busy socket would overspend each round). */
  private deactivate(tenant: number, previous: number): void {
    const next = this.activeNext[tenant] as number;
    if (previous === NONE) this.activeHead = next;
    else this.activeNext[previous] = next;
    this.active[tenant] = 0;
    this.deficits[tenant] = Math.min(0, this.deficits[tenant] as number);
    this.idleSince[tenant] = this.opportunities;
  }

  /** Drops everything known of a descriptor and starts its next generation. */
  private forget(fd: number): void {
    if (this.queuedEvents[fd] !== 0) {
      this.unqueue(fd);
      this.counters.staleEvents++;
    }
    this.handlers[fd] = undefined;
    this.interests[fd] = 0;
    this.generations[fd] = this.generation(fd) + 1;
  }

  private generation(fd: number): number {
    return this.generations[fd] as number;
  }

  private epollControl(operation: number, fd: number, interest: number): number {
    const bytes = this.control.bytes;
    bytes.writeUInt32LE(interest, EVENT.eventsOffset);
    bytes.writeInt32LE(fd, EVENT.dataOffset);
    bytes.writeInt32LE(this.generation(fd), EVENT.dataOffset + 4);
    return libc.epollCtl(this.epollFd, operation, fd, this.control.address) < 0 ? -readErrno() : 0;
  }

  private growDescriptors(fd: number): void {
    const capacity = 2 ** Math.ceil(Math.log2(fd + 1));
    const handlers = new Array<ReadyHandler | undefined>(capacity).fill(undefined);
    for (let index = 0; index < this.handlers.length; index++) handlers[index] = this.handlers[index];
    this.handlers = handlers;
    this.generations = grownInt32(this.generations, capacity, 0);
    this.interests = grownInt32(this.interests, capacity, 0);
    this.queuedEvents = grownInt32(this.queuedEvents, capacity, 0);
    this.queueNext = grownInt32(this.queueNext, capacity, NONE);
    this.queuePrevious = grownInt32(this.queuePrevious, capacity, NONE);
    this.queueTenant = grownInt32(this.queueTenant, capacity, 0);
  }

  private growTenants(tenant: number): void {
    const capacity = 2 ** Math.ceil(Math.log2(tenant + 1));
    this.queueHead = grownInt32(this.queueHead, capacity, NONE);
    this.queueTail = grownInt32(this.queueTail, capacity, NONE);
    this.activeNext = grownInt32(this.activeNext, capacity, NONE);
    this.deficits = grownFloat64(this.deficits, capacity);
    this.idleSince = grownFloat64(this.idleSince, capacity);
    this.tenantCpuMs = grownFloat64(this.tenantCpuMs, capacity);
    const active = new Uint8Array(capacity);
    active.set(this.active);
    this.active = active;
  }
}

function grownInt32(before: Int32Array, capacity: number, fill: number): Int32Array<ArrayBuffer> {
  const after = new Int32Array(capacity).fill(fill);
  after.set(before);
  return after;
}

function grownFloat64(before: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const after = new Float64Array(capacity);
  after.set(before);
  return after;
}
