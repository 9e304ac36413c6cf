/** One AuthorizationPolicy compiled: its rules split into source, port and HTTP parts (see authz.ts for the order of use). */
import { OperationMatch, PrincipalMatch, RequestCondition } from './authz-request.ts';
import {
  fieldsOfCondition,
  fieldsOfSource,
  isEmpty,
  type SourceFields,
  usesAddress,
  usesServerName,
} from './authz-source.ts';
import { parseConditionKey } from './condition-key.ts';
import type { NamespacedName } from './model.ts';
import type { AuthorizationPolicy, PolicyCondition, PolicyOperation, PolicyRule } from './policy-model.ts';
import { DEFAULT_TRUST, type TrustDomains } from './trust-domain.ts';
import type { Verdict } from './verdict.ts';

/** One `from` entry: what the connection answers and what only a request can. */
export interface RuleSource {
  /** null: any connection. */
  readonly fields: SourceFields | null;
  /** null: any request. */
  readonly principal: PrincipalMatch | null;
}

const ANY_SOURCE: RuleSource = { fields: null, principal: null };

/** Ports that an operation or a condition accepts. */
class PortMatch {
  readonly #ports: ReadonlySet<number> | null;
  readonly #notPorts: ReadonlySet<number>;

  constructor(ports: readonly number[], notPorts: readonly number[]) {
    this.#ports = ports.length === 0 ? null : new Set(ports);
    this.#notPorts = new Set(notPorts);
  }

  accepts(port: number): boolean {
    return (this.#ports === null || this.#ports.has(port)) && !this.#notPorts.has(port);
  }
}

/** One `to` entry: a port condition and the HTTP fields, or none. */
export class RuleOperation {
  /** null: no HTTP-only field. */
  readonly http: OperationMatch | null;
  /** null: every port. */
  readonly #ports: PortMatch | null;

  constructor(operation: PolicyOperation | null, denies: boolean) {
    this.http = operation === null ? null : OperationMatch.of(operation, denies);
    const named = operation !== null && operation.ports.length + operation.notPorts.length > 0;
    this.#ports = named ? new PortMatch(operation.ports, operation.notPorts) : null;
  }

  acceptsPort(port: number): boolean {
    return this.#ports === null || this.#ports.accepts(port);
  }
}

/** One rule: sources OR-ed, AND operations OR-ed, AND every condition. */
export class CompiledRule {
  readonly policy: NamespacedName;
  /** Index in its policy. */
  readonly index: number;
  /** Neither empty. */
  readonly sources: readonly RuleSource[];
  readonly operations: readonly RuleOperation[];
  /** Conditions that the connection decides. */
  readonly conditions: readonly SourceFields[];
  /** Conditions that only a request can answer. */
  readonly requestConditions: readonly RequestCondition[];
  /** Some part of the rule is HTTP-only: as an ALLOW rule it never matches plain TCP. */
  readonly usesHttp: boolean;
  readonly usesAddress: boolean;
  readonly usesServerName: boolean;
  /** Ports outside of which it cannot match, sorted; null: it can match on whatever port it does not exclude. */
  readonly onlyPorts: readonly number[] | null;
  /** Every port that is named, wanted or not. */
  readonly namedPorts: readonly number[];
  readonly #action: AuthorizationPolicy['action'];
  #verdict: Verdict | null = null;
  #verdictWithoutHttp: Verdict | null = null;
  readonly #portConditions: readonly PortMatch[];

  constructor(policy: AuthorizationPolicy, index: number, trust: TrustDomains) {
    const rule = policy.rules[index] as PolicyRule;
    const denies = policy.action !== 'ALLOW';
    this.policy = `${policy.namespace}/${policy.name}`;
    this.index = index;
    this.sources = compileSources(rule, trust);
    this.operations =
      rule.to.length === 0 ? [new RuleOperation(null, denies)] : rule.to.map((to) => new RuleOperation(to, denies));
    this.conditions = rule.when.flatMap((when) => connectionFields(when, policy.namespace, trust) ?? []);
    this.requestConditions = rule.when.flatMap((when) => RequestCondition.of(when, denies) ?? []);
    const ports = rule.when.filter(({ key }) => key === 'destination.port').map(portsOfCondition);
    this.#portConditions = ports.map(({ wanted, unwanted }) => new PortMatch(wanted, unwanted));
    this.#action = policy.action;
    this.usesHttp =
      this.requestConditions.length > 0 ||
      this.operations.some(({ http }) => http !== null) ||
      this.sources.some(({ principal }) => principal !== null);
    const uses = (asks: (fields: SourceFields) => boolean): boolean =>
      this.conditions.some(asks) || this.sources.some(({ fields }) => fields !== null && asks(fields));
    this.usesAddress = uses(usesAddress);
    this.usesServerName = uses(usesServerName);
    this.onlyPorts = onlyPorts(rule, ports);
    this.namedPorts = [
      ...rule.to.flatMap((to) => [...to.ports, ...to.notPorts]),
      ...ports.flatMap(({ wanted, unwanted }) => [...wanted, ...unwanted]),
    ];
  }

  /** The same object every time. */
  get verdict(): Verdict {
    this.#verdict ??= verdictOf(this.#action, this.policy, this.index);
    return this.#verdict;
  }

  /** The verdict of a DENY rule on plain TCP whose HTTP fields were counted as matched. */
  get verdictWithoutHttp(): Verdict {
    if (this.#action !== 'DENY') return this.verdict;
    this.#verdictWithoutHttp ??= { ...this.verdict, cause: 'deny-rule-without-http' };
    return this.#verdictWithoutHttp;
  }

  /** Some operation accepts the port, and no condition excludes it. */
  concernsPort(port: number): boolean {
    return (
      this.#portConditions.every((ports) => ports.accepts(port)) &&
      this.operations.some((operation) => operation.acceptsPort(port))
    );
  }

  /** Whether it can match on that port depends on HTTP. */
  usesHttpOn(port: number): boolean {
    if (this.requestConditions.length > 0 || this.sources.some(({ principal }) => principal !== null)) return true;
    return this.operations.some(({ http }, i) => http !== null && this.operations[i]?.acceptsPort(port));
  }
}

/** A policy compiled once, whatever number of workloads it selects. */
export class CompiledPolicy {
  readonly name: NamespacedName;
  readonly source: AuthorizationPolicy;
  readonly rules: readonly CompiledRule[];
  /** Every port some rule names, wanted or not. */
  readonly namedPorts: readonly number[];

  constructor(policy: AuthorizationPolicy, trust: TrustDomains = DEFAULT_TRUST) {
    this.name = `${policy.namespace}/${policy.name}`;
    this.source = policy;
    this.rules = policy.rules.map((_, index) => new CompiledRule(policy, index, trust));
    this.namedPorts = this.rules.flatMap(({ namedPorts }) => namedPorts);
  }
}

function compileSources(rule: PolicyRule, trust: TrustDomains): readonly RuleSource[] {
  if (rule.from.length === 0) return [ANY_SOURCE];
  return rule.from.map((source) => {
    const fields = fieldsOfSource(source, trust);
    return { fields: isEmpty(fields) ? null : fields, principal: PrincipalMatch.of(source) };
  });
}

function connectionFields(condition: PolicyCondition, namespace: string, trust: TrustDomains): SourceFields | null {
  const key = parseConditionKey(condition.key);
  return key === null ? null : fieldsOfCondition(key, condition, namespace, trust);
}

interface ConditionPorts {
  readonly wanted: readonly number[];
  readonly unwanted: readonly number[];
}

function portsOfCondition({ values, notValues }: PolicyCondition): ConditionPorts {
  return { wanted: values.map(Number), unwanted: notValues.map(Number) };
}

function onlyPorts(rule: PolicyRule, conditions: readonly ConditionPorts[]): readonly number[] | null {
  const condition = conditions.find(({ wanted }) => wanted.length > 0);
  if (condition !== undefined) return condition.wanted;
  if (rule.to.length === 0 || rule.to.some(({ ports }) => ports.length === 0)) return null;
  return [...new Set(rule.to.flatMap(({ ports }) => ports))].sort((a, b) => a - b);
}

function verdictOf(action: AuthorizationPolicy['action'], policy: NamespacedName, rule: number): Verdict {
  const base = { policy, rule, allowPolicies: [] };
  switch (action) {
    case 'ALLOW':
    case 'AUDIT':
      return { ...base, allowed: true, reason: 'ALLOWED', cause: 'allow-rule' };
    case 'DENY':
      return { ...base, allowed: false, reason: 'RBAC_DENIED', cause: 'deny-rule' };
    case 'CUSTOM':
      return { ...base, allowed: false, reason: 'RBAC_DENIED', cause: 'custom-rule' };
  }
}
