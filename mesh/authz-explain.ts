/**
 * Why AuthorizationPolicy answers as it does: every policy that applies is judged field by field in the order of evaluation, and each
 * rule says by which clause it fails, what was seen there and what was wanted. For `weir explain`, not for the data path: nothing
 * is indexed, and it is linear in all rules. Its verdict is always the one that authz.ts gives (authz-explain.test.ts).
 */
import type { Authorization, ConnectionFacts, ScopedPolicy } from './authz.ts';
import { type ClauseFailure, type Seen, seenOf } from './authz-seen.ts';
import { conditionFailure, operationFailure, sourceFailure, usesHttpOnly } from './authz-clauses.ts';
import type { NamespacedName } from './model.ts';
import type { AuthorizationPolicy, PolicyRule } from './policy-model.ts';
import type { RequestView } from './request.ts';
import { ALLOWED_BY_DEFAULT, type Verdict } from './verdict.ts';

export { type ClauseFailure, describeFailure } from './authz-seen.ts';

export interface RuleExplanation {
  /** Index in its policy. */
  readonly index: number;
  readonly matches: boolean;
  /** On plain TCP: it matches because its HTTP-only fields count as matched. */
  readonly withoutHttp: boolean;
  /**
   * Why it does not match: the first clause that fails of each entry of `from`, or else of `to`, or else of the first condition that
   * fails. Any one of several entries would do.
   */
  readonly failures: readonly ClauseFailure[];
}

export interface PolicyExplanation {
  readonly policy: NamespacedName;
  readonly action: AuthorizationPolicy['action'];
  readonly dryRun: boolean;
  /** AUDIT and dry-run policies are judged and reported, and change nothing. */
  readonly enforced: boolean;
  readonly rules: readonly RuleExplanation[];
}

export interface AuthorizationExplanation {
  readonly verdict: Verdict;
  /** With dry-run policies enforced too; null: there are none. */
  readonly dryRun: Verdict | null;
  /** All that apply to the port, in the order of evaluation: CUSTOM, DENY, ALLOW, AUDIT, each by name. */
  readonly policies: readonly PolicyExplanation[];
}

const ORDER = ['CUSTOM', 'DENY', 'ALLOW', 'AUDIT'] as const;

/** `view` null: the connection carries no HTTP. */
export function explainAuthorization(
  authorization: Authorization,
  connection: ConnectionFacts,
  view: RequestView | null,
): AuthorizationExplanation {
  const { workload } = authorization;
  const seen = seenOf(connection, view, workload.trust);
  const inScope = workload.inScope(workload.portClass(connection.destinationPort));
  const judged = ORDER.flatMap((action) =>
    inScope.filter(({ policy }) => policy.source.action === action).map((scoped) => explainPolicy(scoped, seen)),
  );
  const enforced = judged.filter((policy) => policy.enforced);
  const withDryRun = judged.filter(({ action }) => action !== 'AUDIT');
  return {
    verdict: verdictOf(enforced),
    dryRun: withDryRun.length === enforced.length ? null : verdictOf(withDryRun),
    policies: judged,
  };
}

function explainPolicy({ policy }: ScopedPolicy, seen: Seen): PolicyExplanation {
  const { source, name } = policy;
  return {
    policy: name,
    action: source.action,
    dryRun: source.dryRun,
    enforced: source.action !== 'AUDIT' && !source.dryRun,
    rules: source.rules.map((rule, index) => explainRule(source, rule, index, seen)),
  };
}

function explainRule(policy: AuthorizationPolicy, rule: PolicyRule, index: number, seen: Seen): RuleExplanation {
  const denies = policy.action !== 'ALLOW';
  const no = (failures: readonly ClauseFailure[]): RuleExplanation => ({
    index,
    matches: false,
    withoutHttp: false,
    failures,
  });
  const httpOnly = usesHttpOnly(rule);
  if (seen.view === null && !denies && httpOnly.field !== null) {
    const wanted = ['HTTP: an ALLOW rule with such a field matches no other connection'];
    return no([{ field: httpOnly.field, saw: 'plain TCP', wanted, negated: false }]);
  }
  const from = rule.from.map((source, i) => sourceFailure(source, `from[${i}].source`, seen, denies));
  if (from.length > 0 && !from.includes(null)) return no(failed(from));
  const to = rule.to.map((operation, i) => operationFailure(operation, `to[${i}].operation`, seen, denies));
  if (to.length > 0 && !to.includes(null)) return no(failed(to));
  for (const [i, when] of rule.when.entries()) {
    const failure = conditionFailure(when, `when[${i}]`, seen, denies, policy.namespace);
    if (failure !== null) return no([failure]);
  }
  const isWhole =
    seen.view !== null ||
    (!httpOnly.when &&
      (from.length === 0 || from.some((failure, i) => failure === null && httpOnly.from[i] === false)) &&
      (to.length === 0 || to.some((failure, i) => failure === null && httpOnly.to[i] === false)));
  return { index, matches: true, withoutHttp: !isWhole, failures: [] };
}

function failed(failures: readonly (ClauseFailure | null)[]): ClauseFailure[] {
  return failures.filter((failure) => failure !== null);
}

/** The first rule that matches decides, of those that deny before those that allow. */
function verdictOf(policies: readonly PolicyExplanation[]): Verdict {
  for (const { policy, action, rules } of policies) {
    const rule = rules.find(({ matches }) => matches);
    if (rule === undefined || action === 'AUDIT') continue;
    const base = { policy, rule: rule.index, allowPolicies: [] };
    if (action === 'ALLOW') return { ...base, allowed: true, reason: 'ALLOWED', cause: 'allow-rule' };
    const cause = action === 'CUSTOM' ? 'custom-rule' : rule.withoutHttp ? 'deny-rule-without-http' : 'deny-rule';
    return { ...base, allowed: false, reason: 'RBAC_DENIED', cause };
  }
  const allowPolicies = policies.filter(({ action }) => action === 'ALLOW').map(({ policy }) => policy);
  if (allowPolicies.length === 0) return ALLOWED_BY_DEFAULT;
  return {
    ...ALLOWED_BY_DEFAULT,
    allowed: false,
    reason: 'RBAC_DENIED',
    cause: 'no-allow-rule-matched',
    allowPolicies,
  };
}
