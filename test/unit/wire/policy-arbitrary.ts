/** Random policies; see mesh-arbitrary.ts. */
import fc from 'fast-check';
import {
  block,
  createdMs,
  durationMs,
  few,
  headerName,
  label,
  namespacedName,
  port,
  record,
  text,
  token,
} from './text-arbitrary.ts';

const LISTS = ['principals', 'requestPrincipals', 'namespaces', 'serviceAccounts', 'ipBlocks', 'remoteIpBlocks'];

/** `field` and its negation for each name, of which one at least has a value. */
function clause(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const lists = Object.entries(fields).flatMap(([name, item]) => [
    [name, few(item)] as const,
    [`not${name.charAt(0).toUpperCase()}${name.slice(1)}`, few(item)] as const,
  ]);
  return fc
    .record(Object.fromEntries(lists) as Record<string, fc.Arbitrary<unknown[]>>)
    .filter((found) => Object.values(found).some((list) => list.length > 0));
}

const valueOf = (name: string): fc.Arbitrary<unknown> =>
  name === 'serviceAccounts' ? namespacedName : name.endsWith('Blocks') ? block : token;
const source = clause(Object.fromEntries(LISTS.map((name) => [name, valueOf(name)])));
const operation = clause({
  hosts: token,
  ports: port,
  methods: token,
  paths: fc.constantFrom('/a', '/a/*', '*/z', '/{*}/b', '/c/{**}'),
});

function condition(key: fc.Arbitrary<string>, value: fc.Arbitrary<string>): fc.Arbitrary<unknown> {
  return fc
    .record({ key, values: few(value), notValues: few(value) })
    .filter(({ values, notValues }) => values.length + notValues.length > 0);
}

const when = fc.oneof(
  condition(fc.constantFrom('source.ip', 'remote.ip', 'destination.ip'), block),
  condition(fc.constant('destination.port'), port.map(String)),
  condition(fc.constant('source.serviceAccount'), namespacedName),
  condition(fc.constantFrom('connection.sni', 'source.principal', 'request.auth.audiences'), token),
  condition(
    headerName.map((name) => `request.headers[${name}]`),
    token,
  ),
  condition(fc.constantFrom('request.auth.claims[groups]', 'request.auth.claims[a][b c]'), token),
);

const scope = { namespace: label, name: label, meshWide: fc.boolean() };

/** A selector, or Services of the policy's own namespace, or neither. */
function targeting(fields: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<unknown> {
  const target = fc.oneof(
    fc.record({ selector: fc.option(record), targets: fc.constant([]) }),
    fc.record({ selector: fc.constant(null), targets: few(label) }),
  );
  return fc.tuple(fc.record({ ...scope, ...fields }), target).map(([policy, { selector, targets }]) => ({
    ...policy,
    selector,
    targetServices: targets.map(
      (name: string) => `${String((policy as Record<string, unknown>)['namespace'])}/${name}`,
    ),
  }));
}

const authorizationPolicy = targeting({
  kind: fc.constant('authorizationPolicy'),
  action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
  dryRun: fc.boolean(),
  rules: few(fc.record({ from: few(source), to: few(operation), when: few(when) })),
});

const mode = fc.constantFrom(null, 'DISABLE', 'PERMISSIVE', 'STRICT');
const peerAuthentication = fc
  .record({
    kind: fc.constant('peerAuthentication'),
    ...scope,
    selector: fc.option(record),
    mode,
    portModes: fc.dictionary(port.map(String), mode, { maxKeys: 3, noNullPrototype: true }),
    createdMs,
  })
  .map((policy) => (policy.selector === null ? { ...policy, portModes: {} } : policy));

const keys = fc.constantFrom(
  { jwks: null, jwksUri: null },
  { jwks: null, jwksUri: 'https://issuer.example/keys' },
  { jwks: '{"keys":[{"kty":"RSA","e":"AQAB","n":"xAE7eB6qugXyCAG3yhh7pkDkT65pHymX"}]}', jwksUri: null },
);
const jwtRule = fc
  .tuple(
    keys,
    fc.record({
      issuer: token,
      audiences: few(token),
      fromHeaders: few(fc.record({ name: headerName, prefix: text })),
      fromParams: few(token),
      fromCookies: few(token),
      outputPayloadToHeader: fc.option(headerName),
      outputClaimToHeaders: few(fc.record({ header: headerName, claim: token })),
      forwardOriginalToken: fc.boolean(),
      timeoutMs: fc.option(durationMs),
    }),
  )
  .map(([some, rest]) => ({ ...some, ...rest }));
const requestAuthentication = targeting({ kind: fc.constant('requestAuthentication'), jwtRules: few(jwtRule) });

const labelSelector = fc.record({
  matchLabels: record,
  matchExpressions: few(
    fc.oneof(
      fc.record({
        key: label,
        operator: fc.constantFrom('In', 'NotIn'),
        values: fc.array(label, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({ key: label, operator: fc.constantFrom('Exists', 'DoesNotExist'), values: fc.constant([]) }),
    ),
  ),
});
const peer = fc.oneof(
  fc.record({ type: fc.constant('pods'), namespaces: fc.option(few(label)), podSelector: labelSelector }),
  fc.record({ type: fc.constant('ipBlock'), cidr: block, except: few(block) }),
);
const networkPort = fc.oneof(
  fc.record({ port: fc.oneof(label, fc.constant(null)), endPort: fc.constant(null) }),
  fc.tuple(port, fc.option(port)).map(([one, other]) => ({
    port: other === null ? one : Math.min(one, other),
    endPort: other === null ? null : Math.max(one, other),
  })),
);
const networkRules = fc.option(few(fc.record({ peers: few(peer), ports: fc.option(few(networkPort)) })));
const networkPolicy = fc.record({
  kind: fc.constant('networkPolicy'),
  namespace: label,
  name: label,
  podSelector: labelSelector,
  ingress: networkRules,
  egress: networkRules,
});

export const arbitraryPolicies = { authorizationPolicy, peerAuthentication, requestAuthentication, networkPolicy };
