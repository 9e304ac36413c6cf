/**
 * Takes the content out of a chunked body (RFC 9112 section 7.1) that BodyScanner has accepted: only for messages that change
 * their protocol version, everything else is forwarded as it came. Octets may be split anywhere.
 */
import { CR, HEX, LF } from './octets.ts';

const SIZE = 0;
const EXTENSION = 1;
const DATA = 2;
const DATA_END = 3;
const TRAILER = 4;

export class ChunkPayload {
  /** Content found by the last next(): [start, end); empty when start === end. */
  start = 0;
  end = 0;
  #state = SIZE;
  #left = 0;
  #trailers: number[] = [];

  reset(): void {
    this.#state = SIZE;
    this.#left = 0;
    this.#trailers = [];
  }

  /** Advances from `at` to the end of the next piece of content, or to `end`; returns the new position. */
  next(bytes: Uint8Array, at: number, end: number): number {
    this.start = this.end = at;
    let i = at;
    while (i < end) {
      if (this.#state === DATA) {
        const length = Math.min(this.#left, end - i);
        this.start = i;
        this.end = i + length;
        this.#left -= length;
        if (this.#left === 0) this.#state = DATA_END;
        return this.end;
      }
      this.#step(bytes[i++] as number);
    }
    this.start = this.end = i;
    return i;
  }

  /** Trailer lines, each with its CRLF and after them the empty one, once the body is complete. */
  get trailers(): Buffer {
    return Buffer.from(this.#trailers);
  }

  #step(octet: number): void {
    switch (this.#state) {
      case SIZE:
      case EXTENSION:
        if (octet === LF) this.#state = this.#left === 0 ? TRAILER : DATA;
        else if (this.#state === SIZE && HEX[octet] !== 255) this.#left = this.#left * 16 + (HEX[octet] as number);
        else if (octet !== CR) this.#state = EXTENSION;
        break;
      case DATA_END:
        if (octet === LF) this.#state = SIZE;
        break;
      default:
        this.#trailers.push(octet);
    }
  }
}
