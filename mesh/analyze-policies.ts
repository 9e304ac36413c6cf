/** Checks of AuthorizationPolicy, PeerAuthentication, RequestAuthentication and NetworkPolicy for `weir analyze`. Pure. */
import type { AnalysisFinding } from './analyze.ts';
import { selectorMatches } from './label-selector.ts';
import type { PortProtocol, Workload } from './model.ts';
import type { AuthorizationPolicy, LabelSelector, PolicyOperation, PolicyRule } from './policy-model.ts';
import type { MeshState } from './state.ts';

/** Conditions that only a request can answer. */
const HTTP_CONDITION = /^request\./;

/** What is probably not meant in the policies of a mesh. */
export function analyzePolicies(mesh: MeshState): AnalysisFinding[] {
  const workloads = mesh.list('workload');
  const found: AnalysisFinding[] = [];
  for (const policy of mesh.list('authorizationPolicy')) {
    const selected = selectedBy(policy, workloads);
    found.push(...selectsNothing('AuthorizationPolicy', policy, selected, workloads));
    found.push(...authorizationFindings(mesh, policy, selected));
  }
  for (const policy of mesh.list('peerAuthentication')) {
    const selected = inScope(policy, workloads);
    found.push(...selectsNothing('PeerAuthentication', { ...policy, targetServices: [] }, selected, workloads));
  }
  for (const policy of mesh.list('requestAuthentication')) {
    found.push(...selectsNothing('RequestAuthentication', policy, selectedBy(policy, workloads), workloads));
  }
  for (const policy of mesh.list('networkPolicy')) {
    if (workloads.length === 0 || isEverything(policy.podSelector)) continue;
    if (workloads.some((pod) => pod.namespace === policy.namespace && selectorMatches(policy.podSelector, pod.labels)))
      continue;
    found.push(nothing('NetworkPolicy', policy, ['spec', 'podSelector']));
  }
  return found;
}

interface Scoped {
  readonly namespace: string;
  readonly name: string;
  readonly meshWide: boolean;
  readonly selector: Readonly<Record<string, string>> | null;
  readonly targetServices: readonly string[];
}

function selectedBy(policy: Scoped, workloads: readonly Workload[]): readonly Workload[] {
  if (policy.targetServices.length === 0) return inScope(policy, workloads);
  return workloads.filter(({ services }) => policy.targetServices.some((service) => Object.hasOwn(services, service)));
}

function inScope(policy: Omit<Scoped, 'targetServices'>, workloads: readonly Workload[]): readonly Workload[] {
  return workloads.filter(
    ({ namespace, labels }) =>
      (policy.meshWide || namespace === policy.namespace) &&
      Object.entries(policy.selector ?? {}).every(([name, value]) => labels[name] === value),
  );
}

/** Says nothing while no workload is known at all: the files are policies only. */
function selectsNothing(
  kind: string,
  policy: Scoped,
  selected: readonly Workload[],
  all: readonly Workload[],
): AnalysisFinding[] {
  if (selected.length > 0 || all.length === 0) return [];
  if (policy.targetServices.length > 0) return [nothing(kind, policy, ['spec', 'targetRefs'])];
  return policy.selector === null ? [] : [nothing(kind, policy, ['spec', 'selector'])];
}

function nothing(
  kind: string,
  policy: { readonly namespace: string; readonly name: string },
  path: AnalysisFinding['path'],
): AnalysisFinding {
  const { namespace, name } = policy;
  const reason = 'selects no workload that is known, so the policy does nothing';
  const remedy = 'compare the labels with those of the pods, or remove it';
  return { code: 'SELECTS_NOTHING', kind, namespace, name, path, reason, remedy };
}

function authorizationFindings(
  mesh: MeshState,
  policy: AuthorizationPolicy,
  selected: readonly Workload[],
): AnalysisFinding[] {
  const about = { kind: 'AuthorizationPolicy', namespace: policy.namespace, name: policy.name };
  const found: AnalysisFinding[] = [];
  if (policy.rules.length === 0) {
    const allow = policy.action === 'ALLOW';
    found.push({
      ...about,
      code: allow ? 'DENIES_EVERYTHING' : 'RULE_NEVER_MATCHES',
      path: ['spec'],
      reason: allow
        ? 'an ALLOW policy without rules matches nothing, so everything it applies to is denied'
        : `a ${policy.action} policy without rules matches nothing and has no effect`,
      remedy: allow
        ? 'add rules; `rules: [{}]` allows everything. Keep it if denying is what you want'
        : 'add rules or remove it',
    });
  }
  for (const [index, rule] of policy.rules.entries()) {
    const contradiction = contradictionOf(rule);
    const path = ['spec', 'rules', index];
    if (contradiction !== null) {
      const remedy = 'remove the value from one of the two lists';
      found.push({ ...about, code: 'RULE_NEVER_MATCHES', path, reason: `never matches: ${contradiction}`, remedy });
    }
    const tcp = tcpPorts(mesh, selected, rule);
    if (tcp.length === 0) continue;
    const shown = tcp.slice(0, 4).join(', ') + (tcp.length > 4 ? ` and ${tcp.length - 4} more` : '');
    const effect =
      policy.action === 'ALLOW'
        ? 'never matches a connection that carries no HTTP'
        : 'is enforced on such connections as if its HTTP fields matched (fail closed)';
    found.push({
      ...about,
      code: 'HTTP_RULE_ON_TCP_PORT',
      path,
      reason: `has HTTP fields and concerns ports declared as TCP (${shown}): there it ${effect}`,
      remedy: 'name the HTTP ports in operation.ports, or declare the port as HTTP (appProtocol: http)',
    });
  }
  return found;
}

/** Ports of the workloads a rule concerns that are declared to carry no HTTP, as `namespace/service:port`. */
function tcpPorts(mesh: MeshState, selected: readonly Workload[], rule: PolicyRule): string[] {
  if (!usesHttp(rule)) return [];
  const found = new Set<string>();
  for (const workload of selected) {
    for (const [key, targets] of Object.entries(workload.services)) {
      for (const { servicePort, targetPort } of targets) {
        if (!concernsPort(rule, targetPort)) continue;
        const protocol = mesh.serviceByName(key)?.ports.find(({ port }) => port === servicePort)?.protocol;
        if (protocol !== undefined && isOpaque(protocol)) found.add(`${key}:${servicePort}`);
      }
    }
  }
  return [...found].sort();
}

function isOpaque(protocol: PortProtocol): boolean {
  return protocol === 'tcp' || protocol === 'tls';
}

function usesHttp(rule: PolicyRule): boolean {
  return (
    rule.to.some(hasHttpFields) ||
    rule.from.some(
      ({ requestPrincipals, notRequestPrincipals }) => requestPrincipals.length + notRequestPrincipals.length > 0,
    ) ||
    rule.when.some(({ key }) => HTTP_CONDITION.test(key))
  );
}

function hasHttpFields(operation: PolicyOperation): boolean {
  const { hosts, notHosts, methods, notMethods, paths, notPaths } = operation;
  return [hosts, notHosts, methods, notMethods, paths, notPaths].some(({ length }) => length > 0);
}

function concernsPort(rule: PolicyRule, port: number): boolean {
  if (rule.to.length === 0) return true;
  return rule.to.some(
    ({ ports, notPorts }) => (ports.length === 0 || ports.includes(port)) && !notPorts.includes(port),
  );
}

/** Every value of a list is taken back by its not* twin; null: no such thing. */
function contradictionOf(rule: PolicyRule): string | null {
  for (const [index, source] of rule.from.entries()) {
    for (const [name, twin] of SOURCE_TWINS) {
      if (takenBack(source[name], source[twin]))
        return `from[${index}].source.${name} and ${twin} name the same values`;
    }
  }
  for (const [index, operation] of rule.to.entries()) {
    for (const [name, twin] of OPERATION_TWINS) {
      if (takenBack(operation[name], operation[twin]))
        return `to[${index}].operation.${name} and ${twin} name the same values`;
    }
  }
  for (const [index, { values, notValues }] of rule.when.entries()) {
    if (takenBack(values, notValues)) return `when[${index}].values and notValues name the same values`;
  }
  return null;
}

const SOURCE_TWINS = [
  ['principals', 'notPrincipals'],
  ['requestPrincipals', 'notRequestPrincipals'],
  ['namespaces', 'notNamespaces'],
  ['serviceAccounts', 'notServiceAccounts'],
  ['ipBlocks', 'notIpBlocks'],
  ['remoteIpBlocks', 'notRemoteIpBlocks'],
] as const;
const OPERATION_TWINS = [
  ['hosts', 'notHosts'],
  ['ports', 'notPorts'],
  ['methods', 'notMethods'],
  ['paths', 'notPaths'],
] as const;

/** With several sources or operations (they are OR-ed) one that never matches is still worth a word. */
function takenBack(values: readonly (string | number)[], notValues: readonly (string | number)[]): boolean {
  return values.length > 0 && values.every((value) => notValues.includes(value) || notValues.includes('*'));
}

function isEverything({ matchLabels, matchExpressions }: LabelSelector): boolean {
  return Object.keys(matchLabels).length === 0 && matchExpressions.length === 0;
}
