/** HTTPRoute: every match, filter and other field, as the model has it, and what the API's validation refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpFilter, HttpRoute, HttpRouteRule } from '../../../mesh/route-model.ts';
import { type RefusalRow, testRefusals } from './refusal-rows.ts';
import { type Translation, translate } from './translate.ts';

const SERVICES = ['a', 'b']
  .map((name) => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: 80}]}\n---\n`)
  .join('');

function route(rules: string, version = 'v1'): string {
  return `apiVersion: gateway.networking.k8s.io/${version}
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: a}]
  rules: ${rules}
`;
}

function translateRules(rules: string): Translation {
  return translate(SERVICES + route(rules));
}

function ruleOf(rule: string): HttpRouteRule {
  const translation = translateRules(`[${rule}]`);
  assert.deepEqual(
    translation.findings.filter(({ code }) => code !== 'NOT_ENFORCED'),
    [],
  );
  const [found] = translation.of('httpRoute')[0]?.rules ?? [];
  assert.ok(found !== undefined, rule);
  return found;
}

test('every served version is read alike', () => {
  const routes = ['v1', 'v1beta1', 'v1alpha2'].map((version) => translate(SERVICES + route('[{}]', version)));
  for (const translation of routes) assert.deepEqual(translation.of('httpRoute'), routes[0]?.of('httpRoute'));
});

test('matches: paths, methods, headers and query parameters by value and by expression', () => {
  const { matches } = ruleOf(`{matches: [
    {path: {type: Exact, value: /a}, method: GET},
    {path: {type: RegularExpression, value: "/v[0-9]+/.*"}},
    {headers: [{name: X-A, value: b}, {name: X-B, type: RegularExpression, value: "a|b"}]},
    {queryParams: [{name: Q, value: "1"}, {name: r, type: RegularExpression, value: ".*"}]}]}`);
  const any = { scheme: null, authority: null, port: null, client: null };
  const root = { type: 'prefix', value: '/', ignoreCase: false };
  const exact = { type: 'exact', invert: false };
  const regex = { type: 'regex', invert: false };
  assert.deepEqual(matches, [
    {
      ...any,
      path: { type: 'exact', value: '/a', ignoreCase: false },
      method: { type: 'exact', value: 'GET' },
      headers: [],
      queryParams: [],
    },
    {
      ...any,
      path: { type: 'regex', value: '/v[0-9]+/.*', ignoreCase: false },
      method: null,
      headers: [],
      queryParams: [],
    },
    {
      ...any,
      path: root,
      method: null,
      headers: [
        { ...exact, name: 'x-a', value: 'b' },
        { ...regex, name: 'x-b', value: 'a|b' },
      ],
      queryParams: [],
    },
    {
      ...any,
      path: root,
      method: null,
      headers: [],
      queryParams: [
        { ...exact, name: 'Q', value: '1' },
        { ...regex, name: 'r', value: '.*' },
      ],
    },
  ]);
});

/** A filter as it is written, and as the model has it. */
const filters: readonly (readonly [string, HttpFilter])[] = [
  [
    '{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: b}], add: [{name: C, value: d}], remove: [E, e]}}',
    {
      type: 'requestHeaderModifier',
      set: [{ name: 'A', value: 'b' }],
      add: [{ name: 'C', value: 'd' }],
      remove: ['E'],
    },
  ],
  [
    '{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [X]}}',
    { type: 'responseHeaderModifier', set: [], add: [], remove: ['X'] },
  ],
  [
    '{type: RequestRedirect, requestRedirect: {}}',
    { type: 'requestRedirect', scheme: null, hostname: null, port: 'request', path: null, statusCode: 302 },
  ],
  [
    '{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.example, statusCode: 308, path: {type: ReplaceFullPath, replaceFullPath: /x}}}',
    {
      type: 'requestRedirect',
      scheme: 'https',
      hostname: 'a.example',
      port: 'scheme',
      path: { type: 'full', value: '/x' },
      statusCode: 308,
    },
  ],
  [
    '{type: RequestRedirect, requestRedirect: {scheme: http, port: 8080, statusCode: 303, path: {type: ReplacePrefixMatch, replacePrefixMatch: /y}}}',
    {
      type: 'requestRedirect',
      scheme: 'http',
      hostname: null,
      port: 8080,
      path: { type: 'prefix', value: '/y' },
      statusCode: 303,
    },
  ],
  [
    '{type: URLRewrite, urlRewrite: {hostname: b.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}}}',
    { type: 'urlRewrite', hostname: 'b.example', path: { type: 'prefix', value: '/' } },
  ],
  [
    '{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /z}}}',
    { type: 'urlRewrite', hostname: null, path: { type: 'full', value: '/z' } },
  ],
  ...(
    [
      ['', 1_000_000],
      [', percent: 0', 0],
      [', percent: 7', 70_000],
      [', fraction: {numerator: 1}', 10_000],
      [', fraction: {numerator: 1, denominator: 3}', 333_333],
      [', fraction: {numerator: 5, denominator: 5}', 1_000_000],
    ] as const
  ).map(([share, perMillion]): readonly [string, HttpFilter] => [
    `{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}${share}}}`,
    {
      type: 'requestMirror',
      backend: { namespace: 'default', name: 'b', port: 80, subset: null },
      valid: true,
      perMillion,
    },
  ]),
  [
    '{type: CORS, cors: {}}',
    {
      type: 'cors',
      allowOrigins: [],
      allowMethods: [],
      allowHeaders: [],
      exposeHeaders: [],
      allowCredentials: false,
      maxAgeS: 5,
      unmatchedPreflights: 'forward',
    },
  ],
  [
    `{type: CORS, cors: {allowOrigins: ["https://A.example", "https://*.b.example:8443", "http://*"], allowMethods: [GET, PUT],
      allowHeaders: [X-A, x-a], exposeHeaders: ["*"], allowCredentials: true, maxAge: 60}}`,
    {
      type: 'cors',
      allowOrigins: [
        { type: 'exact', value: 'https://a.example' },
        { type: 'regex', value: 'https://[^/:]+\\.b\\.example:8443' },
        { type: 'regex', value: 'http://[^/:]+' },
      ],
      allowMethods: ['GET', 'PUT'],
      allowHeaders: ['x-a'],
      exposeHeaders: ['*'],
      allowCredentials: true,
      maxAgeS: 60,
      unmatchedPreflights: 'forward',
    },
  ],
  [
    '{type: CORS, cors: {allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"]}}',
    {
      type: 'cors',
      allowOrigins: [{ type: 'exact', value: '*' }],
      allowMethods: ['*'],
      allowHeaders: ['*'],
      exposeHeaders: [],
      allowCredentials: false,
      maxAgeS: 5,
      unmatchedPreflights: 'forward',
    },
  ],
];

for (const [written, filter] of filters) {
  test(`filter of a rule and of a backend: ${written.slice(0, 90)}`, () => {
    assert.deepEqual(ruleOf(`{filters: [${written}]}`).filters, [filter]);
    const translation = translateRules(`[{backendRefs: [{name: a, port: 80, filters: [${written}]}]}]`);
    const [backend] = translation.of('httpRoute')[0]?.rules[0]?.backends ?? [];
    const redirects = filter.type === 'requestRedirect';
    assert.deepEqual([backend?.filters, backend?.valid], redirects ? [[], false] : [[filter], true]);
    const told = redirects ? ['UNSUPPORTED'] : /Mirror|CORS/.test(written) ? ['NOT_ENFORCED'] : [];
    assert.deepEqual(
      translation.findings.map(({ code }) => code),
      told,
    );
  });
}

test('what replaces a prefix knows which: a rule without matches has the default of the Gateway API', () => {
  const rewrite = '{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}';
  const root = { type: 'prefix', value: '/', ignoreCase: false };
  assert.deepEqual(ruleOf(`{filters: [${rewrite}]}`).matches[0]?.path, root);
  assert.deepEqual(ruleOf(`{backendRefs: [{name: a, port: 80, filters: [${rewrite}]}]}`).matches[0]?.path, root);
  assert.deepEqual(ruleOf('{}').matches, []);
});

test('timeouts: Gateway durations; 0s is no limit', () => {
  const rows: readonly [string, number | null, number | null][] = [
    ['{request: 10s}', 10_000, null],
    ['{request: 1h2m3s4ms, backendRequest: 250ms}', 3_723_004, 250],
    ['{backendRequest: 5s}', null, 5_000],
    ['{request: 0s, backendRequest: 5s}', null, 5_000],
    ['{request: 5s, backendRequest: 5s}', 5_000, 5_000],
    ['{}', null, null],
  ];
  for (const [written, requestMs, backendRequestMs] of rows) {
    assert.deepEqual(ruleOf(`{timeouts: ${written}}`).timeouts, { requestMs, backendRequestMs }, written);
  }
});

test('retry and session persistence are carried and reported as not enforced', () => {
  const text = `[{retry: {attempts: 3, backoff: 100ms, codes: [500, 503]},
    sessionPersistence: {sessionName: s, absoluteTimeout: 1h, idleTimeout: 5m, cookieConfig: {lifetimeType: Permanent}}}]`;
  const translation = translateRules(text);
  const [rule] = translation.of('httpRoute')[0]?.rules ?? [];
  assert.deepEqual(rule?.retry, {
    attempts: 3,
    perTryTimeoutMs: null,
    backoffMs: 100,
    codes: [500, 503],
    conditions: [],
  });
  assert.deepEqual(rule?.sessionPersistence, {
    type: 'Cookie',
    sessionName: 's',
    absoluteTimeoutMs: 3_600_000,
    idleTimeoutMs: 300_000,
    cookieLifetime: 'Permanent',
  });
  assert.deepEqual(
    translation.findings.map(({ severity, code, field }) => [severity, code, field]),
    [
      ['warning', 'NOT_ENFORCED', 'spec.rules[0].retry'],
      ['warning', 'NOT_ENFORCED', 'spec.rules[0].sessionPersistence'],
    ],
  );
});

test('hostnames mean nothing for a Service: reported, and the route holds for every host', () => {
  const translation = translate(SERVICES + route('[{}]').replace('spec:\n', 'spec:\n  hostnames: [a.example]\n'));
  assert.equal(translation.of('httpRoute').length, 1);
  assert.deepEqual(
    translation.findings.map(({ severity, code, field }) => [severity, code, field]),
    [['warning', 'NO_EFFECT', 'spec.hostnames']],
  );
});

test('a filter that weir has not costs its rule, or its backend’s share, and nothing else', () => {
  const redirect = '{type: RequestRedirect, requestRedirect: {}}';
  const external = '{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: b, port: 80}}}';
  const extension = '{type: ExtensionRef, extensionRef: {group: x.io, kind: Y, name: z}}';
  const translation = translateRules(`[
    {filters: [${external}], backendRefs: [{name: a, port: 80}, {name: b, port: 80}]},
    {filters: [${redirect}, ${extension}]},
    {backendRefs: [{name: a, port: 80, filters: [${extension}]}, {name: b, port: 80}]},
    {backendRefs: [{name: a, port: 80}]}]`);
  const rules = translation.of('httpRoute')[0]?.rules ?? [];
  assert.deepEqual(
    rules.map(({ filters: left, backends }) => [left.length, backends.map(({ valid }) => valid)]),
    [
      [0, [false, false]],
      [0, []],
      [0, [false, true]],
      [0, [true]],
    ],
  );
  assert.deepEqual(
    translation.findings.map(({ severity, code, field, reason }) => [
      severity,
      code,
      field,
      /filter (\w+)/.exec(reason)?.[1],
    ]),
    [
      ['warning', 'UNSUPPORTED', 'spec.rules[0].filters[0].type', 'ExternalAuth'],
      ['warning', 'UNSUPPORTED', 'spec.rules[1].filters[1].type', 'ExtensionRef'],
      ['warning', 'UNSUPPORTED', 'spec.rules[2].backendRefs[0].filters[0].type', 'ExtensionRef'],
    ],
  );
});

test('a mirror that leads nowhere is marked and reported; the request itself is not touched', () => {
  const mirror = '{type: RequestMirror, requestMirror: {backendRef: {name: gone, port: 80}}}';
  const translation = translateRules(`[{filters: [${mirror}], backendRefs: [{name: a, port: 80}]}]`);
  const [rule] = translation.of('httpRoute')[0]?.rules ?? [];
  const [filter] = rule?.filters ?? [];
  assert.deepEqual([filter?.type === 'requestMirror' && filter.valid, rule?.backends[0]?.valid], [false, true]);
  assert.match(translation.findings[0]?.remedy ?? '', /nothing is mirrored/);
});

test('a header that is edited twice, spelt differently: the first entry counts', () => {
  const written = '{set: [{name: X-A, value: one}, {name: x-a, value: two}]}';
  const translation = translateRules(`[{filters: [{type: RequestHeaderModifier, requestHeaderModifier: ${written}}]}]`);
  const found: HttpRoute | undefined = translation.of('httpRoute')[0];
  assert.deepEqual(found?.rules[0]?.filters, [
    { type: 'requestHeaderModifier', set: [{ name: 'X-A', value: 'one' }], add: [], remove: [] },
  ]);
  assert.deepEqual(
    translation.findings.map(({ code }) => code),
    ['NO_EFFECT'],
  );
});

const DOCUMENT = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: r
  namespace: demo
spec:
  parentRefs:
    - {group: "", kind: Service, name: echo}
  rules:
    - name: first
      matches: [{path: {value: /v1}}]
      filters:
        - {type: URLRewrite, urlRewrite: {hostname: a.example}}
      backendRefs:
        - {name: echo, port: 80}
      timeouts: {request: 10s}
`;
const MATCHES = 'matches: [{path: {value: /v1}}]';
const FILTER = '{type: URLRewrite, urlRewrite: {hostname: a.example}}';
const TIMEOUTS = 'timeouts: {request: 10s}';
const at = 'spec.rules[0]';
const refusals: readonly RefusalRow[] = [
  [
    'value: /v1',
    'type: RegularExpression, value: "(a)\\\\1"',
    11,
    `${at}.matches[0].path.value`,
    /not an RE2/,
    /RE2 syntax/,
  ],
  [
    'value: /v1',
    'type: RegularExpression, value: "(?=a)b"',
    11,
    `${at}.matches[0].path.value`,
    /not an RE2/,
    /look-around/,
  ],
  ['value: /v1', 'type: RegularExpression, value: "["', 11, `${at}.matches[0].path.value`, /not an RE2/, /RE2/],
  [
    'value: /v1',
    'type: RegularExpression, value: "((a{0,100}){0,100})"',
    11,
    `${at}.matches[0].path.value`,
    /steps per character|not an RE2/,
    /RE2/,
  ],
  [
    MATCHES,
    'matches: [{headers: [{name: a, type: RegularExpression, value: "("}]}]',
    11,
    `${at}.matches[0].headers[0].value`,
    /not an RE2/,
    /RE2/,
  ],
  [
    MATCHES,
    'matches: [{queryParams: [{name: a, type: RegularExpression, value: "*"}]}]',
    11,
    `${at}.matches[0].queryParams[0].value`,
    /not an RE2/,
    /RE2/,
  ],
  ['- name: first', '- name: "First!"', 10, `${at}.name`, /"First!"/, /lower-case/],
  ['  rules:\n', '  rules:\n    - {name: first}\n', 11, 'spec.rules[1].name', /another rule's name/, /its own/],
  [FILTER, '{type: URLRewrite}', 13, `${at}.filters[0].urlRewrite`, /is missing/, /add urlRewrite/],
  [
    FILTER,
    '{type: URLRewrite, urlRewrite: {}, cors: {}}',
    13,
    `${at}.filters[0].cors`,
    /unknown field "cors"/,
    /known here: type, urlRewrite/,
  ],
  [FILTER, `${FILTER}\n        - ${FILTER}`, 14, `${at}.filters[1].type`, /URLRewrite stands here twice/, /make one/],
  [
    FILTER,
    `${FILTER}\n        - {type: RequestRedirect, requestRedirect: {}}`,
    13,
    `${at}.filters`,
    /both RequestRedirect and URLRewrite/,
    /keep one/,
  ],
  [
    FILTER,
    '{type: RequestRedirect, requestRedirect: {}}',
    14,
    `${at}.backendRefs`,
    /beside a RequestRedirect/,
    /not forwarded/,
  ],
  [
    FILTER,
    '{type: RequestRedirect, requestRedirect: {statusCode: 304}}',
    13,
    `${at}.filters[0].requestRedirect.statusCode`,
    /is 304/,
    /301, 302, 303, 307 or 308/,
  ],
  [
    FILTER,
    '{type: RequestRedirect, requestRedirect: {scheme: ftp}}',
    13,
    `${at}.filters[0].requestRedirect.scheme`,
    /"ftp"/,
    /http/,
  ],
  [
    'hostname: a.example',
    'hostname: "*.example"',
    13,
    `${at}.filters[0].urlRewrite.hostname`,
    /"\*\.example"/,
    /one host/,
  ],
  [
    'hostname: a.example',
    'path: {type: ReplacePrefixMatch}',
    13,
    `${at}.filters[0].urlRewrite.path.replacePrefixMatch`,
    /is missing/,
    /add replacePrefixMatch/,
  ],
  [
    'hostname: a.example',
    'path: {type: ReplaceFullPath, replacePrefixMatch: /x}',
    13,
    `${at}.filters[0].urlRewrite.path.replaceFullPath`,
    /is missing/,
    /add/,
  ],
  [
    'hostname: a.example',
    'path: {replaceFullPath: /x}',
    13,
    `${at}.filters[0].urlRewrite.path.type`,
    /is missing/,
    /ReplaceFullPath/,
  ],
  [
    'hostname: a.example',
    'path: {type: ReplaceFullPath, replaceFullPath: "/x?y"}',
    13,
    `${at}.filters[0].urlRewrite.path.replaceFullPath`,
    /PATH_QUERY/,
    /leave out query/,
  ],
  [
    `${MATCHES}\n      filters:\n        - ${FILTER}`,
    'matches: [{path: {type: Exact, value: /v1}}]\n      filters:\n        - {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}',
    13,
    `${at}.filters`,
    /exactly one match, and that by PathPrefix/,
    /each path/,
  ],
  [
    '{name: echo, port: 80}',
    '{name: echo, port: 80, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: x}}}]}',
    15,
    `${at}.backendRefs[0].filters[0].urlRewrite.path.replacePrefixMatch`,
    /is "x"/,
    /start with "\/"/,
  ],
  [
    FILTER,
    '{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: A, value: b}, {name: A, value: c}]}}',
    13,
    `${at}.filters[0].requestHeaderModifier.add[1].name`,
    /"A" stands here twice/,
    /keep one/,
  ],
  [
    FILTER,
    '{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, percent: 1, fraction: {numerator: 1}}}',
    13,
    `${at}.filters[0].requestMirror.fraction`,
    /beside percent/,
    /keep one/,
  ],
  [
    FILTER,
    '{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, fraction: {numerator: 2, denominator: 1}}}',
    13,
    `${at}.filters[0].requestMirror.fraction.numerator`,
    /2 of 1 is more than all/,
    /at most/,
  ],
  [
    FILTER,
    '{type: RequestMirror, requestMirror: {percent: 1}}',
    13,
    `${at}.filters[0].requestMirror.backendRef`,
    /is missing/,
    /Service to mirror to/,
  ],
  [
    FILTER,
    '{type: CORS, cors: {allowOrigins: ["a.example"]}}',
    13,
    `${at}.filters[0].cors.allowOrigins[0]`,
    /"a\.example"/,
    /an origin such as/,
  ],
  [
    FILTER,
    '{type: CORS, cors: {allowOrigins: ["*", "https://a.example"]}}',
    13,
    `${at}.filters[0].cors.allowOrigins[0]`,
    /beside others/,
    /the only one/,
  ],
  [FILTER, '{type: CORS, cors: {allowMethods: [get]}}', 13, `${at}.filters[0].cors.allowMethods[0]`, /"get"/, /GET/],
  [FILTER, '{type: CORS, cors: {maxAge: 0}}', 13, `${at}.filters[0].cors.maxAge`, /is 0/, /from 1/],
  [TIMEOUTS, 'timeouts: {request: 10}', 16, `${at}.timeouts.request`, /the number 10, not text/, /"10"/],
  [TIMEOUTS, 'timeouts: {request: 1.5s}', 16, `${at}.timeouts.request`, /"1\.5s"/, /10s, 250ms or 1h2m/],
  [
    TIMEOUTS,
    'timeouts: {request: 1s, backendRequest: 2s}',
    16,
    `${at}.timeouts.backendRequest`,
    /longer than request/,
    /single attempt/,
  ],
  [TIMEOUTS, 'retry: {codes: [200]}', 16, `${at}.retry.codes[0]`, /is 200/, /400 to 599/],
  [
    TIMEOUTS,
    'sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}',
    16,
    `${at}.sessionPersistence.absoluteTimeout`,
    /is missing/,
    /Permanent/,
  ],
  [
    TIMEOUTS,
    'sessionPersistence: {type: Header, cookieConfig: {}}',
    16,
    `${at}.sessionPersistence.cookieConfig`,
    /beside type: Header/,
    /type: Cookie/,
  ],
];
testRefusals('HTTPRoute', DOCUMENT, refusals);
