/**
 * Socket addresses in the kernel's form, kept for the peers seen last: encoding one allocates memory that C may be handed,
 * and inbound and passthrough connections need two each. (Endpoints of the mesh keep theirs in PeerFacts.)
 */
import { LRUCache } from 'lru-cache';
import { type PreparedAddress, prepareAddress } from '../engine/address.ts';
import { limits } from '../limits.ts';

export class PreparedAddresses {
  readonly #cache = new LRUCache<string, PreparedAddress>({ max: limits.preparedAddressesMax });

  get(ip: string, port: number): PreparedAddress {
    const key = `${ip} ${port}`;
    let prepared = this.#cache.get(key);
    if (prepared === undefined) {
      prepared = prepareAddress({ ip, port });
      this.#cache.set(key, prepared);
    }
    return prepared;
  }
}
