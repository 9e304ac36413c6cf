/** Policies, a workload and connections for the tests of AuthorizationPolicy. */
import type { Authorization, BoundAuthorization, ConnectionFacts } from '../../../mesh/authz.ts';
import type { Identity } from '../../../mesh/model.ts';
import { PolicyIndex } from '../../../mesh/policy-index.ts';
import type { AuthorizationPolicy } from '../../../mesh/policy-model.ts';
import type { TrustDomains } from '../../../mesh/trust-domain.ts';
import { policy, workload } from './resources.ts';

export const WEB = workload({
  uid: 'web-1',
  labels: { app: 'web', tier: 'front' },
  services: {
    'shop/web': [{ servicePort: 80, targetPort: 8080 }],
    'shop/admin': [{ servicePort: 9000, targetPort: 9090 }],
  },
});
export const ALICE: Identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'alice' };
export const BOB: Identity = { trustDomain: 'cluster.local', namespace: 'bank', serviceAccount: 'bob' };

export function facts(fields: Partial<ConnectionFacts> = {}): ConnectionFacts {
  const sourceIp = fields.sourceIp ?? '10.0.0.9';
  const destination = { destinationIp: '10.0.0.1', destinationPort: 8080 };
  return { identity: ALICE, sourceIp, remoteIp: sourceIp, serverName: '', ...destination, ...fields };
}

export function authorizationOf(
  policies: readonly AuthorizationPolicy[],
  port: number,
  trust?: TrustDomains,
): Authorization {
  const index = new PolicyIndex(trust);
  for (const one of policies) index.add(one);
  return index.for(WEB).forPort(port);
}

export function bind(
  policies: readonly AuthorizationPolicy[],
  connection: Partial<ConnectionFacts> = {},
  trust?: TrustDomains,
): BoundAuthorization {
  const all = facts(connection);
  return authorizationOf(policies, all.destinationPort, trust).bind(all);
}

export const deny = (name: string, ...rules: AuthorizationPolicy['rules']): AuthorizationPolicy =>
  policy({ name, action: 'DENY', rules });
export const allow = (name: string, ...rules: AuthorizationPolicy['rules']): AuthorizationPolicy =>
  policy({ name, action: 'ALLOW', rules });
