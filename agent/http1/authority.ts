/**
 * `host [":" port]` of a Host field or a request target. Narrower than RFC 3986 section 3.2.2 on purpose: a name of letters,
 * digits and `-._~`, or an IPv6 literal in brackets. Percent-encoding, sub-delimiters and user information never name a
 * Kubernetes service and exist in requests only to make two parsers disagree.
 */
import { COLON, HEX, HOST_NAME, LOWER } from './octets.ts';
import { sharedTexts } from './octet-text.ts';

const DOT = 0x2e;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const PORT_DIGITS_MAX = 5;
const PORT_MAX = 65_535;

/** End of a bracketed IPv6 literal that starts at `start`, or −1. */
function literalEnd(bytes: Uint8Array, start: number, end: number): number {
  let colons = 0;
  let i = start + 1;
  for (; i < end && bytes[i] !== CLOSE_BRACKET; i++) {
    const octet = bytes[i] as number;
    if (octet === COLON) colons++;
    else if (octet !== DOT && HEX[octet] === 255) return -1;
  }
  return i < end && colons >= 2 && i - start <= 46 ? i + 1 : -1;
}

/**
 * Checks an authority. No allocation.
 * @returns position after the host part (before `:port`), or −1 when the authority is invalid
 */
export function hostEnd(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  if (bytes[start] === OPEN_BRACKET && start < end) {
    i = literalEnd(bytes, start, end);
    if (i < 0) return -1;
  } else {
    while (i < end && HOST_NAME[bytes[i] as number] !== 0) i++;
    if (i === start || bytes[start] === DOT) return -1;
    if (bytes[i - 1] === DOT && bytes[i - 2] === DOT) return -1;
  }
  if (i === end) return i;
  if (bytes[i] !== COLON || end - i - 1 > PORT_DIGITS_MAX) return -1;
  let port = 0;
  for (let k = i + 1; k < end; k++) {
    const digit = (bytes[k] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    port = port * 10 + digit;
  }
  return port > PORT_MAX ? -1 : i;
}

/** Port of a valid authority whose host part ends at `at`; `absent` when there is none or it is empty. */
export function portOf(bytes: Uint8Array, at: number, end: number, absent: number): number {
  if (end - at < 2) return absent;
  let port = 0;
  for (let k = at + 1; k < end; k++) port = port * 10 + (bytes[k] as number) - 0x30;
  return port;
}

/** The host as policy compares it: lower case, no port, no final dot (`echo.ns.` and `echo.ns` are one name). Makes a string. */
export function hostText(bytes: Buffer, start: number, endOfHost: number): string {
  const end = bytes[endOfHost - 1] === DOT ? endOfHost - 1 : endOfHost;
  const text = sharedTexts.textOf(bytes, start, end);
  for (let i = start; i < end; i++) {
    if (LOWER[bytes[i] as number] !== bytes[i]) return text.toLowerCase();
  }
  return text;
}
