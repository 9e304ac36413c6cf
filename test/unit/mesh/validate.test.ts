import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MeshDelta, MeshResource } from '../../../mesh/model.ts';
import { DEFAULT_SETTINGS } from '../../../mesh/settings.ts';
import { MeshState } from '../../../mesh/state.ts';
import { sameJson, validateResource } from '../../../mesh/validate.ts';
import {
  backend,
  operation,
  policy,
  policyRule,
  route,
  routeMatch,
  routeRule,
  service,
  source,
  streamBackend,
  tcpRoute,
  tlsRoute,
  workload,
} from './resources.ts';
import { arbitraryOf, MESH_KINDS } from '../wire/mesh-arbitrary.ts';

const GOOD: Record<string, MeshResource> = {
  workload: workload({
    uid: 'u1',
    addresses: ['10.0.0.1', 'fd00::1'],
    labels: { app: 'web' },
    services: { 'shop/web': [{ servicePort: 80, targetPort: 8080 }] },
  }),
  service: service({ name: 'web', addresses: ['10.96.0.1'] }),
  tlsRoute: tlsRoute({ name: 't', hostnames: ['a.example', '*.b.example'], backends: [streamBackend('web')] }),
  tcpRoute: tcpRoute({ name: 't', backends: [streamBackend('web')] }),
  httpRoute: route({
    name: 'r',
    rules: [
      routeRule({
        name: 'main',
        matches: [
          routeMatch({
            path: { type: 'prefix', value: '/a' },
            method: 'GET',
            headers: [{ name: 'x', type: 'exact', value: '1' }],
            queryParams: [{ name: 'q', type: 'exact', value: '1' }],
          }),
        ],
        filters: [
          {
            type: 'requestHeaderModifier',
            set: [{ name: 'x', value: '1' }],
            add: [{ name: 'y', value: '2' }],
            remove: ['z'],
          },
        ],
        backends: [backend('web')],
      }),
    ],
  }),
  meshSettings: { ...DEFAULT_SETTINGS, bypass: true, trustDomainAliases: ['old.example'] },
  authorizationPolicy: policy({
    name: 'p',
    selector: { app: 'web' },
    rules: [
      policyRule({
        from: [{ principals: ['*'], ipBlocks: ['10.0.0.0/8', '10.1.2.3/8'] }],
        to: [{ ports: [80], methods: ['GET'], paths: ['/a/*', '/{*}/b'], hosts: ['a'] }],
        when: [
          { key: 'connection.sni', values: ['a.example'] },
          { key: 'remote.ip', notValues: ['10.0.0.0/8'] },
        ],
      }),
    ],
  }),
};

const RULE = routeRule({
  filters: [
    { type: 'urlRewrite', hostname: 'a.example', path: { type: 'prefix', value: '/b' } },
    {
      type: 'requestRedirect',
      scheme: null,
      hostname: null,
      port: 'scheme',
      path: { type: 'regex', pattern: 'a+', value: '\\0' },
      statusCode: 302,
    },
  ],
  directResponse: { status: 200, body: 'hello' },
  fault: { delay: null, abort: { perMillion: 1, status: 503, grpcStatus: null } },
  timeouts: { requestMs: 1, backendRequestMs: null },
});
GOOD['rewriting'] = route({ name: 'r2', rules: [RULE] });
GOOD['peerAuthentication'] = {
  kind: 'peerAuthentication',
  namespace: 'shop',
  name: 'p',
  meshWide: false,
  selector: { app: 'web' },
  mode: 'STRICT',
  portModes: { 80: null },
  createdMs: 0,
};
GOOD['requestAuthentication'] = {
  kind: 'requestAuthentication',
  namespace: 'shop',
  name: 'j',
  meshWide: false,
  selector: null,
  targetServices: ['shop/web'],
  jwtRules: [
    {
      issuer: 'https://issuer.example',
      audiences: [],
      jwks: '{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"Ag"},{"kty":"RSA","use":"enc"}]}',
      jwksUri: null,
      fromHeaders: [{ name: 'authorization', prefix: 'Bearer ' }],
      fromParams: [],
      fromCookies: [],
      outputPayloadToHeader: null,
      outputClaimToHeaders: [],
      forwardOriginalToken: false,
      timeoutMs: null,
    },
  ],
};
const EVERYTHING = { matchLabels: {}, matchExpressions: [] };
GOOD['networkPolicy'] = {
  kind: 'networkPolicy',
  namespace: 'shop',
  name: 'n',
  podSelector: { matchLabels: {}, matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] },
  ingress: [
    {
      peers: [
        { type: 'pods', namespaces: null, podSelector: EVERYTHING },
        { type: 'ipBlock', cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] },
      ],
      ports: [{ port: 80, endPort: 90 }],
    },
  ],
  egress: null,
};
GOOD['serviceEntry'] = {
  kind: 'serviceEntry',
  namespace: 'shop',
  name: 'e',
  hosts: ['api.example.com', ...Array.from({ length: 7 }, (_, i) => `h${i}.example.com`)],
  addresses: ['192.0.2.0/24'],
  ports: [{ port: 443, name: 'tls', protocol: 'tls', targetPort: 8443 }],
  location: 'MESH_EXTERNAL',
  resolution: 'STATIC',
  endpoints: [
    { address: '192.0.2.1', ports: { 443: 8443 }, labels: {}, serviceAccount: '', weight: 1, locality: 'r/z' },
  ],
  workloads: [],
  exportTo: ['*'],
};
GOOD['sidecarScope'] = {
  kind: 'sidecarScope',
  namespace: 'shop',
  name: 's',
  meshWide: false,
  selector: null,
  egress: [{ port: null, hosts: [{ namespace: '*', host: '*.example.com' }] }],
  outboundTrafficPolicy: null,
  createdMs: 0,
};

/** A copy with one field, named by its path, replaced (`undefined`: removed). */
function with_(resource: MeshResource, path: string, value: unknown): unknown {
  const copy: unknown = structuredClone(resource);
  const steps = path.split('.');
  const last = steps.pop() as string;
  let at = copy as Record<string, unknown>;
  for (const step of steps) at = at[step] as Record<string, unknown>;
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

describe('validateResource', () => {
  for (const [kind, resource] of Object.entries(GOOD)) {
    it(`accepts a ${kind}`, () => assert.equal(validateResource(resource), null));
  }

  const malformed: [string, string, unknown, RegExp][] = [
    [
      'serviceEntry',
      'workloads',
      Array.from({ length: 65_536 / 8 }, (_, i) => `u${i}`),
      /^endpoints: has 8193 for 8 hosts, and hosts times endpoints may be 65536: write several ServiceEntries/,
    ],
    ['workload', 'uid', '', /^uid: "" must be a non-empty string/],
    ['workload', 'namespace', 'a/b', /^namespace: "a\/b" must be a namespace/],
    ['workload', 'addresses', ['10.0.0.256'], /^addresses\[0\]: "10.0.0.256" is not an IP/],
    ['workload', 'addresses', ['FD00::1'], /must be written fd00::1/],
    ['workload', 'addresses', ['::ffff:10.0.0.1'], /must be written 10.0.0.1/],
    ['workload', 'addresses', 'none', /^addresses: "none" must be a list/],
    ['workload', 'ready', 'yes', /^ready: "yes" must be true or false/],
    ['workload', 'labels', { app: 1 }, /^labels.app: 1 must be a string/],
    ['workload', 'labels', [], /^labels: .* must be an object/],
    ['workload', 'services', { web: [] }, /^services key: "web" must be written namespace\/name/],
    [
      'workload',
      'services',
      { 'shop/web': [{ servicePort: 80, targetPort: 0 }] },
      /^services.shop\/web\[0\].targetPort: 0 must be/,
    ],
    ['workload', 'services', undefined, /^services: undefined must be an object/],
    [
      'service',
      'ports',
      [{ port: 70000, name: '', protocol: 'http' }],
      /^ports\[0\].port: 70000 must be a whole number from 1 to 65535/,
    ],
    [
      'service',
      'ports',
      [{ port: 80, name: '', protocol: 'h2' }],
      /^ports\[0\].protocol: "h2" must be one of http, http2, grpc, tls, tcp, detect/,
    ],
    ['service', 'ports', [1, 1].map((port) => ({ port, name: '', protocol: 'tcp' })), /^ports: 1 is listed twice/],
    ['httpRoute', 'createdMs', -1, /^createdMs: -1/],
    ['httpRoute', 'createdMs', 1.5, /^createdMs: 1.5/],
    [
      'httpRoute',
      'rules.0.matches.0.path',
      { type: 'glob', value: '/a', ignoreCase: false },
      /path.type: "glob" must be one of exact, prefix, stringPrefix, regex/,
    ],
    ['httpRoute', 'rules.0.matches.0.path.value', 'a', /^rules\[0\].matches\[0\].path.value: "a" must start with \//],
    ['httpRoute', 'rules.0.matches.0.path.value', '/a/../b', /never occurs in a request: write \/b/],
    ['httpRoute', 'rules.0.matches.0.path.value', '/a?b', /cannot be a path \(PATH_QUERY\)/],
    ['httpRoute', 'rules.0.matches.0.method', 'GET', /^rules\[0\].matches\[0\].method: "GET" must be an object/],
    [
      'httpRoute',
      'rules.0.matches.0.method.value',
      'GE T',
      /^rules\[0\].matches\[0\].method.value: "GE T" is not a method/,
    ],
    [
      'httpRoute',
      'rules.0.matches.0.headers.0',
      { name: 'x', type: 'regex', value: '(a', invert: false },
      /headers\[0\].value: "\(a" is not an RE2 expression: .*missing closing/,
    ],
    [
      'httpRoute',
      'rules.0.matches.0.headers.0',
      { name: 'x', type: 'regex', value: '(?=a)', invert: false },
      /headers\[0\].value: .* is not an RE2 expression/,
    ],
    [
      'httpRoute',
      'rules.0.matches.0.queryParams.0',
      { name: 'q', type: 'regex', value: 'a'.repeat(2000), invert: false },
      /longer than 1024 characters/,
    ],
    ['httpRoute', 'rules.0.matches.0.headers.0.name', 'a b', /is not a header name/],
    ['httpRoute', 'rules.0.matches.0.withoutHeaders', [], /withoutHeaders: this version does not know the field/],
    [
      'httpRoute',
      'rules.0.filters.0.type',
      'extAuth',
      /filters\[0\].type: "extAuth" must be one of requestHeaderModifier/,
    ],
    ['httpRoute', 'rules.0.filters.0.set.0.name', 'Content-Length', /frames the message/],
    ['httpRoute', 'rules.0.filters.0.set.0.value', 'a\r\nb: c', /is not a header value/],
    ['httpRoute', 'rules.0.filters.0.add.0.name', 'Host', /Host has one value: use set/],
    ['httpRoute', 'rules.0.filters.0.remove.0', 'transfer-encoding', /frames the message/],
    ['httpRoute', 'rules.0.backends.0.weight', -1, /must be a whole number from 0 to 1000000/],
    ['httpRoute', 'rules.0.backends.0.weight', Number.NaN, /weight: NaN/],
    ['httpRoute', 'rules.0.timeouts', {}, /^rules\[0\].timeouts.requestMs: undefined must be/],
    ['httpRoute', 'rules.0.hedge', {}, /^rules\[0\].hedge: this version does not know/],
    ['meshSettings', 'metrics', undefined, /^metrics: undefined must be true or false/],
    ['meshSettings', 'bypass', 'yes', /^bypass: "yes" must be true or false/],
    ['meshSettings', 'trustDomain', 'Td', /^trustDomain: "Td" is not a trust domain/],
    ['meshSettings', 'defaultConfig', {}, /^defaultConfig: this version does not know the field/],
    ['authorizationPolicy', 'action', 'ASK', /^action: "ASK" must be one of ALLOW, DENY, AUDIT, CUSTOM/],
    ['authorizationPolicy', 'rules.0.from.0', source(), /^rules\[0\].from\[0\]: the source has no field set/],
    ['authorizationPolicy', 'rules.0.to.0', operation(), /^rules\[0\].to\[0\]: the operation has no field set/],
    ['authorizationPolicy', 'rules.0.from.0.ipBlocks', ['10.0.0.0/33'], /is not an address or CIDR block/],
    ['authorizationPolicy', 'rules.0.from.0.serviceAccounts', ['alice'], /must be written namespace\/name/],
    ['authorizationPolicy', 'rules.0.from.0.principals', [''], /must be a non-empty string/],
    ['authorizationPolicy', 'rules.0.from.0.claims', ['*'], /claims: this version does not know the field/],
    [
      'authorizationPolicy',
      'rules.0.to.0.paths',
      ['/{**}/a/{*}'],
      /is not a path template: {\*\*} must be the last operator/,
    ],
    ['authorizationPolicy', 'rules.0.to.0.ports', ['80'], /ports\[0\]: "80" must be a whole number/],
    ['authorizationPolicy', 'rules.0.unless', [], /^rules\[0\].unless: this version does not know/],
    ['authorizationPolicy', 'rules.0.when', undefined, /^rules\[0\].when: undefined must be a list/],
    [
      'authorizationPolicy',
      'rules.0.when.0.key',
      'source.ips',
      /must be one of source.ip, remote.ip, source.namespace/,
    ],
    ['authorizationPolicy', 'rules.0.when.0.key', 'source.ip', /when\[0\].values\[0\]: "a.example" is not an address/],
    ['authorizationPolicy', 'rules.0.when.0.key', 'request.headers[X]', /when\[0\].key: "X" must be written x/],
    ['authorizationPolicy', 'rules.0.when.0.key', 'request.auth.claims[]', /when\[0\].key: .* must be one of/],
    ['authorizationPolicy', 'rules.0.when.0.key', 'destination.port', /values\[0\]: "a.example" must be a port/],
    ['authorizationPolicy', 'rules.0.when.0.values', [], /when\[0\]: has neither values nor notValues/],
    ['authorizationPolicy', 'rules.0.when.1.notValues', ['a'], /when\[1\].notValues\[0\]: "a" is not an address/],
    ['authorizationPolicy', 'rules.0.from.0.remoteIpBlocks', ['x'], /remoteIpBlocks\[0\]: "x" is not an address/],
    ['tlsRoute', 'rules.0.matches.0.hostnames', ['A.example'], /hostnames\[0\]: "A.example" is not a host name/],
    ['tlsRoute', 'rules.0.matches.0.hostnames', ['a.*.example'], /is not a host name/],
    ['tlsRoute', 'rules.0.matches.0.hostnames', ['*'], /is not a host name/],
    ['tlsRoute', 'rules.0.backends.0.weight', -1, /must be a whole number from 0 to 1000000/],
    ['tlsRoute', 'parents.0.port', 0, /^parents\[0\].port: 0/],
    ['tcpRoute', 'hostnames', [], /^hostnames: this version does not know the field/],
    ['tcpRoute', 'rules.0.backends.0.filters', [], /^rules\[0\].backends\[0\].filters: this version does not know/],
    [
      'rewriting',
      'rules.0.filters.0.hostname',
      'A.example',
      /filters\[0\].hostname: "A.example" must be written a.example/,
    ],
    ['rewriting', 'rules.0.filters.0.hostname', 'a/b', /filters\[0\].hostname: "a\/b" is not a host/],
    ['rewriting', 'rules.0.filters.0.path.value', '/b?c', /path.value: "\/b\?c" cannot be a path \(PATH_QUERY\)/],
    ['rewriting', 'rules.0.filters.0.path', { type: 'full', value: '' }, /path.value: "" must start with \//],
    ['rewriting', 'rules.0.filters.1.port', 'http', /filters\[1\].port: "http" must be one of scheme, request/],
    ['rewriting', 'rules.0.filters.1.port', 0, /filters\[1\].port: 0 must be a whole number from 1/],
    [
      'rewriting',
      'rules.0.filters.1.path',
      { type: 'regex', pattern: '(a)', value: '\\2' },
      /value: "\\\\2" names the group \\2, but the expression has 1/,
    ],
    ['rewriting', 'rules.0.filters.1.statusCode', 304, /statusCode: 304 must be one of 301, 302/],
    ['rewriting', 'rules.0.filters.1.path.pattern', '(', /path.pattern: "\(" is not an RE2 expression/],
    ['rewriting', 'rules.0.directResponse.status', 101, /directResponse.status: 101 must be a whole number from 200/],
    ['rewriting', 'rules.0.directResponse.body', 'x'.repeat(262_145), /body: is longer than 262144 characters/],
    ['rewriting', 'rules.0.fault.abort.grpcStatus', 14, /abort: needs either status or grpcStatus/],
    ['rewriting', 'rules.0.fault.abort.perMillion', 1_000_001, /perMillion: 1000001 must be/],
    ['rewriting', 'rules.0.timeouts.requestMs', 0, /timeouts.requestMs: 0 must be a whole number from 1/],
    ['rewriting', 'clients', ['Shop'], /^clients\[0\]: "Shop" must be a namespace/],
    ['rewriting', 'source', 'TCPRoute', /^source: "TCPRoute" must be one of HTTPRoute/],
    ['peerAuthentication', 'selector', null, /^portModes: are of no meaning without selector/],
    ['peerAuthentication', 'portModes', { 0: null }, /^portModes key: "0" must be a port/],
    ['peerAuthentication', 'mode', 'UNSET', /^mode: "UNSET" must be one of DISABLE, PERMISSIVE, STRICT/],
    ['requestAuthentication', 'jwtRules.0.jwks', '{', /jwks: is not JSON/],
    ['requestAuthentication', 'jwtRules.0.jwks', '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', /keys\[0\] is symmetric/],
    ['requestAuthentication', 'jwtRules.0.jwks', '{"keys":[{"kty":"RSA","d":"AQ"}]}', /keys\[0\] is a private key/],
    ['requestAuthentication', 'jwtRules.0.jwks', '{"keys":[{"kty":"RSA","n":"AQ"}]}', /no key that can verify/],
    ['requestAuthentication', 'jwtRules.0.jwks', '{"keys":[{"kty":"EC","crv":"P-2","x":"a","y":"b"}]}', /no key that/],
    ['requestAuthentication', 'jwtRules.0.jwksUri', 'https://a.example', /jwksUri: cannot be combined with jwks/],
    ['requestAuthentication', 'targetServices', ['bank/api'], /bank\/api is in another namespace/],
    [
      'networkPolicy',
      'ingress.0.peers.0.type',
      'namespace',
      /peers\[0\].type: "namespace" must be one of pods, ipBlock/,
    ],
    ['networkPolicy', 'ingress.0.peers.1.cidr', 'all', /peers\[1\].cidr: "all" is not an address/],
    ['networkPolicy', 'ingress.0.ports.0.endPort', 79, /endPort: 79 ends no range/],
    ['networkPolicy', 'ingress.0.ports.0.port', 'http', /endPort: 90 ends no range/],
    ['networkPolicy', 'podSelector.matchExpressions.0.values', [], /values: In needs a value/],
    ['networkPolicy', 'podSelector.matchExpressions.0.operator', 'Exists', /values: Exists takes none/],
    ['serviceEntry', 'hosts', ['localhost'], /^hosts\[0\]: "localhost" has no dot/],
    ['serviceEntry', 'endpoints.0.address', 'a.example', /endpoints\[0\].address: is a host name/],
    ['serviceEntry', 'endpoints.0.ports', { 443: 0 }, /endpoints\[0\].ports.443: 0 must be/],
    ['sidecarScope', 'egress.0.hosts.0.namespace', '.', /namespace: "." must be a namespace/],
    ['authorizationPolicy', 'selector', 'web', /^selector: "web" must be an object/],
    ['authorizationPolicy', 'targetServices', ['shop/web'], /cannot be combined with selector/],
  ];
  for (const [kind, path, value, message] of malformed) {
    it(`refuses a ${kind} with ${path} = ${JSON.stringify(value)}`, () => {
      const resource = with_(GOOD[kind] as MeshResource, path, value);
      assert.match(validateResource(resource) ?? 'accepted', message);
      const result = new MeshState().apply({ upserts: [resource as MeshResource], removals: [] });
      assert.equal(result.ok, false);
    });
  }

  it('refuses a policy that targets another namespace', () => {
    assert.match(
      validateResource(policy({ name: 'p', targetServices: ['bank/api'] })) ?? '',
      /bank\/api is in another namespace/,
    );
  });

  it('lets workloads and Services carry fields it does not know', () => {
    for (const kind of ['workload', 'service'])
      assert.equal(validateResource(with_(GOOD[kind] as MeshResource, 'future', 1)), null);
  });

  it('finds every field that is missing', () => {
    for (const [kind, resource] of Object.entries(GOOD)) {
      for (const field of Object.keys(resource)) {
        const problem = validateResource(with_(resource, field, undefined));
        assert.ok(problem?.startsWith(`${field}: `), `${kind} without ${field}: ${problem}`);
      }
    }
  });

  it('refuses a field it does not know, and the lack of one it knows, at any depth of any kind of weir’s own', () => {
    const inside = (value: unknown): Record<string, unknown>[] =>
      typeof value !== 'object' || value === null
        ? []
        : [
            ...(Array.isArray(value) ? [] : [value as Record<string, unknown>]),
            ...Object.values(value).flatMap(inside),
          ];
    const own = MESH_KINDS.filter((kind) => kind !== 'workload' && kind !== 'service');
    fc.assert(
      fc.property(fc.oneof(...own.map(arbitraryOf)), fc.nat(), fc.nat(), (resource, which, field) => {
        const more = structuredClone(resource);
        const objects = inside(more);
        (objects[which % objects.length] as Record<string, unknown>)['future'] = 1;
        assert.notEqual(validateResource(more), null);

        const less = structuredClone(resource);
        const owner = inside(less).filter((object) => 'type' in object || 'namespace' in object);
        const from = owner[which % owner.length] as Record<string, unknown>;
        const names = Object.keys(from);
        delete from[names[field % names.length] as string];
        assert.notEqual(validateResource(less), null);
      }),
      { numRuns: 1_000 },
    );
  });

  it('messages stay short, whatever the value', () => {
    const problem = validateResource(with_(GOOD['service'] as MeshResource, 'addresses', ['x'.repeat(100_000)]));
    assert.ok(problem !== null && problem.length < 200);
  });
});

describe('MeshState.apply on hostile input', () => {
  const junk = fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withSparseArray: true });

  it('never throws and changes nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          junk,
          fc.record({ upserts: junk, removals: junk }),
          fc.record({ upserts: fc.array(junk), removals: fc.array(junk) }),
        ),
        (delta) => {
          const state = new MeshState();
          const result = state.apply(delta as MeshDelta);
          if (!result.ok) assert.equal(typeof result.resource.key, 'string');
          assert.equal(state.generation, 0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('any one field replaced by anything is refused or harmless, never an exception, now or when asked', () => {
    const paths = (value: unknown, at: string): string[] =>
      typeof value !== 'object' || value === null
        ? [at]
        : [
            ...(at === '' ? [] : [at]),
            ...Object.entries(value).flatMap(([key, inner]) => paths(inner, at === '' ? key : `${at}.${key}`)),
          ];
    const places = Object.entries(GOOD).flatMap(([kind, resource]) =>
      paths(resource, '').map((path) => [kind, path] as const),
    );
    fc.assert(
      fc.property(fc.constantFrom(...places), junk, ([kind, path], value) => {
        const state = new MeshState();
        const resource = with_(GOOD[kind] as MeshResource, path, value === undefined ? null : value) as MeshResource;
        const others = Object.entries(GOOD).filter(([other]) => other !== kind);
        assert.ok(state.apply({ upserts: others.map(([, one]) => one), removals: [] }).ok);
        state.apply({ upserts: [resource], removals: [] });
        for (const ip of ['10.96.0.1', '10.0.0.1']) state.resolve(ip, 80);
        void state.servicePort('shop/web', 80)?.routes;
        for (const one of state.list('workload')) state.authorization(one, 80);
      }),
      { numRuns: 3000 },
    );
  });

  it('refuses a key that comes twice and a removal without a known kind', () => {
    const state = new MeshState();
    const twice = state.apply({ upserts: [GOOD['service'], GOOD['service']] as MeshResource[], removals: [] });
    assert.match(twice.ok ? '' : twice.error, /^service shop\/web: occurs twice/);
    const removal = state.apply({ upserts: [], removals: [{ kind: 'pod', key: 'x' }] } as unknown as MeshDelta);
    assert.match(removal.ok ? '' : removal.error, /removal: kind: "pod" must be one of/);
  });
});

describe('sameJson', () => {
  it('agrees with deep equality, whatever the order of fields', () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const reordered = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reordered);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, inner]) => [key, reordered(inner)]),
      );
    };
    fc.assert(
      fc.property(json, json, (left, right) => {
        assert.ok(sameJson(left, reordered(left)));
        const equal = JSON.stringify(left) === JSON.stringify(right);
        if (equal) assert.ok(sameJson(left, right));
        if (sameJson(left, right))
          assert.deepEqual(JSON.parse(JSON.stringify(left)), JSON.parse(JSON.stringify(right)));
      }),
    );
  });
});
