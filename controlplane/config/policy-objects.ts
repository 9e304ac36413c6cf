/** Accepted objects of the security kinds: Istio's three policies and Kubernetes' NetworkPolicy. */
import type {
  AuthorizationPolicy,
  LabelSelector,
  NetworkPolicy,
  PeerAuthentication,
  RequestAuthentication,
} from '../../mesh/policy-model.ts';
import type { FieldPath } from '../finding.ts';
import type { ObjectOrigin } from './objects.ts';

export interface AuthorizationPolicyObject {
  readonly kind: 'AuthorizationPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly policy: AuthorizationPolicy;
  /** Where `policy.targetServices` are named, in the same order. */
  readonly targetPaths: readonly FieldPath[];
  readonly origin: ObjectOrigin;
}

export interface PeerAuthenticationObject {
  readonly kind: 'PeerAuthentication';
  readonly namespace: string;
  readonly name: string;
  readonly policy: PeerAuthentication;
  readonly origin: ObjectOrigin;
}

export interface RequestAuthenticationObject {
  readonly kind: 'RequestAuthentication';
  readonly namespace: string;
  readonly name: string;
  readonly policy: RequestAuthentication;
  /** As in AuthorizationPolicyObject. */
  readonly targetPaths: readonly FieldPath[];
  readonly origin: ObjectOrigin;
}

/** Which namespaces a peer of a NetworkPolicy means: `policy[direction][rule].peers[peer]`. */
export interface NamespaceSelector {
  readonly direction: 'ingress' | 'egress';
  readonly rule: number;
  readonly peer: number;
  readonly selector: LabelSelector;
  readonly path: FieldPath;
}

export interface NetworkPolicyObject {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  /** Peers that `namespaceSelectors` speaks of have no namespaces yet: the linker finds them. */
  readonly policy: NetworkPolicy;
  readonly namespaceSelectors: readonly NamespaceSelector[];
  readonly origin: ObjectOrigin;
}

export type PolicyObject =
  | AuthorizationPolicyObject
  | PeerAuthenticationObject
  | RequestAuthenticationObject
  | NetworkPolicyObject;
