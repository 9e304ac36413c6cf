/**
 * The documents of the admin API, as the agent sends them and the command line reads them. Field names are an interface: they
 * are added to, never renamed. Times are ISO 8601, durations ms, sizes bytes.
 */
import type { ServicePort } from '../../mesh/model.ts';
import type {
  AuthorizationPolicy,
  NetworkPolicy,
  PeerAuthentication,
  RequestAuthentication,
} from '../../mesh/policy-model.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from '../../mesh/route-model.ts';
import type { InterceptionMode } from '../capture/interception.ts';
import type { AccessLogMode, ConnectionInfo, Labels, LogLevel, RequestTrace } from '../ipc/messages.ts';

/** Every answer names its node in this header, so that a client of several agents can tell them apart. */
export const NODE_HEADER = 'x-weir-node';

export interface ApiError {
  readonly error: { readonly code: string; readonly message: string };
}

export interface ControllerDocument {
  readonly address: string;
  readonly connected: boolean;
  /** Since when it is (not) connected; null before the first attempt ended. */
  readonly since: string | null;
  readonly lastError: string | null;
  /** The controller's version of the configuration applied last; '' before the first. */
  readonly version: string;
  readonly nacks: readonly { readonly resource: string; readonly error: string; readonly version: string }[];
}

export interface WorkerDocument {
  readonly worker: number;
  readonly pid: number;
  readonly state: string;
  readonly restarts: number;
  readonly cpuMs: number | null;
  readonly rssBytes: number | null;
  /** Proportional share of memory: add these up, not rssBytes, for the whole agent. */
  readonly pssBytes: number | null;
  readonly lastExit: string | null;
}

/** An agent that has stopped accepting and finishes what it has. */
export interface DrainDocument {
  readonly since: string;
  /** Connections that are left then are cut. */
  readonly deadline: string;
  readonly leftMs: number;
  /** Connections left. */
  readonly connections: number;
  /** Who serves instead; null: nobody is known. */
  readonly successor: { readonly pid: number; readonly version: string } | null;
}

/** The agent that was in charge before, while it is still there. */
export interface PredecessorDocument {
  /** In its own PID namespace; null: it never told. */
  readonly pid: number | null;
  readonly version: string | null;
  /** False: it hangs. */
  readonly answers: boolean;
  readonly draining: DrainDocument | null;
}

/** Host names of ServiceEntries, and those with which something is wrong. */
export interface NamesDocument {
  readonly count: number;
  /** That lead somewhere. */
  readonly resolved: number;
  /** Not looked up: too many. */
  readonly omitted: number;
  /** Since the start. */
  readonly counters: {
    readonly lookups: number;
    readonly failures: number;
    /** Last good answers that became too old. */
    readonly expired: number;
    /** Addresses that were left out: too many, or such as no name outside the mesh leads to. */
    readonly addressesLeftOut: number;
  };
  /** The first of those that lead nowhere or whose lookups fail. */
  readonly problems: readonly { readonly name: string; readonly addresses: number; readonly problem: string }[];
}

/** GET /status. With `?own`, `predecessor` is not asked for. */
export interface StatusDocument {
  readonly node: string;
  readonly version: string;
  readonly pid: number;
  /** --instance: tells agents of one node apart. */
  readonly instance: string;
  readonly startedAt: string;
  readonly uptimeMs: number;
  readonly ready: boolean;
  /** Why it is not ready; empty when it is. */
  readonly notReady: readonly string[];
  /** Null unless it is ending. */
  readonly draining: DrainDocument | null;
  readonly predecessor: PredecessorDocument | null;
  readonly trustDomain: string;
  readonly controller: ControllerDocument;
  readonly workers: readonly WorkerDocument[];
  readonly supervisor: {
    readonly cpuMs: number | null;
    readonly rssBytes: number | null;
    readonly pssBytes: number | null;
  };
  readonly pods: { readonly count: number; readonly captured: number; readonly unhealthy: number };
  readonly mesh: {
    readonly workloads: number;
    readonly services: number;
    readonly httpRoutes: number;
    readonly tlsRoutes: number;
    readonly tcpRoutes: number;
    readonly authorizationPolicies: number;
  };
  /** When the configuration last changed, and where it is kept for the next start. */
  readonly snapshot: { readonly path: string; readonly savedAt: string | null; readonly ageMs: number | null };
  /** Which iptables programs work here; null before the first pod. */
  readonly iptables: { readonly backend: string | null };
  readonly names: NamesDocument;
  /** What does not pass the agent (`bypass` in the mesh configuration). */
  readonly bypass: {
    readonly state: 'off' | 'on' | 'unavailable';
    readonly reason: string | null;
    readonly pods: number;
    readonly entries: number;
    readonly omitted: number;
  };
  /** Bounds that were reached, by name; only those above zero. */
  readonly bounds: Readonly<Record<string, number>>;
  readonly logLevel: LogLevel;
  readonly accessLog: AccessLogMode;
  /** Newest last. */
  readonly errors: readonly { readonly time: string; readonly message: string }[];
}

/** GET /pods */
export interface PodDocument {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  /** As Istio's `principals` are written. */
  readonly principal: string;
  readonly addresses: readonly string[];
  /** The Deployment or the like; '' when the controller has not said. */
  readonly workload: string;
  readonly captured: boolean;
  /** What is wrong; null when captured. */
  readonly problem: string | null;
  readonly index: number;
  readonly netns: string;
  /** How its outbound connections reach the agent. */
  readonly interceptionMode: InterceptionMode;
  /** Where it may go, and be reached, without the agent: `ip,tcp:port`. */
  readonly bypass: readonly string[];
  readonly enrolledAt: string;
  readonly cpuMs: number;
  readonly connections: number;
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** In use now. */
  readonly requestsInFlight: number;
  readonly pendingConnections: number;
  readonly bufferedBytes: number;
  /** Refused because of a cap, by bound; only those above zero. */
  readonly shed: Readonly<Record<string, number>>;
}

/** GET /services */
export interface ServiceDocument {
  readonly namespace: string;
  readonly name: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly endpoints: { readonly ready: number; readonly total: number };
  /** `namespace/name` of the routes attached to it. */
  readonly routes: readonly string[];
}

/** GET /routes: the resource as the agent holds it. */
export type RouteDocument = HttpRoute | TlsRoute | TcpRoute;

/** GET /policies: the resource as the agent holds it, and the pods of this node in its scope. */
export type PolicyDocument = PolicyResource & { readonly appliesTo: readonly string[] };
export type PolicyResource = AuthorizationPolicy | PeerAuthentication | RequestAuthentication | NetworkPolicy;

/** GET /connections */
export interface ConnectionsDocument {
  readonly connections: readonly ConnectionInfo[];
  /** True: there are more than the answer carries, or a worker did not answer. */
  readonly truncated: boolean;
}

/** GET /requests, GET /requests?id=ID: the last that were logged or refused, newest first. */
export interface RequestsDocument {
  readonly requests: readonly RequestTrace[];
}

export interface HttpStatsDocument {
  readonly labels: Labels;
  readonly requests: number;
  readonly durationSumMs: number;
  /** Estimated from the buckets; null without requests. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface TcpStatsDocument {
  readonly labels: Labels;
  readonly opened: number;
  readonly closed: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export interface PodStatsDocument {
  readonly namespace: string;
  readonly name: string;
  readonly cpuMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
  readonly connections: number;
  readonly connectionsOpened: number;
  readonly refused: number;
  readonly requestsInFlight: number;
  readonly pendingConnections: number;
  readonly bufferedBytes: number;
  /** Refused because of a cap, by bound; only those above zero. */
  readonly shed: Readonly<Record<string, number>>;
}

/** GET /stats */
export interface StatsDocument {
  readonly node: string;
  readonly http: readonly HttpStatsDocument[];
  readonly tcp: readonly TcpStatsDocument[];
  readonly pods: readonly PodStatsDocument[];
  readonly bounds: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
}

/** POST /capture/verify?pod=namespace/name */
export interface VerifyDocument {
  readonly namespace: string;
  readonly name: string;
  readonly ok: boolean;
  readonly checks: readonly VerifyCheck[];
}

export interface VerifyCheck {
  /** e.g. `outbound v4`, `rules` */
  readonly check: string;
  readonly ok: boolean;
  /** Not applicable, e.g. the pod has no IPv6 address; counts as ok. */
  readonly skipped: boolean;
  readonly detail: string;
}

/** GET and PUT /log-level */
export interface LogLevelDocument {
  readonly level: LogLevel;
}

/** GET and PUT /access-log */
export interface AccessLogDocument {
  readonly mode: AccessLogMode;
}

/** GET /access-log/tail?lines=N */
export interface AccessLogTailDocument {
  readonly lines: readonly string[];
}
