/**
 * The PROXY protocol header that a load balancer puts before the octets of a connection (haproxy's doc/proxy-protocol.txt,
 * version 1: a line of text; version 2: binary). Only the source address is of use; the header itself is passed on unread.
 *
 * Version 2: DGRAM and AF_UNIX addresses are valid but say nothing about a TCP connection, so they count as unknown (section
 * 2.2: fall back to UNSPEC); of the TLVs only CRC32C is looked at, and verified, as section 2.2.3 asks.
 */
import { canonicalIp, formatIp } from '../../mesh/ip.ts';
import { crc32c } from './crc32c.ts';

/** Octets of a version 1 header with its CRLF (section 2.1). */
const LINE_OCTETS_MAX = 107;
/** The default of agent/limits.ts `proxyHeaderBytesMax`. */
export const PROXY_HEADER_BYTES_MAX = 2_048;
const FIXED_OCTETS = 16;

const V1_SIGNATURE = Uint8Array.from('PROXY ', (character) => character.charCodeAt(0));
const V2_SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const CR = 13;
const LF = 10;
const CRC32C_TYPE = 0x03;
const LOCAL = 0;
const STREAM = 1;
const IPV4 = 1;
const IPV6 = 2;

/** Who a header speaks of. */
export interface ProxySource {
  /** Canonical text. */
  readonly ip: string;
  readonly port: number;
}

export type ProxyHeader =
  /** The octets so far are the beginning of a header. */
  | { readonly kind: 'need-more' }
  /** No header begins like that. */
  | { readonly kind: 'absent' }
  /** It begins as a header and is none, or is longer than the bound. */
  | { readonly kind: 'malformed' }
  /** `length` octets; `source` null: UNKNOWN, LOCAL, or addresses that are not TCP's: the connection's own address counts. */
  | { readonly kind: 'found'; readonly length: number; readonly source: ProxySource | null };

const NEED_MORE: ProxyHeader = { kind: 'need-more' };
const ABSENT: ProxyHeader = { kind: 'absent' };
const MALFORMED: ProxyHeader = { kind: 'malformed' };

/** Reads the header that octets [start, end) of a connection begin with. Never throws; once per connection, not hot. */
export function readProxyHeader(
  bytes: Uint8Array,
  start: number,
  end: number,
  lengthMax = PROXY_HEADER_BYTES_MAX,
): ProxyHeader {
  const text = prefixLength(bytes, start, end, V1_SIGNATURE);
  if (text === V1_SIGNATURE.length) return readLine(bytes, start, end);
  const binary = prefixLength(bytes, start, end, V2_SIGNATURE);
  if (binary === V2_SIGNATURE.length) return readBinary(bytes, start, end, lengthMax);
  return text === end - start || binary === end - start ? NEED_MORE : ABSENT;
}

/** How many octets at `start` agree with the signature, from its beginning. */
function prefixLength(bytes: Uint8Array, start: number, end: number, signature: Uint8Array): number {
  let same = 0;
  while (same < signature.length && start + same < end && bytes[start + same] === signature[same]) same++;
  return same;
}

function readLine(bytes: Uint8Array, start: number, end: number): ProxyHeader {
  const stop = Math.min(end, start + LINE_OCTETS_MAX);
  let at = start + V1_SIGNATURE.length;
  // A CR or LF alone does not end the line and cannot be part of it either.
  while (at < stop && bytes[at] !== CR && bytes[at] !== LF) at++;
  if (at + 1 >= stop) {
    const whole = stop - start === LINE_OCTETS_MAX || (at < stop && bytes[at] === LF);
    return whole ? MALFORMED : NEED_MORE;
  }
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return MALFORMED;
  let line = '';
  for (let i = start + V1_SIGNATURE.length; i < at; i++) line += String.fromCharCode(bytes[i] as number);
  const length = at + 2 - start;
  // What follows UNKNOWN is ignored.
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN ')) return { kind: 'found', length, source: null };
  const source = sourceOfLine(line);
  return source === null ? MALFORMED : { kind: 'found', length, source };
}

/** `TCP4 SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT`, one space between. */
function sourceOfLine(line: string): ProxySource | null {
  const [family, source, destination, sourcePort, destinationPort, ...more] = line.split(' ');
  if (more.length > 0 || sourcePort === undefined || destinationPort === undefined) return null;
  const ip = addressOf(family, source);
  const port = portOf(sourcePort);
  if (ip === null || port < 0 || addressOf(family, destination) === null || portOf(destinationPort) < 0) return null;
  return { ip, port };
}

function addressOf(family: string | undefined, address: string | undefined): string | null {
  if (address === undefined) return null;
  if (family === 'TCP4') return address.includes(':') ? null : canonicalIp(address);
  return family === 'TCP6' && address.includes(':') ? canonicalIp(address) : null;
}

function portOf(text: string): number {
  if (!/^(0|[1-9][0-9]{0,4})$/.test(text)) return -1;
  const port = Number(text);
  return port <= 65_535 ? port : -1;
}

function readBinary(bytes: Uint8Array, start: number, end: number, lengthMax: number): ProxyHeader {
  const known = end - start;
  const version = bytes[start + 12] as number;
  if (known > 12 && (version >>> 4 !== 2 || (version & 15) > 1)) return MALFORMED;
  const transport = bytes[start + 13] as number;
  if (known > 13 && (transport >>> 4 > 3 || (transport & 15) > 2)) return MALFORMED;
  if (known < FIXED_OCTETS) return NEED_MORE;
  const length = FIXED_OCTETS + (((bytes[start + 14] as number) << 8) | (bytes[start + 15] as number));
  if (length > lengthMax) return MALFORMED;
  if (known < length) return NEED_MORE;
  const stop = start + length;
  // LOCAL: the block is discarded, its family included.
  if ((version & 15) === LOCAL) return { kind: 'found', length, source: null };
  const family = transport >>> 4;
  const addresses = ADDRESS_OCTETS[family] as number;
  if (FIXED_OCTETS + addresses > length) return MALFORMED;
  if (family !== 0 && !vectorsHold(bytes, start, start + FIXED_OCTETS + addresses, stop)) return MALFORMED;
  return { kind: 'found', length, source: sourceOfBlock(bytes, start + FIXED_OCTETS, family, transport & 15) };
}

/** Octets of the address block by family: AF_UNSPEC (whatever there is, is ignored), AF_INET, AF_INET6, AF_UNIX. */
const ADDRESS_OCTETS: readonly number[] = [0, 12, 36, 216];

function sourceOfBlock(bytes: Uint8Array, at: number, family: number, transport: number): ProxySource | null {
  if (transport !== STREAM) return null;
  if (family === IPV4) {
    const ip = formatIp({ family: 4, a: 0, b: 0, c: 0, d: word(bytes, at) });
    return { ip, port: ((bytes[at + 8] as number) << 8) | (bytes[at + 9] as number) };
  }
  if (family !== IPV6) return null;
  const [a, b, c, d] = [word(bytes, at), word(bytes, at + 4), word(bytes, at + 8), word(bytes, at + 12)];
  // An IPv4-mapped address is the IPv4 address, as everywhere in the mesh.
  const mapped = a === 0 && b === 0 && c === 0xff_ff;
  const ip = formatIp(mapped ? { family: 4, a: 0, b: 0, c: 0, d } : { family: 6, a, b, c, d });
  return { ip, port: ((bytes[at + 32] as number) << 8) | (bytes[at + 33] as number) };
}

function word(bytes: Uint8Array, at: number): number {
  const octet = (index: number): number => bytes[at + index] as number;
  return ((octet(0) << 24) | (octet(1) << 16) | (octet(2) << 8) | octet(3)) >>> 0;
}

/** Type-length-values [at, stop) of the header that begins at `start`: whole, and with the right checksum where there is one. */
function vectorsHold(bytes: Uint8Array, start: number, at: number, stop: number): boolean {
  let position = at;
  while (position < stop) {
    if (position + 3 > stop) return false;
    const type = bytes[position] as number;
    const length = ((bytes[position + 1] as number) << 8) | (bytes[position + 2] as number);
    const value = position + 3;
    if (value + length > stop) return false;
    if (type === CRC32C_TYPE && (length !== 4 || crc32c(bytes, start, stop, value) !== word(bytes, value)))
      return false;
    position = value + length;
  }
  return true;
}
