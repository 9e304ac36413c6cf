/** VirtualServices as Istio documents them (bookinfo, httpbin) → routes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpFilter, HttpRouteMatch, HttpRouteRule } from '../../../../mesh/route-model.ts';
import { httpRoute, match, mesh, object, rulesOf, said, SERVICES, shown, SUBSETS } from './mesh-yaml.ts';

const TO_REVIEWS = '      route: [{destination: {host: reviews}}]';

function only(http: string): HttpRouteRule {
  const [rule, second] = rulesOf(http);
  assert.ok(rule !== undefined && second === undefined);
  return rule;
}

test('bookinfo: one user goes to v2, the rest to v1', () => {
  const spec = `  hosts:
    - reviews
  http:
    - match:
        - headers:
            end-user:
              exact: jason
      route:
        - destination:
            host: reviews
            subset: v2
    - route:
        - destination:
            host: reviews
            subset: v1`;
  const translation = mesh(SERVICES, SUBSETS, object('VirtualService', '{name: reviews}', spec));
  const route = httpRoute(translation);
  assert.deepEqual(said(translation), []);
  assert.deepEqual(
    [route.source, route.namespace, route.name, route.parents, route.clients],
    ['VirtualService', 'default', 'reviews', [{ namespace: 'default', name: 'reviews', port: null }], ['*']],
  );
  const jason = { name: 'end-user', type: 'exact', value: 'jason', invert: false } as const;
  assert.deepEqual(
    route.rules.map((rule) => rule.matches),
    [[match({ headers: [jason] })], []],
  );
  assert.deepEqual(route.rules.map(shown), [['default/reviews:9080 v2 × 1'], ['default/reviews:9080 v1 × 1']]);
  assert.deepEqual(route.rules[0]?.backends[0]?.subset, { name: 'v2', labels: { version: 'v2' } });
});

test('bookinfo: weights, and all versions of the API', () => {
  for (const version of ['v1', 'v1beta1', 'v1alpha3']) {
    const spec = `  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews, subset: v1}
          weight: 75
        - destination: {host: reviews, subset: v3}
          weight: 25`;
    const text = object('VirtualService', '{name: reviews}', spec).replace('/v1\n', `/${version}\n`);
    const [rule] = httpRoute(mesh(SERVICES, SUBSETS, text)).rules;
    assert.deepEqual(rule && shown(rule), ['default/reviews:9080 v1 × 75', 'default/reviews:9080 v3 × 25']);
  }
});

test('of a single destination the weight says nothing, among several an absent one is 0', () => {
  const single = only('    - route: [{destination: {host: reviews}, weight: 0}]');
  assert.deepEqual(shown(single), ['default/reviews:9080 × 1']);
  const several = only('    - route: [{destination: {host: reviews}}, {destination: {host: ratings}, weight: 100}]');
  assert.deepEqual(shown(several), ['default/reviews:9080 × 0', 'default/ratings:9080 × 100']);
});

test('a destination without port: the only one, else the one that was dialled', () => {
  const rule = only(`    - route:
        - {destination: {host: httpbin}, weight: 1}
        - {destination: {host: httpbin, port: {number: 8000}}, weight: 1}
        - {destination: {host: reviews.prod.svc.cluster.local}, weight: 1}
        - {destination: {host: reviews.prod}, weight: 1}`);
  const expected = [
    'default/httpbin:0 × 1',
    'default/httpbin:8000 × 1',
    'prod/reviews:9080 × 1',
    'prod/reviews:9080 × 1',
  ];
  assert.deepEqual(shown(rule), expected);
});

const MATCHES: readonly (readonly [string, Partial<HttpRouteMatch>])[] = [
  ['{uri: {exact: /a}}', { path: { type: 'exact', value: '/a', ignoreCase: false } }],
  ['{uri: {prefix: /a}}', { path: { type: 'stringPrefix', value: '/a', ignoreCase: false } }],
  ['{uri: {regex: "/a.*"}}', { path: { type: 'regex', value: '/a.*', ignoreCase: false } }],
  ['{uri: {exact: /A}, ignoreUriCase: true}', { path: { type: 'exact', value: '/A', ignoreCase: true } }],
  ['{uri: {}}', {}],
  ['{method: {exact: GET}}', { method: { type: 'exact', value: 'GET' } }],
  ['{scheme: {exact: http}}', { scheme: { type: 'exact', value: 'http' } }],
  ['{authority: {exact: "Reviews:9080"}}', { authority: { type: 'exact', value: 'reviews' } }],
  ['{authority: {prefix: Rev}}', { authority: { type: 'prefix', value: 'rev' } }],
  ['{headers: {X-A: {prefix: b}}}', { headers: [{ name: 'x-a', type: 'prefix', value: 'b', invert: false }] }],
  ['{headers: {x-a: {}}}', { headers: [{ name: 'x-a', type: 'present', value: '', invert: false }] }],
  ['{headers: {x-a: {exact: ""}}}', { headers: [{ name: 'x-a', type: 'exact', value: '', invert: false }] }],
  ['{withoutHeaders: {x-a: {}}}', { headers: [{ name: 'x-a', type: 'present', value: '', invert: true }] }],
  ['{withoutHeaders: {x-a: {regex: "b+"}}}', { headers: [{ name: 'x-a', type: 'regex', value: 'b+', invert: true }] }],
  ['{queryParams: {Q: {exact: "1"}}}', { queryParams: [{ name: 'Q', type: 'exact', value: '1', invert: false }] }],
  ['{port: 9080}', { port: 9080 }],
  ['{sourceLabels: {app: a}}', { client: { namespace: null, labels: { app: 'a' } } }],
  ['{sourceNamespace: prod}', { client: { namespace: 'prod', labels: {} } }],
  ['{name: n, statPrefix: p}', {}],
  ['{gateways: [mesh, my-gateway]}', {}],
];

test('every condition of a match', () => {
  for (const [text, given] of MATCHES) {
    assert.deepEqual(only(`    - match: [${text}]\n${TO_REVIEWS}`).matches, [match(given)], text);
  }
});

const FILTERS: readonly (readonly [string, readonly HttpFilter[]])[] = [
  [
    'headers: {request: {set: {x-a: "1", ":authority": b.com}, add: {x-b: "2"}, remove: [x-c]}, response: {add: {x-d: "100%%"}}}',
    [
      {
        type: 'requestHeaderModifier',
        set: [
          { name: 'host', value: 'b.com' },
          { name: 'x-a', value: '1' },
        ],
        add: [{ name: 'x-b', value: '2' }],
        remove: ['x-c'],
      },
      { type: 'responseHeaderModifier', set: [], add: [{ name: 'x-d', value: '100%' }], remove: [] },
    ],
  ],
  [
    'rewrite: {authority: "Ratings.default:9080"}',
    [{ type: 'urlRewrite', hostname: 'ratings.default:9080', path: null }],
  ],
  [
    'rewrite: {uriRegexRewrite: {match: "^/a/(.*)$", rewrite: "/b/\\\\1"}}',
    [{ type: 'urlRewrite', hostname: null, path: { type: 'regex', pattern: '^/a/(.*)$', value: '/b/\\1' } }],
  ],
  [
    'mirror: {host: ratings}',
    [
      {
        type: 'requestMirror',
        backend: { namespace: 'default', name: 'ratings', port: 9080, subset: null },
        valid: true,
        perMillion: 1_000_000,
      },
    ],
  ],
  [
    'mirrors: [{destination: {host: reviews, subset: v2}, percentage: {value: 12.5}}, {destination: {host: ratings}, percentage: {value: 0}}]',
    [
      {
        type: 'requestMirror',
        backend: {
          namespace: 'default',
          name: 'reviews',
          port: 9080,
          subset: { name: 'v2', labels: { version: 'v2' } },
        },
        valid: true,
        perMillion: 125_000,
      },
    ],
  ],
  [
    'corsPolicy: {allowOrigins: [{exact: "https://a.com"}, {regex: ".*"}], allowMethods: [POST], allowHeaders: [X-Foo], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}',
    [
      {
        type: 'cors',
        allowOrigins: [
          { type: 'exact', value: 'https://a.com' },
          { type: 'regex', value: '.*' },
        ],
        allowMethods: ['POST'],
        allowHeaders: ['x-foo'],
        exposeHeaders: [],
        allowCredentials: true,
        maxAgeS: 86_400,
        unmatchedPreflights: 'answer',
      },
    ],
  ],
];

test('headers, rewrite, mirrors and corsPolicy become filters', () => {
  for (const [text, filters] of FILTERS) assert.deepEqual(only(`    - ${text}\n${TO_REVIEWS}`).filters, filters, text);
});

test('a rewritten uri: of what the prefix named, of the whole with other matches, of "/" without', () => {
  const root = { type: 'stringPrefix', value: '/', ignoreCase: false } as const;
  const rows: readonly (readonly [string, string, readonly HttpRouteMatch[]])[] = [
    ['[{uri: {prefix: /a}}]', 'stringPrefix', [match({ path: { ...root, value: '/a' } })]],
    ['[{uri: {exact: /a}}]', 'full', [match({ path: { type: 'exact', value: '/a', ignoreCase: false } })]],
    ['[{port: 80}]', 'stringPrefix', [match({ path: root, port: 80 })]],
    ['[]', 'stringPrefix', [match({ path: root })]],
  ];
  for (const [matches, type, expected] of rows) {
    const rule = only(`    - match: ${matches}\n      rewrite: {uri: /b}\n${TO_REVIEWS}`);
    assert.deepEqual(rule.filters, [{ type: 'urlRewrite', hostname: null, path: { type, value: '/b' } }], matches);
    assert.deepEqual(rule.matches, expected, matches);
  }
});

const REDIRECTS: readonly (readonly [string, object])[] = [
  [
    '{uri: /v1/ratings, authority: new.default.svc.cluster.local}',
    { hostname: 'new.default.svc.cluster.local', port: 'scheme', path: { type: 'full', value: '/v1/ratings' } },
  ],
  ['{uri: /a}', { port: 'request', path: { type: 'full', value: '/a' } }],
  ['{scheme: https}', { scheme: 'https', port: 'scheme' }],
  ['{authority: "a.com:8443"}', { hostname: 'a.com', port: 8443 }],
  ['{authority: a.com, port: 81}', { hostname: 'a.com', port: 81 }],
  ['{authority: a.com, derivePort: FROM_REQUEST_PORT}', { hostname: 'a.com', port: 'request' }],
  ['{derivePort: FROM_PROTOCOL_DEFAULT}', { port: 'scheme' }],
  ['{uri: /a, redirectCode: 307}', { port: 'request', path: { type: 'full', value: '/a' }, statusCode: 307 }],
];

test('redirects', () => {
  for (const [text, given] of REDIRECTS) {
    const base = { type: 'requestRedirect', scheme: null, hostname: null, path: null, statusCode: 301 };
    assert.deepEqual(only(`    - redirect: ${text}`).filters, [{ ...base, ...given }], text);
  }
});

test('direct responses, bytes too', () => {
  const rows: readonly (readonly [string, object])[] = [
    ['{status: 503}', { status: 503, body: null }],
    ['{status: 200, body: {string: "{\\"a\\": 1}"}}', { status: 200, body: '{"a": 1}' }],
    ['{status: 200, body: {bytes: aGVsbG8=}}', { status: 200, body: 'hello' }],
  ];
  for (const [text, expected] of rows) assert.deepEqual(only(`    - directResponse: ${text}`).directResponse, expected);
});

test('httpbin: timeout, delay and abort', () => {
  const rule = only(`    - timeout: 0.5s
      fault:
        delay: {percentage: {value: 0.1}, fixedDelay: 5s}
        abort: {percentage: {value: 100}, grpcStatus: UNAVAILABLE}
${TO_REVIEWS}`);
  assert.deepEqual(rule.timeouts, { requestMs: 500, backendRequestMs: null });
  assert.deepEqual(rule.fault, {
    delay: { perMillion: 1_000, delayMs: 5_000 },
    abort: { perMillion: 1_000_000, status: null, grpcStatus: 14 },
  });
  assert.equal(only(`    - timeout: 0s\n${TO_REVIEWS}`).timeouts.requestMs, null);
});

test('retries are carried, and said not to be enforced', () => {
  const spec = `  hosts: [reviews]
  http:
    - retries: {attempts: 3, perTryTimeout: 2s, retryOn: "gateway-error,503,connect-failure", backoff: 25ms}
${TO_REVIEWS}`;
  const translation = mesh(SERVICES, object('VirtualService', '{name: r}', spec));
  assert.deepEqual(httpRoute(translation).rules[0]?.retry, {
    attempts: 3,
    perTryTimeoutMs: 2_000,
    backoffMs: 25,
    codes: [503],
    conditions: ['gateway-error', 'connect-failure'],
  });
  const expected =
    'VirtualService default/r spec.http[0].retries: retries is accepted, not yet enforced; do not rely on it yet';
  assert.deepEqual(said(translation), [expected]);
});

test('tcp and tls rules', () => {
  const spec = `  hosts: [httpbin]
  tls:
    - match: [{sniHosts: [httpbin.default.svc.cluster.local], port: 9000}]
      route: [{destination: {host: httpbin, port: {number: 9000}}}]
  tcp:
    - match: [{port: 9000, destinationSubnets: [10.96.0.0/12], sourceNamespace: prod}]
      route:
        - {destination: {host: httpbin}, weight: 80}
        - {destination: {host: nowhere}, weight: 20}`;
  const translation = mesh(SERVICES, object('VirtualService', '{name: t, namespace: default}', spec));
  const parents = [{ namespace: 'default', name: 'httpbin', port: null }];
  const common = { source: 'VirtualService', namespace: 'default', name: 't', createdMs: 0, parents, clients: ['*'] };
  const backend = { namespace: 'default', name: 'httpbin', port: 9000, subset: null, weight: 1, valid: true };
  const sni = { hostnames: ['httpbin.default.svc.cluster.local'], destinationBlocks: [], port: 9000, client: null };
  assert.deepEqual(translation.of('tlsRoute'), [
    { kind: 'tlsRoute', ...common, rules: [{ matches: [sni], backends: [backend] }] },
  ]);
  const client = { namespace: 'prod', labels: {} };
  const dialled = { hostnames: [], destinationBlocks: ['10.96.0.0/12'], port: 9000, client };
  const broken = { namespace: 'default', name: 'nowhere', port: 0, subset: null, weight: 20, valid: false };
  const backends = [{ ...backend, port: 0, weight: 80 }, broken];
  assert.deepEqual(translation.of('tcpRoute'), [
    { kind: 'tcpRoute', ...common, rules: [{ matches: [dialled], backends }] },
  ]);
});

test('conditions that no client can meet are left out with their rule, and said', () => {
  const spec = `  hosts: [reviews, 10.0.0.1]
  http:
    - match: [{uri: {exact: a}}, {uri: {prefix: /b?c}}, {uri: {exact: /d/../e}}]
      route: [{destination: {host: ratings}}]
    - route: [{destination: {host: reviews}}]
    - route: [{destination: {host: ratings}}]
  tls:
    - match: [{sniHosts: [10.0.0.1]}]
      route: [{destination: {host: reviews}}]`;
  const translation = mesh(SERVICES, object('VirtualService', '{name: v}', spec));
  assert.deepEqual(translation.of('tlsRoute'), []);
  assert.deepEqual(httpRoute(translation).rules.map(shown), [
    ['default/reviews:9080 × 1'],
    ['default/ratings:9080 × 1'],
  ]);
  assert.deepEqual(
    said(translation).filter((line) => !line.includes('spec.hosts[1]')),
    [
      'VirtualService default/v spec.http[0].match[0].uri.exact: "a" does not begin with "/", so this never matches; write /a',
      'VirtualService default/v spec.http[0].match[1].uri.prefix: "/b?c" has more than a path, so this never matches; match the query with queryParams',
      'VirtualService default/v spec.http[0].match[2].uri.exact: "/d/../e" is not the normal form of a path, so this never matches; write /e',
      'VirtualService default/v spec.http[2]: is never reached: http[1] matches everything; move it above that rule',
      'VirtualService default/v spec.tls[0].match[0].sniHosts[0]: clients send no address as server name; remove it: a server name is a host name (RFC 6066)',
    ],
  );
});
