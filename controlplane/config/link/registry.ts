/**
 * How each kind is linked. A new kind is one entry here, one in config/kinds.ts, and its object type in AcceptedObject.
 *
 * Pods are not here: see workloads.ts.
 */
import type { MeshKind, ResourceKey } from '../../../mesh/model.ts';
import { linkDestinationRule } from '../istio/destination-rule.ts';
import { linkServiceEntry } from '../istio/service-entry-link.ts';
import { linkSidecar } from '../istio/sidecar.ts';
import { linkVirtualService } from '../istio/virtual-service-link.ts';
import { linkWorkloadEntry } from '../istio/workload-entry.ts';
import type { AcceptedObject, MeshConfigObject, ObjectKey, ObjectKind, ObjectOf } from '../objects.ts';
import {
  linkAuthorizationPolicy,
  linkNetworkPolicy,
  linkPeerAuthentication,
  linkRequestAuthentication,
} from './policies.ts';
import { linkHttpRoute, linkStreamRoute } from './routes.ts';
import { linkEndpointSlice, linkService } from './services.ts';
import type { Link, Linked, LinkView } from './view.ts';

interface KindLink<O> {
  readonly link: Link<O>;
  /** Kinds it looks up in the view: when an object of one of these changes, every object of this kind is linked again. */
  readonly looksUp: readonly ObjectKind[];
  /** What it can become. The key of such a resource is `namespace/name` of the object, with the source of a route before it. */
  readonly becomes: readonly MeshKind[];
}

const nothing: KindLink<unknown> = { link: () => ({ resources: [], findings: [] }), looksUp: [], becomes: [] };
const linkMeshConfig: Link<MeshConfigObject> = ({ settings }) => ({ resources: [settings], findings: [] });

/** What references of Gateway API routes may lead to. */
const ROUTE_LOOKUPS: readonly ObjectKind[] = ['Service', 'ServiceEntry', 'ReferenceGrant'];

const LINKS: { readonly [K in Exclude<ObjectKind, 'Pod'>]: KindLink<ObjectOf<K>> } = {
  Service: { link: linkService, looksUp: [], becomes: ['service'] },
  EndpointSlice: { link: linkEndpointSlice, looksUp: ['Service', 'Pod'], becomes: [] },
  Node: nothing,
  Namespace: nothing,
  ServiceAccount: nothing,
  ConfigMap: { link: linkMeshConfig, looksUp: [], becomes: ['meshSettings'] },
  HTTPRoute: { link: linkHttpRoute, looksUp: ROUTE_LOOKUPS, becomes: ['httpRoute'] },
  GRPCRoute: { link: linkHttpRoute, looksUp: ROUTE_LOOKUPS, becomes: ['httpRoute'] },
  TLSRoute: { link: linkStreamRoute, looksUp: ROUTE_LOOKUPS, becomes: ['tlsRoute'] },
  TCPRoute: { link: linkStreamRoute, looksUp: ROUTE_LOOKUPS, becomes: ['tcpRoute'] },
  ReferenceGrant: nothing,
  AuthorizationPolicy: {
    link: linkAuthorizationPolicy,
    looksUp: ['Service', 'ConfigMap'],
    becomes: ['authorizationPolicy'],
  },
  PeerAuthentication: { link: linkPeerAuthentication, looksUp: ['ConfigMap'], becomes: ['peerAuthentication'] },
  RequestAuthentication: {
    link: linkRequestAuthentication,
    looksUp: ['Service', 'ConfigMap'],
    becomes: ['requestAuthentication'],
  },
  NetworkPolicy: { link: linkNetworkPolicy, looksUp: ['Namespace'], becomes: ['networkPolicy'] },
  VirtualService: {
    link: linkVirtualService,
    looksUp: ['Service', 'ServiceEntry', 'DestinationRule', 'VirtualService', 'HTTPRoute', 'GRPCRoute', 'ConfigMap'],
    becomes: ['httpRoute', 'tlsRoute', 'tcpRoute'],
  },
  DestinationRule: {
    link: linkDestinationRule,
    looksUp: ['Service', 'ServiceEntry', 'DestinationRule', 'ConfigMap'],
    becomes: ['destinationRule'],
  },
  ServiceEntry: {
    link: linkServiceEntry,
    looksUp: ['Pod', 'Service', 'ServiceEntry', 'WorkloadEntry'],
    becomes: ['serviceEntry'],
  },
  WorkloadEntry: { link: linkWorkloadEntry, looksUp: ['Service'], becomes: [] },
  Sidecar: { link: linkSidecar, looksUp: ['ConfigMap'], becomes: ['sidecarScope'] },
  Gateway: nothing,
  GatewayClass: nothing,
  EnvoyFilter: nothing,
  WasmPlugin: nothing,
  Telemetry: nothing,
  ProxyConfig: nothing,
  WorkloadGroup: nothing,
  BackendTLSPolicy: nothing,
};

/** Links one object of any kind but Pod. */
export function linkObject(object: AcceptedObject, view: LinkView): Linked {
  if (object.kind === 'Pod') return nothing.link(object, view);
  // The compiler cannot see that an object and the entry of its own kind belong together; the type of LINKS says they do.
  return (LINKS[object.kind] as KindLink<AcceptedObject>).link(object, view);
}

/** The kinds whose objects must be linked again when objects of the kinds `changed` have. */
export function dependants(changed: ReadonlySet<ObjectKind>): ObjectKind[] {
  const kinds = Object.keys(LINKS) as (keyof typeof LINKS)[];
  return kinds.filter((kind) => LINKS[kind].looksUp.some((each) => changed.has(each)));
}

/**
 * The resources that agents may keep of an object of which no valid version is known. Pods have none: their address may be
 * another's by now.
 */
export function heldKeys(key: ObjectKey): ResourceKey[] {
  const [kind = '', name = ''] = key.split(' ');
  if (!Object.hasOwn(LINKS, kind)) return [];
  const prefix = kind === 'GRPCRoute' || kind === 'VirtualService' ? `${kind}/` : '';
  return LINKS[kind as keyof typeof LINKS].becomes.map((becomes) => ({ kind: becomes, key: `${prefix}${name}` }));
}
