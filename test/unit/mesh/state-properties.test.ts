/** apply(delta) after apply(delta)… answers every question as a state built at once from the resources that are left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Cluster, Endpoint } from '../../../mesh/cluster.ts';
import type { Destination } from '../../../mesh/destination.ts';
import {
  type Identity,
  keyOf,
  MESH_KINDS,
  type MeshDelta,
  type MeshResource,
  type NameAnswer,
  type Workload,
} from '../../../mesh/model.ts';
import { bypassDestinations, type BypassEntry, bypassOfPod, mayBypass } from '../../../mesh/bypass.ts';
import { destinationNeedsHttp } from '../../../mesh/layers.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import type { RouteMatch } from '../../../mesh/route-table.ts';
import { MeshState } from '../../../mesh/state.ts';
import type { StreamMatch } from '../../../mesh/stream-routes.ts';
import { rewrittenPath } from '../../../mesh/path-rewrite.ts';
import type { NetworkPolicy, PeerAuthentication, RequestAuthentication } from '../../../mesh/policy-model.ts';
import type { DestinationRule } from '../../../mesh/traffic-model.ts';
import {
  backend,
  clientIn,
  entryEndpoint,
  policy,
  policyRule,
  request,
  route,
  routeMatch,
  routeRule,
  service,
  serviceEntry,
  sidecarScope,
  streamBackend,
  tcpRoute,
  tlsRoute,
  workload,
} from './resources.ts';

const UIDS = ['u1', 'u2', 'u3', 'u4'];
const NAMES = ['web', 'api', 'db'];
const VIPS = ['10.96.0.1', '10.96.0.2', 'fd00::1'];
const POD_IPS = ['10.0.0.1', '10.0.0.2', 'fd01::1'];
const PORTS = [80, 81, 8080, 9090];
const HOSTS = ['a.example.com', 'b.example.com', '*.example.com'];
const EXTERNAL_IPS = ['198.51.100.1', '198.51.100.2'];
const NODE = 'n1';

const anyWorkload: fc.Arbitrary<MeshResource> = fc
  .record({
    uid: fc.constantFrom(...UIDS),
    name: fc.constantFrom('pod-a', 'pod-b'),
    namespace: fc.constantFrom('shop', 'bank'),
    addresses: fc.uniqueArray(fc.constantFrom(...POD_IPS), { maxLength: 2 }),
    node: fc.constantFrom(NODE, 'n2'),
    locality: fc.constantFrom('', 'r/z1', 'r/z2'),
    ready: fc.boolean(),
    hostNetwork: fc.boolean(),
    labels: fc.constantFrom<Record<string, string>>({}, { app: 'web' }, { app: 'web', tier: 'x' }),
    services: fc
      .uniqueArray(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(80, 81), fc.constantFrom(8080, 9090)), {
        maxLength: 2,
        selector: ([name]) => name,
      })
      .map((list) =>
        Object.fromEntries(
          list.map(([name, servicePort, targetPort]) => [`shop/${name}`, [{ servicePort, targetPort }]]),
        ),
      ),
  })
  .map(workload);

const anyService: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom(...NAMES),
    internalTrafficPolicy: fc.constantFrom('Cluster' as const, 'Local' as const),
    trafficDistribution: fc.constantFrom(null, 'PreferSameZone' as const, 'PreferSameNode' as const),
    addresses: fc.uniqueArray(fc.constantFrom(...VIPS), { maxLength: 2 }),
    ports: fc.uniqueArray(
      fc.record({
        port: fc.constantFrom(80, 81),
        name: fc.constant(''),
        protocol: fc.constantFrom('http' as const, 'grpc' as const, 'tcp' as const, 'detect' as const),
      }),
      {
        selector: (p) => p.port,
        maxLength: 2,
      },
    ),
  })
  .map(service);

/** A Service, or a host of a ServiceEntry. */
const anyTarget = fc.constantFrom(...NAMES, ...HOSTS);
const anySubset = fc.constantFrom(null, { name: 'web', labels: { app: 'web' } }, { name: 'x', labels: { tier: 'x' } });
const anyParents = fc.array(
  fc.record({ namespace: fc.constant('shop'), name: anyTarget, port: fc.constantFrom(null, 80, 81) }),
  { maxLength: 2 },
);
const anyClients = fc.constantFrom(['*'], ['*'], ['bank'], ['shop', 'bank']);

const anyRoute: fc.Arbitrary<MeshResource> = fc
  .record({
    source: fc.constantFrom('HTTPRoute' as const, 'GRPCRoute' as const, 'VirtualService' as const),
    name: fc.constantFrom('r1', 'r2'),
    namespace: fc.constantFrom('shop', 'bank'),
    createdMs: fc.nat(2),
    parents: anyParents,
    clients: anyClients,
    rules: fc.array(
      fc
        .record({
          path: fc.constantFrom('/', '/a', '/a/b'),
          type: fc.constantFrom('exact' as const, 'prefix' as const),
          backends: fc.uniqueArray(anyTarget, { maxLength: 2 }),
          port: fc.constantFrom(0, 80, 81),
          subset: anySubset,
          rewrites: fc.boolean(),
          mirrors: fc.boolean(),
        })
        .map(({ path, type, backends, port, subset, rewrites, mirrors }) =>
          routeRule({
            matches: [routeMatch({ path: { type, value: path } })],
            backends: backends.map((name) => backend(name, { port, subset })),
            filters: [
              ...(rewrites
                ? [{ type: 'urlRewrite' as const, hostname: null, path: { type: 'full' as const, value: '//x/./y' } }]
                : []),
              ...(mirrors
                ? [
                    {
                      type: 'requestMirror' as const,
                      backend: { namespace: 'shop', name: 'db', port, subset },
                      valid: true,
                      perMillion: 1,
                    },
                  ]
                : []),
            ],
          }),
        ),
      { maxLength: 2 },
    ),
  })
  .map(route);

const anyStreamRoute: fc.Arbitrary<MeshResource> = fc
  .record({
    isTls: fc.boolean(),
    isIstio: fc.boolean(),
    name: fc.constantFrom('s1', 's2'),
    createdMs: fc.nat(1),
    parents: anyParents,
    clients: anyClients,
    hostnames: fc.uniqueArray(fc.constantFrom('x.test', '*.test'), { maxLength: 2 }),
    backends: fc.array(anyTarget, { maxLength: 2 }),
    port: fc.constantFrom(0, 80),
    subset: anySubset,
  })
  .map(({ isTls, isIstio, hostnames, backends, port, subset, ...fields }) => {
    const to = backends.map((name) => streamBackend(name, { port, subset }));
    if (isTls) {
      return tlsRoute({ ...fields, source: isIstio ? 'VirtualService' : 'TLSRoute', hostnames, backends: to });
    }
    return tcpRoute({ ...fields, source: isIstio ? 'VirtualService' : 'TCPRoute', backends: to });
  });

const anyEntry: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('e1', 'e2', 'e3'),
    namespace: fc.constantFrom('shop', 'bank'),
    hosts: fc.uniqueArray(fc.constantFrom(...HOSTS), { minLength: 1, maxLength: 2 }),
    addresses: fc.uniqueArray(fc.constantFrom(...EXTERNAL_IPS, '198.51.100.0/24', '10.0.0.0/16', '10.0.0.1'), {
      maxLength: 2,
    }),
    ports: fc
      .uniqueArray(fc.constantFrom(80, 81), { minLength: 1, maxLength: 2 })
      .map((ports) =>
        ports.map((port) => ({ port, name: `p${port}`, protocol: 'http' as const, targetPort: port + 8000 })),
      ),
    resolution: fc.constantFrom('NONE' as const, 'STATIC' as const, 'DNS' as const, 'DNS_ROUND_ROBIN' as const),
    endpoints: fc.uniqueArray(fc.constantFrom('203.0.113.1', '203.0.113.2', '10.0.0.2', 'real.test'), { maxLength: 2 }),
    workloads: fc.uniqueArray(fc.constantFrom(...UIDS), { maxLength: 2 }).map((uids) => [...uids].sort()),
    exportTo: anyClients,
  })
  .map(({ endpoints, ...fields }) => {
    const mayBeNamed = fields.resolution !== 'NONE' && fields.resolution !== 'STATIC';
    const fitting = endpoints.filter((address) => mayBeNamed || address !== 'real.test');
    const written = fitting.map((address) => entryEndpoint(address, { labels: { app: 'web' } }));
    return serviceEntry({ ...fields, endpoints: written });
  });

const anyAnswers: fc.Arbitrary<NameAnswer[]> = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('real.test', ...HOSTS),
    addresses: fc.uniqueArray(fc.constantFrom('203.0.113.1', '203.0.113.7', '10.0.0.1', 'fd00::7'), { maxLength: 3 }),
  }),
  { maxLength: 2, selector: ({ name }) => name },
);

const anyScope: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('c1', 'c2'),
    namespace: fc.constantFrom('shop', 'bank', 'istio-system'),
    selector: fc.constantFrom(null, { app: 'web' }),
    outboundTrafficPolicy: fc.constantFrom(null, 'REGISTRY_ONLY' as const),
    createdMs: fc.nat(1),
    hosts: fc.constantFrom(null, '*', 'web.shop.svc.cluster.local', '*.example.com'),
  })
  .map(({ hosts, ...fields }) =>
    sidecarScope({
      ...fields,
      meshWide: fields.namespace === 'istio-system',
      egress: hosts === null ? null : [{ port: null, hosts: [{ namespace: '*', host: hosts }] }],
    }),
  );

const anyDestinationRule: fc.Arbitrary<MeshResource> = fc
  .record({ name: fc.constantFrom('d1', 'd2'), services: fc.subarray(['shop/web', 'shop/api']) })
  .map(
    (fields): DestinationRule => ({
      kind: 'destinationRule',
      namespace: 'shop',
      host: 'web.shop.svc.cluster.local',
      trafficPolicy: null,
      portPolicies: {},
      subsets: [],
      exportTo: ['*'],
      workloadSelector: null,
      ...fields,
    }),
  );

const anyNetworkPolicy: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('n1', 'n2'),
    namespace: fc.constantFrom('shop', 'bank'),
    matchLabels: fc.constantFrom<Record<string, string>[]>({}, { app: 'web' }),
    ingress: fc.constantFrom(null, [], [{ peers: [], ports: [{ port: 8080, endPort: null }] }]),
    egress: fc.constantFrom(null, []),
  })
  .map(
    ({ matchLabels, ...fields }): NetworkPolicy => ({
      kind: 'networkPolicy',
      podSelector: { matchLabels, matchExpressions: [] },
      ...fields,
    }),
  );

const anyPeerAuthentication: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('a1', 'a2'),
    namespace: fc.constantFrom('shop', 'istio-system'),
    selector: fc.constantFrom(null, { app: 'web' }),
    mode: fc.constantFrom(null, 'STRICT' as const, 'PERMISSIVE' as const),
    createdMs: fc.nat(1),
  })
  .map(
    (fields): PeerAuthentication => ({
      kind: 'peerAuthentication',
      meshWide: fields.namespace === 'istio-system',
      portModes: fields.selector === null ? {} : { '8080': 'DISABLE' },
      ...fields,
    }),
  );

const anyRequestAuthentication: fc.Arbitrary<MeshResource> = fc
  .record({ name: fc.constantFrom('q1', 'q2'), selector: fc.constantFrom(null, { app: 'web' }) })
  .map(
    (fields): RequestAuthentication => ({
      kind: 'requestAuthentication',
      namespace: 'shop',
      meshWide: false,
      targetServices: [],
      jwtRules: [],
      ...fields,
    }),
  );

const anyPolicy: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('p1', 'p2', 'p3'),
    namespace: fc.constantFrom('shop', 'bank'),
    action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
    meshWide: fc.boolean(),
    scope: fc.constantFrom('all', 'label', 'service'),
    rules: fc.array(
      fc.constantFrom(
        policyRule(),
        policyRule({ to: [{ ports: [8080] }] }),
        policyRule({ to: [{ methods: ['GET'] }] }),
        policyRule({ from: [{ namespaces: ['bank'] }] }),
      ),
      {
        maxLength: 2,
      },
    ),
  })
  .map(({ scope, ...fields }) =>
    policy({
      ...fields,
      selector: scope === 'label' ? { app: 'web' } : null,
      targetServices: scope === 'service' ? [`${fields.namespace}/web`] : [],
    }),
  );

const anySettings: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('istio', 'istio-canary'),
    metrics: fc.boolean(),
    bypass: fc.boolean(),
    pathNormalization: fc.constantFrom('BASE' as const, 'MERGE_SLASHES' as const),
    outboundTrafficPolicy: fc.constantFrom('ALLOW_ANY' as const, 'REGISTRY_ONLY' as const),
  })
  .map((fields) => ({ ...DEFAULT_SETTINGS, ...fields }));

const anyResource = fc.oneof(
  { weight: 3, arbitrary: anyWorkload },
  { weight: 2, arbitrary: anyService },
  { weight: 2, arbitrary: anyRoute },
  { weight: 2, arbitrary: anyEntry },
  anyStreamRoute,
  anyScope,
  anyDestinationRule,
  anyPolicy,
  anyNetworkPolicy,
  anyPeerAuthentication,
  anyRequestAuthentication,
  anySettings,
);
const anyDelta: fc.Arbitrary<MeshDelta> = fc
  .record({
    upserts: fc.array(anyResource, { maxLength: 4 }),
    removed: fc.array(anyResource, { maxLength: 2 }),
    answers: anyAnswers,
  })
  .map(({ upserts, removed, answers }) => ({
    answers,
    upserts: [...new Map(upserts.map((resource) => [JSON.stringify(keyOf(resource)), resource])).values()],
    removals: removed.map(keyOf),
  }));

/** The time limit bounds shrinking a failure; the runs themselves take a few seconds. */
const RUNS = { numRuns: 400, interruptAfterTimeLimit: 30_000 };

const CLIENTS = ['shop', 'bank', 'other'].map((namespace) => clientIn(namespace, { app: 'web' }));
const SERVER_NAMES = [null, '', 'x.test', 'y.test'];
/** Pods that ask, whether or not the mesh knows them. */
const ASKING = ['shop', 'bank'].map((namespace) => workload({ uid: `client-${namespace}`, namespace }));
const IDENTITIES: (Identity | null)[] = [
  null,
  { trustDomain: 'cluster.local', namespace: 'bank', serviceAccount: 'x' },
];
const VIEWS = ['/', '/a', '/a/b', '/x'].flatMap((path) => ['GET', 'PUT'].map((method) => request({ path, method })));

function endpointText(endpoint: Endpoint): string {
  return `${endpoint.workload.uid} ${endpoint.address}:${endpoint.port}${endpoint.slot === 0 ? ' direct' : ''}`;
}

function destinationText(destination: Destination): unknown {
  switch (destination.kind) {
    case 'unknown':
      return ['unknown', destination.service?.name];
    case 'workload':
      return [
        endpointText(destination.endpoint),
        destination.workload,
        destination.protocol,
        destination.target?.cluster.name,
      ];
    case 'service': {
      const { service: to, port, target } = destination;
      return [
        to,
        port,
        target.protocol,
        clusterText(target.cluster),
        target.routes === null,
        VIEWS.flatMap((view) =>
          CLIENTS.map((client) => routeText(target.routes?.match(view, client) ?? null, view.path)),
        ),
        SERVER_NAMES.flatMap((name) =>
          CLIENTS.map((client) => streamText(target.streams?.match(name, client, '10.0.0.1') ?? null)),
        ),
      ];
    }
  }
}

function clusterText(cluster: Cluster | null): unknown {
  return cluster && [cluster.name, cluster.passthrough, ...cluster.endpoints.map(endpointText).sort()];
}

function routeText(match: RouteMatch | null, path: string): unknown {
  return (
    match && [
      match.name,
      match.backends.entries.map(({ cluster, rewrite }) => [
        clusterText(cluster),
        rewrite && rewrittenPath(rewrite, match.matched, path),
      ]),
      match.actions?.mirrors.map(({ cluster }) => clusterText(cluster)),
    ]
  );
}

function streamText(match: StreamMatch | null): unknown {
  return match && [match.name, match.ruleIndex, match.backends.entries.map(({ cluster }) => clusterText(cluster))];
}

function sortedEntries(entries: readonly BypassEntry[]): string[] {
  return entries.map(({ ip, port }) => `${ip} ${port}`).sort();
}

function climbs(state: MeshState, destination: Destination): unknown {
  const answer = destinationNeedsHttp(state, destination);
  return typeof answer === 'boolean' ? answer : answer.map(endpointText).sort();
}

/** Every answer of a state, as plain data. */
function everything(state: MeshState): unknown {
  const verdicts = (target: Workload): unknown =>
    PORTS.flatMap((port) =>
      IDENTITIES.map((identity) => {
        const authorization = state.authorization(target, port);
        const bound = authorization.bind({
          identity,
          sourceIp: '10.9.9.9',
          remoteIp: '10.9.9.9',
          serverName: '',
          destinationIp: '10.0.0.1',
          destinationPort: port,
        });
        return [
          authorization.isEmpty,
          authorization.needsHttp,
          bound.connection(),
          bound.settled,
          ...VIEWS.map((view) => bound.request(view)),
        ];
      }),
    );
  return {
    resources: MESH_KINDS.map((kind) => [...state.list(kind)].sort((a, b) => (keyOf(a).key < keyOf(b).key ? -1 : 1))),
    resolved: [...VIPS, ...POD_IPS, ...EXTERNAL_IPS, '203.0.113.1', '192.0.2.1'].flatMap((ip) =>
      PORTS.map((port) => destinationText(state.resolve(ip, port))),
    ),
    seen: ASKING.map((client) => [
      state.outboundTrafficPolicy(client),
      ...[...VIPS, ...POD_IPS, ...EXTERNAL_IPS].map((ip) => destinationText(state.resolveFor(client, ip, 80))),
      ...['a.example.com', 'c.example.com'].flatMap((host) =>
        ([4, 6] as const).map((family) => {
          const found = state.resolveHost(client, host, 80, family);
          return found && destinationText(found);
        }),
      ),
    ]),
    names: [[...state.namesNeeded()].sort(), [...state.nameAnswers()].sort((a, b) => (a.name < b.name ? -1 : 1))],
    hosts: PORTS.map((port) => state.knowsHostsAt(port)),
    policies: state
      .list('workload')
      .map((one): readonly [string, ...unknown[]] => [
        one.uid,
        PORTS.map((port) => state.networkPolicy(one).ingress(one, port, null, '192.0.2.1')),
        state.networkPolicy(one).egress(one, null, '192.0.2.1', 80),
        PORTS.map((port) => state.peerAuthentication(one).forPort(port)),
        state.requestAuthentication(one).isEmpty,
        mayBypass(state, one),
      ])
      .sort((one, other) => (one[0] < other[0] ? -1 : 1)),
    settings: state.settings,
    bypass: sortedEntries(bypassDestinations(state, 100).entries),
    own: state
      .list('workload')
      .map((one) => [one.uid, ...sortedEntries(bypassOfPod(state, one, one.addresses))].join(' '))
      .sort(),
    needsHttp: VIPS.flatMap((ip) => PORTS.map((port) => climbs(state, state.resolve(ip, port)))),
    byUid: UIDS.map((uid) => state.workloadByUid(uid)),
    byName: ['shop/pod-a', 'shop/pod-b', 'bank/pod-a', 'bank/pod-b'].map((name) => state.workloadByName(name)),
    byAddress: POD_IPS.map((ip) => state.workloadByAddress(ip)),
    verdicts: state
      .list('workload')
      .map((one) => ({ uid: one.uid, verdicts: verdicts(one) }))
      .sort((one, other) => (one.uid < other.uid ? -1 : 1)),
  };
}

function rebuilt(state: MeshState): MeshState {
  const fresh = new MeshState({ node: NODE });
  const answers = state.nameAnswers();
  const result = fresh.apply({ upserts: MESH_KINDS.flatMap((kind) => state.list(kind)), removals: [], answers });
  assert.ok(result.ok, result.ok ? '' : result.error);
  return fresh;
}

describe('MeshState', () => {
  it('after any deltas answers as one built at once, whether or not it was asked in between', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyDelta, fc.boolean()), { minLength: 1, maxLength: 8 }), (steps) => {
        const state = new MeshState({ node: NODE });
        for (const [delta, ask] of steps) {
          assert.deepEqual(state.apply(delta), { ok: true });
          if (ask) everything(state); // compiles everything, so that stale leftovers would show
        }
        assert.deepEqual(everything(state), everything(rebuilt(state)));
      }),
      RUNS,
    );
  });

  it('every balanced endpoint owns its slot, and no two live endpoints share one', () => {
    fc.assert(
      fc.property(fc.array(anyDelta, { minLength: 1, maxLength: 8 }), (deltas) => {
        const counters: number[] = [];
        const state = new MeshState({
          onSlotAssigned: (endpoint) => {
            counters[endpoint.slot] = 0;
          },
        });
        const inFlight: Endpoint[] = [];
        for (const delta of deltas) {
          assert.ok(state.apply(delta).ok);
          const live = new Set<Endpoint>();
          for (const name of NAMES) {
            for (const port of [80, 81]) {
              for (const family of [4, 6] as const)
                for (const endpoint of state.servicePort(`shop/${name}`, port, family)?.cluster.endpoints ?? [])
                  live.add(endpoint);
            }
          }
          for (const endpoint of live) {
            assert.equal(state.endpointAt(endpoint.slot), endpoint);
            assert.ok(endpoint.slot < state.slotLimit);
            assert.equal(
              endpoint.workload,
              state.workloadByUid(endpoint.workload.uid),
              'an endpoint shows its pod as it is now',
            );
            counters[endpoint.slot] = (counters[endpoint.slot] ?? Number.NaN) + 1;
            inFlight.push(endpoint);
          }
          assert.equal(new Set([...live].map((endpoint) => endpoint.slot)).size, live.size);
        }
        // Requests end in any order: the documented rule never takes a count from a later owner of the slot.
        for (const endpoint of inFlight)
          if (state.endpointAt(endpoint.slot) === endpoint)
            counters[endpoint.slot] = (counters[endpoint.slot] ?? Number.NaN) - 1;
        for (let slot = 1; slot < state.slotLimit; slot++)
          if (state.endpointAt(slot) !== null) assert.equal(counters[slot], 0);
      }),
      RUNS,
    );
  });

  it('a delta with one bad resource leaves every answer as it was', () => {
    fc.assert(
      fc.property(fc.array(anyDelta, { minLength: 1, maxLength: 4 }), anyDelta, fc.nat(4), (deltas, last, at) => {
        const state = new MeshState();
        for (const delta of deltas) assert.ok(state.apply(delta).ok);
        const before = JSON.stringify(everything(state));
        const bad = service({ name: 'bad', addresses: ['10.0.0.256'] });
        const upserts: MeshResource[] = [...last.upserts];
        upserts.splice(at, 0, bad);
        assert.equal(state.apply({ upserts, removals: last.removals }).ok, false);
        assert.equal(JSON.stringify(everything(state)), before);
      }),
      { numRuns: 100 },
    );
  });

  it('an equal delta again changes no generation and no object', () => {
    fc.assert(
      fc.property(anyDelta, (delta) => {
        const state = new MeshState();
        const twice = { upserts: delta.upserts, removals: [] };
        assert.ok(state.apply(twice).ok);
        const destinations = [...VIPS, ...POD_IPS].map((ip) => state.resolve(ip, 80));
        const { generation } = state;
        assert.ok(state.apply(structuredClone(twice)).ok);
        assert.equal(state.generation, generation);
        [...VIPS, ...POD_IPS].forEach((ip, i) => {
          assert.equal(state.resolve(ip, 80), destinations[i]);
        });
      }),
      { numRuns: 200 },
    );
  });
});
