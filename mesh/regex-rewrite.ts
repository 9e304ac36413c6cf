/**
 * Rewriting a path by an expression: Istio HTTPRewrite.uriRegexRewrite, Envoy RegexMatchAndSubstitute. As RE2::GlobalReplace does it:
 * every match from left to right is replaced, none empty at the end of another; `\0` is the whole match, `\1` to `\9` its groups, `\\`
 * a backslash. Time is linear in the path for each match, of which there is a bound: the longer the path, the fewer.
 */
import type { RE2JS } from 're2js';
import { expressionsExceeded, spendSteps } from './expression-budget.ts';
import { pathOctets } from './path.ts';
import { compileRe2 } from './value-match.ts';

/** Matches that are replaced in one path. Real expressions match once or twice. */
const REPLACEMENTS_MAX = 64;
/**
 * Characters that all matches of one path together may read: each may cost a reading of all that is left of it (`x(.*y)?`), and whoever
 * sends a request chooses how long that is. Four readings of the longest path, or as many as are replaced of one of 2 KiB.
 */
const READ_LENGTH_MAX = 131_072;
/** Octets of a rewritten path; more than any head has room for beside its other fields. */
const PATH_LENGTH_MAX = 32_768;

/** Text, or the number of a group. */
type Piece = string | number;

/** An expression and what replaces what it matches. */
export class RegexRewrite {
  readonly #expression: RE2JS;
  readonly #pieces: readonly Piece[];
  readonly #size: number;

  private constructor(expression: RE2JS, pieces: readonly Piece[]) {
    this.#expression = expression;
    this.#size = expression.programSize();
    this.#pieces = pieces;
  }

  /** Or why it cannot be done. */
  static compile(pattern: string, replacement: string): RegexRewrite | string {
    const expression = compileRe2(pattern);
    if (typeof expression === 'string') return expression;
    const pieces = piecesOf(replacement);
    if (typeof pieces === 'string') return pieces;
    const groups = expression.groupCount();
    const missing = pieces.find((piece) => typeof piece === 'number' && piece > groups);
    if (missing !== undefined) return `names the group \\${missing}, but the expression has ${groups}`;
    return new RegexRewrite(expression, pieces);
  }

  /** null: nothing matches, or too much does; or that would take too long to find out, see expressionsExceeded(). */
  apply(path: string): string | null {
    const matcher = this.#expression.matcher(path);
    let out = '';
    let copied = 0;
    let replaced = 0;
    let read = 0;
    for (let from = 0; spendSteps(this.#size, path.length - from) && matcher.find(); from = matcher.end()) {
      read += path.length - from;
      const start = matcher.start();
      const end = matcher.end();
      if (start === end && start === copied && replaced > 0) continue;
      if (++replaced > REPLACEMENTS_MAX || (replaced > 1 && read > READ_LENGTH_MAX)) return null;
      out += path.slice(copied, start);
      for (const piece of this.#pieces) out += typeof piece === 'string' ? piece : (matcher.group(piece) ?? '');
      copied = end;
      if (out.length > PATH_LENGTH_MAX) return null;
    }
    return replaced === 0 || expressionsExceeded() ? null : out + path.slice(copied);
  }
}

/** Why a rewrite cannot be used, or null when it can: for whoever reads one. */
export function regexRewriteRefusal(pattern: string, replacement: string): string | null {
  const compiled = RegexRewrite.compile(pattern, replacement);
  return typeof compiled === 'string' ? compiled : null;
}

function piecesOf(replacement: string): readonly Piece[] | string {
  const pieces: Piece[] = [];
  let literal = '';
  const text = pathOctets(replacement);
  if (/%(?![0-9A-Fa-f]{2})|%00/.test(text)) return 'has a % that is no escape of a path';
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '\\') {
      literal += text[i];
      continue;
    }
    const next = text[++i] ?? '';
    if (next === '\\') literal += '\\';
    else if (/^[0-9]$/.test(next)) {
      if (literal !== '') pieces.push(literal);
      literal = '';
      pieces.push(Number(next));
    } else return 'has a backslash that names no group';
  }
  if (literal !== '') pieces.push(literal);
  return pieces;
}
