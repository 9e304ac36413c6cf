import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JwtRule, RequestAuthentication } from '../../../mesh/policy-model.ts';
import {
  type AppliedJwtRule,
  judgeToken,
  type PresentedToken,
  RequestAuthenticationIndex,
} from '../../../mesh/request-authentication.ts';
import { workload } from './resources.ts';

const WEB = workload({
  uid: 'web-1',
  labels: { app: 'web' },
  services: {
    'shop/web': [{ servicePort: 80, targetPort: 8080 }],
    'shop/admin': [{ servicePort: 9000, targetPort: 9090 }],
  },
});

function jwtRule(issuer: string, fields: Partial<JwtRule> = {}): JwtRule {
  return {
    issuer,
    audiences: [],
    jwks: null,
    jwksUri: null,
    fromHeaders: [],
    fromParams: [],
    fromCookies: [],
    outputPayloadToHeader: null,
    outputClaimToHeaders: [],
    forwardOriginalToken: false,
    timeoutMs: null,
    ...fields,
  };
}

function requestAuthentication(
  name: string,
  jwtRules: readonly JwtRule[],
  fields: Partial<RequestAuthentication> = {},
): RequestAuthentication {
  return {
    kind: 'requestAuthentication',
    namespace: 'shop',
    name,
    meshWide: false,
    selector: null,
    targetServices: [],
    jwtRules,
    ...fields,
  };
}

function rulesFor(policies: readonly RequestAuthentication[], port = 8080): readonly AppliedJwtRule[] {
  const index = new RequestAuthenticationIndex();
  for (const policy of policies) index.add(policy);
  return index.for(WEB).rulesFor(port);
}

describe('which JWT rules apply', () => {
  it('those of all policies that select the workload are joined, by name', () => {
    const rules = rulesFor([
      requestAuthentication('b', [jwtRule('two'), jwtRule('three')]),
      requestAuthentication('a', [jwtRule('one')], { selector: { app: 'web' } }),
      requestAuthentication('m', [jwtRule('mesh')], { namespace: 'istio-system', meshWide: true }),
      requestAuthentication('no', [jwtRule('other')], { selector: { app: 'db' } }),
      requestAuthentication('far', [jwtRule('far')], { namespace: 'bank' }),
    ]);
    assert.deepEqual(
      rules.map(({ policy, index, rule }) => `${policy}[${index}] ${rule.issuer}`),
      ['istio-system/m[0] mesh', 'shop/a[0] one', 'shop/b[0] two', 'shop/b[1] three'],
    );
  });

  it('those that target a Service hold on its ports', () => {
    const policies = [requestAuthentication('a', [jwtRule('one')], { targetServices: ['shop/admin'] })];
    assert.equal(rulesFor(policies, 9090).length, 1);
    assert.equal(rulesFor(policies, 8080).length, 0);
  });

  it('a policy without rules makes nothing', () => {
    const index = new RequestAuthenticationIndex();
    index.add(requestAuthentication('a', []));
    assert.equal(index.for(WEB).isEmpty, true);
  });
});

describe('judgeToken', () => {
  const verified = (claims: Readonly<Record<string, string | readonly string[]>>): PresentedToken => ({
    kind: 'verified',
    claims,
  });
  const rules = rulesFor([
    requestAuthentication('a', [
      jwtRule('https://one', { audiences: ['shop', 'https://bank/'] }),
      jwtRule('https://two'),
    ]),
  ]);
  const rows: [string, PresentedToken, 'passes' | 'JWT_INVALID' | 'JWT_ISSUER' | 'JWT_AUDIENCE'][] = [
    ['no token', { kind: 'none' }, 'passes'],
    ['a token that cannot be verified', { kind: 'unverifiable', detail: 'no key has its id' }, 'JWT_INVALID'],
    ['its issuer and one of its audiences', verified({ iss: 'https://one', aud: ['x', 'shop'] }), 'passes'],
    ['an audience as one text', verified({ iss: 'https://one', aud: 'shop' }), 'passes'],
    ['audiences without scheme and final slash', verified({ iss: 'https://one', aud: 'bank' }), 'passes'],
    ['another audience', verified({ iss: 'https://one', aud: 'x' }), 'JWT_AUDIENCE'],
    ['no audience', verified({ iss: 'https://one' }), 'JWT_AUDIENCE'],
    ['any audience where none is asked for', verified({ iss: 'https://two', aud: 'x' }), 'passes'],
    ['another issuer', verified({ iss: 'https://three' }), 'JWT_ISSUER'],
    ['the issuer of a prefix', verified({ iss: 'https://on' }), 'JWT_ISSUER'],
    ['no issuer', verified({}), 'JWT_ISSUER'],
  ];
  for (const [name, token, expected] of rows) {
    it(`${name}: ${expected}`, () => {
      const decision = judgeToken(rules, token);
      if (decision.ok) assert.equal(expected, 'passes');
      else assert.deepEqual([decision.status, decision.reason], [401, expected]);
    });
  }

  it('names the rule that accepts, and what was wanted by whom when none does', () => {
    const accepted = judgeToken(rules, verified({ iss: 'https://two' }));
    assert.equal(accepted.ok && accepted.rule?.index, 1);
    const refused = judgeToken(rules, verified({ iss: 'https://one', aud: 'x' }));
    assert.equal(!refused.ok && refused.detail, 'aud is x, wanted shop, https://bank/ by shop/a');
  });

  it('without rules no token means anything: it passes, and its claims count for nobody', () => {
    for (const token of [verified({ iss: 'x', sub: 'y' }), { kind: 'unverifiable', detail: '' } as const]) {
      assert.deepEqual(judgeToken([], token), { ok: true, claims: null, rule: null });
    }
  });
});
