/** Accepted objects of Istio's networking kinds. */
import type { HttpRoute, TcpRoute, TlsRoute } from '../../../mesh/route-model.ts';
import type { DestinationRule, ServiceEntry, ServiceEntryEndpoint, SidecarScope } from '../../../mesh/traffic-model.ts';
import type { ObjectOrigin } from '../objects.ts';

export interface VirtualServiceObject {
  readonly kind: 'VirtualService';
  readonly namespace: string;
  readonly name: string;
  /** As far as they can be told without other objects. */
  readonly routes: readonly (HttpRoute | TlsRoute | TcpRoute)[];
  readonly origin: ObjectOrigin;
}

export interface DestinationRuleObject {
  readonly kind: 'DestinationRule';
  readonly namespace: string;
  readonly name: string;
  /** `services` is the linker's. */
  readonly resource: DestinationRule;
  readonly origin: ObjectOrigin;
}

export interface ServiceEntryObject {
  readonly kind: 'ServiceEntry';
  readonly namespace: string;
  readonly name: string;
  /** `workloads`, and endpoints that are WorkloadEntries, are the linker's. */
  readonly resource: ServiceEntry;
  /** null: it has none. */
  readonly workloadSelector: Readonly<Record<string, string>> | null;
  readonly origin: ObjectOrigin;
}

export interface WorkloadEntryObject {
  readonly kind: 'WorkloadEntry';
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly endpoint: ServiceEntryEndpoint;
  readonly origin: ObjectOrigin;
}

export interface SidecarObject {
  readonly kind: 'Sidecar';
  readonly namespace: string;
  readonly name: string;
  readonly resource: SidecarScope;
  readonly origin: ObjectOrigin;
}

/** networking.istio.io Gateway: accepted, reported as unsupported until there is ingress. */
export interface GatewayObject {
  readonly kind: 'Gateway';
  readonly namespace: string;
  readonly name: string;
  readonly origin: ObjectOrigin;
}

export type IstioObject =
  | VirtualServiceObject
  | DestinationRuleObject
  | ServiceEntryObject
  | WorkloadEntryObject
  | SidecarObject
  | GatewayObject;
