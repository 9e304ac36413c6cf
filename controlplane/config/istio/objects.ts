/**
 * Accepted objects of Istio's networking kinds: valid in themselves, their references not looked up yet (see config/objects.ts). The
 * text of a host is lower case and whole (hosts.ts); everything else is already what the mesh model calls it.
 */
import type { DestinationRule, ServiceEntry, ServiceEntryEndpoint, SidecarScope } from '../../../mesh/traffic-model.ts';
import type {
  DirectResponse,
  Fault,
  HeaderModifier,
  HttpFilter,
  HttpRouteMatch,
  RouteRetry,
  StreamRouteMatch,
  UrlRewrite,
} from '../../../mesh/route-model.ts';
import type { FieldPath } from '../../finding.ts';
import type { ObjectOrigin } from '../objects.ts';

/** What every object of these kinds has. */
interface ObjectBase {
  readonly namespace: string;
  readonly name: string;
  readonly createdMs: number;
  readonly origin: ObjectOrigin;
}

/** A host as it was written, made whole, and where it stands. */
export interface HostReference {
  readonly host: string;
  readonly path: FieldPath;
}

/** An Istio `Destination`. */
export interface DestinationReference extends HostReference {
  /** null: not said. */
  readonly port: number | null;
  /** null: every pod. */
  readonly subset: string | null;
}

/** A destination of `route` in `http`. */
export interface WeightedDestination {
  readonly destination: DestinationReference;
  readonly weight: number;
  readonly headers: readonly HeaderModifier[];
}

export interface MirrorReference {
  readonly destination: DestinationReference;
  readonly perMillion: number;
}

export interface DelegateReference {
  readonly namespace: string;
  readonly name: string;
  readonly path: FieldPath;
}

/** One entry of `http` of a VirtualService. A field that is null (or `filters` without that type) was not written. */
export interface HttpRuleObject {
  readonly name: string | null;
  readonly path: FieldPath;
  /** Those that concern the mesh; `[]` with `matchesNothing` false: every request. */
  readonly matches: readonly HttpRouteMatch[];
  /** Matches were written, and none of them can hold in the mesh. */
  readonly matchesNothing: boolean;
  readonly redirect: Extract<HttpFilter, { type: 'requestRedirect' }> | null;
  readonly cors: Extract<HttpFilter, { type: 'cors' }> | null;
  /** `path` is the modifier for matches by prefix; which one a rule gets is decided when its matches are complete. */
  readonly rewrite: UrlRewrite | null;
  /** null: none were written, so those of a root apply to a delegate. */
  readonly headers: readonly HeaderModifier[] | null;
  readonly destinations: readonly WeightedDestination[];
  readonly mirrors: readonly MirrorReference[] | null;
  readonly directResponse: DirectResponse | null;
  readonly fault: Fault | null;
  /** undefined: not written; null: no limit (`0s`). */
  readonly timeoutMs: number | null | undefined;
  readonly retry: RouteRetry | null;
  readonly delegate: DelegateReference | null;
}

/** One entry of `tls` or `tcp` of a VirtualService. */
export interface StreamRuleObject {
  readonly matches: readonly StreamRouteMatch[];
  readonly matchesNothing: boolean;
  readonly destinations: readonly { readonly destination: DestinationReference; readonly weight: number }[];
}

export interface VirtualServiceObject extends ObjectBase {
  readonly kind: 'VirtualService';
  /** Empty: others delegate to it. */
  readonly hosts: readonly HostReference[];
  /** False: `gateways` leaves the mesh out. */
  readonly mesh: boolean;
  /** As HttpRoute.clients. */
  readonly clients: readonly string[];
  readonly http: readonly HttpRuleObject[];
  readonly tls: readonly StreamRuleObject[];
  readonly tcp: readonly StreamRuleObject[];
}

export interface DestinationRuleObject extends ObjectBase {
  readonly kind: 'DestinationRule';
  /** `services` is empty until it is linked. */
  readonly resource: DestinationRule;
  readonly hostPath: FieldPath;
}

export interface ServiceEntryObject extends ObjectBase {
  readonly kind: 'ServiceEntry';
  /** `workloads` and the endpoints of WorkloadEntries come when it is linked. */
  readonly resource: ServiceEntry;
  readonly hostPaths: readonly FieldPath[];
  /** Labels of its pods and WorkloadEntries; null: none asked for. */
  readonly workloadSelector: Readonly<Record<string, string>> | null;
}

/** A VM or other workload outside Kubernetes. */
export interface WorkloadEntryObject extends ObjectBase {
  readonly kind: 'WorkloadEntry';
  /** Its `ports` are by port name: which number that is depends on the ServiceEntry that selects it. */
  readonly endpoint: ServiceEntryEndpoint;
}

export interface SidecarObject extends ObjectBase {
  readonly kind: 'Sidecar';
  readonly resource: SidecarScope;
}

/** A kind that people have beside those that weir takes: known, reported, of no consequence. */
export interface UnsupportedObject {
  readonly kind:
    | 'Gateway'
    | 'GatewayClass'
    | 'EnvoyFilter'
    | 'WasmPlugin'
    | 'Telemetry'
    | 'ProxyConfig'
    | 'WorkloadGroup'
    | 'BackendTLSPolicy';
  readonly namespace: string;
  readonly name: string;
}

export type IstioObject =
  | VirtualServiceObject
  | DestinationRuleObject
  | ServiceEntryObject
  | WorkloadEntryObject
  | SidecarObject
  | UnsupportedObject;
