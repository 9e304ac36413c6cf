/**
 * The streams that ended last: what arrives for one that we reset is ignored, since the peer could not know yet (RFC 9113
 * section 5.1, closed); what arrives for one that had ended is an error. Those we reset are remembered for longer: as many as
 * may be open at a time can be reset at once.
 */
import { limits } from '../limits.ts';

const CLOSED_KEPT = 128;

/** The last of a row of stream numbers; 0: none. */
class Ring {
  readonly #ids: Int32Array;
  #next = 0;

  constructor(size: number) {
    this.#ids = new Int32Array(size);
  }

  add(id: number): void {
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % this.#ids.length;
  }

  has(id: number): boolean {
    return this.#ids.includes(id);
  }
}

export class RecentStreams {
  readonly #closed = new Ring(CLOSED_KEPT);
  /** Most connections never reset a stream. */
  #reset: Ring | null = null;

  add(id: number, reset: boolean): void {
    if (reset) (this.#reset ??= new Ring(limits.http2StreamsMax)).add(id);
    else this.#closed.add(id);
  }

  wasReset(id: number): boolean {
    return this.#reset?.has(id) === true;
  }

  /** Ended without a reset of ours. */
  wasClosed(id: number): boolean {
    return this.#closed.has(id);
  }
}
