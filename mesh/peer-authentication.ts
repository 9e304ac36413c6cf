/**
 * PeerAuthentication: must a connection to a port of a workload come with a proven identity? Istio's order: the port of a policy
 * with a selector, else that policy, else the namespace's, else the mesh's, else PERMISSIVE. UNSET (null) leaves it to the
 * wider scope; of several policies in one scope only the oldest counts, as if the others were not there.
 *
 * A policy with a selector in the root namespace has no effect, as in Istio: it would be neither mesh's nor namespace's.
 *
 * Who may still send plaintext to a STRICT port (kubelet probes) is for the caller to know.
 */
import type { NamespacedName, Workload } from './model.ts';
import type { MtlsMode, PeerAuthentication } from './policy-model.ts';
import { type Scoped, ScopedPolicyIndex } from './scope-index.ts';

/** A mode and what it follows from. The same object for the same port until the policies change. */
export interface PeerAuthenticationDecision {
  readonly mode: MtlsMode;
  /** null: no policy says anything, the default holds. */
  readonly policy: NamespacedName | null;
  readonly scope: 'port' | 'workload' | 'namespace' | 'mesh' | 'default';
}

const BY_DEFAULT: PeerAuthenticationDecision = { mode: 'PERMISSIVE', policy: null, scope: 'default' };

/** The PeerAuthentications of one workload. */
export class WorkloadPeerAuthentication {
  /** True: every port is PERMISSIVE because nothing says otherwise. */
  readonly isEmpty: boolean;
  /** Some port refuses plaintext. */
  readonly hasStrict: boolean;
  /** Of every port that has no entry of its own. */
  readonly #otherwise: PeerAuthenticationDecision;
  readonly #byPort = new Map<number, PeerAuthenticationDecision>();

  constructor(policies: readonly PeerAuthentication[]) {
    const oldest = (scope: PeerAuthenticationDecision['scope']): PeerAuthentication | null =>
      policies.filter((policy) => scopeOf(policy) === scope).reduce<PeerAuthentication | null>(older, null);
    let decision = BY_DEFAULT;
    for (const scope of ['mesh', 'namespace', 'workload'] as const) {
      const policy = oldest(scope);
      if (policy !== null && policy.mode !== null) decision = { mode: policy.mode, policy: nameOf(policy), scope };
    }
    this.#otherwise = decision;
    const workload = oldest('workload');
    for (const [port, mode] of Object.entries(workload?.portModes ?? {})) {
      if (workload === null || mode === null) continue;
      this.#byPort.set(Number(port), { mode, policy: nameOf(workload), scope: 'port' });
    }
    const all = [decision, ...this.#byPort.values()];
    this.isEmpty = all.every(({ scope }) => scope === 'default');
    this.hasStrict = all.some(({ mode }) => mode === 'STRICT');
  }

  /** For one of the workload's own ports (the target port, not the Service's). */
  forPort(port: number): PeerAuthenticationDecision {
    return this.#byPort.get(port) ?? this.#otherwise;
  }
}

/** The PeerAuthentications of the mesh, by the workloads that they apply to. */
export class PeerAuthenticationIndex extends ScopedPolicyIndex<
  PeerAuthentication,
  PeerAuthentication,
  WorkloadPeerAuthentication
> {
  constructor() {
    super({
      scopeOf: (policy) => ({ ...policy, targetServices: [] }),
      compile: (policy) => policy,
      selects: null,
      combine: (policies: readonly Scoped<PeerAuthentication>[]) =>
        new WorkloadPeerAuthentication(policies.map(({ policy }) => policy)),
      revise: null,
    });
  }
}

/** One line for people. */
export function describePeerAuthentication(
  { mode, policy, scope }: PeerAuthenticationDecision,
  workload: Pick<Workload, 'namespace' | 'name'>,
  port: number,
): string {
  const where = `port ${port} of ${workload.namespace}/${workload.name}`;
  if (policy === null) return `${where} is ${mode}: no PeerAuthentication says otherwise`;
  const field = scope === 'port' ? `portLevelMtls[${port}].mode` : 'mtls.mode';
  const reach = scope === 'port' || scope === 'workload' ? 'selects it' : `holds for the whole ${scope}`;
  return `${where} is ${mode}: ${field} of PeerAuthentication ${policy}, which ${reach}`;
}

function scopeOf(policy: PeerAuthentication): 'workload' | 'namespace' | 'mesh' | null {
  if (policy.selector === null || Object.keys(policy.selector).length === 0) {
    return policy.meshWide ? 'mesh' : 'namespace';
  }
  return policy.meshWide ? null : 'workload';
}

/** Of two created at the same time, the first by name. */
function older(left: PeerAuthentication | null, right: PeerAuthentication): PeerAuthentication {
  if (left === null || right.createdMs < left.createdMs) return right;
  return right.createdMs === left.createdMs && nameOf(right) < nameOf(left) ? right : left;
}

function nameOf(policy: PeerAuthentication): NamespacedName {
  return `${policy.namespace}/${policy.name}`;
}
