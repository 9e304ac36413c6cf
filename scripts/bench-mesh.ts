/**
 * Micro benchmark of mesh/: time per route match, authorization decision, endpoint pick and applied delta. Bounded to about
 * 30 s in all. Run: node --import tsx scripts/bench-mesh.ts [--json]
 *
 * Each figure is the best of several short batches, in ns: on a shared machine the best batch is the one least disturbed.
 */
import { pickEndpoint, pickWeighted } from '../mesh/balance.ts';
import type { MeshResource, Service, Workload } from '../mesh/model.ts';
import type { AuthorizationPolicy } from '../mesh/policy-model.ts';
import type { HttpRoute } from '../mesh/route-model.ts';
import { normalisePath } from '../mesh/path.ts';
import type { RequestView } from '../mesh/request.ts';
import { MeshState } from '../mesh/state.ts';
import { NO_OPERATION, NO_SOURCE } from '../test/harness/policy-parts.ts';
import { authorizationRows } from './bench-authz.ts';
import { routeRows } from './bench-routes.ts';

const BATCH_MS = 20;
const BATCHES = 6;

interface Row {
  readonly name: string;
  readonly nanoseconds: number;
  /** To the smallest case of the same kind, where there are several. */
  readonly ratio?: number;
}

/** `work(i)` is one operation; its result is summed so that it cannot be optimised away. */
function measure(name: string, work: (i: number) => number): Row {
  let sink = 0;
  let count = 64;
  let best = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES; ) {
    const start = performance.now();
    for (let i = 0; i < count; i++) sink += work(i);
    const elapsedMs = performance.now() - start;
    if (elapsedMs < BATCH_MS / 2) {
      count *= 2;
      continue;
    }
    best = Math.min(best, (elapsedMs * 1e6) / count);
    batch++;
  }
  if (Number.isNaN(sink)) throw new Error('the benchmark measured nothing');
  return { name, nanoseconds: Math.round(best * 10) / 10 };
}

const WEB: Service = {
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

function pod(i: number): Workload {
  return {
    kind: 'workload',
    uid: `pod-${i}`,
    namespace: 'shop',
    name: `pod-${i}`,
    serviceAccount: 'default',
    node: 'n1',
    addresses: [`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`],
    ready: true,
    hostNetwork: false,
    labels: { app: 'web' },
    annotations: {},
    workloadName: 'web',
    canonicalName: 'web',
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] },
  };
}

/** Half of the rules match by exact path, half by prefix; each fourth asks for a header too. */
function routes(rules: number): HttpRoute {
  return {
    kind: 'httpRoute',
    source: 'HTTPRoute',
    namespace: 'shop',
    name: 'web',
    createdMs: 0,
    parents: [{ namespace: 'shop', name: 'web', port: null }],
    clients: ['*'],
    rules: Array.from({ length: rules }, (_, i) => ({
      name: null,
      matches: [
        {
          path: {
            type: i % 2 === 0 ? ('exact' as const) : ('prefix' as const),
            value: `/api/v1/resource${i}`,
            ignoreCase: false,
          },
          method: null,
          headers: i % 4 === 0 ? [{ name: 'user-agent', type: 'exact' as const, value: 'bench', invert: false }] : [],
          queryParams: [],
          scheme: null,
          authority: null,
          port: null,
          client: null,
        },
      ],
      filters: [],
      backends: [
        { namespace: 'shop', name: 'web', port: 80, subset: null, weight: 90, filters: [], valid: true },
        { namespace: 'shop', name: 'web', port: 80, subset: null, weight: 10, filters: [], valid: true },
      ],
      directResponse: null,
      fault: null,
      timeouts: { requestMs: null, backendRequestMs: null },
      retry: null,
      sessionPersistence: null,
    })),
  };
}

/** The first `selecting` policies select the pods, the rest another app, another namespace or another Service. */
function policies(total: number, selecting: number, rulesEach: number): AuthorizationPolicy[] {
  return Array.from({ length: total }, (_, i) => ({
    kind: 'authorizationPolicy' as const,
    namespace: i >= selecting && i % 2 === 0 ? `ns-${i}` : 'shop',
    name: `p-${i}`,
    action: i % 5 === 0 ? ('DENY' as const) : ('ALLOW' as const),
    dryRun: false,
    meshWide: false,
    selector: { app: i < selecting ? 'web' : `other-${i}` },
    targetServices: [],
    rules: Array.from({ length: rulesEach }, (__, r) => ({
      from: [{ ...NO_SOURCE, namespaces: [r === rulesEach - 1 ? 'shop' : `client-${r}`] }],
      to: [
        {
          ...NO_OPERATION,
          methods: [i % 5 === 0 ? 'DELETE' : 'GET'],
          paths: [i === selecting - 1 ? '/api/*' : `/p${i}/*`],
        },
      ],
      when: [],
    })),
  }));
}

function view(path: string): RequestView {
  const headers = new Map([['user-agent', 'bench']]);
  return { method: 'GET', path, query: '', host: 'web', header: (name) => headers.get(name), headerValues: () => [] };
}

function stateOf(resources: readonly MeshResource[]): MeshState {
  const state = new MeshState();
  const result = state.apply({ upserts: resources, removals: [] });
  if (!result.ok) throw new Error(result.error);
  return state;
}

const CLIENT = { namespace: 'shop', labels: {} };

function benchPolicies(total: number, selecting: number): Row[] {
  const target = pod(1);
  const state = stateOf([WEB, target, ...policies(total, selecting, 10)]);
  const facts = {
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' },
    sourceIp: '10.0.0.2',
    remoteIp: '10.0.0.2',
    serverName: '',
    destinationIp: '10.0.0.1',
    destinationPort: 8080,
  };
  const bound = state.authorization(target, 8080).bind(facts);
  const asked = view('/api/v1/resource');
  if (!bound.request(asked).allowed) throw new Error('the last selecting policy should allow');
  const title = `${total} policies × 10 rules, ${selecting} select the pod`;
  return [
    measure(`decision per request, ${title}`, () => bound.request(asked).rule),
    measure(`bind per connection, ${title}`, () =>
      state.authorization(target, 8080).bind(facts).settled === null ? 1 : 0,
    ),
  ];
}

function benchRest(): Row[] {
  const pods = Array.from({ length: 100 }, (_, i) => pod(i + 1));
  const state = stateOf([WEB, ...pods, routes(20)]);
  const destination = state.resolve('10.96.0.1', 80);
  if (destination.kind !== 'service') throw new Error('no Service to measure');
  const { endpoints } = destination.target.cluster;
  const backends = destination.target.routes?.match(view('/api/v1/resource1/x'), CLIENT)?.backends;
  if (backends === undefined) throw new Error('no backends to measure');
  const inFlight = new Uint32Array(state.slotLimit);
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 4_294_967_296;
  };
  const first = pods[0] as Workload;
  return [
    measure('resolve ClusterIP', () => (state.resolve('10.96.0.1', 80).kind === 'service' ? 1 : 0)),
    measure('resolve pod address', (i) => (state.resolve(`10.0.0.${(i % 100) + 1}`, 8080).kind === 'workload' ? 1 : 0)),
    measure('pick endpoint of 100', () => pickEndpoint(endpoints, inFlight, random)?.slot ?? 0),
    measure('pick weighted backend of 2', () => pickWeighted(backends, random)?.weight ?? 0),
    measure('normalise a plain path', () => (normalisePath('/api/v1/resource1/item').ok ? 1 : 0)),
    measure('apply: one of 100 pods changes, and its Service is used', (i) => {
      state.apply({ upserts: [{ ...first, ready: i % 2 === 0 }], removals: [] });
      return destination.target.cluster.endpoints.length;
    }),
  ];
}

const rows = [
  ...routeRows((work) => measure('', work).nanoseconds),
  ...benchPolicies(10, 10),
  ...benchPolicies(10_000, 10),
  ...benchRest(),
  ...authorizationRows((work) => measure('', work).nanoseconds),
];
if (process.argv.includes('--json')) console.log(JSON.stringify(rows));
else {
  for (const { name, nanoseconds, ratio } of rows) {
    const compared = ratio === undefined ? '' : ` (${ratio.toFixed(1)} ×)`;
    console.log(`${nanoseconds.toFixed(1).padStart(12)} ns${compared.padEnd(12)}${name}`);
  }
}
