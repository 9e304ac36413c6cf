/** CRC32c (Castagnoli; RFC 9260 appendix A, which replaces the RFC 4960 that proxy-protocol.txt names). */

/** 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL = 0x82_f6_3b_78;

const TABLE = Uint32Array.from({ length: 256 }, (_, octet) => {
  let remainder = octet;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ ((remainder & 1) === 0 ? 0 : POLYNOMIAL);
  return remainder;
});

/** Checksum of octets [start, end) with the four octets at `zeroed` counted as 0; -1: none. Unsigned. */
export function crc32c(bytes: Uint8Array, start: number, end: number, zeroed = -1): number {
  let remainder = 0xff_ff_ff_ff;
  for (let at = start; at < end; at++) {
    const octet = zeroed >= 0 && at >= zeroed && at < zeroed + 4 ? 0 : (bytes[at] as number);
    remainder = (TABLE[(remainder ^ octet) & 255] as number) ^ (remainder >>> 8);
  }
  return (remainder ^ 0xff_ff_ff_ff) >>> 0;
}
