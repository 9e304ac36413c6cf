/** Octets of an unfinished frame between two reads, booked to the pod that they are held for. */
import type { PodUsage } from './usage.ts';

export class Remainder {
  readonly #usage: PodUsage;
  #octets: Buffer | null = null;

  constructor(usage: PodUsage) {
    this.#usage = usage;
  }

  /** Keeps [start, end), which may be nothing; false: the pod may hold no more, and the connection has to end. */
  put(bytes: Buffer, start: number, end: number): boolean {
    if (start === end) return true;
    if (!this.#usage.hold(end - start)) return false;
    this.#octets = Buffer.from(bytes.subarray(start, end));
    return true;
  }

  /** Copies what is kept to the start of `into`; its length. It stays kept until clear(). */
  copyTo(into: Buffer): number {
    return this.#octets === null ? 0 : this.#octets.copy(into, 0);
  }

  clear(): void {
    if (this.#octets === null) return;
    this.#usage.release(this.#octets.length);
    this.#octets = null;
  }
}
