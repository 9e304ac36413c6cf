/** Query parameters compared in place: the query string is neither split nor decoded unless it has to be. */

const EQUALS = 61;

/**
 * True when the first parameter of that name has that value (Gateway API HTTPQueryParamMatch: the first of repeated ones
 * counts). Compared as sent, and percent-decoded (`+` as space) where the query is encoded; a parameter without `=` is empty.
 */
export function queryParameterEquals(query: string, name: string, value: string): boolean {
  let start = 0;
  while (start <= query.length) {
    let end = query.indexOf('&', start);
    if (end < 0) end = query.length;
    const nameEnd = nameEndOf(query, start, end);
    if (pieceEquals(query, start, nameEnd, name)) {
      const valueStart = nameEnd < end ? nameEnd + 1 : end;
      return pieceEquals(query, valueStart, end, value);
    }
    start = end + 1;
  }
  return false;
}

/** The decoded value of the first parameter of that name; undefined when there is none. */
export function queryParameter(query: string, name: string): string | undefined {
  if (query === '') return undefined;
  for (const piece of query.split('&')) {
    const nameEnd = nameEndOf(piece, 0, piece.length);
    if (pieceEquals(piece, 0, nameEnd, name)) return decodeForm(piece.slice(Math.min(nameEnd + 1, piece.length)));
  }
  return undefined;
}

function nameEndOf(query: string, start: number, end: number): number {
  for (let i = start; i < end; i++) if (query.charCodeAt(i) === EQUALS) return i;
  return end;
}

function pieceEquals(query: string, start: number, end: number, wanted: string): boolean {
  if (end - start === wanted.length && query.startsWith(wanted, start)) return true;
  if (end - start <= wanted.length && !hasPlus(query, start, end)) return false; // decoding %XX only ever shortens
  const piece = query.slice(start, end);
  return (piece.includes('%') || piece.includes('+')) && decodeForm(piece) === wanted;
}

function hasPlus(query: string, start: number, end: number): boolean {
  const at = query.indexOf('+', start);
  return at >= 0 && at < end;
}

/** Malformed escapes are kept as they are: they can then only match a value written the same way. */
function decodeForm(piece: string): string {
  const spaced = piece.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch (error) {
    if (error instanceof URIError) return piece;
    throw error;
  }
}
