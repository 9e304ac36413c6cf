import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Authorization,
  type BoundAuthorization,
  type ConnectionFacts,
  describeVerdict,
} from '../../../mesh/authz.ts';
import type { Identity } from '../../../mesh/model.ts';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyOperation,
  PolicySource,
} from '../../../mesh/policy-model.ts';
import type { JwtClaims } from '../../../mesh/jwt.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { RequestView } from '../../../mesh/request.ts';
import type { TrustDomains } from '../../../mesh/trust-domain.ts';
import { policy, policyRule, request, workload } from './resources.ts';

const WEB = workload({
  uid: 'web-1',
  labels: { app: 'web', tier: 'front' },
  services: {
    'shop/web': [{ servicePort: 80, targetPort: 8080 }],
    'shop/admin': [{ servicePort: 9000, targetPort: 9090 }],
  },
});
const ALICE: Identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'alice' };
const BOB: Identity = { trustDomain: 'cluster.local', namespace: 'bank', serviceAccount: 'bob' };

function facts(fields: Partial<ConnectionFacts> = {}): ConnectionFacts {
  const sourceIp = fields.sourceIp ?? '10.0.0.9';
  const destination = { destinationIp: '10.0.0.1', destinationPort: 8080 };
  return { identity: ALICE, sourceIp, remoteIp: sourceIp, serverName: '', ...destination, ...fields };
}

function authorizationOf(policies: readonly AuthorizationPolicy[], port: number, trust?: TrustDomains): Authorization {
  const index = new PolicyIndex(trust);
  for (const one of policies) index.add(one);
  return index.for(WEB).forPort(port);
}

function bind(
  policies: readonly AuthorizationPolicy[],
  connection: Partial<ConnectionFacts> = {},
  trust?: TrustDomains,
): BoundAuthorization {
  const all = facts(connection);
  return authorizationOf(policies, all.destinationPort, trust).bind(all);
}

const deny = (name: string, ...rules: AuthorizationPolicy['rules']): AuthorizationPolicy =>
  policy({ name, action: 'DENY', rules });
const allow = (name: string, ...rules: AuthorizationPolicy['rules']): AuthorizationPolicy =>
  policy({ name, action: 'ALLOW', rules });

describe('authorization order', () => {
  const everything = policyRule();
  const rows: [string, AuthorizationPolicy[], boolean, string | null, string][] = [
    ['no policy allows', [], true, null, 'no-policy-matched'],
    ['ALLOW without rules denies all', [allow('a')], false, null, 'no-allow-rule-matched'],
    ['DENY without rules denies nothing', [deny('d')], true, null, 'no-policy-matched'],
    ['rules: [{}] matches always', [allow('a', everything)], true, 'shop/a', 'allow-rule'],
    ['DENY comes before ALLOW', [allow('a', everything), deny('d', everything)], false, 'shop/d', 'deny-rule'],
    ['one ALLOW of several is enough', [allow('a'), allow('b', everything)], true, 'shop/b', 'allow-rule'],
    [
      'rules are OR-ed',
      [allow('a', policyRule({ from: [{ namespaces: ['none'] }] }), policyRule({ from: [{ namespaces: ['shop'] }] }))],
      true,
      'shop/a',
      'allow-rule',
    ],
  ];
  for (const [name, policies, allowed, policyName, cause] of rows) {
    it(name, () => {
      const bound = bind(policies);
      for (const verdict of [bound.request(request()), bound.connection(), bound.settled]) {
        assert.equal(verdict?.allowed, allowed);
        assert.equal(verdict.policy, policyName);
        assert.equal(verdict.cause, cause);
        assert.equal(verdict.reason, allowed ? 'ALLOWED' : 'RBAC_DENIED');
      }
    });
  }

  it('a denial without a matching rule names the ALLOW policies that apply', () => {
    const verdict = bind([allow('b'), allow('a')]).connection();
    assert.deepEqual(verdict.allowPolicies, ['shop/a', 'shop/b']);
    assert.equal(describeVerdict(verdict), 'denied: no rule of ALLOW policy shop/a, shop/b matches');
  });

  it('a verdict names the rule by its index and is the same object every time', () => {
    const bound = bind([
      deny('d', policyRule({ to: [{ methods: ['PUT'] }] }), policyRule({ to: [{ methods: ['GET'] }] })),
    ]);
    const verdict = bound.request(request());
    assert.equal(verdict.rule, 1);
    assert.equal(bound.request(request()), verdict);
    assert.equal(describeVerdict(verdict), 'denied by DENY policy shop/d rule 1');
  });
});

describe('sources', () => {
  // source, matches alice of shop, matches bob of bank, matches no identity
  const rows: [Partial<PolicySource>, boolean, boolean, boolean][] = [
    [{ principals: ['cluster.local/ns/shop/sa/alice'] }, true, false, false],
    [{ principals: ['cluster.local/ns/shop/*'] }, true, false, false],
    [{ principals: ['*/sa/bob'] }, false, true, false],
    [{ principals: ['*'] }, true, true, false],
    [{ principals: ['other.domain/ns/shop/sa/alice'] }, false, false, false],
    [{ principals: ['spiffe://cluster.local/ns/shop/sa/alice'] }, false, false, false],
    [{ notPrincipals: ['cluster.local/ns/shop/sa/alice'] }, false, true, true],
    [{ notPrincipals: ['*'] }, false, false, true],
    [{ principals: ['*'], notPrincipals: ['*/sa/alice'] }, false, true, false],
    [{ namespaces: ['shop'] }, true, false, false],
    [{ namespaces: ['sh*', 'none'] }, true, false, false],
    [{ namespaces: ['*'] }, true, true, false],
    [{ namespaces: ['s*p'] }, true, false, false],
    [{ notNamespaces: ['shop'] }, false, true, true],
    [{ serviceAccounts: ['shop/alice'] }, true, false, false],
    [{ serviceAccounts: ['shop/bob'] }, false, false, false],
    [{ notServiceAccounts: ['shop/alice'] }, false, true, true],
    [{ namespaces: ['shop'], notServiceAccounts: ['shop/alice'] }, false, false, false],
    [{ ipBlocks: ['10.0.0.0/24'] }, true, true, true],
    [{ ipBlocks: ['10.0.1.0/24', '10.0.0.9'] }, true, true, true],
    [{ ipBlocks: ['::ffff:10.0.0.9'] }, true, true, true],
    [{ ipBlocks: ['10.0.1.0/24', '::/0'] }, false, false, false],
    [{ notIpBlocks: ['10.0.0.0/24'] }, false, false, false],
    [{ ipBlocks: ['10.0.0.0/8'], notIpBlocks: ['10.0.0.9/32'] }, false, false, false],
    [{ ipBlocks: ['10.0.0.0/8'], namespaces: ['bank'] }, false, true, false],
  ];
  for (const [fields, ...expected] of rows) {
    it(`${JSON.stringify(fields)} as ALLOW and as DENY`, () => {
      [ALICE, BOB, null].forEach((identity, i) => {
        const rule = policyRule({ from: [fields] });
        assert.equal(
          bind([allow('a', rule)], { identity }).connection().allowed,
          expected[i],
          `ALLOW ${identity?.serviceAccount}`,
        );
        assert.equal(
          bind([deny('d', rule)], { identity }).connection().allowed,
          !expected[i],
          `DENY ${identity?.serviceAccount}`,
        );
      });
    });
  }

  it('sources are OR-ed, each with its own negation', () => {
    const rule = policyRule({ from: [{ namespaces: ['bank'] }, { notNamespaces: ['shop'] }] });
    assert.equal(bind([allow('a', rule)], { identity: BOB }).connection().allowed, true);
    assert.equal(bind([allow('a', rule)], { identity: ALICE }).connection().allowed, false);
  });

  it('an address that cannot be read is never in an allowed block and always in a denied one', () => {
    for (const fields of [{ ipBlocks: ['0.0.0.0/0'] }, { notIpBlocks: ['10.0.0.0/8'] }]) {
      const rule = policyRule({ from: [fields] });
      assert.equal(bind([allow('a', rule)], { sourceIp: '?' }).connection().allowed, false);
      assert.equal(bind([deny('d', rule)], { sourceIp: '?' }).connection().allowed, false);
    }
  });
});

describe('operations on HTTP', () => {
  const asked = request({ method: 'GET', path: '/api/users', host: 'web.shop' });
  const rows: [Partial<PolicyOperation>, boolean][] = [
    [{ methods: ['GET'] }, true],
    [{ methods: ['get'] }, false],
    [{ methods: ['*'] }, true],
    [{ methods: ['PUT', 'G*'] }, true],
    [{ notMethods: ['GET'] }, false],
    [{ notMethods: ['PUT'] }, true],
    [{ paths: ['/api/users'] }, true],
    [{ paths: ['/api/*'] }, true],
    [{ paths: ['*/users'] }, true],
    [{ paths: ['/api'] }, false],
    [{ paths: ['/API/users'] }, false],
    [{ paths: ['/{*}/users'] }, true],
    [{ paths: ['/api/{**}'] }, true],
    [{ paths: ['/{*}'] }, false],
    [{ notPaths: ['/api/{*}'] }, false],
    [{ paths: ['/api/*'], notPaths: ['/api/users'] }, false],
    [{ hosts: ['WEB.Shop'] }, true],
    [{ hosts: ['web.*'] }, true],
    [{ hosts: ['*.shop'] }, true],
    [{ hosts: ['web.shop:8080'] }, true],
    [{ hosts: ['web.shop:*'] }, true],
    [{ hosts: ['shop'] }, false],
    [{ notHosts: ['Web.Shop'] }, false],
    [{ ports: [8080] }, true],
    [{ ports: [80] }, false], // the workload's port, not the Service's
    [{ notPorts: [8080] }, false],
    [{ ports: [8080], methods: ['GET'] }, true],
    [{ ports: [9090], methods: ['GET'] }, false],
    [{ methods: ['GET'], paths: ['/other'] }, false],
  ];
  for (const [fields, expected] of rows) {
    it(`${JSON.stringify(fields)} ${expected ? 'matches' : 'does not match'}`, () => {
      const rule = policyRule({ to: [fields] });
      assert.equal(bind([allow('a', rule)]).request(asked).allowed, expected);
      assert.equal(bind([deny('d', rule)]).request(asked).allowed, !expected);
    });
  }

  it('operations are OR-ed', () => {
    const rule = policyRule({ to: [{ methods: ['PUT'] }, { paths: ['/api/users'] }] });
    assert.equal(bind([allow('a', rule)]).request(asked).allowed, true);
  });
});

describe('plain TCP', () => {
  // operations, ALLOW allows, DENY allows
  const rows: [Partial<PolicyOperation>[], boolean, boolean][] = [
    [[{ methods: ['GET'] }], false, false], // DENY of only HTTP fields denies
    [[{ notPaths: ['/x'] }], false, false],
    [[{ hosts: ['a'] }], false, false],
    [[{ ports: [8080] }], true, false],
    [[{ ports: [9090] }], false, true],
    [[{ ports: [8080], methods: ['GET'] }], false, false],
    [[{ ports: [9090], methods: ['GET'] }], false, true], // the L4 remainder does not match
    [[{ notPorts: [8080], methods: ['GET'] }], false, true],
    [[{ ports: [8080] }, { methods: ['GET'] }], false, false], // an ALLOW rule with any HTTP-only field never matches
  ];
  for (const [to, allowAllows, denyAllows] of rows) {
    it(`${JSON.stringify(to)}`, () => {
      const rule = policyRule({ to });
      assert.equal(bind([allow('a', rule)]).connection().allowed, allowAllows);
      assert.equal(bind([deny('d', rule)]).connection().allowed, denyAllows);
    });
  }

  it('a source that does not match keeps a DENY with HTTP fields from applying', () => {
    const rule = policyRule({ from: [{ namespaces: ['bank'] }], to: [{ methods: ['GET'] }] });
    assert.equal(bind([deny('d', rule)]).connection().allowed, true);
    const verdict = bind([deny('d', rule)], { identity: BOB }).connection();
    assert.equal(verdict.cause, 'deny-rule-without-http');
    assert.match(describeVerdict(verdict), /count as matched on plain TCP/);
  });

  it('is not settled by a rule that admits every request but no raw bytes', () => {
    const bound = bind([allow('a', policyRule({ to: [{ ports: [8080] }, { methods: ['GET'] }] }))]);
    assert.equal(bound.settled, null);
    assert.equal(bound.request(request({ method: 'PUT' })).allowed, true);
    assert.equal(bound.connection().allowed, false);
  });

  it('asks for HTTP when only an operation for another port has HTTP fields, because that keeps raw bytes out', () => {
    const mixed = allow('a', policyRule({ to: [{ ports: [8080] }, { ports: [9090], methods: ['GET'] }] }));
    assert.equal(authorizationOf([mixed], 8080).needsHttp, true);
    assert.equal(bind([mixed]).settled, null);
  });
});

describe('scope', () => {
  const all = [policyRule()];
  const rows: [string, Partial<AuthorizationPolicy>, boolean][] = [
    ['own namespace', {}, true],
    ['another namespace', { namespace: 'bank' }, false],
    ['root namespace', { namespace: 'istio-system', meshWide: true }, true],
    ['selector that matches', { selector: { app: 'web' } }, true],
    ['selector with several labels', { selector: { tier: 'front', app: 'web' } }, true],
    ['selector with one wrong label', { selector: { app: 'web', tier: 'back' } }, false],
    ['selector with an unknown label', { selector: { zone: 'a' } }, false],
    ['selector with an inherited name', { selector: { constructor: 'x' } }, false],
    ['empty selector', { selector: {} }, true],
    ['root namespace with selector', { namespace: 'istio-system', meshWide: true, selector: { app: 'web' } }, true],
    ['root namespace, other labels', { namespace: 'istio-system', meshWide: true, selector: { app: 'db' } }, false],
    ['its Service', { targetServices: ['shop/web'] }, true],
    ['another Service of the pod, on another port', { targetServices: ['shop/admin'] }, false],
    ['both Services', { targetServices: ['shop/admin', 'shop/web'] }, true],
    ['a Service the pod does not back', { targetServices: ['shop/db'] }, false],
  ];
  for (const [name, fields, applies] of rows) {
    it(`${name}: ${applies ? 'applies' : 'does not apply'}`, () => {
      assert.equal(bind([policy({ name: 'd', action: 'DENY', rules: all, ...fields })]).connection().allowed, !applies);
    });
  }
});

describe('what must be parsed', () => {
  const workloadPolicy = authorizationOf(
    [allow('a', policyRule({ to: [{ ports: [8080], methods: ['GET'] }] }), policyRule({ to: [{ ports: [5432] }] }))],
    1,
  ).workload;

  it('needsHttp holds for the port with HTTP rules only', () => {
    assert.equal(workloadPolicy.forPort(8080).needsHttp, true);
    assert.equal(workloadPolicy.forPort(5432).needsHttp, false);
    assert.equal(workloadPolicy.forPort(1).needsHttp, false);
    assert.equal(workloadPolicy.forPort(1).isEmpty, false);
    assert.equal(authorizationOf([], 8080).isEmpty, true);
  });

  it('is settled once source and port decide', () => {
    const bound = (port: number): BoundAuthorization =>
      workloadPolicy.forPort(port).bind(facts({ destinationPort: port }));
    assert.equal(bound(8080).settled, null);
    assert.equal(bound(5432).settled?.allowed, true);
    assert.equal(bound(1).settled?.allowed, false);
  });

  it('judges by the port of the connection even when asked for another', () => {
    const authorization = workloadPolicy.forPort(1);
    assert.equal(authorization.bind(facts({ destinationPort: 5432 })).connection().allowed, true);
    assert.equal(
      workloadPolicy
        .forPort(5432)
        .bind(facts({ destinationPort: 1 }))
        .connection().allowed,
      false,
    );
  });

  it('ports no rule names share one object, so a scan makes nothing', () => {
    assert.equal(workloadPolicy.forPort(1), workloadPolicy.forPort(60_000));
  });
});

describe('requests with a token', () => {
  const claims: JwtClaims = {
    iss: 'https://issuer',
    sub: 'user',
    aud: ['shop', 'bank'],
    azp: 'app',
    scope: 'read write',
    group: 'dev ops',
    roles: ['reader', 7, 'admin'],
    level: 3,
    realm: { access: { roles: ['reader', 'admin'], main: 'admin' } },
  };
  const asked = (token: JwtClaims | null): RequestView => ({ ...request(), claims: () => token });
  const sources: [Partial<PolicySource>, boolean, boolean][] = [
    // with that token, without
    [{ requestPrincipals: ['https://issuer/user'] }, true, false],
    [{ requestPrincipals: ['https://issuer/*'] }, true, false],
    [{ requestPrincipals: ['*/user'] }, true, false],
    [{ requestPrincipals: ['*'] }, true, false],
    [{ requestPrincipals: ['https://issuer'] }, false, false],
    [{ notRequestPrincipals: ['*'] }, false, true],
    [{ notRequestPrincipals: ['https://issuer/other'] }, true, true],
    [{ requestPrincipals: ['*'], namespaces: ['bank'] }, false, false],
  ];
  const conditions: [string, Partial<PolicyCondition>, boolean, boolean][] = [
    ['request.auth.principal', { values: ['https://issuer/user'] }, true, false],
    ['request.auth.principal', { notValues: ['*'] }, false, true],
    ['request.auth.audiences', { values: ['bank'] }, true, false],
    ['request.auth.audiences', { values: ['b*'], notValues: ['shop'] }, false, false],
    ['request.auth.presenter', { values: ['app'] }, true, false],
    ['request.auth.presenter', { notValues: ['other'] }, true, true],
    ['request.auth.claims[iss]', { values: ['*issuer'] }, true, false],
    ['request.auth.claims[scope]', { values: ['write'] }, true, false],
    ['request.auth.claims[scope]', { values: ['read write'] }, false, false],
    ['request.auth.claims[group]', { values: ['dev'] }, false, false],
    ['request.auth.claims[group]', { values: ['dev ops'] }, true, false],
    ['request.auth.claims[roles]', { values: ['admin'] }, true, false],
    ['request.auth.claims[roles]', { values: ['7'] }, false, false],
    ['request.auth.claims[roles]', { notValues: ['admin'] }, false, true],
    ['request.auth.claims[level]', { values: ['3'] }, false, false],
    ['request.auth.claims[level]', { values: ['*'] }, false, false],
    ['request.auth.claims[realm][access][roles]', { values: ['ad*'] }, true, false],
    ['request.auth.claims[realm][access][main]', { values: ['*'] }, true, false],
    ['request.auth.claims[realm][access]', { values: ['*'] }, false, false],
    ['request.auth.claims[realm][other][roles]', { values: ['*'] }, false, false],
    ['request.auth.claims[constructor][name]', { values: ['*'] }, false, false],
  ];
  const rules = [
    ...sources.map(([from, ...expected]) => [JSON.stringify(from), policyRule({ from: [from] }), ...expected] as const),
    ...conditions.map(
      ([key, values, ...expected]) =>
        [`${key} ${JSON.stringify(values)}`, policyRule({ when: [{ key, ...values }] }), ...expected] as const,
    ),
  ];
  for (const [name, rule, withToken, without] of rules) {
    it(`${name} as ALLOW and as DENY`, () => {
      const allowing = bind([allow('a', rule)]);
      const denying = bind([deny('d', rule)]);
      for (const [token, expected] of [[claims, withToken] as const, [null, without] as const]) {
        assert.equal(allowing.request(asked(token)).allowed, expected, `ALLOW, token ${token !== null}`);
        assert.equal(denying.request(asked(token)).allowed, !expected, `DENY, token ${token !== null}`);
      }
      assert.equal(allowing.request(request()).allowed, without, 'a view that knows of no tokens');
      assert.equal(allowing.connection().allowed, false);
      // The source of the last row does not match, and decides.
      assert.equal(denying.connection().allowed, name.includes('namespaces'));
    });
  }

  it('a token without subject, or with one that is no text, has no principal', () => {
    const rule = policyRule({ from: [{ requestPrincipals: ['*'] }] });
    for (const token of [{ iss: 'a' }, { iss: 'a', sub: 7 }, { iss: '', sub: 'u' }, { sub: 'u' }]) {
      assert.equal(bind([allow('a', rule)]).request(asked(token)).allowed, false);
    }
  });
});

describe('conditions on headers', () => {
  const rows: [Partial<PolicyCondition>, string[], boolean][] = [
    [{ values: ['admin'] }, ['admin'], true],
    [{ values: ['admin'] }, ['Admin'], false],
    [{ values: ['ad*'] }, ['admin'], true],
    [{ values: ['*min'] }, ['admin'], true],
    [{ values: ['*'] }, ['x'], true],
    [{ values: ['*'] }, [''], true], // it is there (Envoy present_match)
    [{ values: ['*'] }, [], false],
    [{ values: ['admin'] }, [], false],
    [{ notValues: ['admin'] }, [], true],
    [{ notValues: ['*'] }, [''], false],
    [{ notValues: ['admin'] }, ['user'], true],
    // repeated: each value counts for itself
    [{ values: ['admin'] }, ['user', 'admin'], true],
    [{ notValues: ['admin'] }, ['user', 'admin'], false],
    [{ values: ['user, admin'] }, ['user', 'admin'], false],
    // policies are written in UTF-8, requests are octets
    [{ values: ['ü'] }, ['\u00c3\u00bc'], true],
    [{ notValues: ['ü'] }, ['\u00c3\u00bc'], false],
  ];
  for (const [condition, values, expected] of rows) {
    it(`${JSON.stringify(condition)} on ${JSON.stringify(values)}`, () => {
      const rule = policyRule({ when: [{ key: 'request.headers[x-role]', ...condition }] });
      const asked = request({ headers: values.map((value) => ['x-role', value]) });
      assert.equal(bind([allow('a', rule)]).request(asked).allowed, expected);
      assert.equal(bind([deny('d', rule)]).request(asked).allowed, !expected);
    });
  }

  it('what is no UTF-8 is nothing that an ALLOW may exclude, and anything that a DENY does not', () => {
    const header = policyRule({ when: [{ key: 'request.headers[x-role]', notValues: ['admin'] }] });
    const path = policyRule({ to: [{ notPaths: ['/admin'] }] });
    for (const [rule, asked] of [
      [header, request({ headers: [['x-role', 'admin\u00ff']] })],
      [path, request({ path: '/admin%C0%AE' })],
      [path, request({ path: '/admin\u00ff' })],
    ] as const) {
      assert.equal(bind([allow('a', rule)]).request(asked).allowed, false);
      assert.equal(bind([deny('d', rule)]).request(asked).allowed, false);
    }
    assert.equal(bind([allow('a', path)]).request(request({ path: '/%C3%BC' })).allowed, true);
  });

  it('the name is compared without case, and pseudo-headers are those of the request', () => {
    const asked = request({ path: '/a', query: 'b', headers: [['host', 'web.shop:80']] });
    for (const [key, value] of [
      ['request.headers[Host]', 'web.shop:80'],
      ['request.headers[:authority]', 'web.shop:80'],
      ['request.headers[:method]', 'GET'],
      ['request.headers[:path]', '/a?b'],
    ] as const) {
      assert.equal(
        bind([deny('d', policyRule({ when: [{ key, values: [value] }] }))]).request(asked).allowed,
        false,
        key,
      );
    }
  });
});

describe('conditions on the connection', () => {
  const rows: [string, Partial<PolicyCondition>, boolean][] = [
    ['source.ip', { values: ['10.0.0.0/24'] }, true],
    ['source.ip', { notValues: ['10.0.0.9'] }, false],
    ['remote.ip', { values: ['10.0.0.9'] }, true],
    ['destination.ip', { values: ['10.0.0.1'] }, true],
    ['destination.ip', { notValues: ['10.0.0.0/8'] }, false],
    ['destination.port', { values: ['8080'] }, true],
    ['destination.port', { values: ['80'] }, false],
    ['destination.port', { notValues: ['8080'] }, false],
    ['source.namespace', { values: ['sh*'] }, true],
    ['source.namespace', { values: ['bank'] }, false],
    ['source.principal', { values: ['cluster.local/ns/shop/sa/alice'] }, true],
    ['source.principal', { values: ['*'], notValues: ['*/sa/alice'] }, false],
    ['source.serviceAccount', { values: ['shop/alice'] }, true],
    ['source.serviceAccount', { values: ['alice'] }, true], // of the policy's namespace
    ['source.serviceAccount', { values: ['bank/alice'] }, false],
  ];
  for (const [key, condition, expected] of rows) {
    it(`${key} ${JSON.stringify(condition)}`, () => {
      const rule = policyRule({ when: [{ key, ...condition }] });
      assert.equal(bind([allow('a', rule)]).connection().allowed, expected);
      assert.equal(bind([deny('d', rule)]).connection().allowed, !expected);
    });
  }

  it('conditions are AND-ed, with each other and with the source', () => {
    const rule = policyRule({
      from: [{ namespaces: ['shop'] }],
      when: [
        { key: 'source.ip', values: ['10.0.0.0/8'] },
        { key: 'destination.port', values: ['8080'] },
      ],
    });
    assert.equal(bind([allow('a', rule)]).connection().allowed, true);
    assert.equal(bind([allow('a', rule)], { sourceIp: '11.0.0.1' }).connection().allowed, false);
    assert.equal(bind([allow('a', rule)], { identity: BOB }).connection().allowed, false);
    assert.equal(bind([allow('a', rule)], { destinationPort: 9090 }).connection().allowed, false);
  });
});

describe('actions', () => {
  const everything = policyRule();
  const custom = (name: string, ...rules: AuthorizationPolicy['rules']): AuthorizationPolicy =>
    policy({ name, action: 'CUSTOM', rules });

  it('CUSTOM denies what it matches, before DENY and whatever ALLOW says', () => {
    const policies = [allow('a', everything), deny('b', everything), custom('z', everything)];
    const verdict = bind(policies).connection();
    assert.deepEqual([verdict.allowed, verdict.policy, verdict.cause], [false, 'shop/z', 'custom-rule']);
    assert.match(describeVerdict(verdict), /CUSTOM policy shop\/z rule 0/);
  });

  it('CUSTOM says nothing about what it does not match, and does not make ALLOW necessary', () => {
    const bound = bind([custom('c', policyRule({ to: [{ paths: ['/admin'] }] }))]);
    assert.equal(bound.request(request({ path: '/' })).allowed, true);
    assert.equal(bound.request(request({ path: '/admin' })).allowed, false);
    assert.equal(bound.connection().allowed, false, 'plain TCP: its HTTP fields count as matched');
  });

  it('AUDIT and dry-run policies leave the connection without policy', () => {
    const audit = policy({ name: 'audit', action: 'AUDIT', rules: [everything] });
    const dry = policy({ name: 'dry', action: 'DENY', dryRun: true, rules: [everything] });
    const authorization = authorizationOf([audit, dry], 8080);
    assert.equal(authorization.isEmpty, true);
    assert.equal(authorization.bind(facts()).connection().allowed, true);
    assert.equal(authorization.dryRun?.bind(facts()).connection().policy, 'shop/dry');
    assert.equal(authorizationOf([audit], 8080).dryRun, null);
  });

  it('a dry-run ALLOW would keep out what no other ALLOW admits', () => {
    const dry = policy({ name: 'dry', action: 'ALLOW', dryRun: true, rules: [] });
    const authorization = authorizationOf([dry], 8080);
    assert.equal(authorization.bind(facts()).connection().allowed, true);
    assert.equal(authorization.dryRun?.bind(facts()).connection().allowed, false);
  });
});

describe('trust domains', () => {
  const trust: TrustDomains = { own: 'prod.example', aliases: ['old.example', 'older.example'] };
  const from = (trustDomain: string): Identity => ({ trustDomain, namespace: 'shop', serviceAccount: 'alice' });
  // principal, trust domains whose alice it is
  const rows: [string, string[]][] = [
    ['prod.example/ns/shop/sa/alice', ['prod.example', 'old.example', 'older.example']],
    ['old.example/ns/shop/sa/alice', ['prod.example', 'old.example', 'older.example']],
    ['cluster.local/ns/shop/sa/alice', ['prod.example', 'old.example', 'older.example']],
    ['cluster.local/ns/shop/*', ['prod.example', 'old.example', 'older.example']],
    ['old*', ['prod.example', 'old.example', 'older.example']],
    ['*r.example/ns/shop/sa/alice', ['prod.example', 'old.example', 'older.example']],
    ['other/ns/shop/sa/alice', ['other']],
    ['*/sa/alice', ['prod.example', 'old.example', 'older.example', 'cluster.local', 'other']],
    ['*', ['prod.example', 'old.example', 'older.example', 'cluster.local', 'other']],
  ];
  for (const [principal, expected] of rows) {
    it(`${principal} means alice of ${expected.join(', ')}`, () => {
      const rule = policyRule({ from: [{ principals: [principal] }] });
      const condition = policyRule({ when: [{ key: 'source.principal', values: [principal] }] });
      const without = policyRule({ from: [{ notPrincipals: [principal] }] });
      for (const domain of ['prod.example', 'old.example', 'older.example', 'cluster.local', 'other']) {
        const identity = from(domain);
        const matches = expected.includes(domain);
        assert.equal(bind([allow('a', rule)], { identity }, trust).connection().allowed, matches, domain);
        assert.equal(bind([allow('a', condition)], { identity }, trust).connection().allowed, matches, domain);
        assert.equal(bind([deny('d', without)], { identity }, trust).connection().allowed, matches, domain);
      }
    });
  }

  it('another trust is another compilation, the same is not', () => {
    const index = new PolicyIndex();
    index.add(allow('a', policyRule({ from: [{ principals: ['cluster.local/ns/shop/sa/alice'] }] })));
    const before = index.for(WEB);
    index.setTrust({ own: 'cluster.local', aliases: [] });
    assert.equal(index.for(WEB), before);
    index.setTrust(trust);
    assert.notEqual(index.for(WEB), before);
    assert.equal(
      index
        .for(WEB)
        .forPort(8080)
        .bind(facts({ identity: from('old.example') }))
        .connection().allowed,
      true,
    );
  });
});

describe('what workloads share', () => {
  const other = workload({ uid: 'web-2', labels: { app: 'web' }, services: WEB.services });
  const index = new PolicyIndex();
  const forAll = allow('a', policyRule());
  index.add(forAll);

  it('the same policies are compiled once, and stay the same object while others change', () => {
    const mine = index.for(WEB);
    assert.equal(index.for(other), mine);
    assert.equal(index.once(workload({ uid: 'gone' })), mine);
    index.add(policy({ name: 'elsewhere', namespace: 'bank' }));
    assert.equal(index.for(WEB), mine);
    const narrow = deny('narrow', policyRule());
    index.add({ ...narrow, selector: { tier: 'front' } });
    assert.notEqual(index.for(WEB), mine);
    assert.equal(index.for(other), mine);
    index.remove({ ...narrow, selector: { tier: 'front' } });
    assert.equal(index.for(WEB), mine);
  });

  it('a policy of the same name with other rules is another', () => {
    const before = index.for(WEB);
    index.remove(forAll);
    index.add(allow('a'));
    assert.notEqual(index.for(WEB), before);
    assert.equal(
      index
        .for(WEB)
        .forPort(1)
        .bind(facts({ destinationPort: 1 }))
        .connection().allowed,
      false,
    );
  });

  it('labels that change are looked up again', () => {
    const selecting = { ...deny('app', policyRule()), selector: { app: 'db' } };
    index.add(selecting);
    assert.equal(index.for(other).policies.length, 1);
    assert.equal(index.for({ ...other, labels: { app: 'db' } }).policies.length, 2);
    index.forget(other.uid);
    assert.equal(index.for(other).policies.length, 1);
  });
});
