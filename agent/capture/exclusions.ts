/**
 * Exclusion annotations of a pod. Pure, strict, all or nothing: what is returned was parsed to numbers and printed again, so no
 * text of a user ever reaches a rule (Istio issue 58781: annotation injection).
 */
import { formatCidr, parseCidr } from '../../mesh/ip.ts';
import { RESERVED_PORTS } from '../../mesh/ports.ts';
import { limits } from '../limits.ts';
import { failure, type Result, success } from './result.ts';

/** Ports or ranges `a-b`, comma-separated, that the pod dials directly. */
export const EXCLUDE_OUTBOUND_PORTS = 'weir.dev/exclude-outbound-ports';
/** Ports or ranges `a-b`, comma-separated, that others reach directly. */
export const EXCLUDE_INBOUND_PORTS = 'weir.dev/exclude-inbound-ports';
/** CIDRs, comma-separated, IPv4 and IPv6, that the pod dials directly. */
export const EXCLUDE_OUTBOUND_CIDRS = 'weir.dev/exclude-outbound-cidrs';

/** Inclusive, 1 ≤ first ≤ last ≤ 65535. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** `text`: canonical, host bits zero, prefix length 1 to 32 or 128; safe in a rule. */
export interface ExcludedCidr {
  readonly family: 4 | 6;
  readonly text: string;
}

/** What is not captured. */
export interface Exclusions {
  readonly outboundPorts: readonly PortRange[];
  readonly inboundPorts: readonly PortRange[];
  readonly outboundCidrs: readonly ExcludedCidr[];
}

/** The exclusions of `pod` (`namespace/name`, for messages); INVALID_ANNOTATION names annotation, value, reason and remedy. */
export function parseExclusions(annotations: Readonly<Record<string, string>>, pod: string): Result<Exclusions> {
  const outboundPorts = parseList(annotations, EXCLUDE_OUTBOUND_PORTS, pod, parsePorts);
  if (!outboundPorts.ok) return outboundPorts;
  const inboundPorts = parseList(annotations, EXCLUDE_INBOUND_PORTS, pod, parsePorts);
  if (!inboundPorts.ok) return inboundPorts;
  const outboundCidrs = parseList(annotations, EXCLUDE_OUTBOUND_CIDRS, pod, parseExcludedCidr);
  if (!outboundCidrs.ok) return outboundCidrs;
  return success({
    outboundPorts: mergeRanges(outboundPorts.value),
    inboundPorts: mergeRanges(inboundPorts.value),
    outboundCidrs: distinct(outboundCidrs.value),
  });
}

type Entry<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

function parseList<T>(
  annotations: Readonly<Record<string, string>>,
  name: string,
  pod: string,
  parse: (entry: string) => Entry<T>,
): Result<readonly T[]> {
  const value = Object.hasOwn(annotations, name) ? (annotations[name] ?? '') : '';
  if (value.trim() === '') return success([]);
  if (value.length > limits.exclusionAnnotationBytesMax) {
    return invalid(pod, name, value, `longer than ${limits.exclusionAnnotationBytesMax} characters`);
  }
  const entries = value.split(',');
  if (entries.length > limits.exclusionsPerAnnotationMax) {
    return invalid(
      pod,
      name,
      value,
      `more than ${limits.exclusionsPerAnnotationMax} entries; use ranges or wider CIDRs`,
    );
  }
  const parsed: T[] = [];
  for (const entry of entries) {
    const result = parse(entry.trim());
    if (!result.ok) return invalid(pod, name, value, result.reason);
    parsed.push(result.value);
  }
  return success(parsed);
}

function parsePorts(entry: string): Entry<PortRange> {
  const parts = /^([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?$/.exec(entry);
  if (parts === null)
    return { ok: false, reason: `${quote(entry)} is neither a port nor a range; write e.g. 9090 or 8000-8010` };
  const first = Number(parts[1]);
  const last = Number(parts[2] ?? parts[1]);
  if (first > 65_535 || last > 65_535) return { ok: false, reason: `${quote(entry)} is beyond port 65535` };
  if (first > last) return { ok: false, reason: `${quote(entry)} is an empty range; write ${last}-${first}` };
  const reserved = RESERVED_PORTS.find((port) => port >= first && port <= last);
  if (reserved === undefined) return { ok: true, value: { first, last } };
  const others = `weir's own ports ${RESERVED_PORTS.join(', ')} cannot be excluded`;
  return { ok: false, reason: `${quote(entry)} contains port ${reserved}; ${others}, write ranges around them` };
}

function parseExcludedCidr(entry: string): Entry<ExcludedCidr> {
  const cidr = parseCidr(entry);
  if (cidr === null)
    return { ok: false, reason: `${quote(entry)} is not a CIDR; write e.g. 10.0.0.0/8 or fd00:1::/64` };
  const text = formatCidr(cidr);
  if (cidr.prefix === 0) {
    return { ok: false, reason: `${quote(entry)} excludes everything; take the pod out of the mesh instead` };
  }
  if (cidr.hadHostBits) return { ok: false, reason: `${quote(entry)} has bits beyond its prefix; write ${text}` };
  return { ok: true, value: { family: cidr.network.family, text } };
}

/** Sorted, without overlaps, neighbours joined: the fewest rules. */
function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: PortRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const previous = merged.at(-1);
    if (previous !== undefined && range.first <= previous.last + 1) {
      merged[merged.length - 1] = { first: previous.first, last: Math.max(previous.last, range.last) };
    } else merged.push(range);
  }
  return merged;
}

function distinct(cidrs: readonly ExcludedCidr[]): readonly ExcludedCidr[] {
  return cidrs.filter((cidr, index) => cidrs.findIndex((other) => other.text === cidr.text) === index);
}

function invalid(pod: string, name: string, value: string, reason: string): Result<never> {
  const message = `pod ${pod}: annotation ${name}=${quote(value)}: ${reason}. Nothing was changed; correct it and recreate the pod.`;
  return failure('INVALID_ANNOTATION', message);
}

/** A user's text in a message: one line, bounded, with control characters escaped. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
