/**
 * The side of the agent that is replaced: who announced itself, what has been yielded, and what happens when the successor dies.
 *
 *   ALONE ── announce ─► ANNOUNCED ── yield ─► YIELDING ─► YIELDED ── leave ─► LEAVING
 *     ▲                     │ lease over           │ lease over: resume
 *     └─────────────────────┴──────────────────────┘
 *
 * Connections are accepted until LEAVING: up to there nothing is lost if the successor goes away.
 */
import { AdminError } from '../admin/http-router.ts';
import { parseTakeover, TAKEOVER_PROTOCOL, type TakeoverAnswer, type TakeoverRequest } from '../admin/takeover-api.ts';
import { limits } from '../limits.ts';
import type { Log } from './log.ts';

/** What of the supervisor it moves. */
export interface HandOverParts {
  readonly node: string;
  /** Why no successor can be had now (the agent starts, or has not written its files yet); null: it can. */
  busy(): string | null;
  self(): Omit<TakeoverAnswer, 'protocol' | 'leaseMs'>;
  /** Writes the configuration to disk, for the successor to begin with. */
  flushConfiguration(): Promise<void>;
  /** No CNI requests any more, pods.json and snapshot.json final. */
  yieldCapture(): Promise<void>;
  /** The opposite: the successor did not come. */
  resumeCapture(): Promise<void>;
  /** Drains and ends. Returns at once. */
  leave(successor: TakeoverRequest): void;
}

type Phase = 'alone' | 'announced' | 'yielding' | 'yielded' | 'leaving';

export class HandOver {
  readonly #parts: HandOverParts;
  readonly #log: Log;
  readonly #leaseMs: number;
  /** Instances this agent has replaced: one that its container restarts must not take the node back. */
  readonly #superseded = new Set<string>();
  readonly #waiters = new Set<() => void>();
  #phase: Phase = 'alone';
  #successor: TakeoverRequest | null = null;
  #lease: NodeJS.Timeout | undefined;

  constructor(parts: HandOverParts, log: Log, leaseMs: number = limits.takeoverLeaseMs) {
    this.#parts = parts;
    this.#log = log;
    this.#leaseMs = leaseMs;
  }

  /** Who is about to replace this agent, or does; null: nobody. */
  get successor(): TakeoverRequest | null {
    return this.#successor;
  }

  /** Remembers an instance that this agent has replaced. */
  hasReplaced(instance: string): void {
    this.#superseded.add(instance);
  }

  /** Resolves when no successor is at work: it has taken over, or was given up, or `limitMs` have passed. */
  async settled(limitMs: number): Promise<void> {
    if (this.#phase === 'alone' || this.#phase === 'leaving') return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
      this.#waiters.add(resolve);
    });
    clearTimeout(timer);
  }

  /** POST /takeover/announce, first or repeated. Throws AdminError. */
  async announce(body: unknown): Promise<TakeoverAnswer> {
    const request = this.#read(body);
    if (this.#superseded.has(request.instance)) {
      throw new AdminError(409, 'SUPERSEDED', `instance ${request.instance} was replaced by this agent`);
    }
    if (this.#phase === 'leaving') {
      const busy = this.#parts.busy();
      if (busy !== null) throw new AdminError(503, 'NOT_READY', busy);
      throw new AdminError(409, 'LEAVING', 'this agent drains and ends');
    }
    const isKnown = this.#successor?.instance === request.instance;
    if (!isKnown && this.#phase !== 'alone') {
      const { pid, version } = this.#successor ?? request;
      throw new AdminError(409, 'SUCCESSOR_EXISTS', `the agent with pid ${pid} (${version}) is replacing this one`);
    }
    const busy = this.#parts.busy();
    if (busy !== null && !isKnown) throw new AdminError(503, 'NOT_READY', busy);
    if (!isKnown) {
      this.#phase = 'announced';
      this.#successor = request;
      this.#log.info({ successorPid: request.pid, successorVersion: request.version }, 'a successor starts beside');
    }
    this.#renew();
    await this.#parts.flushConfiguration();
    return this.#answer();
  }

  /** POST /takeover/yield. Answered when everything is on disk; a repetition waits for nothing. Throws AdminError. */
  async yield(body: unknown): Promise<TakeoverAnswer> {
    this.#expect(body);
    this.#renew();
    if (this.#phase === 'announced') {
      this.#phase = 'yielding';
      await this.#parts.yieldCapture();
      if (this.#phase === 'yielding') this.#phase = 'yielded';
    }
    this.#expect(body); // its lease may have ended meanwhile
    return this.#answer();
  }

  /** POST /takeover/leave. Throws AdminError; then this agent goes on. */
  leave(body: unknown): TakeoverAnswer {
    const request = this.#expect(body);
    if (this.#phase === 'leaving') return this.#answer();
    if (this.#phase !== 'yielded') throw new AdminError(409, 'NOT_ANNOUNCED', 'nothing was yielded yet');
    clearTimeout(this.#lease);
    this.#phase = 'leaving';
    this.#wake();
    this.#parts.leave(request);
    return this.#answer();
  }

  /** POST /takeover/abandon. Throws AdminError. */
  abandon(body: unknown): TakeoverAnswer {
    this.#expect(body);
    if (this.#phase !== 'leaving') this.#forget('the successor gave up; this agent goes on');
    return this.#answer();
  }

  /** The agent ends for another reason: nobody can take over any more. */
  close(): void {
    clearTimeout(this.#lease);
    this.#phase = 'leaving';
    this.#wake();
  }

  #read(body: unknown): TakeoverRequest {
    const request = parseTakeover(body);
    if (request === null) throw new AdminError(400, 'MALFORMED', 'takeover request: a field is missing');
    if (request.protocol !== TAKEOVER_PROTOCOL) {
      const message = `takeover protocol ${request.protocol}; this agent speaks ${TAKEOVER_PROTOCOL}: stop it first`;
      throw new AdminError(409, 'PROTOCOL', message);
    }
    if (request.node !== this.#parts.node) {
      throw new AdminError(409, 'OTHER_NODE', `this agent serves node ${this.#parts.node}, not ${request.node}`);
    }
    return request;
  }

  #expect(body: unknown): TakeoverRequest {
    const request = this.#read(body);
    if (this.#successor?.instance === request.instance) return request;
    throw new AdminError(409, 'NOT_ANNOUNCED', 'the announcement is unknown or was forgotten; this agent goes on');
  }

  #renew(): void {
    if (this.#phase === 'leaving') return;
    clearTimeout(this.#lease);
    this.#lease = setTimeout(() => this.#forget('the successor is heard no more; this agent goes on'), this.#leaseMs);
  }

  #forget(why: string): void {
    clearTimeout(this.#lease);
    const { pid } = this.#successor ?? { pid: 0 };
    this.#log.warn({ successorPid: pid }, why);
    this.#successor = null;
    this.#phase = 'alone';
    this.#wake();
    // Also when nothing was yielded: it may have taken the CNI socket's name before it died.
    this.#parts.resumeCapture().catch((error: unknown) => {
      this.#log.error({ error: String(error) }, 'capture of new pods could not be resumed');
    });
  }

  #answer(): TakeoverAnswer {
    return { protocol: TAKEOVER_PROTOCOL, ...this.#parts.self(), leaseMs: this.#leaseMs };
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}
