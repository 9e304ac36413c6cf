/** Istio's `Percent` (a number from 0 to 100) → parts per million, the finest step Envoy and Istio know. */

/** A whole number of a million. */
export type ParsedPercent =
  | { readonly ok: true; readonly perMillion: number }
  | { readonly ok: false; readonly reason: string; readonly remedy: string };

/** Per cent below this are refused, as in Istio: they would be rounded to nothing. */
const PERCENT_MIN = 0.0001;

/** Reads a percentage; anything but a number from 0 to 100 is refused. */
export function parsePercent(value: unknown): ParsedPercent {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    const quoted = typeof value === 'string' && /^\d+(\.\d+)?%?$/.test(value);
    const remedy = quoted ? `write the number alone: ${value.replace('%', '')}` : 'write a number from 0 to 100';
    return { ok: false, reason: 'is not a number', remedy };
  }
  if (value < 0 || value > 100) return { ok: false, reason: `is ${value}`, remedy: 'write a number from 0 to 100' };
  if (value > 0 && value < PERCENT_MIN) {
    return { ok: false, reason: `is ${value}`, remedy: `write 0, or at least ${PERCENT_MIN}` };
  }
  return { ok: true, perMillion: Math.round(value * 10_000) };
}
