/**
 * Socket addresses: text ⇄ struct sockaddr. Pure but for prepareAddress, which allocates memory for C.
 *
 * Text is canonical (RFC 5952; an IPv4-mapped IPv6 address is written as IPv4), so it can be compared and looked up.
 */
import { sockaddrIn, sockaddrIn6 } from './layout.ts';
import { AF_INET, AF_INET6 } from './libc.ts';
import type { PinnedBuffer } from './memory.ts';
import { allocatePinned } from './memory.ts';

/** An address and a TCP port. */
export interface SocketAddress {
  /** Canonical text. */
  readonly ip: string;
  readonly port: number;
  /** Interface index of a link-local IPv6 address, in the namespace it was seen in; absent for all others. */
  readonly scopeId?: number;
}

/** An address encoded once for bind(2) and connect(2); kept per endpoint. */
export interface PreparedAddress {
  readonly socketAddress: SocketAddress;
  readonly family: 2 | 10;
  readonly pinned: PinnedBuffer;
  /** Octets of the struct. */
  readonly length: number;
}

/** Encodes an address as struct sockaddr_in or sockaddr_in6; throws RangeError when ip or port is malformed. */
export function prepareAddress(address: SocketAddress): PreparedAddress {
  const { ip, port } = address;
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`socket address ${ip}: port ${port} is not an integer from 0 to 65535`);
  }
  const octets = parseIpOctets(ip);
  if (octets === null)
    throw new RangeError(`socket address port ${port}: "${ip}" is neither an IPv4 nor an IPv6 address`);
  const isV4 = octets.length === 4;
  const layout = isV4 ? sockaddrIn : sockaddrIn6;
  const pinned = allocatePinned(layout.size);
  pinned.bytes.writeUInt16LE(isV4 ? AF_INET : AF_INET6, 0);
  pinned.bytes.writeUInt16BE(port, layout.portOffset);
  pinned.bytes.set(octets, layout.addressOffset);
  if (!isV4) pinned.bytes.writeUInt32LE(address.scopeId ?? 0, sockaddrIn6.scopeOffset);
  const socketAddress = decodeAddress(pinned.bytes) ?? address; // canonical, whatever was given
  return { socketAddress, family: isV4 ? AF_INET : AF_INET6, pinned, length: layout.size };
}

/** Decodes a struct sockaddr; null for a family that is neither AF_INET nor AF_INET6. */
export function decodeAddress(bytes: Buffer): SocketAddress | null {
  const family = bytes.readUInt16LE(0);
  if (family === AF_INET) {
    return { ip: formatV4(bytes, sockaddrIn.addressOffset), port: bytes.readUInt16BE(sockaddrIn.portOffset) };
  }
  if (family !== AF_INET6) return null;
  const port = bytes.readUInt16BE(sockaddrIn6.portOffset);
  const at = sockaddrIn6.addressOffset;
  if (isV4Mapped(bytes, at)) return { ip: formatV4(bytes, at + 12), port };
  const ip = formatV6(bytes, at);
  const isLinkLocal = bytes[at] === 0xfe && ((bytes[at + 1] ?? 0) & 0xc0) === 0x80;
  return isLinkLocal ? { ip, port, scopeId: bytes.readUInt32LE(sockaddrIn6.scopeOffset) } : { ip, port };
}

/** The 4 or 16 octets of an address in text; IPv4-mapped IPv6 gives 4; null when malformed (leading zeros, zones, …). */
export function parseIpOctets(ip: string): Uint8Array | null {
  if (!ip.includes(':')) return parseV4(ip);
  const octets = parseV6(ip);
  return octets !== null && isV4Mapped(octets, 0) ? octets.slice(12) : octets;
}

function parseV4(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  const octets = new Uint8Array(4);
  for (let index = 0; index < 4; index++) {
    const part = parts[index] ?? '';
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) return null; // "010" is octal to some: refused
    octets[index] = Number(part);
  }
  return octets;
}

function parseV6(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1] ?? '', true) : [];
  if (head === null || tail === null) return null;
  const known = head.length + tail.length;
  if (halves.length === 1 ? known !== 16 : known > 14) return null; // "::" stands for at least one group
  const octets = new Uint8Array(16);
  octets.set(head, 0);
  octets.set(tail, 16 - tail.length);
  return octets;
}

/** Octets of colon-separated groups; the last may be dotted IPv4 where the address ends. */
function parseGroups(text: string, endsAddress: boolean): number[] | null {
  if (text === '') return [];
  const octets: number[] = [];
  const groups = text.split(':');
  for (const [index, group] of groups.entries()) {
    if (endsAddress && index === groups.length - 1 && group.includes('.')) {
      const v4 = parseV4(group);
      if (v4 === null) return null;
      octets.push(...v4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return null;
      const value = Number.parseInt(group, 16);
      octets.push(value >> 8, value & 0xff);
    }
  }
  return octets;
}

function isV4Mapped(bytes: Uint8Array, at: number): boolean {
  for (let index = 0; index < 10; index++) if (bytes[at + index] !== 0) return false;
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

function formatV4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatV6(bytes: Uint8Array, at: number): string {
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2)
    groups.push(((bytes[at + index] ?? 0) << 8) | (bytes[at + index + 1] ?? 0));
  let runStart = -1;
  let runLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > runLength) {
      runStart = start;
      runLength = end - start;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (runStart < 0) return hex.join(':');
  return `${hex.slice(0, runStart).join(':')}::${hex.slice(runStart + runLength).join(':')}`;
}
