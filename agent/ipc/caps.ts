/** What pods may use of a worker: caps per pod and for all together. Each worker enforces them for itself. */
import { limits } from '../limits.ts';

/** One number per resource; agent/limits.ts says what each is and why its default. */
export interface ResourceCaps {
  readonly connections: number;
  /** In flight: HTTP/1.1 exchanges and HTTP/2 streams. */
  readonly requests: number;
  /** Connections waiting for an endpoint's answer. */
  readonly pending: number;
  readonly bufferedBytes: number;
}

export interface Caps {
  readonly pod: ResourceCaps;
  readonly worker: ResourceCaps;
}

export const DEFAULT_CAPS: Caps = {
  pod: {
    connections: limits.connectionsPerPodMax,
    requests: limits.requestsPerPodMax,
    pending: limits.pendingPerPodMax,
    bufferedBytes: limits.bufferedBytesPerPodMax,
  },
  worker: {
    connections: limits.connectionsPerWorkerMax,
    requests: limits.requestsPerWorkerMax,
    pending: limits.pendingPerWorkerMax,
    bufferedBytes: limits.bufferedBytesPerWorkerMax,
  },
};
