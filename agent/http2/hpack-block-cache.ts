/**
 * Header blocks of one connection that were decoded before. Clients repeat themselves: after the first requests most blocks
 * are a few indexes, the same each time. A block means the same for as long as the dynamic table does not change, so it is
 * recognised by its octets and the table's generation, and not decoded again.
 */
import type { HeaderList } from './header-list.ts';

/** Blocks per connection; a power of two. */
const SLOTS = 16;
/** Longer blocks are mostly literals, which seldom recur. SLOTS times this is what a connection may keep, octets. */
const BLOCK_BYTES_MAX = 256;

interface KeptBlock {
  readonly octets: Uint8Array;
  readonly generation: number;
  readonly list: HeaderList;
}

export class BlockCache {
  readonly #blocks: (KeptBlock | null)[] = new Array<KeptBlock | null>(SLOTS).fill(null);
  /** Per slot: the hash of the block that last missed it. A block is kept when it comes the second time in a row. */
  readonly #missed = new Array<number>(SLOTS).fill(0);
  /** Of the block that find() was last asked for. */
  #hash = 0;

  /** What [start, end) decoded to while the table was as it is in `generation`, or null. Hot. */
  find(bytes: Buffer, start: number, end: number, generation: number): HeaderList | null {
    const length = end - start;
    if (length > BLOCK_BYTES_MAX) return null;
    let hash = length;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const word =
        (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24);
      hash = Math.imul(hash ^ word, 0x01000193);
      hash ^= hash >>> 15;
    }
    for (; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    this.#hash = hash;
    const slot = slotOf(hash);
    const block = this.#blocks[slot] as KeptBlock | null;
    if (block === null || block.generation !== generation) return null;
    const octets = block.octets;
    if (octets.length !== length) return null;
    for (let k = 0; k < length; k++) if (octets[k] !== bytes[start + k]) return null;
    return block.list;
  }

  /** Keeps what find() just missed, in the same generation, if it recurs. */
  keep(bytes: Buffer, start: number, end: number, generation: number, list: HeaderList): void {
    if (end - start > BLOCK_BYTES_MAX) return;
    const slot = slotOf(this.#hash);
    if (this.#missed[slot] !== this.#hash) {
      this.#missed[slot] = this.#hash;
      return;
    }
    this.#blocks[slot] = { octets: new Uint8Array(bytes.subarray(start, end)), generation, list };
  }
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (SLOTS - 1);
}
