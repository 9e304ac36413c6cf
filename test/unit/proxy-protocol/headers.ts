/** PROXY headers of version 2 for tests. */
import { crc32c } from '../../../agent/proxy-protocol/crc32c.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** 10.1.2.3:4660 to 10.1.2.4:80. */
export const IPV4_BLOCK = Buffer.from('0a0102030a01020412340050', 'hex');
/** [fd00::1]:4660 to [fd00::2]:80. */
export const IPV6_BLOCK = Buffer.from(
  'fd000000000000000000000000000001fd00000000000000000000000000000212340050',
  'hex',
);

export function binaryHeader(command: number, transport: number, rest: Buffer): Buffer {
  const fixed = Buffer.of(0x20 | command, transport, rest.length >> 8, rest.length & 255);
  return Buffer.concat([SIGNATURE, fixed, rest]);
}

export function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, value.length >> 8, value.length & 255), value]);
}

/** With a CRC32C TLV behind the block. */
export function checksummed(command: number, transport: number, block: Buffer): Buffer {
  const header = binaryHeader(command, transport, Buffer.concat([block, tlv(3, Buffer.alloc(4))]));
  header.writeUInt32BE(crc32c(header, 0, header.length), header.length - 4);
  return header;
}
