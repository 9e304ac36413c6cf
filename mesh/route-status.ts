/**
 * What became of a Gateway API route (RouteStatus of gateway.networking.k8s.io): computed by the controller, read by the CLI. The
 * names and reasons are the API's.
 */

/** The controller that answers for routes attached to Services. */
export const ROUTE_CONTROLLER_NAME = 'weir.dev/controller';

/** metav1.Condition without lastTransitionTime, which only whoever stores it can know. */
export interface RouteCondition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'PartiallyInvalid';
  readonly status: 'True' | 'False';
  readonly reason:
    | 'Accepted'
    | 'NoMatchingParent'
    | 'UnsupportedValue'
    | 'ResolvedRefs'
    | 'BackendNotFound'
    | 'InvalidKind'
    | 'RefNotPermitted'
    | 'UnsupportedProtocol';
  /** For people; '' when there is nothing to say. */
  readonly message: string;
  /** metadata.generation of the version it is about; 0 when that was not written. */
  readonly observedGeneration: number;
}

/** As the API's ParentReference. */
export interface StatusParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly port?: number;
  readonly sectionName?: string;
}

export interface RouteParentStatus {
  readonly parentRef: StatusParentRef;
  readonly controllerName: typeof ROUTE_CONTROLLER_NAME;
  readonly conditions: readonly RouteCondition[];
}

export interface RouteStatus {
  readonly kind: 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute' | 'TCPRoute';
  readonly namespace: string;
  readonly name: string;
  /** One for each parentRef that the mesh answers for, in the order in which they are written. */
  readonly parents: readonly RouteParentStatus[];
}
