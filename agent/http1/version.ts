/** `HTTP/1.0` and `HTTP/1.1`, octet by octet (RFC 9112 section 2.3). */

const PREFIX = 'HTTP/';

export const VERSION_INCOMPLETE = -1;
export const VERSION_MALFORMED = -2;
/** Well-formed, but neither 1.0 nor 1.1. */
export const VERSION_UNSUPPORTED = -3;

const isDigit = (octet: number): boolean => octet >= 0x30 && octet <= 0x39;

/** @returns minor version 0 or 1 of the eight octets at `at`, or VERSION_* when they are not (yet) that. */
export function readVersion(bytes: Uint8Array, at: number, limit: number): number {
  for (let k = 0; k < 8; k++) {
    const i = at + k;
    if (i >= limit) return VERSION_INCOMPLETE;
    const octet = bytes[i] as number;
    if (k < 5 ? octet !== PREFIX.charCodeAt(k) : k === 6 ? octet !== 0x2e : !isDigit(octet)) return VERSION_MALFORMED;
  }
  const minor = (bytes[at + 7] as number) - 0x30;
  return bytes[at + 5] === 0x31 && minor <= 1 ? minor : VERSION_UNSUPPORTED;
}
