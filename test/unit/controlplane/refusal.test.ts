/**
 * Malformed objects: each row is a document, a piece of it replaced, and where and how the controller says what is wrong.
 * A refused object leaves no trace in the mesh.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RefusalRow, testRefusals } from './refusal-rows.ts';
import { translate } from './translate.ts';

const POLICY = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: p
  namespace: demo
spec:
  action: DENY
  selector:
    matchLabels:
      app: web
  rules:
    - from:
        - source:
            namespaces: ["a"]
      to:
        - operation:
            methods: ["GET"]
            ports: ["80"]
            paths: ["/x*"]
`;

const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: r
  namespace: demo
spec:
  parentRefs:
    - group: ""
      kind: Service
      name: echo
      port: 80
  rules:
    - name: first
      matches:
        - path:
            type: PathPrefix
            value: /v1
          method: GET
          headers:
            - name: User-Agent
              value: x
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set:
              - name: X-A
                value: b
            remove: ["X-B"]
      backendRefs:
        - name: echo
          port: 80
          weight: 1
`;

const SERVICE = `apiVersion: v1
kind: Service
metadata:
  name: echo
  namespace: demo
spec:
  clusterIP: 10.96.0.1
  selector:
    app: echo
  ports:
    - name: http
      port: 80
      targetPort: web
`;

const POD = `apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: demo
  uid: u1
  labels:
    app: echo
spec:
  nodeName: n1
  containers:
    - name: c
      ports:
        - name: web
          containerPort: 8080
status:
  phase: Running
  podIP: 10.0.0.1
`;

const TLS_ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata:
  name: r
  namespace: demo
spec:
  parentRefs:
    - group: ""
      kind: Service
      name: echo
  hostnames:
    - a.example
  rules:
    - backendRefs:
        - name: echo
          port: 443
`;

const tables: Record<string, readonly [string, readonly RefusalRow[]]> = {
  AuthorizationPolicy: [
    POLICY,
    [
      ['  rules:', '  rule:', 11, 'spec.rule', /unknown field "rule"/, /did you mean rules\?/],
      ['  action: DENY', '  acton: DENY', 7, 'spec.acton', /unknown field/, /did you mean action\?/],
      ['DENY', 'deny', 7, 'spec.action', /is "deny"/, /did you mean DENY\?/],
      ['DENY', 'CUSTOM', 7, 'spec.provider', /is missing/, /name of the external authorizer/],
      [
        '  action: DENY',
        '  action: DENY\n  provider: {name: x}',
        8,
        'spec.provider',
        /no meaning with action DENY/,
        /CUSTOM/,
      ],
      ['spec:', 'spc:', 6, 'spc', /unknown field "spc"/, /did you mean spec\?/],
      [
        'namespaces: ["a"]',
        'namespace: ["a"]',
        14,
        'spec.rules[0].from[0].source.namespace',
        /unknown field/,
        /namespaces\?/,
      ],
      [
        'namespaces: ["a"]',
        'namespaces: a',
        14,
        'spec.rules[0].from[0].source.namespaces',
        /is the text "a", not a list/,
        /"- "/,
      ],
      [
        'namespaces: ["a"]',
        'namespaces: []',
        14,
        'spec.rules[0].from[0].source.namespaces',
        /empty list/,
        /add a value or remove/,
      ],
      [
        'namespaces: ["a"]',
        'namespaces: [""]',
        14,
        'spec.rules[0].from[0].source.namespaces[0]',
        /is empty/,
        /"\*" for any/,
      ],
      [
        'namespaces: ["a"]',
        'namespaces: [1]',
        14,
        'spec.rules[0].from[0].source.namespaces[0]',
        /the number 1, not text/,
        /quotes: "1"/,
      ],
      [
        'namespaces: ["a"]',
        'ipBlocks: ["10.0.0.0/33"]',
        14,
        'spec.rules[0].from[0].source.ipBlocks[0]',
        /10\.0\.0\.0\/33/,
        /block such as/,
      ],
      [
        'namespaces: ["a"]',
        'principals: ["spiffe://x/ns/a/sa/b"]',
        14,
        'spec.rules[0].from[0].source.principals[0]',
        /never match/,
        /write x\/ns\/a\/sa\/b/,
      ],
      [
        'namespaces: ["a"]',
        'serviceAccounts: ["a/b/c"]',
        14,
        'spec.rules[0].from[0].source.serviceAccounts[0]',
        /a\/b\/c/,
        /namespace\/serviceAccount/,
      ],
      [
        'namespaces: ["a"]',
        'serviceAccounts: ["*"]',
        14,
        'spec.rules[0].from[0].source.serviceAccounts[0]',
        /"\*"/,
        /without "\*"/,
      ],
      [
        'namespaces: ["a"]',
        'namespaces: ["a"]\n            serviceAccounts: ["b"]',
        14,
        'spec.rules[0].from[0].source',
        /stands beside namespaces/,
        /two entries/,
      ],
      [
        'namespaces: ["a"]',
        'requestPrincipals: [""]',
        14,
        'spec.rules[0].from[0].source.requestPrincipals[0]',
        /is empty/,
        /write a value/,
      ],
      [
        'namespaces: ["a"]',
        'remoteIpBlocks: ["10.0.0"]',
        14,
        'spec.rules[0].from[0].source.remoteIpBlocks[0]',
        /"10.0.0"/,
        /10\.1\.0\.0\/16/,
      ],
      [
        '          namespaces: ["a"]',
        '',
        13,
        'spec.rules[0].from[0].source',
        /has no value/,
        /give it a value or remove/,
      ],
      [
        'source:\n            namespaces: ["a"]',
        'source: {}',
        13,
        'spec.rules[0].from[0].source',
        /has no field/,
        /any source/,
      ],
      [
        '- source:\n            namespaces: ["a"]',
        '- sauce: {}',
        13,
        'spec.rules[0].from[0].source',
        /is missing/,
        /add source/,
      ],
      [
        'from:\n        - source:\n            namespaces: ["a"]',
        'from: []',
        12,
        'spec.rules[0].from',
        /empty list/,
        /any source/,
      ],
      [
        'methods: ["GET"]',
        'methods: ["GET"]\n            hots: ["x"]',
        18,
        'spec.rules[0].to[0].operation.hots',
        /unknown field/,
        /did you mean hosts\?/,
      ],
      [
        'ports: ["80"]',
        'ports: [80]',
        18,
        'spec.rules[0].to[0].operation.ports[0]',
        /the number 80, not text/,
        /quotes: "80"/,
      ],
      ['ports: ["80"]', 'ports: ["http"]', 18, 'spec.rules[0].to[0].operation.ports[0]', /"http"/, /"1" to "65535"/],
      ['ports: ["80"]', 'ports: ["65536"]', 18, 'spec.rules[0].to[0].operation.ports[0]', /"65536"/, /"1" to "65535"/],
      [
        'paths: ["/x*"]',
        'paths: ["/a/{**}/b/{*}"]',
        19,
        'spec.rules[0].to[0].operation.paths[0]',
        /\{\*\*\}/,
        /must be the last/,
      ],
      [
        '    - from:',
        '    - when: [{key: experimental.envoy.filters.a.b, values: ["a"]}]\n      from:',
        12,
        'spec.rules[0].when[0].key',
        /metadata of Envoy's filters/,
        /not applied/,
      ],
      [
        '    - from:',
        '    - when: [{key: connection.sn, values: ["a"]}]\n      from:',
        12,
        'spec.rules[0].when[0].key',
        /connection\.sn"/,
        /did you mean connection\.sni\?/,
      ],
      [
        '    - from:',
        '    - when: [{key: "request.headers[x y]", values: ["a"]}]\n      from:',
        12,
        'spec.rules[0].when[0].key',
        /is "request\.headers\[x y\]"/,
        /request\.headers\[name\]/,
      ],
      [
        '    - from:',
        '    - when: [{key: connection.sni}]\n      from:',
        12,
        'spec.rules[0].when[0].values',
        /is missing/,
        /values or notValues/,
      ],
      [
        '    - from:',
        '    - when: [{key: connection.sni, values: []}]\n      from:',
        12,
        'spec.rules[0].when[0].values',
        /empty list/,
        /add a value/,
      ],
      [
        '    - from:',
        '    - when: [{key: remote.ip, notValues: ["a"]}]\n      from:',
        12,
        'spec.rules[0].when[0].notValues[0]',
        /"a"/,
        /10\.1\.0\.0\/16/,
      ],
      [
        '    - from:',
        '    - when: [{key: connection.sni, value: ["a"]}]\n      from:',
        12,
        'spec.rules[0].when[0].value',
        /unknown field/,
        /did you mean values\?/,
      ],
      ['    - from:', '    - when: []\n      from:', 12, 'spec.rules[0].when', /empty list/, /remove it/],
      [
        '  selector:\n    matchLabels:\n      app: web',
        '  targetRefs: [{kind: ServiceEntry, group: networking.istio.io, name: x}]',
        8,
        'spec.targetRefs[0]',
        /kind "networking.istio.io\/ServiceEntry" is not supported/,
        /target a Service/,
      ],
      [
        '  selector:',
        '  targetRefs: [{kind: Service, name: x, group: ""}]\n  selector:',
        9,
        'spec.selector',
        /beside targetRefs/,
        /keep/,
      ],
      [
        '  selector:\n    matchLabels:\n      app: web',
        '  targetRefs: [{kind: Service, name: x, namespace: other}]',
        8,
        'spec.targetRefs[0].namespace',
        /its own namespace/,
        /move the policy/,
      ],
      ['matchLabels', 'matchLables', 9, 'spec.selector.matchLables', /unknown field/, /did you mean matchLabels\?/],
      ['app: web', 'app: "*"', 10, 'spec.selector.matchLabels.app', /"\*"/, /letters, digits/],
      ['app: web', 'app: 1', 10, 'spec.selector.matchLabels.app', /the number 1/, /"1"/],
      ['name: p', 'name: P', 4, 'metadata.name', /"P"/, /lower-case/],
      [
        'namespace: demo',
        'namespace: demo\n  annotations: {istio.io/dry-run: "yes"}',
        6,
        'metadata.annotations["istio.io/dry-run"]',
        /is "yes"/,
        /"true" or "false"/,
      ],
    ],
  ],
  HTTPRoute: [
    ROUTE,
    [
      ['matches', 'mathces', 14, 'spec.rules[0].mathces', /unknown field/, /did you mean matches\?/],
      ['rules', 'rulez', 12, 'spec.rulez', /unknown field/, /did you mean rules\?/],
      [
        'type: PathPrefix',
        'type: Prefix',
        16,
        'spec.rules[0].matches[0].path.type',
        /"Prefix"/,
        /write one of Exact, PathPrefix/,
      ],
      [
        'type: PathPrefix',
        'type: pathprefix',
        16,
        'spec.rules[0].matches[0].path.type',
        /"pathprefix"/,
        /did you mean PathPrefix\?/,
      ],
      ['value: /v1', 'value: v1', 17, 'spec.rules[0].matches[0].path.value', /"v1"/, /start with "\/"/],
      ['value: /v1', 'value: /a/../b', 17, 'spec.rules[0].matches[0].path.value', /never occurs/, /write \/b/],
      ['value: /v1', 'value: /a%zz', 17, 'spec.rules[0].matches[0].path.value', /./, /./],
      ['method: GET', 'method: get', 18, 'spec.rules[0].matches[0].method', /"get"/, /did you mean GET\?/],
      [
        'name: User-Agent',
        'name: "User Agent"',
        20,
        'spec.rules[0].matches[0].headers[0].name',
        /"User Agent"/,
        /header name/,
      ],
      [
        '- name: User-Agent\n              value: x',
        '- name: User-Agent',
        20,
        'spec.rules[0].matches[0].headers[0].value',
        /is missing/,
        /add value/,
      ],
      [
        'type: RequestHeaderModifier',
        'type: RequestHeaderModifer',
        23,
        'spec.rules[0].filters[0].type',
        /RequestHeaderModifer/,
        /did you mean RequestHeaderModifier\?/,
      ],
      [
        'requestHeaderModifier:',
        'responseHeaderModifier:',
        24,
        'spec.rules[0].filters[0].responseHeaderModifier',
        /unknown field/,
        /known here: type, requestHeaderModifier/,
      ],
      [
        'name: X-A',
        'name: Content-Length',
        26,
        'spec.rules[0].filters[0].requestHeaderModifier.set[0].name',
        /Content-Length/,
        /leave it out/,
      ],
      [
        'name: X-A',
        'name: ":path"',
        26,
        'spec.rules[0].filters[0].requestHeaderModifier.set[0].name',
        /":path"/,
        /header name/,
      ],
      [
        'value: b',
        'value: "a\\r\\nb: c"',
        27,
        'spec.rules[0].filters[0].requestHeaderModifier.set[0].value',
        /not a header value/,
        /no line breaks/,
      ],
      [
        'remove: ["X-B"]',
        'remove: ["Transfer-Encoding"]',
        28,
        'spec.rules[0].filters[0].requestHeaderModifier.remove[0]',
        /Transfer-Encoding/,
        /leave it out/,
      ],
      ['weight: 1', 'weight: 1000001', 32, 'spec.rules[0].backendRefs[0].weight', /1000001/, /0 to 1000000/],
      [
        'weight: 1',
        'weight: "1"',
        32,
        'spec.rules[0].backendRefs[0].weight',
        /the text "1", not an integer/,
        /remove the quotes: 1/,
      ],
      [
        '          port: 80\n          weight',
        '          weight',
        30,
        'spec.rules[0].backendRefs[0].port',
        /is missing/,
        /add the Service's port/,
      ],
      ['      port: 80\n  rules', '      port: 0\n  rules', 11, 'spec.parentRefs[0].port', /is 0/, /1 to 65535/],
      ['group: ""', 'group: apps', 8, 'spec.parentRefs[0].group', /not "apps"/, /write group: ""/],
      [
        '    - group: ""\n      kind: Service',
        '    - kind: Service',
        8,
        'spec.parentRefs[0]',
        /core group/,
        /write group: ""/,
      ],
      ['  rules:', '  rules:\n    -', 13, 'spec.rules[0]', /is empty, not a mapping/, /indent/],
    ],
  ],
  Service: [
    SERVICE,
    [
      ['port: 80', 'port: 0', 12, 'spec.ports[0].port', /is 0/, /1 to 65535/],
      ['      port: 80\n', '', 11, 'spec.ports[0].port', /is missing/, /add port/],
      ['targetPort: web', 'targetPort: Web!', 13, 'spec.ports[0].targetPort', /"Web!"/, /lower-case/],
      ['clusterIP: 10.96.0.1', 'clusterIP: 10.96.0.256', 7, 'spec.clusterIP', /10\.96\.0\.256/, /IP address or None/],
      ['clusterIP: 10.96.0.1', 'clusterIPs: ["10.96.0.1", "x"]', 7, 'spec.clusterIPs[1]', /"x"/, /IP address or None/],
      ['app: echo', 'app: [echo]', 9, 'spec.selector.app', /is a list, not text/, /write text/],
      ['  ports:', '  ports:\n    - {port: 80, name: twice}', 13, 'spec.ports[1].port', /80 is listed twice/, /once/],
      ['spec:', 'sepc:', 1, 'spec', /is missing/, /add spec/],
      ['name: echo\n', 'name: e.cho\n', 4, 'metadata.name', /"e\.cho"/, /lower-case/],
    ],
  ],
  Pod: [
    POD,
    [
      ['podIP: 10.0.0.1', 'podIP: ten', 18, 'status.podIP', /ten/, /IP address/],
      [
        'containerPort: 8080',
        'containerPort: 80800',
        15,
        'spec.containers[0].ports[0].containerPort',
        /80800/,
        /1 to 65535/,
      ],
      ['phase: Running', 'phase: Runing', 17, 'status.phase', /Runing/, /did you mean Running\?/],
      ['uid: u1', 'uid: a/b', 6, 'metadata.uid', /a\/b/, /API server/],
      ['nodeName: n1', 'nodeName: [n1]', 10, 'spec.nodeName', /is a list/, /write text/],
      ['app: echo', 'app: -echo', 8, 'metadata.labels.app', /"-echo"/, /letters, digits/],
      ['labels:\n    app: echo', 'labels:\n    "": echo', 8, 'metadata.labels[""]', /key ""/, /a key must be/],
    ],
  ],
};

tables['TLSRoute'] = [
  TLS_ROUTE,
  [
    ['a.example', 'A.example', 12, 'spec.hostnames[0]', /"A\.example"/, /lower case/],
    ['a.example', '"*"', 12, 'spec.hostnames[0]', /"\*"/, /a\.example\.com/],
    ['a.example', '10.0.0.1', 12, 'spec.hostnames[0]', /"10\.0\.0\.1"/, /RFC 6066/],
    ['hostnames', 'hostname', 11, 'spec.hostname', /unknown field/, /did you mean hostnames\?/],
    ['          port: 443', '', 15, 'spec.rules[0].backendRefs[0].port', /missing/, /Service's port/],
    [
      '          port: 443',
      '          port: 443\n          filters: []',
      17,
      'spec.rules[0].backendRefs[0].filters',
      /unknown field/,
      /remove it/,
    ],
    [
      '    - backendRefs',
      '    - matches: []\n      backendRefs',
      14,
      'spec.rules[0].matches',
      /unknown field/,
      /remove it/,
    ],
  ],
];
tables['TCPRoute'] = [
  TLS_ROUTE.replace('TLSRoute', 'TCPRoute').replace('  hostnames:\n    - a.example\n', ''),
  [
    ['  rules:', '  hostnames: [a.example]\n  rules:', 11, 'spec.hostnames', /unknown field/, /remove it/],
    ['  rules:', '  rulez:', 11, 'spec.rulez', /unknown field/, /did you mean rules\?/],
  ],
];

for (const [kind, [document, rows]] of Object.entries(tables)) testRefusals(kind, document, rows);

test('what is no known object is told apart: unknown kind, version, not an object, no name', () => {
  const rows: readonly [string, 'error' | 'warning', string, number, RegExp, RegExp][] = [
    [
      'apiVersion: v1\nkind: LimitRange\nmetadata: {name: a}',
      'warning',
      'UNKNOWN_KIND',
      2,
      /means nothing to weir/,
      /nothing to do/,
    ],
    ['apiVersion: v1\nkind: Pood\nmetadata: {name: a}', 'warning', 'UNKNOWN_KIND', 2, /Pood/, /did you mean Pod\?/],
    [
      'apiVersion: v1\nkind: AuthorizationPolicy',
      'warning',
      'UNKNOWN_KIND',
      2,
      /v1 AuthorizationPolicy/,
      /nothing to do/,
    ],
    [
      'kind: AuthorizationPolicy\napiVersion: security.istio.oi/v1',
      'warning',
      'UNKNOWN_KIND',
      1,
      /./,
      /did you mean security\.istio\.io\?/,
    ],
    [
      'apiVersion: security.istio.io/v2\nkind: AuthorizationPolicy',
      'error',
      'UNKNOWN_VERSION',
      1,
      /no version v2/,
      /security\.istio\.io\/v1 or/,
    ],
    ['- a', 'error', 'NOT_AN_OBJECT', 1, /not a mapping/, /Kubernetes object/],
    ['metadata: {name: a}', 'error', 'MISSING_FIELD', 1, /kind is missing/, /add kind/],
    ['\nkind: Pod', 'error', 'MISSING_FIELD', 2, /apiVersion is missing/, /apiVersion of Pod/],
    [
      'apiVersion: v1\nkind: Pod\nmetadata:\n  name: 7',
      'error',
      'MISSING_FIELD',
      4,
      /name is missing or not text/,
      /metadata\.name/,
    ],
  ];
  for (const [text, severity, code, line, reason, remedy] of rows) {
    const [finding, ...more] = translate(text).findings;
    assert.deepEqual([finding?.severity, finding?.code, finding?.line, more.length], [severity, code, line, 0], text);
    assert.match(finding?.reason ?? '', reason);
    assert.match(finding?.remedy ?? '', remedy);
  }
});

test('unknown fields of Pods and Services are reported, and the object is used all the same', () => {
  const translation = translate(
    `${SERVICE.replace('selector', 'selektor')}---\n${POD.replace('nodeName', 'nodename')}`,
  );
  assert.deepEqual(
    translation.findings.map(({ severity, line, field, remedy }) => [severity, line, field, remedy]),
    [
      ['warning', 8, 'spec.selektor', 'did you mean selector?'],
      ['warning', 24, 'spec.nodename', 'did you mean nodeName?'],
    ],
  );
  assert.equal(translation.mesh.length, 2);
});
