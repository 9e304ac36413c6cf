/**
 * Requests kept while they are in flight: to be sent once more, or to be judged once more.
 *
 * - A pooled connection may have been closed by its endpoint just before our request reached it; nobody saw the request
 *   then, so an idempotent one is sent again (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
 * - When policy changes, a request in flight is judged again by its head, which the read buffer no longer holds.
 *
 *   kept:  u16 length | octets … | unused        from a stack of free buffers of its size, or made to measure
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { limits } from '../limits.ts';
import type { PodUsage } from '../upstream/usage.ts';

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
const LENGTH_BYTES = 2;
const LOOP_COPY_MAX = 256;
/** Most requests fit in this; a thousand in flight then cost half a MiB, not four. */
const SMALL_BYTES = 512;
const MEDIUM_BYTES = 16_384;

export function isReplayable(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** Free buffers of one size. */
interface Stack {
  readonly bytes: number;
  readonly freeMax: number;
  readonly free: Buffer[];
}

/**
 * The worker's buffers for kept requests and large unfinished heads, used again and again: what a flood of heads of 40 KiB would otherwise
 * leave to the garbage collector, whose pauses every pod of the worker would feel.
 */
export class KeptRequests {
  /** Ascending. */
  readonly #stacks: readonly Stack[] = [
    { bytes: SMALL_BYTES, freeMax: limits.replayBuffersMax, free: [] },
    { bytes: limits.replayBytesMax + LENGTH_BYTES, freeMax: limits.replayBuffersMax, free: [] },
    { bytes: MEDIUM_BYTES + LENGTH_BYTES, freeMax: limits.headBuffersMax, free: [] },
    { bytes: limits.headBytesMax + LENGTH_BYTES, freeMax: limits.headBuffersMax, free: [] },
  ];

  /**
   * A copy of the octets [start, start+octets), which are at most u16; to be given back with release(). Hot.
   * @param usage the pod that pays for it; null when it may hold no more
   * @param anyLength false: null when they are more than a replay may hold
   */
  keep(usage: PodUsage, source: Buffer, start: number, octets: number, anyLength: boolean): Buffer | null {
    if (octets > limits.replayBytesMax && !anyLength) return null;
    const kept = this.borrow(usage, octets + LENGTH_BYTES);
    if (kept === null) return null;
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

  /** A buffer of at least so many octets, to be given back with release(); null when the pod may hold no more. Hot. */
  borrow(usage: PodUsage, octets: number): Buffer | null {
    const buffer = this.#take(octets);
    if (!usage.canHold(buffer.length)) {
      this.#give(buffer);
      return null;
    }
    usage.hold(buffer.length);
    return buffer;
  }

  release(usage: PodUsage, kept: Buffer): void {
    usage.release(kept.length);
    this.#give(kept);
  }

  #give(kept: Buffer): void {
    for (const { bytes, freeMax, free } of this.#stacks) {
      if (bytes !== kept.length) continue;
      if (free.length < freeMax) free.push(kept);
      return;
    }
  }

  #take(bytes: number): Buffer {
    for (const stack of this.#stacks) {
      if (bytes <= stack.bytes) return stack.free.pop() ?? Buffer.allocUnsafeSlow(stack.bytes);
    }
    return Buffer.allocUnsafeSlow(bytes);
  }
}

/** What one exchange keeps of its request. */
export class KeptRequest {
  readonly #buffers: KeptRequests;
  /** The pod that pays. */
  readonly #usage: PodUsage;
  /** As it was sent, until its response begins. */
  #replay: Buffer | null = null;
  /** Its head as it was received (and what came with it), while policy may end it; may be the same buffer. */
  #head: Buffer | null = null;

  constructor(buffers: KeptRequests, usage: PodUsage) {
    this.#buffers = buffers;
    this.#usage = usage;
  }

  get replayable(): boolean {
    return this.#replay !== null;
  }

  /** Keeps what was sent, if it is not too long. Hot. */
  keepReplay(from: PinnedBuffer, start: number, octets: number): void {
    this.#replay = this.#buffers.keep(this.#usage, from.bytes, start, octets, false);
  }

  /** @param sentAsReceived what is kept for a replay, if anything, begins with this head. Hot. */
  keepHead(received: PinnedBuffer, start: number, length: number, sentAsReceived: boolean): void {
    const shared = sentAsReceived ? this.#replay : null;
    this.#head = shared ?? this.#buffers.keep(this.#usage, received.bytes, start, length, true);
  }

  /** Parses the kept head; false: none was kept. */
  parseHead(into: RequestHead): boolean {
    if (this.#head === null) return false;
    return into.parse(this.#head, LENGTH_BYTES, LENGTH_BYTES + keptLength(this.#head)) > 0;
  }

  /** Copies what was sent to the start of `into`, which must be replayable, and forgets it; its length. */
  takeReplay(into: PinnedBuffer): number {
    const kept = this.#replay as Buffer;
    const octets = keptLength(kept);
    kept.copy(into.bytes, 0, LENGTH_BYTES, LENGTH_BYTES + octets);
    this.dropReplay();
    return octets;
  }

  /** The response has begun: the request is not sent again. */
  dropReplay(): void {
    if (this.#replay !== null && this.#replay !== this.#head) this.#buffers.release(this.#usage, this.#replay);
    this.#replay = null;
  }

  /** The request is over. */
  drop(): void {
    this.dropReplay();
    if (this.#head !== null) this.#buffers.release(this.#usage, this.#head);
    this.#head = null;
  }
}

function keptLength(kept: Buffer): number {
  return (kept[0] as number) | ((kept[1] as number) << 8);
}
