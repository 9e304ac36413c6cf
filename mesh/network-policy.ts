/**
 * Kubernetes NetworkPolicy, compiled (networking.k8s.io/v1). A pod is isolated in a direction once any policy that selects it
 * speaks of that direction; then the union of their rules is all that passes. Both ends must agree: the source's egress and the
 * destination's ingress are two questions.
 *
 * Whom a pod's own node may reach (kubelet: always) is for the caller to know. A pod always reaches itself, and pods on the host
 * network are neither selected nor matched by pod selectors: their address is the node's, blocks of addresses match them.
 * Only TCP is judged: the mesh leaves other protocols alone.
 */
import { CidrSet, CidrTrie } from './cidr-trie.ts';
import { type IpAddress, parseCidr, parseIp } from './ip.ts';
import { selectorMatches } from './label-selector.ts';
import type { NamespacedName, Workload } from './model.ts';
import type { LabelSelector, NetworkPolicy, NetworkPort, NetworkRule } from './policy-model.ts';
import { type Scoped, ScopedPolicyIndex } from './scope-index.ts';

/** A decision; the objects are made when policy is compiled. */
export interface NetworkVerdict {
  readonly allowed: boolean;
  readonly direction: 'ingress' | 'egress';
  /** The policy and the rule that allows; null: not isolated, or not allowed. */
  readonly policy: NamespacedName | null;
  /** Index in that policy's ingress or egress; -1 when no rule decided. */
  readonly rule: number;
  /** When not allowed: the policies that isolate the pod in that direction, sorted. Empty otherwise. */
  readonly isolatedBy: readonly NamespacedName[];
}

/** The other end of a connection: the pod that the mesh knows there, or null; its address in canonical text. */
interface Peer {
  readonly workload: Workload | null;
  readonly address: IpAddress | null;
}

interface PodPeer {
  /** null: all. */
  readonly namespaces: ReadonlySet<string> | null;
  readonly podSelector: LabelSelector;
}

const OPEN = {
  ingress: openVerdict('ingress'),
  egress: openVerdict('egress'),
} as const;

/** One rule: peers OR-ed, AND ports OR-ed. */
class CompiledNetworkRule {
  readonly verdict: NetworkVerdict;
  readonly #anyPeer: boolean;
  readonly #pods: readonly PodPeer[];
  /** Block → the exceptions of each peer that names it. */
  readonly #blocks = new CidrTrie<CidrSet[]>();
  readonly #ports: readonly NetworkPort[] | null;

  constructor(rule: NetworkRule, verdict: NetworkVerdict) {
    this.verdict = verdict;
    this.#anyPeer = rule.peers.length === 0;
    this.#pods = rule.peers.flatMap((peer) =>
      peer.type === 'pods'
        ? [{ namespaces: peer.namespaces && new Set(peer.namespaces), podSelector: peer.podSelector }]
        : [],
    );
    for (const peer of rule.peers) if (peer.type === 'ipBlock') this.#addBlock(peer.cidr, peer.except);
    this.#ports = rule.ports;
  }

  /** `target`: the pod that the connection reaches, whose ports named ports are; null where the mesh knows none. */
  matches(peer: Peer, target: Workload | null, port: number): boolean {
    return this.#portMatches(target, port) && (this.#anyPeer || this.#peerMatches(peer));
  }

  #portMatches(target: Workload | null, port: number): boolean {
    const ports = this.#ports;
    if (ports === null) return false;
    if (ports.length === 0) return true;
    for (const wanted of ports) if (portIs(wanted, target, port)) return true;
    return false;
  }

  #peerMatches({ workload, address }: Peer): boolean {
    if (workload !== null && !workload.hostNetwork) {
      for (const { namespaces, podSelector } of this.#pods) {
        if (namespaces !== null && !namespaces.has(workload.namespace)) continue;
        if (selectorMatches(podSelector, workload.labels)) return true;
      }
    }
    if (address === null || this.#blocks.isEmpty) return false;
    const found: CidrSet[][] = [];
    this.#blocks.collect(address, found);
    return found.some((peers) => peers.some((except) => !except.contains(address)));
  }

  #addBlock(cidr: string, except: readonly string[]): void {
    const parsed = (text: string): NonNullable<ReturnType<typeof parseCidr>> => {
      const block = parseCidr(text);
      if (block === null) throw new Error(`address block ${text} was not validated`);
      return block;
    };
    this.#blocks.entry(parsed(cidr), () => []).push(new CidrSet(except.map(parsed)));
  }
}

function portIs({ port, endPort }: NetworkPort, target: Workload | null, actual: number): boolean {
  if (port === null) return true;
  if (typeof port === 'string') return target !== null && namedPort(target, port) === actual;
  return endPort === null ? actual === port : actual >= port && actual <= endPort;
}

function namedPort(target: Workload, name: string): number | undefined {
  return Object.hasOwn(target.namedPorts, name) ? target.namedPorts[name] : undefined;
}

/** A policy compiled once, whatever number of workloads it selects. */
class CompiledNetworkPolicy {
  readonly name: NamespacedName;
  readonly ingress: readonly CompiledNetworkRule[] | null;
  readonly egress: readonly CompiledNetworkRule[] | null;

  constructor(policy: NetworkPolicy) {
    this.name = `${policy.namespace}/${policy.name}`;
    const compiled = (direction: 'ingress' | 'egress'): CompiledNetworkRule[] | null =>
      policy[direction]?.map((rule, index) => {
        const verdict = { allowed: true, direction, policy: this.name, rule: index, isolatedBy: [] };
        return new CompiledNetworkRule(rule, verdict);
      }) ?? null;
    this.ingress = compiled('ingress');
    this.egress = compiled('egress');
  }
}

/** The NetworkPolicies of one workload. */
export class WorkloadNetworkPolicy {
  /** True: nothing can be refused in that direction. */
  readonly ingressIsEmpty: boolean;
  readonly egressIsEmpty: boolean;
  readonly isEmpty: boolean;
  readonly #ingress: Direction;
  readonly #egress: Direction;

  constructor(policies: readonly CompiledNetworkPolicy[]) {
    this.#ingress = new Direction('ingress', policies);
    this.#egress = new Direction('egress', policies);
    this.ingressIsEmpty = this.#ingress.isEmpty;
    this.egressIsEmpty = this.#egress.isEmpty;
    this.isEmpty = this.ingressIsEmpty && this.egressIsEmpty;
  }

  /**
   * May a peer reach `port` (the pod's own) of `workload`, which must be the one that this was asked for?
   * `source`: the pod that is known to connect, null for whoever is not one of the mesh. Linear in the rules of the policies.
   */
  ingress(workload: Workload, port: number, source: Workload | null, sourceIp: string): NetworkVerdict {
    if (this.ingressIsEmpty || source?.uid === workload.uid) return OPEN.ingress;
    return this.#ingress.judge({ workload: source, address: parseIp(sourceIp) }, workload, port);
  }

  /** May `workload` connect to that address and port? `destination`: the pod that has the address, or null. */
  egress(workload: Workload, destination: Workload | null, destinationIp: string, port: number): NetworkVerdict {
    if (this.egressIsEmpty || destination?.uid === workload.uid) return OPEN.egress;
    return this.#egress.judge({ workload: destination, address: parseIp(destinationIp) }, destination, port);
  }
}

class Direction {
  readonly isEmpty: boolean;
  readonly #rules: readonly CompiledNetworkRule[];
  readonly #denied: NetworkVerdict;

  constructor(direction: 'ingress' | 'egress', policies: readonly CompiledNetworkPolicy[]) {
    const isolating = policies.filter((policy) => policy[direction] !== null);
    this.isEmpty = isolating.length === 0;
    this.#rules = isolating.flatMap((policy) => policy[direction] ?? []);
    const isolatedBy = isolating.map(({ name }) => name);
    this.#denied = { allowed: false, direction, policy: null, rule: -1, isolatedBy };
  }

  judge(peer: Peer, target: Workload | null, port: number): NetworkVerdict {
    const rules = this.#rules;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i] as CompiledNetworkRule;
      if (rule.matches(peer, target, port)) return rule.verdict;
    }
    return this.#denied;
  }
}

/** The NetworkPolicies of the mesh, by the pods that they select. */
export class NetworkPolicyIndex extends ScopedPolicyIndex<NetworkPolicy, CompiledNetworkPolicy, WorkloadNetworkPolicy> {
  constructor() {
    super({
      scopeOf: ({ namespace, name, podSelector }) => ({
        namespace,
        name,
        meshWide: false,
        selector: podSelector.matchLabels,
        targetServices: [],
      }),
      compile: (policy) => new CompiledNetworkPolicy(policy),
      selects: ({ podSelector }, workload) => !workload.hostNetwork && selectorMatches(podSelector, workload.labels),
      combine: (policies: readonly Scoped<CompiledNetworkPolicy>[]) =>
        new WorkloadNetworkPolicy(policies.map(({ policy }) => policy)),
      revise: null,
    });
  }
}

/** One line for people and the access log. */
export function describeNetworkVerdict(verdict: NetworkVerdict): string {
  const { allowed, direction, policy, rule, isolatedBy } = verdict;
  if (policy !== null) return `allowed by NetworkPolicy ${policy} ${direction}[${rule}]`;
  if (allowed) return `allowed: no NetworkPolicy isolates the pod for ${direction}`;
  return `denied: no ${direction} rule of NetworkPolicy ${isolatedBy.join(', ')} matches`;
}

function openVerdict(direction: 'ingress' | 'egress'): NetworkVerdict {
  return { allowed: true, direction, policy: null, rule: -1, isolatedBy: [] };
}
