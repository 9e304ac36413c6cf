/** The security kinds: policies are what they say, but for the Services and namespaces they name. */
import type { Finding } from '../../finding.ts';
import type {
  AuthorizationPolicyObject,
  NetworkPolicyObject,
  PeerAuthenticationObject,
  RequestAuthenticationObject,
} from '../policy-objects.ts';
import { reporter } from './report.ts';
import type { Link, LinkView } from './view.ts';

/** Says which of the Services it targets there are not. */
export const linkAuthorizationPolicy: Link<AuthorizationPolicyObject> = (object, view) => {
  return { resources: [object.policy], findings: missingTargets(object, view) };
};

export const linkPeerAuthentication: Link<PeerAuthenticationObject> = (object) => {
  return { resources: [object.policy], findings: [] };
};

/** As linkAuthorizationPolicy. */
export const linkRequestAuthentication: Link<RequestAuthenticationObject> = (object, view) => {
  return { resources: [object.policy], findings: missingTargets(object, view) };
};

export const linkNetworkPolicy: Link<NetworkPolicyObject> = (object) => {
  return { resources: [object.policy], findings: [] };
};

function missingTargets(object: AuthorizationPolicyObject | RequestAuthenticationObject, view: LinkView): Finding[] {
  const findings: Finding[] = [];
  const report = reporter(object, findings);
  for (const [index, service] of object.policy.targetServices.entries()) {
    const slash = service.indexOf('/');
    if (view.service(service.slice(0, slash), service.slice(slash + 1)) !== undefined) continue;
    const reason = `there is no Service ${service}`;
    report(
      object.targetPaths[index] ?? [],
      'REFERENCE_NOT_FOUND',
      reason,
      'the policy applies to nothing until it exists',
    );
  }
  return findings;
}
