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
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0;
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
      this.#size++;
    }
    return node.value;
  }

  /** Forgets the value of exactly that block, and the nodes that lead to nothing else. */
  delete({ network, prefix }: Cidr): void {
    const path: Node<T>[] = [network.family === 4 ? this.#v4 : this.#v6];
    for (let bit = 0; bit < prefix; bit++) {
      const node = path[bit] as Node<T>;
      const child = bitOf(network, bit) === 0 ? node.zero : node.one;
      if (child === null) return;
      path.push(child);
    }
    const last = path[prefix] as Node<T>;
    if (last.value === undefined) return;
    last.value = undefined;
    this.#size--;
    for (let bit = prefix; bit > 0; bit--) {
      const { value, zero, one } = path[bit] as Node<T>;
      if (value !== undefined || zero !== null || one !== null) return;
      const parent = path[bit - 1] as Node<T>;
      if (bitOf(network, bit - 1) === 0) parent.zero = null;
      else parent.one = null;
    }
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

  /** All values. Costs a walk of the whole trie. */
  values(): readonly T[] {
    const all: T[] = [];
    gather(this.#v4, all);
    gather(this.#v6, all);
    return all;
  }
}

/** As deep as an address has bits. */
function gather<T>(node: Node<T>, all: T[]): void {
  if (node.value !== undefined) all.push(node.value);
  if (node.zero !== null) gather(node.zero, all);
  if (node.one !== null) gather(node.one, all);
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
