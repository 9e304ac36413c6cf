/** Durations as the Gateway API writes them (GEP-2257): a subset of Go's, without fractions and signs. */
import type { ObjectReader } from './object-reader.ts';
import { quote } from './object-reader.ts';

const DURATION = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;
const UNITS_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds of `1h2m`, `10s`, `250ms`; null when the text is no duration. */
export function gatewayDurationMs(text: string): number | null {
  if (!DURATION.test(text)) return null;
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(h|ms|m|s)/g)) {
    total += Number(digits) * (UNITS_MS[unit ?? ''] ?? 0);
  }
  return total;
}

/** Reads a duration in ms; null when it is absent or wrong. */
export function readDuration(reader: ObjectReader, field: string): number | null {
  const text = reader.text(field);
  if (text === null) return null;
  const ms = gatewayDurationMs(text);
  if (ms === null) {
    const remedy = 'write a duration such as 10s, 250ms or 1h2m';
    reader.problems.error('INVALID_VALUE', reader.at(field), `is ${quote(text)}`, remedy);
  }
  return ms;
}
