/**
 * Visits every live connection, or every pod, a slice at a time, so that what concerns all of them holds up nobody.
 *
 *   table:  [ 0 … cursor ][ cursor+1 … size−1 ]
 *             to come       visited, or newer than the pass
 *
 * From the end to the start: a removal moves the table's last connection into the gap, and that one is on the visited side or newer.
 * A newer one need not be visited: it was made under what is true now.
 */
import type { LiveConnection } from './connection-table.ts';

/** Where live connections are: ConnectionTable, or an array in tests. */
export interface Positions<T> {
  readonly size: number;
  at(index: number): T | undefined;
}

/** One walk over a table that changes meanwhile. */
export class Pass<T> {
  readonly #positions: Positions<T>;
  readonly #visit: (item: T) => void;
  readonly #done: () => void;
  #cursor: number;

  /** @param done called once, at the end of the slice that visited the last. */
  constructor(positions: Positions<T>, visit: (item: T) => void, done: () => void) {
    this.#positions = positions;
    this.#visit = visit;
    this.#done = done;
    this.#cursor = positions.size - 1;
  }

  /** Visits on until `isTimeUp`, asked after each visit; true: all visited. */
  slice(isTimeUp: (visited: T) => boolean): boolean {
    while (this.#cursor >= 0) {
      if (this.#cursor >= this.#positions.size) this.#cursor = this.#positions.size - 1;
      const item = this.#positions.at(this.#cursor--);
      if (item === undefined) continue;
      this.#visit(item);
      if (isTimeUp(item) && this.#cursor >= 0) return false;
    }
    this.#done();
    return true;
  }
}

export type ConnectionPass = Pass<LiveConnection>;
