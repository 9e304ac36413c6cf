/** What routes are attached to and send to: ports by number and name, consumer routes, ReferenceGrants, kinds that are not Services. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testRefusals } from './refusal-rows.ts';
import { Translation } from './translate.ts';

const service = (
  namespace: string,
  name: string,
  ports = '[{name: http, port: 80}, {name: admin, port: 81}]',
): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec: {ports: ${ports}}\n`;

const route = (parents: string, backends = '[]', kind = 'HTTPRoute'): string =>
  `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: r, namespace: shop}
spec:
  parentRefs: ${parents}
  rules: [{backendRefs: ${backends}}]
`;

const grant = (from: string, to: string, version = 'v1', namespace = 'bank'): string =>
  `apiVersion: gateway.networking.k8s.io/${version}
kind: ReferenceGrant
metadata: {name: g, namespace: ${namespace}}
spec: {from: [${from}], to: [${to}]}
`;

const OWN = '{group: "", kind: Service, name: web}';
const SERVICES = { 'web.yaml': service('shop', 'web'), 'db.yaml': service('bank', 'db') };

function findings(translation: Translation): [string, string][] {
  return translation.findings.map(({ code, field }) => [code, field]);
}

test('parents: by port, by the name of a port, by both', () => {
  const rows: readonly [string, unknown, [string, string][]][] = [
    ['', [{ namespace: 'shop', name: 'web', port: null }], []],
    ['port: 81', [{ namespace: 'shop', name: 'web', port: 81 }], []],
    ['sectionName: admin', [{ namespace: 'shop', name: 'web', port: 81 }], []],
    ['sectionName: admin, port: 81', [{ namespace: 'shop', name: 'web', port: 81 }], []],
    ['sectionName: admin, port: 80', null, [['REFERENCE_NOT_FOUND', 'spec.parentRefs[0].sectionName']]],
    ['sectionName: none', null, [['REFERENCE_NOT_FOUND', 'spec.parentRefs[0].sectionName']]],
    ['port: 82', [{ namespace: 'shop', name: 'web', port: 82 }], [['REFERENCE_NOT_FOUND', 'spec.parentRefs[0].port']]],
  ];
  for (const [more, parents, found] of rows) {
    const text = route(`[{group: "", kind: Service, name: web, ${more}}]`);
    const translation = new Translation().change({ ...SERVICES, 'r.yaml': text });
    assert.deepEqual(translation.of('httpRoute')[0]?.parents ?? null, parents, more);
    assert.deepEqual(findings(translation), found, more);
  }
});

test('a port is found by name as soon as it is there, also by a TCPRoute', () => {
  const parent = '[{group: "", kind: Service, name: late, sectionName: x}]';
  for (const kind of ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute']) {
    const translation = new Translation().change({ 'r.yaml': route(parent, '[]', kind) });
    assert.deepEqual(
      [translation.mesh.length, findings(translation)],
      [0, [['REFERENCE_NOT_FOUND', 'spec.parentRefs[0]']]],
    );
    translation.change({ 's.yaml': service('shop', 'late', '[{name: x, port: 7}]') });
    const [found] = [...translation.of('httpRoute'), ...translation.of('tlsRoute'), ...translation.of('tcpRoute')];
    assert.deepEqual([found?.parents[0]?.port, findings(translation)], [7, []], kind);
    translation.change({ 's.yaml': null });
    assert.equal(translation.mesh.length, 0);
  }
});

test('a route in another namespace than its Service is for its own namespace alone', () => {
  for (const kind of ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute']) {
    const consumer = route(
      '[{group: "", kind: Service, name: db, namespace: bank, sectionName: http}]',
      '[{name: db, namespace: bank, port: 80}, {name: web, port: 80}]',
      kind,
    );
    const translation = new Translation().change({ ...SERVICES, 'r.yaml': consumer });
    const [found] = [...translation.of('httpRoute'), ...translation.of('tlsRoute'), ...translation.of('tcpRoute')];
    assert.deepEqual(found?.clients, ['shop']);
    assert.deepEqual(found?.parents, [{ namespace: 'bank', name: 'db', port: 80 }]);
    assert.deepEqual(
      found?.rules[0]?.backends.map(({ valid }) => valid),
      [true, true],
      'its own parent needs no grant',
    );
    assert.deepEqual(findings(translation), []);
  }
  const producer = new Translation().change({ ...SERVICES, 'r.yaml': route(`[${OWN}]`) });
  assert.deepEqual(producer.of('httpRoute')[0]?.clients, ['*']);
});

test('a route cannot be producer and consumer at once: the parents of its own namespace stay', () => {
  const parents = `[{group: "", kind: Service, name: db, namespace: bank}, ${OWN}]`;
  const translation = new Translation().change({ ...SERVICES, 'r.yaml': route(parents) });
  const [found] = translation.of('httpRoute');
  assert.deepEqual([found?.clients, found?.parents.map(({ name }) => name)], [['*'], ['web']]);
  assert.deepEqual(findings(translation), [['UNSUPPORTED', 'spec.parentRefs[0].namespace']]);
});

test('ReferenceGrants open Services of another namespace, by kind, namespace and name of both sides', () => {
  const from = '{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}';
  const to = '{group: "", kind: Service}';
  const rows: readonly [string | null, boolean][] = [
    [null, false],
    [grant(from, to), true],
    [grant(from, to, 'v1beta1'), true],
    [grant(from, to, 'v1alpha2'), true],
    [grant(from, '{group: core, kind: Service, name: db}'), true],
    [grant(from, '{group: "", kind: Service, name: other}'), false],
    [grant(from, '{group: "", kind: Secret}'), false],
    [grant(from.replace('HTTPRoute', 'TCPRoute'), to), false],
    [grant(from.replace('shop', 'other'), to), false],
    [grant(from.replace('gateway.networking.k8s.io', 'x.io'), to), false],
    [grant(from, to, 'v1', 'shop'), false],
    [grant(`${from.replace('shop', 'other')}, ${from}`, `{group: "", kind: Secret}, ${to}`), true],
  ];
  const text = route(`[${OWN}]`, '[{name: db, namespace: bank, port: 80}]');
  for (const [granting, valid] of rows) {
    const translation = new Translation().change({ ...SERVICES, 'r.yaml': text });
    if (granting !== null) translation.change({ 'g.yaml': granting });
    assert.equal(translation.of('httpRoute')[0]?.rules[0]?.backends[0]?.valid, valid, granting ?? 'none');
    const expected: [string, string][] = valid ? [] : [['REFERENCE_NOT_PERMITTED', 'spec.rules[0].backendRefs[0]']];
    assert.deepEqual(findings(translation), expected, granting ?? 'none');
    translation.change({ 'g.yaml': null });
    assert.equal(translation.of('httpRoute')[0]?.rules[0]?.backends[0]?.valid, false, 'the grant is gone');
  }
});

test('a mirror needs a grant too', () => {
  const mirror = '{type: RequestMirror, requestMirror: {backendRef: {name: db, namespace: bank, port: 80}}}';
  const text = route(`[${OWN}]`).replace('{backendRefs: []}', `{filters: [${mirror}]}`);
  const from = '{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}';
  const valid = (translation: Translation): unknown => {
    const [filter] = translation.of('httpRoute')[0]?.rules[0]?.filters ?? [];
    return filter?.type === 'requestMirror' && filter.valid;
  };
  const translation = new Translation().change({ ...SERVICES, 'r.yaml': text });
  assert.equal(valid(translation), false);
  assert.equal(valid(translation.change({ 'g.yaml': grant(from, '{group: "", kind: Service}') })), true);
});

test('a port that speaks TLS is no backend of an HTTPRoute, and is one of a TLSRoute', () => {
  const tls = { ...SERVICES, 's.yaml': service('shop', 's', '[{port: 443, appProtocol: https}]') };
  const backends = '[{name: s, port: 443}]';
  const http = new Translation().change({ ...tls, 'r.yaml': route(`[${OWN}]`, backends) });
  assert.equal(http.of('httpRoute')[0]?.rules[0]?.backends[0]?.valid, false);
  assert.deepEqual(findings(http), [['UNSUPPORTED', 'spec.rules[0].backendRefs[0]']]);
  const passed = new Translation().change({ ...tls, 'r.yaml': route(`[${OWN}]`, backends, 'TLSRoute') });
  assert.equal(passed.of('tlsRoute')[0]?.rules[0]?.backends[0]?.valid, true);
});

test('parents that are somebody else’s are left to them', () => {
  const parents = `[{name: gateway}, ${OWN}, {group: x.io, kind: Thing, name: y}]`;
  const translation = new Translation().change({ ...SERVICES, 'r.yaml': route(parents) });
  assert.deepEqual(
    translation.of('httpRoute')[0]?.parents.map(({ name }) => name),
    ['web'],
  );
  assert.deepEqual(findings(translation), []);
});

testRefusals(
  'HTTPRoute',
  `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: demo}
spec:
  parentRefs:
    - {group: "", kind: Service, name: s}
`,
  [
    ['kind: Service', 'kind: Service, sectionName: "A!"', 6, 'spec.parentRefs[0].sectionName', /"A!"/, /lower-case/],
    ['group: ""', 'group: apps', 6, 'spec.parentRefs[0].group', /not "apps"/, /group: ""/],
    ['name: s', 'nam: s', 6, 'spec.parentRefs[0].name', /is missing/, /add name/],
    [
      '  parentRefs:\n    - {group: "", kind: Service, name: s}',
      '  rules: []',
      5,
      'spec.parentRefs',
      /is missing/,
      /Service to attach/,
    ],
  ],
);

test('a malformed ReferenceGrant grants nothing', () => {
  const from = '{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}';
  const rows: readonly [string, string, string][] = [
    [grant(from, '{kind: Service}'), 'MISSING_FIELD', 'spec.to[0].group'],
    [grant(from, '{group: ""}'), 'MISSING_FIELD', 'spec.to[0].kind'],
    [
      grant(from.replace(', namespace: shop', ''), '{group: "", kind: Service}'),
      'MISSING_FIELD',
      'spec.from[0].namespace',
    ],
    [grant(from, '{group: "", kind: Service, namespace: x}'), 'UNKNOWN_FIELD', 'spec.to[0].namespace'],
    [
      grant(from, '{group: "", kind: Service}').replace(', to: [{group: "", kind: Service}]', ''),
      'MISSING_FIELD',
      'spec.to',
    ],
  ];
  for (const [text, code, field] of rows) {
    const files = {
      ...SERVICES,
      'r.yaml': route(`[${OWN}]`, '[{name: db, namespace: bank, port: 80}]'),
      'g.yaml': text,
    };
    const translation = new Translation().change(files);
    assert.equal(translation.of('httpRoute')[0]?.rules[0]?.backends[0]?.valid, false);
    const [error, ...more] = translation.findings.filter(({ severity }) => severity === 'error');
    assert.deepEqual([error?.code, error?.field, more.length], [code, field, 0], text);
  }
});
