/** The parts of `loadBalancer` that have rules of their own: consistentHash and localityLbSetting. Validated; nothing is carried. */
import { type ObjectReader, quote } from '../object-reader.ts';
import { readDuration } from './object-head.ts';
import { HEADER_NAME } from '../names.ts';

/** Largest table of Maglev hashing (Envoy). */
const TABLE_SIZE_MAX = 5_000_011;
const KEYS = ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'];

/** `consistentHash`: exactly one key, at most one algorithm. */
export function readConsistentHash(reader: ObjectReader): void {
  reader.text('httpHeaderName', HEADER_NAME);
  reader.flag('useSourceIp');
  reader.text('httpQueryParameterName');
  const cookie = reader.object('httpCookie');
  if (cookie !== null) {
    cookie.requiredText('name');
    cookie.text('path');
    if (cookie.has('ttl')) readDuration(cookie, 'ttl', { minMs: 0 });
    cookie.objects('attributes').forEach((attribute) => {
      attribute.requiredText('name');
      attribute.text('value');
      attribute.finish();
    });
    cookie.finish();
  }
  const ring = reader.object('ringHash');
  ring?.integer('minimumRingSize', 0, 8_388_608);
  ring?.finish();
  const maglev = reader.object('maglev');
  const size = maglev?.integer('tableSize', 1, TABLE_SIZE_MAX) ?? null;
  maglev?.finish();
  reader.integer('minimumRingSize', 0, 8_388_608);
  reader.finish();
  const keys = KEYS.filter((key) => reader.has(key));
  if (keys.length !== 1) {
    const reason = keys.length === 0 ? 'names nothing to hash' : `names ${keys.join(' and ')}`;
    reader.problems.error('INVALID_VALUE', reader.path, reason, `write one of ${KEYS.join(', ')}`, 'key');
  }
  if (ring !== null && maglev !== null) {
    reader.problems.error('INVALID_VALUE', reader.at('maglev'), 'stands beside ringHash', 'keep one', 'key');
  }
  if (maglev !== null && size !== null && !isPrime(size)) {
    maglev.problems.error('INVALID_VALUE', maglev.at('tableSize'), `is ${size}`, 'write a prime number, such as 65537');
  }
}

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

/** `localityLbSetting`: one of distribute, failover and failoverPriority. */
export function readLocality(reader: ObjectReader): void {
  const distribute = reader.objects('distribute');
  for (const entry of distribute) {
    entry.requiredText('from');
    const raw = entry.take('to');
    const to = raw === undefined ? null : entry.over(raw, entry.at('to'));
    if (to !== null) checkShares(entry, raw);
    entry.finish();
  }
  const failover = reader.objects('failover');
  for (const entry of failover) {
    const [from, to] = [entry.requiredText('from'), entry.requiredText('to')];
    if (from !== null && from === to) {
      entry.problems.error('INVALID_VALUE', entry.at('to'), `is ${quote(to)} again`, 'write another region');
    }
    entry.finish();
  }
  reader.texts('failoverPriority');
  reader.flag('enabled');
  reader.finish();
  const used = ['distribute', 'failover', 'failoverPriority'].filter((field) => reader.has(field));
  if (used.includes('distribute') && used.length > 1) {
    const other = used.find((field) => field !== 'distribute') ?? '';
    reader.problems.error('INVALID_VALUE', reader.at(other), 'stands beside distribute', 'keep one of them', 'key');
  }
}

/** Per cent by locality: whole numbers above 0, 100 in all. */
function checkShares(entry: ObjectReader, raw: unknown): void {
  const shares = Object.values(raw as Record<string, unknown>);
  const valid = shares.every(
    (share) => typeof share === 'number' && Number.isInteger(share) && share > 0 && share <= 100,
  );
  const sum = shares.reduce<number>((total, share) => total + (typeof share === 'number' ? share : 0), 0);
  if (valid && sum === 100) return;
  const reason = valid ? `adds up to ${sum}` : 'has a share that is no whole number from 1 to 100';
  entry.problems.error('INVALID_VALUE', entry.at('to'), reason, 'the shares add up to 100', 'key');
}
