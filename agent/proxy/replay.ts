/**
 * Requests kept while they are in flight: to be sent once more, or to be judged once more.
 *
 * - A pooled connection may have been closed by its endpoint just before our request reached it; nobody saw the request
 *   then, so an idempotent one is sent again (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
 * - When policy changes, a request in flight is judged again by its head, which the read buffer no longer holds.
 *
 *   kept:  u16 length | octets … | unused        from one of two stacks of free buffers, or made to measure
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { limits } from '../limits.ts';
import type { PodUsage } from '../upstream/usage.ts';

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
const LENGTH_BYTES = 2;
const LOOP_COPY_MAX = 256;
/** Most requests fit in this; a thousand in flight then cost half a MiB, not four. */
const SMALL_BYTES = 512;

export function isReplayable(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Octets of a kept request: [KEPT_START, KEPT_START + keptLength()). */
export const KEPT_START = LENGTH_BYTES;

export function keptLength(kept: Buffer): number {
  return (kept[0] as number) | ((kept[1] as number) << 8);
}

/** Copies the kept request to the start of `into`; its length. */
export function takeReplay(kept: Buffer, into: PinnedBuffer): number {
  const octets = keptLength(kept);
  kept.copy(into.bytes, 0, LENGTH_BYTES, LENGTH_BYTES + octets);
  return octets;
}

/** The worker's buffers for kept requests, used again and again. */
export class KeptRequests {
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];

  /**
   * A copy of the octets [start, start+octets), which are at most u16; to be given back with release(). Hot.
   * @param usage the pod that pays for it; null when it may hold no more
   * @param anyLength false: null when they are more than a replay may hold
   */
  keep(usage: PodUsage, source: Buffer, start: number, octets: number, anyLength: boolean): Buffer | null {
    if (octets > limits.replayBytesMax && !anyLength) return null;
    const kept = this.#take(octets + LENGTH_BYTES);
    if (!usage.canHold(kept.length)) {
      this.#give(kept);
      return null;
    }
    usage.hold(kept.length);
    // A loop over a short request is cheaper than Buffer.copy's typed-array views (scripts/bench-http1.ts, LOOP_COPY_MAX).
    if (octets <= LOOP_COPY_MAX) {
      for (let i = 0; i < octets; i++) kept[LENGTH_BYTES + i] = source[start + i] as number;
    } else {
      source.copy(kept, LENGTH_BYTES, start, start + octets);
    }
    kept[0] = octets & 0xff;
    kept[1] = octets >> 8;
    return kept;
  }

  release(usage: PodUsage, kept: Buffer): void {
    usage.release(kept.length);
    this.#give(kept);
  }

  #give(kept: Buffer): void {
    const free = kept.length === SMALL_BYTES ? this.#small : this.#large;
    if (kept.length <= limits.replayBytesMax + LENGTH_BYTES && free.length < limits.replayBuffersMax) free.push(kept);
  }

  #take(bytes: number): Buffer {
    if (bytes <= SMALL_BYTES) return this.#small.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
    const large = limits.replayBytesMax + LENGTH_BYTES;
    if (bytes <= large) return this.#large.pop() ?? Buffer.allocUnsafeSlow(large);
    return Buffer.allocUnsafeSlow(bytes);
  }
}
