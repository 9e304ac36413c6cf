/**
 * The mesh model: what controller, agent and CLI all mean by a workload, a service, a route and a policy.
 *
 * Every resource is plain, immutable JSON-compatible data (no Map, no class, no undefined in arrays), so that it can be
 * sent over gRPC, stored on disk, handed to a worker and printed, always the same. Compiled forms live in MeshState.
 */

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
}

export interface PathMatch {
  /** `prefix` matches whole segments (Gateway API PathPrefix). */
  readonly type: 'exact' | 'prefix';
  readonly value: string;
}

export interface HeaderMatch {
  /** Lower case. */
  readonly name: string;
  /** `regex` is RE2 syntax and must match the whole value, or be refused by the controller. */
  readonly type: 'exact' | 'regex';
  readonly value: string;
}

export interface HttpRouteMatch {
  readonly path: PathMatch | null;
  readonly method: string | null;
  readonly headers: readonly HeaderMatch[];
  readonly queryParams: readonly HeaderMatch[];
}

export interface NameValue {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly type: 'requestHeaderModifier' | 'responseHeaderModifier';
  readonly set: readonly NameValue[];
  readonly add: readonly NameValue[];
  readonly remove: readonly string[];
}

export interface HttpRouteBackend {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** 0 to 1,000,000 (Gateway API); relative to the sum of the rule's weights. */
  readonly weight: number;
  readonly filters: readonly HeaderModifier[];
  /** False: unresolvable reference; its share of the weight is answered with 500 (Gateway API). */
  readonly valid: boolean;
}

export interface HttpRouteRule {
  readonly name: string | null;
  /** Empty means: match every request. */
  readonly matches: readonly HttpRouteMatch[];
  readonly filters: readonly HeaderModifier[];
  readonly backends: readonly HttpRouteBackend[];
}

/** A Service (GAMMA parentRef) that a route of any kind is attached to. */
export interface HttpRouteParent {
  readonly namespace: string;
  readonly name: string;
  /** null: every port of the Service. */
  readonly port: number | null;
}

/** A Gateway API HTTPRoute attached to Services (GAMMA). Key: `namespace/name`. */
export interface HttpRoute {
  readonly kind: 'httpRoute';
  readonly namespace: string;
  readonly name: string;
  /** metadata.creationTimestamp in ms since the epoch, 0 when absent: the tie-break of the Gateway API. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  readonly rules: readonly HttpRouteRule[];
}

/** A backend of a route that decides once per connection. */
export interface StreamBackend {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  /** 0 to 1,000,000 (Gateway API); relative to the sum of the route's weights. */
  readonly weight: number;
  /** False: unresolvable reference; its share of the connections is reset (Gateway API). */
  readonly valid: boolean;
}

/** A Gateway API TLSRoute attached to Services: TLS passed through, sent on by its server name. Key: `namespace/name`. */
export interface TlsRoute {
  readonly kind: 'tlsRoute';
  readonly namespace: string;
  readonly name: string;
  /** As HttpRoute.createdMs. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  /** Lower case: a name, or `*.` and a name for all names below it. Empty: every connection, also one without a server name. */
  readonly hostnames: readonly string[];
  /** Of the one rule (the API allows no second). Empty: connections are reset. */
  readonly backends: readonly StreamBackend[];
}

/** A Gateway API TCPRoute attached to Services. Key: `namespace/name`. */
export interface TcpRoute {
  readonly kind: 'tcpRoute';
  readonly namespace: string;
  readonly name: string;
  /** As HttpRoute.createdMs. */
  readonly createdMs: number;
  readonly parents: readonly HttpRouteParent[];
  /** As TlsRoute.backends. */
  readonly backends: readonly StreamBackend[];
}

/** Istio `Source`. Empty array = field absent. */
export interface PolicySource {
  readonly principals: readonly string[];
  readonly notPrincipals: readonly string[];
  readonly namespaces: readonly string[];
  readonly notNamespaces: readonly string[];
  /** `serviceAccount` (of the policy's namespace) already expanded to `namespace/serviceAccount`. */
  readonly serviceAccounts: readonly string[];
  readonly notServiceAccounts: readonly string[];
  readonly ipBlocks: readonly string[];
  readonly notIpBlocks: readonly string[];
  /** The address before the proxies in front: that of a PROXY protocol header, else the peer's. */
  readonly remoteIpBlocks: readonly string[];
  readonly notRemoteIpBlocks: readonly string[];
}

/** Istio `Operation`. Empty array = field absent. */
export interface PolicyOperation {
  readonly hosts: readonly string[];
  readonly notHosts: readonly string[];
  readonly ports: readonly number[];
  readonly notPorts: readonly number[];
  readonly methods: readonly string[];
  readonly notMethods: readonly string[];
  readonly paths: readonly string[];
  readonly notPaths: readonly string[];
}

/** Istio `Condition`: `values` OR, minus `notValues`; at least one of the two has a value. */
export interface PolicyCondition {
  readonly key: 'connection.sni' | 'remote.ip';
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

export interface PolicyRule {
  /** OR; empty = any source. */
  readonly from: readonly PolicySource[];
  /** OR; empty = any operation. */
  readonly to: readonly PolicyOperation[];
  /** AND. */
  readonly when: readonly PolicyCondition[];
}

/** Istio security.istio.io/v1 AuthorizationPolicy. Key: `namespace/name`. */
export interface AuthorizationPolicy {
  readonly kind: 'authorizationPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly action: 'ALLOW' | 'DENY';
  /** True when the policy stands in the root namespace: it applies to the whole mesh. */
  readonly meshWide: boolean;
  /** null: every workload in scope. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** `targetRefs` of kind Service; empty: not used. */
  readonly targetServices: readonly NamespacedName[];
  /** Empty: never matches (ALLOW with no rules denies all). A rule `{from: [], to: []}` always matches. */
  readonly rules: readonly PolicyRule[];
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
}

export type MeshResource = Workload | Service | HttpRoute | TlsRoute | TcpRoute | AuthorizationPolicy | MeshSettings;
export type MeshKind = MeshResource['kind'];

/** Identifies a resource: kind plus its key (uid for workloads, `namespace/name` for the rest). */
export interface ResourceKey {
  readonly kind: MeshKind;
  readonly key: string;
}

/** What changed since the previous version. Applied whole or not at all. */
export interface MeshDelta {
  readonly upserts: readonly MeshResource[];
  readonly removals: readonly ResourceKey[];
}

export function keyOf(resource: MeshResource): ResourceKey {
  const key = resource.kind === 'workload' ? resource.uid : `${resource.namespace}/${resource.name}`;
  return { kind: resource.kind, key };
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
