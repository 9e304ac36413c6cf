/** VirtualServices in view of others: hosts and their owners, destinations, subsets, delegates, several for one host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mesh, httpRoute, object, said, SERVICES, shown, SUBSETS } from './mesh-yaml.ts';

const SHARE = 'until then its share of the requests is answered with 500';
const RULE = '  http: [{route: [{destination: {host: reviews}}]}]';

function virtualService(metadata: string, spec: string): string {
  return object('VirtualService', metadata, spec);
}

test('hosts become parents: Services by every spelling, ServiceEntry hosts, wildcards', () => {
  const entry = object(
    'ServiceEntry',
    '{name: e, namespace: egress}',
    '  hosts: [api.example.com, www.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]',
  );
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['reviews', ['default/reviews']],
    ['ratings.default', ['default/ratings']],
    ['reviews.prod.svc', ['prod/reviews']],
    ['reviews.prod.svc.cluster.local', ['prod/reviews']],
    ['api.example.com', ['egress/api.example.com']],
    ['"*.example.com"', ['egress/api.example.com', 'egress/www.example.com']],
    ['"*.default.svc.cluster.local"', ['default/httpbin', 'default/ratings', 'default/reviews']],
  ];
  for (const [host, parents] of rows) {
    const translation = mesh(SERVICES, entry, virtualService('{name: v}', `  hosts: [${host}]\n${RULE}`));
    assert.deepEqual(
      httpRoute(translation).parents.map(({ namespace, name }) => `${namespace}/${name}`),
      parents,
      host,
    );
  }
});

test('a host that nobody has', () => {
  const translation = mesh(SERVICES, virtualService('{name: v}', `  hosts: [review]\n${RULE}`));
  assert.deepEqual(translation.of('httpRoute'), []);
  assert.deepEqual(said(translation), [
    'VirtualService default/v spec.hosts[0]: there is no Service and no ServiceEntry with the host review.default.svc.cluster.local; create it or correct the host; until then the VirtualService does nothing for it',
  ]);
});

test('a ServiceEntry that is not exported to the VirtualService, or has a wildcard around the host', () => {
  const ports = '  ports: [{number: 80, name: http, protocol: HTTP}]';
  const hidden = object('ServiceEntry', '{name: e, namespace: egress}', `  hosts: [a.com]\n  exportTo: [b]\n${ports}`);
  const wide = object('ServiceEntry', '{name: w, namespace: egress}', `  hosts: ["*.w.com"]\n${ports}`);
  const spec =
    '  hosts: [reviews]\n  http: [{route: [{destination: {host: a.com}, weight: 1}, {destination: {host: x.w.com}, weight: 1}]}]';
  const translation = mesh(SERVICES, hidden, wide, virtualService('{name: v}', `  exportTo: ["."]\n${spec}`));
  assert.deepEqual(said(translation), [
    `VirtualService default/v spec.http[0].route[0].destination.host: there is no Service and no ServiceEntry with the host a.com; ServiceEntry egress/e has it and exports it to b: widen its exportTo; ${SHARE}`,
    `VirtualService default/v spec.http[0].route[1].destination.host: there is no Service and no ServiceEntry with the host x.w.com; ServiceEntry egress/w has *.w.com: add x.w.com to its hosts; ${SHARE}`,
  ]);
});

test('broken destinations keep their share: host, port and subset', () => {
  const spec = `  hosts: [reviews]
  http:
    - route:
        - {destination: {host: nobody}, weight: 1}
        - {destination: {host: reviews, port: {number: 81}}, weight: 1}
        - {destination: {host: reviews, subset: v4}, weight: 1}`;
  const translation = mesh(SERVICES, SUBSETS, virtualService('{name: v}', spec));
  const [rule] = httpRoute(translation).rules;
  assert.deepEqual(rule && shown(rule), ['!default/nobody:0 × 1', '!default/reviews:0 × 1', '!default/reviews:0 × 1']);
  const at = 'VirtualService default/v spec.http[0].route';
  assert.deepEqual(said(translation), [
    `${at}[0].destination.host: there is no Service and no ServiceEntry with the host nobody.default.svc.cluster.local; create it or correct the host; ${SHARE}`,
    `${at}[1].destination.port: Service default/reviews has no TCP port 81; write one of 9080; ${SHARE}`,
    `${at}[2].destination.subset: no DestinationRule defines the subset v4 of Service default/reviews; write one of v1, v2, v3; ${SHARE}`,
  ]);
});

test('a subset is looked for in the own namespace, that of the Service, the root namespace, then the rest', () => {
  const rule = (namespace: string, version: string): string =>
    object(
      'DestinationRule',
      `{name: d, namespace: ${namespace}}`,
      `  host: reviews.prod.svc.cluster.local\n  exportTo: ["*"]\n  subsets: [{name: s, labels: {version: ${version}}}]`,
    );
  const rules = [rule('other', 'd'), rule('istio-system', 'c'), rule('prod', 'b'), rule('default', 'a')];
  const route = virtualService(
    '{name: v}',
    '  hosts: [reviews]\n  http: [{route: [{destination: {host: reviews.prod.svc.cluster.local, subset: s}}]}]',
  );
  for (const [count, version] of [
    [1, 'd'],
    [2, 'c'],
    [3, 'b'],
    [4, 'a'],
  ] as const) {
    const [first] = httpRoute(mesh(SERVICES, ...rules.slice(0, count), route)).rules;
    assert.deepEqual(first?.backends[0]?.subset, { name: 's', labels: { version } });
  }
});

test('deciding for clients of others about a Service of another namespace is said, and works', () => {
  const spec = `  hosts: [reviews.prod.svc.cluster.local]\n${RULE}`;
  const translation = mesh(SERVICES, virtualService('{name: v}', spec));
  assert.equal(httpRoute(translation).parents[0]?.namespace, 'prod');
  const [finding] = translation.findings;
  assert.equal(finding?.code, 'HOST_OF_ANOTHER_NAMESPACE');
  assert.deepEqual(said(translation), [
    'VirtualService default/v spec.hosts[0]: decides for Service prod/reviews, which another namespace owns, and for clients outside default; move it to prod, or write exportTo: ["."] to decide for clients of default alone',
  ]);
  const own = mesh(SERVICES, virtualService('{name: v}', `  exportTo: ["."]\n${spec}`));
  assert.deepEqual(said(own), []);
  assert.deepEqual(httpRoute(own).clients, ['default']);
});

test('of several for one host the older decides, in the sections that both have', () => {
  const old = '{name: z-old, creationTimestamp: "2024-01-01T00:00:00Z"}';
  const young = '{name: a-young, creationTimestamp: "2025-01-01T00:00:00Z"}';
  const tcp = '  tcp: [{route: [{destination: {host: reviews}}]}]';
  const translation = mesh(
    SERVICES,
    virtualService(old, `  hosts: [reviews]\n${RULE}`),
    virtualService(young, `  hosts: [reviews]\n${RULE}\n${tcp}`),
  );
  assert.equal(httpRoute(translation).name, 'z-old');
  assert.deepEqual(
    translation.of('tcpRoute').map(({ name }) => name),
    ['a-young'],
  );
  assert.deepEqual(said(translation), [
    'VirtualService default/a-young spec.hosts[0]: VirtualService default/z-old decides for Service default/reviews already; Istio does not merge them in the mesh: put the rules into one VirtualService',
  ]);
});

test('of a name and a wildcard the name decides, whatever their age', () => {
  const old = '{name: wide, creationTimestamp: "2024-01-01T00:00:00Z"}';
  const young = '{name: narrow, creationTimestamp: "2025-01-01T00:00:00Z"}';
  const translation = mesh(
    SERVICES,
    virtualService(old, `  hosts: ["*.default.svc.cluster.local"]\n${RULE}`),
    virtualService(young, `  hosts: [reviews]\n${RULE}`),
  );
  const parents = translation.of('httpRoute').map(({ name, parents: all }) => [name, all.map((parent) => parent.name)]);
  assert.deepEqual(parents, [
    ['narrow', ['reviews']],
    ['wide', ['httpbin', 'ratings']],
  ]);
});

test('of two that hold for different clients both stay; where they share some it is said', () => {
  const at = (namespace: string, exportTo: string, year: number): string =>
    virtualService(
      `{name: v, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z"}`,
      `  exportTo: [${exportTo}]\n  hosts: [reviews.prod.svc.cluster.local]\n  http: [{route: [{destination: {host: reviews.prod.svc.cluster.local}}]}]`,
    );
  const apart = mesh(SERVICES, at('a', '"."', 2024), at('b', '"."', 2025));
  assert.deepEqual(said(apart), []);
  assert.equal(apart.of('httpRoute').length, 2);
  const shared = mesh(SERVICES, at('prod', '"."', 2024), at('b', '"*"', 2025));
  assert.equal(shared.of('httpRoute').length, 2);
  assert.ok(
    shared.findings.some(
      ({ code, reason }) => code === 'CONFLICT' && reason.endsWith('for the clients that both are exported to'),
    ),
  );
});

test('an HTTPRoute of the same Service decides, and that is said', () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: g}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews}]
  rules: [{backendRefs: [{name: reviews, port: 9080}]}]
`;
  const translation = mesh(SERVICES, gateway, virtualService('{name: v}', `  hosts: [reviews]\n${RULE}`));
  assert.deepEqual(said(translation), [
    'VirtualService default/v spec.hosts[0]: HTTPRoute default/g is attached to Service default/reviews and decides, so the http rules here are not asked; keep one of the two kinds for a Service',
  ]);
});

test('without mesh among its gateways it has no effect, also match by match', () => {
  const none = mesh(SERVICES, virtualService('{name: v}', `  gateways: [bookinfo]\n  hosts: ["*"]\n${RULE}`));
  assert.deepEqual(none.of('httpRoute'), []);
  assert.deepEqual(said(none), [
    'VirtualService default/v spec.gateways: does not name mesh, so the VirtualService has no effect: weir has no gateways yet; add mesh to hold for the pods of the mesh',
  ]);
  const spec = `  gateways: [bookinfo, mesh]
  hosts: [reviews]
  http:
    - match: [{gateways: [bookinfo], uri: {prefix: /a}}]
      route: [{destination: {host: ratings}}]
    - match: [{gateways: [mesh], uri: {prefix: /a}}, {gateways: [bookinfo]}]
      route: [{destination: {host: reviews}}]`;
  const some = mesh(SERVICES, virtualService('{name: v}', spec));
  assert.deepEqual(httpRoute(some).rules.map(shown), [['default/reviews:9080 × 1']]);
  assert.equal(some.findings.filter(({ code }) => code === 'NO_EFFECT').length, 2);
});

const DELEGATE = virtualService(
  '{name: detail, namespace: team}',
  `  http:
    - name: inner
      match: [{uri: {prefix: /a/b}, headers: {x: {exact: "1"}}}]
      timeout: 2s
      route: [{destination: {host: reviews.default.svc.cluster.local, subset: v2}}]
    - match: [{uri: {prefix: /other}}]
      route: [{destination: {host: ratings.default.svc.cluster.local}}]
    - route: [{destination: {host: ratings.default.svc.cluster.local}}]`,
);

test('a delegate: its rules within the match of the root, which fills in what they leave out', () => {
  const root = virtualService(
    '{name: root}',
    `  hosts: [reviews]
  http:
    - name: outer
      match: [{uri: {prefix: /a}, port: 9080}]
      timeout: 9s
      headers: {request: {set: {x-root: "1"}}}
      delegate: {name: detail, namespace: team}
    - route: [{destination: {host: reviews}}]`,
  );
  const translation = mesh(SERVICES, SUBSETS, root, DELEGATE);
  const { rules } = httpRoute(translation);
  assert.deepEqual(
    rules.map(({ name }) => name),
    ['outer-inner', 'outer', null],
  );
  assert.deepEqual(rules.map(shown), [
    ['default/reviews:9080 v2 × 1'],
    ['default/ratings:9080 × 1'],
    ['default/reviews:9080 × 1'],
  ]);
  const prefix = (value: string) => ({ type: 'stringPrefix', value, ignoreCase: false }) as const;
  const [first] = rules[0]?.matches ?? [];
  assert.deepEqual([first?.path, first?.port, first?.headers.length], [prefix('/a/b'), 9080, 1]);
  assert.deepEqual(rules[1]?.matches[0]?.path, prefix('/a'));
  assert.deepEqual(
    rules.map(({ timeouts }) => timeouts.requestMs),
    [2_000, 9_000, null],
  );
  assert.equal(rules[0]?.filters.length, 1);
  assert.deepEqual(said(translation), [
    'VirtualService team/detail spec.http[1].match: has a match that is no part of a match of VirtualService default/root, so the rule is left out; narrow it to what the root passes on, or leave it to the root',
  ]);
});

test('delegates that cannot be followed, and one that nobody delegates to', () => {
  const root = virtualService(
    '{name: root}',
    `  hosts: [reviews]
  http:
    - match: [{uri: {prefix: /1}}]
      delegate: {name: nobody}
    - match: [{uri: {prefix: /2}}]
      delegate: {name: other}
    - match: [{uri: {prefix: /3}}]
      delegate: {name: hidden, namespace: team}
    - route: [{destination: {host: reviews}}]`,
  );
  const other = virtualService('{name: other}', `  hosts: [ratings]\n${RULE}`);
  const hidden = virtualService('{name: hidden, namespace: team}', `  exportTo: ["."]\n${RULE}`);
  const lonely = virtualService('{name: lonely}', RULE);
  const translation = mesh(SERVICES, root, other, hidden, lonely);
  const gone = 'until then the rule is left out';
  assert.deepEqual(said(translation).sort(), [
    'VirtualService default/lonely spec: has no hosts, and no VirtualService delegates to it; add hosts, or a delegate to it in another VirtualService',
    `VirtualService default/root spec.http[0].delegate: there is no VirtualService default/nobody; create it or correct the name; ${gone}`,
    `VirtualService default/root spec.http[1].delegate: VirtualService default/other has hosts of its own, so nothing can be delegated to it; remove its hosts; ${gone}`,
    `VirtualService default/root spec.http[2].delegate: VirtualService team/hidden is not exported to default; add default to its exportTo; ${gone}`,
  ]);
  const route = translation.of('httpRoute').find(({ name }) => name === 'root');
  assert.equal(route?.rules.length, 1);
});

test('which matches of a delegate fit into one of the root', () => {
  const rows: readonly (readonly [root: string, inner: string, fits: boolean])[] = [
    ['uri: {prefix: /a}', 'uri: {prefix: /a/b}', true],
    ['uri: {prefix: /a/b}', 'uri: {prefix: /a}', false],
    ['uri: {prefix: /a}', 'uri: {exact: /ab}', true],
    ['uri: {exact: /a}', 'uri: {exact: /a}', true],
    ['uri: {exact: /a}', 'uri: {prefix: /a}', false],
    ['uri: {prefix: /a}, ignoreUriCase: true', 'uri: {prefix: /a}', false],
    ['method: {exact: GET}', 'method: {exact: POST}', false],
    ['headers: {x: {prefix: a}}', 'headers: {x: {exact: ab}}', true],
    ['headers: {x: {exact: a}}', 'headers: {x: {}}', false],
    ['headers: {x: {}}', 'headers: {x: {exact: a}}', true],
    ['headers: {x: {exact: a}}', 'withoutHeaders: {x: {exact: b}}', true],
    ['queryParams: {q: {exact: a}}', 'queryParams: {q: {exact: b}}', false],
    ['port: 9080', 'port: 80', false],
    ['sourceNamespace: a', 'sourceNamespace: b', false],
    ['sourceLabels: {a: b}', 'sourceLabels: {a: c}', false],
    ['sourceLabels: {a: b}', 'sourceLabels: {c: d}', true],
  ];
  for (const [outer, inner, fits] of rows) {
    const root = virtualService(
      '{name: root}',
      `  hosts: [reviews]\n  http: [{match: [{${outer}}], delegate: {name: inner}}]`,
    );
    const delegate = virtualService(
      '{name: inner}',
      `  http: [{match: [{${inner}}], route: [{destination: {host: reviews}}]}]`,
    );
    const translation = mesh(SERVICES, root, delegate);
    assert.equal(translation.of('httpRoute').length, fits ? 1 : 0, `${outer} ${inner}`);
    assert.equal(
      translation.findings.some(({ code }) => code === 'CONFLICT'),
      !fits,
      `${outer} ${inner}`,
    );
  }
});
