/** IP addresses as the workload API carries them: 4 or 16 bytes, network order. */
import { formatIp, parseIp } from '../ip.ts';
import type { Ip } from '../model.ts';

/** Bytes of IP text (an IPv4-mapped address as IPv4); null when the text is not an address. */
export function ipToBytes(ip: Ip): Uint8Array | null {
  const address = parseIp(ip);
  if (address === null) return null;
  const { family, a, b, c, d } = address;
  const words = family === 4 ? [d] : [a, b, c, d];
  return Uint8Array.from(words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]));
}

/** Canonical text (RFC 5952; an IPv4-mapped address as IPv4) of 4 or 16 bytes; null for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip | null {
  if (bytes.length !== 4 && bytes.length !== 16) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const word = (index: number): number => view.getUint32(4 * index);
  if (bytes.length === 4) return formatIp({ family: 4, a: 0, b: 0, c: 0, d: word(0) });
  const mapped = word(0) === 0 && word(1) === 0 && word(2) === 0xffff;
  if (mapped) return formatIp({ family: 4, a: 0, b: 0, c: 0, d: word(3) });
  return formatIp({ family: 6, a: word(0), b: word(1), c: word(2), d: word(3) });
}
