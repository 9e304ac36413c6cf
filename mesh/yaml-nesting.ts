/**
 * How deep a YAML text nests, found before it is composed. The composer recurses, and a text of some hundred kilobytes of `[`
 * takes the whole process down with it, uncatchably; so whoever reads YAML that somebody else wrote asks here first.
 */
import type { CST } from 'yaml';

/** Offset of the first token deeper than `depthMax` levels; null when there is none. Iterative: that is its point. */
export function findTooDeep(tokens: readonly CST.Token[], depthMax: number): number | null {
  const stack: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const { token, depth } = entry;
    if (depth > depthMax) return token.offset;
    if (token.type === 'document' && token.value !== undefined) stack.push({ token: token.value, depth });
    if (!('items' in token)) continue;
    for (const item of token.items) {
      if (item.key !== undefined && item.key !== null) stack.push({ token: item.key, depth: depth + 1 });
      if (item.value !== undefined) stack.push({ token: item.value, depth: depth + 1 });
    }
  }
  return null;
}
