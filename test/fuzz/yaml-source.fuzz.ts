/**
 * YAML files from people and from those who wish them ill: whatever the text, the translation ends, in bounded time and
 * memory, with findings that name the file; what other files hold is not touched; nothing unfit for an agent comes out.
 * FUZZ_RUNS: cases per property. Seeds that failed: corpus/yaml-source/, verbatim.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { compareFindings } from '../../controlplane/finding.ts';
import { Translation } from '../unit/controlplane/translate.ts';

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 300);
const CORPUS = new URL('./corpus/yaml-source/', import.meta.url);

const OTHER = 'apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 80}]}\n';

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: demo}
spec:
  action: DENY
  selector: {matchLabels: {app: web}}
  rules:
    - from: [{source: {namespaces: ["a"], ipBlocks: ["10.0.0.0/8"]}}]
      to: [{operation: {methods: ["GET"], ports: ["80"], paths: ["/x*", "/{*}/y"]}}]
`;
const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: demo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo, port: 80}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /v1}, headers: [{name: A, value: x}]}]
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X, value: y}], remove: [Z]}}]
      backendRefs: [{name: echo, port: 80, weight: 1}]
`;
const POD = `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: demo, uid: u1, labels: {app: echo}, annotations: {weir.dev/x: "1"}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
`;

const HTTP_ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h, namespace: demo, generation: 3, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  parentRefs: [{group: "", kind: Service, name: echo, sectionName: web}, {group: "", kind: Service, name: x, namespace: other, port: 80}]
  hostnames: [a.example]
  rules:
    - name: one
      matches: [{path: {type: RegularExpression, value: "/v[0-9]+"}, method: GET, queryParams: [{name: q, type: RegularExpression, value: "a|b"}]}]
      filters:
        - {type: CORS, cors: {allowOrigins: ["https://*.a.example"], allowMethods: [GET], allowHeaders: [x], exposeHeaders: [y], maxAge: 5}}
        - {type: RequestMirror, requestMirror: {backendRef: {name: echo, port: 80}, fraction: {numerator: 1, denominator: 3}}}
        - {type: URLRewrite, urlRewrite: {hostname: b.example, path: {type: ReplaceFullPath, replaceFullPath: /z}}}
        - {type: ExtensionRef, extensionRef: {group: x.io, kind: Y, name: z}}
      backendRefs: [{name: echo, namespace: other, port: 80, weight: 1, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: a, value: b}]}}]}]
      timeouts: {request: 10s, backendRequest: 1s}
      retry: {attempts: 1, backoff: 1s, codes: [503]}
      sessionPersistence: {sessionName: s, type: Cookie, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}
    - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 443, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /}}}]
`;
const GRPC_ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: g, namespace: demo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  rules:
    - matches: [{method: {type: RegularExpression, service: "a.*", method: B}, headers: [{name: A, value: x}]}]
      backendRefs: [{name: echo, port: 80}]
`;
const TLS_ROUTE = `apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TLSRoute
metadata: {name: t, namespace: demo}
spec:
  parentRefs: [{group: "", kind: Service, name: echo}]
  hostnames: ["*.a.example"]
  rules: [{name: x, backendRefs: [{name: echo, port: 80, weight: 3}]}]
`;
const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: echo, namespace: demo}
spec:
  type: ClusterIP
  clusterIPs: [10.96.0.1, "fd00::1"]
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
  ports: [{name: web, port: 80, targetPort: http, appProtocol: kubernetes.io/h2c, nodePort: 30000}]
`;
const EXTERNAL = `apiVersion: v1
kind: Service
metadata: {name: ext, namespace: demo}
spec: {type: ExternalName, externalName: db.example., ports: [{port: 5432}]}
`;
/** Those that become nothing by themselves, but change what others become. */
const GRANT = `apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: demo}]
  to: [{group: "", kind: Service, name: echo}]
`;
const SLICE = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s, namespace: demo, labels: {kubernetes.io/service-name: echo}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: a}}]
ports: [{name: web, port: 8080, protocol: TCP}]
`;
const NODE = `apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: a}}
`;
const NAMESPACE = `apiVersion: v1
kind: Namespace
metadata: {name: demo, labels: {team: x}}
`;

/** What the documents under test meet: their Services, pods, nodes and grants, so that linking has something to look up. */
const AROUND = [SERVICE, POD, SLICE, NODE, NAMESPACE, GRANT, HTTP_ROUTE].join('---\n');

/** Translation asserts by itself that what comes out is fit for an agent. */
function examine(text: string): void {
  const translation = new Translation().change({ 'other.yaml': OTHER, 'z.yaml': AROUND, 'f.yaml': text });
  assert.ok(translation.mesh.some((resource) => resource.kind === 'service' && resource.name === 'other'));
  for (const finding of translation.findings) {
    assert.ok(finding.file.length > 0 && finding.reason.length > 0 && finding.remedy.length > 0);
    assert.ok(finding.line >= 0 && Number.isInteger(finding.line));
    assert.ok(finding.reason.length < 10_000, finding.reason.slice(0, 200));
  }
  assert.deepEqual([...translation.findings].sort(compareFindings), translation.findings);
  for (const { parents } of translation.routeStatuses) {
    for (const { conditions } of parents) {
      assert.ok(conditions.length > 0 && conditions.every(({ message }) => message.length <= 4_096));
    }
  }
}

const resources = [POLICY, ROUTE, HTTP_ROUTE, GRPC_ROUTE, TLS_ROUTE, POD, SERVICE, EXTERNAL, OTHER];
const documents = [...resources, GRANT, SLICE, NODE, NAMESPACE];
const piece = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom(
    '- ',
    ': ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '|\n',
    '>\n',
    '&a ',
    '*a',
    '!!set ',
    '!!binary ',
    '? ',
    '---\n',
    '\t',
    '\r',
    '%YAML 1.1\n',
    '<<: ',
    'null',
    '~',
    '1e999',
    '.nan',
    '0x10',
    '\u0000',
    '\ufeff',
    '# source: x:0\n',
  ),
);

test('documents with pieces replaced, inserted and cut', () => {
  const edit = fc.record({ at: fc.nat(700), length: fc.nat(30), by: piece });
  fc.assert(
    fc.property(fc.constantFrom(...documents), fc.array(edit, { minLength: 1, maxLength: 5 }), (document, edits) => {
      let text = document;
      for (const { at, length, by } of edits) {
        const start = at % (text.length + 1);
        text = text.slice(0, start) + by + text.slice(start + length);
      }
      examine(text);
    }),
    { numRuns },
  );
});

test('objects whose fields hold anything', () => {
  const anything = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(null, '', [], {}, [null], [{}], 'x'.repeat(10_000), -1, 1e300),
  );
  const path = fc.constantFrom(
    'metadata',
    'metadata.name',
    'metadata.namespace',
    'metadata.labels',
    'metadata.annotations',
    'metadata.uid',
    'metadata.ownerReferences',
    'spec',
    'spec.rules',
    'spec.rules.0',
    'spec.rules.0.from',
    'spec.rules.0.from.0',
    'spec.rules.0.from.0.source',
    'spec.rules.0.from.0.source.ipBlocks',
    'spec.rules.0.to.0.operation.paths',
    'spec.rules.0.matches',
    'spec.rules.0.matches.0.path',
    'spec.rules.0.filters',
    'spec.rules.0.filters.0.requestHeaderModifier.set',
    'spec.rules.0.backendRefs',
    'spec.parentRefs',
    'spec.parentRefs.0',
    'spec.parentRefs.0.sectionName',
    'spec.hostnames',
    'spec.rules.0.name',
    'spec.rules.0.matches.0.path.value',
    'spec.rules.0.matches.0.method',
    'spec.rules.0.matches.0.queryParams.0.value',
    'spec.rules.0.filters.0.cors',
    'spec.rules.0.filters.0.cors.allowOrigins',
    'spec.rules.0.filters.1.requestMirror',
    'spec.rules.0.filters.1.requestMirror.fraction',
    'spec.rules.0.filters.2.urlRewrite.path',
    'spec.rules.0.filters.2.urlRewrite.path.replaceFullPath',
    'spec.rules.0.filters.3.extensionRef',
    'spec.rules.0.backendRefs.0',
    'spec.rules.0.backendRefs.0.filters',
    'spec.rules.0.timeouts',
    'spec.rules.0.timeouts.request',
    'spec.rules.0.retry',
    'spec.rules.0.sessionPersistence',
    'spec.rules.1.filters.0.requestRedirect',
    'spec.from',
    'spec.from.0',
    'spec.to.0.name',
    'spec.type',
    'spec.externalName',
    'spec.clusterIPs',
    'spec.ports.0.targetPort',
    'metadata.generation',
    'metadata.creationTimestamp',
    'addressType',
    'endpoints',
    'endpoints.0.addresses',
    'endpoints.0.targetRef',
    'endpoints.0.conditions',
    'ports',
    'ports.0.port',
    'spec.selector',
    'spec.targetRefs',
    'spec.ports',
    'spec.containers',
    'spec.containers.0.ports',
    'status',
    'status.podIPs',
    'status.conditions',
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...documents),
      fc.array(fc.tuple(path, anything), { minLength: 1, maxLength: 3 }),
      (document, edits) => {
        examine(withFields(document, edits));
      },
    ),
    { numRuns },
  );
});

test('as they stand the documents are what they seem', () => {
  for (const document of documents) {
    const translation = new Translation().change({ 'f.yaml': document });
    assert.deepEqual(
      translation.findings.filter(({ severity }) => severity === 'error'),
      [],
      document,
    );
    assert.equal(translation.mesh.length, resources.includes(document) ? 1 : 0, document);
  }
});

/** The document as JSON (which is YAML) with fields set. */
function withFields(document: string, edits: readonly (readonly [string, unknown])[]): string {
  const object = JSON.parse(JSON.stringify(parse(document))) as Record<string, unknown>;
  for (const [path, value] of edits) {
    const parts = path.split('.');
    let holder: Record<string, unknown> = object;
    for (const part of parts.slice(0, -1)) {
      const next = holder[part];
      if (typeof next !== 'object' || next === null) break;
      holder = next as Record<string, unknown>;
    }
    // A copy: fast-check hands out the same object again, and setting a field inside it would make it contain itself.
    holder[parts.at(-1) ?? ''] = structuredClone(value);
  }
  return JSON.stringify(object);
}

/** Texts that are made to hurt a parser; each must be answered, none may take the process down. */
const hostile: Readonly<Record<string, () => string>> = {
  'flow lists': () => '['.repeat(200_000),
  'flow lists, closed': () => `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
  'flow mappings': () => '{a: '.repeat(50_000),
  'compact lists': () => '- '.repeat(200_000),
  'explicit keys': () => '? '.repeat(100_000),
  colons: () => ': '.repeat(100_000),
  indentation: () => Array.from({ length: 2_000 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
  'many keys': () => Array.from({ length: 40_000 }, (_, index) => `k${index}: 1`).join('\n'),
  'many equal keys': () => 'k: 1\n'.repeat(40_000),
  'many documents': () => '---\na: 1\n'.repeat(20_000),
  'many anchors': () => Array.from({ length: 40_000 }, (_, index) => `k${index}: &a${index} 1`).join('\n'),
  'many aliases': () => `a: &a 1\n${Array.from({ length: 40_000 }, (_, index) => `k${index}: *a`).join('\n')}`,
  'alias bomb': () =>
    Array.from(
      { length: 25 },
      (_, level) =>
        `l${level}: &l${level} [${Array.from({ length: 10 }, () => (level === 0 ? 'x' : `*l${level - 1}`)).join(',')}]`,
    ).join('\n'),
  'alias chain': () =>
    Array.from({ length: 900 }, (_, level) => `l${level}: &l${level} [${level === 0 ? 'x' : `*l${level - 1}`}]`).join(
      '\n',
    ),
  quotes: () => '"'.repeat(50_000),
  tags: () => '!a '.repeat(30_000),
  'anchors without values': () => '&a '.repeat(30_000),
  comments: () => '#\n'.repeat(200_000),
  directives: () => '%YAML 1.2\n'.repeat(30_000),
  'brackets that close nothing': () => '}'.repeat(30_000),
  'a long line': () => `a: ${'x '.repeat(1_000_000)}`,
  'a long escaped line': () => `a: "${'\\n'.repeat(500_000)}"`,
  'a long name': () => OTHER.replace('other', 'o'.repeat(1_000_000)),
  'a long label': () => POD.replace('echo', 'e'.repeat(1_000_000)),
  'a long annotation': () => POD.replace('"1"', `"${'1'.repeat(1_000_000)}"`),
  'a long path': () => POLICY.replace('/x*', `/${'x'.repeat(1_000_000)}`),
  'many rules': () => `${POLICY}${'    - {}\n'.repeat(20_000)}`,
  'many routes': () =>
    Array.from({ length: 300 }, (_, index) => HTTP_ROUTE.replace('{name: h', `{name: h${index}`)).join('---\n'),
  'many routes of one name': () => `${ROUTE}---\n`.repeat(1_000),
  'many matches': () =>
    ROUTE.replace('matches: [', `matches: [${Array.from({ length: 20_000 }, () => '{}').join(', ')}, `),
  'many backends': () => ROUTE.replace('backendRefs: [', `backendRefs: [${'{name: x, port: 1}, '.repeat(20_000)}`),
  'many filters': () =>
    ROUTE.replace(
      'filters: [',
      `filters: [${'{type: RequestMirror, requestMirror: {backendRef: {name: x, port: 1}}}, '.repeat(5_000)}`,
    ),
  'many parents': () =>
    ROUTE.replace('parentRefs: [', `parentRefs: [${'{group: "", kind: Service, name: x}, '.repeat(20_000)}`),
  'many endpoints': () => SLICE.replace('endpoints: [', `endpoints: [${'{addresses: [10.9.9.9]}, '.repeat(20_000)}`),
  'many endpoints at the bound': () =>
    SLICE.replace('endpoints: [', `endpoints: [${'{addresses: [10.9.9.9]}, '.repeat(999)}`),
  'many grants': () =>
    Array.from({ length: 2_000 }, (_, index) => GRANT.replace('{name: g', `{name: g${index}`)).join('---\n'),
  'a grant for many': () => GRANT.replace('to: [', `to: [${'{group: "", kind: Service, name: x}, '.repeat(20_000)}`),
  'a long expression': () => HTTP_ROUTE.replace('/v[0-9]+', `/${'(a|b)*'.repeat(100_000)}`),
  'an expression of many steps': () => HTTP_ROUTE.replace('/v[0-9]+', '((((a{0,30}){0,30}){0,30}){0,30})'),
  'an expression that nests': () => HTTP_ROUTE.replace('/v[0-9]+', `${'('.repeat(1_000)}a${')'.repeat(1_000)}`),
  'an expression that explodes elsewhere': () => HTTP_ROUTE.replace('/v[0-9]+', '(a+)+$'),
  'many names of one port': () =>
    SERVICE.replace(
      'ports: [',
      `ports: [${Array.from({ length: 5_000 }, (_, index) => `{port: ${index + 1}, name: a}, `).join('')}`,
    ),
  'a list of many': () =>
    `apiVersion: v1\nkind: List\nitems:\n${'- {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}\n'.repeat(20_000)}`,
  'a list of lists': () =>
    `apiVersion: v1\nkind: List\nitems: [${'{kind: List, apiVersion: v1, items: ['.repeat(25)}${']}'.repeat(25)}]\n`,
  'many labels': () =>
    POD.replace('app: echo', Array.from({ length: 10_000 }, (_, index) => `l${index}: v`).join(', ')),
  'line breaks of another system': () => '\r'.repeat(500_000),
};

for (const [what, make] of Object.entries(hostile)) {
  test(`hostile: ${what}`, () => examine(make()));
}

for (const file of readdirSync(CORPUS)) {
  test(`corpus: ${file}`, () => examine(readFileSync(new URL(file, CORPUS), 'utf8')));
}
