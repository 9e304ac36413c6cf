/**
 * Huffman-coded strings of HPACK (RFC 7541 section 5.2, appendix B). The code is canonical: codes of one length are
 * consecutive and ascend with their symbols, so the lengths alone say it all.
 *
 * Decoding looks twelve bits up at once, which is two symbols of ordinary text (scripts/bench-hpack.ts: 60 % of the time of one
 * symbol per lookup). Longer codes, and the last octets, go by tables of eight bits, one for each prefix of 8, 16 or 24 bits:
 *
 *    bits ──► [ first table, 256 ] ──► symbol, and how many of the eight bits it took
 *                     │ 11111110 …
 *                     └──► [ table of that prefix, 256 ] ──► …
 */

/** Length in bits of the code of each symbol, 0 to 255 and EOS. */
// biome-ignore format: appendix B, sixteen symbols a line
export const CODE_LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

/** The symbol that must never be sent; the high bits of its code are the padding. */
const EOS = 256;

export interface HuffmanCode {
  readonly symbol: number;
  /** Right-aligned in `length` bits. */
  readonly code: number;
  readonly length: number;
}

/** All codes, ascending (RFC 7541 appendix B). */
export const HUFFMAN_CODES: readonly HuffmanCode[] = canonicalCodes();

function canonicalCodes(): HuffmanCode[] {
  const order = CODE_LENGTHS.map((length, symbol) => ({ length, symbol }));
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let width = 0;
  return order.map(({ length, symbol }) => {
    code <<= length - width;
    width = length;
    return { symbol, code: code++, length };
  });
}

/** Entry of a table: a symbol and its bits in this table, as `symbol << 4 | bits`; or where to go on; 0 leads nowhere. */
const GO_ON = 0x8000;

const TABLES = buildTables();

function buildTables(): Uint16Array {
  const tables = [new Uint16Array(256)];
  const ofPrefix = new Map<string, number>([['', 0]]);
  const tableOf = (code: HuffmanCode, depth: number): number => {
    const prefix = (code.code >>> (code.length - depth)).toString(2).padStart(depth, '0');
    const known = depth === 0 ? 0 : ofPrefix.get(prefix);
    if (known !== undefined) return known;
    const parent = tables[tableOf(code, depth - 8)] as Uint16Array;
    const made = tables.push(new Uint16Array(256)) - 1;
    parent[(code.code >>> (code.length - depth)) & 0xff] = GO_ON | made;
    ofPrefix.set(prefix, made);
    return made;
  };
  for (const code of HUFFMAN_CODES) {
    if (code.symbol === EOS) continue;
    const depth = (code.length - 1) & ~7;
    const bits = code.length - depth;
    const table = tables[tableOf(code, depth)] as Uint16Array;
    const first = (code.code << (8 - bits)) & 0xff;
    table.fill((code.symbol << 4) | bits, first, first + (1 << (8 - bits)));
  }
  return Uint16Array.from(tables.flatMap((table) => [...table]));
}

/** Octets that `length` octets of Huffman code decode to at most: no code is shorter than five bits. */
export function huffmanDecodedMax(length: number): number {
  return Math.floor((length * 8) / 5);
}

/**
 * For each twelve bits: bits taken in 0–4, number of symbols in 6–7, the symbols in 8–15 and 16–23; 0 when the first code is
 * longer than twelve bits.
 */
const PAIRS = buildPairs();

function buildPairs(): Uint32Array {
  const first = new Array<HuffmanCode | undefined>(4_096);
  for (const code of HUFFMAN_CODES.filter(({ length }) => length <= 12)) {
    const low = code.code << (12 - code.length);
    first.fill(code, low, low + (1 << (12 - code.length)));
  }
  return Uint32Array.from(first, (one, bits) => {
    if (one === undefined) return 0;
    const two = first[(bits << one.length) & 0xfff];
    if (two === undefined || one.length + two.length > 12) return (one.symbol << 8) | (1 << 6) | one.length;
    return (two.symbol << 16) | (one.symbol << 8) | (2 << 6) | (one.length + two.length);
  });
}

/** The symbol whose code begins at a bit of bytes, as `symbol << 8 | length`; -1: EOS. Bits from `end` on count as ones. */
function symbolAt(bytes: Uint8Array, end: number, position: number): number {
  let table = 0;
  for (let depth = 0; ; depth += 8) {
    const at = (position + depth) >>> 3;
    const high = at < end ? (bytes[at] as number) : 0xff;
    const low = at + 1 < end ? (bytes[at + 1] as number) : 0xff;
    const octet = (((high << 8) | low) >>> (8 - (position & 7))) & 0xff;
    const entry = TABLES[(table << 8) | octet] as number;
    if (entry === 0) return -1;
    if (entry < GO_ON) return ((entry >>> 4) << 8) | (depth + (entry & 0xf));
    table = entry & 0xff;
  }
}

/**
 * Decodes [start, end) into `into` from `at` on, where one octet more than huffmanDecodedMax(end - start) must have room.
 * Returns the number of octets, or -1: EOS, an incomplete code, or padding that is longer than seven bits or not all ones.
 * Hot.
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, into: Uint8Array, at: number): number {
  const pairs = PAIRS;
  const bitsEnd = end * 8;
  let to = at;
  let from = start;
  let window = 0;
  let bits = 0;
  for (;;) {
    if (bits < 12) {
      if (from + 2 > end) break;
      window = (window << 16) | ((bytes[from] as number) << 8) | (bytes[from + 1] as number);
      from += 2;
      bits += 16;
    }
    const pair = pairs[(window >>> (bits - 12)) & 0xfff] as number;
    if (pair !== 0) {
      into[to] = pair >>> 8;
      into[to + 1] = pair >>> 16;
      to += (pair >>> 6) & 3;
      bits -= pair & 31;
      continue;
    }
    const position = from * 8 - bits;
    const found = symbolAt(bytes, end, position);
    const next = position + (found & 0xff);
    if (found < 0 || next > bitsEnd) return -1;
    into[to++] = found >>> 8;
    from = (next + 7) >>> 3;
    bits = from * 8 - next;
    window = bits === 0 ? 0 : (bytes[from - 1] as number);
  }
  let position = from * 8 - bits;
  while (position < bitsEnd) {
    const found = symbolAt(bytes, end, position);
    if (found < 0 || position + (found & 0xff) > bitsEnd) break;
    into[to++] = found >>> 8;
    position += found & 0xff;
  }
  const padding = (1 << (bitsEnd - position)) - 1;
  return bitsEnd - position < 8 && (padding & ~(bytes[end - 1] as number)) === 0 ? to - at : -1;
}
