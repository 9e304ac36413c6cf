/** `weir pods`, `weir services`, `weir routes`, `weir policies`: the mesh as this node's agent holds it. */
import type { Command } from 'commander';
import type { Column } from '../../cli/output.ts';
import type {
  HeaderMatch,
  HttpRouteMatch,
  HttpRouteRule,
  PathMatch,
  StreamBackend,
  StreamRouteMatch,
  StreamRouteRule,
  StringMatch,
} from '../../mesh/route-model.ts';
import type { RouteStatus } from '../../mesh/route-status.ts';
import type { PodDocument, PolicyDocument, RouteDocument, ServiceDocument } from '../admin/api.ts';
import type { AgentAnswers } from './agent-client.ts';
import { addCommonOptions, ask, type CommonOptions, describe, type NodeRow, printRows } from './command-options.ts';
import { describeStatus, keyOfRoute, keyOfStatus, routeStatuses } from './route-status.ts';
import { formatBytes, formatDuration, shedText, shortList, truncate } from './format.ts';

interface NamespacedOptions extends CommonOptions {
  readonly namespace?: string;
}

interface RouteOptions extends NamespacedOptions {
  readonly controllerSocket?: string;
}

/** The rows of all agents, each with its node first, of one namespace when asked. */
function withNode<Row extends { readonly namespace: string }>(
  answers: AgentAnswers<readonly Row[]>,
  namespace: string | undefined,
): (Row & NodeRow)[] {
  return answers.answers.flatMap(({ node, body }) =>
    body.filter((row) => namespace === undefined || row.namespace === namespace).map((row) => ({ node, ...row })),
  );
}

const POD_COLUMNS: readonly Column<PodDocument>[] = [
  { header: 'namespace', value: (pod) => pod.namespace },
  { header: 'pod', value: (pod) => truncate(pod.name, 40) },
  { header: 'addresses', value: (pod) => shortList(pod.addresses, 1) },
  { header: 'captured', value: (pod) => (pod.captured ? 'yes' : 'NO') },
  // An older agent does not send the field.
  { header: 'mode', value: (pod) => pod.interceptionMode ?? null },
  { header: 'bypass', value: (pod) => pod.bypass.length, align: 'right' },
  { header: 'conns', value: (pod) => pod.connections, align: 'right' },
  { header: 'requests', value: (pod) => pod.requests, align: 'right' },
  { header: 'in', value: (pod) => formatBytes(pod.bytesIn), align: 'right' },
  { header: 'out', value: (pod) => formatBytes(pod.bytesOut), align: 'right' },
  { header: 'cpu', value: (pod) => formatDuration(pod.cpuMs), align: 'right' },
  { header: 'shed', value: (pod) => shedText(pod.shed), align: 'right' },
  { header: 'problem', value: (pod) => (pod.problem === null ? null : truncate(pod.problem, 60)) },
];

const SERVICE_COLUMNS: readonly Column<ServiceDocument>[] = [
  { header: 'namespace', value: (service) => service.namespace },
  { header: 'service', value: (service) => service.name },
  { header: 'addresses', value: (service) => shortList(service.addresses, 1) || 'headless' },
  {
    header: 'ports',
    value: (service) =>
      shortList(
        service.ports.map(({ port, protocol }) => `${port}/${protocol}`),
        3,
      ),
  },
  { header: 'endpoints', value: ({ endpoints }) => `${endpoints.ready}/${endpoints.total}` },
  { header: 'routes', value: (service) => shortList(service.routes, 2) },
];

/** `GET /api/* header(user-agent~.*Firefox.*)`: one match of a rule, as short as it can be told. */
export function describeMatch(match: HttpRouteMatch): string {
  const parts: string[] = [];
  if (match.method !== null) parts.push(describeText(match.method));
  if (match.path !== null) parts.push(describePath(match.path));
  if (match.scheme !== null) parts.push(`scheme(${describeText(match.scheme)})`);
  if (match.authority !== null) parts.push(`host(${describeText(match.authority)})`);
  for (const header of match.headers) parts.push(`header(${describeField(header)})`);
  for (const param of match.queryParams) parts.push(`query(${describeField(param)})`);
  parts.push(...describeClient(match));
  return parts.join(' ') || 'any';
}

function describePath({ type, value, ignoreCase }: PathMatch): string {
  const shown = {
    exact: value,
    prefix: `${value.replace(/\/$/, '')}/*`,
    stringPrefix: `${value}*`,
    regex: `~${value}`,
  };
  return ignoreCase ? `${shown[type]} (any case)` : shown[type];
}

function describeText({ type, value }: StringMatch): string {
  return { exact: value, prefix: `${value}*`, regex: `~${value}` }[type];
}

function describeField({ name, type, value, invert }: HeaderMatch): string {
  const shown = { exact: `${name}=${value}`, prefix: `${name}=${value}*`, regex: `${name}~${value}`, present: name };
  return invert ? `not ${shown[type]}` : shown[type];
}

function describeClient({ port, client }: Pick<HttpRouteMatch, 'port' | 'client'>): string[] {
  const labels = Object.entries(client?.labels ?? {}).map(([label, value]) => `${label}=${value}`);
  const who = [client?.namespace ?? [], labels].flat();
  return [port === null ? [] : `port(${port})`, who.length === 0 ? [] : `from(${who.join(',')})`].flat();
}

/** `*.a.example 10.0.0.0/8 port(443)`: one match of a rule for whole connections. */
function describeStreamMatch(match: StreamRouteMatch): string {
  const names = [shortList(match.hostnames, 2), shortList(match.destinationBlocks, 2)].filter((part) => part !== '');
  return [...names, ...describeClient(match)].join(' ') || 'any';
}

/** `echo-v1:80 90%, echo-v2:80 10%`; a backend that does not resolve is marked. */
export function describeBackends(
  rule: HttpRouteRule | StreamRouteRule,
  namespace: string,
  none = 'none (500)',
): string {
  const backends: readonly StreamBackend[] = rule.backends;
  const total = backends.reduce((sum, backend) => sum + backend.weight, 0);
  const told = backends.map((backend) => {
    const name = backend.namespace === namespace ? backend.name : `${backend.name}.${backend.namespace}`;
    const subset = backend.subset === null ? '' : `/${backend.subset.name}`;
    const port = backend.port === 0 ? '' : `:${backend.port}`;
    const share = backends.length > 1 ? ` ${total === 0 ? 0 : Math.round((backend.weight * 1000) / total) / 10}%` : '';
    return `${name}${port}${subset}${share}${backend.valid ? '' : ' (invalid)'}`;
  });
  return told.join(', ') || none;
}

function describeAnswer(rule: HttpRouteRule, namespace: string): string {
  if (rule.directResponse !== null) return `answers ${rule.directResponse.status}`;
  const redirect = rule.filters.find((filter) => filter.type === 'requestRedirect');
  return redirect === undefined ? describeBackends(rule, namespace) : `redirects (${redirect.statusCode})`;
}

interface RuleRow extends NodeRow {
  readonly namespace: string;
  readonly name: string;
  readonly kind: string;
  readonly parents: string;
  readonly match: string;
  readonly backends: string;
}

/** A route as rows of its rules and their matches, in the order they are written. */
export function ruleRows(route: RouteDocument & NodeRow): RuleRow[] {
  const parents = route.parents.map(
    (parent) => `${parent.name}.${parent.namespace}${parent.port === null ? '' : `:${parent.port}`}`,
  );
  const { node, namespace, name } = route;
  const common = { node, namespace, name, parents: shortList(parents, 1) };
  if (route.kind === 'httpRoute') {
    return route.rules.map((rule) => ({
      ...common,
      kind: route.source === 'GRPCRoute' ? 'grpc' : 'http',
      match: rule.matches.length === 0 ? 'any' : rule.matches.map(describeMatch).join(' | '),
      backends: describeAnswer(rule, namespace),
    }));
  }
  return route.rules.map((rule) => ({
    ...common,
    kind: route.kind === 'tlsRoute' ? 'tls' : 'tcp',
    match: rule.matches.length === 0 ? 'any' : rule.matches.map(describeStreamMatch).join(' | '),
    backends: describeBackends(rule, namespace, 'none (reset)'),
  }));
}

const RULE_COLUMNS: readonly Column<RuleRow>[] = [
  { header: 'namespace', value: (row) => row.namespace },
  { header: 'route', value: (row) => row.name },
  { header: 'kind', value: (row) => row.kind },
  { header: 'service', value: (row) => row.parents },
  { header: 'match', value: (row) => truncate(row.match, 40) },
  { header: 'backends', value: (row) => truncate(row.backends, 50) },
];

/** RouteStatus as Kubernetes writes it. */
function parentsOf(status: RouteStatus | undefined): Pick<RouteStatus, 'parents'> | null {
  return status === undefined ? null : { parents: status.parents };
}

interface StatusRow extends RuleRow {
  readonly status: string | null;
}

const STATUS_COLUMN: Column<StatusRow> = { header: 'status', value: (row) => truncate(row.status ?? '-', 40) };

/** A route that no agent has. */
function statusRow(status: RouteStatus): StatusRow {
  const parents = status.parents.map(({ parentRef }) => {
    const { namespace, name, port } = parentRef;
    return `${name}.${namespace}${port === undefined ? '' : `:${port}`}`;
  });
  const { kind, namespace, name } = status;
  const shown = {
    node: '-',
    namespace,
    name,
    kind: kind.replace(/Route$/, '').toLowerCase(),
    match: '-',
    backends: '-',
  };
  return { ...shown, parents: shortList(parents, 1), status: describeStatus(status) };
}

/** Whose traffic a policy judges. */
export function describeScope(policy: PolicyDocument): string {
  if (policy.kind === 'networkPolicy') return describeLabels('namespace', policy.podSelector.matchLabels);
  const where = policy.meshWide ? 'mesh' : 'namespace';
  if (policy.kind !== 'peerAuthentication' && policy.targetServices.length > 0) {
    return `services ${shortList(policy.targetServices, 2)}`;
  }
  return describeLabels(where, policy.selector ?? {});
}

function describeLabels(where: string, labels: Readonly<Record<string, string>>): string {
  const shown = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return shown.length === 0 ? where : `${where}: ${shown.join(',')}`;
}

/** What a policy does, in a word or two. */
function describeAction(policy: PolicyDocument): string {
  switch (policy.kind) {
    case 'authorizationPolicy':
      return policy.dryRun ? `${policy.action} (dry run)` : policy.action;
    case 'peerAuthentication':
      return policy.mode ?? 'UNSET';
    case 'requestAuthentication':
      return shortList(
        policy.jwtRules.map(({ issuer }) => issuer),
        1,
      );
    case 'networkPolicy':
      return [policy.ingress === null ? '' : 'Ingress', policy.egress === null ? '' : 'Egress']
        .filter(Boolean)
        .join(', ');
  }
}

function ruleCount(policy: PolicyDocument): number {
  switch (policy.kind) {
    case 'authorizationPolicy':
      return policy.rules.length;
    case 'peerAuthentication':
      return Object.keys(policy.portModes).length;
    case 'requestAuthentication':
      return policy.jwtRules.length;
    case 'networkPolicy':
      return (policy.ingress?.length ?? 0) + (policy.egress?.length ?? 0);
  }
}

const POLICY_KINDS: Readonly<Record<PolicyDocument['kind'], string>> = {
  authorizationPolicy: 'AuthorizationPolicy',
  peerAuthentication: 'PeerAuthentication',
  requestAuthentication: 'RequestAuthentication',
  networkPolicy: 'NetworkPolicy',
};

const POLICY_COLUMNS: readonly Column<PolicyDocument>[] = [
  { header: 'namespace', value: (policy) => policy.namespace },
  { header: 'policy', value: (policy) => policy.name },
  { header: 'kind', value: (policy) => POLICY_KINDS[policy.kind] },
  { header: 'action', value: describeAction },
  { header: 'scope', value: (policy) => truncate(describeScope(policy), 40) },
  { header: 'rules', value: ruleCount, align: 'right' },
  { header: 'pods here', value: (policy) => policy.appliesTo.length, align: 'right' },
];

async function pods(options: NamespacedOptions): Promise<void> {
  const answers = await ask<readonly PodDocument[]>(options, 'GET', '/pods');
  await printRows(options, answers, withNode(answers, options.namespace), POD_COLUMNS, 'no pod is enrolled');
}

async function services(options: NamespacedOptions): Promise<void> {
  const answers = await ask<readonly ServiceDocument[]>(options, 'GET', '/services');
  await printRows(options, answers, withNode(answers, options.namespace), SERVICE_COLUMNS, 'no services');
}

async function routes(options: RouteOptions): Promise<void> {
  const answers = await ask<readonly RouteDocument[]>(options, 'GET', '/routes');
  const statuses = await routeStatuses(options);
  const held = withNode(answers, options.namespace);
  // Refused ones, and those whose parents there are not: the controller knows of them and no agent does.
  const names = new Set(held.map(keyOfRoute));
  const others = [...(statuses?.values() ?? [])]
    .filter(({ namespace }) => options.namespace === undefined || namespace === options.namespace)
    .filter((status) => !names.has(keyOfStatus(status)));
  const rows = [
    ...held.flatMap((route) =>
      ruleRows(route).map((row) => ({ ...row, status: describeStatus(statuses?.get(keyOfRoute(route))) })),
    ),
    ...others.map(statusRow),
  ];
  const documents = [
    ...held.map((route) => ({ ...route, status: parentsOf(statuses?.get(keyOfRoute(route))) })),
    ...others.map((status) => {
      const { kind, namespace, name } = status;
      return { node: null, source: kind, namespace, name, status: parentsOf(status) };
    }),
  ];
  const columns: readonly Column<StatusRow>[] = [...RULE_COLUMNS, STATUS_COLUMN].slice(
    0,
    statuses === null ? -1 : undefined,
  );
  await printRows(options, answers, rows, columns, 'no routes', documents);
}

async function policies(options: NamespacedOptions): Promise<void> {
  const answers = await ask<readonly PolicyDocument[]>(options, 'GET', '/policies');
  await printRows(options, answers, withNode(answers, options.namespace), POLICY_COLUMNS, 'no policies');
}

function register(
  program: Command,
  name: string,
  description: string,
  examples: readonly string[],
  action: (options: NamespacedOptions) => Promise<void>,
): Command {
  const command = program.command(name).description(description);
  command.option('-n, --namespace <name>', 'only this namespace');
  return describe(addCommonOptions(command), examples).action(action);
}

export function registerMeshCommands(program: Command): void {
  register(
    program,
    'pods',
    'the pods of the node that are captured, and their traffic',
    ['weir pods', 'weir pods -n shop -o json'],
    pods,
  );
  register(
    program,
    'services',
    'the services the agent knows, their endpoints (ready/all) and routes',
    ['weir services', "weir services -o json | jq '.[] | select(.endpoints.ready == 0)'"],
    services,
  );
  register(
    program,
    'routes',
    'the routes the agent applies (HTTP, gRPC, TLS, TCP), one line per rule, and what the controller says of them',
    ['weir routes', 'weir routes -o yaml', "weir routes -o json | jq '.[].status.parents[].conditions'"],
    routes,
  ).option(
    '--controller-socket <path>',
    "the controller's admin socket (default: WEIR_CONTROLLER_SOCKET, the sandbox's, or /run/weir/controller.sock)",
  );
  register(
    program,
    'policies',
    'the policies that the agent holds, and the pods here in their scope',
    ['weir policies', 'weir policies -n shop -o yaml'],
    policies,
  );
}
