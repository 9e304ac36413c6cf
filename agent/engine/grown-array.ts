/** Larger copies of typed arrays that are indexed by descriptor or tenant. */

/** `before`, then `fill`. */
export function grownInt32(before: Int32Array, capacity: number, fill: number): Int32Array<ArrayBuffer> {
  const after = new Int32Array(capacity).fill(fill);
  after.set(before);
  return after;
}

/** `before`, then zeros. */
export function grownFloat64(before: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const after = new Float64Array(capacity);
  after.set(before);
  return after;
}
