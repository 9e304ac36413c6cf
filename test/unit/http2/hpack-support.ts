/** Decoders with the bounds that the tests of HPACK share, and lists as plain rows. */
import { HeaderListTable, type HeaderList } from '../../../agent/http2/header-list.ts';
import { HpackDecoder, HPACK_OK, type HpackBounds } from '../../../agent/http2/hpack-decoder.ts';
import type { Field } from './hpack-reference.ts';

export const BOUNDS: HpackBounds = { tableBytesMax: 4_096, listBytesMax: 65_536, fieldCountMax: 128 };

export function newTable(): HeaderListTable {
  return new HeaderListTable({ headerListsKeptMax: 64, headerListKeptBytesMax: 4_096 });
}

export function newDecoder(bounds: Partial<HpackBounds> = {}, caching = true, table = newTable()): HpackDecoder {
  return new HpackDecoder(table, { ...BOUNDS, ...bounds }, caching);
}

/** Decodes octets that lie between misleading ones. */
export function decodeBlock(decoder: HpackDecoder, block: Uint8Array): number {
  const guarded = Buffer.concat([Buffer.of(0x82, 0xff, 0xff), block, Buffer.of(0x82, 0x84, 0x41, 0x01, 0x61)]);
  return decoder.decode(guarded, 3, 3 + block.length);
}

export function fieldsOf(list: HeaderList | null): Field[] {
  if (list === null) throw new Error('no list');
  return list.names.map((name, i) => ({
    name,
    value: list.values[i] as string,
    never: list.neverIndexed?.[i] === 1,
  }));
}

/** `name: value` rows of a block that must decode. */
export function rowsOf(decoder: HpackDecoder, block: Uint8Array): string[] {
  const result = decodeBlock(decoder, block);
  if (result !== HPACK_OK) throw new Error(`block refused: ${result}`);
  return fieldsOf(decoder.list).map(({ name, value, never }) => `${name}: ${value}${never ? ' (never)' : ''}`);
}

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}
