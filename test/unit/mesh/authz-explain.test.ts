/** What explanations say; that their verdict is the engine's is a property in authz-properties.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AuthorizationExplanation, describeFailure, explainAuthorization } from '../../../mesh/authz-explain.ts';
import type { ConnectionFacts } from '../../../mesh/authz.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { AuthorizationPolicy, PolicyRule } from '../../../mesh/policy-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import { policy, policyRule, request, workload } from './resources.ts';

const WEB = workload({ uid: 'web-1' });
const CONNECTION: ConnectionFacts = {
  identity: { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' },
  sourceIp: '10.0.0.9',
  remoteIp: '203.0.113.7',
  serverName: 'web.example',
  destinationIp: '10.0.0.1',
  destinationPort: 8080,
};

function explain(
  policies: readonly AuthorizationPolicy[],
  view: RequestView | null,
  connection: Partial<ConnectionFacts> = {},
): AuthorizationExplanation {
  const index = new PolicyIndex();
  for (const one of policies) index.add(one);
  return explainAuthorization(index.for(WEB).forPort(8080), { ...CONNECTION, ...connection }, view);
}

describe('why a rule does not match', () => {
  const asked = request({ method: 'GET', path: '/api', headers: [['x-role', 'user']] });
  const rows: [PolicyRule, string[]][] = [
    [
      policyRule({ from: [{ principals: ['cluster.local/ns/b/*'] }] }),
      ['from[0].source.principals: is cluster.local/ns/a/sa/b, wanted cluster.local/ns/b/*'],
    ],
    [
      policyRule({ from: [{ namespaces: ['x', 'y'] }, { notNamespaces: ['a'] }] }),
      ['from[0].source.namespaces: is a, wanted x or y', 'from[1].source.notNamespaces: is a, wanted anything but a'],
    ],
    [
      policyRule({ from: [{ ipBlocks: ['10.1.0.0/16'] }] }),
      ['from[0].source.ipBlocks: is 10.0.0.9, wanted 10.1.0.0/16'],
    ],
    [
      policyRule({ from: [{ notRemoteIpBlocks: ['203.0.113.0/24'] }] }),
      ['from[0].source.notRemoteIpBlocks: is 203.0.113.7, wanted anything but 203.0.113.0/24'],
    ],
    [
      policyRule({ from: [{ requestPrincipals: ['*'] }] }),
      ['from[0].source.requestPrincipals: is no verified token, wanted *'],
    ],
    [policyRule({ to: [{ ports: [80, 81] }] }), ['to[0].operation.ports: is 8080, wanted 80 or 81']],
    [
      policyRule({ to: [{ methods: ['PUT'] }, { paths: ['/x'] }, { notPaths: ['/api'] }] }),
      [
        'to[0].operation.methods: is GET, wanted PUT',
        'to[1].operation.paths: is /api, wanted /x',
        'to[2].operation.notPaths: is /api, wanted anything but /api',
      ],
    ],
    [
      policyRule({
        when: [
          { key: 'source.ip', values: ['10.0.0.0/8'] },
          { key: 'request.headers[x-role]', values: ['admin'] },
        ],
      }),
      ['when[1].values: is request.headers[x-role] user, wanted admin'],
    ],
    [
      policyRule({ when: [{ key: 'request.headers[x-none]', values: ['*'] }] }),
      ['when[0].values: is request.headers[x-none] absent, wanted *'],
    ],
    [
      policyRule({ when: [{ key: 'connection.sni', notValues: ['*.example'] }] }),
      ['when[0].notValues: is connection.sni web.example, wanted anything but *.example'],
    ],
    // the first stage that fails says why
    [
      policyRule({ from: [{ namespaces: ['x'] }], to: [{ ports: [1] }] }),
      ['from[0].source.namespaces: is a, wanted x'],
    ],
    [policyRule(), []],
  ];
  for (const [rule, expected] of rows) {
    it(expected.join('; ') || 'a rule that matches', () => {
      const [judged] = explain([policy({ name: 'p', rules: [rule] })], asked).policies;
      assert.deepEqual(judged?.rules[0]?.failures.map(describeFailure), expected);
      assert.equal(judged?.rules[0]?.matches, expected.length === 0);
    });
  }

  it('on plain TCP an ALLOW rule fails by its first HTTP-only field, and a DENY rule matches without them', () => {
    const rule = policyRule({ to: [{ ports: [8080] }, { paths: ['/x'] }] });
    const allow = explain([policy({ name: 'p', rules: [rule] })], null).policies[0]?.rules[0];
    assert.match(allow?.failures.map(describeFailure)[0] ?? '', /^to\[1\]\.operation: is plain TCP, wanted HTTP/);
    const http = policyRule({ to: [{ paths: ['/x'] }] });
    const deny = explain([policy({ name: 'p', action: 'DENY', rules: [http] })], null);
    assert.deepEqual([deny.verdict.cause, deny.policies[0]?.rules[0]?.withoutHttp], ['deny-rule-without-http', true]);
  });

  it('without identity, and where something cannot be known', () => {
    const from = policyRule({ from: [{ principals: ['*'] }] });
    const plain = explain([policy({ name: 'p', rules: [from] })], null, { identity: null });
    assert.deepEqual(plain.policies[0]?.rules[0]?.failures.map(describeFailure), [
      'from[0].source.principals: is no identity, wanted *',
    ]);
    const named = policyRule({ when: [{ key: 'connection.sni', notValues: ['x'] }] });
    const unknown = explain([policy({ name: 'p', rules: [named] })], null, { serverName: null });
    assert.deepEqual(unknown.policies[0]?.rules[0]?.failures.map(describeFailure), [
      'when[0].notValues: is connection.sni not known, wanted anything but x',
    ]);
  });
});

describe('what an explanation lists', () => {
  it('every policy that applies, in the order of evaluation, with what is only reported', () => {
    const everything = [policyRule()];
    const { verdict, dryRun, policies } = explain(
      [
        policy({ name: 'a', rules: everything }),
        policy({ name: 'b', action: 'AUDIT', rules: everything }),
        policy({ name: 'c', action: 'DENY', dryRun: true, rules: everything }),
        policy({ name: 'd', action: 'CUSTOM' }),
        policy({ name: 'e', namespace: 'bank', rules: everything }),
      ],
      request(),
    );
    assert.deepEqual(
      policies.map(({ policy: name, action, enforced }) => `${action} ${name} ${enforced}`),
      ['CUSTOM shop/d true', 'DENY shop/c false', 'ALLOW shop/a true', 'AUDIT shop/b false'],
    );
    assert.deepEqual([verdict.allowed, verdict.policy], [true, 'shop/a']);
    assert.deepEqual([dryRun?.allowed, dryRun?.policy], [false, 'shop/c']);
  });
});
