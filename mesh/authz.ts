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
import type { CompiledPolicy } from './authz-rule.ts';
import { PortRules, portsOf, type RuleSet, UNNAMED_PORT } from './authz-rule-set.ts';
import type { SourceFacts } from './authz-source.ts';
import type { SourceGroup } from './authz-source-index.ts';
import { parseIp } from './ip.ts';
import type { Identity, NamespacedName } from './model.ts';
import { lowerBound } from './ordered.ts';
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

/**
 * The policies of one workload. Cheap to make; rules are indexed on first use, those that go by no port once for all ports, and when
 * policies come and go the index goes along, at a cost that goes by the policy. What forPort() gave, and what that bound, speaks
 * of the policies as they are until then, and must be asked for again after.
 */
export class WorkloadAuthorization {
  readonly trust: TrustDomains;
  /** Sorted by name. */
  readonly #policies: ScopedPolicy[];
  /** Enforced as well: what the workload would be told if dry-run policies were not. */
  readonly #withDryRun: boolean;
  /** Ports some rule or scope names, and how often; all others share one Authorization, so a port scan creates nothing. */
  readonly #namedPorts = new Map<number, number>();
  readonly #byPort = new Map<number, Authorization>();
  #rules: PortRules | null = null;
  #dryRun: WorkloadAuthorization | null = null;

  constructor(policies: readonly ScopedPolicy[], trust: TrustDomains = DEFAULT_TRUST, withDryRun = false) {
    this.#policies = [...policies];
    this.trust = trust;
    this.#withDryRun = withDryRun;
    for (const scoped of policies) this.#countPorts(scoped, 1);
  }

  /** A policy has come to apply. */
  add(scoped: ScopedPolicy): void {
    this.#byPort.clear();
    this.#policies.splice(this.#position(scoped), 0, scoped);
    this.#countPorts(scoped, 1);
    if (this.isEnforced(scoped)) this.#rules?.add(scoped);
    this.#dryRun?.add(scoped);
  }

  /** A policy, the one with these ports, has ceased to apply. */
  remove(scoped: ScopedPolicy): void {
    this.#byPort.clear();
    this.#policies.splice(this.#position(scoped), 1);
    if (this.isEnforced(scoped)) this.#rules?.remove(scoped);
    this.#countPorts(scoped, -1);
    this.#dryRun?.remove(scoped);
  }

  /** The same object for the same port, and for all ports that no rule names, while the policies are the same. */
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

  /** The policies whose scope includes a port, those of dry-run and AUDIT among them, sorted by name. */
  inScope(portClass: number): readonly ScopedPolicy[] {
    return this.#policies.filter(({ ports }) => ports === null || ports.includes(portClass));
  }

  isEnforced({ policy }: ScopedPolicy): boolean {
    return policy.source.action !== 'AUDIT' && (this.#withDryRun || !policy.source.dryRun);
  }

  /** The rules that are enforced, apart by whether they go by ports. */
  rules(): PortRules {
    this.#rules ??= new PortRules(this.#policies.filter((scoped) => this.isEnforced(scoped)));
    return this.#rules;
  }

  /** The same with dry-run policies enforced too. */
  dryRun(): WorkloadAuthorization {
    this.#dryRun ??= new WorkloadAuthorization(this.#policies, this.trust, true);
    return this.#dryRun;
  }

  #position({ policy }: ScopedPolicy): number {
    return lowerBound(this.#policies, (other) => other.policy.name < policy.name);
  }

  #countPorts(scoped: ScopedPolicy, by: 1 | -1): void {
    for (const port of portsOf(scoped)) {
      const count = (this.#namedPorts.get(port) ?? 0) + by;
      if (count > 0) this.#namedPorts.set(port, count);
      else {
        this.#namedPorts.delete(port);
        this.#rules?.forget(port);
      }
    }
  }
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
    const allowPolicies: NamespacedName[] = [];
    let hasDryRun = false;
    for (const scoped of workload.inScope(portClass)) {
      const { source, name } = scoped.policy;
      if (source.action === 'ALLOW' && workload.isEnforced(scoped)) allowPolicies.push(name);
      hasDryRun ||= source.dryRun && source.action !== 'AUDIT';
    }
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
    this.#hasDryRun = hasDryRun;
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
