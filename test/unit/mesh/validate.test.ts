import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MeshDelta, MeshResource } from '../../../mesh/model.ts';
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
  meshSettings: {
    kind: 'meshSettings',
    namespace: 'istio-system',
    name: 'istio',
    metrics: false,
    accessLog: true,
    bypass: true,
  },
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
    ['workload', 'uid', '', /^uid: "" must be a non-empty string/],
    ['workload', 'namespace', 'a/b', /^namespace: "a\/b" must be a non-empty name/],
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
      { type: 'regex', value: '/a' },
      /path.type: "regex" must be one of exact, prefix/,
    ],
    ['httpRoute', 'rules.0.matches.0.path.value', 'a', /^rules\[0\].matches\[0\].path.value: "a" must start with \//],
    ['httpRoute', 'rules.0.matches.0.path.value', '/a/../b', /never occurs in a request: write \/b/],
    ['httpRoute', 'rules.0.matches.0.path.value', '/a?b', /cannot be a path \(PATH_QUERY\)/],
    ['httpRoute', 'rules.0.matches.0.method', 'GE T', /is not a method/],
    [
      'httpRoute',
      'rules.0.matches.0.headers.0',
      { name: 'x', type: 'regex', value: '(a' },
      /headers\[0\].value: "\(a" is not an RE2 expression: .*missing closing/,
    ],
    [
      'httpRoute',
      'rules.0.matches.0.headers.0',
      { name: 'x', type: 'regex', value: '(?=a)' },
      /headers\[0\].value: .* is not an RE2 expression/,
    ],
    [
      'httpRoute',
      'rules.0.matches.0.queryParams.0',
      { name: 'q', type: 'regex', value: 'a'.repeat(2000) },
      /longer than 1024 characters/,
    ],
    ['httpRoute', 'rules.0.matches.0.headers.0.name', 'a b', /is not a header name/],
    ['httpRoute', 'rules.0.matches.0.withoutHeaders', [], /withoutHeaders: this version does not know the field/],
    ['httpRoute', 'rules.0.filters.0.type', 'urlRewrite', /must be one of requestHeaderModifier/],
    ['httpRoute', 'rules.0.filters.0.set.0.name', 'Content-Length', /frames the message/],
    ['httpRoute', 'rules.0.filters.0.set.0.value', 'a\r\nb: c', /is not a header value/],
    ['httpRoute', 'rules.0.filters.0.add.0.name', 'Host', /Host has one value: use set/],
    ['httpRoute', 'rules.0.filters.0.remove.0', 'transfer-encoding', /frames the message/],
    ['httpRoute', 'rules.0.backends.0.weight', -1, /must be a whole number from 0 to 1000000/],
    ['httpRoute', 'rules.0.backends.0.weight', Number.NaN, /weight: NaN/],
    ['httpRoute', 'rules.0.timeouts', {}, /^rules\[0\].timeouts: this version does not know/],
    ['meshSettings', 'metrics', undefined, /^metrics: undefined must be true or false/],
    ['meshSettings', 'bypass', 'yes', /^bypass: "yes" must be true or false/],
    ['meshSettings', 'trustDomain', 'td', /^trustDomain: this version does not know the field/],
    ['authorizationPolicy', 'action', 'AUDIT', /^action: "AUDIT" must be one of ALLOW, DENY/],
    ['authorizationPolicy', 'rules.0.from.0', source(), /^rules\[0\].from\[0\]: the source has no field set/],
    ['authorizationPolicy', 'rules.0.to.0', operation(), /^rules\[0\].to\[0\]: the operation has no field set/],
    ['authorizationPolicy', 'rules.0.from.0.ipBlocks', ['10.0.0.0/33'], /is not an address or CIDR block/],
    ['authorizationPolicy', 'rules.0.from.0.serviceAccounts', ['alice'], /must be written namespace\/name/],
    ['authorizationPolicy', 'rules.0.from.0.principals', [''], /must be a non-empty string/],
    [
      'authorizationPolicy',
      'rules.0.from.0.requestPrincipals',
      ['*'],
      /requestPrincipals: this version does not know the field/,
    ],
    [
      'authorizationPolicy',
      'rules.0.to.0.paths',
      ['/{**}/a/{*}'],
      /is not a path template: {\*\*} must be the last operator/,
    ],
    ['authorizationPolicy', 'rules.0.to.0.ports', ['80'], /ports\[0\]: "80" must be a whole number/],
    ['authorizationPolicy', 'rules.0.unless', [], /^rules\[0\].unless: this version does not know/],
    ['authorizationPolicy', 'rules.0.when', undefined, /^rules\[0\].when: undefined must be a list/],
    ['authorizationPolicy', 'rules.0.when.0.key', 'source.ip', /must be one of connection.sni, remote.ip/],
    ['authorizationPolicy', 'rules.0.when.0.values', [], /when\[0\]: has neither values nor notValues/],
    ['authorizationPolicy', 'rules.0.when.1.notValues', ['a'], /when\[1\].notValues\[0\]: "a" is not an address/],
    ['authorizationPolicy', 'rules.0.from.0.remoteIpBlocks', ['x'], /remoteIpBlocks\[0\]: "x" is not an address/],
    ['tlsRoute', 'hostnames', ['A.example'], /^hostnames\[0\]: "A.example" is not a host name/],
    ['tlsRoute', 'hostnames', ['a.*.example'], /is not a host name/],
    ['tlsRoute', 'hostnames', ['*'], /is not a host name/],
    ['tlsRoute', 'backends.0.weight', -1, /must be a whole number from 0 to 1000000/],
    ['tlsRoute', 'parents.0.port', 0, /^parents\[0\].port: 0/],
    ['tcpRoute', 'hostnames', [], /^hostnames: this version does not know the field/],
    ['tcpRoute', 'backends.0.filters', [], /^backends\[0\].filters: this version does not know/],
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
