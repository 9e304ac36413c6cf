/**
 * Accepted objects: what the controller keeps of a Kubernetes object once it is valid in itself. References to other
 * objects are not resolved here; the linker does that, because the other objects change on their own.
 */
import type { Ip, MeshSettings, PortProtocol } from '../../mesh/model.ts';
import type { AuthorizationPolicy } from '../../mesh/policy-model.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from '../../mesh/route-model.ts';
import type { FieldPath, SourcePosition } from '../finding.ts';

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
  /** null: no selector, hence no pods. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly publishNotReadyAddresses: boolean;
}

export interface HttpRouteObject {
  readonly kind: 'HTTPRoute';
  readonly namespace: string;
  readonly name: string;
  /** Backends are all marked valid; the linker decides. */
  readonly route: HttpRoute;
  /** `backends[i][j]`: where the reference of rule i, backend j stands, and whether it can be followed at all. */
  readonly backends: readonly (readonly BackendReference[])[];
  readonly parentPaths: readonly FieldPath[];
  readonly origin: ObjectOrigin;
}

export interface StreamRouteObject {
  readonly kind: 'TLSRoute' | 'TCPRoute';
  readonly namespace: string;
  readonly name: string;
  /** Backends are all marked valid; the linker decides. */
  readonly route: TlsRoute | TcpRoute;
  /** By backend, as in HttpRouteObject. */
  readonly backends: readonly BackendReference[];
  readonly parentPaths: readonly FieldPath[];
  readonly origin: ObjectOrigin;
}

export interface BackendReference {
  readonly path: FieldPath;
  /** Not a Service: its share is answered with 500 (HTTP) or reset, whatever exists. */
  readonly foreignKind: string | null;
}

export interface PolicyObject {
  readonly kind: 'AuthorizationPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly policy: AuthorizationPolicy;
  readonly targetPaths: readonly FieldPath[];
  readonly origin: ObjectOrigin;
}

/** The ConfigMap that configures the mesh; other ConfigMaps are of no consequence. */
export interface MeshConfigObject {
  readonly kind: 'ConfigMap';
  readonly namespace: string;
  readonly name: string;
  readonly settings: MeshSettings;
}

/** Known, and of no consequence for the mesh so far. */
export interface BareObject {
  readonly kind: 'Namespace' | 'ServiceAccount';
  readonly namespace: string;
  readonly name: string;
}

export type AcceptedObject =
  | PodObject
  | ServiceObject
  | HttpRouteObject
  | StreamRouteObject
  | PolicyObject
  | MeshConfigObject
  | BareObject;

/** `Kind namespace/name`, or `Kind name` for what has no namespace. */
export type ObjectKey = string;

/** The key of an object, as it is shown to people. */
export function objectKey(kind: string, namespace: string, name: string): ObjectKey {
  return kind === 'Namespace' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
