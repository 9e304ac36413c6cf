/**
 * Comparing a header's or query parameter's value (Gateway API HTTPHeaderMatch, HTTPQueryParamMatch): Exact, or
 * RegularExpression in RE2 syntax matched against the whole value, in time linear in the value (re2js: no backtracking).
 *
 * Most expressions people write are a literal with `.*` around it; those are compared as strings, which allocates nothing.
 */
import { RE2JS } from 're2js';
import { spendSteps } from './expression-budget.ts';

/** Longest expression, in characters: what a person can still read, and what compiles in well under a millisecond. */
const PATTERN_LENGTH_MAX = 1_024;
/** Instructions of the compiled expression: matching costs up to this many steps per character of the value; see expression-budget.ts. */
const PROGRAM_SIZE_MAX = 2_000;

/** A compiled comparison. */
export interface ValueMatch {
  /** Also false: it would take too long; see expressionsExceeded(). */
  test(value: string): boolean;
}

/** The comparison for a match that validate.ts has accepted; an expression that cannot be compiled matches nothing. */
export function compileValueMatch(type: 'exact' | 'prefix' | 'regex' | 'present', value: string): ValueMatch {
  if (type === 'exact') return { test: (candidate) => candidate === value };
  if (type === 'prefix') return { test: (candidate) => candidate.startsWith(value) };
  if (type === 'present') return { test: () => true };
  const literal = literalMatch(value);
  if (literal !== null) return literal;
  const compiled = compileRe2(value);
  if (typeof compiled === 'string') return { test: () => false };
  const size = compiled.programSize();
  return { test: (candidate) => spendSteps(size, candidate.length) && compiled.matches(candidate) };
}

/** Why an expression cannot be used, or null when it can. */
export function regexRefusal(pattern: string): string | null {
  const compiled = compileRe2(pattern);
  return typeof compiled === 'string' ? compiled : null;
}

/** The expression within its bounds, or why it cannot be used. */
export function compileRe2(pattern: string): RE2JS | string {
  if (pattern.length > PATTERN_LENGTH_MAX) return `is longer than ${PATTERN_LENGTH_MAX} characters`;
  try {
    const compiled = RE2JS.compile(pattern);
    const size = compiled.programSize();
    return size <= PROGRAM_SIZE_MAX ? compiled : `needs ${size} steps per character, ${PROGRAM_SIZE_MAX} are allowed`;
  } catch (error) {
    return `is not an RE2 expression: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** `abc`, `.*abc`, `abc.*`, `.*abc.*` with nothing special in abc, compared without an engine; null for anything else. */
function literalMatch(pattern: string): ValueMatch | null {
  const parts = /^(\.\*)?([^\\.[\](){}*+?^$|]*)(\.\*)?$/.exec(pattern);
  if (parts === null) return null;
  const literal = parts[2] as string;
  const open = parts[1] !== undefined;
  const more = parts[3] !== undefined;
  // `.` does not match a line feed; a header value has none, a decoded query parameter may.
  const oneLine = (value: string): boolean => !value.includes('\n');
  if (open && more) return { test: (value) => value.includes(literal) && oneLine(value) };
  if (open) return { test: (value) => value.endsWith(literal) && oneLine(value) };
  if (more) return { test: (value) => value.startsWith(literal) && oneLine(value) };
  return { test: (value) => value === literal };
}
