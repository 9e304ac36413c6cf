/** The AuthorizationPolicies of the mesh, by the workloads that they apply to. */
import { type ScopedPolicy, WorkloadAuthorization } from './authz.ts';
import { CompiledPolicy } from './authz-rule.ts';
import type { AuthorizationPolicy } from './policy-model.ts';
import { ScopedPolicyIndex } from './scope-index.ts';
import { DEFAULT_TRUST, sameTrust, type TrustDomains } from './trust-domain.ts';

export class PolicyIndex extends ScopedPolicyIndex<AuthorizationPolicy, CompiledPolicy, WorkloadAuthorization> {
  #trust: TrustDomains;

  constructor(trust: TrustDomains = DEFAULT_TRUST) {
    super({
      scopeOf: (policy) => policy,
      compile: (policy) => new CompiledPolicy(policy, this.#trust),
      selects: null,
      combine: (policies) => new WorkloadAuthorization(policies, this.#trust),
    });
    this.#trust = trust;
  }

  /** Whose principals count as the mesh's own (MeshSettings). All is compiled anew if that has changed. */
  setTrust(trust: TrustDomains): void {
    if (sameTrust(this.#trust, trust)) return;
    this.#trust = trust;
    this.recompile();
  }
}

/** True when both lists hold the same compiled policies on the same ports. */
export function sameScope(left: readonly ScopedPolicy[], right: readonly ScopedPolicy[]): boolean {
  if (left.length !== right.length) return false;
  return left.every((scoped, i) => {
    const other = right[i] as ScopedPolicy;
    return scoped.policy === other.policy && samePorts(scoped.ports, other.ports);
  });
}

function samePorts(left: readonly number[] | null, right: readonly number[] | null): boolean {
  if (left === null || right === null) return left === right;
  return left.length === right.length && left.every((port, i) => port === right[i]);
}
