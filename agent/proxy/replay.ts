/**
 * Requests kept for one more try. A pooled connection may have been closed by its endpoint just before our request reached
 * it; nobody saw the request then, so an idempotent one is sent again (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { limits } from '../limits.ts';

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);
/** A kept request is u16 length, then octets. */
const LENGTH_BYTES = 2;
const LOOP_COPY_MAX = 256;

export function isReplayable(method: string): boolean {
  return IDEMPOTENT.has(method);
}

/** A copy of the request's octets in a buffer from `free`, to be given back there; null when it is too long to keep. */
export function keepForReplay(free: Buffer[], from: PinnedBuffer, start: number, octets: number): Buffer | null {
  if (octets > limits.replayBytesMax) return null;
  const kept = free.pop() ?? Buffer.allocUnsafeSlow(limits.replayBytesMax + LENGTH_BYTES);
  const source = from.bytes;
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

/** Copies the kept request to the start of `into`; its length. */
export function takeReplay(kept: Buffer, into: PinnedBuffer): number {
  const octets = kept.readUInt16LE(0);
  kept.copy(into.bytes, 0, LENGTH_BYTES, LENGTH_BYTES + octets);
  return octets;
}
