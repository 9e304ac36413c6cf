/** IP addresses as the workload API carries them: 4 or 16 bytes, network order. */
import type { Ip } from '../model.ts';

/** Bytes of canonical IP text; null when the text is not an address. */
export function ipToBytes(ip: Ip): Uint8Array | null {
  return ip.includes(':') ? v6ToBytes(ip) : v4ToBytes(ip);
}

/** Canonical text (RFC 5952; an IPv4-mapped address as IPv4) of 4 or 16 bytes; null for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip | null {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return null;
  const mapped = bytes.subarray(0, 10).every((octet) => octet === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.subarray(12).join('.') : v6Text(bytes);
}

function v4ToBytes(text: string): Uint8Array | null {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return null;
  const octets = parts.map(Number);
  return octets.every((octet) => octet <= 255) ? Uint8Array.from(octets) : null;
}

function v6ToBytes(text: string): Uint8Array | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const groups: number[][] = [];
  for (const [index, half] of halves.entries()) {
    const parsed = v6Groups(half, index === halves.length - 1);
    if (parsed === null) return null;
    groups.push(parsed);
  }
  const [head, tail] = [groups[0] ?? [], groups[1] ?? []];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The 16-bit groups of one side of `::`; a dotted quad may end the text. */
function v6Groups(half: string, last: boolean): number[] | null {
  if (half === '') return [];
  const groups: number[] = [];
  const parts = half.split(':');
  for (const [index, part] of parts.entries()) {
    if (last && index === parts.length - 1 && part.includes('.')) {
      const quad = v4ToBytes(part);
      if (quad === null) return null;
      groups.push(((quad[0] ?? 0) << 8) | (quad[1] ?? 0), ((quad[2] ?? 0) << 8) | (quad[3] ?? 0));
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups.length <= 8 ? groups : null;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function v6Text(bytes: Uint8Array): Ip {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let [bestStart, bestLength] = [-1, 1];
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > bestLength) [bestStart, bestLength] = [start, end - start];
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart < 0) return hex.join(':');
  return `${hex.slice(0, bestStart).join(':')}::${hex.slice(bestStart + bestLength).join(':')}`;
}
