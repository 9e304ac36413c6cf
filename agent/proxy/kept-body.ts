/**
 * What a request's body has brought so far, kept while the request may have to be sent from its beginning: until the response
 * begins, an endpoint may say that it has not looked at it (REFUSED_STREAM, or GOAWAY below its stream: RFC 9113 section 8.7).
 *
 *   octets:  body so far | unused        a buffer of the worker's, booked to the pod; twice as large when it is full
 */
import { copyOctets } from '../http2/frame-writer.ts';
import type { PodUsage } from '../upstream/usage.ts';
import type { KeptRequests } from './replay.ts';

const NOTHING = Buffer.alloc(0);

export class KeptBody {
  /** Begins with the body so far. */
  octets: Buffer = NOTHING;
  length = 0;
  /** False: there was more than may be kept, and nothing is kept any more. */
  whole = true;
  readonly #buffers: KeptRequests;
  /** The pod that pays. */
  readonly #usage: PodUsage;

  constructor(buffers: KeptRequests, usage: PodUsage) {
    this.#buffers = buffers;
    this.#usage = usage;
  }

  /** The next octets of the body; false: there are more than `bytesMax` now, or the pod may hold no more. Hot. */
  add(from: Uint8Array, start: number, length: number, bytesMax: number): boolean {
    if (!this.whole) return false;
    const needed = this.length + length;
    if (needed > bytesMax || (needed > this.octets.length && !this.#grow(needed, bytesMax))) {
      this.drop();
      this.whole = false;
      return false;
    }
    copyOctets(from, start, length, this.octets, this.length);
    this.length = needed;
    return true;
  }

  #grow(needed: number, bytesMax: number): boolean {
    const before = this.octets;
    const wanted = Math.min(bytesMax, Math.max(needed, 2 * before.length));
    const larger = this.#buffers.borrow(this.#usage, wanted);
    if (larger === null) return false;
    copyOctets(before, 0, this.length, larger, 0);
    if (before !== NOTHING) this.#buffers.release(this.#usage, before);
    this.octets = larger;
    return true;
  }

  /** It is not sent again. */
  drop(): void {
    if (this.octets !== NOTHING) this.#buffers.release(this.#usage, this.octets);
    this.octets = NOTHING;
    this.length = 0;
  }
}
