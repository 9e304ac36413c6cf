/**
 * HPACK's dynamic table (RFC 7541 sections 2.3.2 and 4): first in, first out, bounded in octets.
 *
 *   ring of slots, a power of two:   … │ oldest │ … │ second │ newest │ (next) │ …
 *                                                              index 1
 */
/** What each entry counts beyond its name and value (RFC 7541 section 4.1). */
export const ENTRY_OVERHEAD = 32;

const SLOTS_MIN = 16;

interface Entry {
  readonly name: string;
  readonly value: string;
  readonly hash: number;
  readonly size: number;
}

const EMPTY: Entry = { name: '', value: '', hash: 0, size: 0 };

export class DynamicTable {
  /** Entries. */
  count = 0;
  /** Octets, as RFC 7541 section 4.1 counts them. */
  size = 0;
  /** Octets the peer's encoder keeps to now. */
  maxSize: number;
  /** Grows with every change, so that what was derived from an unchanged table can be recognised. */
  generation = 0;
  #ring: Entry[] = [];
  #next = 0;

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  /** Index 1 is the newest; `index` must be from 1 to `count`. Hot. */
  name(index: number): string {
    return this.#entry(index).name;
  }

  value(index: number): string {
    return this.#entry(index).value;
  }

  /** The hash that the entry was inserted with. */
  hash(index: number): number {
    return this.#entry(index).hash;
  }

  #entry(index: number): Entry {
    return this.#ring[(this.#next - index) & (this.#ring.length - 1)] as Entry;
  }

  /** Adds an entry, evicting the oldest as needed; one larger than the table empties it (RFC 7541 section 4.4). */
  insert(name: string, value: string, hash: number): void {
    const size = name.length + value.length + ENTRY_OVERHEAD;
    if (size > this.maxSize) {
      this.#evict(0);
      return;
    }
    this.#evict(this.maxSize - size);
    if (this.count === this.#ring.length) this.#grow();
    this.#ring[this.#next] = { name, value, hash, size };
    this.#next = (this.#next + 1) & (this.#ring.length - 1);
    this.count++;
    this.size += size;
    this.generation++;
  }

  /** RFC 7541 section 4.3. A new generation even if nothing changes. */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
    this.#evict(maxSize);
    this.generation++;
  }

  /** Drops the oldest entries until `room` octets are not exceeded. */
  #evict(room: number): void {
    while (this.size > room) {
      const oldest = (this.#next - this.count) & (this.#ring.length - 1);
      this.size -= (this.#ring[oldest] as Entry).size;
      this.#ring[oldest] = EMPTY;
      this.count--;
      this.generation++;
    }
  }

  /** Doubles the ring, the oldest entry first in the new one. */
  #grow(): void {
    const ring = new Array<Entry>(Math.max(SLOTS_MIN, this.#ring.length * 2)).fill(EMPTY);
    for (let i = 0; i < this.count; i++) ring[i] = this.#entry(this.count - i);
    this.#ring = ring;
    this.#next = this.count;
  }
}
