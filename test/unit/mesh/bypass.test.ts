/** Which destinations are beyond all policy, route and telemetry, and how high a connection must climb. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bypassDestinations, bypassOfPod, bypassRefusal, mayBypass } from '../../../mesh/bypass.ts';
import { destinationNeedsHttp, httpTelemetry } from '../../../mesh/layers.ts';
import type { MeshResource, MeshSettings } from '../../../mesh/model.ts';
import type { SidecarScope } from '../../../mesh/traffic-model.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import type { NetworkPolicy, PeerAuthentication } from '../../../mesh/policy-model.ts';
import {
  entryEndpoint,
  policy,
  policyRule,
  route,
  service,
  serviceEntry,
  sidecarScope,
  tcpRoute,
  tlsRoute,
  workload,
} from './resources.ts';

const QUIET: MeshSettings = { ...DEFAULT_SETTINGS, metrics: false, accessLog: false, bypass: true };

const WEB = service({ name: 'web', addresses: ['10.96.0.1', 'fd00::1'], ports: [port(80), port(81)] });
const DB = service({ name: 'db', addresses: [], ports: [port(5432)] });
const POD1 = pod('pod1', '10.0.0.1', { 'shop/web': [target(80, 8080), target(81, 8081)] }, { app: 'web' });
const POD2 = pod('pod2', '10.0.0.2', { 'shop/web': [target(80, 8080), target(81, 8081)] }, { app: 'web', v: '2' });
const DB1 = pod('db1', '10.0.0.3', { 'shop/db': [target(5432, 5432)] }, { app: 'db' });
const ALL = [WEB, DB, POD1, POD2, DB1];

function port(number: number): { port: number; name: string; protocol: 'http' } {
  return { port: number, name: '', protocol: 'http' };
}

function target(servicePort: number, targetPort: number): { servicePort: number; targetPort: number } {
  return { servicePort, targetPort };
}

function pod(
  uid: string,
  address: string,
  services: Record<string, { servicePort: number; targetPort: number }[]>,
  labels: Record<string, string>,
): ReturnType<typeof workload> {
  return workload({ uid, addresses: [address], services, labels });
}

function state(...resources: readonly MeshResource[]): MeshState {
  const mesh = new MeshState();
  const applied = mesh.apply({ upserts: resources, removals: [] });
  assert.ok(applied.ok, applied.ok ? '' : applied.error);
  return mesh;
}

const destinations = (mesh: MeshState, max = 100): string[] =>
  bypassDestinations(mesh, max).entries.map(({ ip, port: number }) => `${ip} ${number}`);

const SERVICES = ['10.96.0.1 80', '10.96.0.1 81', 'fd00::1 80', 'fd00::1 81'];

describe('destinations that may be reached without the agent', () => {
  it('are none that a NetworkPolicy closes, and none for a pod whose own egress is limited', () => {
    const networkPolicy = (fields: Partial<NetworkPolicy>): NetworkPolicy => ({
      kind: 'networkPolicy',
      namespace: 'shop',
      name: 'closed',
      podSelector: { matchLabels: { v: '2' }, matchExpressions: [] },
      ingress: null,
      egress: null,
      ...fields,
    });
    assert.deepEqual(destinations(state(...ALL, networkPolicy({}))), [...SERVICES, '10.0.0.3 5432']);
    const closed = state(...ALL, networkPolicy({ ingress: [] }));
    assert.deepEqual(destinations(closed), ['10.0.0.3 5432']);
    assert.deepEqual(bypassOfPod(closed, POD2, POD2.addresses), []);
    assert.notDeepEqual(bypassOfPod(closed, POD1, POD1.addresses), []);
    const outgoing = state(...ALL, networkPolicy({ egress: [] }));
    assert.deepEqual(destinations(outgoing), [...SERVICES, '10.0.0.3 5432']);
    assert.deepEqual([mayBypass(outgoing, POD2), mayBypass(outgoing, POD1)], [false, true]);
    const scope: SidecarScope = {
      kind: 'sidecarScope',
      namespace: 'shop',
      name: 'scope',
      meshWide: false,
      selector: null,
      egress: null,
      outboundTrafficPolicy: 'REGISTRY_ONLY',
      createdMs: 0,
    };
    assert.equal(mayBypass(state(...ALL, scope), POD1), false);
    assert.equal(mayBypass(state(...ALL), null), false);
  });

  it('are the addresses of Services without routes and policy, and the pods of headless ones', () => {
    assert.deepEqual(destinations(state(...ALL)), [...SERVICES, '10.0.0.3 5432']);
  });

  it('lose a Service port to an HTTPRoute on it, and only that port', () => {
    const to81 = route({ name: 'r', parents: [{ namespace: 'shop', name: 'web', port: 81 }] });
    assert.deepEqual(destinations(state(...ALL, to81)), ['10.96.0.1 80', 'fd00::1 80', '10.0.0.3 5432']);
  });

  it('lose a Service port to a TLSRoute or TCPRoute on it, which also asks for the first octets', () => {
    const parents = [{ namespace: 'shop', name: 'web', port: 81 }];
    for (const added of [tlsRoute({ name: 'r', parents }), tcpRoute({ name: 'r', parents })]) {
      const mesh = state(...ALL, added);
      assert.deepEqual(destinations(mesh), ['10.96.0.1 80', 'fd00::1 80', '10.0.0.3 5432']);
      assert.equal(destinationNeedsHttp(mesh, mesh.resolve('10.96.0.1', 81)), true);
    }
  });

  it('lose a Service to any policy of any endpoint, wherever it runs, also to one that allows', () => {
    const rows: readonly [MeshResource, readonly string[]][] = [
      [policy({ name: 'p', selector: { v: '2' }, rules: [policyRule()] }), ['10.0.0.3 5432']],
      [policy({ name: 'p', action: 'DENY', selector: { v: '2' }, rules: [policyRule()] }), ['10.0.0.3 5432']],
      [policy({ name: 'p', selector: { app: 'db' }, rules: [policyRule()] }), SERVICES],
      [policy({ name: 'p', meshWide: true, namespace: 'istio-system', rules: [policyRule()] }), []],
      [policy({ name: 'p', selector: { app: 'other' }, rules: [] }), [...SERVICES, '10.0.0.3 5432']],
      // A DENY that speaks of one port leaves the others open.
      [
        policy({
          name: 'p',
          action: 'DENY',
          selector: { app: 'web' },
          rules: [policyRule({ to: [{ ports: [8081] }] })],
        }),
        ['10.96.0.1 80', 'fd00::1 80', '10.0.0.3 5432'],
      ],
    ];
    for (const [one, expected] of rows)
      assert.deepEqual(destinations(state(...ALL, one)), expected, JSON.stringify(one));
  });

  it('never are the mesh’s own ports, nor an address that is another pod’s now', () => {
    const odd = service({ name: 'odd', addresses: ['10.96.0.9'], ports: [port(15_001), port(15_009)] });
    assert.deepEqual(destinations(state(odd)), []);
    const heir = pod('heir', '10.0.0.3', {}, {});
    assert.deepEqual(destinations(state(DB, { ...DB1, ready: false }, heir)), []);
  });

  it('end at the bound, and say how many were left out', () => {
    const mesh = state(...ALL);
    assert.deepEqual(destinations(mesh, 2), SERVICES.slice(0, 2));
    assert.equal(bypassDestinations(mesh, 2).omitted, 3);
    assert.equal(bypassDestinations(mesh, 5).omitted, 0);
  });

  it('never grow with a policy or a route', () => {
    const anyPolicy = fc
      .record({
        action: fc.constantFrom('ALLOW' as const, 'DENY' as const),
        selector: fc.constantFrom(null, { app: 'web' }, { app: 'db' }, { v: '2' }),
        rules: fc.array(fc.constantFrom(policyRule(), policyRule({ to: [{ ports: [8080] }] })), { maxLength: 2 }),
      })
      .map((fields) => policy({ name: 'p', ...fields }));
    const anyRoute = fc
      .constantFrom(null, 80, 81)
      .map((number) => route({ name: 'p', parents: [{ namespace: 'shop', name: 'web', port: number }] }));
    fc.assert(
      fc.property(fc.oneof(anyPolicy, anyRoute), (one) => {
        const before = new Set(destinations(state(...ALL)));
        assert.ok(destinations(state(...ALL, one)).every((entry) => before.has(entry)));
      }),
    );
  });
});

describe('a pod may be reached without the agent', () => {
  it('on the ports of its Services, at the addresses the runtime gave it, where it has no policy', () => {
    const entries = (mesh: MeshState): string[] =>
      bypassOfPod(mesh, POD1, ['10.9.9.9', 'fd01::9']).map(({ ip, port: number }) => `${ip} ${number}`);
    const all = ['10.9.9.9 8080', '10.9.9.9 8081', 'fd01::9 8080', 'fd01::9 8081'];
    assert.deepEqual(entries(state(...ALL)), all);
    assert.deepEqual(entries(state(...ALL, policy({ name: 'p', selector: { v: '2' }, rules: [] }))), all);
    assert.deepEqual(entries(state(...ALL, policy({ name: 'p', selector: { app: 'web' }, rules: [] }))), []);
    assert.deepEqual(bypassOfPod(state(...ALL), { ...POD1, hostNetwork: true }, ['10.9.9.9']), []);
  });
});

describe('policies of other kinds', () => {
  const network = (fields: Partial<NetworkPolicy>): NetworkPolicy => ({
    kind: 'networkPolicy',
    namespace: 'shop',
    name: 'n',
    podSelector: { matchLabels: { app: 'db' }, matchExpressions: [] },
    ingress: null,
    egress: null,
    ...fields,
  });
  const peers = (mode: PeerAuthentication['mode'], portModes: PeerAuthentication['portModes'] = {}): MeshResource => ({
    kind: 'peerAuthentication',
    namespace: 'shop',
    name: 'a',
    meshWide: false,
    selector: { app: 'db' },
    mode,
    portModes,
    createdMs: 0,
  });
  const tokens: MeshResource = {
    kind: 'requestAuthentication',
    namespace: 'shop',
    name: 'q',
    meshWide: false,
    selector: { app: 'db' },
    targetServices: [],
    jwtRules: [
      {
        issuer: 'https://issuer.test',
        audiences: [],
        jwks: null,
        jwksUri: 'https://issuer.test/keys',
        fromHeaders: [],
        fromParams: [],
        fromCookies: [],
        outputPayloadToHeader: null,
        outputClaimToHeaders: [],
        forwardOriginalToken: false,
        timeoutMs: null,
      },
    ],
  };
  const rows: [string, MeshResource, boolean][] = [
    ['NetworkPolicy that isolates ingress', network({ ingress: [{ peers: [], ports: [] }] }), false],
    ['NetworkPolicy that isolates egress alone', network({ egress: [] }), true],
    ['PeerAuthentication STRICT', peers('STRICT'), false],
    ['PeerAuthentication PERMISSIVE', peers('PERMISSIVE'), true],
    ['PeerAuthentication STRICT on that port', peers('PERMISSIVE', { '5432': 'STRICT' }), false],
    ['PeerAuthentication STRICT on another port', peers('PERMISSIVE', { '80': 'STRICT' }), true],
    ['RequestAuthentication', tokens, false],
    ['a ServiceEntry that selects the pod', serviceEntry({ name: 'e', workloads: ['db1'] }), true],
  ];
  for (const [name, resource, expected] of rows) {
    it(`${name}: the pod ${expected ? 'may' : 'may not'} be reached without the agent, directly and by its Service`, () => {
      const mesh = state(...ALL, resource);
      assert.equal(destinations(mesh).includes('10.0.0.3 5432'), expected);
      assert.equal(
        bypassOfPod(mesh, DB1, ['10.0.0.3']).some(({ port: number }) => number === 5432),
        expected,
      );
    });
  }

  it('hosts of ServiceEntries are never reached without the agent', () => {
    const entry = serviceEntry({
      name: 'e',
      addresses: ['198.51.100.1'],
      resolution: 'STATIC',
      endpoints: [entryEndpoint('203.0.113.1')],
    });
    assert.deepEqual(destinations(state(entry)), []);
  });

  const clients: [string, MeshResource | null, boolean][] = [
    ['nothing', null, true],
    ['NetworkPolicy that isolates its egress', network({ egress: [] }), false],
    ['NetworkPolicy that isolates its ingress', network({ ingress: [] }), true],
    ['a Sidecar that hides Services', sidecarScope({ name: 's', egress: [] }), false],
    ['a Sidecar with REGISTRY_ONLY', sidecarScope({ name: 's', outboundTrafficPolicy: 'REGISTRY_ONLY' }), false],
    ['a Sidecar that says nothing', sidecarScope({ name: 's' }), true],
    ['a Sidecar of another namespace', sidecarScope({ name: 's', namespace: 'bank', egress: [] }), true],
  ];
  for (const [name, resource, expected] of clients) {
    it(`a pod with ${name} ${expected ? 'may' : 'may not'} go without the agent`, () => {
      assert.equal(mayBypass(state(...ALL, ...(resource === null ? [] : [resource])), DB1), expected);
    });
  }

  it('a pod that nobody has described goes through the agent', () => {
    assert.equal(mayBypass(state(...ALL), null), false);
  });
});

describe('nothing bypasses the agent', () => {
  it('unless it is asked for and no telemetry is', () => {
    assert.equal(bypassRefusal(QUIET, 'errors'), null);
    assert.equal(bypassRefusal({ ...QUIET, accessLog: true }, 'off'), null);
    assert.match(bypassRefusal(DEFAULT_SETTINGS, 'off') ?? '', /not asked for/);
    assert.match(bypassRefusal({ ...QUIET, metrics: true }, 'off') ?? '', /metrics are asked for/);
    assert.match(bypassRefusal(QUIET, 'all') ?? '', /an access log is asked for/);
    assert.match(bypassRefusal({ ...QUIET, accessLog: true }, 'errors') ?? '', /an access log is asked for/);
  });
});

describe('HTTP is parsed', () => {
  it('for telemetry, unless metrics and access log are both off', () => {
    assert.equal(httpTelemetry(DEFAULT_SETTINGS, 'off'), true);
    assert.equal(httpTelemetry({ ...QUIET, accessLog: true }, 'errors'), true);
    assert.equal(httpTelemetry({ ...QUIET, accessLog: true }, 'off'), false);
    assert.equal(httpTelemetry(QUIET, 'errors'), false);
    assert.equal(httpTelemetry(QUIET, 'all'), true);
  });

  it('on a Service port that is declared to speak HTTP/2, whose requests are balanced one by one', () => {
    for (const protocol of ['http2', 'grpc', 'http', 'detect'] as const) {
      const calls = service({ name: 'calls', addresses: ['10.96.0.77'], ports: [{ port: 1, name: '', protocol }] });
      const mesh = state(...ALL, calls);
      const expected = protocol === 'http2' || protocol === 'grpc';
      assert.equal(destinationNeedsHttp(mesh, mesh.resolve('10.96.0.77', 1)), expected, protocol);
    }
  });

  it('for a route, and for a policy with HTTP fields of an endpoint, which is named; not for policy on connections', () => {
    const answer = (ip: string, number: number, ...more: readonly MeshResource[]): unknown => {
      const mesh = state(...ALL, ...more);
      const found = destinationNeedsHttp(mesh, mesh.resolve(ip, number));
      return typeof found === 'boolean' ? found : found.map((endpoint) => endpoint.workload.uid);
    };
    const get = policy({ name: 'p', selector: { v: '2' }, rules: [policyRule({ to: [{ methods: ['GET'] }] })] });
    const from = policy({ name: 'p', rules: [policyRule({ from: [{ namespaces: ['shop'] }] })] });
    const to81 = route({ name: 'r', parents: [{ namespace: 'shop', name: 'web', port: 81 }] });
    assert.equal(answer('10.96.0.1', 80), false);
    assert.equal(answer('10.96.0.1', 80, from), false);
    assert.deepEqual(answer('10.96.0.1', 80, get), ['pod2']);
    assert.deepEqual(answer('10.0.0.2', 8080, get), ['pod2']);
    assert.equal(answer('10.0.0.1', 8080, get), false);
    assert.equal(answer('10.96.0.1', 80, to81), false);
    assert.equal(answer('10.96.0.1', 81, to81), true);
    assert.equal(answer('192.0.2.1', 80, get), false);
  });
});
