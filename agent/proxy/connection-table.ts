/** Live downstream connections of a worker: for `weir connections`, for policy changes and for drains. */
import type { ConnectionInfo } from '../ipc/messages.ts';

export interface LiveConnection {
  /** Position in the table, maintained by it. */
  tableIndex: number;
  readonly podIndex: number;
  describe(nowMs: number): ConnectionInfo;
  /** Policy or endpoints changed: cut what is no longer allowed. */
  reevaluate(): void;
  /**
   * Finish what is in flight, then close. `patient`: somebody else accepts meanwhile, so an idle connection may wait for one more
   * request: closing it at the very moment its client uses it again would lose that request.
   */
  drain(patient: boolean): void;
  /** Close now, with RST to both sides. */
  cut(reason: string): void;
}

export class ConnectionTable {
  readonly #live: LiveConnection[] = [];

  get size(): number {
    return this.#live.length;
  }

  add(connection: LiveConnection): void {
    connection.tableIndex = this.#live.length;
    this.#live.push(connection);
  }

  remove(connection: LiveConnection): void {
    const at = connection.tableIndex;
    if (at < 0 || this.#live[at] !== connection) return;
    const last = this.#live.pop() as LiveConnection;
    if (last !== connection) {
      this.#live[at] = last;
      last.tableIndex = at;
    }
    connection.tableIndex = -1;
  }

  /** A copy, since what is done to a connection may remove it. */
  snapshot(): readonly LiveConnection[] {
    return this.#live.slice();
  }

  /** The connection at a position; they move when others are removed: see ConnectionPass. */
  at(index: number): LiveConnection | undefined {
    return this.#live[index];
  }

  /** Up to `max` rows. */
  describe(nowMs: number, max: number): { rows: ConnectionInfo[]; truncated: boolean } {
    const rows = this.#live.slice(0, max).map((connection) => connection.describe(nowMs));
    return { rows, truncated: this.#live.length > max };
  }
}
