/**
 * Values by Istio string pattern (exact, prefix `abc*`, suffix `*abc`, presence `*`), found by text: what StringSet answers for one
 * field, for any number of them at once. An empty text finds nothing, as there.
 */
import { RadixTree } from './radix-tree.ts';

export class StringIndex<T> {
  readonly #exact = new Map<string, T>();
  #prefixes: RadixTree<T> | null = null;
  #suffixes: RadixTree<T> | null = null;
  #presence: T | undefined = undefined;

  /** The value of exactly that pattern, made by `make` when there is none. A `*` inside is an ordinary character. */
  entry(pattern: string, make: () => T): T {
    if (pattern === '*') {
      this.#presence ??= make();
      return this.#presence;
    }
    if (pattern.startsWith('*')) {
      this.#suffixes ??= new RadixTree<T>('end');
      return this.#suffixes.entry(pattern.slice(1), make);
    }
    if (pattern.endsWith('*')) {
      this.#prefixes ??= new RadixTree<T>('start');
      return this.#prefixes.entry(pattern.slice(0, -1), make);
    }
    const known = this.#exact.get(pattern);
    if (known !== undefined) return known;
    const value = make();
    this.#exact.set(pattern, value);
    return value;
  }

  /** Forgets the value of exactly that pattern. */
  delete(pattern: string): void {
    if (pattern === '*') this.#presence = undefined;
    else if (pattern.startsWith('*')) this.#suffixes?.delete(pattern.slice(1));
    else if (pattern.endsWith('*')) this.#prefixes?.delete(pattern.slice(0, -1));
    else this.#exact.delete(pattern);
  }

  /** Appends the values of all patterns that match to `found`. Costs one hash and one reading of the text, twice at most. */
  collect(text: string, found: T[]): void {
    if (text === '') return;
    if (this.#presence !== undefined) found.push(this.#presence);
    const exact = this.#exact.get(text);
    if (exact !== undefined) found.push(exact);
    this.#prefixes?.collect(text, found);
    this.#suffixes?.collect(text, found);
  }
}
