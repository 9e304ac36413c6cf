/** Who is connected, how far each agent is, and who waits for them to arrive there. */
import { limits } from '../limits.ts';
import type { Rejected } from '../push/agent-stream.ts';

/** As GET /status shows it. */
export interface AgentStatus {
  readonly node: string;
  readonly connected: boolean;
  readonly ackedVersion: number;
  readonly nacks: readonly AgentNack[];
  /** ms since the epoch of the last connect or disconnect. */
  readonly sinceMs: number;
}

export interface AgentNack {
  /** `httpRoute default/echo`. */
  readonly resource: string;
  readonly error: string;
  /** Configuration version that carried it. */
  readonly version: number;
}

/** What the registry needs to know of a stream. */
export interface TrackedStream {
  readonly node: string;
  readonly settledVersion: number;
  rejected(): readonly Rejected[];
}

export type WaitOutcome = 'acked' | 'nacked' | 'timeout';

interface Waiter {
  readonly version: number;
  readonly finish: (outcome: WaitOutcome) => void;
}

export class AgentRegistry {
  readonly #now: () => number;
  readonly #describe: (rejected: Rejected) => string;
  readonly #streams = new Map<TrackedStream, number>();
  readonly #departed = new Map<string, AgentStatus>();
  readonly #waiters = new Set<Waiter>();

  constructor(now: () => number, describe: (rejected: Rejected) => string) {
    this.#now = now;
    this.#describe = describe;
  }

  get size(): number {
    return this.#streams.size;
  }

  connected(stream: TrackedStream): void {
    this.#streams.set(stream, this.#now());
    this.#departed.delete(stream.node);
  }

  disconnected(stream: TrackedStream): void {
    if (!this.#streams.delete(stream)) return;
    const nodeIsBack = [...this.#streams.keys()].some((other) => other.node === stream.node);
    if (!nodeIsBack) this.#departed.set(stream.node, this.#status(stream, false, this.#now()));
    const oldest = this.#departed.keys().next();
    if (this.#departed.size > limits.departedAgentsMax && oldest.done !== true) this.#departed.delete(oldest.value);
    this.progressed();
  }

  /** Called when a stream has got further: answers those who wait. */
  progressed(): void {
    for (const waiter of this.#waiters) {
      const outcome = this.#outcome(waiter.version);
      if (outcome !== null) waiter.finish(outcome);
    }
  }

  list(): AgentStatus[] {
    const connected = [...this.#streams].map(([stream, sinceMs]) => this.#status(stream, true, sinceMs));
    return [...connected, ...this.#departed.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /**
   * Resolves when every connected agent has answered everything up to `version`: `nacked` if one of them refuses part of
   * it. `timeout` also when too many wait already.
   */
  wait(version: number, timeoutMs: number): Promise<WaitOutcome> {
    const now = this.#outcome(version);
    if (now !== null) return Promise.resolve(now);
    if (this.#waiters.size >= limits.waitersMax) return Promise.resolve('timeout');
    return new Promise((resolve) => {
      const finish = (outcome: WaitOutcome): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve(outcome);
      };
      const waiter: Waiter = { version, finish };
      const timer = setTimeout(() => finish('timeout'), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  close(): void {
    for (const waiter of this.#waiters) waiter.finish('timeout');
  }

  #outcome(version: number): WaitOutcome | null {
    const streams = [...this.#streams.keys()];
    if (!streams.every((stream) => stream.settledVersion >= version)) return null;
    return streams.some((stream) => stream.rejected().length > 0) ? 'nacked' : 'acked';
  }

  #status(stream: TrackedStream, connected: boolean, sinceMs: number): AgentStatus {
    const nacks = stream.rejected().map((rejected) => {
      return { resource: this.#describe(rejected), error: rejected.error, version: rejected.version };
    });
    return { node: stream.node, connected, ackedVersion: stream.settledVersion, nacks, sinceMs };
  }
}
