/**
 * RequestAuthentication: which JWT rules hold for a workload, and what they say of a request. The rules of all policies that apply
 * are joined, as in Istio. A request without a token passes (AuthorizationPolicy may still want a requestPrincipal), one
 * with a token that no rule accepts gets 401.
 *
 * Signatures and times are not checked here: the caller says whether the token could be verified, and what it claims.
 */
import { claimTexts, type JwtClaims } from './jwt.ts';
import type { NamespacedName } from './model.ts';
import type { JwtRule, RequestAuthentication } from './policy-model.ts';
import { type Scoped, ScopedPolicyIndex } from './scope-index.ts';

/** A JWT rule and whence it is. */
export interface AppliedJwtRule {
  readonly policy: NamespacedName;
  /** Index in the policy's jwtRules. */
  readonly index: number;
  readonly rule: JwtRule;
}

/** What a request brought. */
export type PresentedToken =
  | { readonly kind: 'none' }
  /** Signature and times are good for the key set of the rule with that issuer. */
  | { readonly kind: 'verified'; readonly claims: JwtClaims }
  /** `detail`: why, for people. */
  | { readonly kind: 'unverifiable'; readonly detail: string };

export type TokenDecision =
  /** `claims`, `rule`: null where there was no token, or no rule looks at tokens: then nobody may go by what one claims. */
  | { readonly ok: true; readonly claims: JwtClaims | null; readonly rule: AppliedJwtRule | null }
  | {
      readonly ok: false;
      readonly status: 401;
      /** Stable code for `x-weir-reason`. */
      readonly reason: 'JWT_INVALID' | 'JWT_ISSUER' | 'JWT_AUDIENCE';
      /** What was seen, what was wanted, and by whom. */
      readonly detail: string;
    };

const WITHOUT_TOKEN: TokenDecision = { ok: true, claims: null, rule: null };

/** The RequestAuthentications of one workload. */
export class WorkloadRequestAuthentication {
  /** True: no rule on any port. Tokens mean nothing. */
  readonly isEmpty: boolean;
  readonly #policies: readonly Scoped<RequestAuthentication>[];

  constructor(policies: readonly Scoped<RequestAuthentication>[]) {
    this.#policies = policies.filter(({ policy }) => policy.jwtRules.length > 0);
    this.isEmpty = this.#policies.length === 0;
  }

  /** The joined rules for one of the workload's own ports, by policy name and index. */
  rulesFor(port: number): readonly AppliedJwtRule[] {
    return this.#policies
      .filter(({ ports }) => ports === null || ports.includes(port))
      .flatMap(({ policy }) =>
        policy.jwtRules.map((rule, index) => ({ policy: `${policy.namespace}/${policy.name}`, index, rule })),
      );
  }
}

/** The RequestAuthentications of the mesh, by the workloads that they apply to. */
export class RequestAuthenticationIndex extends ScopedPolicyIndex<
  RequestAuthentication,
  RequestAuthentication,
  WorkloadRequestAuthentication
> {
  constructor() {
    super({
      scopeOf: (policy) => policy,
      compile: (policy) => policy,
      selects: null,
      combine: (policies) => new WorkloadRequestAuthentication(policies),
      revise: null,
    });
  }
}

/** What the joined rules say of a request. Not for the hot path: it builds texts. */
export function judgeToken(rules: readonly AppliedJwtRule[], token: PresentedToken): TokenDecision {
  if (rules.length === 0 || token.kind === 'none') return WITHOUT_TOKEN;
  const wanting = [...new Set(rules.map(({ policy }) => policy))].join(', ');
  if (token.kind === 'unverifiable') {
    return refuse('JWT_INVALID', `the token cannot be verified (${token.detail}); wanted by ${wanting}`);
  }
  const issuer = claimTexts(token.claims, ['iss'])[0] ?? '';
  const ofIssuer = rules.filter(({ rule }) => rule.issuer === issuer && issuer !== '');
  if (ofIssuer.length === 0) {
    const issuers = rules.map(({ rule }) => rule.issuer).join(', ');
    return refuse('JWT_ISSUER', `iss is ${issuer || 'absent'}, wanted ${issuers} by ${wanting}`);
  }
  const audiences = claimTexts(token.claims, ['aud']).map(comparableAudience);
  const accepting = ofIssuer.find(
    ({ rule }) =>
      rule.audiences.length === 0 || rule.audiences.some((wanted) => audiences.includes(comparableAudience(wanted))),
  );
  if (accepting === undefined) {
    const wanted = ofIssuer.flatMap(({ rule }) => rule.audiences).join(', ');
    return refuse('JWT_AUDIENCE', `aud is ${audiences.join(', ') || 'absent'}, wanted ${wanted} by ${wanting}`);
  }
  return { ok: true, claims: token.claims, rule: accepting };
}

function refuse(reason: 'JWT_INVALID' | 'JWT_ISSUER' | 'JWT_AUDIENCE', detail: string): TokenDecision {
  return { ok: false, status: 401, reason, detail };
}

/** Envoy compares audiences without their scheme and a final slash (jwt_verify_lib, check_audience.cc). */
function comparableAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
}
