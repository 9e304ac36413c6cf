/** How far a drain is: this agent's own, and that of the agent it replaced. */
import type { DrainDocument, PredecessorDocument } from '../admin/api.ts';
import type { Predecessor } from './predecessor.ts';

/** What it asks of the running agent. */
export interface DrainParts {
  /** Asks the workers for their counters. */
  refresh(): Promise<void>;
  /** Connections of all workers, as last reported. */
  connections(): number;
  predecessor(): Predecessor | null;
}

export class DrainState {
  readonly deadlineMs: number;
  readonly #parts: DrainParts;
  #begunAtMs: number | null = null;
  #successor: DrainDocument['successor'] = null;
  #predecessorGone = false;

  constructor(deadlineMs: number, parts: DrainParts) {
    this.deadlineMs = deadlineMs;
    this.#parts = parts;
  }

  /** The drain begins now; `successor`: who serves from now on, null: nobody is known. */
  begin(successor: DrainDocument['successor']): void {
    this.#begunAtMs = Date.now();
    this.#successor = successor === null ? null : { pid: successor.pid, version: successor.version };
  }

  /** Null: not draining. */
  document(): DrainDocument | null {
    if (this.#begunAtMs === null) return null;
    const deadline = this.#begunAtMs + this.deadlineMs;
    return {
      since: new Date(this.#begunAtMs).toISOString(),
      deadline: new Date(deadline).toISOString(),
      leftMs: Math.max(0, deadline - Date.now()),
      connections: this.#parts.connections(),
      successor: this.#successor,
    };
  }

  /** One line for people; null: not draining. */
  describe(): string | null {
    const document = this.document();
    if (document === null) return null;
    const { connections, leftMs, successor } = document;
    const next = successor === null ? 'none is known to serve instead' : `pid ${successor.pid} serves instead`;
    return `the agent drains: ${connections} connection(s) left, ${Math.ceil(leftMs / 1_000)} s to the deadline; ${next}`;
  }

  /** The agent this one replaced, while it still answers; null: none, or gone. */
  async predecessor(): Promise<PredecessorDocument | null> {
    const before = this.#parts.predecessor();
    if (before === null || this.#predecessorGone) return null;
    const { pid, version } = before.last ?? { pid: null, version: null };
    const status = await before.status();
    if (status === 'gone') {
      this.#predecessorGone = true;
      return null;
    }
    return {
      pid,
      version,
      answers: status !== 'silent',
      draining: status === 'silent' ? null : (status.draining ?? null),
    };
  }
}
