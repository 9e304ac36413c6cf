/** One AuthorizationPolicy compiled: its rules split into source, port and HTTP parts (see authz.ts for the order of use). */

import { type Cidr, cidrContains, type IpAddress, parseCidr } from './ip.ts';
import type { NamespacedName } from './model.ts';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyOperation,
  PolicyRule,
  PolicySource,
} from './policy-model.ts';
import { compilePathTemplate, isPathTemplate, type PathTemplate, templateMatches } from './path-template.ts';
import type { RequestView } from './request.ts';
import { StringSet } from './string-match.ts';
import type { Verdict } from './verdict.ts';

/** A connection's source as rules compare it; '' where there is no identity, null where there is no address. */
export interface SourceFacts {
  readonly principal: string;
  readonly namespace: string;
  /** `namespace/serviceAccount` */
  readonly serviceAccount: string;
  readonly address: IpAddress | null;
  /** Before the proxies in front. */
  readonly remote: IpAddress | null;
  /** See ConnectionFacts. */
  readonly serverName: string | null;
}

interface CompiledSource {
  readonly principals: StringSet | null;
  readonly notPrincipals: StringSet | null;
  readonly namespaces: StringSet | null;
  readonly notNamespaces: StringSet | null;
  readonly serviceAccounts: ReadonlySet<string> | null;
  readonly notServiceAccounts: ReadonlySet<string> | null;
  readonly ipBlocks: readonly Cidr[] | null;
  readonly notIpBlocks: readonly Cidr[] | null;
  readonly remoteIpBlocks: readonly Cidr[] | null;
  readonly notRemoteIpBlocks: readonly Cidr[] | null;
}

/** One `when` by what it compares; a field is null when absent. */
interface CompiledCondition {
  /** Lower case, as server names are compared. */
  readonly serverNames: StringSet | null;
  readonly notServerNames: StringSet | null;
  readonly remoteIpBlocks: readonly Cidr[] | null;
  readonly notRemoteIpBlocks: readonly Cidr[] | null;
}

/** The HTTP-only fields of one operation, AND-ed; each null when absent. */
export class HttpMatch {
  readonly #methods: StringSet | null;
  readonly #notMethods: StringSet | null;
  readonly #paths: PathSet | null;
  readonly #notPaths: PathSet | null;
  readonly #hosts: StringSet | null;
  readonly #notHosts: StringSet | null;

  constructor(operation: PolicyOperation) {
    this.#methods = StringSet.of(operation.methods);
    this.#notMethods = StringSet.of(operation.notMethods);
    this.#paths = PathSet.of(operation.paths);
    this.#notPaths = PathSet.of(operation.notPaths);
    this.#hosts = StringSet.of(operation.hosts.map(comparableHost));
    this.#notHosts = StringSet.of(operation.notHosts.map(comparableHost));
  }

  /** Cheapest questions first; each part of the view is read only when a field asks for it. No allocation. */
  matches(view: RequestView): boolean {
    return (
      (this.#methods === null || this.#methods.matches(view.method)) &&
      (this.#notMethods === null || !this.#notMethods.matches(view.method)) &&
      (this.#paths === null || this.#paths.matches(view.path)) &&
      (this.#notPaths === null || !this.#notPaths.matches(view.path)) &&
      (this.#hosts === null || this.#hosts.matches(view.host)) &&
      (this.#notHosts === null || !this.#notHosts.matches(view.host))
    );
  }
}

/** Path values: strings and templates, OR-ed. */
class PathSet {
  readonly #strings: StringSet | null;
  readonly #templates: readonly PathTemplate[];

  private constructor(values: readonly string[]) {
    this.#strings = StringSet.of(values.filter((value) => !isPathTemplate(value)));
    this.#templates = values.filter(isPathTemplate).map((value) => {
      const template = compilePathTemplate(value);
      if (typeof template === 'string') throw new Error(`path template ${value} was not validated: ${template}`);
      return template;
    });
  }

  static of(values: readonly string[]): PathSet | null {
    return values.length === 0 ? null : new PathSet(values);
  }

  matches(path: string): boolean {
    if (this.#strings?.matches(path)) return true;
    const templates = this.#templates;
    for (let i = 0; i < templates.length; i++) if (templateMatches(templates[i] as PathTemplate, path)) return true;
    return false;
  }
}

/**
 * Hosts are compared without case and port (Istio, ISTIO-SECURITY-2021-008), so `example.com:8080` and the `example.com:*` that Istio's guide
 * asks for beside `example.com` both mean example.com.
 */
function comparableHost(value: string): string {
  return value.toLowerCase().replace(/:(\*|[0-9]+)$/, '');
}

/** One `to` entry: a port condition and the HTTP fields, or none. */
export class CompiledOperation {
  /** null: no HTTP-only field. */
  readonly http: HttpMatch | null;
  readonly #ports: readonly number[] | null;
  readonly #notPorts: readonly number[];

  constructor(operation: PolicyOperation | null) {
    this.#ports = operation === null || operation.ports.length === 0 ? null : operation.ports;
    this.#notPorts = operation?.notPorts ?? [];
    this.http = operation !== null && hasHttpFields(operation) ? new HttpMatch(operation) : null;
  }

  acceptsPort(port: number): boolean {
    return (this.#ports === null || this.#ports.includes(port)) && !this.#notPorts.includes(port);
  }
}

/** One rule: sources OR-ed, AND operations OR-ed, AND every condition. */
export class CompiledRule {
  /** Empty: any source. */
  readonly sources: readonly CompiledSource[];
  /** Never empty. */
  readonly operations: readonly CompiledOperation[];
  readonly conditions: readonly CompiledCondition[];
  /** Some operation has an HTTP-only field: as an ALLOW rule it never matches plain TCP. */
  readonly usesHttp: boolean;
  readonly usesAddress: boolean;
  readonly usesServerName: boolean;
  readonly verdict: Verdict;
  /** The verdict of a DENY rule on plain TCP whose HTTP fields were counted as matched. */
  readonly verdictWithoutHttp: Verdict;

  constructor(policy: NamespacedName, action: 'ALLOW' | 'DENY', rule: PolicyRule, index: number) {
    this.sources = rule.from.map(compileSource);
    this.operations =
      rule.to.length === 0 ? [new CompiledOperation(null)] : rule.to.map((to) => new CompiledOperation(to));
    this.conditions = rule.when.map(compileCondition);
    this.usesHttp = this.operations.some((operation) => operation.http !== null);
    this.usesAddress = rule.from.some(hasBlocks) || rule.when.some((condition) => condition.key === 'remote.ip');
    this.usesServerName = rule.when.some((condition) => condition.key === 'connection.sni');
    const base = { policy, rule: index, allowPolicies: [] };
    this.verdict =
      action === 'ALLOW'
        ? { ...base, allowed: true, reason: 'ALLOWED', cause: 'allow-rule' }
        : { ...base, allowed: false, reason: 'RBAC_DENIED', cause: 'deny-rule' };
    this.verdictWithoutHttp = { ...this.verdict, cause: 'deny-rule-without-http' };
  }

  concernsPort(port: number): boolean {
    return this.operations.some((operation) => operation.acceptsPort(port));
  }
}

/** A policy compiled once, whatever number of workloads it selects. */
export class CompiledPolicy {
  readonly name: NamespacedName;
  readonly action: 'ALLOW' | 'DENY';
  readonly source: AuthorizationPolicy;
  readonly rules: readonly CompiledRule[];
  /** Every port some operation names, wanted or not. */
  readonly namedPorts: readonly number[];

  constructor(policy: AuthorizationPolicy) {
    this.name = `${policy.namespace}/${policy.name}`;
    this.action = policy.action === 'ALLOW' ? 'ALLOW' : 'DENY';
    this.source = policy;
    this.rules = policy.rules.map((rule, index) => new CompiledRule(this.name, this.action, rule, index));
    this.namedPorts = policy.rules.flatMap((rule) => rule.to.flatMap((to) => [...to.ports, ...to.notPorts]));
  }
}

/**
 * True when some source of the rule and all its conditions match. `denies`: what to assume of a condition that cannot be
 * judged, because an address could not be read or the server name is not known: a DENY matches, an ALLOW does not.
 */
export function connectionMatches(rule: CompiledRule, facts: SourceFacts, denies: boolean): boolean {
  if (!sourceMatches(rule, facts, denies)) return false;
  for (const condition of rule.conditions) if (!conditionHolds(condition, facts, denies)) return false;
  return true;
}

function sourceMatches(rule: CompiledRule, facts: SourceFacts, denies: boolean): boolean {
  const sources = rule.sources;
  if (sources.length === 0) return true;
  for (const source of sources) if (oneSourceMatches(source, facts, denies)) return true;
  return false;
}

function oneSourceMatches(source: CompiledSource, facts: SourceFacts, denies: boolean): boolean {
  return (
    (source.principals === null || source.principals.matches(facts.principal)) &&
    (source.notPrincipals === null || !source.notPrincipals.matches(facts.principal)) &&
    (source.namespaces === null || source.namespaces.matches(facts.namespace)) &&
    (source.notNamespaces === null || !source.notNamespaces.matches(facts.namespace)) &&
    (source.serviceAccounts === null || source.serviceAccounts.has(facts.serviceAccount)) &&
    (source.notServiceAccounts === null || !source.notServiceAccounts.has(facts.serviceAccount)) &&
    (source.ipBlocks === null || inBlocks(source.ipBlocks, facts.address, denies)) &&
    (source.notIpBlocks === null || !inBlocks(source.notIpBlocks, facts.address, !denies)) &&
    (source.remoteIpBlocks === null || inBlocks(source.remoteIpBlocks, facts.remote, denies)) &&
    (source.notRemoteIpBlocks === null || !inBlocks(source.notRemoteIpBlocks, facts.remote, !denies))
  );
}

function conditionHolds(condition: CompiledCondition, facts: SourceFacts, denies: boolean): boolean {
  const { serverNames, notServerNames, remoteIpBlocks, notRemoteIpBlocks } = condition;
  const { serverName } = facts;
  if (serverName === null && (serverNames !== null || notServerNames !== null)) return denies;
  return (
    (serverNames === null || serverNames.matches(serverName ?? '')) &&
    (notServerNames === null || !notServerNames.matches(serverName ?? '')) &&
    (remoteIpBlocks === null || inBlocks(remoteIpBlocks, facts.remote, denies)) &&
    (notRemoteIpBlocks === null || !inBlocks(notRemoteIpBlocks, facts.remote, !denies))
  );
}

function inBlocks(blocks: readonly Cidr[], address: IpAddress | null, whenUnknown: boolean): boolean {
  if (address === null) return whenUnknown;
  for (const block of blocks) if (cidrContains(block, address)) return true;
  return false;
}

function compileSource(source: PolicySource): CompiledSource {
  const setOf = (values: readonly string[]): ReadonlySet<string> | null =>
    values.length === 0 ? null : new Set(values);
  return {
    principals: StringSet.of(source.principals),
    notPrincipals: StringSet.of(source.notPrincipals),
    namespaces: StringSet.ofGlobs(source.namespaces),
    notNamespaces: StringSet.ofGlobs(source.notNamespaces),
    serviceAccounts: setOf(source.serviceAccounts),
    notServiceAccounts: setOf(source.notServiceAccounts),
    ipBlocks: compileBlocks(source.ipBlocks),
    notIpBlocks: compileBlocks(source.notIpBlocks),
    remoteIpBlocks: compileBlocks(source.remoteIpBlocks),
    notRemoteIpBlocks: compileBlocks(source.notRemoteIpBlocks),
  };
}

function compileCondition({ key, values, notValues }: PolicyCondition): CompiledCondition {
  const lower = (names: readonly string[]): StringSet | null => StringSet.of(names.map((name) => name.toLowerCase()));
  const isName = key === 'connection.sni';
  return {
    serverNames: isName ? lower(values) : null,
    notServerNames: isName ? lower(notValues) : null,
    remoteIpBlocks: isName ? null : compileBlocks(values),
    notRemoteIpBlocks: isName ? null : compileBlocks(notValues),
  };
}

function hasBlocks(source: PolicySource): boolean {
  const { ipBlocks, notIpBlocks, remoteIpBlocks, notRemoteIpBlocks } = source;
  return ipBlocks.length + notIpBlocks.length + remoteIpBlocks.length + notRemoteIpBlocks.length > 0;
}

function compileBlocks(values: readonly string[]): readonly Cidr[] | null {
  if (values.length === 0) return null;
  return values.map((value) => {
    const block = parseCidr(value);
    if (block === null) throw new Error(`address block ${value} was not validated`);
    return block;
  });
}

function hasHttpFields(operation: PolicyOperation): boolean {
  return (
    operation.hosts.length > 0 ||
    operation.notHosts.length > 0 ||
    operation.methods.length > 0 ||
    operation.notMethods.length > 0 ||
    operation.paths.length > 0 ||
    operation.notPaths.length > 0
  );
}
