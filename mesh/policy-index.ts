/**
 * Finds the AuthorizationPolicies that apply to a workload without looking at those that do not: by namespace (or the whole
 * mesh), then by one selector label, or by target Service. Istio scope rules: root namespace = mesh, else namespace;
 * `selector` or `targetRefs` narrow it.
 */

import type { ScopedPolicy } from './authz.ts';
import { CompiledPolicy } from './authz-rule.ts';
import type { NamespacedName, Workload } from './model.ts';
import type { AuthorizationPolicy } from './policy-model.ts';

/** Bucket key of mesh-wide policies: no namespace is called that. */
const MESH = '*';

/** A policy and its compiled form, made on first use and dropped with it. */
class Entry {
  readonly source: AuthorizationPolicy;
  #compiled: CompiledPolicy | null = null;

  constructor(source: AuthorizationPolicy) {
    this.source = source;
  }

  get compiled(): CompiledPolicy {
    this.#compiled ??= new CompiledPolicy(this.source);
    return this.#compiled;
  }
}

export class PolicyIndex {
  /** Bucket → policies by name; see `bucketOf`. */
  readonly #buckets = new Map<string, Map<NamespacedName, Entry>>();

  /** Adds a valid policy that is not in the index. */
  add(policy: AuthorizationPolicy): void {
    const entry = new Entry(policy);
    for (const bucket of bucketsOf(policy)) {
      const members = this.#buckets.get(bucket);
      if (members === undefined) this.#buckets.set(bucket, new Map([[nameOf(policy), entry]]));
      else members.set(nameOf(policy), entry);
    }
  }

  /** Removes exactly what `add` put there. */
  remove(policy: AuthorizationPolicy): void {
    for (const bucket of bucketsOf(policy)) {
      const members = this.#buckets.get(bucket);
      members?.delete(nameOf(policy));
      if (members?.size === 0) this.#buckets.delete(bucket);
    }
  }

  /** Policies that apply to a workload, sorted by name so that verdicts name the same policy everywhere. */
  policiesFor(workload: Workload): ScopedPolicy[] {
    const found: ScopedPolicy[] = [];
    for (const scope of [MESH, workload.namespace]) {
      this.#collect(`${scope}|`, workload, found);
      for (const label of Object.keys(workload.labels)) {
        this.#collect(labelBucket(scope, label, workload.labels[label] as string), workload, found);
      }
    }
    for (const service of Object.keys(workload.services)) this.#collectTargeted(service, workload, found);
    return found.sort((left, right) =>
      left.policy.name < right.policy.name ? -1 : left.policy.name > right.policy.name ? 1 : 0,
    );
  }

  #collect(bucket: string, workload: Workload, found: ScopedPolicy[]): void {
    for (const entry of this.#buckets.get(bucket)?.values() ?? []) {
      if (selects(entry.source.selector, workload.labels)) found.push({ policy: entry.compiled, ports: null });
    }
  }

  /** A policy that names several Services of one workload applies on the target ports of all of them. */
  #collectTargeted(service: NamespacedName, workload: Workload, found: ScopedPolicy[]): void {
    const ports = (workload.services[service] ?? []).map(({ targetPort }) => targetPort);
    for (const entry of this.#buckets.get(serviceBucket(service))?.values() ?? []) {
      const at = found.findIndex(({ policy, ports: scope }) => scope !== null && policy === entry.compiled);
      if (at < 0) found.push({ policy: entry.compiled, ports: sortedPorts(ports) });
      else found[at] = { policy: entry.compiled, ports: sortedPorts([...(found[at]?.ports ?? []), ...ports]) };
    }
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

function sortedPorts(ports: readonly number[]): readonly number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}

function nameOf(policy: AuthorizationPolicy): NamespacedName {
  return `${policy.namespace}/${policy.name}`;
}

/** The keys under which a policy is found: one per target Service, else one by its first selector label or by its scope. */
function bucketsOf(policy: AuthorizationPolicy): string[] {
  if (policy.targetServices.length > 0) return policy.targetServices.map(serviceBucket);
  const scope = policy.meshWide ? MESH : policy.namespace;
  const label = Object.keys(policy.selector ?? {}).sort()[0];
  if (policy.selector === null || label === undefined) return [`${scope}|`];
  return [labelBucket(scope, label, policy.selector[label] as string)];
}

function labelBucket(scope: string, label: string, value: string): string {
  return `${scope}|${label}=${value}`;
}

function serviceBucket(service: NamespacedName): string {
  return `service|${service}`;
}

function selects(selector: Readonly<Record<string, string>> | null, labels: Readonly<Record<string, string>>): boolean {
  if (selector === null) return true;
  for (const name of Object.keys(selector)) if (labels[name] !== selector[name]) return false;
  return true;
}
