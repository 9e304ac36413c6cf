/**
 * Splits a command line as a POSIX shell does, for `--image IMAGE=COMMAND`: quotes and backslashes, but no expansion of
 * any kind, so that what runs is exactly what is written.
 */

/** Words of the line; throws RangeError for an unclosed quote or a trailing backslash. */
export function splitShellWords(line: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote: '"' | "'" | null = null;
  for (let i = 0; i < line.length; i++) {
    const char = line.charAt(i);
    if (quote !== null) {
      if (char === quote) quote = null;
      else if (quote === '"' && char === '\\' && /["\\$`]/.test(line.charAt(i + 1)))
        word = (word ?? '') + line.charAt(++i);
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= ''; // '' and "" are words
    } else if (char === '\\') {
      if (i + 1 === line.length) throw new RangeError(`a backslash ends the command line: ${line}`);
      word = (word ?? '') + line.charAt(++i);
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== null) throw new RangeError(`the quote ${quote} is not closed: ${line}`);
  if (word !== null) words.push(word);
  return words;
}
