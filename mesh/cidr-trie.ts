/**
 * Values by address block, found by address in at most 33 (IPv4) or 129 (IPv6) steps, whatever the number of blocks: a binary
 * trie over the bits of the network, one per family. A block of the whole family is the root's value.
 */
import type { Cidr, IpAddress } from './ip.ts';

class Node<T> {
  zero: Node<T> | null = null;
  one: Node<T> | null = null;
  value: T | undefined = undefined;
}

export class CidrTrie<T> {
  readonly #v4 = new Node<T>();
  readonly #v6 = new Node<T>();
  readonly #values: T[] = [];

  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** The value of exactly that block, made by `make` when there is none. */
  entry(block: Cidr, make: () => T): T {
    const { network, prefix } = block;
    let node = network.family === 4 ? this.#v4 : this.#v6;
    for (let bit = 0; bit < prefix; bit++) {
      if (bitOf(network, bit) === 0) {
        node.zero ??= new Node<T>();
        node = node.zero;
      } else {
        node.one ??= new Node<T>();
        node = node.one;
      }
    }
    if (node.value === undefined) {
      node.value = make();
      this.#values.push(node.value);
    }
    return node.value;
  }

  /** Appends the values of all blocks that contain the address to `found`, the widest first. */
  collect(address: IpAddress, found: T[]): void {
    let node: Node<T> | null = address.family === 4 ? this.#v4 : this.#v6;
    for (let bit = 0; node !== null; bit++) {
      if (node.value !== undefined) found.push(node.value);
      // Past the last bit there are no children, so this reads no further.
      node = node.zero === null && node.one === null ? null : bitOf(address, bit) === 0 ? node.zero : node.one;
    }
  }

  /** Some block contains the address. No allocation. */
  contains(address: IpAddress): boolean {
    let node: Node<T> | null = address.family === 4 ? this.#v4 : this.#v6;
    for (let bit = 0; node !== null; bit++) {
      if (node.value !== undefined) return true;
      node = node.zero === null && node.one === null ? null : bitOf(address, bit) === 0 ? node.zero : node.one;
    }
    return false;
  }

  /** All values, in the order in which they came. */
  values(): readonly T[] {
    return this.#values;
  }
}

/** A set of blocks. */
export class CidrSet {
  readonly #blocks = new CidrTrie<true>();

  constructor(blocks: readonly Cidr[]) {
    for (const block of blocks) this.#blocks.entry(block, () => true);
  }

  contains(address: IpAddress): boolean {
    return this.#blocks.contains(address);
  }
}

/** Bit of the address, the most significant first; IPv4 has its 32 in `d`. */
function bitOf(address: IpAddress, bit: number): number {
  if (address.family === 4) return (address.d >>> (31 - bit)) & 1;
  const word = bit < 32 ? address.a : bit < 64 ? address.b : bit < 96 ? address.c : address.d;
  return (word >>> (31 - (bit & 31))) & 1;
}
