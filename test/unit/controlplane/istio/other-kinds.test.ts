/** DestinationRule, ServiceEntry, WorkloadEntry, Sidecar, and the kinds that weir only knows by name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { validateResource } from '../../../../mesh/validate.ts';
import { mesh, object, said, SERVICES } from './mesh-yaml.ts';

const YET = 'is accepted, not yet enforced; do not rely on it yet';

test('a DestinationRule is carried whole; all but its subsets is said not to be enforced, field by field', () => {
  const spec = `  host: reviews
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    connectionPool:
      tcp: {maxConnections: 100, connectTimeout: 30ms}
      http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, idleTimeout: 0s}
    outlierDetection: {consecutive5xxErrors: 7, interval: 5m}
    tls: {mode: ISTIO_MUTUAL}
    portLevelSettings: [{port: {number: 9080}, loadBalancer: {simple: LEAST_CONN}, tls: {mode: DISABLE}}]
  subsets:
    - name: v1
      labels: {version: v1}
      trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}`;
  const translation = mesh(SERVICES, object('DestinationRule', '{name: d}', spec));
  const none = {
    tlsMode: 'UNSET',
    maxConnections: null,
    maxPendingRequests: null,
    maxRequests: null,
    connectTimeoutMs: null,
    idleTimeoutMs: null,
    outlier: null,
  };
  assert.deepEqual(translation.of('destinationRule'), [
    {
      kind: 'destinationRule',
      namespace: 'default',
      name: 'd',
      host: 'reviews.default.svc.cluster.local',
      services: ['default/reviews'],
      trafficPolicy: {
        loadBalancer: 'CONSISTENT_HASH',
        tlsMode: 'ISTIO_MUTUAL',
        maxConnections: 100,
        maxPendingRequests: 1,
        maxRequests: 2,
        connectTimeoutMs: 30,
        idleTimeoutMs: null,
        outlier: { consecutive5xxErrors: 7, intervalMs: 300_000, baseEjectionMs: 30_000, maxEjectionPercent: 10 },
      },
      portPolicies: { '9080': { ...none, loadBalancer: 'LEAST_REQUEST', tlsMode: 'DISABLE' } },
      subsets: [{ name: 'v1', labels: { version: 'v1' }, trafficPolicy: { ...none, loadBalancer: 'ROUND_ROBIN' } }],
      exportTo: ['*'],
      workloadSelector: null,
    },
  ]);
  const at = 'DestinationRule default/d spec';
  assert.deepEqual(said(translation), [
    `${at}.trafficPolicy.loadBalancer: loadBalancer ${YET}`,
    `${at}.trafficPolicy.connectionPool: connectionPool ${YET}`,
    `${at}.trafficPolicy.outlierDetection: outlierDetection ${YET}`,
    `${at}.trafficPolicy.tls: tls ${YET}`,
    `${at}.trafficPolicy.portLevelSettings: portLevelSettings ${YET}`,
    `${at}.subsets[0].trafficPolicy.loadBalancer: loadBalancer ${YET}`,
  ]);
});

test('DestinationRules: an unknown host, a foreign one, two for one host', () => {
  const old = object('DestinationRule', '{name: z, creationTimestamp: "2024-01-01T00:00:00Z"}', '  host: reviews');
  const young = object('DestinationRule', '{name: a, creationTimestamp: "2025-01-01T00:00:00Z"}', '  host: reviews');
  const foreign = object('DestinationRule', '{name: f}', '  host: reviews.prod.svc.cluster.local');
  const unknown = object('DestinationRule', '{name: u}', '  host: nobody');
  assert.deepEqual(said(mesh(SERVICES, old, young, foreign, unknown)), [
    'DestinationRule default/a spec.host: DestinationRule default/z is for the same host and older; Istio adds the subsets of this one that the older has not, and takes its trafficPolicy only where the older has none: put them into one',
    'DestinationRule default/f spec.host: concerns Service prod/reviews, which another namespace owns: it holds for clients of default alone (Istio); move it to prod for all clients, or write exportTo: ["."] if that is what is meant',
    'DestinationRule default/u spec.host: there is no Service and no ServiceEntry with the host nobody.default.svc.cluster.local; create it or correct the host; the rule waits for it',
  ]);
});

test('egress: a ServiceEntry by host name, with TLS', () => {
  const spec = `  hosts: [Edition.cnn.com]
  ports:
    - {number: 80, name: http-port, protocol: HTTP}
    - {number: 443, name: https, protocol: https, targetPort: 8443}
    - {number: 9, name: mongo-x}
    - {number: 53, name: dns, protocol: UDP}
  resolution: DNS
  subjectAltNames: [spiffe://a]`;
  const translation = mesh(object('ServiceEntry', '{name: cnn}', spec));
  assert.deepEqual(translation.of('serviceEntry'), [
    {
      kind: 'serviceEntry',
      namespace: 'default',
      name: 'cnn',
      hosts: ['edition.cnn.com'],
      addresses: [],
      ports: [
        { port: 80, name: 'http-port', protocol: 'http', targetPort: 80 },
        { port: 443, name: 'https', protocol: 'tls', targetPort: 8443 },
        { port: 9, name: 'mongo-x', protocol: 'tcp', targetPort: 9 },
      ],
      location: 'MESH_EXTERNAL',
      resolution: 'DNS',
      endpoints: [],
      workloads: [],
      exportTo: ['*'],
    },
  ]);
  assert.deepEqual(said(translation), [
    'ServiceEntry default/cnn spec.ports[3].protocol: the mesh leaves UDP alone; nothing to do',
    `ServiceEntry default/cnn spec.subjectAltNames: subjectAltNames ${YET}`,
  ]);
});

test('static endpoints and blocks', () => {
  const spec = `  hosts: [db.internal]
  addresses: [10.1.2.3/24, "FD00::1"]
  exportTo: [".", prod]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 5000, name: tcp, protocol: TCP}]
  endpoints:
    - {address: 10.0.0.1, ports: {tcp: 5001}, labels: {v: a}, weight: 3, locality: eu/b, serviceAccount: db}
    - {address: "fd00:0::2", network: net1}`;
  const translation = mesh(object('ServiceEntry', '{name: db}', spec));
  const [entry] = translation.of('serviceEntry');
  assert.deepEqual(entry?.addresses, ['10.1.2.0/24', 'fd00::1']);
  assert.deepEqual(entry.exportTo, ['default', 'prod']);
  assert.deepEqual(entry.endpoints, [
    {
      address: '10.0.0.1',
      ports: { '5000': 5001 },
      labels: { v: 'a' },
      serviceAccount: 'db',
      weight: 3,
      locality: 'eu/b',
    },
    { address: 'fd00::2', ports: {}, labels: {}, serviceAccount: '', weight: 1, locality: '' },
  ]);
  assert.deepEqual(said(translation), [`ServiceEntry default/db spec.endpoints[1].network: network ${YET}`]);
});

test('a workloadSelector takes pods and WorkloadEntries of its namespace', () => {
  const pod = (name: string, app: string, phase = 'Running'): string =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, uid: u-${name}, labels: {app: ${app}}}\nspec: {containers: []}\nstatus: {phase: ${phase}}\n`;
  const entry = object(
    'ServiceEntry',
    '{name: s}',
    '  hosts: [a.internal]\n  resolution: STATIC\n  location: MESH_INTERNAL\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  workloadSelector: {labels: {app: a}}',
  );
  const vm = (name: string, address: string): string =>
    object(
      'WorkloadEntry',
      `{name: ${name}}`,
      `  address: ${address}\n  ports: {http: 8080, other: 1}\n  labels: {app: a}`,
    );
  const translation = mesh(
    entry,
    pod('b', 'a'),
    pod('a', 'a'),
    pod('c', 'x'),
    pod('d', 'a', 'Succeeded'),
    vm('vm', '10.0.0.9'),
    vm('named', 'vm.example.com'),
  );
  const [found] = translation.of('serviceEntry');
  assert.deepEqual(found?.workloads, ['u-a', 'u-b']);
  assert.deepEqual(
    found.endpoints.map(({ address, ports }) => [address, ports]),
    [['10.0.0.9', { '80': 8080 }]],
  );
  assert.deepEqual(said(translation), [
    'WorkloadEntry default/named spec.address: is a name, and ServiceEntry default/s, which selects it, has resolution STATIC; write an IP address, or resolution: DNS',
  ]);
  assert.deepEqual(said(mesh(entry)), [
    'ServiceEntry default/s spec.workloadSelector: selects no pod and no WorkloadEntry of default; correct its labels, or create them',
  ]);
});

test('pods that are selected beyond what agents take are left out, and that is said', () => {
  const hosts = Array.from({ length: 256 }, (_, i) => `h${i}.internal`);
  const spec = `  hosts: [${hosts.join(', ')}]\n  resolution: STATIC\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  workloadSelector: {labels: {app: a}}`;
  const pods = Array.from(
    { length: 260 },
    (_, i) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: p${i}, uid: u-${1_000 + i}, labels: {app: a}}\nspec: {containers: []}\n`,
  );
  const translation = mesh(object('ServiceEntry', '{name: s}', spec), ...pods);
  const [entry] = translation.of('serviceEntry');
  assert.equal(validateResource(entry), null);
  assert.deepEqual([entry?.workloads.length, entry?.workloads.at(-1)], [256, 'u-1255']);
  assert.deepEqual(said(translation), [
    'ServiceEntry default/s spec.workloadSelector: selects 260 for 256 hosts, of which 256 are used; write several ServiceEntries, each with a part of the hosts',
  ]);
});

test('a Service that selects a WorkloadEntry does not reach it yet, and that is said', () => {
  const service =
    'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: a}, ports: [{port: 80}]}\n';
  const vm = object('WorkloadEntry', '{name: vm}', '  address: 10.0.0.9\n  labels: {app: a}');
  assert.deepEqual(said(mesh(service, vm)), [
    'WorkloadEntry default/vm spec.labels: Service default/s selects it, and weir sends the requests of a Service to its pods only, not yet to WorkloadEntries; create a ServiceEntry with workloadSelector for it',
  ]);
});

test('a host that somebody has already', () => {
  const ports = '  ports: [{number: 80, name: http, protocol: HTTP}]';
  const entry = (metadata: string, host: string, exportTo = '"*"'): string =>
    object('ServiceEntry', metadata, `  hosts: [${host}]\n  exportTo: [${exportTo}]\n${ports}`);
  const old = '{name: o, namespace: a, creationTimestamp: "2024-01-01T00:00:00Z"}';
  const young = '{name: y, namespace: b, creationTimestamp: "2025-01-01T00:00:00Z"}';
  assert.deepEqual(
    said(
      mesh(
        SERVICES,
        entry(young, 'reviews.prod.svc.cluster.local'),
        entry(young.replace('y', 'x'), 'ratings.default.svc.cluster.local'),
      ),
    ).length,
    2,
  );
  const two = mesh(entry(old, 'api.com'), entry(young, 'api.com'));
  assert.deepEqual(
    two.findings.map(({ code }) => code),
    ['HOST_OF_ANOTHER_NAMESPACE'],
  );
  assert.deepEqual(said(two), [
    'ServiceEntry b/y spec.hosts[0]: is a host of ServiceEntry a/o too, which is older and seen by the same clients; write exportTo: ["."] to keep this one to b',
  ]);
  assert.deepEqual(said(mesh(entry(old, 'api.com', '"."'), entry(young, 'api.com', '"."'))), []);
});

test('a Sidecar becomes the scope of its pods', () => {
  const spec = `  workloadSelector: {labels: {app: a}}
  egress:
    - {port: {number: 9080, name: x, protocol: HTTP}, hosts: ["prod/*", "./reviews"]}
    - {hosts: ["istio-system/*", "~/*", "*/*.Example.com"], captureMode: IPTABLES}
  ingress: [{port: {number: 1, name: a, protocol: HTTP}, defaultEndpoint: "127.0.0.1:1"}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}`;
  const translation = mesh(object('Sidecar', '{name: s, creationTimestamp: "1970-01-01T00:00:01Z"}', spec));
  assert.deepEqual(translation.of('sidecarScope'), [
    {
      kind: 'sidecarScope',
      namespace: 'default',
      name: 's',
      meshWide: false,
      selector: { app: 'a' },
      egress: [
        {
          port: 9080,
          hosts: [
            { namespace: 'prod', host: '*' },
            { namespace: 'default', host: 'reviews.default.svc.cluster.local' },
          ],
        },
        {
          port: null,
          hosts: [
            { namespace: 'istio-system', host: '*' },
            { namespace: '~', host: '*' },
            { namespace: '*', host: '*.example.com' },
          ],
        },
      ],
      outboundTrafficPolicy: 'REGISTRY_ONLY',
      createdMs: 1_000,
    },
  ]);
  assert.deepEqual(said(translation), [
    `Sidecar default/s spec.egress[1].captureMode: captureMode ${YET}`,
    `Sidecar default/s spec.ingress: ingress ${YET}`,
  ]);
  const root = mesh(object('Sidecar', '{name: s, namespace: istio-system}', '  egress: [{hosts: ["./*"]}]'));
  assert.deepEqual(
    root.of('sidecarScope').map(({ meshWide, egress }) => [meshWide, egress?.[0]?.hosts[0]?.namespace]),
    [[true, 'istio-system']],
  );
});

test('kinds that weir can do nothing with are named with the reason, never unknown, whatever stands in them', () => {
  const kinds: readonly (readonly [string, string])[] = [
    ['networking.istio.io/v1', 'Gateway'],
    ['gateway.networking.k8s.io/v1', 'Gateway'],
    ['gateway.networking.k8s.io/v1', 'GatewayClass'],
    ['gateway.networking.k8s.io/v1alpha3', 'BackendTLSPolicy'],
    ['networking.istio.io/v1alpha3', 'EnvoyFilter'],
    ['networking.istio.io/v1beta1', 'ProxyConfig'],
    ['networking.istio.io/v1', 'WorkloadGroup'],
    ['extensions.istio.io/v1alpha1', 'WasmPlugin'],
    ['telemetry.istio.io/v1', 'Telemetry'],
  ];
  for (const [version, kind] of kinds) {
    const translation = mesh(`apiVersion: ${version}\nkind: ${kind}\nmetadata: {name: x}\nspec: {a: [1], b: null}\n`);
    assert.deepEqual(translation.mesh, []);
    const [finding, second] = translation.findings;
    assert.equal(second, undefined, kind);
    assert.deepEqual([finding?.severity, finding?.code, finding?.field], ['warning', 'UNSUPPORTED', 'kind'], kind);
    assert.match(finding?.reason ?? '', new RegExp(`^${kind} is not supported by weir: `));
  }
});
