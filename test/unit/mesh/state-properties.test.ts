/** apply(delta) after apply(delta)… answers every question as a state built at once from the resources that are left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Endpoint } from '../../../mesh/cluster.ts';
import type { Destination } from '../../../mesh/destination.ts';
import {
  type Identity,
  keyOf,
  type MeshDelta,
  type MeshKind,
  type MeshResource,
  type Workload,
} from '../../../mesh/model.ts';
import { bypassDestinations, type BypassEntry, bypassOfPod } from '../../../mesh/bypass.ts';
import { destinationNeedsHttp } from '../../../mesh/layers.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import { backend, policy, policyRule, request, route, routeMatch, routeRule, service, workload } from './resources.ts';

const UIDS = ['u1', 'u2', 'u3', 'u4'];
const NAMES = ['web', 'api', 'db'];
const VIPS = ['10.96.0.1', '10.96.0.2', 'fd00::1'];
const POD_IPS = ['10.0.0.1', '10.0.0.2', 'fd01::1'];
const PORTS = [80, 81, 8080, 9090];

const anyWorkload: fc.Arbitrary<MeshResource> = fc
  .record({
    uid: fc.constantFrom(...UIDS),
    name: fc.constantFrom('pod-a', 'pod-b'),
    namespace: fc.constantFrom('shop', 'bank'),
    addresses: fc.uniqueArray(fc.constantFrom(...POD_IPS), { maxLength: 2 }),
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

const anyRoute: fc.Arbitrary<MeshResource> = fc
  .record({
    name: fc.constantFrom('r1', 'r2'),
    namespace: fc.constantFrom('shop', 'bank'),
    createdMs: fc.nat(2),
    parents: fc.array(
      fc.record({
        namespace: fc.constant('shop'),
        name: fc.constantFrom(...NAMES),
        port: fc.constantFrom(null, 80, 81),
      }),
      { maxLength: 2 },
    ),
    rules: fc.array(
      fc
        .record({
          path: fc.constantFrom('/', '/a', '/a/b'),
          type: fc.constantFrom('exact' as const, 'prefix' as const),
          backends: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 }),
          port: fc.constantFrom(80, 81),
        })
        .map(({ path, type, backends, port }) =>
          routeRule({
            matches: [routeMatch({ path: { type, value: path } })],
            backends: backends.map((name) => backend(name, { port })),
          }),
        ),
      { maxLength: 2 },
    ),
  })
  .map(route);

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
  .record({ name: fc.constantFrom('istio', 'istio-canary'), metrics: fc.boolean(), bypass: fc.boolean() })
  .map((fields) => ({ ...DEFAULT_SETTINGS, ...fields }));

const anyResource = fc.oneof(
  { weight: 3, arbitrary: anyWorkload },
  { weight: 2, arbitrary: anyService },
  anyRoute,
  anyPolicy,
  anySettings,
);
const anyDelta: fc.Arbitrary<MeshDelta> = fc
  .record({ upserts: fc.array(anyResource, { maxLength: 4 }), removed: fc.array(anyResource, { maxLength: 2 }) })
  .map(({ upserts, removed }) => ({
    upserts: [...new Map(upserts.map((resource) => [JSON.stringify(keyOf(resource)), resource])).values()],
    removals: removed.map(keyOf),
  }));

/** The time limit bounds shrinking a failure; the runs themselves take a second or two. */
const RUNS = { numRuns: 1500, interruptAfterTimeLimit: 30_000 };

const KINDS: MeshKind[] = [
  'workload',
  'service',
  'httpRoute',
  'tlsRoute',
  'tcpRoute',
  'authorizationPolicy',
  'meshSettings',
];
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
      const routed = VIEWS.map((view) => {
        const match = target.routes?.match(view, { namespace: 'shop', labels: {} });
        return [
          match?.name,
          match?.backends.entries.map((entry) => [
            entry.cluster?.name,
            entry.cluster?.endpoints.map(endpointText).sort(),
          ]),
        ];
      });
      return [
        to,
        port,
        target.protocol,
        target.cluster.endpoints.map(endpointText).sort(),
        target.routes === null,
        routed,
      ];
    }
  }
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
    resources: KINDS.map((kind) => [...state.list(kind)].sort((a, b) => (keyOf(a).key < keyOf(b).key ? -1 : 1))),
    resolved: [...VIPS, ...POD_IPS, '192.0.2.1'].flatMap((ip) =>
      PORTS.map((port) => destinationText(state.resolve(ip, port))),
    ),
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
  const fresh = new MeshState();
  const result = fresh.apply({ upserts: KINDS.flatMap((kind) => state.list(kind)), removals: [] });
  assert.ok(result.ok, result.ok ? '' : result.error);
  return fresh;
}

describe('MeshState', () => {
  it('after any deltas answers as one built at once, whether or not it was asked in between', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyDelta, fc.boolean()), { minLength: 1, maxLength: 8 }), (steps) => {
        const state = new MeshState();
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
