/**
 * AuthorizationPolicy, compiled (Istio security.istio.io/v1; see docs of `Verdict.cause` for the outcomes).
 *
 * A decision is taken in three steps, each leaving less for the next:
 *   policies of a workload ── forPort(port) ──► Authorization: rules that can concern this port
 *   Authorization ── bind(connection) ──► BoundAuthorization: source and port are known, HTTP fields remain
 *   BoundAuthorization ── request(view) ──► Verdict: methods, paths, hosts of one request
 *
 * Order: any DENY match denies; without ALLOW policies everything else is allowed; else some ALLOW rule must match.
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
 * Plain TCP: an ALLOW rule with any HTTP-only field never matches; a DENY rule counts its HTTP-only fields as matched, so
 * one that has nothing else denies (Istio sidecar model.go; fail closed, unlike its sidecar-less issue 61126).
 */

import {
  type CompiledPolicy,
  type CompiledRule,
  connectionMatches,
  type HttpMatch,
  type SourceFacts,
} from './authz-rule.ts';
import { type IpAddress, parseIp } from './ip.ts';
import { type Identity, principalOf } from './model.ts';
import type { RequestView } from './request.ts';
import type { Scoped } from './scope-index.ts';
import { DEFAULT_TRUST, type TrustDomains } from './trust-domain.ts';
import type { Verdict } from './verdict.ts';

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

/** Policy for one connection. Kept for its life; rebind when the state's Authorization is another object. */
export interface BoundAuthorization {
  /** Non-null when every request and a plain TCP connection get the same answer: nothing needs to be parsed for policy. */
  readonly settled: Verdict | null;
  /** The verdict when the connection carries no HTTP. */
  connection(): Verdict;
  /** The verdict for one request. No allocation. */
  request(view: RequestView): Verdict;
}

const ALLOWED_BY_DEFAULT: Verdict = {
  allowed: true,
  policy: null,
  rule: -1,
  reason: 'ALLOWED',
  cause: 'no-policy-matched',
  allowPolicies: [],
};

/** The policies of one workload. Cheap to make; each port's Authorization is compiled on first use. */
export class WorkloadAuthorization {
  readonly policies: readonly ScopedPolicy[];
  /** Ports some rule or scope names; all others share one Authorization, so a port scan creates nothing. */
  readonly #namedPorts = new Set<number>();
  readonly #byPort = new Map<number, Authorization>();

  constructor(policies: readonly ScopedPolicy[], _trust: TrustDomains = DEFAULT_TRUST) {
    this.policies = policies;
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
    return this.#namedPorts.has(port) ? port : -1;
  }
}

/** What policy says of one port of one workload. */
export class Authorization {
  /** True: no policy can deny anything here. */
  readonly isEmpty: boolean;
  /**
   * True: the answer may depend on the method, path or host, or on the connection carrying HTTP at all (an ALLOW rule with any
   * HTTP-only field, even for other ports, never matches plain TCP). False: bind() is always settled.
   */
  readonly needsHttp: boolean;
  /** True: the answer may depend on the server name of a TLS connection. */
  readonly needsServerName: boolean;
  readonly #parent: WorkloadAuthorization;
  readonly #portClass: number;
  readonly #deny: readonly CompiledRule[];
  readonly #allow: readonly CompiledRule[];
  /** null: no ALLOW policy applies. */
  readonly #noneMatched: Verdict | null;
  readonly #needsIp: boolean;

  constructor(parent: WorkloadAuthorization, portClass: number) {
    this.#parent = parent;
    this.#portClass = portClass;
    const inScope = parent.policies.filter(({ ports }) => ports === null || ports.includes(portClass));
    const rulesOf = (action: 'ALLOW' | 'DENY'): CompiledRule[] =>
      inScope
        .filter(({ policy }) => policy.action === action)
        .flatMap(({ policy }) => policy.rules.filter((rule) => rule.concernsPort(portClass)));
    this.#deny = rulesOf('DENY');
    this.#allow = rulesOf('ALLOW');
    const allowPolicies = inScope.filter(({ policy }) => policy.action === 'ALLOW').map(({ policy }) => policy.name);
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
    this.isEmpty = this.#deny.length === 0 && this.#noneMatched === null;
    const hasHttp = (rule: CompiledRule): boolean =>
      rule.operations.some((operation) => operation.http !== null && operation.acceptsPort(portClass));
    this.needsHttp = this.#deny.some(hasHttp) || this.#allow.some((rule) => rule.usesHttp);
    const all = [...this.#deny, ...this.#allow];
    this.needsServerName = all.some((rule) => rule.usesServerName);
    this.#needsIp = all.some((rule) => rule.usesAddress);
  }

  /** Evaluates source and port once. Linear in the rules of this workload and port. */
  bind(connection: ConnectionFacts): BoundAuthorization {
    const portClass = this.#parent.portClass(connection.destinationPort);
    if (portClass !== this.#portClass) return this.#parent.forPort(connection.destinationPort).bind(connection);
    if (this.isEmpty) return BOUND_ALLOWED;
    const facts = sourceFacts(connection, this.#needsIp);
    const deny = bindRules(this.#deny, facts, portClass, true);
    const allow = bindRules(this.#allow, facts, portClass, false);
    return new BoundRules(deny, allow, this.#noneMatched);
  }
}

function sourceFacts(connection: ConnectionFacts, needsIp: boolean): SourceFacts {
  const identity = connection.identity;
  const { sourceIp, remoteIp, serverName } = connection;
  const address: IpAddress | null = needsIp ? parseIp(sourceIp) : null;
  const remote = remoteIp === sourceIp ? address : needsIp ? parseIp(remoteIp) : null;
  if (identity === null) return { principal: '', namespace: '', serviceAccount: '', address, remote, serverName };
  return {
    principal: principalOf(identity),
    namespace: identity.namespace,
    serviceAccount: `${identity.namespace}/${identity.serviceAccount}`,
    address,
    remote,
    serverName,
  };
}

/** The rules of one action that this connection can still match. */
interface BoundAction {
  /** Matches every request: the first such rule's verdict. */
  readonly always: Verdict | null;
  /** HTTP remainders, flattened (rules and operations are OR-ed), each with the verdict it gives. */
  readonly http: readonly HttpMatch[];
  readonly verdicts: readonly Verdict[];
  /** Matches the connection when it carries no HTTP. */
  readonly onTcp: Verdict | null;
}

function bindRules(rules: readonly CompiledRule[], facts: SourceFacts, port: number, denies: boolean): BoundAction {
  let always: Verdict | null = null;
  let onTcp: Verdict | null = null;
  const http: HttpMatch[] = [];
  const verdicts: Verdict[] = [];
  for (const rule of rules) {
    if (!connectionMatches(rule, facts, denies)) continue;
    for (const operation of rule.operations) {
      if (!operation.acceptsPort(port)) continue;
      if (operation.http === null) {
        always ??= rule.verdict;
        if (denies || !rule.usesHttp) onTcp ??= rule.verdict;
      } else {
        http.push(operation.http);
        verdicts.push(rule.verdict);
        if (denies) onTcp ??= rule.verdictWithoutHttp;
      }
    }
  }
  return { always, http, verdicts, onTcp };
}

class BoundRules implements BoundAuthorization {
  readonly settled: Verdict | null;
  readonly #denyHttp: readonly HttpMatch[];
  readonly #denyVerdicts: readonly Verdict[];
  readonly #allowHttp: readonly HttpMatch[];
  readonly #allowVerdicts: readonly Verdict[];
  /** When no DENY and no conditional ALLOW rule matches. */
  readonly #otherwise: Verdict;
  readonly #onTcp: Verdict;

  constructor(deny: BoundAction, allow: BoundAction, noneMatched: Verdict | null) {
    this.#denyHttp = deny.http;
    this.#denyVerdicts = deny.verdicts;
    const always = noneMatched === null ? ALLOWED_BY_DEFAULT : allow.always;
    this.#otherwise = always ?? noneMatched ?? ALLOWED_BY_DEFAULT;
    this.#allowHttp = always === null ? allow.http : [];
    this.#allowVerdicts = allow.verdicts;
    this.#onTcp = deny.onTcp ?? (noneMatched === null ? ALLOWED_BY_DEFAULT : (allow.onTcp ?? noneMatched));
    this.settled = this.#settle(deny.always);
  }

  connection(): Verdict {
    return this.#onTcp;
  }

  request(view: RequestView): Verdict {
    if (this.settled !== null) return this.settled;
    const deny = this.#denyHttp;
    for (let i = 0; i < deny.length; i++) {
      if ((deny[i] as HttpMatch).matches(view)) return this.#denyVerdicts[i] as Verdict;
    }
    const allow = this.#allowHttp;
    for (let i = 0; i < allow.length; i++) {
      if ((allow[i] as HttpMatch).matches(view)) return this.#allowVerdicts[i] as Verdict;
    }
    return this.#otherwise;
  }

  /** Settled only when plain TCP agrees too: an ALLOW rule that also names HTTP fields admits requests, never raw bytes. */
  #settle(alwaysDenied: Verdict | null): Verdict | null {
    if (alwaysDenied !== null) return alwaysDenied;
    if (!this.#otherwise.allowed) return this.#allowHttp.length === 0 ? this.#otherwise : null;
    return this.#denyHttp.length === 0 && this.#onTcp.allowed ? this.#otherwise : null;
  }
}

const BOUND_ALLOWED: BoundAuthorization = {
  settled: ALLOWED_BY_DEFAULT,
  connection: () => ALLOWED_BY_DEFAULT,
  request: () => ALLOWED_BY_DEFAULT,
};
