/**
 * Cheap hashes of header fields, to find equal lists by. They look at a few characters only and are no secret: whoever uses
 * them compares contents, and loses no more than a cache hit when they collide.
 */

/** Characters of a text that count, besides its length. */
const SAMPLES = 8;

function mixText(hash: number, text: string): number {
  const length = text.length;
  let mixed = Math.imul(hash, 31) + length;
  if (length <= SAMPLES) {
    for (let i = 0; i < length; i++) mixed = Math.imul(mixed, 31) + text.charCodeAt(i);
    return mixed;
  }
  // The last four characters change most often: counters, identifiers.
  for (let i = length - 4; i < length; i++) mixed = Math.imul(mixed, 31) + text.charCodeAt(i);
  const step = length >>> 2;
  for (let i = 0; i < length - 4; i += step) mixed = Math.imul(mixed, 31) + text.charCodeAt(i);
  return mixed;
}

/** A 32-bit hash of one field. */
export function fieldHash(name: string, value: string): number {
  return mixText(mixText(17, name), value) | 0;
}

/** The hash of a list whose fields so far hash to `hash` (0: none) when one more follows. */
export function addFieldHash(hash: number, field: number): number {
  return (Math.imul(hash, -0x61c8_8647) + field) | 0;
}
