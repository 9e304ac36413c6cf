/** Counts how often each bound of limits.ts was hit, and other rare events; read by `weir stats`. Not for per-request use. */
import type { LimitName } from '../limits.ts';

export class BoundCounters {
  readonly #hits = new Map<LimitName, number>();
  readonly #events = new Map<string, number>();

  hit(name: LimitName): void {
    this.#hits.set(name, (this.#hits.get(name) ?? 0) + 1);
  }

  /** Counts an event that is no bound, e.g. `upstream_replayed`; names are a fixed set in the code. */
  event(name: string): void {
    this.#events.set(name, (this.#events.get(name) ?? 0) + 1);
  }

  hits(): Record<string, number> {
    return Object.fromEntries(this.#hits);
  }

  events(): Record<string, number> {
    return Object.fromEntries(this.#events);
  }
}
