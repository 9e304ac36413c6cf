/**
 * AuthorizationPolicy, compiled (Istio security.istio.io/v1; see docs of `Verdict.cause` for the outcomes).
 *
 * A decision is taken in three steps, each leaving less for the next:
 *   policies of a workload ── forPort(port) ──► Authorization: rules that can concern this port
 *   Authorization ── bind(connection) ──► BoundAuthorization: source and port are known, HTTP fields remain
 *   BoundAuthorization ── request(view) ──► Verdict: methods, paths, hosts, headers and token of one request
 * What each step costs goes by what matches, not by how many policies there are: authz-source-index.ts, authz-request-index.ts.
 *
 * Order: any CUSTOM match denies (there is no external authorizer to ask), any DENY match denies; without ALLOW policies everything
 * else is allowed; else some ALLOW rule must match. The verdict names the first rule that matches, by policy name, then by place.
 * AUDIT and dry-run policies never change a verdict: see Authorization.dryRun, and authz-explain.ts for AUDIT.
 *
 * No identity (plaintext): never matches principals, namespaces or serviceAccounts, and always satisfies their not* twins.
 * So a DENY with notPrincipals denies it (fail closed), and an ALLOW whose only condition is notPrincipals or notNamespaces
 * admits it: that is what Istio does (ISTIO-SECURITY-2021-004; ztunnel rbac.rs compares against an empty string). Whoever
 * means "authenticated, but not X" writes principals: ["*"] beside it.
 *
 * No server name (no TLS, or a client that sends none): likewise never matches values of connection.sni and satisfies its
 * notValues. A server name that is not known (the ClientHello was not seen, or cannot be read) counts against the
 * connection: DENY rules match, ALLOW rules do not.
 *
 * No verified token: never matches requestPrincipals and values of request.auth.*, and satisfies their not* twins, as in Istio.
 *
 * Plain TCP: an ALLOW rule with any HTTP-only field never matches; a DENY rule counts its HTTP-only fields as matched, so
 * one that has nothing else denies (Istio sidecar model.go; fail closed, unlike its sidecar-less issue 61126). CUSTOM is like
 * DENY. HTTP-only are operations but for ports, requestPrincipals, and the conditions request.*.
 */

import { BOUND_ALLOWED, BoundAction, type BoundAuthorization, BoundRules } from './authz-bound.ts';
import type { CompiledPolicy, CompiledRule } from './authz-rule.ts';
import type { SourceFacts } from './authz-source.ts';
import { type SourceGroup, SourceIndex } from './authz-source-index.ts';
import { parseIp } from './ip.ts';
import type { Identity, NamespacedName } from './model.ts';
import type { Scoped } from './scope-index.ts';
import { comparableTrustDomain, DEFAULT_TRUST, type TrustDomains } from './trust-domain.ts';
import { ALLOWED_BY_DEFAULT, type Verdict } from './verdict.ts';

export type { BoundAuthorization } from './authz-bound.ts';
export { describeVerdict, type Verdict } from './verdict.ts';

/** What is known of a connection once it is accepted. */
export interface ConnectionFacts {
  /** null: no proven identity (plaintext from outside the node's own pods). */
  readonly identity: Identity | null;
  /** Canonical text of the peer's address. */
  readonly sourceIp: string;
  /** Canonical text of the address before the proxies in front (PROXY protocol); `sourceIp` where none told. */
  readonly remoteIp: string;
  /** Of a TLS ClientHello, lower case; '' when there is none; null when it is not known whether there is. */
  readonly serverName: string | null;
  readonly destinationIp: string;
  /** The port of the workload that is reached (the target port, not the Service port), as Istio's `ports` means it. */
  readonly destinationPort: number;
}

/** A policy as it applies to one workload. */
export type ScopedPolicy = Scoped<CompiledPolicy>;

/** Rules that may match on some ports, indexed. Rules of CUSTOM policies come before those of DENY. */
class RuleSet {
  readonly deny = new SourceIndex(true);
  readonly allow = new SourceIndex(false);
  hasDeny = false;
  needsHttp = false;
  needsServerName = false;
  needsIp = false;

  constructor(rules: readonly OrderedRule[], port: number) {
    for (const { rule, ordinal, denies } of rules) {
      (denies ? this.deny : this.allow).add(rule, ordinal, port);
      this.hasDeny ||= denies;
      this.needsHttp ||= denies ? rule.usesHttpOn(port) : rule.usesHttp;
      this.needsServerName ||= rule.usesServerName;
      this.needsIp ||= rule.usesAddress;
    }
  }
}

interface OrderedRule {
  readonly rule: CompiledRule;
  /** Place in the order of evaluation among the rules that deny, or among those that allow. */
  readonly ordinal: number;
  readonly denies: boolean;
  /** Ports of the policy's scope; null: all. */
  readonly scope: readonly number[] | null;
}

/** What no port of any rule or scope is called. */
const UNNAMED_PORT = -1;

/** The policies of one workload. Cheap to make; rules are indexed on first use, those that go by no port once for all ports. */
export class WorkloadAuthorization {
  readonly policies: readonly ScopedPolicy[];
  readonly trust: TrustDomains;
  /** Enforced as well: what the workload would be told if dry-run policies were not. */
  readonly #withDryRun: boolean;
  /** Ports some rule or scope names; all others share one Authorization, so a port scan creates nothing. */
  readonly #namedPorts = new Set<number>();
  readonly #byPort = new Map<number, Authorization>();
  #rules: PortRules | null = null;
  #dryRun: WorkloadAuthorization | null = null;

  constructor(policies: readonly ScopedPolicy[], trust: TrustDomains = DEFAULT_TRUST, withDryRun = false) {
    this.policies = policies;
    this.trust = trust;
    this.#withDryRun = withDryRun;
    for (const { policy, ports } of policies) {
      for (const port of ports ?? []) this.#namedPorts.add(port);
      for (const port of policy.namedPorts) this.#namedPorts.add(port);
    }
  }

  /** The same object for the same port, and for all ports that no rule names. */
  forPort(port: number): Authorization {
    const key = this.portClass(port);
    let found = this.#byPort.get(key);
    if (found === undefined) {
      found = new Authorization(this, key);
      this.#byPort.set(key, found);
    }
    return found;
  }

  /** The port itself when a rule or scope names it, else -1. */
  portClass(port: number): number {
    return this.#namedPorts.has(port) ? port : UNNAMED_PORT;
  }

  /** The policies whose scope includes a port, those of dry-run and AUDIT among them. */
  inScope(portClass: number): readonly ScopedPolicy[] {
    return this.policies.filter(({ ports }) => ports === null || ports.includes(portClass));
  }

  isEnforced({ policy }: ScopedPolicy): boolean {
    return policy.source.action !== 'AUDIT' && (this.#withDryRun || !policy.source.dryRun);
  }

  /** The rules that are enforced, apart by whether they go by ports. */
  rules(): PortRules {
    this.#rules ??= new PortRules(this.policies.filter((scoped) => this.isEnforced(scoped)));
    return this.#rules;
  }

  /** The same with dry-run policies enforced too. */
  dryRun(): WorkloadAuthorization {
    this.#dryRun ??= new WorkloadAuthorization(this.policies, this.trust, true);
    return this.#dryRun;
  }
}

/** The rules of a workload, in order, so that one port's are found without looking at those of other ports. */
class PortRules {
  /** Those that go by no port: shared by all. */
  readonly general: RuleSet;
  /** Names of ALLOW policies that hold on all ports, and those that hold on some. */
  readonly #generalAllows: readonly NamespacedName[];
  readonly #scopedAllows: readonly ScopedPolicy[];
  readonly #byPort = new Map<number, OrderedRule[]>();
  /** Those that exclude ports. */
  readonly #excluding: readonly OrderedRule[];

  constructor(policies: readonly ScopedPolicy[]) {
    const excluding: OrderedRule[] = [];
    const general: OrderedRule[] = [];
    for (const ordered of orderedRules(policies)) {
      const ports = ordered.scope ?? ordered.rule.onlyPorts;
      if (ports !== null) for (const port of new Set(ports)) this.#list(port, ordered);
      else (ordered.rule.namedPorts.length > 0 ? excluding : general).push(ordered);
    }
    this.#excluding = excluding;
    this.general = new RuleSet(general, UNNAMED_PORT);
    const allows = policies.filter(({ policy }) => policy.source.action === 'ALLOW');
    this.#generalAllows = allows.filter(({ ports }) => ports === null).map(({ policy }) => policy.name);
    this.#scopedAllows = allows.filter(({ ports }) => ports !== null);
  }

  /** What goes by the port, where something that does concerns it. */
  special(port: number): RuleSet | null {
    const candidates = [...(this.#byPort.get(port) ?? []), ...this.#excluding];
    const rules = candidates.filter(({ rule }) => rule.concernsPort(port));
    return rules.length === 0
      ? null
      : new RuleSet(
          rules.sort((a, b) => a.ordinal - b.ordinal),
          port,
        );
  }

  /** The ALLOW policies that apply on a port, sorted. */
  allowPolicies(port: number): readonly NamespacedName[] {
    const scoped = this.#scopedAllows.filter(({ ports }) => ports?.includes(port));
    if (scoped.length === 0) return this.#generalAllows;
    return [...this.#generalAllows, ...scoped.map(({ policy }) => policy.name)].sort();
  }

  #list(port: number, ordered: OrderedRule): void {
    const known = this.#byPort.get(port);
    if (known === undefined) this.#byPort.set(port, [ordered]);
    else known.push(ordered);
  }
}

/** CUSTOM before DENY; ALLOW counts for itself. `policies` are sorted by name. */
function orderedRules(policies: readonly ScopedPolicy[]): OrderedRule[] {
  const ordered: OrderedRule[] = [];
  for (const action of ['CUSTOM', 'DENY', 'ALLOW'] as const) {
    for (const { policy, ports } of policies) {
      if (policy.source.action !== action) continue;
      for (const rule of policy.rules) {
        ordered.push({ rule, ordinal: ordered.length, denies: action !== 'ALLOW', scope: ports });
      }
    }
  }
  return ordered;
}

/** What policy says of one port of one workload. */
export class Authorization {
  /** All policies of the workload, for explanations. */
  readonly workload: WorkloadAuthorization;
  /** The port that it is about; -1: all those that nothing names. */
  readonly portClass: number;
  /** True: no policy can deny anything here. */
  readonly isEmpty: boolean;
  /**
   * True: the answer may depend on what a request says, or on the connection carrying HTTP at all (an ALLOW rule with any
   * HTTP-only field, even for other ports, never matches plain TCP). False: bind() is always settled.
   */
  readonly needsHttp: boolean;
  /** True: the answer may depend on the server name of a TLS connection. */
  readonly needsServerName: boolean;
  readonly #sets: readonly RuleSet[];
  /** null: no ALLOW policy applies. */
  readonly #noneMatched: Verdict | null;
  readonly #needsIp: boolean;
  readonly #hasDryRun: boolean;

  constructor(workload: WorkloadAuthorization, portClass: number) {
    this.workload = workload;
    this.portClass = portClass;
    const rules = workload.rules();
    const special = rules.special(portClass);
    this.#sets = special === null ? [rules.general] : [rules.general, special];
    const allowPolicies = rules.allowPolicies(portClass);
    this.#noneMatched =
      allowPolicies.length === 0
        ? null
        : {
            ...ALLOWED_BY_DEFAULT,
            allowed: false,
            reason: 'RBAC_DENIED',
            cause: 'no-allow-rule-matched',
            allowPolicies,
          };
    this.isEmpty = this.#noneMatched === null && !this.#sets.some(({ hasDeny }) => hasDeny);
    this.needsHttp = this.#sets.some(({ needsHttp }) => needsHttp);
    this.needsServerName = this.#sets.some(({ needsServerName }) => needsServerName);
    this.#needsIp = this.#sets.some(({ needsIp }) => needsIp);
    this.#hasDryRun = workload
      .inScope(portClass)
      .some(({ policy }) => policy.source.dryRun && policy.source.action !== 'AUDIT');
  }

  /**
   * null: no dry-run policy applies here. Else what would be answered if they were enforced, to be reported beside the verdict.
   * Nothing is compiled before it is asked for, and needsHttp and needsServerName do not speak of it.
   */
  get dryRun(): Authorization | null {
    return this.#hasDryRun ? this.workload.dryRun().forPort(this.portClass) : null;
  }

  /** Evaluates source and port once. Costs what the rules that match it do. */
  bind(connection: ConnectionFacts): BoundAuthorization {
    const portClass = this.workload.portClass(connection.destinationPort);
    if (portClass !== this.portClass) return this.workload.forPort(connection.destinationPort).bind(connection);
    if (this.isEmpty) return BOUND_ALLOWED;
    const facts = sourceFacts(connection, this.workload.trust, this.#needsIp);
    const deny: SourceGroup[] = [];
    const allow: SourceGroup[] = [];
    for (const set of this.#sets) {
      set.deny.collect(facts, deny);
      set.allow.collect(facts, allow);
    }
    return new BoundRules(new BoundAction(deny), new BoundAction(allow), this.#noneMatched);
  }
}

function sourceFacts(connection: ConnectionFacts, trust: TrustDomains, needsIp: boolean): SourceFacts {
  const { identity, sourceIp, remoteIp, serverName } = connection;
  const address = needsIp ? parseIp(sourceIp) : null;
  const remote = needsIp && remoteIp !== sourceIp ? parseIp(remoteIp) : address;
  const destination = needsIp ? parseIp(connection.destinationIp) : null;
  if (identity === null) {
    return { principal: '', namespace: '', serviceAccount: '', address, remote, destination, serverName };
  }
  const { namespace, serviceAccount } = identity;
  return {
    principal: `${comparableTrustDomain(identity, trust)}/ns/${namespace}/sa/${serviceAccount}`,
    namespace,
    serviceAccount: `${namespace}/${serviceAccount}`,
    address,
    remote,
    destination,
    serverName,
  };
}
