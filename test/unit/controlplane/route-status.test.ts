/** The status of routes: conditions per parent, with the reasons of the Gateway API. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RouteStatus } from '../../../mesh/route-status.ts';
import { Translation } from './translate.ts';

const SERVICES = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{name: http, port: 80}, {name: tls, port: 443, appProtocol: https}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: bank}
spec: {ports: [{port: 80}]}
`;

const OWN = '{group: "", kind: Service, name: web}';
const EXTENSION = '{type: ExtensionRef, extensionRef: {group: x.io, kind: Y, name: z}}';

const route = (parents: string, rules: string, more = ', generation: 7', kind = 'HTTPRoute'): string =>
  `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: r, namespace: shop${more}}
spec:
  parentRefs: ${parents}
  rules: ${rules}
`;

function statusOf(text: string): RouteStatus {
  const [status, ...more] = new Translation().change({ 's.yaml': SERVICES, 'r.yaml': text }).routeStatuses;
  assert.ok(status !== undefined && more.length === 0);
  return status;
}

/** `Accepted=True/Accepted ResolvedRefs=False/BackendNotFound`, by parent. */
function told(status: RouteStatus): string[] {
  return status.parents.map(({ conditions }) =>
    conditions.map(({ type, status: value, reason }) => `${type}=${value}/${reason}`).join(' '),
  );
}

const FINE = 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs';

test('an accepted route, whole', () => {
  assert.deepEqual(
    statusOf(
      route(`[${OWN.replace('}', ', port: 80, sectionName: http}')}]`, '[{backendRefs: [{name: web, port: 80}]}]'),
    ),
    {
      kind: 'HTTPRoute',
      namespace: 'shop',
      name: 'r',
      parents: [
        {
          parentRef: { group: '', kind: 'Service', namespace: 'shop', name: 'web', port: 80, sectionName: 'http' },
          controllerName: 'weir.dev/controller',
          conditions: [
            { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration: 7 },
            { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '', observedGeneration: 7 },
          ],
        },
      ],
    },
  );
});

test('conditions by what is wrong', () => {
  const gone = '{group: "", kind: Service, name: gone}';
  const accepted = 'Accepted=True/Accepted';
  const rows: readonly [string, string, readonly string[]][] = [
    [`[${OWN}, ${gone}]`, '[{}]', [FINE, 'Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs']],
    [`[${OWN.replace('}', ', port: 9}')}]`, '[{}]', ['Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs']],
    [
      `[${OWN.replace('}', ', sectionName: x}')}]`,
      '[{}]',
      ['Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs'],
    ],
    [`[{name: gateway}, ${OWN}]`, '[{}]', [FINE]],
    [
      `[${OWN}, {group: "", kind: Service, name: db, namespace: bank}]`,
      '[{}]',
      [FINE, 'Accepted=False/UnsupportedValue ResolvedRefs=True/ResolvedRefs'],
    ],
    [`[${OWN}]`, '[{backendRefs: [{name: gone, port: 80}]}]', [`${accepted} ResolvedRefs=False/BackendNotFound`]],
    [`[${OWN}]`, '[{backendRefs: [{name: web, port: 81}]}]', [`${accepted} ResolvedRefs=False/BackendNotFound`]],
    [`[${OWN}]`, '[{backendRefs: [{group: x.io, kind: Y, name: z}]}]', [`${accepted} ResolvedRefs=False/InvalidKind`]],
    [
      `[${OWN}]`,
      '[{backendRefs: [{name: db, namespace: bank, port: 80}]}]',
      [`${accepted} ResolvedRefs=False/RefNotPermitted`],
    ],
    [`[${OWN}]`, '[{backendRefs: [{name: web, port: 443}]}]', [`${accepted} ResolvedRefs=False/UnsupportedProtocol`]],
    [
      `[${OWN}]`,
      '[{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: gone, port: 80}}}]}]',
      [`${accepted} ResolvedRefs=False/BackendNotFound`],
    ],
    [`[${OWN}]`, `[{filters: [${EXTENSION}]}]`, ['Accepted=False/UnsupportedValue ResolvedRefs=True/ResolvedRefs']],
    [`[${OWN}]`, `[{filters: [${EXTENSION}]}, {}]`, [`${FINE} PartiallyInvalid=True/UnsupportedValue`]],
    [
      `[${OWN}]`,
      `[{backendRefs: [{name: web, port: 80, filters: [${EXTENSION}]}]}]`,
      [`${FINE} PartiallyInvalid=True/UnsupportedValue`],
    ],
  ];
  for (const [parents, rules, expected] of rows) {
    for (const kind of ['HTTPRoute', 'GRPCRoute']) {
      assert.deepEqual(told(statusOf(route(parents, rules, '', kind))), expected, `${kind} ${parents} ${rules}`);
    }
  }
});

test('messages say what and where; a generation that is not written is 0', () => {
  const [parent] = statusOf(
    route(
      `[${OWN}]`,
      `[{}, {filters: [${EXTENSION}], backendRefs: [{name: gone, port: 1}, {name: away, port: 1}]}]`,
      '',
    ),
  ).parents;
  assert.deepEqual(
    parent?.conditions.map(({ message, observedGeneration }) => [message, observedGeneration]),
    [
      ['', 0],
      ['there is no Service shop/gone; there is no Service shop/away', 0],
      ['Dropped Rule(s): spec.rules[1].filters[0].type: the filter ExtensionRef is not supported', 0],
    ],
  );
});

test('TLSRoute and TCPRoute', () => {
  for (const kind of ['TLSRoute', 'TCPRoute']) {
    const rows: readonly [string, readonly string[]][] = [
      ['[{backendRefs: [{name: web, port: 443}]}]', [FINE]],
      ['[{backendRefs: [{name: gone, port: 443}]}]', ['Accepted=True/Accepted ResolvedRefs=False/BackendNotFound']],
    ];
    for (const [rules, expected] of rows) {
      assert.deepEqual(told(statusOf(route(`[${OWN}]`, rules, '', kind))), expected, kind);
    }
  }
});

test('a refused version: not accepted, of its own generation, while the one before stays in force', () => {
  const translation = new Translation().change({ 's.yaml': SERVICES, 'r.yaml': route(`[${OWN}]`, '[{}]') });
  const broken = route(`[${OWN}]`, '[{matches: [{path: {type: RegularExpression, value: "("}}]}]', ', generation: 8');
  translation.change({ 'r.yaml': broken });
  assert.equal(translation.of('httpRoute').length, 1);
  const [status] = translation.routeStatuses;
  assert.ok(status !== undefined);
  const [condition, ...more] = status.parents[0]?.conditions ?? [];
  assert.deepEqual(
    [condition?.type, condition?.status, condition?.reason, more],
    ['Accepted', 'False', 'UnsupportedValue', []],
  );
  assert.equal(condition?.observedGeneration, 8);
  assert.match(condition?.message ?? '', /^spec\.rules\[0\]\.matches\[0\]\.path\.value: .*RE2/);
  translation.change({ 'r.yaml': route(`[${OWN}]`, '[{}]', ', generation: 9') });
  assert.deepEqual(told(translation.routeStatuses[0] ?? status), [FINE]);
  assert.deepEqual(translation.change({ 'r.yaml': null }).routeStatuses, []);
});

test('a route without parents of ours has no status', () => {
  const translation = new Translation().change({ 'r.yaml': route('[{name: gateway}]', '[{}]') });
  assert.deepEqual(translation.routeStatuses, []);
});

test('the status follows other objects', () => {
  const text = route(`[${OWN}]`, '[{backendRefs: [{name: db, namespace: bank, port: 80}]}]');
  const translation = new Translation().change({ 'r.yaml': text });
  const now = (): string[] => translation.routeStatuses.flatMap(told);
  assert.deepEqual(now(), ['Accepted=False/NoMatchingParent ResolvedRefs=False/RefNotPermitted']);
  translation.change({
    's.yaml': SERVICES,
    'g.yaml': `apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: bank}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: "", kind: Service}]}
`,
  });
  assert.deepEqual(now(), [FINE]);
});
