/** The security kinds: policies are what they say, but for the Services and namespaces they name. */
import { selectorMatches } from '../../../mesh/label-selector.ts';
import type { LabelSelector, NetworkPeer, NetworkRule } from '../../../mesh/policy-model.ts';
import { compareText, type Finding } from '../../finding.ts';
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
  return { resources: [inScope(object.policy, view)], findings: missingTargets(object, view) };
};

export const linkPeerAuthentication: Link<PeerAuthenticationObject> = (object, view) => {
  return { resources: [inScope(object.policy, view)], findings: [] };
};

/** As linkAuthorizationPolicy. */
export const linkRequestAuthentication: Link<RequestAuthenticationObject> = (object, view) => {
  return { resources: [inScope(object.policy, view)], findings: missingTargets(object, view) };
};

/** Finds the namespaces that its peers select, by their labels. */
export const linkNetworkPolicy: Link<NetworkPolicyObject> = (object, view) => {
  const findings: Finding[] = [];
  const report = reporter(object, findings);
  const found = new Map<string, readonly string[]>();
  for (const { direction, rule, peer, selector, path } of object.namespaceSelectors) {
    const names = namespacesOf(selector, view);
    found.set(`${direction} ${rule} ${peer}`, names);
    if (names.length > 0) continue;
    report(
      path,
      'REFERENCE_NOT_FOUND',
      'selects no namespace',
      'the peer is nobody until a namespace has these labels',
    );
  }
  const linked = (direction: 'ingress' | 'egress'): readonly NetworkRule[] | null =>
    object.policy[direction]?.map((rule, at) => ({
      ...rule,
      peers: rule.peers.map((peer, index): NetworkPeer => {
        const namespaces = found.get(`${direction} ${at} ${index}`);
        return namespaces === undefined || peer.type !== 'pods' ? peer : { ...peer, namespaces };
      }),
    })) ?? null;
  const policy =
    found.size === 0 ? object.policy : { ...object.policy, ingress: linked('ingress'), egress: linked('egress') };
  return { resources: [policy], findings };
};

function namespacesOf(selector: LabelSelector, view: LinkView): string[] {
  const names: string[] = [];
  for (const { name, labels } of view.namespaces()) if (selectorMatches(selector, labels)) names.push(name);
  return names.sort(compareText);
}

/** Which namespace is the root is for the mesh's settings to say, and they may change. */
function inScope<P extends { readonly namespace: string; readonly meshWide: boolean }>(policy: P, view: LinkView): P {
  const meshWide = policy.namespace === view.rootNamespace;
  return meshWide === policy.meshWide ? policy : { ...policy, meshWide };
}

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
