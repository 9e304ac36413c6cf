/** What the security kinds become, with their defaults, and what people are told of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NetworkRule } from '../../../mesh/policy-model.ts';
import { Translation, translate } from './translate.ts';

function object(kind: string, spec: string, { group = 'security.istio.io/v1', metadata = '' } = {}): string {
  return `apiVersion: ${group}\nkind: ${kind}\nmetadata: {name: p, namespace: n${metadata}}\nspec: ${spec}\n`;
}
const authorization = (spec: string, metadata = ''): string => object('AuthorizationPolicy', spec, { metadata });
const network = (spec: string): string => object('NetworkPolicy', spec, { group: 'networking.k8s.io/v1' });
const told = ({ findings }: Translation): string[][] => findings.map(({ code, field }) => [code, field]);

test('every condition of Istio’s is taken; header names in lower case, accounts with their namespace', () => {
  const keys: readonly [string, string, string, string][] = [
    ['request.headers[X-Token]', 'a*', 'request.headers[x-token]', 'a*'],
    ['request.auth.claims[realm][roles x]', 'admin', 'request.auth.claims[realm][roles x]', 'admin'],
    ['request.auth.principal', '*', 'request.auth.principal', '*'],
    ['request.auth.audiences', 'web', 'request.auth.audiences', 'web'],
    ['request.auth.presenter', 'web', 'request.auth.presenter', 'web'],
    ['source.ip', '10.0.0.0/8', 'source.ip', '10.0.0.0/8'],
    ['remote.ip', '10.0.0.0/8', 'remote.ip', '10.0.0.0/8'],
    ['source.namespace', 'a', 'source.namespace', 'a'],
    ['source.principal', 'td/ns/a/sa/b', 'source.principal', 'td/ns/a/sa/b'],
    ['source.serviceAccount', 'a', 'source.serviceAccount', 'n/a'],
    ['source.serviceAccount', 'm/a', 'source.serviceAccount', 'm/a'],
    ['destination.ip', 'fd00::1', 'destination.ip', 'fd00::1'],
    ['destination.port', '8080', 'destination.port', '8080'],
    ['connection.sni', '*.example', 'connection.sni', '*.example'],
  ];
  for (const [key, value, modelKey, modelValue] of keys) {
    for (const field of ['values', 'notValues']) {
      const translation = translate(authorization(`{rules: [{when: [{key: "${key}", ${field}: ["${value}"]}]}]}`));
      assert.deepEqual(translation.of('authorizationPolicy')[0]?.rules[0]?.when, [
        { key: modelKey, values: [], notValues: [], [field]: [modelValue] },
      ]);
      const expected = key.startsWith('request.auth.') ? 'NOT_ENFORCED' : key === 'remote.ip' ? 'UNSUPPORTED' : null;
      assert.deepEqual(told(translation), expected === null ? [] : [[expected, 'spec.rules[0].when[0].key']], key);
    }
  }
});

test('request principals are carried, and reported as never matching', () => {
  const translation = translate(authorization('{rules: [{from: [{source: {requestPrincipals: ["i/*"]}}]}]}'));
  assert.deepEqual(translation.of('authorizationPolicy')[0]?.rules[0]?.from[0]?.requestPrincipals, ['i/*']);
  assert.deepEqual(told(translation), [['NOT_ENFORCED', 'spec.rules[0].from[0].source.requestPrincipals']]);
});

test('actions and dry-run; an external authorizer is said to be missing', () => {
  for (const [text, dryRun] of [
    ['"true"', true],
    ['"1"', true],
    ['"True"', true],
    ['"false"', false],
    ['"0"', false],
  ] as const) {
    const translation = translate(
      authorization('{action: DENY, rules: [{}]}', `, annotations: {istio.io/dry-run: ${text}}`),
    );
    const [policy] = translation.of('authorizationPolicy');
    assert.deepEqual([policy?.action, policy?.dryRun], ['DENY', dryRun], text);
    assert.deepEqual(translation.findings, []);
  }
  assert.equal(translate(authorization('{action: AUDIT}')).of('authorizationPolicy')[0]?.action, 'AUDIT');
  const custom = translate(authorization('{action: CUSTOM, provider: {name: opa}, rules: [{}]}'));
  assert.equal(custom.of('authorizationPolicy')[0]?.action, 'CUSTOM');
  assert.deepEqual(told(custom), [['UNSUPPORTED', 'spec.action']]);
  assert.match(
    custom.findings[0]?.reason ?? '',
    /no external authorizer yet: requests that its rules match are denied/,
  );
});

test('a target that is a gateway means nothing in a mesh without; never that the policy holds for the namespace', () => {
  const gateway = '{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}';
  const rules = { AuthorizationPolicy: 'rules: [{}]', RequestAuthentication: 'jwtRules: []' };
  for (const [kind, rest] of Object.entries(rules)) {
    for (const spec of [
      `targetRefs: [${gateway}]`,
      `targetRef: ${gateway}`,
      `targetRefs: [${gateway.replace('Gateway', 'GatewayClass')}]`,
    ]) {
      const translation = translate(object(kind, `{${spec}, ${rest}}`));
      assert.deepEqual(translation.mesh, [], spec);
      assert.deepEqual(
        told(translation).map(([code]) => code),
        ['NO_EFFECT'],
        spec,
      );
    }
    const both = translate(
      object(kind, `{targetRefs: [${gateway}, {kind: Service, group: core, name: web}], ${rest}}`),
    );
    assert.deepEqual(
      both.mesh.map((resource) => 'targetServices' in resource && resource.targetServices),
      [['n/web']],
    );
  }
});

test('PeerAuthentication: UNSET is left to the wider scope, ports are text, what is not enforced is told', () => {
  const rows: readonly [string, object, string[]][] = [
    ['{}', { mode: null, portModes: {}, selector: null }, []],
    ['{mtls: {}}', { mode: null }, []],
    ['{mtls: {mode: UNSET}}', { mode: null }, []],
    ['{mtls: {mode: PERMISSIVE}}', { mode: 'PERMISSIVE' }, []],
    ['{mtls: {mode: STRICT}}', { mode: 'STRICT' }, ['spec.mtls.mode']],
    [
      '{selector: {matchLabels: {app: web}}, portLevelMtls: {9000: {mode: UNSET}, 8080: {mode: DISABLE}}}',
      { selector: { app: 'web' }, mode: null, portModes: { 8080: 'DISABLE', 9000: null } },
      ['spec.portLevelMtls["8080"].mode'],
    ],
  ];
  for (const [spec, expected, fields] of rows) {
    const translation = translate(
      object('PeerAuthentication', spec, { metadata: ', creationTimestamp: 2026-01-01T00:00:00Z' }),
    );
    const base = { kind: 'peerAuthentication', namespace: 'n', name: 'p', meshWide: false, selector: null, mode: null };
    const createdMs = Date.UTC(2026, 0, 1);
    assert.deepEqual(translation.mesh, [{ ...base, portModes: {}, createdMs, ...expected }], spec);
    assert.deepEqual(
      told(translation),
      fields.map((field) => ['NOT_ENFORCED', field]),
      spec,
    );
  }
});

test('RequestAuthentication: all fields, header names in lower case; it is said that tokens are not verified', () => {
  const rule =
    '{issuer: i, audiences: [a], jwksUri: "https://i/keys?x=1", fromHeaders: [{name: X-Jwt, prefix: "Bearer "}], ' +
    'fromParams: [t], fromCookies: [c], outputPayloadToHeader: X-P, outputClaimToHeaders: [{header: X-S, claim: a.b}], ' +
    'forwardOriginalToken: true, timeout: 1.5s, spaceDelimitedClaims: [scopes]}';
  const translation = translate(
    object('RequestAuthentication', `{selector: {matchLabels: {app: web}}, jwtRules: [${rule}]}`),
  );
  assert.deepEqual(translation.mesh, [
    {
      kind: 'requestAuthentication',
      namespace: 'n',
      name: 'p',
      meshWide: false,
      selector: { app: 'web' },
      targetServices: [],
      jwtRules: [
        {
          issuer: 'i',
          audiences: ['a'],
          jwks: null,
          jwksUri: 'https://i/keys?x=1',
          fromHeaders: [{ name: 'x-jwt', prefix: 'Bearer ' }],
          fromParams: ['t'],
          fromCookies: ['c'],
          outputPayloadToHeader: 'x-p',
          outputClaimToHeaders: [{ header: 'x-s', claim: 'a.b' }],
          forwardOriginalToken: true,
          timeoutMs: 1_500,
        },
      ],
    },
  ]);
  assert.deepEqual(told(translation), [
    ['NOT_ENFORCED', 'spec.jwtRules'],
    ['NOT_ENFORCED', 'spec.jwtRules[0].spaceDelimitedClaims'],
  ]);
  const [bare] = translate(object('RequestAuthentication', '{jwtRules: [{issuer: i}]}')).of('requestAuthentication');
  assert.deepEqual(
    [bare?.jwtRules[0]?.jwks, bare?.jwtRules[0]?.forwardOriginalToken, bare?.selector],
    [null, false, null],
  );
});

test('NetworkPolicy: directions, peers and ports as Kubernetes defaults them', () => {
  const everything = { matchLabels: {}, matchExpressions: [] };
  const open: NetworkRule = { peers: [], ports: [] };
  const rows: readonly [string, object][] = [
    ['{podSelector: {}}', { ingress: [], egress: null }],
    ['{}', { ingress: [], egress: null }],
    ['{podSelector: {}, ingress: [{}]}', { ingress: [open], egress: null }],
    ['{podSelector: {}, ingress: [{from: [], ports: []}]}', { ingress: [open] }],
    ['{podSelector: {}, egress: [{}]}', { ingress: [], egress: [open] }],
    ['{podSelector: {}, policyTypes: [Egress]}', { ingress: null, egress: [] }],
    ['{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]}', { ingress: [open], egress: [] }],
    [
      '{podSelector: {}, ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}]}',
      {
        ingress: [
          {
            peers: [
              { type: 'pods', namespaces: ['n'], podSelector: everything },
              { type: 'pods', namespaces: null, podSelector: everything },
            ],
            ports: [],
          },
        ],
      },
    ],
    [
      '{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP, port: 53}, {port: web}, {protocol: TCP}]}]}',
      {
        ingress: [
          {
            peers: [],
            ports: [
              { port: 80, endPort: null },
              { port: 'web', endPort: null },
              { port: null, endPort: null },
            ],
          },
        ],
      },
    ],
    ['{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 53}]}]}', { ingress: [{ peers: [], ports: null }] }],
  ];
  for (const [spec, expected] of rows) {
    const translation = translate(network(spec));
    const base = { kind: 'networkPolicy', namespace: 'n', name: 'p', podSelector: everything, egress: null };
    assert.deepEqual(translation.mesh, [{ ...base, ...expected }], spec);
    assert.deepEqual(translation.findings, [], spec);
  }
});

test('rules for a direction that policyTypes does not name are reported', () => {
  const translation = translate(network('{podSelector: {}, policyTypes: [Ingress], egress: [{}]}'));
  assert.deepEqual(translation.of('networkPolicy')[0]?.egress, null);
  assert.deepEqual(told(translation), [['NO_EFFECT', 'spec.egress']]);
});

test('selected namespaces follow the labels of namespaces, and those that come and go', () => {
  const selector = '{matchExpressions: [{key: team, operator: In, values: [a, b]}]}';
  const spec = `{podSelector: {}, ingress: [{}, {from: [{podSelector: {}}, {namespaceSelector: ${selector}}]}], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: pods}}}]}]}`;
  const namespace = (name: string, team: string): string =>
    `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${team}}}\n`;
  const translation = translate(network(spec));
  const names = (): unknown[] => {
    const [policy] = translation.of('networkPolicy');
    const peers = [policy?.ingress?.[1]?.peers[0], policy?.ingress?.[1]?.peers[1], policy?.egress?.[0]?.peers[0]];
    return peers.map((peer) => peer?.type === 'pods' && peer.namespaces);
  };
  assert.deepEqual(names(), [['n'], [], []]);
  assert.deepEqual(told(translation), [
    ['REFERENCE_NOT_FOUND', 'spec.egress[0].to[0].namespaceSelector'],
    ['REFERENCE_NOT_FOUND', 'spec.ingress[1].from[1].namespaceSelector'],
  ]);
  translation.change({ 'z.yaml': namespace('z', 'a'), 'y.yaml': namespace('y', 'b'), 'x.yaml': namespace('x', 'c') });
  assert.deepEqual(names(), [['n'], ['y', 'z'], []]);
  translation.change({ 'z.yaml': namespace('z', 'c'), 'x.yaml': namespace('x', 'a') });
  assert.deepEqual(names(), [['n'], ['x', 'y'], []]);
  // A namespace that only occurs as somebody's has its name as a label.
  translation.change({ 'o.yaml': 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: s, namespace: pods}\n' });
  assert.deepEqual(names(), [['n'], ['x', 'y'], ['pods']]);
  translation.change({ 'o.yaml': null });
  assert.deepEqual(names(), [['n'], ['x', 'y'], []]);
});

test('whatever comes, changes and goes, in whatever order: the mesh is what the last files say', () => {
  const namespaceSelector = '{namespaceSelector: {matchLabels: {team: a}}}';
  const file = (name: string, ...texts: string[]): fc.Arbitrary<readonly [string, string | null]> =>
    fc.constantFrom(null, ...texts).map((text) => [name, text] as const);
  const namespace = (name: string, team: string): string =>
    `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {team: ${team}}}\n`;
  const config = (root: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: "rootNamespace: ${root}"}\n`;
  const change = fc.oneof(
    file('a.yaml', namespace('a', 'a'), namespace('a', 'b')),
    file('b.yaml', namespace('b', 'a')),
    file('m.yaml', config('n'), config('istio-system')),
    file(
      'n.yaml',
      network(`{ingress: [{from: [${namespaceSelector}]}]}`),
      network(`{egress: [{to: [${namespaceSelector}]}]}`),
    ),
    file('p.yaml', authorization('{rules: [{}]}'), authorization('{targetRefs: [{kind: Service, name: s}]}')),
    file('q.yaml', object('PeerAuthentication', '{}'), object('PeerAuthentication', '{mtls: {mode: PERMISSIVE}}')),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const translation = new Translation();
      const files = new Map<string, string | null>();
      for (const [name, text] of changes) {
        translation.change({ [name]: text });
        files.set(name, text);
      }
      assert.deepEqual(translation.mesh, new Translation().change(Object.fromEntries(files)).mesh);
    }),
    { numRuns: 200 },
  );
});
