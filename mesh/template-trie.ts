/**
 * Values by path template (path-template.ts), found by path: a trie whose edges are whole segments. `{*}` is an edge that every
 * segment takes, `{**}` ends the walk: the literal after it is left to whoever compares the whole template.
 *
 *   /api/{*}/users      root ─'api'─► ─{*}─► ─'users'─► value
 *   /api/{**}           root ─'api'─► rest: value
 */
import type { PathTemplate } from './path-template.ts';

class Node<T> {
  literals: Map<string, Node<T>> | null = null;
  any: Node<T> | null = null;
  /** Of the templates that end here. */
  value: T | undefined = undefined;
  /** Of the templates that have `{**}` here. */
  rest: T | undefined = undefined;
}

export class TemplateTrie<T> {
  readonly #root = new Node<T>();

  /** The value of the templates that share segments up to the end or to `{**}`, made by `make` when there is none. */
  entry({ literals, operators }: PathTemplate, make: () => T): T {
    let node = this.#root;
    for (let i = 0; i < literals.length; i++) {
      // A literal before an operator ends with a slash, one after an operator is empty or begins with one.
      const isLast = i === literals.length - 1;
      const segments = (literals[i] as string).split('/');
      for (const segment of isLast ? segments.slice(1) : segments.slice(1, -1)) node = literalChild(node, segment);
      if (isLast) break;
      if (operators[i] === '{**}') {
        node.rest ??= make();
        return node.rest;
      }
      node.any ??= new Node<T>();
      node = node.any;
    }
    node.value ??= make();
    return node.value;
  }

  /** Appends the values of all templates that may match to `found`; of those with `{**}` only what stands before it is compared. */
  collect(path: string, found: T[]): void {
    if (path.charCodeAt(0) === SLASH) walk(this.#root, path, 1, found);
  }
}

const SLASH = 47;

/** `at`: where the next segment begins, past the end when there is none. As deep as the longest template, not as the path. */
function walk<T>(node: Node<T>, path: string, at: number, found: T[]): void {
  if (at > path.length) {
    if (node.value !== undefined) found.push(node.value);
    return;
  }
  if (node.rest !== undefined) found.push(node.rest);
  if (node.literals === null && node.any === null) return;
  const slash = path.indexOf('/', at);
  const end = slash < 0 ? path.length : slash;
  const literal = node.literals?.get(path.slice(at, end));
  if (literal !== undefined) walk(literal, path, end + 1, found);
  if (node.any !== null && end > at) walk(node.any, path, end + 1, found);
}

function literalChild<T>(node: Node<T>, segment: string): Node<T> {
  node.literals ??= new Map();
  const known = node.literals.get(segment);
  if (known !== undefined) return known;
  const child = new Node<T>();
  node.literals.set(segment, child);
  return child;
}
