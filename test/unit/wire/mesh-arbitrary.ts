/** Random mesh resources as a valid translation would produce them. */
import fc from 'fast-check';
import type { MeshResource, MeshSettings, Service, Workload } from '../../../mesh/model.ts';
import type { AuthorizationPolicy } from '../../../mesh/policy-model.ts';
import type { HeaderMatch, HeaderModifier, HttpRoute, TcpRoute, TlsRoute } from '../../../mesh/route-model.ts';

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/);
const token = fc.stringMatching(/^[A-Za-z][-A-Za-z0-9]{0,10}$/);
const text = fc.stringMatching(/^[ -~é]{0,20}$/);
const port = fc.integer({ min: 1, max: 65_535 });
const ip = fc.oneof(
  fc.ipV4(),
  fc.constantFrom('2001:db8::1', '::1', 'fe80::1:0:0:1', '1:2:3:4:5:6:7:8', '::', '2001:db8:0:1:1:1:1:1'),
);
const record = fc.dictionary(label, text, { maxKeys: 4, noNullPrototype: true });
const few = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(item, { maxLength: 3 });

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
  services: fc.dictionary(
    fc.tuple(label, label).map(([namespace, name]) => `${namespace}/${name}`),
    few(fc.record({ servicePort: port, targetPort: port })),
    { maxKeys: 3, noNullPrototype: true },
  ),
});

const arbitraryService: fc.Arbitrary<Service> = fc
  .record({
    namespace: label,
    name: label,
    addresses: few(ip),
    ports: few(
      fc.record({ port, name: text, protocol: fc.constantFrom('http', 'http2', 'grpc', 'tls', 'tcp', 'detect') }),
    ),
  })
  .map((service) => ({
    kind: 'service',
    hostname: `${service.name}.${service.namespace}.svc.cluster.local`,
    ...service,
  }));

const valueMatch: fc.Arbitrary<HeaderMatch> = fc.record({
  name: token,
  type: fc.constantFrom('exact', 'regex'),
  value: text,
});
const nameValue = fc.record({ name: token, value: text });
const modifier: fc.Arbitrary<HeaderModifier> = fc.record({
  type: fc.constantFrom('requestHeaderModifier', 'responseHeaderModifier'),
  set: few(nameValue),
  add: few(nameValue),
  remove: few(token),
});

const arbitraryHttpRoute: fc.Arbitrary<HttpRoute> = fc.record({
  kind: fc.constant('httpRoute' as const),
  namespace: label,
  name: label,
  createdMs: fc.integer({ min: 0, max: 4e12 }),
  parents: few(fc.record({ namespace: label, name: label, port: fc.option(port) })),
  rules: few(
    fc.record({
      name: fc.option(token),
      matches: few(
        fc.record({
          path: fc.option(
            fc.record({ type: fc.constantFrom('exact', 'prefix'), value: text.map((tail) => `/${tail}`) }),
          ),
          method: fc.option(token),
          headers: few(valueMatch),
          queryParams: few(valueMatch),
        }),
      ),
      filters: few(modifier),
      backends: few(
        fc.record({
          namespace: label,
          name: label,
          port,
          weight: fc.integer({ min: 0, max: 1_000_000 }),
          filters: few(modifier),
          valid: fc.boolean(),
        }),
      ),
    }),
  ),
});

const stream = {
  namespace: label,
  name: label,
  createdMs: fc.integer({ min: 0, max: 4e12 }),
  parents: few(fc.record({ namespace: label, name: label, port: fc.option(port) })),
  backends: few(
    fc.record({
      namespace: label,
      name: label,
      port,
      weight: fc.integer({ min: 0, max: 1_000_000 }),
      valid: fc.boolean(),
    }),
  ),
};
const arbitraryTlsRoute: fc.Arbitrary<TlsRoute> = fc.record({
  kind: fc.constant('tlsRoute' as const),
  ...stream,
  hostnames: few(fc.tuple(fc.constantFrom('', '*.'), label).map((parts) => parts.join(''))),
});
const arbitraryTcpRoute: fc.Arbitrary<TcpRoute> = fc.record({ kind: fc.constant('tcpRoute' as const), ...stream });

const arbitraryPolicy: fc.Arbitrary<AuthorizationPolicy> = fc.record({
  kind: fc.constant('authorizationPolicy' as const),
  namespace: label,
  name: label,
  action: fc.constantFrom('ALLOW', 'DENY'),
  meshWide: fc.boolean(),
  selector: fc.option(record),
  targetServices: few(fc.tuple(label, label).map((pair) => pair.join('/'))),
  rules: few(
    fc.record({
      from: few(
        fc.record({
          principals: few(token),
          notPrincipals: few(token),
          namespaces: few(token),
          notNamespaces: few(token),
          serviceAccounts: few(token),
          notServiceAccounts: few(token),
          ipBlocks: few(token),
          notIpBlocks: few(token),
          remoteIpBlocks: few(token),
          notRemoteIpBlocks: few(token),
        }),
      ),
      to: few(
        fc.record({
          hosts: few(token),
          notHosts: few(token),
          ports: few(port),
          notPorts: few(port),
          methods: few(token),
          notMethods: few(token),
          paths: few(token),
          notPaths: few(token),
        }),
      ),
      when: few(
        fc.record({
          key: fc.constantFrom('connection.sni' as const, 'remote.ip' as const),
          values: few(token),
          notValues: few(token),
        }),
      ),
    }),
  ),
});

const arbitrarySettings: fc.Arbitrary<MeshSettings> = fc.record({
  kind: fc.constant('meshSettings' as const),
  namespace: label,
  name: label,
  metrics: fc.boolean(),
  accessLog: fc.boolean(),
  bypass: fc.boolean(),
});

/** Plain objects throughout: fast-check's records have no prototype. */
export const arbitraryResource: fc.Arbitrary<MeshResource> = fc
  .oneof(
    arbitraryWorkload,
    arbitraryService,
    arbitraryHttpRoute,
    arbitraryTlsRoute,
    arbitraryTcpRoute,
    arbitraryPolicy,
    arbitrarySettings,
  )
  .map((resource) => JSON.parse(JSON.stringify(resource)) as MeshResource);
