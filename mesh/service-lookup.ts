/**
 * Services by what clients dial: their addresses, the blocks and the host names of ServiceEntries. Which of several has an address
 * does not depend on the order in which they came, but for Services of the cluster: there an address passes from one to another, and
 * the last to come has it.
 */
import { CidrTrie } from './cidr-trie.ts';
import { parseCidr, parseIp } from './ip.ts';
import type { NamespacedName, Service } from './model.ts';

/** What is looked up. */
export interface Addressed {
  readonly service: Service;
  readonly key: NamespacedName;
  /** A host of a ServiceEntry. */
  readonly isExternal: boolean;
  /** Blocks of addresses beside those of the Service (ServiceEntry). */
  readonly blocks: readonly string[];
  /** Order in which the Service first came; an update keeps it. */
  readonly arrival: number;
}

const NOBODY: readonly never[] = [];

export class ServiceLookup<E extends Addressed> {
  readonly #byAddress = new Map<string, E[]>();
  /** Of ServiceEntries, by host as it is written, wildcards too. */
  readonly #byHost = new Map<string, E[]>();
  /** Port → how many hosts are told by name there: all but those of plain TCP, in which no name is said. */
  readonly #hostPorts = new Map<number, number>();
  readonly #withBlocks = new Set<E>();
  /** null: to be built. */
  #blocks: CidrTrie<E[]> | null = null;

  add(entry: E): void {
    for (const address of new Set(entry.service.addresses)) insert(this.#byAddress, address, entry);
    if (entry.isExternal) {
      insert(this.#byHost, entry.service.name, entry);
      this.#countPorts(entry, 1);
    }
    if (entry.blocks.length === 0) return;
    this.#withBlocks.add(entry);
    this.#blocks = null;
  }

  /** Removes exactly what `add` put there. */
  remove(entry: E): void {
    for (const address of new Set(entry.service.addresses)) drop(this.#byAddress, address, entry);
    if (entry.isExternal) {
      drop(this.#byHost, entry.service.name, entry);
      this.#countPorts(entry, -1);
    }
    if (this.#withBlocks.delete(entry)) this.#blocks = null;
  }

  /** Those that have the address, the one that counts first: Services, then ServiceEntries by name. No allocation. */
  at(ip: string): readonly E[] {
    return this.#byAddress.get(ip) ?? NOBODY;
  }

  /** Those with a block that the address is in, the narrowest block first. */
  within(ip: string): readonly E[] {
    if (this.#withBlocks.size === 0) return NOBODY;
    const address = parseIp(ip);
    if (address === null) return NOBODY;
    const found: E[][] = [];
    this.#trie().collect(address, found);
    return found.reverse().flat();
  }

  /** Those of exactly that host, by name; `*.` before it: the wildcard. No allocation. */
  named(host: string): readonly E[] {
    return this.#byHost.get(host) ?? NOBODY;
  }

  /** Some ServiceEntry has a host that can be told by name on that port. */
  hasHostsAt(port: number): boolean {
    return this.#hostPorts.has(port);
  }

  #countPorts({ service }: E, step: number): void {
    for (const { port, protocol } of service.ports) {
      if (protocol === 'tcp') continue;
      const count = (this.#hostPorts.get(port) ?? 0) + step;
      if (count === 0) this.#hostPorts.delete(port);
      else this.#hostPorts.set(port, count);
    }
  }

  #trie(): CidrTrie<E[]> {
    if (this.#blocks !== null) return this.#blocks;
    const blocks = new CidrTrie<E[]>();
    for (const entry of this.#withBlocks) {
      for (const text of entry.blocks) {
        const block = parseCidr(text);
        const members = block === null ? [] : blocks.entry(block, () => []);
        if (!members.includes(entry)) members.push(entry);
      }
    }
    for (const members of blocks.values()) members.sort(compare);
    this.#blocks = blocks;
    return blocks;
  }
}

/** In its place, which is looked for by halves: the hosts of a ServiceEntry share all of its addresses. */
function insert<E extends Addressed>(index: Map<string, E[]>, key: string, entry: E): void {
  const members = index.get(key) ?? [];
  let low = 0;
  for (let high = members.length; low < high; ) {
    const middle = (low + high) >>> 1;
    if (compare(members[middle] as E, entry) > 0) high = middle;
    else low = middle + 1;
  }
  index.set(key, members.toSpliced(low, 0, entry));
}

function drop<E extends Addressed>(index: Map<string, E[]>, key: string, entry: E): void {
  const left = index.get(key)?.filter((other) => other !== entry) ?? [];
  if (left.length === 0) index.delete(key);
  else index.set(key, left);
}

function compare(left: Addressed, right: Addressed): number {
  if (left.isExternal !== right.isExternal) return left.isExternal ? 1 : -1;
  if (!left.isExternal) return right.arrival - left.arrival;
  return left.key < right.key ? -1 : left.key > right.key ? 1 : 0;
}
