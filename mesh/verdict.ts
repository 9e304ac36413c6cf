/** What policy answers, and how it explains itself. */

import type { NamespacedName } from './model.ts';

/** Why a verdict is what it is. */
export type VerdictCause =
  /** No policy applies, or only such policies that do not match. */
  | 'no-policy-matched'
  | 'allow-rule'
  | 'deny-rule'
  /** Plain TCP: a DENY rule matched with its HTTP-only fields counted as matched. */
  | 'deny-rule-without-http'
  /** A CUSTOM rule matched: who would decide is not asked, so it is denied. On plain TCP its HTTP-only fields count as matched. */
  | 'custom-rule'
  /** ALLOW policies apply (`allowPolicies`) and none of their rules matched. */
  | 'no-allow-rule-matched';

/** A decision; the objects are made when policy is compiled, never per request. */
export interface Verdict {
  readonly allowed: boolean;
  /** The policy whose rule decided; null when none did. */
  readonly policy: NamespacedName | null;
  /** Index in that policy's rules; -1 when no rule decided. */
  readonly rule: number;
  /** Stable code for `x-weir-reason`: `ALLOWED` or `RBAC_DENIED`. */
  readonly reason: 'ALLOWED' | 'RBAC_DENIED';
  readonly cause: VerdictCause;
  /** For `no-allow-rule-matched`: the ALLOW policies that apply, sorted. Empty otherwise. */
  readonly allowPolicies: readonly NamespacedName[];
}

/** Where no policy says anything. */
export const ALLOWED_BY_DEFAULT: Verdict = {
  allowed: true,
  policy: null,
  rule: -1,
  reason: 'ALLOWED',
  cause: 'no-policy-matched',
  allowPolicies: [],
};

/** Names of policies that one line shows. */
const SHOWN_MAX = 8;

/** One line for people and the access log. Allocates: not for the hot path. */
export function describeVerdict(verdict: Verdict): string {
  switch (verdict.cause) {
    case 'no-policy-matched':
      return 'allowed: no AuthorizationPolicy applies';
    case 'allow-rule':
      return `allowed by ALLOW policy ${verdict.policy} rule ${verdict.rule}`;
    case 'deny-rule':
      return `denied by DENY policy ${verdict.policy} rule ${verdict.rule}`;
    case 'deny-rule-without-http':
      return `denied by DENY policy ${verdict.policy} rule ${verdict.rule}: its HTTP fields count as matched on plain TCP`;
    case 'custom-rule':
      return `denied by CUSTOM policy ${verdict.policy} rule ${verdict.rule}: weir asks no external authorizer`;
    case 'no-allow-rule-matched':
      return `denied: no rule of ALLOW policy ${listed(verdict.allowPolicies)} matches`;
  }
}

function listed(names: readonly string[]): string {
  if (names.length <= SHOWN_MAX) return names.join(', ');
  return `${names.slice(0, SHOWN_MAX).join(', ')} and ${names.length - SHOWN_MAX} more`;
}
