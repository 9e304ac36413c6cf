/** Random resources of Istio's networking kinds that are no routes; see mesh-arbitrary.ts. */
import fc from 'fast-check';
import {
  block,
  createdMs,
  durationMs,
  few,
  hostname,
  ip,
  label,
  namespacedName,
  namespaces,
  port,
  record,
  text,
} from './text-arbitrary.ts';

const serviceEntry = fc.record({
  kind: fc.constant('serviceEntry'),
  namespace: label,
  name: label,
  hosts: few(hostname),
  addresses: few(block),
  ports: fc.uniqueArray(
    fc.record({
      port,
      name: text,
      protocol: fc.constantFrom('http', 'http2', 'grpc', 'tls', 'tcp', 'detect'),
      targetPort: port,
    }),
    { maxLength: 3, selector: (each) => each.port },
  ),
  location: fc.constantFrom('MESH_EXTERNAL', 'MESH_INTERNAL'),
  resolution: fc.constantFrom('NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'),
  endpoints: few(
    fc.record({
      address: ip,
      ports: fc.dictionary(port.map(String), port, { maxKeys: 2, noNullPrototype: true }),
      labels: record,
      serviceAccount: text,
      weight: fc.nat(1_000),
      locality: text,
    }),
  ),
  workloads: few(fc.uuid()),
  exportTo: namespaces,
});

const count = fc.option(fc.nat(1_000));
const trafficPolicy = fc.record({
  loadBalancer: fc.constantFrom(
    'UNSPECIFIED',
    'ROUND_ROBIN',
    'LEAST_REQUEST',
    'RANDOM',
    'PASSTHROUGH',
    'CONSISTENT_HASH',
  ),
  tlsMode: fc.constantFrom('UNSET', 'DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
  maxConnections: count,
  maxPendingRequests: count,
  maxRequests: count,
  connectTimeoutMs: fc.option(durationMs),
  idleTimeoutMs: fc.option(durationMs),
  outlier: fc.option(
    fc.record({
      consecutive5xxErrors: fc.nat(10),
      intervalMs: durationMs,
      baseEjectionMs: durationMs,
      maxEjectionPercent: fc.nat(100),
    }),
  ),
});

const host = fc.oneof(hostname, fc.constant('*'));
const destinationRule = fc.record({
  kind: fc.constant('destinationRule'),
  namespace: label,
  name: label,
  host,
  services: few(namespacedName),
  trafficPolicy: fc.option(trafficPolicy),
  portPolicies: fc.dictionary(port.map(String), trafficPolicy, { maxKeys: 2, noNullPrototype: true }),
  subsets: few(fc.record({ name: label, labels: record, trafficPolicy: fc.option(trafficPolicy) })),
  exportTo: namespaces,
  workloadSelector: fc.option(record),
});

const sidecarScope = fc.record({
  kind: fc.constant('sidecarScope'),
  namespace: label,
  name: label,
  meshWide: fc.boolean(),
  selector: fc.option(record),
  egress: fc.option(
    few(
      fc.record({
        port: fc.option(port),
        hosts: few(fc.record({ namespace: fc.oneof(label, fc.constantFrom('*', '~')), host })),
      }),
    ),
  ),
  outboundTrafficPolicy: fc.constantFrom(null, 'ALLOW_ANY', 'REGISTRY_ONLY'),
  createdMs,
});

export const arbitraryTraffic = { serviceEntry, destinationRule, sidecarScope };
