/** Random mesh resources of every kind, as a valid translation would produce them. */
import fc from 'fast-check';
import type { MeshKind, MeshResource, Workload } from '../../../mesh/model.ts';
import { arbitraryPolicies } from './policy-arbitrary.ts';
import { arbitraryRoutes } from './route-arbitrary.ts';
import { few, ip, label, namespacedName, port, record, text } from './text-arbitrary.ts';
import { arbitraryTraffic } from './traffic-arbitrary.ts';

export const arbitraryWorkload: fc.Arbitrary<Workload> = fc.record({
  kind: fc.constant('workload' as const),
  uid: fc.uuid(),
  namespace: label,
  name: label,
  serviceAccount: label,
  node: text,
  addresses: few(ip),
  ready: fc.boolean(),
  hostNetwork: fc.boolean(),
  labels: record,
  annotations: record,
  workloadName: text,
  canonicalName: text,
  canonicalRevision: text,
  namedPorts: fc.dictionary(label, port, { maxKeys: 3, noNullPrototype: true }),
  locality: text,
  services: fc.dictionary(namespacedName, few(fc.record({ servicePort: port, targetPort: port })), {
    maxKeys: 3,
    noNullPrototype: true,
  }),
});

const arbitraryService = fc
  .record({
    namespace: label,
    name: label,
    addresses: few(ip),
    ports: fc.uniqueArray(
      fc.record({ port, name: text, protocol: fc.constantFrom('http', 'http2', 'grpc', 'tls', 'tcp', 'detect') }),
      { maxLength: 3, selector: (each) => each.port },
    ),
    internalTrafficPolicy: fc.constantFrom('Cluster', 'Local'),
    trafficDistribution: fc.constantFrom(null, 'PreferSameZone', 'PreferSameNode'),
    externalName: fc.option(label),
  })
  .map((service) => ({
    kind: 'service',
    hostname: `${service.name}.${service.namespace}.svc.cluster.local`,
    ...service,
  }));

const trustDomain = fc.constantFrom('cluster.local', 'td', 'a_b.c-d');
const arbitrarySettings = fc.record({
  kind: fc.constant('meshSettings'),
  namespace: label,
  name: label,
  metrics: fc.boolean(),
  accessLog: fc.boolean(),
  bypass: fc.boolean(),
  trustDomain,
  trustDomainAliases: few(trustDomain),
  rootNamespace: label,
  pathNormalization: fc.constantFrom('NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'),
  outboundTrafficPolicy: fc.constantFrom('ALLOW_ANY', 'REGISTRY_ONLY'),
});

const BY_KIND: Readonly<Record<MeshKind, fc.Arbitrary<unknown>>> = {
  workload: arbitraryWorkload,
  service: arbitraryService,
  ...arbitraryRoutes,
  ...arbitraryPolicies,
  ...arbitraryTraffic,
  meshSettings: arbitrarySettings,
};

/** Resources of one kind. Plain objects throughout: fast-check's records have no prototype. */
export function arbitraryOf(kind: MeshKind): fc.Arbitrary<MeshResource> {
  return BY_KIND[kind].map((resource) => JSON.parse(JSON.stringify(resource)) as MeshResource);
}

export const MESH_KINDS = Object.keys(BY_KIND) as readonly MeshKind[];

/** All kinds alike. */
export const arbitraryResource: fc.Arbitrary<MeshResource> = fc.oneof(...MESH_KINDS.map(arbitraryOf));
