/** Accepted objects of the Gateway API: routes attached to Services, and ReferenceGrants. */
import type {
  BackendTarget,
  HttpRoute,
  HttpRouteBackend,
  HttpRouteRule,
  TcpRoute,
  TlsRoute,
} from '../../mesh/route-model.ts';
import type { FieldPath } from '../finding.ts';
import type { ObjectOrigin } from './objects.ts';

/** One parentRef that the mesh answers for. */
export interface ParentReference {
  /** `ServiceEntry`: every host of that entry. `Hostname`: the host of a ServiceEntry, or of a Service. */
  readonly kind: 'Service' | 'ServiceEntry' | 'Hostname';
  readonly namespace: string;
  readonly name: string;
  readonly port: number | null;
  /** Name of a port of the Service. */
  readonly sectionName: string | null;
  readonly path: FieldPath;
}

/** What a backendRef says, whether weir can follow it or not. */
export interface BackendReference {
  /** '' for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port: number | null;
  readonly path: FieldPath;
}

/**
 * A filter that weir has not. The requests of its rule, or its backend's share of them, are answered with 500: none may pass as if
 * the filter were not there (Gateway API).
 */
export interface UnsupportedFilter {
  readonly path: FieldPath;
  readonly type: string;
}

interface RouteObjectBase {
  readonly namespace: string;
  readonly name: string;
  /** metadata.generation; null: not written. */
  readonly generation: number | null;
  readonly parents: readonly ParentReference[];
  /** By the backend or mirror filter of `route` that was made of it. Those are all marked valid: the linker decides. */
  readonly references: ReadonlyMap<BackendTarget, BackendReference>;
  readonly origin: ObjectOrigin;
}

export interface HttpRouteObject extends RouteObjectBase {
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  /** As far as it can be told without other objects; `parents` and `clients` are those of the linker. */
  readonly route: HttpRoute;
  /** By the rule or backend that has it; the first of each. */
  readonly unsupported: ReadonlyMap<HttpRouteRule | HttpRouteBackend, UnsupportedFilter>;
}

export interface StreamRouteObject extends RouteObjectBase {
  readonly kind: 'TLSRoute' | 'TCPRoute';
  /** As in HttpRouteObject. */
  readonly route: TlsRoute | TcpRoute;
}

export type RouteObject = HttpRouteObject | StreamRouteObject;

/** ReferenceGrant: routes of `from` may send to the objects of `to` in the grant's namespace. */
export interface ReferenceGrantObject {
  readonly kind: 'ReferenceGrant';
  readonly namespace: string;
  readonly name: string;
  readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
  /** `name` null: every object of that kind. */
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string | null }[];
}
