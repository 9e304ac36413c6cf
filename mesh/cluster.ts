/**
 * Endpoints, the slots that number them, and clusters: what a request can be sent to. The objects are long-lived and
 * shared: the data path keeps references to them between requests.
 */

import type { Service, ServicePort, Workload } from './model.ts';

/** Slot of endpoints that are never balanced (a pod port behind no Service): counters kept there mean nothing. */
export const UNBALANCED_SLOT = 0;

/**
 * One port of one address of one pod, the same object as long as `uid:address:port` lives.
 *
 * `slot` indexes per-endpoint counters (requests in flight). A slot is given to another endpoint only after this one has
 * gone, and then `SlotTable.endpointAt(slot)` is another object. The data path must therefore (1) zero its counters
 * when told of an assignment (`onSlotAssigned`) and (2) at the end of a request touch them only while
 * `endpointAt(endpoint.slot) === endpoint`; otherwise a late decrement would land on another pod.
 */
export interface Endpoint {
  readonly slot: number;
  /** The newest version of the pod (labels may change while the endpoint lives); its uid never changes. */
  readonly workload: Workload;
  readonly address: string;
  readonly port: number;
}

/**
 * The ready endpoints behind one Service port. The object lives as long as its Service is unchanged; `endpoints` is a new
 * array whenever a member came or went (never changed in place), so compare it by identity and do not keep it across a
 * change of generation. Empty: no ready endpoint (503), also once the Service is gone.
 */
export interface Cluster {
  /** `namespace/name:port` */
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly endpoints: readonly Endpoint[];
  /** True: a ServiceEntry with resolution NONE; a connection goes on to the address that was dialled. */
  readonly passthrough: boolean;
}

/** @internal Endpoint with the one field that may be brought up to date. */
export class LiveEndpoint implements Endpoint {
  readonly slot: number;
  workload: Workload;
  readonly address: string;
  readonly port: number;

  constructor(slot: number, workload: Workload, address: string, port: number) {
    this.slot = slot;
    this.workload = workload;
    this.address = address;
    this.port = port;
  }
}

/** Hands out small numbers, smallest free first by recency; slot 0 is never handed out. */
export class SlotTable {
  readonly #owners: (Endpoint | null)[] = [null];
  readonly #free: number[] = [];
  readonly #onAssigned: (endpoint: Endpoint) => void;

  constructor(onAssigned: (endpoint: Endpoint) => void) {
    this.#onAssigned = onAssigned;
  }

  /** One more than the largest slot ever handed out: the length counters by slot need. */
  get limit(): number {
    return this.#owners.length;
  }

  /** The endpoint that owns a slot now; null when it is free or unbalanced. */
  endpointAt(slot: number): Endpoint | null {
    return this.#owners[slot] ?? null;
  }

  /** A new endpoint in a slot of its own. */
  assign(workload: Workload, address: string, port: number): LiveEndpoint {
    const slot = this.#free.pop() ?? this.#owners.length;
    const endpoint = new LiveEndpoint(slot, workload, address, port);
    this.#owners[slot] = endpoint;
    this.#onAssigned(endpoint);
    return endpoint;
  }

  /** Frees the slot of an endpoint that has gone; harmless when it does not own its slot. */
  release(endpoint: Endpoint): void {
    if (endpoint.slot === UNBALANCED_SLOT || this.#owners[endpoint.slot] !== endpoint) return;
    this.#owners[endpoint.slot] = null;
    this.#free.push(endpoint.slot);
  }
}

/** @internal Cluster whose members are collected on first use after a change. */
export class LiveCluster implements Cluster {
  readonly name: string;
  readonly service: Service;
  readonly port: ServicePort;
  readonly passthrough: boolean;
  #endpoints: readonly Endpoint[] = [];
  #stale = true;
  #collect: (() => readonly Endpoint[]) | null;

  constructor(service: Service, port: ServicePort, collect: () => readonly Endpoint[], passthrough = false) {
    this.name = `${service.namespace}/${service.name}:${port.port}`;
    this.passthrough = passthrough;
    this.service = service;
    this.port = port;
    this.#collect = collect;
  }

  get endpoints(): readonly Endpoint[] {
    if (this.#stale) this.#refresh();
    return this.#endpoints;
  }

  /** Members may have changed. */
  invalidate(): void {
    this.#stale = true;
  }

  /** The Service is gone or replaced: whoever still holds this cluster finds it empty. */
  close(): void {
    this.#collect = null;
    this.#stale = true;
  }

  #refresh(): void {
    const next = this.#collect === null ? [] : this.#collect();
    this.#stale = false;
    const last = this.#endpoints;
    if (next.length === last.length && next.every((endpoint, i) => endpoint === last[i])) return;
    this.#endpoints = next;
  }
}
