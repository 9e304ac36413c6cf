/** Memory that C may be handed: allocated once, never resized, alive as long as its PinnedBuffer is referenced. */
import { addressOf } from './ffi.ts';

/** A buffer and where it lies. `address` is only for agent/engine; everybody else passes the whole object on. */
export interface PinnedBuffer {
  readonly bytes: Buffer;
  readonly address: number;
  /** Octets. */
  readonly length: number;
}

/**
 * Allocates `length` octets, zeroed, at a fixed address.
 * Over an ArrayBuffer of its own: V8 never moves those, while a small typed array made directly may live in the moving
 * heap, depending on how Node was built. For start-up and per-endpoint data, not per connection.
 */
export function allocatePinned(length: number): PinnedBuffer {
  const bytes = Buffer.from(new ArrayBuffer(length));
  return { bytes, address: addressOf(bytes), length };
}
