import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { protocolOf } from '../../../controlplane/config/service.ts';
import { Translation, translate } from './translate.ts';
import { NO_SOURCE } from '../../harness/policy-parts.ts';

const ready = 'status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}';

function pod(metadata: string, spec = '{containers: []}', status = ready): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: ${metadata}\nspec: ${spec}\n${status}\n`;
}

test('a pod becomes a workload: identity, node, addresses, only its own annotations', () => {
  const text = pod(
    '{name: a, namespace: n, uid: u, labels: {app: x}, annotations: {weir.dev/exclude-inbound-ports: "22", other/x: y}}',
    '{nodeName: node-2, serviceAccountName: sa, hostNetwork: true, containers: []}',
    'status: {podIP: "::ffff:10.0.0.1", podIPs: [{ip: 10.0.0.1}, {ip: "FD00::1"}], conditions: [{type: Ready, status: "True"}]}',
  );
  assert.deepEqual(translate(text).mesh, [
    {
      kind: 'workload',
      uid: 'u',
      namespace: 'n',
      name: 'a',
      serviceAccount: 'sa',
      node: 'node-2',
      addresses: ['10.0.0.1', 'fd00::1'],
      ready: true,
      hostNetwork: true,
      labels: { app: 'x' },
      annotations: { 'weir.dev/exclude-inbound-ports': '22' },
      workloadName: 'a',
      canonicalName: 'x',
      canonicalRevision: 'latest',
      namedPorts: {},
      locality: '',
      services: {},
    },
  ]);
});

test('readiness: the Ready condition, not while terminating; ended pods are gone, a pod without a status is known', () => {
  const rows: readonly [string, string, boolean | null][] = [
    ['{name: a}', ready, true],
    ['{name: a}', 'status: {conditions: [{type: Ready, status: "False"}]}', false],
    ['{name: a}', 'status: {conditions: [{type: ContainersReady, status: "True"}]}', false],
    ['{name: a}', '', false],
    ['{name: a, deletionTimestamp: "2026-01-01T00:00:00Z"}', ready, false],
    ['{name: a}', ready.replace('{', '{phase: Succeeded, '), null],
    ['{name: a}', ready.replace('{', '{phase: Failed, '), null],
  ];
  for (const [metadata, status, expected] of rows) {
    const [workload] = translate(pod(metadata, undefined, status)).of('workload');
    assert.equal(workload?.ready ?? null, expected, `${metadata} ${status}`);
  }
  assert.equal(translate(pod('{name: a}', undefined, '')).of('workload')[0]?.uid, 'default.a');
});

test('workload name comes from the owner, canonical name and revision from labels, in Istio’s order', () => {
  const owner = (kind: string, name: string): string =>
    `ownerReferences: [{kind: ${kind}, name: ${name}, controller: true, uid: x, apiVersion: v1}]`;
  const rows: readonly [string, string, string, string][] = [
    [`${owner('ReplicaSet', 'web-5d4')}, labels: {pod-template-hash: 5d4}`, 'web', 'web', 'latest'],
    [`${owner('ReplicaSet', 'web-5d4')}`, 'web-5d4', 'web-5d4', 'latest'],
    [`${owner('StatefulSet', 'db')}, labels: {app: a, version: v1}`, 'db', 'a', 'v1'],
    ['labels: {app: a, app.kubernetes.io/name: b, version: v1, app.kubernetes.io/version: v2}', 'p', 'b', 'v2'],
    [
      'labels: {app.kubernetes.io/name: b, service.istio.io/canonical-name: c, service.istio.io/canonical-revision: r}',
      'p',
      'c',
      'r',
    ],
  ];
  for (const [metadata, name, canonical, revision] of rows) {
    const [workload] = translate(pod(`{name: p, ${metadata}}`)).of('workload');
    assert.deepEqual(
      [workload?.workloadName, workload?.canonicalName, workload?.canonicalRevision],
      [name, canonical, revision],
    );
  }
});

const service = (spec: string, name = 's'): string =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

test('a Service selects ready and unready pods of its namespace and resolves named ports for each of them', () => {
  const text = [
    service(
      '{clusterIPs: [10.96.0.1, "fd00::1"], selector: {app: x}, ports: [{name: web, port: 80, targetPort: web}, {port: 81}, {port: 53, protocol: UDP}]}',
    ),
    pod('{name: a, uid: a, labels: {app: x}}', '{containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}'),
    pod(
      '{name: b, uid: b, labels: {app: x}}',
      '{containers: [{name: c, ports: [{name: web, containerPort: 9090}]}]}',
      '',
    ),
    pod(
      '{name: c, uid: c, labels: {app: x}}',
      '{containers: [{name: c, ports: [{name: web, containerPort: 53, protocol: UDP}]}]}',
    ),
    pod('{name: d, uid: d, labels: {app: x, b: c}, namespace: other}'),
    pod('{name: e, uid: e, labels: {app: y}}'),
  ].join('---\n');
  const translation = translate(text);
  assert.deepEqual(
    translation.of('workload').map(({ uid, services }) => [uid, services]),
    [
      [
        'a',
        {
          'default/s': [
            { servicePort: 80, targetPort: 8080 },
            { servicePort: 81, targetPort: 81 },
          ],
        },
      ],
      [
        'b',
        {
          'default/s': [
            { servicePort: 80, targetPort: 9090 },
            { servicePort: 81, targetPort: 81 },
          ],
        },
      ],
      ['c', { 'default/s': [{ servicePort: 81, targetPort: 81 }] }],
      ['d', {}],
      ['e', {}],
    ],
  );
  assert.deepEqual(translation.of('service'), [
    {
      kind: 'service',
      namespace: 'default',
      name: 's',
      hostname: 's.default.svc.cluster.local',
      addresses: ['10.96.0.1', 'fd00::1'],
      ports: [
        { port: 80, name: 'web', protocol: 'detect' },
        { port: 81, name: '', protocol: 'detect' },
      ],
      internalTrafficPolicy: 'Cluster',
      trafficDistribution: null,
      externalName: null,
    },
  ]);
});

test('headless, selectorless and publishNotReadyAddresses', () => {
  const unready = pod('{name: a, uid: a, labels: {app: x}}', undefined, 'status: {podIP: 10.0.0.1}');
  const headless = translate(`${service('{clusterIP: None, selector: {app: x}, ports: [{port: 80}]}')}---\n${unready}`);
  assert.deepEqual(headless.of('service')[0]?.addresses, []);
  assert.deepEqual(Object.keys(headless.of('workload')[0]?.services ?? {}), ['default/s']);
  assert.equal(headless.of('workload')[0]?.ready, false);
  assert.deepEqual(
    translate(`${service('{selector: {}, ports: [{port: 80}]}')}---\n${unready}`).of('workload')[0]?.services,
    {},
  );
  const publishing = service('{selector: {app: x}, ports: [{port: 80}], publishNotReadyAddresses: true}', 'early');
  const both = translate([publishing, service('{selector: {app: x}, ports: [{port: 80}]}'), unready].join('---\n'));
  const [workload] = both.of('workload');
  assert.deepEqual([workload?.ready, Object.keys(workload?.services ?? {})], [true, ['default/early']]);
});

test('protocol: appProtocol, then port name, then what the port number is known for', () => {
  const rows: readonly [string | null, string, number, number | string, string][] = [
    ['http', 'tcp-x', 80, 80, 'http'],
    ['HTTP', '', 80, 80, 'http'],
    ['kubernetes.io/ws', '', 80, 80, 'http'],
    ['kubernetes.io/h2c', '', 80, 80, 'http2'],
    ['grpc', 'http', 80, 80, 'grpc'],
    ['kubernetes.io/wss', '', 80, 80, 'tls'],
    ['https', '', 443, 443, 'tls'],
    ['example.com/own', 'http', 80, 80, 'detect'],
    [null, 'http', 80, 80, 'http'],
    [null, 'http-admin', 80, 80, 'http'],
    [null, 'httpx', 80, 80, 'detect'],
    [null, 'grpc-web-x', 80, 80, 'http'],
    [null, 'tcp-echo', 80, 80, 'tcp'],
    [null, 'mysql', 80, 80, 'tcp'],
    [null, '', 80, 80, 'detect'],
    [null, '', 3306, 3306, 'tcp'],
    [null, 'db', 80, 5432, 'tcp'],
    [null, 'http', 6379, 6379, 'http'],
    [null, '', 80, 'mysql', 'detect'],
  ];
  for (const [appProtocol, name, port, target, expected] of rows) {
    assert.equal(protocolOf(appProtocol, name, port, target), expected, `${appProtocol} ${name} ${port} ${target}`);
  }
});

const policy = (namespace: string, spec: string): string =>
  `apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: ${namespace}}\n${spec}`;

test('a policy: defaults, root namespace, service accounts of its own namespace, empty rules', () => {
  const [allowNothing] = translate(policy('n', 'spec: {}')).of('authorizationPolicy');
  assert.deepEqual(
    [allowNothing?.action, allowNothing?.rules, allowNothing?.selector, allowNothing?.meshWide],
    ['ALLOW', [], null, false],
  );
  const [anything] = translate(policy('istio-system', 'spec: {selector: {matchLabels: {}}, rules: [{}]}')).of(
    'authorizationPolicy',
  );
  assert.deepEqual(
    [anything?.rules, anything?.meshWide, anything?.selector],
    [[{ from: [], to: [], when: [] }], true, null],
  );
  const [accounts] = translate(policy('n', 'spec: {rules: [{from: [{source: {serviceAccounts: [a, m/b]}}]}]}')).of(
    'authorizationPolicy',
  );
  assert.deepEqual(accounts?.rules, [{ from: [{ ...NO_SOURCE, serviceAccounts: ['n/a', 'm/b'] }], to: [], when: [] }]);
});

test('targetRefs name Services of the policy’s namespace; a missing one is reported, and found when it comes', () => {
  const translation = translate(policy('n', 'spec: {targetRefs: [{kind: Service, group: "", name: s}], rules: [{}]}'));
  assert.deepEqual(translation.of('authorizationPolicy')[0]?.targetServices, ['n/s']);
  assert.deepEqual(
    translation.findings.map(({ code, field, line }) => [code, field, line]),
    [['REFERENCE_NOT_FOUND', 'spec.targetRefs[0]', 4]],
  );
  translation.change({ 's.yaml': service('{ports: []}').replace('{name: s}', '{name: s, namespace: n}') });
  assert.deepEqual(translation.findings, []);
});

test('conditions: server names and remote addresses, and what of Istio’s is not looked at for the latter', () => {
  const rule =
    '{from: [{source: {notRemoteIpBlocks: [10.0.0.0/8]}}], when: [{key: connection.sni, values: [a.b, "*.C"]}, ' +
    '{key: remote.ip, values: [fd00::/8], notValues: [10.1.2.3]}]}';
  const translation = translate(policy('n', `spec: {rules: [${rule}]}`));
  assert.deepEqual(translation.of('authorizationPolicy')[0]?.rules, [
    {
      from: [{ ...NO_SOURCE, notRemoteIpBlocks: ['10.0.0.0/8'] }],
      to: [],
      when: [
        { key: 'connection.sni', values: ['a.b', '*.C'], notValues: [] },
        { key: 'remote.ip', values: ['fd00::/8'], notValues: ['10.1.2.3'] },
      ],
    },
  ]);
  assert.deepEqual(
    translation.findings.map(({ severity, field, reason }) => [severity, field, /X-Forwarded-For/.test(reason)]),
    [
      ['warning', 'spec.rules[0].from[0].source.notRemoteIpBlocks', true],
      ['warning', 'spec.rules[0].when[1].key', true],
    ],
  );
});

const streamRoute = (kind: string, version: string, rest: string): string =>
  `apiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\n` +
  'metadata: {name: r, creationTimestamp: "2026-01-01T00:00:00Z"}\n' +
  `spec:\n  parentRefs: [{group: "", kind: Service, name: s, port: 80}]\n${rest}\n`;

for (const [kind, version] of [
  ['TLSRoute', 'v1'],
  ['TLSRoute', 'v1alpha3'],
  ['TLSRoute', 'v1alpha2'],
  ['TCPRoute', 'v1'],
  ['TCPRoute', 'v1alpha2'],
] as const) {
  test(`${kind} ${version}: hostnames, the first rule's backends, references that do not resolve`, () => {
    const tls = kind === 'TLSRoute';
    const hostnames = tls ? '  hostnames: [a.example, "*.b.example"]\n' : '';
    const first =
      '{name: x, backendRefs: [{name: s, port: 80, weight: 3}, {name: t, port: 1}, {name: s, port: 9}, {name: q, namespace: m, port: 80}, {group: x.io, kind: Thing, name: z}]}';
    const rules = `  rules:\n  - ${first}\n  - {backendRefs: [{name: s, port: 80}]}`;
    const text = `${service('{ports: [{port: 80}]}')}---\n${streamRoute(kind, version, hostnames + rules)}`;
    const translation = translate(text);
    const [found] = tls ? translation.of('tlsRoute') : translation.of('tcpRoute');
    const own = { namespace: 'default', subset: null, weight: 1, valid: false };
    const match = { hostnames: ['a.example', '*.b.example'], destinationBlocks: [], port: null, client: null };
    assert.deepEqual(found, {
      kind: tls ? 'tlsRoute' : 'tcpRoute',
      source: kind,
      namespace: 'default',
      name: 'r',
      createdMs: Date.UTC(2026, 0, 1),
      parents: [{ namespace: 'default', name: 's', port: 80 }],
      clients: ['*'],
      rules: [
        {
          matches: tls ? [match] : [],
          backends: [
            { ...own, name: 's', port: 80, weight: 3, valid: true },
            { ...own, name: 't', port: 1 },
            { ...own, name: 's', port: 9 },
            { ...own, namespace: 'm', name: 'q', port: 80 },
            { ...own, name: 'z', port: 0 },
          ],
        },
      ],
    });
    assert.deepEqual(
      translation.findings.map(({ severity, code, field }) => [severity, code, field]),
      [
        ['warning', 'REFERENCE_NOT_FOUND', 'spec.rules[0].backendRefs[1]'],
        ['warning', 'REFERENCE_NOT_FOUND', 'spec.rules[0].backendRefs[2]'],
        ['warning', 'REFERENCE_NOT_PERMITTED', 'spec.rules[0].backendRefs[3]'],
        ['warning', 'UNSUPPORTED', 'spec.rules[0].backendRefs[4]'],
        ['warning', 'NO_EFFECT', 'spec.rules[1]'],
      ],
    );
    for (const { remedy } of translation.findings.slice(0, 4)) assert.match(remedy, /connections is reset/);
    translation.change({ 'f.yaml': service('{ports: [{port: 80}]}') });
    assert.deepEqual([translation.of('tlsRoute'), translation.of('tcpRoute'), translation.findings], [[], [], []]);
  });
}

test('a TLSRoute and a TCPRoute and an HTTPRoute of one name live beside each other', () => {
  const rules = '  rules: [{backendRefs: [{name: s, port: 80}]}]';
  const all = [
    service('{ports: [{port: 80}]}'),
    streamRoute('TLSRoute', 'v1', rules),
    streamRoute('TCPRoute', 'v1', rules),
    route('{backendRefs: [{name: s, port: 80}]}'),
  ];
  const translation = translate(all.join('---\n'));
  const kinds = (): string[] => translation.mesh.map(({ kind }) => kind);
  assert.deepEqual(kinds(), ['httpRoute', 'service', 'tcpRoute', 'tlsRoute']);
  translation.change({ 'f.yaml': [all[0], all[2]].join('---\n') });
  assert.deepEqual(kinds(), ['service', 'tcpRoute']);
});

const route = (spec: string): string =>
  `apiVersion: gateway.networking.k8s.io/v1beta1\nkind: HTTPRoute\nmetadata: {name: r, creationTimestamp: "2026-01-01T00:00:00Z"}\nspec:\n  parentRefs: [{group: "", kind: Service, name: s}]\n  rules:\n  - ${spec}\n`;

test('a route: defaults of the Gateway API; the first of two entries for one header counts', () => {
  const header = 'headers: [{name: X-A, value: one}, {name: x-a, value: two}]';
  const translation = translate(
    `${service('{ports: [{port: 80}]}')}---\n${route(`{matches: [{${header}}], backendRefs: [{name: s, port: 80}]}`)}`,
  );
  const [found] = translation.of('httpRoute');
  assert.equal(found?.createdMs, Date.UTC(2026, 0, 1));
  assert.deepEqual(found?.parents, [{ namespace: 'default', name: 's', port: null }]);
  assert.deepEqual(found?.rules, [
    {
      name: null,
      matches: [
        {
          path: { type: 'prefix', value: '/', ignoreCase: false },
          method: null,
          headers: [{ name: 'x-a', type: 'exact', value: 'one', invert: false }],
          queryParams: [],
          scheme: null,
          authority: null,
          port: null,
          client: null,
        },
      ],
      filters: [],
      backends: [{ namespace: 'default', name: 's', port: 80, subset: null, weight: 1, filters: [], valid: true }],
      directResponse: null,
      fault: null,
      timeouts: { requestMs: null, backendRequestMs: null },
      retry: null,
      sessionPersistence: null,
    },
  ]);
  assert.deepEqual(
    translation.findings.map(({ code, severity }) => [severity, code]),
    [['warning', 'NO_EFFECT']],
  );
});

test('a backend that cannot be resolved keeps its weight, is marked, and is reported until it can be', () => {
  const refs =
    '[{name: s, port: 80, weight: 3}, {name: gone, port: 80}, {name: s, port: 81}, {name: s, namespace: far, port: 80}, {kind: Bucket, group: x.io, name: b}]';
  const translation = new Translation().change({
    'a.yaml': service('{ports: [{port: 80}]}'),
    'b.yaml': route(`backendRefs: ${refs}`),
    'far.yaml': service('{ports: [{port: 80}]}').replace('{name: s}', '{name: s, namespace: far}'),
  });
  const backends = (): unknown =>
    translation.of('httpRoute')[0]?.rules[0]?.backends.map(({ weight, valid }) => [weight, valid]);
  assert.deepEqual(backends(), [
    [3, true],
    [1, false],
    [1, false],
    [1, false],
    [1, false],
  ]);
  assert.deepEqual(
    translation.findings.map(({ code, field, line, severity }) => [severity, code, field, line]),
    [
      ['warning', 'REFERENCE_NOT_FOUND', 'spec.rules[0].backendRefs[1]', 7],
      ['warning', 'REFERENCE_NOT_FOUND', 'spec.rules[0].backendRefs[2]', 7],
      ['warning', 'REFERENCE_NOT_PERMITTED', 'spec.rules[0].backendRefs[3]', 7],
      ['warning', 'UNSUPPORTED', 'spec.rules[0].backendRefs[4]', 7],
    ],
  );
  translation.change({ 'gone.yaml': service('{ports: [{port: 80}]}', 'gone') });
  assert.deepEqual(backends(), [
    [3, true],
    [1, true],
    [1, false],
    [1, false],
    [1, false],
  ]);
  translation.change({ 'a.yaml': null, 'gone.yaml': null });
  assert.deepEqual(backends(), [
    [3, false],
    [1, false],
    [1, false],
    [1, false],
    [1, false],
  ]);
});

test('a route for a Gateway is not ours and is only reported', () => {
  const translation = translate(route('{}').replace('{group: "", kind: Service, name: s}', '{name: gateway}'));
  assert.deepEqual(
    [translation.mesh, translation.findings.map(({ severity, code }) => [severity, code])],
    [[], [['warning', 'NO_EFFECT']]],
  );
});

test('a List counts as its items, with their lines', () => {
  const items = `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {ports: [{port: 0}]}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {ports: [{port: 1}]}\n`;
  const translation = translate(items);
  assert.deepEqual(
    translation.of('service').map(({ name }) => name),
    ['b'],
  );
  assert.deepEqual(
    translation.findings.map(({ object, line, field }) => [object, line, field]),
    [['Service default/a', 7, 'spec.ports[0].port']],
  );
});

test('two pods with one uid: the first by name is used, the other is an error until the first goes', () => {
  const translation = new Translation().change({
    'a.yaml': pod('{name: a, uid: u}'),
    'b.yaml': pod('{name: b, uid: u}'),
  });
  assert.deepEqual(
    translation.of('workload').map(({ name }) => name),
    ['a'],
  );
  assert.deepEqual(
    translation.findings.map(({ code, object, file }) => [code, object, file]),
    [['DUPLICATE_UID', 'Pod default/b', 'b.yaml']],
  );
  translation.change({ 'a.yaml': null });
  assert.deepEqual([translation.of('workload').map(({ name }) => name), translation.findings], [['b'], []]);
});

/** Files of one object each, some broken, over few names so that they meet. */
const arbitraryFile = fc.oneof(
  fc.constant(null),
  fc.constant('a: ['),
  fc
    .record({
      name: fc.constantFrom('a', 'b', 'c'),
      uid: fc.constantFrom('u1', 'u2', 'u3'),
      app: fc.constantFrom('x', 'y'),
      status: fc.constantFrom('', ready, 'status: {phase: Failed}'),
    })
    .map(({ name, uid, app, status }) => pod(`{name: ${name}, uid: ${uid}, labels: {app: ${app}}}`, undefined, status)),
  fc
    .record({
      name: fc.constantFrom('s', 't'),
      app: fc.constantFrom('x', 'y'),
      port: fc.constantFrom(80, 81, 0),
      early: fc.boolean(),
    })
    .map(({ name, app, port, early }) =>
      service(`{selector: {app: ${app}}, ports: [{port: ${port}}], publishNotReadyAddresses: ${early}}`, name),
    ),
  fc
    .record({ backend: fc.constantFrom('s', 't'), port: fc.constantFrom(80, 81) })
    .map(({ backend, port }) => route(`backendRefs: [{name: ${backend}, port: ${port}}]`)),
  fc
    .constantFrom('s', 't')
    .map((name) => policy('default', `spec: {targetRefs: [{kind: Service, group: "", name: ${name}}], rules: [{}]}`)),
);

test('following changes one by one gives what translating the final files from scratch gives', () => {
  const file = fc.constantFrom('1.yaml', '2.yaml', '3.yaml', '4.yaml', '5.yaml', '6.yaml');
  const step = fc.dictionary(file, arbitraryFile, { maxKeys: 3, noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const followed = new Translation();
      const final: Record<string, string | null> = {};
      for (const changes of steps) {
        // What was refused leaves its last valid version behind, which a fresh start cannot know: only valid files here.
        const valid = Object.fromEntries(Object.entries(changes).filter(([, text]) => text === null || isValid(text)));
        followed.change(valid);
        Object.assign(final, valid);
      }
      const fresh = new Translation().change(final);
      assert.deepEqual(followed.mesh, fresh.mesh);
      assert.deepEqual(followed.findings, fresh.findings);
    }),
    { numRuns: 300 },
  );
});

test('a broken version of any file changes nothing', () => {
  fc.assert(
    fc.property(fc.array(arbitraryFile, { minLength: 1, maxLength: 6 }), fc.nat(5), (files, at) => {
      const translation = new Translation().change(
        Object.fromEntries(files.map((text, index) => [`${index}.yaml`, text])),
      );
      const before = translation.mesh;
      translation.change({ [`${at % files.length}.yaml`]: 'a: [' });
      assert.deepEqual(translation.mesh, before);
    }),
  );
});

function isValid(text: string): boolean {
  return !translate(text).findings.some(({ severity }) => severity === 'error');
}

test('an object whose first file never had a valid version is taken from the second', () => {
  const broken = service('{ports: [{port: 0}]}');
  const translation = new Translation().change({ 'a.yaml': broken, 'b.yaml': service('{ports: [{port: 80}]}') });
  assert.deepEqual(
    translation.of('service').map(({ ports }) => ports[0]?.port),
    [80],
  );
  translation.change({ 'a.yaml': service('{ports: [{port: 81}]}') }).change({ 'a.yaml': broken });
  assert.deepEqual(
    translation.of('service').map(({ ports }) => ports[0]?.port),
    [81],
    'its last valid version stays',
  );
});
