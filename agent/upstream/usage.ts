/**
 * What each pod uses of its worker: the account that every queue, dial and request of the pod is booked to.
 *
 * Buffered octets are those held in user space or in a splice pipe because somebody cannot take them yet: outboxes, heads that
 * are not complete, pipelined octets, kept requests, prefixes of relays. Sockets' own buffers are the kernel's (net.ipv4.tcp_mem).
 * Every octet is taken with `hold` and given back with `release`, so the sum cannot exceed the caps, whatever pods do.
 */
import type { Caps } from '../ipc/caps.ts';
import type { ShedCounts } from '../ipc/messages.ts';
import { type LimitName, limits } from '../limits.ts';
import type { BoundCounters } from '../telemetry/bounds.ts';
import { FITS, type Fit, fits, POD_LIMIT, Share } from './overload.ts';

/** All pods of a worker together. */
export class WorkerUsage {
  readonly connections: Share;
  readonly requests: Share;
  readonly pending: Share;
  readonly buffered: Share;
  readonly bounds: BoundCounters;
  #pods = 0;

  constructor(caps: Caps, bounds: BoundCounters) {
    const share = (name: keyof Caps['pod']): Share => new Share(caps.worker[name], caps.pod[name]);
    this.connections = share('connections');
    this.requests = share('requests');
    this.pending = share('pending');
    this.buffered = share('bufferedBytes');
    this.bounds = bounds;
  }

  podAdded(): void {
    this.#divide(1);
  }

  podRemoved(): void {
    this.#divide(-1);
  }

  #divide(change: number): void {
    this.#pods += change;
    for (const share of [this.connections, this.requests, this.pending, this.buffered]) share.divide(this.#pods);
  }
}

type ShedKind = Exclude<keyof ShedCounts, 'overloaded'>;

const POD_BOUND: Readonly<Record<ShedKind, LimitName>> = {
  connections: 'connectionsPerPodMax',
  requests: 'requestsPerPodMax',
  pending: 'pendingPerPodMax',
  buffered: 'bufferedBytesPerPodMax',
};
const WORKER_BOUND: Readonly<Record<ShedKind, LimitName>> = {
  connections: 'connectionsPerWorkerMax',
  requests: 'requestsPerWorkerMax',
  pending: 'pendingPerWorkerMax',
  buffered: 'bufferedBytesPerWorkerMax',
};

/** One pod's. */
export class PodUsage {
  /** The reactor's tenant number. */
  readonly tenant: number;
  readonly worker: WorkerUsage;
  connections = 0;
  requests = 0;
  pending = 0;
  bufferedBytes = 0;
  /** The worker is saturated and this pod is above the mean use of CPU: see saturation.ts. */
  shedForCpu = false;
  /** Why `hold` said no the last time. */
  holdRefusal: Exclude<Fit, typeof FITS> = POD_LIMIT;
  readonly shed = { connections: 0, requests: 0, pending: 0, buffered: 0, overloaded: 0 };

  constructor(tenant: number, worker: WorkerUsage) {
    this.tenant = tenant;
    this.worker = worker;
  }

  setConnections(count: number): void {
    this.worker.connections.total += count - this.connections;
    this.connections = count;
  }

  dialStarted(): void {
    this.pending++;
    this.worker.pending.total++;
  }

  /** The endpoint answered, or will not. */
  dialEnded(): void {
    this.pending--;
    this.worker.pending.total--;
  }

  /** Takes octets; false: they do not fit, nothing is taken, and it is counted. The connection that has them must then end. */
  hold(octets: number): boolean {
    const share = this.worker.buffered;
    const fit = fits(share, this.bufferedBytes, octets);
    if (fit !== FITS) {
      this.holdRefusal = fit;
      this.countShed('buffered', fit);
      return false;
    }
    this.bufferedBytes += octets;
    share.total += octets;
    return true;
  }

  /** Whether `hold` would take them; not counted. */
  canHold(octets: number): boolean {
    return fits(this.worker.buffered, this.bufferedBytes, octets) === FITS;
  }

  /** Gives octets back. */
  release(octets: number): void {
    this.bufferedBytes -= octets;
    this.worker.buffered.total -= octets;
  }

  /** Octets one read for this pod may bring: everything, unless so much is held that more slow peers must fit into the rest. Hot. */
  get readBytesMax(): number {
    // A pod that holds no more than a read is everybody in good times.
    if (this.bufferedBytes <= limits.readBufferBytes) return limits.readBufferBytes;
    return this.canHold(this.bufferedBytes) ? limits.readBufferBytes : limits.squeezedReadBytes;
  }

  /** Counts what is refused because of shedForCpu. */
  countShedForCpu(): void {
    this.shed.overloaded++;
    this.worker.bounds.hit('saturatedAfterMs');
  }

  /** Counts a refusal by the pod's bound or the worker's. */
  countShed(kind: ShedKind, fit: Exclude<Fit, typeof FITS>): void {
    if (fit === POD_LIMIT) this.shed[kind]++;
    else this.shed.overloaded++;
    this.worker.bounds.hit((fit === POD_LIMIT ? POD_BOUND : WORKER_BOUND)[kind]);
  }
}
