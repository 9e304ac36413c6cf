/**
 * Kubernetes NetworkPolicy at run time: which connections are refused before anything else is asked.
 *
 *   outbound  egress of the source pod, always here; ingress of the destination when it is a pod of this node (one pass), else at its own
 *   inbound   ingress of the pod; the source is whom the mesh knows at the client's address
 *
 * Kubelet's probes and what else the node's own processes say to its pods never come here: the pods' rules let them pass
 * (capture/plan.ts), as Kubernetes wants it. A pod that the mesh has not described yet is selected by no policy.
 */
import type { NetworkVerdict } from '../../mesh/network-policy.ts';
import type { Flow } from './flow.ts';
import type { PeerFacts, PeerPolicy, PeerVerdict } from './peer-facts.ts';

export const NETWORK_POLICY_DENIED = 'NETWORK_POLICY_DENIED';

/** The answer to every connection of this flow to the peer when NetworkPolicy refuses it; null: it does not. */
export function refusalByNetworkPolicy(flow: Flow, peer: PeerFacts): PeerPolicy | null {
  const denied = flow.direction === 'outbound' ? deniedOutbound(flow, peer) : deniedInbound(flow, peer);
  if (denied === null) return null;
  const { isolatedBy } = denied;
  const verdict: PeerVerdict = {
    allowed: false,
    policy: isolatedBy.join(','),
    reason: NETWORK_POLICY_DENIED,
    allowPolicies: isolatedBy,
  };
  return { settled: verdict, connection: () => verdict, request: () => verdict };
}

function deniedOutbound(flow: Flow, { endpoint, localPod }: PeerFacts): NetworkVerdict | null {
  const { mesh } = flow.context;
  const source = flow.pod.workload(mesh);
  const { address, port } = endpoint;
  const destination =
    endpoint.workload === null ? null : (mesh.workloadByUid(endpoint.workload.uid) ?? endpoint.workload);
  if (source !== null) {
    const policy = mesh.networkPolicy(source);
    if (!policy.egressIsEmpty) {
      const egress = policy.egress(source, destination, address, port);
      if (!egress.allowed) return egress;
    }
  }
  if (localPod === null || destination === null) return null;
  const policy = mesh.networkPolicy(destination);
  if (policy.ingressIsEmpty) return null;
  const ingress = policy.ingress(destination, port, source, flow.client.ip);
  return ingress.allowed ? null : ingress;
}

function deniedInbound(flow: Flow, { endpoint }: PeerFacts): NetworkVerdict | null {
  const { mesh } = flow.context;
  const target = flow.pod.workload(mesh);
  if (target === null) return null;
  const policy = mesh.networkPolicy(target);
  if (policy.ingressIsEmpty) return null;
  const { ip } = flow.client;
  const ingress = policy.ingress(target, endpoint.port, mesh.workloadByAddress(ip), ip);
  return ingress.allowed ? null : ingress;
}
