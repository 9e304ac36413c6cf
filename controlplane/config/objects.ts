/**
 * Accepted objects: what the controller keeps of a Kubernetes object once it is valid in itself. References to other
 * objects are not resolved here; the linker does that, because the other objects change on their own.
 *
 * Here are the kinds of Kubernetes itself; the Gateway API's are in route-objects.ts, policies in policy-objects.ts, Istio's
 * networking kinds in istio/objects.ts.
 */
import type { Ip, MeshSettings, PortProtocol, Service } from '../../mesh/model.ts';
import type { FieldPath, SourcePosition } from '../finding.ts';
import type { IstioObject } from './istio/objects.ts';
import type { PolicyObject } from './policy-objects.ts';
import type { ReferenceGrantObject, RouteObject } from './route-objects.ts';

/** Where the fields of an object stand, for findings that come up when it is linked. */
export interface ObjectOrigin {
  locate(path: FieldPath, at: 'key' | 'value'): SourcePosition;
}

export interface PodObject {
  readonly kind: 'Pod';
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Only those under `weir.dev/`. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly node: string;
  readonly addresses: readonly Ip[];
  readonly hostNetwork: boolean;
  /** Condition Ready is True and the pod is not being deleted. */
  readonly ready: boolean;
  /** Phase Succeeded or Failed: its address may already belong to another pod. */
  readonly ended: boolean;
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  /** TCP container ports by name. */
  readonly namedPorts: Readonly<Record<string, number>>;
  /** Where its uid stands. */
  readonly position: SourcePosition;
}

export interface ServiceObjectPort {
  readonly port: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
}

export interface ServiceObject {
  readonly kind: 'Service';
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly Ip[];
  readonly ports: readonly ServiceObjectPort[];
  /** null: no selector, hence only the pods that EndpointSlices name. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly publishNotReadyAddresses: boolean;
  readonly internalTrafficPolicy: Service['internalTrafficPolicy'];
  readonly trafficDistribution: Service['trafficDistribution'];
  /** Lower case; null: not of that type. */
  readonly externalName: string | null;
}

/** discovery.k8s.io/v1 EndpointSlice: matters where its Service has no selector. */
export interface EndpointSliceObject {
  readonly kind: 'EndpointSlice';
  readonly namespace: string;
  readonly name: string;
  /** Name of its Service, which is of the same namespace. */
  readonly service: string;
  readonly endpoints: readonly SliceEndpoint[];
  /** TCP only. */
  readonly ports: readonly { readonly name: string; readonly port: number }[];
  readonly origin: ObjectOrigin;
}

export interface SliceEndpoint {
  readonly addresses: readonly Ip[];
  readonly ready: boolean;
  /** Its pod (targetRef); null: it names none. */
  readonly pod: { readonly namespace: string; readonly name: string } | null;
  readonly path: FieldPath;
}

export interface NodeObject {
  readonly kind: 'Node';
  /** '': Nodes have none. */
  readonly namespace: '';
  readonly name: string;
  /** `region/zone/subzone` as far as its labels tell; '' unknown. */
  readonly locality: string;
}

export interface NamespaceObject {
  readonly kind: 'Namespace';
  /** '': Namespaces have none. */
  readonly namespace: '';
  readonly name: string;
  /** `kubernetes.io/metadata.name` included, whoever wrote it. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The ConfigMap that configures the mesh; other ConfigMaps are of no consequence. */
export interface MeshConfigObject {
  readonly kind: 'ConfigMap';
  readonly namespace: string;
  readonly name: string;
  readonly settings: MeshSettings;
}

/** Known, and of no consequence for the mesh so far. */
export interface ServiceAccountObject {
  readonly kind: 'ServiceAccount';
  readonly namespace: string;
  readonly name: string;
}

export type AcceptedObject =
  | PodObject
  | ServiceObject
  | EndpointSliceObject
  | NodeObject
  | NamespaceObject
  | ServiceAccountObject
  | MeshConfigObject
  | RouteObject
  | ReferenceGrantObject
  | PolicyObject
  | IstioObject;

/** The Kubernetes kinds that become accepted objects. */
export type ObjectKind = AcceptedObject['kind'];

/** The object type of a kind; of a type with several kinds (HttpRouteObject) the whole type. */
export type ObjectOf<K extends ObjectKind, O = AcceptedObject> = O extends { readonly kind: infer Kinds }
  ? K extends Kinds
    ? O
    : never
  : never;

/** `Kind namespace/name`, or `Kind name` for what has no namespace. */
export type ObjectKey = string;

/** Kinds without a namespace, as far as the controller reads them. */
const CLUSTER_KINDS: ReadonlySet<string> = new Set(['Namespace', 'Node']);

/** Whether objects of a kind stand outside namespaces. */
export function isClusterKind(kind: string): boolean {
  return CLUSTER_KINDS.has(kind);
}

/** The key of an object, as it is shown to people. */
export function objectKey(kind: string, namespace: string, name: string): ObjectKey {
  return isClusterKind(kind) ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
