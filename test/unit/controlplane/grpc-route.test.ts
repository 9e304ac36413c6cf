/** GRPCRoute: methods become paths (gRPC over HTTP/2), the rest is as with HTTPRoute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyOf } from '../../../mesh/model.ts';
import { testRefusals } from './refusal-rows.ts';
import { type Translation, translate } from './translate.ts';

const SERVICE =
  'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, appProtocol: grpc}]}\n---\n';

function grpc(rules: string, version = 'v1'): Translation {
  return translate(`${SERVICE}apiVersion: gateway.networking.k8s.io/${version}
kind: GRPCRoute
metadata: {name: r}
spec:
  parentRefs: [{group: "", kind: Service, name: s}]
  rules: ${rules}
`);
}

test('a method match is a match of the path', () => {
  const rows: readonly [string, string, string][] = [
    ['{service: a.B, method: C}', 'exact', '/a.B/C'],
    ['{type: Exact, service: a.B}', 'prefix', '/a.B'],
    ['{method: C}', 'regex', '/[^/]+/C'],
    [
      '{type: RegularExpression, service: "a\\\\..*", method: "C|D"}'.replaceAll('\\\\', '\\'),
      'regex',
      '/(?:a\\..*)/(?:C|D)',
    ],
    ['{type: RegularExpression, service: x+}', 'regex', '/(?:x+)/[^/]+'],
    ['{type: RegularExpression, method: x+}', 'regex', '/[^/]+/(?:x+)'],
  ];
  for (const [method, type, value] of rows) {
    const written = method.replaceAll('\\', '\\\\');
    const translation = grpc(`[{matches: [{method: ${written}}]}]`);
    assert.deepEqual(translation.findings, [], method);
    const path = translation.of('httpRoute')[0]?.rules[0]?.matches[0]?.path;
    assert.deepEqual(path, { type, value, ignoreCase: false }, method);
  }
});

test('headers, filters, weights and names; it lives beside an HTTPRoute of its name', () => {
  const rules = `[{name: one, matches: [{headers: [{name: X-A, value: b}]}],
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [Y]}}, {type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}}}],
    backendRefs: [{name: s, port: 80, weight: 2, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {remove: [Z]}}]}]}]`;
  for (const version of ['v1', 'v1alpha2']) {
    const translation = grpc(rules, version);
    assert.deepEqual(translation.findings, []);
    const [route] = translation.of('httpRoute');
    assert.ok(route !== undefined);
    assert.deepEqual(keyOf(route), { kind: 'httpRoute', key: 'GRPCRoute/default/r' });
    const [rule] = route.rules;
    assert.deepEqual(rule?.matches[0]?.headers, [{ name: 'x-a', type: 'exact', value: 'b', invert: false }]);
    assert.deepEqual(
      [rule?.name, rule?.filters.map(({ type }) => type), rule?.backends[0]?.weight, rule?.backends[0]?.filters.length],
      ['one', ['requestHeaderModifier', 'requestMirror'], 2, 1],
    );
  }
  const both = grpc('[{}]').change({
    'h.yaml':
      'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{group: "", kind: Service, name: s}], rules: [{}]}',
  });
  assert.deepEqual(
    both.of('httpRoute').map(({ source }) => source),
    ['GRPCRoute', 'HTTPRoute'],
  );
});

test('ExtensionRef costs its rule', () => {
  const filter = '{type: ExtensionRef, extensionRef: {group: x.io, kind: Y, name: z}}';
  const translation = grpc(`[{filters: [${filter}], backendRefs: [{name: s, port: 80}]}]`);
  assert.deepEqual(
    translation.of('httpRoute')[0]?.rules[0]?.backends.map(({ valid }) => valid),
    [false],
  );
  assert.deepEqual(
    translation.findings.map(({ code }) => code),
    ['UNSUPPORTED'],
  );
});

testRefusals(
  'GRPCRoute',
  `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: r, namespace: demo}
spec:
  parentRefs: [{group: "", kind: Service, name: s}]
  rules:
    - matches:
        - method: {service: a.B, method: C}
`,
  [
    [
      '{service: a.B, method: C}',
      '{}',
      8,
      'spec.rules[0].matches[0].method.service',
      /is missing/,
      /service, method or both/,
    ],
    ['a.B', 'a/B', 8, 'spec.rules[0].matches[0].method.service', /"a\/B"/, /full name of a gRPC service/],
    ['method: C}', 'method: /C}', 8, 'spec.rules[0].matches[0].method.method', /"\/C"/, /name of a gRPC method/],
    [
      '{service: a.B',
      '{type: RegularExpression, service: "(?!a)"',
      8,
      'spec.rules[0].matches[0].method.service',
      /not an RE2/,
      /look-around/,
    ],
    [
      'method: {service',
      'path: {}\n          method: {service',
      8,
      'spec.rules[0].matches[0].path',
      /unknown field/,
      /known here/,
    ],
    [
      '    - matches:',
      '    - filters: [{type: URLRewrite, urlRewrite: {}}]\n      matches:',
      7,
      'spec.rules[0].filters[0].type',
      /"URLRewrite"/,
      /RequestHeaderModifier/,
    ],
    [
      '    - matches:',
      '    - timeouts: {}\n      matches:',
      7,
      'spec.rules[0].timeouts',
      /unknown field/,
      /known here/,
    ],
  ],
);
