/**
 * Supervisor ⇄ worker messages.
 *
 * Transport: one inherited SOCK_STREAM unix socket per worker (fd 3 in the worker). Frame: u32 little-endian payload
 * length, then that many bytes of UTF-8 JSON. Longest frame: limits.ipcFrameBytesMax; a longer one is a bug and ends the
 * worker. The worker reads it from its own epoll set; nothing here is on the path of a request.
 */
import type { MeshDelta } from '../../mesh/model.ts';
import type { Caps } from './caps.ts';

export const IPC_FD = 3;
/** The worker's access log: a SOCK_STREAM unix socket to the supervisor, lines of JSON, written with MSG_DONTWAIT. */
export const ACCESS_LOG_FD = 4;

export type AccessLogMode = 'off' | 'errors' | 'all';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A pod that the CNI plugin enrolled on this node. Identity is the API's for this uid, addresses are the runtime's. */
export interface EnrolledPod {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  /** Canonical text, v4 and/or v6, from the CNI result. */
  readonly addresses: readonly string[];
}

export type ToWorker =
  | {
      readonly type: 'hello';
      readonly worker: number;
      readonly node: string;
      readonly trustDomain: string;
      readonly accessLog: AccessLogMode;
      readonly logLevel: LogLevel;
      /** Left out: those of agent/limits.ts. */
      readonly caps?: Caps;
    }
  /** Open listeners in the pod's namespace. `index` is small, unique among live pods, reused only after podRemove. */
  | { readonly type: 'podAdd'; readonly index: number; readonly pod: EnrolledPod; readonly netnsPath: string }
  | { readonly type: 'podRemove'; readonly index: number }
  | { readonly type: 'meshDelta'; readonly sequence: number; readonly delta: MeshDelta }
  | { readonly type: 'accessLog'; readonly mode: AccessLogMode }
  | { readonly type: 'logLevel'; readonly level: LogLevel }
  /** Accept this one-time token on the verification address for `weir capture verify`. */
  | { readonly type: 'verifyArm'; readonly token: string; readonly podIndex: number }
  | { readonly type: 'verifyDisarm'; readonly token: string }
  | { readonly type: 'query'; readonly id: number; readonly what: 'stats' | 'connections' }
  /** The last requests that were logged or refused, newest first, or the one of that name. */
  | { readonly type: 'query'; readonly id: number; readonly what: 'requests'; readonly request: string | null }
  /**
   * Stop accepting, finish what is in flight until the deadline, then exit 0. `successor`: another agent accepts meanwhile, so idle
   * keep-alive connections wait for one more request, which is answered with `Connection: close`.
   */
  | { readonly type: 'drain'; readonly deadlineMs: number; readonly successor: boolean };

export type FromWorker =
  | { readonly type: 'ready'; readonly pid: number }
  | { readonly type: 'podListening'; readonly index: number; readonly error: string | null }
  | { readonly type: 'podGone'; readonly index: number }
  | { readonly type: 'meshApplied'; readonly sequence: number; readonly error: string | null }
  | { readonly type: 'stats'; readonly id: number; readonly stats: WorkerStats }
  | {
      readonly type: 'connections';
      readonly id: number;
      readonly connections: readonly ConnectionInfo[];
      readonly truncated: boolean;
    }
  | { readonly type: 'requests'; readonly id: number; readonly requests: readonly RequestTrace[] }
  | {
      readonly type: 'log';
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

/** Cumulative since the worker started; the supervisor adds what dead workers had counted. */
export interface WorkerStats {
  readonly worker: number;
  readonly pid: number;
  readonly http: readonly HttpSeries[];
  readonly tcp: readonly TcpSeries[];
  readonly pods: readonly PodStats[];
  /** Counter per bound that was hit, keyed by its name in limits.ts, and other engine counters. */
  readonly bounds: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
}

/** Label names of Istio Standard Metrics without `reporter`'s siblings left out. */
export type Labels = Readonly<Record<string, string>>;

export interface HttpSeries {
  readonly labels: Labels;
  readonly requests: number;
  /** Cumulative counts per upper bound of durationBucketsMs, then +Inf. */
  readonly durationBuckets: readonly number[];
  readonly durationSumMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface TcpSeries {
  readonly labels: Labels;
  readonly opened: number;
  readonly closed: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface PodStats {
  readonly index: number;
  readonly namespace: string;
  readonly name: string;
  readonly cpuMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
  readonly connectionsOpened: number;
  readonly connectionsActive: number;
  readonly refused: number;
  /** Requests in flight, and connections that wait for an endpoint's answer, now. */
  readonly requestsActive: number;
  readonly pending: number;
  /** Octets held for it now. */
  readonly bufferedBytes: number;
  readonly shed: ShedCounts;
}

/** What a pod was refused because of a cap, by what it would have used; `overloaded`: by the worker's caps, else by its own. */
export interface ShedCounts {
  readonly connections: number;
  readonly requests: number;
  readonly pending: number;
  readonly buffered: number;
  readonly overloaded: number;
}

/** A request as its worker saw it and what became of it: what `weir explain` decides again. */
export interface RequestTrace {
  /** As in the access log and `x-weir-request`; unique on its node. */
  readonly id: string;
  /** When it was over, ms since the epoch. */
  readonly timeMs: number;
  readonly direction: 'outbound' | 'inbound';
  readonly protocol: 'http' | 'http2' | 'grpc';
  /** `namespace/name`; null: inbound, the client is known by its address only. */
  readonly sourcePod: string | null;
  /** `ip:port` */
  readonly source: string;
  /** `ip:port` that was dialled. */
  readonly destination: string;
  readonly destinationPod: string | null;
  readonly upstream: string | null;
  readonly service: string | null;
  readonly method: string;
  readonly host: string;
  /** Normalised, as it was routed; the first octets of a long one (limits.recentPathBytesMax), as of what is below and above. */
  readonly path: string;
  /** null: not kept. */
  readonly query: string | null;
  /** Lower-case names, in order, credentials left out; null: not kept, since the request was forwarded before anything went wrong. */
  readonly headers: readonly (readonly [string, string])[] | null;
  readonly status: number;
  readonly reason: string | null;
  readonly route: string | null;
  readonly policy: string | null;
  readonly durationMs: number;
}

export interface ConnectionInfo {
  readonly worker: number;
  readonly pod: string;
  readonly direction: 'outbound' | 'inbound';
  /** `bypassed`: it does not pass the agent; only addresses and state are known, and `worker` is -1. */
  readonly protocol: 'http' | 'http2' | 'tcp' | 'tls' | 'undecided' | 'bypassed';
  readonly source: string;
  readonly destination: string;
  readonly service: string | null;
  readonly upstream: string | null;
  readonly state: string;
  readonly ageMs: number;
  readonly idleMs: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly requests: number;
}

/** Istio's istio_request_duration_milliseconds bucket bounds. */
export const DURATION_BUCKETS_MS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
];
