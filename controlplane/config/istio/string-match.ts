/** Istio's `StringMatch` ({exact: …}, {prefix: …} or {regex: …}) and what reads hosts. */
import { regexRefusal } from '../../../mesh/value-match.ts';
import { parseIp } from '../../../mesh/ip.ts';
import type { StringMatch } from '../../../mesh/route-model.ts';
import { type ListItem, type ObjectReader, quote } from '../object-reader.ts';

/** A comparison, `present` for one that asks for nothing (`{}`), or null and a problem. */
export type ReadStringMatch = StringMatch | 'present' | null;

const TYPES = ['exact', 'prefix', 'regex'] as const;

/** Reads one StringMatch. `regexAllowed` false: a delegate, or a root that delegates (Istio refuses expressions there). */
export function readStringMatch(reader: ObjectReader, regexAllowed = true): ReadStringMatch {
  const before = reader.problems.found.length;
  const given = TYPES.flatMap((type) => {
    const value = reader.text(type);
    return value === null ? [] : { type, value };
  });
  reader.finish();
  const [match, second] = given;
  if (second !== undefined) {
    const reason = `has both ${match?.type ?? ''} and ${second.type}`;
    reader.problems.error('INVALID_VALUE', reader.path, reason, 'keep one of them');
    return null;
  }
  if (match === undefined) return reader.problems.found.length > before ? null : 'present';
  return checked(reader, match, regexAllowed) ? match : null;
}

function checked(reader: ObjectReader, match: StringMatch, regexAllowed: boolean): boolean {
  const path = reader.at(match.type);
  if (match.type === 'prefix' && match.value === '') {
    reader.problems.error('INVALID_VALUE', path, 'is empty', 'write {} where presence is enough');
    return false;
  }
  if (match.type !== 'regex') return true;
  if (!regexAllowed) {
    const remedy = 'write exact or prefix';
    reader.problems.error('INVALID_VALUE', path, 'a delegation cannot match by regex (Istio)', remedy);
    return false;
  }
  const refusal = match.value === '' ? 'is empty' : regexRefusal(match.value);
  if (refusal === null) return true;
  const remedy = 'write an RE2 expression (https://github.com/google/re2/wiki/Syntax)';
  reader.problems.error('INVALID_VALUE', path, `${quote(match.value)} ${refusal}`, remedy);
  return false;
}

/** RFC 1123. */
const LABEL = /^[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;
/** RFC 1035: octets of a domain name. */
const HOST_LENGTH_MAX = 253;

/** What a host may be where it stands. */
export interface HostRule {
  /** `*.example.com`. */
  readonly wildcard: boolean;
  /** `*`. */
  readonly any: boolean;
  /** An IP address. */
  readonly address: boolean;
}

/** A host as it was written; null and a problem when it is none. */
export function readHost(reader: ObjectReader, item: ListItem, rule: HostRule): string | null {
  const text = reader.asText(item);
  if (text === null) return null;
  const problem = hostRefusal(text, rule);
  if (problem === null) return text;
  reader.problems.error('INVALID_VALUE', item.path, `${quote(text)} ${problem.reason}`, problem.remedy);
  return null;
}

function hostRefusal(text: string, rule: HostRule): { reason: string; remedy: string } | null {
  if (parseIp(text) !== null) {
    return rule.address ? null : { reason: 'is an address', remedy: 'write a host name' };
  }
  if (text === '*') return rule.any ? null : { reason: 'is every host', remedy: 'name the hosts' };
  const wildcard = text.startsWith('*.');
  if (wildcard && !rule.wildcard) return { reason: 'is a wildcard', remedy: 'write one host name' };
  const labels = (wildcard ? text.slice(2) : text).split('.');
  if (text.length > HOST_LENGTH_MAX || !labels.every((label) => LABEL.test(label))) {
    const remedy = 'write a name such as reviews, reviews.prod.svc.cluster.local or *.example.com';
    return {
      reason: text.includes('*') ? 'has a wildcard that is not "*." at its beginning' : 'is not a host name',
      remedy,
    };
  }
  return null;
}
