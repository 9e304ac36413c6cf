import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Identity } from '../../../mesh/model.ts';
import type { PolicyCondition, PolicySource } from '../../../mesh/policy-model.ts';
import type { JwtClaims } from '../../../mesh/jwt.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { RequestView } from '../../../mesh/request.ts';
import type { TrustDomains } from '../../../mesh/trust-domain.ts';
import { allow, bind, BOB, deny, facts, WEB } from './authz-questions.ts';
import { policyRule, request } from './resources.ts';

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
    realm: { access: { roles: ['reader', 'admin'], main: 'admin', scope: 'read write' } },
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
    ['request.auth.claims[realm][access][scope]', { values: ['read'] }, false, false],
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
