/**
 * HPACK written for reading: every step of RFC 7541 in its own words, strings and arrays only. The product's decoder is compared
 * with it, and its encoder makes blocks in every representation that the product's never uses.
 */
import { HUFFMAN_CODES } from '../../../agent/http2/hpack-huffman.ts';
import { STATIC_NAMES, STATIC_VALUES } from '../../../agent/http2/hpack-static.ts';

export interface Field {
  readonly name: string;
  readonly value: string;
  readonly never: boolean;
}

/** Why the reference refuses a block. */
export class HpackFault extends Error {}

type Entry = readonly [name: string, value: string];

const STATIC: readonly Entry[] = STATIC_NAMES.slice(1).map((name, i) => [name, STATIC_VALUES[i + 1] as string]);

const codeOf = new Map(
  HUFFMAN_CODES.map(({ symbol, code, length }) => [symbol, code.toString(2).padStart(length, '0')]),
);
const symbolOf = new Map([...codeOf].map(([symbol, bits]) => [bits, symbol]));

/** RFC 7541 section 5.2. */
export function huffman(text: string): Buffer {
  let bits = '';
  for (const octet of Buffer.from(text, 'latin1')) bits += codeOf.get(octet);
  while (bits.length % 8 !== 0) bits += '1';
  return Buffer.from(bits.match(/.{8}/g)?.map((octet) => Number.parseInt(octet, 2)) ?? []);
}

export function unhuffman(octets: Uint8Array): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  let text = '';
  let from = 0;
  for (let to = 1; to <= bits.length; to++) {
    const symbol = symbolOf.get(bits.slice(from, to));
    if (symbol === undefined) continue;
    if (symbol === 256) throw new HpackFault('EOS');
    text += String.fromCharCode(symbol);
    from = to;
  }
  const padding = bits.slice(from);
  if (padding.length > 7 || padding.includes('0')) throw new HpackFault('padding');
  return text;
}

/** RFC 7541 section 5.1. */
export function integer(value: number, prefixBits: number, pattern: number): Buffer {
  const prefixMax = 2 ** prefixBits - 1;
  if (value < prefixMax) return Buffer.of(pattern | value);
  const octets = [pattern | prefixMax];
  let rest = value - prefixMax;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push(128 + (rest % 128));
  return Buffer.from([...octets, rest]);
}

export function string(text: string, coded: boolean): Buffer {
  const octets = coded ? huffman(text) : Buffer.from(text, 'latin1');
  return Buffer.concat([integer(octets.length, 7, coded ? 0x80 : 0), octets]);
}

/** Both sides' dynamic table: newest first. */
class ReferenceTable {
  entries: Entry[] = [];
  maxSize = 4_096;

  get size(): number {
    return this.entries.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  }

  add(entry: Entry): void {
    this.entries.unshift(entry);
    this.shrink();
  }

  shrink(): void {
    while (this.size > this.maxSize) this.entries.pop();
  }

  at(index: number): Entry {
    const entry = [...STATIC, ...this.entries][index - 1];
    if (entry === undefined) throw new HpackFault(`index ${index}`);
    return entry;
  }
}

/** How a field is to be written; a choice that is impossible falls back to a literal. */
export type Representation = 'indexed' | 'incremental' | 'without' | 'never';

export class ReferenceEncoder {
  readonly table = new ReferenceTable();

  field(name: string, value: string, how: Representation, indexName: boolean, coded: boolean): Buffer {
    const all = [...STATIC, ...this.table.entries];
    const whole = all.findIndex((entry) => entry[0] === name && entry[1] === value) + 1;
    if (how === 'indexed' && whole > 0) return integer(whole, 7, 0x80);
    const index = indexName ? all.findIndex((entry) => entry[0] === name) + 1 : 0;
    if (how === 'incremental') this.table.add([name, value]);
    const first = how === 'incremental' ? integer(index, 6, 0x40) : integer(index, 4, how === 'never' ? 0x10 : 0x00);
    return Buffer.concat([first, ...(index === 0 ? [string(name, coded)] : []), string(value, coded)]);
  }

  resize(size: number): Buffer {
    this.table.maxSize = size;
    this.table.shrink();
    return integer(size, 5, 0x20);
  }
}

export class ReferenceDecoder {
  readonly table = new ReferenceTable();
  #limit = 4_096;
  /** A size update of at most this must come first. */
  #due: number | null = null;
  #rest: number[] = [];

  /** The peer acknowledged a SETTINGS_HEADER_TABLE_SIZE (RFC 7541 section 4.2). */
  acknowledge(size: number): void {
    this.#limit = size;
    if (size < this.table.maxSize) this.#due = Math.min(size, this.#due ?? size);
  }

  /** Throws HpackFault when the block cannot be decoded. */
  decode(block: Uint8Array): Field[] {
    this.#rest = [...block];
    const fields: Field[] = [];
    while (this.#rest.length > 0) {
      const first = this.#rest[0] as number;
      const isUpdate = first >= 0x20 && first < 0x40;
      if (this.#due !== null && !isUpdate) throw new HpackFault('size update missing');
      if (first >= 0x80) {
        const [name, value] = this.table.at(this.#integer(7));
        fields.push({ name, value, never: false });
      } else if (first >= 0x40) {
        const field = this.#literal(6, false);
        this.table.add([field.name, field.value]);
        fields.push(field);
      } else if (isUpdate) {
        const size = this.#integer(5);
        if (fields.length > 0 || size > (this.#due ?? this.#limit)) throw new HpackFault('size update');
        this.#due = null;
        this.table.maxSize = size;
        this.table.shrink();
      } else {
        fields.push(this.#literal(4, first >= 0x10));
      }
    }
    if (this.#due !== null) throw new HpackFault('size update missing');
    return fields;
  }

  #literal(prefixBits: number, never: boolean): Field {
    const index = this.#integer(prefixBits);
    const name = index === 0 ? this.#string() : this.table.at(index)[0];
    return { name, value: this.#string(), never };
  }

  #octet(): number {
    const octet = this.#rest.shift();
    if (octet === undefined) throw new HpackFault('cut short');
    return octet;
  }

  #integer(prefixBits: number): number {
    const prefixMax = 2 ** prefixBits - 1;
    let value = this.#octet() & prefixMax;
    if (value < prefixMax) return value;
    for (let scale = 1; ; scale *= 128) {
      if (scale > 128 ** 3) throw new HpackFault('integer');
      const octet = this.#octet();
      value += (octet & 127) * scale;
      if (octet < 128) return value;
    }
  }

  #string(): string {
    if (this.#rest.length === 0) throw new HpackFault('cut short');
    const coded = (this.#rest[0] as number) >= 0x80;
    const length = this.#integer(7);
    if (length > this.#rest.length) throw new HpackFault('cut short');
    const octets = Buffer.from(this.#rest.splice(0, length));
    return coded ? unhuffman(octets) : octets.toString('latin1');
  }
}
