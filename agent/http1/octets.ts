/**
 * Octet classes of RFC 9110 and 9112 as lookup tables, and the few comparisons every parser here needs. Tables are indexed
 * by an octet, so no index can be out of range.
 */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;

function table(fill: (octet: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => fill(octet));
}

function among(characters: string): (octet: number) => boolean {
  return (octet) => characters.includes(String.fromCharCode(octet));
}

const isDigit = (octet: number): boolean => octet >= 0x30 && octet <= 0x39;
const isUpper = (octet: number): boolean => octet >= 0x41 && octet <= 0x5a;
const isLower = (octet: number): boolean => octet >= 0x61 && octet <= 0x7a;
const isTokenMark = among("!#$%&'*+-.^_`|~");
const isHostMark = among('-._~');

/** 1: tchar, what methods, field names and codings are made of (RFC 9110 section 5.6.2). */
export const TOKEN = table((o) => (isDigit(o) || isUpper(o) || isLower(o) || isTokenMark(o) ? 1 : 0));

/** 1: may stand in a field value or a reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5). */
export const FIELD_VALUE = table((o) => (o === HTAB || (o >= 0x20 && o !== 0x7f) ? 1 : 0));

export const TARGET_PLAIN = 1;
export const TARGET_DOT = 2;
export const TARGET_QUERY = 3;
export const TARGET_BACKSLASH = 4;
export const TARGET_PERCENT = 5;

/**
 * Classes of request-target octets; 0 ends or spoils it. Wider than RFC 3986 (clients send `|`, `"`, `{`, `^` raw), but never
 * controls, space, `#` or anything from 0x80 on.
 */
export const TARGET = table((o) => {
  if (o <= 0x20 || o >= 0x7f || o === 0x23) return 0;
  if (o === 0x2e) return TARGET_DOT;
  if (o === 0x3f) return TARGET_QUERY;
  if (o === 0x5c) return TARGET_BACKSLASH;
  if (o === 0x25) return TARGET_PERCENT;
  return TARGET_PLAIN;
});

/** 1: may stand in a host name as weir accepts it; 2: so may this, and it is upper case. */
export const HOST_NAME = table((o) => (isUpper(o) ? 2 : isDigit(o) || isLower(o) || isHostMark(o) ? 1 : 0));

/** Value of a hexadecimal digit, or 255. */
export const HEX = table((o) => {
  if (isDigit(o)) return o - 0x30;
  if (o >= 0x41 && o <= 0x46) return o - 0x37;
  if (o >= 0x61 && o <= 0x66) return o - 0x57;
  return 255;
});

/** ASCII lower case; every other octet is itself. */
export const LOWER = table((o) => (isUpper(o) ? o + 0x20 : o));

/** True when [start, end) spells `lower` (a lower-case ASCII string), letters compared without case. No allocation. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = start, k = 0; i < end; i++, k++) {
    if (LOWER[bytes[i] as number] !== lower.charCodeAt(k)) return false;
  }
  return true;
}

/** True when [start, end) spells `name`, both compared without case. No allocation; for names that come from configuration. */
export function namesEqual(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false;
  for (let i = start, k = 0; i < end; i++, k++) {
    if (LOWER[bytes[i] as number] !== LOWER[name.charCodeAt(k) & 0xff]) return false;
  }
  return true;
}

/** True when both ranges of the same buffer hold the same octets, letters compared without case. */
export function rangesEqual(bytes: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  if (aEnd - a !== bEnd - b) return false;
  for (let i = a, k = b; i < aEnd; i++, k++) {
    if (LOWER[bytes[i] as number] !== LOWER[bytes[k] as number]) return false;
  }
  return true;
}
