/**
 * The mesh model: what controller, agent and CLI all mean by a workload, a service, a route and a policy.
 *
 * Every resource is plain, immutable JSON-compatible data (no Map, no class, no undefined in arrays), so that it can be
 * sent over gRPC, stored on disk, handed to a worker and printed, always the same. Compiled forms live in MeshState.
 *
 * Routes are in route-model.ts, policies in policy-model.ts, Istio's other networking kinds in traffic-model.ts.
 */
import type { PathNormalization } from './path.ts';
import type { AuthorizationPolicy, NetworkPolicy, PeerAuthentication, RequestAuthentication } from './policy-model.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from './route-model.ts';
import type { DestinationRule, ServiceEntry, SidecarScope } from './traffic-model.ts';

/** An IP address in canonical text (RFC 5952 for v6; an IPv4-mapped address is written as IPv4). */
export type Ip = string;

/** `namespace/name`, the key people use in kubectl. */
export type NamespacedName = string;

/**
 * What a port is declared to carry. `detect`: undeclared, decide from the first octets. `http2` and `grpc`: the endpoint
 * speaks HTTP/2 (appProtocol kubernetes.io/h2c, http2, grpc). `tls`: passed through, its server name may be looked at.
 */
export type PortProtocol = 'http' | 'http2' | 'grpc' | 'tls' | 'tcp' | 'detect';

export interface TargetPort {
  readonly servicePort: number;
  readonly targetPort: number;
}

/** A pod, before or after it has an address. Key: `uid`, because Kubernetes reuses names and addresses (istio/ztunnel 1637). */
export interface Workload {
  readonly kind: 'workload';
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly node: string;
  /** Empty until the pod has an address. */
  readonly addresses: readonly Ip[];
  readonly ready: boolean;
  readonly hostNetwork: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Only annotations under `weir.dev/` (capture exclusions); validated where they are used. */
  readonly annotations: Readonly<Record<string, string>>;
  /** The controller's name, e.g. the Deployment: metric label `source_workload`. */
  readonly workloadName: string;
  /** Istio canonical service name and revision labels. */
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  /** TCP container ports by name (NetworkPolicy may name them). */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** `region/zone/subzone` of its node; '' unknown. */
  readonly locality: string;
  /** Services this pod backs: `namespace/name` of the Service to its resolved ports. */
  readonly services: Readonly<Record<NamespacedName, readonly TargetPort[]>>;
}

export interface ServicePort {
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
}

/** A Kubernetes Service. Key: `namespace/name`. */
export interface Service {
  readonly kind: 'service';
  readonly namespace: string;
  readonly name: string;
  /** `name.namespace.svc.cluster.local` */
  readonly hostname: string;
  /** ClusterIPs; empty for a headless service. */
  readonly addresses: readonly Ip[];
  readonly ports: readonly ServicePort[];
  /** `Local`: only pods of the client's node (spec.internalTrafficPolicy). */
  readonly internalTrafficPolicy: 'Cluster' | 'Local';
  /** spec.trafficDistribution: pods of the client's zone or node first; null: all alike. */
  readonly trafficDistribution: 'PreferSameZone' | 'PreferSameNode' | null;
  /** spec.externalName, lower case; null: not of that type. Such a Service has no pods. */
  readonly externalName: string | null;
}

/**
 * What is set for the whole mesh: Istio's MeshConfig as far as weir honours it, and weir's own keys beside it. Key:
 * `namespace/name` of the ConfigMap it was read from. Without one, mesh/settings.ts has the defaults.
 */
export interface MeshSettings {
  readonly kind: 'meshSettings';
  readonly namespace: string;
  readonly name: string;
  /** MeshConfig `defaultProviders.metrics` names a provider: HTTP is parsed for the sake of metrics. */
  readonly metrics: boolean;
  /** False: `defaultProviders.accessLogging` is the empty list. True: each agent's own `--access-log` decides. */
  readonly accessLog: boolean;
  /** weir's own `bypass`: destinations without policy, route and telemetry need not pass the agent at all. */
  readonly bypass: boolean;
  /** MeshConfig `trustDomain` of this mesh's identities. */
  readonly trustDomain: string;
  /** MeshConfig `trustDomainAliases`: principals of these are taken for those of `trustDomain`. */
  readonly trustDomainAliases: readonly string[];
  /** MeshConfig `rootNamespace`: policies there hold for the whole mesh. */
  readonly rootNamespace: string;
  /** MeshConfig `pathNormalization.normalization`. */
  readonly pathNormalization: PathNormalization;
  /** MeshConfig `outboundTrafficPolicy.mode`: what becomes of destinations that the mesh does not know. */
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY';
}

export type MeshResource =
  | Workload
  | Service
  | ServiceEntry
  | HttpRoute
  | TlsRoute
  | TcpRoute
  | DestinationRule
  | SidecarScope
  | AuthorizationPolicy
  | PeerAuthentication
  | RequestAuthentication
  | NetworkPolicy
  | MeshSettings;
export type MeshKind = MeshResource['kind'];

/** A kind that is missing here does not compile. */
const EVERY_KIND: Readonly<Record<MeshKind, true>> = {
  workload: true,
  service: true,
  serviceEntry: true,
  httpRoute: true,
  tlsRoute: true,
  tcpRoute: true,
  destinationRule: true,
  sidecarScope: true,
  authorizationPolicy: true,
  peerAuthentication: true,
  requestAuthentication: true,
  networkPolicy: true,
  meshSettings: true,
};

/** All kinds, in the order in which a whole mesh is sent and listed. */
export const MESH_KINDS = Object.keys(EVERY_KIND) as readonly MeshKind[];

export function isMeshKind(value: unknown): value is MeshKind {
  return typeof value === 'string' && Object.hasOwn(EVERY_KIND, value);
}

/** Identifies a resource: kind plus its key, see keyOf. */
export interface ResourceKey {
  readonly kind: MeshKind;
  readonly key: string;
}

/** What changed since the previous version. Applied whole or not at all. */
export interface MeshDelta {
  readonly upserts: readonly MeshResource[];
  readonly removals: readonly ResourceKey[];
  /** What the agent's resolver has found; never from a controller. */
  readonly answers?: readonly NameAnswer[];
}

/** What a host name that ServiceEntries are resolved by leads to now. */
export interface NameAnswer {
  /** Lower case. */
  readonly name: string;
  /** In canonical text, each family in the order of the answer; empty: nowhere. */
  readonly addresses: readonly Ip[];
}

/**
 * The uid of a workload, `namespace/name` of the rest. A route that several Kubernetes kinds may be the source of has its source
 * before it (`VirtualService/namespace/name`), unless it is the Gateway API kind that the model's kind is called after.
 */
export function keyOf(resource: MeshResource): ResourceKey {
  if (resource.kind === 'workload') return { kind: 'workload', key: resource.uid };
  const name = `${resource.namespace}/${resource.name}`;
  const source = 'source' in resource ? resource.source : null;
  const named = source === 'GRPCRoute' || source === 'VirtualService';
  return { kind: resource.kind, key: named ? `${source}/${name}` : name };
}

/** A workload identity that was proven (captured in its own namespace on this node, or by mTLS later). */
export interface Identity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** `spiffe://<trust domain>/ns/<ns>/sa/<sa>` without the scheme, as Istio's `principals` are written. */
export function principalOf(identity: Identity): string {
  return `${identity.trustDomain}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}
