/**
 * Istio's networking kinds that are no routes: ServiceEntry, DestinationRule, Sidecar. See model.ts for what all resources have
 * in common.
 */
import type { NamespacedName, PortProtocol } from './model.ts';

export interface ServiceEntryPort {
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** Of its endpoints. */
  readonly targetPort: number;
}

/** A static endpoint of a ServiceEntry (its own, or a WorkloadEntry that its workloadSelector selects). */
export interface ServiceEntryEndpoint {
  /** An IP address; host names only with resolution DNS. */
  readonly address: string;
  /** Port of the entry, written as text → port of this endpoint, where it differs from the entry's targetPort. */
  readonly ports: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly weight: number;
  /** `region/zone/subzone`; '' unknown. */
  readonly locality: string;
}

/** Istio networking.istio.io/v1 ServiceEntry: a host beside the cluster's Services. Key: `namespace/name`. */
export interface ServiceEntry {
  readonly kind: 'serviceEntry';
  readonly namespace: string;
  readonly name: string;
  /** Lower case, with a dot; `*.` before it: all names below. Each is a Service of that name to routes. */
  readonly hosts: readonly string[];
  /** Addresses and blocks that lead to it; empty: it is known by host name alone. */
  readonly addresses: readonly string[];
  readonly ports: readonly ServiceEntryPort[];
  readonly location: 'MESH_EXTERNAL' | 'MESH_INTERNAL';
  readonly resolution: 'NONE' | 'STATIC' | 'DNS' | 'DNS_ROUND_ROBIN' | 'DYNAMIC_DNS';
  readonly endpoints: readonly ServiceEntryEndpoint[];
  /** uids of the pods that its workloadSelector selects, sorted. */
  readonly workloads: readonly string[];
  /** Namespaces that see it; [`*`]: all. */
  readonly exportTo: readonly string[];
}

/** What a DestinationRule asks for. Carried as it was validated; not enforced yet but for `subsets`. */
export interface TrafficPolicy {
  readonly loadBalancer: 'UNSPECIFIED' | 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' | 'PASSTHROUGH' | 'CONSISTENT_HASH';
  readonly tlsMode: 'UNSET' | 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  /** null: no limit said. */
  readonly maxConnections: number | null;
  readonly maxPendingRequests: number | null;
  readonly maxRequests: number | null;
  readonly connectTimeoutMs: number | null;
  readonly idleTimeoutMs: number | null;
  /** null: outlierDetection is absent. */
  readonly outlier: {
    readonly consecutive5xxErrors: number;
    readonly intervalMs: number;
    readonly baseEjectionMs: number;
    readonly maxEjectionPercent: number;
  } | null;
}

export interface DestinationSubset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** null: the rule's own. */
  readonly trafficPolicy: TrafficPolicy | null;
}

/** Istio networking.istio.io/v1 DestinationRule. Subsets reach routes resolved (route-model Subset). Key: `namespace/name`. */
export interface DestinationRule {
  readonly kind: 'destinationRule';
  readonly namespace: string;
  readonly name: string;
  /** As it was written, lower case and made whole: `reviews.default.svc.cluster.local`, `*.example.com`. */
  readonly host: string;
  /** The Services and ServiceEntry hosts (`namespace/name`) it concerns now. */
  readonly services: readonly NamespacedName[];
  readonly trafficPolicy: TrafficPolicy | null;
  /** By port number, written as text. */
  readonly portPolicies: Readonly<Record<string, TrafficPolicy>>;
  readonly subsets: readonly DestinationSubset[];
  readonly exportTo: readonly string[];
  /** null: all clients. */
  readonly workloadSelector: Readonly<Record<string, string>> | null;
}

/** One host of Sidecar `egress.hosts` (`namespace/dnsName`). */
export interface EgressHost {
  /** `*`: any, `~`: none; `.` is already resolved. */
  readonly namespace: string;
  /** Lower case; `*`: any, `*.` before it: all names below. */
  readonly host: string;
}

/** Istio networking.istio.io/v1 Sidecar, as far as it says what its pods can see. Key: `namespace/name`. */
export interface SidecarScope {
  readonly kind: 'sidecarScope';
  readonly namespace: string;
  readonly name: string;
  /** In the root namespace: for namespaces that have none. */
  readonly meshWide: boolean;
  /** null: every pod of the namespace. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** null: everything is visible. */
  readonly egress: readonly { readonly port: number | null; readonly hosts: readonly EgressHost[] }[] | null;
  /** null: the mesh's. */
  readonly outboundTrafficPolicy: 'ALLOW_ANY' | 'REGISTRY_ONLY' | null;
  readonly createdMs: number;
}
