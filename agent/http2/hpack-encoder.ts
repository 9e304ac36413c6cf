/**
 * Header lists to HPACK (RFC 7541) without state: fields of the static table by index, all others as literals that are not
 * indexed. The block means the same on every connection and at any time, so a list is encoded once for all of them; the peer's
 * dynamic table stays empty whatever size it allows. Octets are written raw: Huffman would save the wire about a quarter and cost
 * every reader more than it saves (scripts/bench-hpack.ts).
 */
import type { HeaderList } from './header-list.ts';
import { staticIndexOf } from './hpack-static.ts';

/** Representations (RFC 7541 sections 6.1 and 6.2), and the bits of the first octet that are left for an integer. */
const INDEXED = 0x80;
const INDEXED_BITS = 7;
const LITERAL = 0x00;
const NEVER_INDEXED = 0x10;
const LITERAL_BITS = 4;
const RAW_STRING = 0x00;
const LENGTH_BITS = 7;

/** What the encoder reads of a HeaderList. */
type Fields = Pick<HeaderList, 'names' | 'values' | 'neverIndexed' | 'size'>;

/** Octets that encodeHeaderList() writes. */
export function encodedLength(list: Fields): number {
  let length = 0;
  for (let i = 0; i < list.names.length; i++) {
    const name = list.names[i] as string;
    const value = list.values[i] as string;
    const index = staticIndexOf(name, value);
    if (index > 0 && list.neverIndexed?.[i] !== 1) {
      length += integerLength(index, INDEXED_BITS);
    } else {
      length += integerLength(nameIndex(index), LITERAL_BITS) + integerLength(value.length, LENGTH_BITS) + value.length;
      if (index === 0) length += integerLength(name.length, LENGTH_BITS) + name.length;
    }
  }
  return length;
}

/**
 * Writes the list as one header block at `at`; returns its octets, or -1 when `into` has no room for them. As many octets as
 * the list's size are always enough: no field takes more than its 32 for indexes and lengths.
 */
export function encodeHeaderList(list: Fields, into: Buffer, at: number): number {
  if (at + list.size > into.length && at + encodedLength(list) > into.length) return -1;
  let to = at;
  for (let i = 0; i < list.names.length; i++) {
    const name = list.names[i] as string;
    const value = list.values[i] as string;
    const never = list.neverIndexed?.[i] === 1;
    const index = staticIndexOf(name, value);
    if (index > 0 && !never) {
      to = writeInteger(into, to, INDEXED, INDEXED_BITS, index);
      continue;
    }
    to = writeInteger(into, to, never ? NEVER_INDEXED : LITERAL, LITERAL_BITS, nameIndex(index));
    if (index === 0) to = writeString(into, to, name);
    to = writeString(into, to, value);
  }
  return to - at;
}

/** From staticIndexOf() to the index of a name; 0 when the name must be spelt out. */
function nameIndex(index: number): number {
  return index >= 0 ? index : -index;
}

function integerLength(value: number, prefixBits: number): number {
  let rest = value - ((1 << prefixBits) - 1);
  if (rest < 0) return 1;
  let length = 2;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** RFC 7541 section 5.1; returns where the next octet goes. */
function writeInteger(into: Buffer, at: number, pattern: number, prefixBits: number, value: number): number {
  const prefixMax = (1 << prefixBits) - 1;
  if (value < prefixMax) {
    into[at] = pattern | value;
    return at + 1;
  }
  into[at] = pattern | prefixMax;
  let to = at + 1;
  let rest = value - prefixMax;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[to++] = 0x80 | (rest % 0x80);
  into[to++] = rest;
  return to;
}

/** Shorter texts are written here, octet by octet; a call of Node's own costs as much as these. */
const SHORT_TEXT = 32;

/** RFC 7541 section 5.2, not Huffman-coded. */
function writeString(into: Buffer, at: number, text: string): number {
  const to = writeInteger(into, at, RAW_STRING, LENGTH_BITS, text.length);
  if (text.length > SHORT_TEXT) return to + into.write(text, to, 'latin1');
  for (let i = 0; i < text.length; i++) into[to + i] = text.charCodeAt(i);
  return to + text.length;
}
