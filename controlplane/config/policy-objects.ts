/** Accepted objects of the security kinds: Istio's three policies and Kubernetes' NetworkPolicy. */
import type {
  AuthorizationPolicy,
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

export interface NetworkPolicyObject {
  readonly kind: 'NetworkPolicy';
  readonly namespace: string;
  readonly name: string;
  /** The namespaces of its peers are not resolved yet: the linker does it. */
  readonly policy: NetworkPolicy;
  readonly origin: ObjectOrigin;
}

export type PolicyObject =
  | AuthorizationPolicyObject
  | PeerAuthenticationObject
  | RequestAuthenticationObject
  | NetworkPolicyObject;
