/** `weir connections`, `weir stats`, `weir logs`: what flows through the node. */
import type { Command } from 'commander';
import { CliError, type Column, EXIT, formatTable } from '../../cli/output.ts';
import type {
  AccessLogTailDocument,
  ConnectionsDocument,
  HttpStatsDocument,
  PodStatsDocument,
  StatsDocument,
  TcpStatsDocument,
} from '../admin/api.ts';
import type { ConnectionInfo, Labels } from '../ipc/messages.ts';
import {
  addAgentOptions,
  addCommonOptions,
  ask,
  type CommonOptions,
  describe,
  endIfIncomplete,
  type NodeRow,
  outputFormat,
  printRows,
  say,
} from './command-options.ts';
import { formatBytes, formatDuration, formatLatency, shedText, truncate } from './format.ts';
import { parsePodName } from './pod-name.ts';

const CONNECTION_COLUMNS: readonly Column<ConnectionInfo>[] = [
  { header: 'pod', value: (row) => truncate(row.pod, 28) },
  { header: 'dir', value: (row) => (row.direction === 'outbound' ? 'out' : 'in') },
  { header: 'proto', value: (row) => (row.protocol === 'undecided' ? '?' : row.protocol) },
  { header: 'source', value: (row) => row.source },
  { header: 'destination', value: (row) => row.service ?? row.destination },
  { header: 'upstream', value: (row) => row.upstream },
  { header: 'state', value: (row) => row.state },
  { header: 'age', value: (row) => unlessBypassed(row, formatDuration(row.ageMs)), align: 'right' },
  { header: 'sent', value: (row) => unlessBypassed(row, formatBytes(row.bytesFromClient)), align: 'right' },
  { header: 'rcvd', value: (row) => unlessBypassed(row, formatBytes(row.bytesToClient)), align: 'right' },
];

/** The agent does not see what passes it by. */
function unlessBypassed(row: ConnectionInfo, text: string): string | null {
  return row.protocol === 'bypassed' ? null : text;
}

interface ConnectionOptions extends CommonOptions {
  readonly pod?: string;
}

async function connections(options: ConnectionOptions): Promise<void> {
  const answers = await ask<ConnectionsDocument>(options, 'GET', '/connections');
  const wanted = options.pod === undefined ? () => true : parsePodName(options.pod);
  const rows = answers.answers.flatMap(({ node, body }) =>
    body.connections.filter(({ pod }) => wanted(pod)).map((connection) => ({ node, ...connection })),
  );
  await printRows(options, answers, rows, CONNECTION_COLUMNS, 'no connections');
  for (const { node, body } of answers.answers) {
    if (body.truncated)
      throw new CliError(`node ${node} has more connections than it told, or a worker did not answer`);
  }
}

/** `checkout.shop`, or the service when the workload is not known. */
function party(labels: Labels, side: 'source' | 'destination'): string {
  const workload = labels[`${side}_workload`] ?? 'unknown';
  if (workload !== 'unknown') return `${workload}.${labels[`${side}_workload_namespace`]}`;
  return (side === 'destination' ? labels['destination_service_name'] : undefined) ?? 'unknown';
}

const HTTP_COLUMNS: readonly Column<HttpStatsDocument>[] = [
  { header: 'source', value: ({ labels }) => truncate(party(labels, 'source'), 26) },
  { header: 'destination', value: ({ labels }) => truncate(party(labels, 'destination'), 26) },
  { header: 'reporter', value: ({ labels }) => labels['reporter'] },
  { header: 'code', value: ({ labels }) => labels['response_code'] },
  { header: 'requests', value: (row) => row.requests, align: 'right' },
  { header: 'p50', value: (row) => formatLatency(row.p50Ms), align: 'right' },
  { header: 'p99', value: (row) => formatLatency(row.p99Ms), align: 'right' },
  { header: 'sent', value: (row) => formatBytes(row.requestBytes), align: 'right' },
  { header: 'rcvd', value: (row) => formatBytes(row.responseBytes), align: 'right' },
];

const TCP_COLUMNS: readonly Column<TcpStatsDocument>[] = [
  { header: 'source', value: ({ labels }) => truncate(party(labels, 'source'), 26) },
  { header: 'destination', value: ({ labels }) => truncate(party(labels, 'destination'), 26) },
  { header: 'reporter', value: ({ labels }) => labels['reporter'] },
  { header: 'opened', value: (row) => row.opened, align: 'right' },
  { header: 'open', value: (row) => row.opened - row.closed, align: 'right' },
  { header: 'to client', value: (row) => formatBytes(row.sentBytes), align: 'right' },
  { header: 'from client', value: (row) => formatBytes(row.receivedBytes), align: 'right' },
];

const POD_COLUMNS: readonly Column<PodStatsDocument>[] = [
  { header: 'namespace', value: (pod) => pod.namespace },
  { header: 'pod', value: (pod) => truncate(pod.name, 40) },
  { header: 'conns', value: (pod) => pod.connections, align: 'right' },
  { header: 'opened', value: (pod) => pod.connectionsOpened, align: 'right' },
  { header: 'refused', value: (pod) => pod.refused, align: 'right' },
  { header: 'shed', value: (pod) => shedText(pod.shed), align: 'right' },
  { header: 'held', value: (pod) => formatBytes(pod.bufferedBytes), align: 'right' },
  { header: 'requests', value: (pod) => pod.requests, align: 'right' },
  { header: 'in', value: (pod) => formatBytes(pod.bytesIn), align: 'right' },
  { header: 'out', value: (pod) => formatBytes(pod.bytesOut), align: 'right' },
  { header: 'cpu', value: (pod) => formatDuration(pod.cpuMs), align: 'right' },
];

const COUNT_COLUMNS: readonly Column<readonly [string, number]>[] = [
  { header: 'name', value: ([name]) => name },
  { header: 'count', value: ([, count]) => count, align: 'right' },
];

/** One node's counters as tables, those without rows left out. Pure. */
export function statsText(stats: StatsDocument): string {
  const sections: string[] = [];
  const section = <Row>(title: string, rows: readonly Row[], columns: readonly Column<Row>[]): void => {
    if (rows.length > 0) sections.push(`${title}\n${formatTable(rows, columns)}`);
  };
  section('HTTP requests', stats.http, HTTP_COLUMNS);
  section('TCP connections', stats.tcp, TCP_COLUMNS);
  section('Pods', stats.pods, POD_COLUMNS);
  section('Bounds that were reached', Object.entries(stats.bounds), COUNT_COLUMNS);
  section('Events', Object.entries(stats.events), COUNT_COLUMNS);
  return sections.length === 0 ? 'nothing was counted yet\n' : sections.join('\n');
}

interface StatsOptions extends CommonOptions {
  readonly prometheus?: true;
}

async function stats(options: StatsOptions): Promise<void> {
  if (options.prometheus === true) {
    await prometheus(options);
    return;
  }
  const answers = await ask<StatsDocument>(options, 'GET', '/stats');
  if (outputFormat(options) !== 'table') {
    const rows: readonly NodeRow[] = answers.answers.map(({ body }) => body);
    await printRows(options, answers, rows, [], '');
    return;
  }
  const several = answers.answers.length > 1;
  const texts = answers.answers.map(({ node, body }) => `${several ? `== ${node} ==\n\n` : ''}${statsText(body)}`);
  await say(texts.join('\n'));
  endIfIncomplete(answers);
}

async function prometheus(options: StatsOptions): Promise<void> {
  const answers = await ask<string>(options, 'GET', '/metrics');
  const [only, ...others] = answers.answers;
  if (only === undefined || others.length > 0) {
    const nodes = answers.answers.map(({ node }) => node).join(', ');
    throw new CliError(
      `Prometheus text of several nodes cannot be joined; choose one with --node: ${nodes}`,
      EXIT.usage,
    );
  }
  await say(only.body);
  endIfIncomplete(answers);
}

interface LogOptions extends CommonOptions {
  readonly access?: true;
  readonly tail: string;
}

async function logs(options: LogOptions): Promise<void> {
  if (options.access !== true) {
    throw new CliError(
      "add --access: the agent's own log is on its stderr (kubectl logs, weir sandbox logs)",
      EXIT.usage,
    );
  }
  const path = `/access-log/tail?lines=${encodeURIComponent(options.tail)}`;
  const answers = await ask<AccessLogTailDocument>(options, 'GET', path);
  for (const { body } of answers.answers) await say(body.lines.map((line) => `${line}\n`).join(''));
  endIfIncomplete(answers);
}

export function registerTrafficCommands(program: Command): void {
  const list = program.command('connections').description('connections that are open now');
  list.option('--pod <pod>', 'only those captured for this pod: NAME, NAME.NAMESPACE or NAMESPACE/NAME');
  describe(addCommonOptions(list), [
    'weir connections',
    'weir connections --pod checkout-1.shop',
    'weir connections -o json',
  ]).action(connections);

  const counters = program
    .command('stats')
    .description('requests, connections, latency and CPU, counted since the agent started');
  counters.option('--prometheus', 'as Prometheus text, all metrics');
  describe(addCommonOptions(counters), [
    'weir stats',
    'weir stats --prometheus --node node-1',
    'weir stats -o json',
  ]).action(stats);

  const access = program.command('logs').description('the newest lines of the access log');
  access
    .option('--access', 'the access log (one JSON line per request or connection)')
    .option('--tail <lines>', 'how many', '100');
  describe(addAgentOptions(access), [
    "weir logs --access --tail 20 | jq 'select(.status >= 400)'",
    'weir access-log all',
  ]).action(logs);
}
