/**
 * Values by prefix (or suffix) of a text: a compressed trie whose edges are compared in place, so that a lookup costs no more than
 * reading the text once, whatever the number of entries, and allocates nothing.
 *
 *   '/api/' ─┬─ 'users/'  ── value          lookup of /api/users/1: value of '/api/users/', and of '/api/' if it has one
 *            └─ 'orders/' ── value
 */
class Node<T> {
  /** What the edge to this node says, in reading order of the tree. */
  label: string;
  children: Map<number, Node<T>> | null = null;
  value: T | undefined = undefined;

  constructor(label: string) {
    this.label = label;
  }
}

export class RadixTree<T> {
  readonly #root = new Node<T>('');
  readonly #backwards: boolean;

  /** `from`: 'start' for prefixes; 'end' for suffixes, which are read backwards. */
  constructor(from: 'start' | 'end') {
    this.#backwards = from === 'end';
  }

  /** The value of exactly that prefix or suffix, made by `make` when there is none. */
  entry(key: string, make: () => T): T {
    const text = this.#backwards ? reversed(key) : key;
    let node = this.#root;
    let at = 0;
    for (;;) {
      const common = commonLength(node.label, text, at);
      if (common < node.label.length) split(node, common);
      at += common;
      if (at === text.length) break;
      const code = text.charCodeAt(at);
      node.children ??= new Map();
      const child = node.children.get(code);
      if (child === undefined) {
        const leaf = new Node<T>(flat(text, at, text.length));
        node.children.set(code, leaf);
        node = leaf;
        break;
      }
      node = child;
    }
    node.value ??= make();
    return node.value;
  }

  /** Forgets the value of exactly that prefix or suffix, and the nodes that lead to nothing else. Edges once split stay split. */
  delete(key: string): void {
    const text = this.#backwards ? reversed(key) : key;
    const path: Node<T>[] = [this.#root];
    let at = 0;
    while (at < text.length) {
      const child = path[path.length - 1]?.children?.get(text.charCodeAt(at));
      if (child === undefined || !text.startsWith(child.label, at)) return;
      path.push(child);
      at += child.label.length;
    }
    (path[path.length - 1] as Node<T>).value = undefined;
    for (let i = path.length - 1; i > 0; i--) {
      const { value, children, label } = path[i] as Node<T>;
      if (value !== undefined || children !== null) return;
      const parent = path[i - 1] as Node<T>;
      parent.children?.delete(label.charCodeAt(0));
      if (parent.children?.size === 0) parent.children = null;
    }
  }

  /** Appends the values of all entries that `text` begins (ends) with to `found`, the shortest first. */
  collect(text: string, found: T[]): void {
    const length = text.length;
    const backwards = this.#backwards;
    let node = this.#root;
    let at = 0;
    for (;;) {
      if (node.value !== undefined) found.push(node.value);
      if (at >= length || node.children === null) return;
      const child = node.children.get(text.charCodeAt(backwards ? length - 1 - at : at));
      if (child === undefined) return;
      const { label } = child;
      // Past the end of the text there is no character that any label has.
      for (let i = 1; i < label.length; i++) {
        if (label.charCodeAt(i) !== text.charCodeAt(backwards ? length - 1 - at - i : at + i)) return;
      }
      at += label.length;
      node = child;
    }
  }
}

/** Cuts a node's edge after `length` units: the node keeps the first part, a child gets the rest and all that hung below. */
function split<T>(node: Node<T>, length: number): void {
  const rest = new Node<T>(flat(node.label, length, node.label.length));
  rest.children = node.children;
  rest.value = node.value;
  node.label = flat(node.label, 0, length);
  node.children = new Map([[rest.label.charCodeAt(0), rest]]);
  node.value = undefined;
}

function commonLength(label: string, text: string, at: number): number {
  const limit = Math.min(label.length, text.length - at);
  let length = 0;
  while (length < limit && label.charCodeAt(length) === text.charCodeAt(at + length)) length++;
  return length;
}

/** By UTF-16 units: the tree compares these, pairs of surrogates included. */
function reversed(text: string): string {
  let out = '';
  for (let i = text.length - 1; i >= 0; i--) out += text[i];
  return out;
}

/** A part as a text of its own: V8's slices and concatenations are views, whose characters take longer to reach. */
function flat(text: string, from: number, to: number): string {
  const codes: number[] = [];
  for (let i = from; i < to; i++) codes.push(text.charCodeAt(i));
  return String.fromCharCode(...codes);
}
