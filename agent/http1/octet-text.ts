/** Octets to strings, one character each: what HTTP/1.1 text is before anybody knows its charset (ISO 8859-1). */

/** Node's own method behind buffer.toString('latin1', …); it saves argument checks on the hot path, and has no public type. */
interface LatinBuffer {
  latin1Slice(start: number, end: number): string;
}

/** The octets [start, end) as a string, one UTF-16 unit per octet. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as LatinBuffer).latin1Slice(start, end);
}

/** Longer text is not kept: it seldom recurs, and comparing it costs more than making it. */
const KEPT_LENGTH_MAX = 64;
const SLOTS = 512;

/**
 * Hosts and paths recur from request to request. This keeps the string last made for each of a fixed number of slots, so that
 * a recurring one costs a comparison instead of an allocation, and maps looked up with it find its hash already computed
 * (scripts/bench-http1.ts: 40 against 85 ns). Bounded: SLOTS × KEPT_LENGTH_MAX characters. Colliding text only loses the gain.
 */
class TextCache {
  readonly #texts: string[] = new Array<string>(SLOTS).fill('');

  /** The same as textOf(); hot. */
  textOf(bytes: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length > KEPT_LENGTH_MAX) return textOf(bytes, start, end);
    let hash = length;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const kept = this.#texts[slot] as string;
    if (kept.length === length) {
      let i = 0;
      while (i < length && kept.charCodeAt(i) === bytes[start + i]) i++;
      if (i === length) return kept;
    }
    const text = textOf(bytes, start, end);
    this.#texts[slot] = text;
    return text;
  }
}

/** One for all heads of a worker: a request's path and host are asked for at most once each. */
export const sharedTexts = new TextCache();
