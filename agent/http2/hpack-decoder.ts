/**
 * HPACK header blocks to header lists (RFC 7541). One decoder per direction of a connection; blocks must be handed to it in
 * the order in which they came, each whole. What a block makes it do is bounded by the block's octets and by `HpackBounds`:
 * a reference of one octet to a large entry costs its count and size, and past the bounds nothing is built any more, only
 * the dynamic table is kept in step.
 */
import { addFieldHash, fieldHash } from './field-hash.ts';
import type { HeaderList, HeaderListTable } from './header-list.ts';
import { BlockCache } from './hpack-block-cache.ts';
import { decodeHuffman, huffmanDecodedMax } from './hpack-huffman.ts';
import { STATIC_HASHES, STATIC_LENGTH, STATIC_NAMES, STATIC_VALUES } from './hpack-static.ts';
import { DynamicTable, ENTRY_OVERHEAD } from './hpack-table.ts';

export const HPACK_OK = 0;
/** The list is beyond the bounds. The connection can go on: the dynamic table is what the peer thinks it is. */
export const HPACK_TOO_LARGE = 1;
/** The block cannot be decoded: COMPRESSION_ERROR, the end of the connection (RFC 9113 section 4.3). */
export const HPACK_ERROR = 2;

export interface HpackBounds {
  /** The largest SETTINGS_HEADER_TABLE_SIZE that we ever announce, octets. */
  readonly tableBytesMax: number;
  /** Header list, octets as RFC 9113 section 10.5.1 counts them. */
  readonly listBytesMax: number;
  /** Fields of a list, cookie crumbs counted one by one. */
  readonly fieldCountMax: number;
}

/** The table size both sides start with (RFC 9113 section 6.5.2). */
const TABLE_BYTES_INITIAL = 4_096;

/** Continuation octets of an integer: values up to 2^28 and a bit, which is more than any block has octets. */
const INTEGER_OCTETS_MAX = 4;

/** Decoded octets of a Huffman string, shared by all decoders of the thread; a larger string gets a buffer of its own. */
const huffmanScratch = Buffer.allocUnsafeSlow(16_384);

/** Fields of the list in work, shared by all decoders of the thread: decoding one block never waits for another. */
const scratchNames: string[] = [];
const scratchValues: string[] = [];
const scratchNever: number[] = [];

/** Node's own method behind buffer.toString('latin1', …), without its checks of arguments. */
interface LatinBuffer {
  latin1Slice(start: number, end: number): string;
}

export class HpackDecoder {
  /** After HPACK_OK: what the block said. */
  list: HeaderList | null = null;
  /** After HPACK_TOO_LARGE: the value of content-type, as far as it was seen, else ''. Says in which terms to refuse. */
  contentType = '';
  readonly #lists: HeaderListTable;
  readonly #bounds: HpackBounds;
  readonly #table = new DynamicTable(TABLE_BYTES_INITIAL);
  readonly #cache: BlockCache | null;
  /** What the peer may set the table to: the last acknowledged SETTINGS_HEADER_TABLE_SIZE. */
  #tableLimit = TABLE_BYTES_INITIAL;
  /** The next block must begin with a size update of at most this; -1: it need not. */
  #updateDue = -1;

  // The list in work.
  #count = 0;
  #size = 0;
  #hash = 0;
  #never = false;

  // Results of #readInteger and #readText.
  #at = 0;
  #integer = 0;
  #text = '';

  /** `caching` false: every block is decoded anew (to test the cache against). */
  constructor(lists: HeaderListTable, bounds: HpackBounds, caching = true) {
    this.#lists = lists;
    this.#bounds = bounds;
    this.#cache = caching ? new BlockCache() : null;
  }

  /**
   * The peer has acknowledged SETTINGS_HEADER_TABLE_SIZE: it may use that much from now on, and when it used more it must
   * say that it has shrunk its table in its next block (RFC 7541 section 4.2).
   */
  acknowledgeTableSize(tableBytes: number): void {
    const limit = Math.min(tableBytes, this.#bounds.tableBytesMax);
    this.#tableLimit = limit;
    if (limit < this.#table.maxSize) this.#updateDue = this.#updateDue < 0 ? limit : Math.min(this.#updateDue, limit);
  }

  /** Decodes the block in [start, end): HPACK_OK with `list` set, HPACK_TOO_LARGE, or HPACK_ERROR for good. Hot. */
  decode(bytes: Buffer, start: number, end: number): number {
    this.list = null;
    const table = this.#table;
    const generation = table.generation;
    if (this.#updateDue < 0 && this.#cache !== null) {
      const kept = this.#cache.find(bytes, start, end, generation);
      if (kept !== null) {
        this.list = kept;
        return HPACK_OK;
      }
    }
    this.#count = 0;
    this.#size = 0;
    this.#hash = 0;
    this.#never = false;
    this.contentType = '';
    this.#at = start;
    if (!this.#sizeUpdates(bytes, end)) return HPACK_ERROR;
    while (this.#at < end) if (!this.#field(bytes, end)) return HPACK_ERROR;
    if (this.#over()) {
      if (this.contentType === '') this.contentType = this.#addedContentType();
      return HPACK_TOO_LARGE;
    }
    const list = this.#finish();
    if (!this.#never && table.generation === generation) {
      this.#cache?.keep(bytes, start, end, generation, list);
    }
    this.list = list;
    return HPACK_OK;
  }

  /** Size updates stand at the beginning of a block only (RFC 7541 section 4.2). */
  #sizeUpdates(bytes: Buffer, end: number): boolean {
    while (this.#at < end && ((bytes[this.#at] as number) & 0xe0) === 0x20) {
      if (!this.#readInteger(bytes, end, 5)) return false;
      const size = this.#integer;
      if (size > (this.#updateDue < 0 ? this.#tableLimit : this.#updateDue)) return false;
      this.#updateDue = -1;
      this.#table.resize(size);
    }
    return this.#updateDue < 0;
  }

  /** One field (RFC 7541 section 6). False: it cannot be decoded. */
  #field(bytes: Buffer, end: number): boolean {
    const first = bytes[this.#at] as number;
    if (first >= 0x80) return this.#readInteger(bytes, end, 7) && this.#indexed(this.#integer);
    if (first >= 0x40) return this.#literal(bytes, end, 6, true, false);
    if (first >= 0x20) return false; // A size update after a field.
    return this.#literal(bytes, end, 4, false, first >= 0x10);
  }

  #indexed(index: number): boolean {
    if (index <= STATIC_LENGTH) {
      if (index === 0) return false;
      this.#add(STATIC_NAMES[index] as string, STATIC_VALUES[index] as string, STATIC_HASHES[index] as number);
      return true;
    }
    const entry = index - STATIC_LENGTH;
    const table = this.#table;
    if (entry > table.count) return false;
    this.#add(table.name(entry), table.value(entry), table.hash(entry));
    return true;
  }

  #literal(bytes: Buffer, end: number, prefixBits: number, indexing: boolean, never: boolean): boolean {
    if (!this.#readInteger(bytes, end, prefixBits)) return false;
    const index = this.#integer;
    const table = this.#table;
    if (index > STATIC_LENGTH + table.count) return false;
    const wanted = indexing || !this.#over();
    let name: string;
    if (index === 0) {
      if (!this.#readText(bytes, end, wanted)) return false;
      name = this.#text;
    } else {
      name = index <= STATIC_LENGTH ? (STATIC_NAMES[index] as string) : table.name(index - STATIC_LENGTH);
    }
    if (!this.#readText(bytes, end, wanted)) return false;
    if (!wanted) return true;
    const value = this.#text;
    const hash = fieldHash(name, value);
    this.#add(name, value, hash);
    if (indexing) table.insert(name, value, hash);
    if (never && !this.#over()) this.#markNever();
    return true;
  }

  /** True once the list is beyond the bounds; it stays so. */
  #over(): boolean {
    return this.#size > this.#bounds.listBytesMax || this.#count > this.#bounds.fieldCountMax;
  }

  #add(name: string, value: string, hash: number): void {
    if (this.#over()) {
      if (name === 'content-type') this.contentType = value;
      return;
    }
    this.#size += name.length + value.length + ENTRY_OVERHEAD;
    const count = this.#count++;
    scratchNames[count] = name;
    scratchValues[count] = value;
    this.#hash = addFieldHash(this.#hash, hash);
  }

  /** Of the list in work. */
  #addedContentType(): string {
    const at = scratchNames.lastIndexOf('content-type', this.#count - 1);
    return at < 0 ? '' : (scratchValues[at] as string);
  }

  /** The field just added is never to be indexed. */
  #markNever(): void {
    if (!this.#never) scratchNever.length = 0;
    this.#never = true;
    scratchNever.push(this.#count - 1);
  }

  #finish(): HeaderList {
    const count = this.#count;
    if (!this.#never) return this.#lists.internFirst(scratchNames, scratchValues, count, this.#size, this.#hash);
    const never = new Uint8Array(count);
    for (const i of scratchNever) {
      never[i] = 1;
    }
    const list = this.#lists.intern(scratchNames.slice(0, count), scratchValues.slice(0, count), never);
    // What is marked so is secret: it is not left in the scratch either.
    for (const i of scratchNever) scratchValues[i] = '';
    return list;
  }

  /**
   * RFC 7541 section 5.1: reads at #at into #integer and moves #at behind. False: cut short, or longer than any integer that
   * makes sense here.
   */
  #readInteger(bytes: Buffer, end: number, prefixBits: number): boolean {
    const prefixMax = (1 << prefixBits) - 1;
    let at = this.#at;
    let value = (bytes[at++] as number) & prefixMax;
    if (value === prefixMax) {
      let octet = 0x80;
      for (let read = 0; octet >= 0x80; read++) {
        if (read === INTEGER_OCTETS_MAX || at === end) return false;
        octet = bytes[at++] as number;
        value += (octet & 0x7f) << (7 * read);
      }
    }
    this.#at = at;
    this.#integer = value;
    return true;
  }

  /** RFC 7541 section 5.2: reads a string at #at into #text, which stays empty when it is not wanted. */
  #readText(bytes: Buffer, end: number, wanted: boolean): boolean {
    if (this.#at === end) return false;
    const huffman = (bytes[this.#at] as number) >= 0x80;
    if (!this.#readInteger(bytes, end, 7)) return false;
    const start = this.#at;
    const length = this.#integer;
    if (length > end - start) return false;
    this.#at = start + length;
    if (!huffman) {
      this.#text = wanted ? textOf(bytes, start, start + length) : '';
      return true;
    }
    const room = huffmanDecodedMax(length) + 1;
    const into = room <= huffmanScratch.length ? huffmanScratch : Buffer.allocUnsafe(room);
    const decoded = decodeHuffman(bytes, start, start + length, into, 0);
    if (decoded < 0) return false;
    this.#text = wanted ? textOf(into, 0, decoded) : '';
    return true;
  }
}

function textOf(bytes: Buffer, start: number, end: number): string {
  return start === end ? '' : (bytes as unknown as LatinBuffer).latin1Slice(start, end);
}
