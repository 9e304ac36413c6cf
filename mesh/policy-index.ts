/** The AuthorizationPolicies of the mesh, by the workloads that they apply to. */
import { WorkloadAuthorization } from './authz.ts';
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
      revise: (authorization, changes) => {
        for (const { scoped, added } of changes) {
          if (added) authorization.add(scoped);
          else authorization.remove(scoped);
        }
      },
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
