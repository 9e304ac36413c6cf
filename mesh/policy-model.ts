/**
 * Policies as the mesh knows them: Istio AuthorizationPolicy, PeerAuthentication and RequestAuthentication, Kubernetes
 * NetworkPolicy. See model.ts for what all resources have in common.
 */
import type { NamespacedName } from './model.ts';

/** Istio `Source`. Empty array = field absent. */
export interface PolicySource {
  readonly principals: readonly string[];
  readonly notPrincipals: readonly string[];
  /** `issuer/subject` of a verified JWT. */
  readonly requestPrincipals: readonly string[];
  readonly notRequestPrincipals: readonly string[];
  readonly namespaces: readonly string[];
  readonly notNamespaces: readonly string[];
  /** `serviceAccount` (of the policy's namespace) already expanded to `namespace/serviceAccount`. */
  readonly serviceAccounts: readonly string[];
  readonly notServiceAccounts: readonly string[];
  readonly ipBlocks: readonly string[];
  readonly notIpBlocks: readonly string[];
  /** The address before the proxies in front: that of a PROXY protocol header, else the peer's. */
  readonly remoteIpBlocks: readonly string[];
  readonly notRemoteIpBlocks: readonly string[];
}

/** Istio `Operation`. Empty array = field absent. */
export interface PolicyOperation {
  readonly hosts: readonly string[];
  readonly notHosts: readonly string[];
  readonly ports: readonly number[];
  readonly notPorts: readonly number[];
  readonly methods: readonly string[];
  readonly notMethods: readonly string[];
  readonly paths: readonly string[];
  readonly notPaths: readonly string[];
}

/** What a condition may ask, but for those with a name in brackets. */
export const CONDITION_KEYS = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
] as const;

/**
 * Istio `Condition`: `values` OR, minus `notValues`; at least one of the two has a value.
 * `key`: one of CONDITION_KEYS, `request.headers[name]` (lower case), or `request.auth.claims[a][b]` (see conditionName).
 */
export interface PolicyCondition {
  readonly key: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

export interface PolicyRule {
  /** OR; empty = any source. */
  readonly from: readonly PolicySource[];
  /** OR; empty = any operation. */
  readonly to: readonly PolicyOperation[];
  /** AND. */
  readonly when: readonly PolicyCondition[];
}

/** Istio security.istio.io/v1 AuthorizationPolicy. Key: `namespace/name`. */
export interface AuthorizationPolicy {
  readonly kind: 'authorizationPolicy';
  readonly namespace: string;
  readonly name: string;
  /** CUSTOM: weir has no external authoriser yet, so whatever its rules match is denied. AUDIT never changes a verdict. */
  readonly action: 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';
  /** Annotation `istio.io/dry-run: "true"`: evaluated and reported, never enforced. */
  readonly dryRun: boolean;
  /** True when the policy stands in the root namespace: it applies to the whole mesh. */
  readonly meshWide: boolean;
  /** null: every workload in scope. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** `targetRefs` of kind Service; empty: not used. */
  readonly targetServices: readonly NamespacedName[];
  /** Empty: never matches (ALLOW with no rules denies all). A rule `{from: [], to: [], when: []}` always matches. */
  readonly rules: readonly PolicyRule[];
}

export type MtlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT';

/** Istio security.istio.io/v1 PeerAuthentication. Key: `namespace/name`. */
export interface PeerAuthentication {
  readonly kind: 'peerAuthentication';
  readonly namespace: string;
  readonly name: string;
  /** As in AuthorizationPolicy. */
  readonly meshWide: boolean;
  /** null: every workload in scope. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** null: UNSET, whatever the wider scope says. */
  readonly mode: MtlsMode | null;
  /** By workload port, written as text; null: UNSET. Only with a selector. */
  readonly portModes: Readonly<Record<string, MtlsMode | null>>;
  /** Of two for one scope the older counts. */
  readonly createdMs: number;
}

/** Istio JWTRule. */
export interface JwtRule {
  readonly issuer: string;
  /** Empty: any. */
  readonly audiences: readonly string[];
  /** JSON text of a key set, or null. */
  readonly jwks: string | null;
  readonly jwksUri: string | null;
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  readonly outputPayloadToHeader: string | null;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  readonly forwardOriginalToken: boolean;
  readonly timeoutMs: number | null;
}

/** Istio security.istio.io/v1 RequestAuthentication. Tokens are not verified yet. Key: `namespace/name`. */
export interface RequestAuthentication {
  readonly kind: 'requestAuthentication';
  readonly namespace: string;
  readonly name: string;
  readonly meshWide: boolean;
  readonly selector: Readonly<Record<string, string>> | null;
  readonly targetServices: readonly NamespacedName[];
  readonly jwtRules: readonly JwtRule[];
}

/** Kubernetes LabelSelector; both empty: everything. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values: readonly string[];
  }[];
}

/** networking.k8s.io/v1 NetworkPolicyPeer. */
export type NetworkPeer =
  | { readonly type: 'pods'; readonly namespaces: readonly string[] | null; readonly podSelector: LabelSelector }
  | { readonly type: 'ipBlock'; readonly cidr: string; readonly except: readonly string[] };
// `namespaces` of a NetworkPeer: the controller resolved the selector of namespaces to their names; null: all of them.

/** TCP only: the mesh leaves other protocols alone. */
export interface NetworkPort {
  /** A number, the name of a container port, or null: all ports. */
  readonly port: number | string | null;
  /** Last of a range that begins with `port`; null: `port` alone. */
  readonly endPort: number | null;
}

export interface NetworkRule {
  /** OR; empty: everybody. */
  readonly peers: readonly NetworkPeer[];
  /** OR; empty: all ports. `null`: only ports of other protocols are named, so no TCP connection matches. */
  readonly ports: readonly NetworkPort[] | null;
}

/** networking.k8s.io/v1 NetworkPolicy: what it does not allow to the pods it selects is denied. Key: `namespace/name`. */
export interface NetworkPolicy {
  readonly kind: 'networkPolicy';
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: LabelSelector;
  /** null: it says nothing about that direction. Empty: nothing is allowed. */
  readonly ingress: readonly NetworkRule[] | null;
  readonly egress: readonly NetworkRule[] | null;
}
