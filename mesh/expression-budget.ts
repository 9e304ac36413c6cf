/**
 * What expressions may cost one request. The engine takes time linear in the text times the size of the compiled expression, but
 * whoever sends a request chooses the text: one expression of the largest size on the longest path took a quarter of a second, during
 * which a worker does nothing else. (Envoy bounds the program, `re2.max_program_size`, and nothing else; its engine is a compiled one.)
 *
 * RouteTable.match() calls allowExpressions(); whoever asked it, and has rewritten paths and compared origins after, asks
 * expressionsExceeded(): then something was not compared, so no answer that came out is good, and the request is refused. One request at a
 * time is decided about, so this is one number.
 */

/**
 * Steps that all expressions of one request together may take: some 10 ms. A program of 20 instructions, as most are, may read 100,000
 * characters for it, one of the largest size (2,000) a thousand.
 */
export const EXPRESSION_STEPS_MAX = 2_097_152;

let left = EXPRESSION_STEPS_MAX;

/** A request begins to be decided about. */
export function allowExpressions(): void {
  left = EXPRESSION_STEPS_MAX;
}

/** An expression of that size is to read so many characters. False: it may not. Hot. */
export function spendSteps(programSize: number, characters: number): boolean {
  if (left < 0) return false;
  left -= programSize * characters;
  return left >= 0;
}

/** Some expression was not compared since allowExpressions(). Hot. */
export function expressionsExceeded(): boolean {
  return left < 0;
}
