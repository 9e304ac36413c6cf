/** The diagnostics commands, as people call them, against two real agents. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import type { StatusDocument } from '../../agent/admin/api.ts';
import { Place } from './fixtures/agent-process.ts';

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec:
  clusterIP: 10.96.0.10
  selector: { app: web }
  ports: [{ name: http, port: 80 }]
---
apiVersion: v1
kind: Service
metadata: { name: web-v2, namespace: shop }
spec:
  clusterIP: 10.96.0.11
  selector: { app: web, version: v2 }
  ports: [{ name: http, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: split, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: web, port: 80 }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /api }, headers: [{ name: X-Canary, value: "yes" }] }]
      backendRefs: [{ name: web, port: 80, weight: 90 }, { name: web-v2, port: 80, weight: 10 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: lost, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: gone, sectionName: x }]
  rules: [{ backendRefs: [{ name: gone, port: 80 }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-get, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  action: ALLOW
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`;

let place: Place;
let both: readonly string[];

before(async () => {
  place = new Place();
  place.object('shop', OBJECTS);
  place.startController();
  place.agent('node-1');
  place.agent('node-2');
  both = [place.socketOf('node-1'), place.socketOf('node-2')];
  for (const node of ['node-1', 'node-2']) await place.until(node, ({ ready, mesh }) => ready && mesh.httpRoutes === 1);
});

after(() => place.close());

async function run(args: readonly string[], sockets: readonly string[] = both): Promise<string> {
  const { code, out, err } = await place.command(args, sockets);
  assert.equal(code, 0, err);
  return out;
}

test('weir status: one line per node, within 120 columns', async () => {
  const lines = (await run(['status'])).trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^NODE +READY +PODS +WORKERS +RESTARTS +CONTROLLER +CONFIG +SERVICES +ROUTES +POLICIES/);
  assert.match(lines[1] ?? '', /^node-1 +yes +0\/0 +2\/2 +0 +connected/);
  assert.match(lines[2] ?? '', /^node-2 +yes/);
  for (const line of lines) assert.ok(line.length <= 120, line);
});

test('weir status -o json is an array of nodes with pid and workers; -o yaml is the same', async () => {
  const nodes = JSON.parse(await run(['status', '-o', 'json'])) as StatusDocument[];
  assert.deepEqual(
    nodes.map(({ node }) => node),
    ['node-1', 'node-2'],
  );
  for (const { pid, workers } of nodes) {
    assert.ok(pid > 0);
    assert.deepEqual(
      workers.map(({ worker }) => worker),
      [0, 1],
    );
    assert.ok(workers.every((worker) => worker.pid > 0));
  }
  const yaml = parse(await run(['status', '-o', 'yaml'])) as StatusDocument[];
  assert.deepEqual(
    yaml.map(({ node, pid }) => [node, pid]),
    nodes.map(({ node, pid }) => [node, pid]),
  );
});

test('a NODE column appears when several agents answer, and only then', async () => {
  assert.match(await run(['services']), /^NODE +NAMESPACE +SERVICE/);
  assert.match(await run(['services', '--node', 'node-2']), /^NAMESPACE +SERVICE/);
  assert.match(await run(['services'], both.slice(0, 1)), /^NAMESPACE +SERVICE/);
});

test('weir routes shows matches and shares, weir policies the scope', async () => {
  const routes = await run(['routes', '--node', 'node-1']);
  assert.match(routes, /shop +split +http +web\.shop:80 +\/api\/\* header\(x-canary=yes\) +web:80 90%, web-v2:80 10%/);
  const policies = await run(['policies', '--node', 'node-1']);
  assert.match(policies, /shop +only-get +AuthorizationPolicy +ALLOW +namespace: app=web +1 +0/);
  const documents = JSON.parse(await run(['routes', '-n', 'shop', '-o', 'json'])) as { node: string; name: string }[];
  assert.deepEqual(
    documents.map(({ node, name }) => [node, name]),
    [
      ['node-1', 'split'],
      ['node-2', 'split'],
    ],
  );
});

test('weir routes asks the controller what became of routes, those too that no agent has', async () => {
  const ask = ['routes', '--controller-socket', join(place.folder, 'controller.sock')];
  const table = await run([...ask, '--node', 'node-1']);
  assert.match(table, /BACKENDS +STATUS\n/);
  assert.match(table, /shop +split +.*web-v2:80 10% +Accepted\n/);
  assert.match(table, /shop +lost +grpc +gone\.shop +- +- +NoMatchingParent, BackendNotFound\n/);
  const documents = JSON.parse(await run([...ask, '-o', 'json'])) as {
    node: string | null;
    name: string;
    status: { parents: { conditions: { type: string }[] }[] };
  }[];
  assert.deepEqual(
    documents.map(({ node, name, status }) => [node, name, status.parents[0]?.conditions.map(({ type }) => type)]),
    [
      ['node-1', 'split', ['Accepted', 'ResolvedRefs']],
      ['node-2', 'split', ['Accepted', 'ResolvedRefs']],
      [null, 'lost', ['Accepted', 'ResolvedRefs']],
    ],
  );
  assert.doesNotMatch(await run(['routes']), /STATUS|lost/, 'whose controller it is nobody said');
});

test('a namespace without anything prints nothing on stdout, and [] as JSON', async () => {
  const { code, out, err } = await place.command(['routes', '-n', 'bank'], both);
  assert.deepEqual([code, out], [0, '']);
  assert.match(err, /no routes/);
  assert.deepEqual(JSON.parse(await run(['routes', '-n', 'bank', '-o', 'json'])), []);
});

test('weir log-level and access-log change the node they are told, and no other', async () => {
  assert.match(await run(['log-level', 'debug', '--node', 'node-2']), /debug/);
  assert.match(await run(['access-log', 'all', '--node', 'node-2']), /all/);
  const nodes = JSON.parse(await run(['status', '-o', 'json'])) as StatusDocument[];
  assert.deepEqual(
    nodes.map(({ node, logLevel, accessLog }) => [node, logLevel, accessLog]),
    [
      ['node-1', 'info', 'errors'],
      ['node-2', 'debug', 'all'],
    ],
  );
});

test('weir stats prints tables, JSON per node, and the Prometheus text of one node', async () => {
  assert.match(await run(['stats']), /^== node-1 ==/);
  const stats = JSON.parse(await run(['stats', '-o', 'json'])) as { node: string }[];
  assert.deepEqual(
    stats.map(({ node }) => node),
    ['node-1', 'node-2'],
  );
  assert.match(await run(['stats', '--prometheus', '--node', 'node-1']), /^weir_controller_connected 1$/m);
  const several = await place.command(['stats', '--prometheus'], both);
  assert.equal(several.code, 2);
  assert.match(several.err, /choose one with --node: node-1, node-2/);
});

const FAILURES: readonly (readonly [string, readonly string[], number, RegExp])[] = [
  [
    'an unknown output format',
    ['status', '-o', 'xml'],
    2,
    /-o xml: unknown output format; write one of table, json, yaml/,
  ],
  ['an unknown log level', ['log-level', 'loud'], 2, /Allowed choices are debug, info, warn, error/],
  ['an unknown node', ['status', '--node', 'node-9'], 2, /no such node here; agents that answered: node-1, node-2/],
  ['verify without a pod', ['capture', 'verify'], 2, /name one pod \(NAME\.NAMESPACE\), or give --all/],
  ['a pod that is not here', ['capture', 'verify', 'web.shop'], 1, /pod web\.shop is not enrolled/],
  ['logs without --access', ['logs'], 2, /add --access/],
  ['a tail that is no number', ['logs', '--access', '--tail', 'x'], 1, /lines=x: write a number from 1 to 1000/],
];

for (const [what, args, code, message] of FAILURES) {
  test(`${what}: exit ${code} and the remedy`, async () => {
    const result = await place.command(args, both);
    assert.equal(result.code, code, result.err);
    assert.match(result.err, message);
    assert.equal(result.out, '');
  });
}

test('an agent that does not answer: exit 3 with the remedy, and what the others said is printed', async () => {
  const none = await place.command(['status'], [`${place.folder}/none.sock`]);
  assert.equal(none.code, 3);
  assert.match(none.err, /none\.sock cannot be reached: there is no such socket; is `weir agent` running/);
  const partly = await place.command(['services'], [`${place.folder}/none.sock`, ...both.slice(0, 1)]);
  assert.equal(partly.code, 3);
  assert.match(partly.out, /web\.?/);
  assert.match(partly.err, /none\.sock cannot be reached/);
});

test('each command has help with examples and exit statuses', async () => {
  for (const name of [
    'status',
    'pods',
    'services',
    'routes',
    'policies',
    'connections',
    'stats',
    'logs',
    'log-level',
    'access-log',
  ]) {
    const { code, out } = await place.command([name, '--help'], []);
    assert.equal(code, 0, name);
    assert.match(out, new RegExp(`Examples:\\n  weir ${name}`), name);
    assert.match(out, /Exit status: 0 done/, name);
  }
  const { out } = await place.command(['capture', 'verify', '--help'], []);
  assert.match(out, /weir capture verify --all/);
});
