/** Malformed policies: what Istio's and Kubernetes' own validation refuse, each with its place. See refusal-rows.ts. */
import { type RefusalRow, testRefusals } from './refusal-rows.ts';

function head(apiVersion: string, kind: string): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: p, namespace: demo}\n`;
}

const CUSTOM = `${head('security.istio.io/v1', 'AuthorizationPolicy')}spec:
  action: CUSTOM
  provider: {name: authz}
  selector: {matchLabels: {app: web}}
  rules:
    - from: [{source: {ipBlocks: ["10.0.0.0/8"]}}]
      when: [{key: connection.sni, values: ["a"]}]
`;
const IP_BLOCKS = 'ipBlocks: ["10.0.0.0/8"]';
const SNI = 'key: connection.sni, values: ["a"]';
const SOURCE = 'spec.rules[0].from[0].source';
const WHEN = 'spec.rules[0].when[0]';
const inCustom = (by: string): RefusalRow => {
  const field = by.slice(0, by.indexOf(':'));
  return [
    IP_BLOCKS,
    by,
    9,
    `${SOURCE}.${field}`,
    new RegExp(`${field} cannot stand in a policy with action CUSTOM`),
    /ALLOW/,
  ];
};
testRefusals('AuthorizationPolicy', CUSTOM, [
  ['provider: {name: authz}', 'provider: {}', 6, 'spec.provider.name', /is missing/, /add name/],
  ['provider: {name: authz}', 'provider: {name: ""}', 6, 'spec.provider', /empty name/, /write its name/],
  inCustom('principals: ["*"]'),
  inCustom('notPrincipals: ["*"]'),
  inCustom('namespaces: ["a"]'),
  inCustom('notNamespaces: ["a"]'),
  inCustom('serviceAccounts: ["a"]'),
  inCustom('notServiceAccounts: ["a"]'),
  inCustom('requestPrincipals: ["*"]'),
  inCustom('notRequestPrincipals: ["*"]'),
  [SNI, 'key: source.principal, values: ["a"]', 10, `${WHEN}.key`, /source.principal cannot stand/, /DENY/],
  [SNI, 'key: "request.auth.claims[a]", values: ["a"]', 10, `${WHEN}.key`, /claims\[a\] cannot stand/, /DENY/],
  [SNI, 'key: source.ip, values: ["10.0.0"]', 10, `${WHEN}.values[0]`, /"10.0.0"/, /10\.1\.0\.0\/16/],
  [SNI, 'key: destination.ip, notValues: ["x"]', 10, `${WHEN}.notValues[0]`, /"x"/, /10\.1\.0\.0\/16/],
  [SNI, 'key: destination.port, values: ["0"]', 10, `${WHEN}.values[0]`, /"0"/, /"1" to "65535"/],
  [
    SNI,
    'key: "request.headers[]", values: ["a"]',
    10,
    `${WHEN}.key`,
    /request\.headers\[\]/,
    /request\.headers\[name\]/,
  ],
  [SNI, 'key: "request.auth.claims", values: ["a"]', 10, `${WHEN}.key`, /claims"/, /did you mean|write one of/],
  [
    SNI,
    'key: destination.labels, values: ["a"]',
    10,
    `${WHEN}.key`,
    /destination\.labels/,
    /write one of|did you mean/,
  ],
  [
    'selector: {matchLabels: {app: web}}',
    'targetRefs: [{kind: Service, name: a}]\n  targetRef: {kind: Service, name: b}',
    8,
    'spec.targetRef',
    /beside targetRefs/,
    /move it there/,
  ],
  [
    'selector: {matchLabels: {app: web}}',
    `targetRefs: [${Array.from({ length: 17 }, (_, i) => `{kind: Service, name: s${i}}`).join(', ')}]`,
    7,
    'spec.targetRefs',
    /has 17 elements/,
    /at most 16/,
  ],
  ['selector: {matchLabels: {app: web}}', 'targetRef: {name: a}', 7, 'spec.targetRef.kind', /is missing/, /add kind/],
  [CUSTOM.slice(CUSTOM.indexOf('  rules:')), '  rules: []\n', 4, 'spec', /no rules never matches/, /rules: \[\{\}\]/],
]);

const PEER = `${head('security.istio.io/v1beta1', 'PeerAuthentication')}spec:
  selector: {matchLabels: {app: web}}
  mtls: {mode: STRICT}
  portLevelMtls:
    8080: {mode: DISABLE}
`;
testRefusals('PeerAuthentication', PEER, [
  ['STRICT', 'STRICTLY', 6, 'spec.mtls.mode', /is "STRICTLY"/, /did you mean STRICT\?/],
  ['mtls: {mode: STRICT}', 'mtls: {mod: STRICT}', 6, 'spec.mtls.mod', /unknown field/, /did you mean mode\?/],
  ['mtls: {mode: STRICT}', 'mtls: STRICT', 6, 'spec.mtls', /not a mapping/, /./],
  ['8080:', 'http:', 8, 'spec.portLevelMtls.http', /key "http"/, /1 to 65535/],
  ['8080:', '0:', 8, 'spec.portLevelMtls["0"]', /key "0"/, /1 to 65535/],
  ['8080:', '65536:', 8, 'spec.portLevelMtls["65536"]', /key "65536"/, /1 to 65535/],
  ['{mode: DISABLE}', '{mode: OFF}', 8, 'spec.portLevelMtls["8080"].mode', /is "OFF"/, /write one of|did you mean/],
  ['{matchLabels: {app: web}}', '{}', 7, 'spec.portLevelMtls', /needs a selector/, /matchLabels/],
  ['  selector: {matchLabels: {app: web}}\n', '', 6, 'spec.portLevelMtls', /needs a selector/, /matchLabels/],
  ['portLevelMtls:\n    8080: {mode: DISABLE}', 'portLevelMtls: {}', 7, 'spec.portLevelMtls', /is empty/, /add a port/],
  ['app: web', 'app: "*"', 5, 'spec.selector.matchLabels.app', /"\*"/, /letters, digits/],
  ['mtls:', 'targetRefs: []\n  mtls:', 6, 'spec.targetRefs', /unknown field/, /remove it/],
]);

const REQUEST = `${head('security.istio.io/v1', 'RequestAuthentication')}spec:
  targetRefs: [{kind: Service, group: "", name: web}]
  jwtRules:
    - issuer: https://issuer.example
      audiences: [web]
      jwksUri: https://issuer.example/jwks.json
      fromHeaders: [{name: Authorization, prefix: "Bearer "}]
      fromParams: [token]
      fromCookies: [token]
      outputPayloadToHeader: X-Payload
      outputClaimToHeaders: [{header: X-Sub, claim: sub}]
      forwardOriginalToken: true
      timeout: 5s
`;
const RULE = 'spec.jwtRules[0]';
const JWKS_URI = 'jwksUri: https://issuer.example/jwks.json';
testRefusals('RequestAuthentication', REQUEST, [
  ['issuer: https', 'isuer: https', 7, `${RULE}.isuer`, /unknown field/, /did you mean issuer\?/],
  [
    `issuer: https://issuer.example\n      audiences: [web]\n      ${JWKS_URI}`,
    'audiences: [web]',
    7,
    `${RULE}.issuer`,
    /is missing/,
    /"iss"/,
  ],
  ['audiences: [web]', 'audiences: [""]', 8, `${RULE}.audiences[0]`, /is empty/, /write a name/],
  [JWKS_URI, 'jwksUri: ftp://a/b', 9, `${RULE}.jwksUri`, /is "ftp:\/\/a\/b"/, /http or https/],
  [JWKS_URI, 'jwksUri: "https://"', 9, `${RULE}.jwksUri`, /is "https:\/\/"/, /http or https/],
  [JWKS_URI, 'jwksUri: https://user@a/b', 9, `${RULE}.jwksUri`, /user@a/, /http or https/],
  [JWKS_URI, 'jwks: "{"', 9, `${RULE}.jwks`, /is not JSON/, /as your issuer publishes/],
  [JWKS_URI, `jwks: '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'`, 9, `${RULE}.jwks`, /is symmetric/, /key pair/],
  [JWKS_URI, `jwks: '{"keys":[{"kty":"RSA","d":"AQ"}]}'`, 9, `${RULE}.jwks`, /private key/, /public key/],
  [JWKS_URI, `jwks: '{"keys":[]}'`, 9, `${RULE}.jwks`, /no key that can verify/, /add an RSA/],
  [JWKS_URI, `jwks: '${'x'.repeat(65_537)}'`, 9, `${RULE}.jwks`, /longer than 65536/, /shorten/],
  [
    JWKS_URI,
    `${JWKS_URI}\n      jwks: '{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"}]}'`,
    9,
    `${RULE}.jwksUri`,
    /beside jwks/,
    /keep one/,
  ],
  ['name: Authorization, ', '', 10, `${RULE}.fromHeaders[0].name`, /is missing/, /add name/],
  ['name: Authorization', 'name: "a b"', 10, `${RULE}.fromHeaders[0].name`, /"a b"/, /header name/],
  ['fromParams: [token]', 'fromParams: [""]', 11, `${RULE}.fromParams[0]`, /is empty/, /write a name/],
  ['fromCookies: [token]', 'fromCookies: [""]', 12, `${RULE}.fromCookies[0]`, /is empty/, /write a name/],
  ['X-Payload', '":authority"', 13, `${RULE}.outputPayloadToHeader`, /":authority"/, /header name/],
  ['header: X-Sub', 'header: ":path"', 14, `${RULE}.outputClaimToHeaders[0].header`, /":path"/, /header name/],
  ['claim: sub', 'claim: ""', 14, `${RULE}.outputClaimToHeaders[0].claim`, /is empty/, /claim to copy/],
  [
    'forwardOriginalToken: true',
    'forwardOriginalToken: "yes"',
    15,
    `${RULE}.forwardOriginalToken`,
    /not a boolean/,
    /./,
  ],
  ['timeout: 5s', 'timeout: apple', 16, `${RULE}.timeout`, /"apple" is not a duration/, /1\.5s/],
  ['timeout: 5s', 'timeout: 0s', 16, `${RULE}.timeout`, /is "0s"/, /1ms or more/],
  ['name: web}', 'name: web, namespace: other}', 5, 'spec.targetRefs[0].namespace', /its own namespace/, /move the/],
]);

const NETWORK = `${head('networking.k8s.io/v1', 'NetworkPolicy')}spec:
  podSelector:
    matchExpressions: [{key: app, operator: In, values: [web]}]
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: client}}
          namespaceSelector: {matchLabels: {team: a}}
        - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
      ports: [{protocol: TCP, port: 8080, endPort: 8090}, {port: http}]
  egress:
    - to: [{ipBlock: {cidr: "fd00::/8"}}]
`;
const FROM = 'spec.ingress[0].from';
const PORTS = 'spec.ingress[0].ports';
testRefusals('NetworkPolicy', NETWORK, [
  ['spec:', 'sepc:', 4, 'sepc', /unknown field/, /did you mean spec\?/],
  ['podSelector:', 'podSelektor:', 5, 'spec.podSelektor', /unknown field/, /did you mean podSelector\?/],
  ['operator: In', 'operator: in', 6, 'spec.podSelector.matchExpressions[0].operator', /is "in"/, /In/],
  ['operator: In, ', '', 6, 'spec.podSelector.matchExpressions[0].operator', /is missing/, /In, NotIn/],
  ['values: [web]', 'values: []', 6, 'spec.podSelector.matchExpressions[0].values', /is missing/, /In compares/],
  ['operator: In', 'operator: Exists', 6, 'spec.podSelector.matchExpressions[0].values', /mean nothing/, /NotIn/],
  ['[Ingress, Egress]', '[Ingres]', 7, 'spec.policyTypes[0]', /is "Ingres"/, /Ingress or Egress/],
  [
    '- ipBlock: {cidr',
    '- podSelector: {}\n          ipBlock: {cidr',
    13,
    `${FROM}[1].ipBlock`,
    /beside a selector/,
    /two peers/,
  ],
  [
    '- ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}',
    '- {}',
    12,
    `${FROM}[1]`,
    /names no peer/,
    /selects everything/,
  ],
  ['10.0.0.0/8', '10.0.0.0', 12, `${FROM}[1].ipBlock.cidr`, /is "10\.0\.0\.0"/, /10\.1\.2\.3\/32/],
  ['10.0.0.0/8', '10.0.0.0/33', 12, `${FROM}[1].ipBlock.cidr`, /\/33/, /10\.1\.0\.0\/16/],
  ['cidr: 10.0.0.0/8, ', '', 12, `${FROM}[1].ipBlock.cidr`, /is missing/, /add cidr/],
  ['[10.1.0.0/16]', '[11.0.0.0/16]', 12, `${FROM}[1].ipBlock.except[0]`, /not a part of 10\.0\.0\.0\/8/, /inside/],
  ['[10.1.0.0/16]', '[10.0.0.0/8]', 12, `${FROM}[1].ipBlock.except[0]`, /not a part of/, /inside/],
  ['[10.1.0.0/16]', '["fd00::/16"]', 12, `${FROM}[1].ipBlock.except[0]`, /not a part of/, /inside/],
  ['port: 8080', 'port: 0', 13, `${PORTS}[0].port`, /is 0/, /1 to 65535/],
  ['port: 8080', 'port: "8080"', 13, `${PORTS}[0].port`, /is "8080"/, /remove the quotes: 8080/],
  ['endPort: 8090', 'endPort: 8079', 13, `${PORTS}[0].endPort`, /8079 is below port 8080/, /8080 or more/],
  ['port: 8080, ', '', 13, `${PORTS}[0].endPort`, /ends no range/, /as a number/],
  ['port: http', 'port: http, endPort: 9', 13, `${PORTS}[1].endPort`, /ends no range/, /as a number/],
  ['port: http', 'port: a-name-too-long-for-a-port', 13, `${PORTS}[1].port`, /is "a-name/, /at most 15/],
  ['protocol: TCP', 'protocol: tcp', 13, `${PORTS}[0].protocol`, /is "tcp"/, /did you mean TCP\?/],
]);
