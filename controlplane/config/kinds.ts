/**
 * The kinds the controller knows and how each is read. A new kind is one entry here, one in link/registry.ts (how it is linked), and
 * its object type in AcceptedObject.
 */
import { readAuthorizationPolicy } from './authorization-policy.ts';
import { readEndpointSlice } from './endpoint-slice.ts';
import { readGrpcRoute, readHttpRoute } from './http-route.ts';
import { ISTIO_KINDS } from './istio/kinds.ts';
import { readMeshConfig } from './mesh-config.ts';
import { readNamespace, readServiceAccount } from './namespace.ts';
import { readNetworkPolicy } from './network-policy.ts';
import { readNode } from './node.ts';
import type { ObjectReader, ReaderOptions } from './object-reader.ts';
import type { AcceptedObject, ObjectOrigin } from './objects.ts';
import { readPeerAuthentication } from './peer-authentication.ts';
import { readPod } from './pod.ts';
import { readReferenceGrant } from './reference-grant.ts';
import { readRequestAuthentication } from './request-authentication.ts';
import { readService } from './service.ts';
import { readStreamRoute } from './stream-route.ts';

/** What reading an object may depend on beside the object. */
export interface ReadContext {
  /** Policies of this namespace hold for the whole mesh. */
  readonly rootNamespace: string;
}

/** Reads one object; null when it is unusable (then there are problems) or of no consequence for the mesh. */
export type Read = (reader: ObjectReader, origin: ObjectOrigin, context: ReadContext) => AcceptedObject | null;

export interface KnownKind {
  /** '' for the core group. */
  readonly group: string;
  readonly kind: string;
  /** Served versions, the preferred one first. */
  readonly versions: readonly string[];
  readonly options: ReaderOptions;
  /** null: another part of the system reads it, or nobody needs to; no finding. */
  readonly read: Read | null;
}

const lenient: ReaderOptions = { nullIs: 'absent', unknownField: 'warning' };
const strict: ReaderOptions = { nullIs: 'error', unknownField: 'error' };

const GATEWAY = 'gateway.networking.k8s.io';
const ISTIO_SECURITY = 'security.istio.io';

const KINDS: readonly KnownKind[] = [
  // --- Kubernetes
  { group: '', kind: 'Namespace', versions: ['v1'], options: lenient, read: readNamespace },
  { group: '', kind: 'Node', versions: ['v1'], options: lenient, read: readNode },
  { group: '', kind: 'ServiceAccount', versions: ['v1'], options: lenient, read: readServiceAccount },
  { group: '', kind: 'Pod', versions: ['v1'], options: lenient, read: readPod },
  { group: '', kind: 'Service', versions: ['v1'], options: lenient, read: readService },
  {
    group: '',
    kind: 'ConfigMap',
    versions: ['v1'],
    options: lenient,
    read: (reader, _origin, { rootNamespace }) => readMeshConfig(reader, rootNamespace),
  },
  { group: 'discovery.k8s.io', kind: 'EndpointSlice', versions: ['v1'], options: lenient, read: readEndpointSlice },
  { group: 'apps', kind: 'Deployment', versions: ['v1'], options: lenient, read: null },
  { group: 'apps', kind: 'ReplicaSet', versions: ['v1'], options: lenient, read: null },
  { group: 'apps', kind: 'StatefulSet', versions: ['v1'], options: lenient, read: null },
  { group: 'apps', kind: 'DaemonSet', versions: ['v1'], options: lenient, read: null },

  // --- Gateway API
  { group: GATEWAY, kind: 'HTTPRoute', versions: ['v1', 'v1beta1', 'v1alpha2'], options: strict, read: readHttpRoute },
  { group: GATEWAY, kind: 'GRPCRoute', versions: ['v1', 'v1alpha2'], options: strict, read: readGrpcRoute },
  {
    group: GATEWAY,
    kind: 'TLSRoute',
    versions: ['v1', 'v1alpha3', 'v1alpha2'],
    options: strict,
    read: (reader, origin) => readStreamRoute('TLSRoute', reader, origin),
  },
  {
    group: GATEWAY,
    kind: 'TCPRoute',
    versions: ['v1', 'v1alpha2'],
    options: strict,
    read: (reader, origin) => readStreamRoute('TCPRoute', reader, origin),
  },
  {
    group: GATEWAY,
    kind: 'ReferenceGrant',
    versions: ['v1', 'v1beta1', 'v1alpha2'],
    options: strict,
    read: readReferenceGrant,
  },

  // --- security
  {
    group: ISTIO_SECURITY,
    kind: 'AuthorizationPolicy',
    versions: ['v1', 'v1beta1'],
    options: strict,
    read: (reader, origin, { rootNamespace }) => readAuthorizationPolicy(reader, origin, rootNamespace),
  },
  {
    group: ISTIO_SECURITY,
    kind: 'PeerAuthentication',
    versions: ['v1', 'v1beta1'],
    options: strict,
    read: (reader, origin, { rootNamespace }) => readPeerAuthentication(reader, origin, rootNamespace),
  },
  {
    group: ISTIO_SECURITY,
    kind: 'RequestAuthentication',
    versions: ['v1', 'v1beta1'],
    options: strict,
    read: (reader, origin, { rootNamespace }) => readRequestAuthentication(reader, origin, rootNamespace),
  },
  {
    group: 'networking.k8s.io',
    kind: 'NetworkPolicy',
    versions: ['v1'],
    options: { nullIs: 'absent', unknownField: 'error' },
    read: readNetworkPolicy,
  },

  // --- Istio networking, and what is known without being supported
  ...ISTIO_KINDS,
];

const BY_NAME: ReadonlyMap<string, KnownKind> = new Map(KINDS.map((known) => [`${known.group}/${known.kind}`, known]));
const GROUPS: ReadonlyMap<string, readonly string[]> = new Map(
  KINDS.map(({ kind }) => [kind, KINDS.filter((other) => other.kind === kind).map(({ group }) => group)]),
);

/** The kind of that group and name. */
export function knownKind(group: string, kind: string): KnownKind | undefined {
  return BY_NAME.get(`${group}/${kind}`);
}

/** Whether a kind of that name exists in any group. */
export function isKind(kind: string): boolean {
  return GROUPS.has(kind);
}

/** The groups that have a kind of that name. */
export function groupsOf(kind: string): readonly string[] {
  return GROUPS.get(kind) ?? [];
}

/** The names of all kinds. */
export function knownKinds(): Iterable<string> {
  return GROUPS.keys();
}
