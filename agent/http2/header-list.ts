/**
 * Header lists as values: what a block of HPACK says, apart from how it said it. Equal lists that recur are one object on all
 * connections of a worker, so whatever is derived from a list (its encoding, facts about a request) is derived once.
 */
import { addFieldHash, fieldHash } from './field-hash.ts';
import { encodedLength, encodeHeaderList } from './hpack-encoder.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import { ENTRY_OVERHEAD } from './hpack-table.ts';
import type { RequestFacts } from './request-facts.ts';
import type { ResponseFacts } from './response-facts.ts';

/** The fields of one header block, in order. Never changes. */
export class HeaderList {
  /** As received, one character per octet; neither checked nor lower-cased. */
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** 1 for each field that no intermediary may index (RFC 7541 section 6.2.3); null when there is none. */
  readonly neverIndexed: Uint8Array | null;
  /** Octets of names and values, and 32 for each field (RFC 9113 section 10.5.1). */
  readonly size: number;
  /** What the fields say as a request or as a response, once somebody has read them so. */
  request: RequestFacts | null = null;
  response: ResponseFacts | null = null;
  /** The list as it is forwarded: with the last other path (normalised or rewritten), and with the last header modifiers applied. */
  path: string | null = null;
  withPath: HeaderList | null = null;
  editedBy: HeaderEdits | null = null;
  edited: HeaderList | null = null;
  #encoded: Buffer | null = null;

  constructor(
    names: readonly string[],
    values: readonly string[],
    neverIndexed: Uint8Array | null,
    size: number = sizeOf(names, values, names.length),
  ) {
    this.names = names;
    this.values = values;
    this.neverIndexed = neverIndexed;
    this.size = size;
  }

  /**
   * The list as a header block that reads the same on every connection; made on first use and kept. Not to be changed. For a
   * list that is used once, encodeHeaderList() into where the octets must go costs half of this (scripts/bench-hpack.ts).
   */
  get encoded(): Buffer {
    this.#encoded ??= encode(this);
    return this.#encoded;
  }
}

/** Where lists are encoded before their octets are copied out; a larger list gets a buffer of its own. */
const scratch = Buffer.allocUnsafeSlow(16_384);

function encode(list: HeaderList): Buffer {
  if (list.size > scratch.length) {
    const large = Buffer.allocUnsafeSlow(encodedLength(list));
    encodeHeaderList(list, large, 0);
    return large;
  }
  const length = encodeHeaderList(list, scratch, 0);
  // Not from Node's pool: a list that is kept for long would keep a slab of 8 KiB.
  const encoded = Buffer.allocUnsafeSlow(length);
  scratch.copy(encoded, 0, 0, length);
  return encoded;
}

function sizeOf(names: readonly string[], values: readonly string[], count: number): number {
  let size = count * ENTRY_OVERHEAD;
  for (let i = 0; i < count; i++) size += (names[i] as string).length + (values[i] as string).length;
  return size;
}

/** How much a HeaderListTable may keep. */
export interface HeaderListTableBounds {
  /** Lists; a power of two. */
  readonly headerListsKeptMax: number;
  /** Size of a list that is kept, octets (RFC 7541 section 4.1). */
  readonly headerListKeptBytesMax: number;
}

/**
 * Recurring lists of a worker, in a table where each hash has one slot. Bounded: headerListsKeptMax × headerListKeptBytesMax,
 * about twice that with their encodings. A list gets its slot when its hash comes the second time in a row, so lists that
 * never recur neither displace others nor grow old. Lists with never-indexed fields are not kept: those fields are marked
 * because they are secret (RFC 7541 section 7.1.3).
 */
export class HeaderListTable {
  readonly #lists: (HeaderList | null)[];
  /** Per slot: the hash of the list that last missed it. */
  readonly #missed: Int32Array;
  readonly #bytesMax: number;

  constructor(bounds: HeaderListTableBounds) {
    const slots = bounds.headerListsKeptMax;
    if (slots < 1 || (slots & (slots - 1)) !== 0)
      throw new Error(`headerListsKeptMax must be a power of two, not ${slots}`);
    this.#lists = new Array<HeaderList | null>(slots).fill(null);
    this.#missed = new Int32Array(slots);
    this.#bytesMax = bounds.headerListKeptBytesMax;
  }

  /** The list of these fields: the kept one if there is an equal one, else a new one. The arrays are copied. */
  intern(names: readonly string[], values: readonly string[], neverIndexed: Uint8Array | null): HeaderList {
    const count = names.length;
    if (neverIndexed?.includes(1)) return new HeaderList(names.slice(), values.slice(), neverIndexed.slice());
    let hash = 0;
    for (let i = 0; i < count; i++) hash = addFieldHash(hash, fieldHash(names[i] as string, values[i] as string));
    return this.internFirst(names, values, count, sizeOf(names, values, count), hash);
  }

  /**
   * The same for the first `count` fields of two arrays, none of them never-indexed, when their size and their addFieldHash()
   * are known. Hot: allocates only when the list is not kept.
   */
  internFirst(
    names: readonly string[],
    values: readonly string[],
    count: number,
    size: number,
    hash: number,
  ): HeaderList {
    const slot = (hash ^ (hash >>> 16)) & (this.#lists.length - 1);
    const kept = this.#lists[slot] as HeaderList | null;
    if (kept !== null && kept.size === size && equals(kept, names, values, count)) return kept;
    const made = new HeaderList(names.slice(0, count), values.slice(0, count), null, size);
    if (this.#missed[slot] !== hash) this.#missed[slot] = hash;
    else if (size <= this.#bytesMax) this.#lists[slot] = made;
    return made;
  }
}

function equals(list: HeaderList, names: readonly string[], values: readonly string[], count: number): boolean {
  if (list.names.length !== count) return false;
  for (let i = 0; i < count; i++) {
    if (list.values[i] !== values[i] || list.names[i] !== names[i]) return false;
  }
  return true;
}
