/** `retries`, `mirror` and `mirrors` of an `http` entry of a VirtualService. */
import { STATUS_CODES } from 'node:http';
import type { RouteRetry } from '../../../mesh/route-model.ts';
import { closestWord } from '../did-you-mean.ts';
import { type ObjectReader, quote } from '../object-reader.ts';
import { readDestination, requiredDestination } from './destination-reference.ts';
import { asPerMillion, readDuration, readPercentage, warnNotEnforced } from './object-head.ts';
import type { MirrorReference } from './objects.ts';

/** Conditions of `retryOn` that Istio knows (Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on). */
const CONDITIONS = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
];
/** Attempts of one request. */
const ATTEMPTS_MAX = 100;
/** Mirrors of one rule. */
const MIRRORS_MAX = 16;
const MILLION = 1_000_000;

/** `retries`; null when it is absent. Reported as not enforced yet. */
export function readRetry(rule: ObjectReader): RouteRetry | null {
  const reader = rule.object('retries');
  if (reader === null) return null;
  warnNotEnforced(rule, 'retries');
  const attempts = reader.integer('attempts', 0, ATTEMPTS_MAX) ?? 0;
  const perTryTimeoutMs = readDuration(reader, 'perTryTimeout', { minMs: 0 });
  const backoffMs = readDuration(reader, 'backoff');
  const { codes, conditions } = readConditions(reader);
  reader.flag('retryRemoteLocalities');
  reader.flag('retryIgnorePreviousHosts');
  reader.finish();
  if (attempts === 0 && (reader.has('perTryTimeout') || reader.has('retryOn') || reader.has('retryRemoteLocalities'))) {
    const reason = 'has attempts 0 (none) and says how to retry';
    reader.problems.error('INVALID_VALUE', reader.path, reason, 'add attempts, or keep attempts: 0 alone', 'key');
  }
  // 0s: the timeout of the whole.
  return { attempts, perTryTimeoutMs: perTryTimeoutMs === 0 ? null : perTryTimeoutMs, backoffMs, codes, conditions };
}

function readConditions(reader: ObjectReader): Pick<RouteRetry, 'codes' | 'conditions'> {
  const codes: number[] = [];
  const conditions: string[] = [];
  for (const text of (reader.text('retryOn') ?? '').split(',')) {
    const word = text.trim();
    if (word === '') continue;
    if (/^\d{3}$/.test(word) && Object.hasOwn(STATUS_CODES, word)) codes.push(Number(word));
    else if (CONDITIONS.includes(word)) conditions.push(word);
    else {
      const close = closestWord(word, CONDITIONS);
      const remedy = close === null ? `write status codes or ${CONDITIONS.join(', ')}` : `did you mean ${close}?`;
      reader.problems.error('INVALID_VALUE', reader.at('retryOn'), `${quote(word)} is no condition`, remedy);
    }
  }
  return { codes: [...new Set(codes)], conditions: [...new Set(conditions)] };
}

/** The mirrors of a rule; null when it has none written. Those of 0 % are left out. */
export function readMirrors(rule: ObjectReader, namespace: string): MirrorReference[] | null {
  const single = rule.object('mirror');
  const several = rule.objects('mirrors', MIRRORS_MAX);
  const share = readSingleShare(rule);
  if (single !== null && several.length > 0) {
    rule.problems.error('INVALID_VALUE', rule.at('mirrors'), 'stands beside mirror', 'keep mirrors', 'key');
  }
  if (single === null && rule.has('mirrorPercentage')) {
    const remedy = 'add mirror, or give each of mirrors its percentage';
    rule.problems.warning('NO_EFFECT', rule.at('mirrorPercentage'), 'stands here without mirror', remedy, 'key');
  }
  if (single === null && several.length === 0) return null;
  const found = several.map((reader) => {
    const destination = requiredDestination(reader, namespace);
    const perMillion = readPercentage(reader, 'percentage') ?? MILLION;
    reader.finish();
    return { destination, perMillion };
  });
  if (single !== null) found.unshift({ destination: readDestination(single, namespace), perMillion: share });
  return found.flatMap(({ destination, perMillion }) =>
    destination === null || perMillion === 0 ? [] : [{ destination, perMillion }],
  );
}

/** The share of `mirror`: mirrorPercentage, else one of its old spellings, else all. */
function readSingleShare(rule: ObjectReader): number {
  const share = readPercentage(rule, 'mirrorPercentage');
  let old: number | null = null;
  for (const field of ['mirrorPercent', 'mirror_percent']) {
    if (!rule.has(field)) continue;
    const value = rule.integer(field, 0, 100);
    if (value === null) continue;
    const remedy = `write mirrorPercentage: {value: ${value}}`;
    rule.problems.warning(
      'DEPRECATED',
      rule.at(field),
      `${field} is the old spelling of mirrorPercentage`,
      remedy,
      'key',
    );
    old = asPerMillion(rule, { value, path: rule.at(field) });
  }
  return share ?? old ?? MILLION;
}
