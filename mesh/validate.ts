/**
 * Validates resources from outside (a controller's stream, a snapshot on disk) before they reach MeshState: whatever passes
 * compiles without errors. Returns the first problem as text that names the field, what is wrong and what to write.
 *
 * Fields this version does not know are refused, at every depth: a condition that is skipped silently would admit more than its
 * author meant. Workloads and Services ignore them.
 *
 * The kinds are in validate-routes.ts, validate-policies.ts and validate-traffic.ts, what they are made of in validate-shapes.ts
 * and validate-fields.ts.
 */

import { isMeshKind, keyOf, MESH_KINDS, type MeshKind, type MeshResource, type ResourceKey } from './model.ts';
import {
  address,
  hostname,
  labels,
  namespace,
  namespacedName,
  objectName,
  port,
  portProtocol,
} from './validate-fields.ts';
import { authorizationPolicy, networkPolicy, peerAuthentication, requestAuthentication } from './validate-policies.ts';
import { httpRoute, tcpRoute, tlsRoute } from './validate-routes.ts';
import {
  anyText,
  type Check,
  closed,
  flag,
  isObject,
  list,
  object,
  oneOf,
  orNull,
  record,
  show,
  text,
  written,
} from './validate-shapes.ts';
import { destinationRule, serviceEntry, sidecarScope } from './validate-traffic.ts';

/** What is wrong with a resource, or null. Never throws, whatever it is given. */
export function validateResource(resource: unknown): string | null {
  if (!isObject(resource)) return 'must be an object';
  const check = isMeshKind(resource['kind']) ? CHECKS[resource['kind']] : null;
  if (check === null) return `kind: ${show(resource['kind'])} is not known: write one of ${MESH_KINDS.join(', ')}`;
  return check(resource, '');
}

/** What is wrong with a removal, or null. */
export function validateKey(key: unknown): string | null {
  if (!isObject(key)) return 'must be an object';
  return object({ kind: oneOf(...MESH_KINDS), key: text })(key, '');
}

/** The key of something that may not be a valid resource, for error reports. */
export function keyOfAnything(resource: unknown): ResourceKey {
  const fields = isObject(resource) ? resource : {};
  const kind = isMeshKind(fields['kind']) ? fields['kind'] : 'workload';
  const string = (field: string): string => (typeof fields[field] === 'string' ? fields[field] : '?');
  const named = { kind, uid: string('uid'), namespace: string('namespace'), name: string('name') };
  return keyOf({
    ...named,
    ...(kind.endsWith('Route') ? { source: string('source') } : {}),
  } as unknown as MeshResource);
}

/** True when two JSON values are equal, whatever the order of their fields. */
export function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (Array.isArray(left)) {
    return Array.isArray(right) && left.length === right.length && left.every((item, i) => sameJson(item, right[i]));
  }
  if (!isObject(left) || !isObject(right) || Array.isArray(right)) return false;
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((field) => Object.hasOwn(right, field) && sameJson(left[field], right[field]))
  );
}

const workload = object({
  uid: text,
  namespace,
  name: objectName,
  serviceAccount: anyText,
  node: anyText,
  addresses: list(address),
  ready: flag,
  hostNetwork: flag,
  labels,
  annotations: record(anyText),
  workloadName: anyText,
  canonicalName: anyText,
  canonicalRevision: anyText,
  namedPorts: record(port),
  locality: anyText,
  services: record(list(object({ servicePort: port, targetPort: port })), namespacedName),
});

const service = object(
  {
    namespace,
    name: objectName,
    hostname: text,
    addresses: list(address),
    ports: list(object({ port, name: anyText, protocol: portProtocol })),
    internalTrafficPolicy: oneOf('Cluster', 'Local'),
    trafficDistribution: orNull(oneOf('PreferSameZone', 'PreferSameNode')),
    externalName: orNull(hostname),
  },
  (value) => {
    const ports = (value as { ports: readonly { port: number }[] }).ports.map((entry) => entry.port);
    const twice = ports.find((number, i) => ports.indexOf(number) !== i);
    return twice === undefined ? null : `ports: ${twice} is listed twice: keep one entry per TCP port`;
  },
);

/** SPIFFE-ID section 2.1. */
const trustDomain = written(
  /^[a-z0-9._-]{1,255}$/,
  'is not a trust domain: lower-case letters, digits, ".", "_" and "-"',
);

const meshSettings = closed({
  kind: text,
  namespace,
  name: objectName,
  metrics: flag,
  accessLog: flag,
  bypass: flag,
  trustDomain,
  trustDomainAliases: list(trustDomain),
  rootNamespace: namespace,
  pathNormalization: oneOf('NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'),
  outboundTrafficPolicy: oneOf('ALLOW_ANY', 'REGISTRY_ONLY'),
});

const CHECKS: Readonly<Record<MeshKind, Check>> = {
  workload,
  service,
  serviceEntry,
  httpRoute,
  tlsRoute,
  tcpRoute,
  destinationRule,
  sidecarScope,
  authorizationPolicy,
  peerAuthentication,
  requestAuthentication,
  networkPolicy,
  meshSettings,
};
