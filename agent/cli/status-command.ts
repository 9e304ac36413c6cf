/** `weir status`: is this node's agent all right? */
import type { Command } from 'commander';
import { type Column, formatTable } from '../../cli/output.ts';
import type { StatusDocument } from '../admin/api.ts';
import type { AgentAnswers } from './agent-client.ts';
import {
  addCommonOptions,
  ask,
  type CommonOptions,
  describe,
  endIfIncomplete,
  outputFormat,
  printRows,
  say,
} from './command-options.ts';
import { formatBytes, formatDuration } from './format.ts';

const COLUMNS: readonly Column<StatusDocument>[] = [
  { header: 'node', value: (row) => row.node },
  { header: 'ready', value: (row) => (row.ready ? 'yes' : 'NO') },
  { header: 'pods', value: (row) => `${row.pods.captured}/${row.pods.count}` },
  { header: 'workers', value: workers },
  { header: 'restarts', value: (row) => row.workers.reduce((sum, worker) => sum + worker.restarts, 0), align: 'right' },
  { header: 'controller', value: controller },
  { header: 'config', value: (row) => row.controller.version },
  { header: 'services', value: (row) => row.mesh.services, align: 'right' },
  { header: 'routes', value: ({ mesh }) => mesh.httpRoutes + mesh.tlsRoutes + mesh.tcpRoutes, align: 'right' },
  { header: 'policies', value: (row) => row.mesh.authorizationPolicies, align: 'right' },
  { header: 'memory', value: memory, align: 'right' },
  { header: 'uptime', value: (row) => formatDuration(row.uptimeMs), align: 'right' },
];

function workers(row: StatusDocument): string {
  return `${row.workers.filter((worker) => worker.state === 'serving').length}/${row.workers.length}`;
}

function controller(row: StatusDocument): string {
  return row.controller.connected ? 'connected' : 'AWAY';
}

/** Proportional where the kernel tells it, else resident (which counts shared pages once per process). */
function memory(row: StatusDocument): string {
  const all = [row.supervisor, ...row.workers].map(({ pssBytes, rssBytes }) => pssBytes ?? rssBytes ?? 0);
  return formatBytes(all.reduce((sum, bytes) => sum + bytes, 0));
}

/** What a person should look at, one line each; empty when all is well. Pure. */
export function remarks(status: StatusDocument): string[] {
  const lines: string[] = [...status.notReady];
  const { connected, address, lastError, nacks, since } = status.controller;
  if (!connected) {
    const when = since === null ? '' : ` since ${since}`;
    const why = lastError === null ? '' : `: ${lastError}`;
    const age = status.snapshot.ageMs === null ? 'none stored' : `${formatDuration(status.snapshot.ageMs)} old`;
    lines.push(`controller ${address} is away${when}${why} (stored configuration: ${age})`);
  }
  for (const nack of nacks) lines.push(`refused from the controller: ${nack.resource}: ${nack.error}`);
  if (status.pods.unhealthy > 0)
    lines.push(`${status.pods.unhealthy} pod(s) not captured as they should be: weir pods`);
  for (const worker of status.workers) {
    if (worker.lastExit !== null) {
      lines.push(`worker ${worker.worker} restarted ${worker.restarts} time(s); last: ${worker.lastExit}`);
    }
  }
  for (const [bound, hits] of Object.entries(status.bounds)) lines.push(`bound ${bound} was reached ${hits} time(s)`);
  for (const error of status.errors) lines.push(`${error.time} ${error.message}`);
  return lines;
}

async function run(options: CommonOptions): Promise<void> {
  const answers: AgentAnswers<StatusDocument> = await ask<StatusDocument>(options, 'GET', '/status');
  const documents = answers.answers.map((answer) => answer.body);
  if (outputFormat(options) !== 'table') {
    await printRows(options, answers, documents, [], '');
    return;
  }
  await say(formatTable(documents, COLUMNS));
  for (const status of documents) {
    const lines = remarks(status);
    if (lines.length > 0) await say(`\n${status.node}:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  }
  endIfIncomplete(answers);
}

export function registerStatusCommand(program: Command): void {
  const command = program
    .command('status')
    .description("the agents' state: pods, workers, controller, configuration, and what needs attention");
  describe(addCommonOptions(command), [
    'weir status',
    "weir status -o json | jq '.[].workers[].pid'",
    'weir status --node node-1 -o yaml',
  ]).action((options: CommonOptions) => run(options));
}
