/**
 * Durations as Istio's kinds write them: Go's format (`1h10m`, `1.5s`, `250ms`), of which protobuf's (`3s`, `0.5s`) is a part.
 */

/** Milliseconds, whole; or why the text is no duration weir can keep, and what to write. */
export type ParsedDuration =
  | { readonly ok: true; readonly ms: number }
  | { readonly ok: false; readonly reason: string; readonly remedy: string };

/** Nanoseconds per unit (Go's time.ParseDuration). */
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** Longest text that is looked at: more than any duration needs. */
const TEXT_LENGTH_MAX = 64;
/** A year, ms: what agents take (mesh/validate-fields.ts); beyond it somebody mistook the unit. */
const DURATION_MS_MAX = 365 * 24 * 3_600_000;

const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Reads a duration. Negative ones are refused, and those that are finer than a millisecond (as Istio does). Linear time. */
export function parseDuration(text: string): ParsedDuration {
  const wrong = { ok: false, reason: 'is not a duration', remedy: 'write it as 1.5s, 250ms or 1h10m' } as const;
  if (text.length === 0 || text.length > TEXT_LENGTH_MAX) return wrong;
  if (text === '0') return { ok: true, ms: 0 };
  if (/^-/.test(text)) return { ok: false, reason: 'is negative', remedy: 'a duration is 0s or longer' };
  if (/^\d+(\.\d+)?$/.test(text)) return { ok: false, reason: 'has no unit', remedy: `write ${text}s for seconds` };
  let nanoseconds = 0n;
  PART.lastIndex = 0;
  for (let at = 0; at < text.length; at = PART.lastIndex) {
    const part = PART.exec(text);
    if (part === null) return wrong;
    nanoseconds += amount(part[1] ?? '', UNITS[part[2] ?? ''] ?? 0n);
  }
  if (nanoseconds % 1_000_000n !== 0n) {
    return { ok: false, reason: 'is finer than a millisecond', remedy: 'round it to whole milliseconds' };
  }
  const ms = nanoseconds / 1_000_000n;
  if (ms > BigInt(DURATION_MS_MAX)) return { ok: false, reason: 'is longer than a year', remedy: 'check its unit' };
  return { ok: true, ms: Number(ms) };
}

/** Digits with a fraction times a unit, in nanoseconds; what is finer than one is lost, as in Go. */
function amount(digits: string, unit: bigint): bigint {
  const dot = digits.indexOf('.');
  if (dot < 0) return BigInt(digits) * unit;
  const [whole, fraction] = [digits.slice(0, dot), digits.slice(dot + 1)];
  const scaled = fraction === '' ? 0n : (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
  return BigInt(whole === '' ? '0' : whole) * unit + scaled;
}
