/**
 * Requests and connections in flight per endpoint slot, the load that least-request balancing looks at.
 * A slot is reused by mesh/ when its endpoint has gone; the owner check keeps an old count from leaking to the new one.
 */
import { type Endpoint, UNBALANCED_SLOT } from '../../mesh/cluster.ts';

export class InFlight {
  counts = new Uint32Array(1024);
  #owners: (Endpoint | undefined)[] = [];

  /** A slot has got a new endpoint: nothing is in flight to it (MeshState's onSlotAssigned). */
  assign(endpoint: Endpoint): void {
    if (endpoint.slot >= this.counts.length) this.#grow(endpoint.slot);
    this.#owners[endpoint.slot] = endpoint;
    this.counts[endpoint.slot] = 0;
  }

  /** Whether the slot is still this endpoint's, not a successor's. */
  owns(endpoint: Endpoint): boolean {
    return this.#owners[endpoint.slot] === endpoint;
  }

  begin(endpoint: Endpoint): void {
    const slot = endpoint.slot;
    if (slot === UNBALANCED_SLOT) return;
    if (this.#owners[slot] === endpoint) (this.counts[slot] as number)++;
  }

  end(endpoint: Endpoint): void {
    const slot = endpoint.slot;
    if (this.#owners[slot] === endpoint && (this.counts[slot] as number) > 0) (this.counts[slot] as number)--;
  }

  #grow(slot: number): void {
    const larger = new Uint32Array(Math.max(slot + 1, this.counts.length * 2));
    larger.set(this.counts);
    this.counts = larger;
  }
}
