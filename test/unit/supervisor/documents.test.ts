import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  podDocuments,
  podProblem,
  policyDocuments,
  quantileMs,
  routeDocuments,
  serviceDocuments,
  verifyDocument,
} from '../../../agent/admin/documents.ts';
import type { Enrolled } from '../../../agent/capture/enrolment-types.ts';
import { DURATION_BUCKETS_MS } from '../../../agent/ipc/messages.ts';
import type { PodEntry } from '../../../agent/supervisor/pod-table.ts';
import { StatsLedger } from '../../../agent/telemetry/stats-ledger.ts';
import type { Service, Workload } from '../../../mesh/model.ts';
import type { AuthorizationPolicy } from '../../../mesh/policy-model.ts';
import type { HttpRoute } from '../../../mesh/route-model.ts';
import { tcpRoute, tlsRoute } from '../mesh/resources.ts';

function workload(name: string, change: Partial<Workload> = {}): Workload {
  return {
    kind: 'workload',
    uid: `uid-${name}`,
    namespace: 'shop',
    name,
    serviceAccount: 'web',
    node: 'node-1',
    addresses: ['10.0.0.1'],
    ready: true,
    hostNetwork: false,
    labels: { app: name },
    annotations: {},
    workloadName: name,
    canonicalName: name,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] },
    ...change,
  };
}

const service: Service = {
  kind: 'service',
  namespace: 'shop',
  name: 'web',
  hostname: 'web.shop.svc.cluster.local',
  addresses: ['10.96.0.1'],
  ports: [{ port: 80, name: 'http', protocol: 'http' }],
  internalTrafficPolicy: 'Cluster',
  trafficDistribution: null,
  externalName: null,
};

const route: HttpRoute = {
  kind: 'httpRoute',
  source: 'HTTPRoute',
  namespace: 'shop',
  name: 'split',
  createdMs: 0,
  parents: [{ namespace: 'shop', name: 'web', port: null }],
  clients: ['*'],
  rules: [],
};

function policy(change: Partial<AuthorizationPolicy>): AuthorizationPolicy {
  return {
    kind: 'authorizationPolicy',
    namespace: 'shop',
    name: 'p',
    action: 'ALLOW',
    dryRun: false,
    meshWide: false,
    selector: null,
    targetServices: [],
    rules: [],
    ...change,
  };
}

test('a service tells its endpoints, ready ones apart, and its routes', () => {
  const resources = [service, route, workload('a'), workload('b', { ready: false }), workload('c', { addresses: [] })];
  const [document] = serviceDocuments(resources);
  assert.deepEqual(document?.endpoints, { ready: 1, total: 3 });
  assert.deepEqual(document?.routes, ['shop/split']);
  assert.equal(document?.hostname, 'web.shop.svc.cluster.local');
});

test('routes of all kinds are one list, sorted by namespace and name', () => {
  const documents = routeDocuments([
    { ...route, name: 'z' },
    { ...route, name: 'a' },
    { ...route, namespace: 'ant' },
    tcpRoute({ name: 'b' }),
    tlsRoute({ name: 'a' }),
    service,
  ]);
  assert.deepEqual(
    documents.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`),
    ['httpRoute ant/split', 'httpRoute shop/a', 'tlsRoute shop/a', 'tcpRoute shop/b', 'httpRoute shop/z'],
  );
});

const SCOPES: readonly (readonly [string, Partial<AuthorizationPolicy>, readonly string[]])[] = [
  ['its namespace', {}, ['shop/a', 'shop/b']],
  ['another namespace', { namespace: 'bank' }, ['bank/x']],
  ['the whole mesh', { namespace: 'istio-system', meshWide: true }, ['bank/x', 'shop/a', 'shop/b']],
  ['a selector', { selector: { app: 'a' } }, ['shop/a']],
  ['a mesh-wide selector', { namespace: 'istio-system', meshWide: true, selector: { app: 'x' } }, ['bank/x']],
  ['a target service', { targetServices: ['shop/web'] }, ['shop/a', 'shop/b']],
  ['a target service nobody backs', { targetServices: ['shop/other'] }, []],
];

for (const [what, change, expected] of SCOPES) {
  test(`the pods in scope of a policy for ${what}`, () => {
    const pods = [workload('a'), workload('b'), workload('x', { namespace: 'bank', services: {} }), workload('remote')];
    const local = new Set(['uid-a', 'uid-b', 'uid-x']);
    assert.deepEqual(policyDocuments([...pods, policy(change)], local)[0]?.appliesTo, expected);
  });
}

const enrolled: Enrolled = {
  containerId: 'c1',
  ifName: 'eth0',
  index: 1,
  pod: { uid: 'uid-a', namespace: 'shop', name: 'a', serviceAccount: 'web', addresses: ['10.0.0.1'] },
  netnsPath: '/run/netns/a',
  annotations: {},
  enrolledAtMs: 0,
  problem: null,
};

function entry(...answers: (readonly [number, string | null])[]): PodEntry {
  return { index: 1, pod: enrolled.pod, netnsPath: enrolled.netnsPath, listeners: new Map(answers) };
}

test('a pod is captured only when every serving worker listens and its rules are right', () => {
  assert.equal(podProblem(enrolled, entry([0, null], [1, null]), [0, 1]), null);
  assert.equal(podProblem(enrolled, entry([0, null]), [0]), null);
  assert.match(podProblem(enrolled, entry([0, null]), [0, 1]) ?? '', /worker 1 does not listen yet/);
  assert.match(podProblem(enrolled, entry([0, 'EADDRINUSE']), [0]) ?? '', /worker 0: EADDRINUSE/);
  assert.match(podProblem(enrolled, null, [0]) ?? '', /worker 0 does not listen yet/);
  assert.match(podProblem(enrolled, entry([0, null]), []) ?? '', /no worker serves/);
  assert.equal(podProblem({ ...enrolled, problem: 'rules missing' }, entry([0, null]), [0]), 'rules missing');
});

test('a pod document joins enrolment, mesh and counters', () => {
  const ledger = new StatsLedger(20, 10);
  const [document] = podDocuments({
    enrolled: [enrolled],
    entryOf: () => entry([0, null]),
    workloadOf: () => workload('a', { workloadName: 'a-deployment' }),
    bypassOf: () => ['10.96.0.1,tcp:80'],
    servingSlots: [0],
    trustDomain: 'cluster.local',
    ledger,
  });
  assert.equal(document?.principal, 'cluster.local/ns/shop/sa/web');
  assert.equal(document?.workload, 'a-deployment');
  assert.equal(document?.captured, true);
  assert.equal(document?.interceptionMode, 'REDIRECT');
  assert.equal(document?.enrolledAt, '1970-01-01T00:00:00.000Z');
});

test('quantiles are estimated as Prometheus does', () => {
  const buckets = (counts: Readonly<Record<number, number>>): number[] =>
    DURATION_BUCKETS_MS.map((bound) =>
      Math.max(
        0,
        ...Object.entries(counts)
          .filter(([b]) => Number(b) <= bound)
          .map(([, c]) => c),
      ),
    );
  assert.equal(quantileMs(0.5, [], 0), null);
  assert.equal(quantileMs(0.5, buckets({ 10: 100 }), 100), 7.5);
  assert.equal(quantileMs(1, buckets({ 0.5: 50, 1: 100 }), 100), 1);
  assert.equal(quantileMs(0.99, buckets({ 1: 10 }), 100), 3_600_000);
});

test('a verification document has rules first, and a skipped way is no failure', () => {
  const report = {
    ok: true,
    missing: [],
    directions: [
      { direction: 'outbound', family: 4, outcome: 'ok', detail: 'reached' },
      { direction: 'inbound', family: 6, outcome: 'skipped', detail: 'no IPv6 address' },
    ],
  } as const;
  const document = verifyDocument(enrolled, report);
  assert.deepEqual(
    document.checks.map(({ check, ok, skipped }) => [check, ok, skipped]),
    [
      ['rules', true, false],
      ['outbound v4', true, false],
      ['inbound v6', true, true],
    ],
  );
  const failed = verifyDocument(enrolled, { ...report, ok: false, missing: ['IPv4: no jump', 'no listener'] });
  assert.deepEqual(failed.checks[0], {
    check: 'rules',
    ok: false,
    skipped: false,
    detail: 'IPv4: no jump; no listener',
  });
});
