/** Content-Length and Transfer-Encoding values (RFC 9112 section 6): only what no two parsers read differently is accepted. */
import { equalsIgnoringCase, HTAB, SPACE, TOKEN } from './octets.ts';

/** No octets follow the head. A request or response with `Content-Length: 0` is of this kind. */
export const BODY_NONE = 0;
/** `contentLength` octets follow. */
export const BODY_LENGTH = 1;
/** Chunks and a trailer section follow. */
export const BODY_CHUNKED = 2;
/** Responses only: everything up to the end of the connection. */
export const BODY_UNTIL_CLOSE = 3;

export type BodyKind = 0 | 1 | 2 | 3;

/** No content follows this head of a final response, whatever lengths it states (RFC 9110 sections 6.4.1, 15.3.5, 15.4.5). */
export function hasNoContent(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

/** 2^53 − 1 has 16 digits; more are refused even when they are leading zeros. */
const LENGTH_DIGITS_MAX = 16;

const LENGTH_MALFORMED = -1;
export const LENGTH_TOO_LARGE = -2;

/**
 * Content-Length: 1*DIGIT and nothing else (no sign, no list). No allocation.
 * @returns 0 … 2^53−1, LENGTH_MALFORMED or LENGTH_TOO_LARGE
 */
export function readContentLength(bytes: Uint8Array, start: number, end: number): number {
  if (start === end) return LENGTH_MALFORMED;
  let length = 0;
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return LENGTH_MALFORMED;
    length = length * 10 + digit;
  }
  return end - start > LENGTH_DIGITS_MAX || length > Number.MAX_SAFE_INTEGER ? LENGTH_TOO_LARGE : length;
}

/** True when a length of several digits starts with 0: decimal for us, octal for somebody. */
export function hasLeadingZero(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start > 1 && bytes[start] === 0x30;
}

export const CODING_CHUNKED = 0;
/** `Chunked` in another case: valid, but forwarded in lower case. */
const CODING_CHUNKED_ODD_CASE = 1;
/** Not a list of tokens, or chunked is not its last and only there: where the body ends cannot be known, 400 (RFC 9112 section 6.3). */
const CODING_MALFORMED = -1;
/** A well-formed list that ends in chunked but has another coding before it: 501 (RFC 9112 section 6.1). */
export const CODING_UNKNOWN = -2;

/** Judges one Transfer-Encoding value; only `chunked`, once and alone, is accepted. */
export function readTransferCoding(bytes: Uint8Array, start: number, end: number): number {
  if (equalsIgnoringCase(bytes, start, end, 'chunked')) {
    for (let i = start; i < end; i++) if ((bytes[i] as number) < 0x61) return CODING_CHUNKED_ODD_CASE;
    return CODING_CHUNKED;
  }
  let chunkedBefore = false;
  let i = start;
  for (;;) {
    while (i < end && (bytes[i] === SPACE || bytes[i] === HTAB)) i++;
    const coding = i;
    while (i < end && TOKEN[bytes[i] as number] === 1) i++;
    if (i === coding || chunkedBefore) return CODING_MALFORMED;
    chunkedBefore = equalsIgnoringCase(bytes, coding, i, 'chunked');
    while (i < end && (bytes[i] === SPACE || bytes[i] === HTAB)) i++;
    if (i === end) return chunkedBefore ? CODING_UNKNOWN : CODING_MALFORMED;
    if (bytes[i] !== 0x2c) return CODING_MALFORMED;
    i++;
  }
}
