import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BoundAuthorization, describeVerdict } from '../../../mesh/authz.ts';
import type { AuthorizationPolicy, PolicyOperation, PolicySource } from '../../../mesh/policy-model.ts';
import type { JwtClaims } from '../../../mesh/jwt.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { ALICE, allow, authorizationOf, bind, BOB, deny, facts, WEB } from './authz-questions.ts';
import { policy, policyRule, request, workload } from './resources.ts';

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
    const before = index.for(WEB).forPort(1);
    index.remove(forAll);
    index.add(allow('a'));
    assert.notEqual(index.for(WEB).forPort(1), before);
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
    assert.equal(index.for(other).inScope(8080).length, 1);
    assert.equal(index.for({ ...other, labels: { app: 'db' } }).inScope(8080).length, 2);
    index.forget(other.uid);
    assert.equal(index.for(other).inScope(8080).length, 1);
  });

  it('what no workload has any more is let go, and compiling anew leaves one of each', () => {
    const own = new PolicyIndex();
    own.add(policy({ name: 'both', targetServices: ['shop/web', 'shop/admin'], rules: [policyRule()] }));
    const before = own.for(WEB);
    assert.equal(own.for(other), before);
    own.setTrust({ own: 'prod.example', aliases: [] });
    assert.equal(own.for(WEB).inScope(8080).length, 1);
    const shared = own.for(other);
    assert.equal(own.for(WEB), shared);
    own.forget(WEB.uid);
    assert.equal(own.once(WEB), shared);
    own.forget(other.uid);
    assert.notEqual(own.once(WEB), shared);
  });
});

describe('many rules that differ in one thing', () => {
  const claims = (n: number): JwtClaims => ({ iss: 'i', sub: `u${n}` });
  const rows: [string, (n: number) => ReturnType<typeof policyRule>, (n: number) => RequestView][] = [
    ['exact paths', (n) => policyRule({ to: [{ paths: [`/p${n}`] }] }), (n) => request({ path: `/p${n}` })],
    ['prefixes', (n) => policyRule({ to: [{ paths: [`/p${n}/*`] }] }), (n) => request({ path: `/p${n}/x` })],
    ['suffixes', (n) => policyRule({ to: [{ paths: [`*/p${n}`] }] }), (n) => request({ path: `/x/p${n}` })],
    ['templates', (n) => policyRule({ to: [{ paths: [`/{*}/p${n}/{**}`] }] }), (n) => request({ path: `/x/p${n}/y` })],
    ['hosts', (n) => policyRule({ to: [{ hosts: [`h${n}`] }] }), (n) => request({ host: `h${n}` })],
    ['methods', (n) => policyRule({ to: [{ methods: [`M${n}`] }] }), (n) => request({ method: `M${n}` })],
    [
      'path and method',
      (n) => policyRule({ to: [{ paths: ['/x'], methods: [`M${n}`] }] }),
      (n) => request({ path: '/x', method: `M${n}` }),
    ],
    [
      'tokens',
      (n) => policyRule({ from: [{ requestPrincipals: [`i/u${n}`] }] }),
      (n) => ({ ...request(), claims: () => claims(n) }),
    ],
    [
      'headers',
      (n) => policyRule({ when: [{ key: 'request.headers[x-n]', values: [`${n}`] }] }),
      (n) => request({ headers: [['x-n', `${n}`]] }),
    ],
  ];
  for (const [name, rule, asked] of rows) {
    it(`${name}: each finds its own, and another finds none`, () => {
      const rules = Array.from({ length: 25 }, (_, n) => rule(n));
      const bound = bind([deny('d', ...rules)]);
      for (let n = 0; n < rules.length; n++) assert.equal(bound.request(asked(n)).rule, n);
      assert.equal(bound.request(asked(99)).allowed, true);
      // The same rules behind one that is before them: it is the one that is named.
      const first = bind([deny('a', policyRule({ to: [{ notPaths: ['/none'] }] })), deny('d', ...rules)]);
      assert.equal(first.request(asked(7)).policy, 'shop/a');
    });
  }

  it('a rule whose many sources all want a token, and whose many operations no HTTP', () => {
    const from = Array.from({ length: 10 }, (_, n) => ({
      requestPrincipals: [`i/u${n}`],
      namespaces: [n < 9 ? 'shop' : 'bank'],
    }));
    const to = Array.from({ length: 10 }, (_, n) => ({ ports: [8080, 9000 + n] }));
    const bound = bind([allow('z', policyRule()), deny('d', policyRule({ from, to }))]);
    assert.equal(bound.request({ ...request(), claims: () => claims(3) }).allowed, false);
    assert.equal(bound.request({ ...request(), claims: () => claims(9) }).allowed, true);
    assert.equal(bound.request(request()).allowed, true);
    assert.equal(bound.connection().cause, 'deny-rule-without-http');
  });
});
