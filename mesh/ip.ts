/**
 * IP addresses and CIDR blocks: strict text parsing, canonical text (RFC 5952), containment. An IPv4-mapped IPv6 address
 * is always the IPv4 address it carries, so that a block written for one form also covers the other; zone ids
 * (`fe80::1%eth0`) are refused because they mean something only on the machine that wrote them.
 */

/** A parsed address: four unsigned 32-bit words, most significant first; IPv4 sits in `d` with the others 0. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

/** A block: `network` is already masked; `hadHostBits` says that the text had bits set beyond the prefix (10.1.2.3/8). */
export interface Cidr {
  readonly network: IpAddress;
  readonly mask: IpAddress;
  /** Bits of this family: 0 to 32, or 0 to 128. */
  readonly prefix: number;
  readonly hadHostBits: boolean;
}

/** Address family as `IpAddress.family` names it. */
export type Family = 4 | 6;

/** The family of a canonical address. */
export function familyOf(ip: string): Family {
  return ip.indexOf(':') < 0 ? 4 : 6;
}

const DOT = 46;
const COLON = 58;

/** Parses one IPv4 or IPv6 address; null when the text is not exactly that (no spaces, leading zeros, ports, zones). */
export function parseIp(text: string): IpAddress | null {
  if (text.length < 2 || text.length > 45) return null;
  if (text.indexOf(':') < 0) {
    const value = parseV4(text, 0);
    return value < 0 ? null : { family: 4, a: 0, b: 0, c: 0, d: value };
  }
  return parseV6(text);
}

/** The one text under which an address is known (RFC 5952; v4-mapped as IPv4); null when it is not an address. */
export function canonicalIp(text: string): string | null {
  const address = parseIp(text);
  return address === null ? null : formatIp(address);
}

/** Canonical text of a parsed address: RFC 5952 section 4 for IPv6, dotted decimal for IPv4. */
export function formatIp(address: IpAddress): string {
  const { a, b, c, d } = address;
  if (address.family === 4) return `${d >>> 24}.${(d >>> 16) & 255}.${(d >>> 8) & 255}.${d & 255}`;
  const groups = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff, c >>> 16, c & 0xffff, d >>> 16, d & 0xffff];
  const run = longestZeroRun(groups);
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return run.length < 2 ? hex(0, 8) : `${hex(0, run.start)}::${hex(run.start + run.length, 8)}`;
}

/** Parses `address/prefix`, or a bare address as the block of that one address; null when malformed. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const address = parseIp(addressText);
  if (address === null) return null;
  // A mapped block (::ffff:10.0.0.0/104) becomes the IPv4 block (10.0.0.0/8); shorter prefixes are no IPv4 block.
  const mapped = address.family === 4 && addressText.indexOf(':') >= 0;
  let prefix = address.family === 4 ? 32 : 128;
  if (slash >= 0) {
    const written = parsePrefix(text.slice(slash + 1));
    if (written < 0 || (mapped && written < 96)) return null;
    const length = mapped ? written - 96 : written;
    if (length > prefix) return null;
    prefix = length;
  }
  const mask = maskOf(address.family, prefix);
  const network: IpAddress = {
    family: address.family,
    a: (address.a & mask.a) >>> 0,
    b: (address.b & mask.b) >>> 0,
    c: (address.c & mask.c) >>> 0,
    d: (address.d & mask.d) >>> 0,
  };
  const same = network.a === address.a && network.b === address.b && network.c === address.c && network.d === address.d;
  return { network, mask, prefix, hadHostBits: !same };
}

/** Canonical text of a block, host bits cleared. */
export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.network)}/${cidr.prefix}`;
}

/** True when the address lies in the block; false across families. No allocation. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  const { network, mask } = cidr;
  return (
    network.family === address.family &&
    (address.d & mask.d) >>> 0 === network.d &&
    (address.a & mask.a) >>> 0 === network.a &&
    (address.b & mask.b) >>> 0 === network.b &&
    (address.c & mask.c) >>> 0 === network.c
  );
}

function maskOf(family: 4 | 6, prefix: number): IpAddress {
  const word = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (0xffffffff << (32 - bits)) >>> 0);
  if (family === 4) return { family, a: 0, b: 0, c: 0, d: word(prefix) };
  return { family, a: word(prefix), b: word(prefix - 32), c: word(prefix - 64), d: word(prefix - 96) };
}

function parsePrefix(text: string): number {
  if (!/^(0|[1-9][0-9]{0,2})$/.test(text)) return -1;
  return Number(text);
}

/** Four decimal octets without leading zeros, from `at` to the end of the text; -1 when malformed. */
function parseV4(text: string, at: number): number {
  let value = 0;
  let octets = 0;
  let octet = -1;
  for (let i = at; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : DOT;
    if (code === DOT) {
      if (octet < 0 || octets === 4) return -1;
      value = value * 256 + octet;
      octets++;
      octet = -1;
      continue;
    }
    const digit = code - 48;
    if (digit < 0 || digit > 9 || octet === 0) return -1; // octet === 0: a leading zero, read as octal elsewhere
    octet = octet < 0 ? digit : octet * 10 + digit;
    if (octet > 255) return -1;
  }
  return octets === 4 ? value : -1;
}

/** RFC 4291 section 2.2: eight groups, one `::` for at least one of them, optionally an IPv4 tail. */
function parseV6(text: string): IpAddress | null {
  const groups: number[] = [];
  let gapAt = -1;
  let i = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return null;
    gapAt = 0;
    i = 2;
  }
  while (i < text.length) {
    const end = groupEnd(text, i);
    if (text.charCodeAt(end) === DOT) {
      const value = parseV4(text, i);
      if (value < 0) return null;
      groups.push(Math.floor(value / 65536), value % 65536);
      i = text.length;
      break;
    }
    if (end === i || end - i > 4) return null;
    groups.push(Number.parseInt(text.slice(i, end), 16));
    if (end === text.length) break;
    if (text.charCodeAt(end) !== COLON) return null;
    i = end + 1;
    if (text.charCodeAt(i) === COLON) {
      if (gapAt >= 0) return null;
      gapAt = groups.length;
      i++;
    } else if (i === text.length) return null; // a single trailing colon
  }
  if (gapAt < 0 ? groups.length !== 8 : groups.length > 7) return null;
  if (gapAt >= 0) groups.splice(gapAt, 0, ...new Array<number>(8 - groups.length).fill(0));
  return fromGroups(groups);
}

function groupEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && isHex(text.charCodeAt(end))) end++;
  return end;
}

function isHex(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 97 && code <= 102) || (code >= 65 && code <= 70);
}

function fromGroups(groups: readonly number[]): IpAddress {
  const word = (at: number): number => (groups[at] ?? 0) * 65536 + (groups[at + 1] ?? 0);
  const a = word(0);
  const b = word(2);
  const c = word(4);
  const d = word(6);
  if (a === 0 && b === 0 && c === 0xffff) return { family: 4, a: 0, b: 0, c: 0, d };
  return { family: 6, a, b, c, d };
}

/** The longest run of zero groups, the first of equals (RFC 5952 section 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
    start += length;
  }
  return best;
}
