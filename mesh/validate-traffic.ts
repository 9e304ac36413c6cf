/** Validators of Istio's networking kinds that are no routes (traffic-model.ts). */
import { parseCidr, parseIp } from './ip.ts';
import {
  address,
  block,
  createdMs,
  durationMs,
  hostname,
  labels,
  namespace,
  namespacedName,
  namespaces,
  objectName,
  port,
  portProtocol,
  portText,
  selector,
} from './validate-fields.ts';
import {
  anyText,
  type Check,
  closed,
  fault,
  flag,
  integer,
  list,
  oneOf,
  orNull,
  record,
  text,
} from './validate-shapes.ts';

/**
 * Hosts of a ServiceEntry times what backs them (endpoints, selected pods): each of one is told of each of the other, which takes a
 * tenth of a second at this number.
 */
export const ENTRY_MEMBERS_MAX = 65_536;

/** An int32 of Istio's that counts something. */
const count = integer(0, 2_147_483_647);

/** A host with a dot in it: without one it could be taken for a Service's name. */
const dottedHost: Check = (value, at) =>
  hostname(value, at) ??
  ((value as string).includes('.') ? null : fault(at, value, 'has no dot: write for example a.example.com'));

const entryPort = closed({ port, name: anyText, protocol: portProtocol, targetPort: port });

/** An IP address, or a host name that is looked up. */
const endpointAddress: Check = (value, at) =>
  typeof value === 'string' && parseIp(value) !== null ? address(value, at) : hostname(value, at);

const entryEndpoint = closed({
  address: endpointAddress,
  ports: record(port, portText),
  labels,
  serviceAccount: anyText,
  weight: count,
  locality: anyText,
});

/** ServiceEntry. */
export const serviceEntry = closed(
  {
    kind: text,
    namespace,
    name: objectName,
    hosts: list(dottedHost),
    addresses: list(block),
    ports: list(entryPort),
    location: oneOf('MESH_EXTERNAL', 'MESH_INTERNAL'),
    resolution: oneOf('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
    endpoints: list(entryEndpoint),
    workloads: list(text),
    exportTo: namespaces,
  },
  (value) => {
    const entry = value as {
      readonly resolution: string;
      readonly hosts: readonly string[];
      readonly workloads: readonly string[];
      readonly ports: readonly { readonly port: number }[];
      readonly endpoints: readonly { readonly address: string }[];
    };
    const ports = entry.ports.map((each) => each.port);
    const twice = ports.find((number, i) => ports.indexOf(number) !== i);
    if (twice !== undefined) return `ports: ${twice} is listed twice: keep one entry per port`;
    const members = entry.endpoints.length + entry.workloads.length;
    if (entry.hosts.length * members > ENTRY_MEMBERS_MAX) {
      const found = `has ${members} for ${entry.hosts.length} hosts, and hosts times endpoints may be ${ENTRY_MEMBERS_MAX}`;
      return `endpoints: ${found}: write several ServiceEntries, each with a part of the hosts`;
    }
    if (entry.resolution !== 'STATIC' && entry.resolution !== 'NONE') return null;
    const named = entry.endpoints.findIndex((endpoint) => parseCidr(endpoint.address) === null);
    return named < 0 ? null : `endpoints[${named}].address: is a host name: write an address, or resolution DNS`;
  },
);

const trafficPolicy = closed({
  loadBalancer: oneOf('UNSPECIFIED', 'ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM', 'PASSTHROUGH', 'CONSISTENT_HASH'),
  tlsMode: oneOf('UNSET', 'DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
  maxConnections: orNull(count),
  maxPendingRequests: orNull(count),
  maxRequests: orNull(count),
  connectTimeoutMs: orNull(durationMs),
  idleTimeoutMs: orNull(durationMs),
  outlier: orNull(
    closed({
      consecutive5xxErrors: count,
      intervalMs: durationMs,
      baseEjectionMs: durationMs,
      maxEjectionPercent: integer(0, 100),
    }),
  ),
});

const anyHost: Check = (value, at) => (value === '*' ? null : hostname(value, at));

/** DestinationRule. */
export const destinationRule = closed({
  kind: text,
  namespace,
  name: objectName,
  host: anyHost,
  services: list(namespacedName),
  trafficPolicy: orNull(trafficPolicy),
  portPolicies: record(trafficPolicy, portText),
  subsets: list(closed({ name: text, labels, trafficPolicy: orNull(trafficPolicy) })),
  exportTo: namespaces,
  workloadSelector: selector,
});

const egressNamespace: Check = (value, at) => (value === '*' || value === '~' ? null : namespace(value, at));

/** SidecarScope. */
export const sidecarScope = closed({
  kind: text,
  namespace,
  name: objectName,
  meshWide: flag,
  selector,
  egress: orNull(
    list(closed({ port: orNull(port), hosts: list(closed({ namespace: egressNamespace, host: anyHost })) })),
  ),
  outboundTrafficPolicy: orNull(oneOf('ALLOW_ANY', 'REGISTRY_ONLY')),
  createdMs,
});
