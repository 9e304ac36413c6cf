/** `weir status`: is this node's agent all right? */
import { type Command, Option } from 'commander';
import { CliError, type Column, EXIT, formatTable } from '../../cli/output.ts';
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
  { header: 'ready', value: (row) => (row.ready ? 'yes' : row.draining ? 'DRAINING' : 'NO') },
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
  const lines: string[] = [...status.notReady, ...predecessorRemarks(status)];
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
  lines.push(...bypassRemarks(status.bypass));
  lines.push(...nameRemarks(status.names));
  for (const worker of status.workers) {
    if (worker.lastExit !== null) {
      lines.push(`worker ${worker.worker} restarted ${worker.restarts} time(s); last: ${worker.lastExit}`);
    }
  }
  for (const [bound, hits] of Object.entries(status.bounds)) lines.push(`bound ${bound} was reached ${hits} time(s)`);
  for (const error of status.errors) lines.push(`${error.time} ${error.message}`);
  return lines;
}

/** Nothing while nobody has asked for it. */
function bypassRemarks({ state, reason, pods, entries, omitted }: StatusDocument['bypass']): string[] {
  if (state === 'off') {
    const left = pods === 0 ? '' : ` (${pods} pod(s) keep its rules, with ${entries} entries)`;
    return reason === null || (reason.startsWith('not asked for') && pods === 0)
      ? []
      : [`bypass is off: ${reason}${left}`];
  }
  if (state === 'unavailable') return [`bypass is asked for and not possible here: ${reason}`];
  const rest = omitted === 0 ? '' : `, ${omitted} more did not fit`;
  const problem = reason === null ? '' : `; not in every pod: ${reason}`;
  return [`bypass: ${entries} destination(s) in ${pods} pod(s)${rest}${problem}`];
}

function nameRemarks(names: StatusDocument['names'] | undefined): string[] {
  // An older agent does not send the field.
  if (names === undefined) return [];
  return names.problems.map(({ name, addresses, problem }) => {
    const told = addresses === 0 ? 'requests to it get 503' : `${addresses} address(es) of its last answer are used`;
    return `host name ${name}: ${problem}; ${told}`;
  });
}

function predecessorRemarks({ predecessor }: StatusDocument): string[] {
  // An older agent does not send the field.
  if (!predecessor) return [];
  const { pid, version, answers, draining } = predecessor;
  const who = `the agent before${pid === null ? '' : ` (pid ${pid}, ${version})`}`;
  if (!answers) return [`${who} hangs: it does not answer, and its workers still serve their share; end it`];
  if (draining === null) return [];
  const left = formatDuration(draining.leftMs);
  return [`${who} drains: ${draining.connections} connection(s) left, ${left} to the deadline`];
}

interface StatusOptions extends CommonOptions {
  readonly ready?: boolean;
  readonly instance?: string;
}

/** Throws CliError (the answer is no) unless every agent is ready, and is the wanted instance. */
function expectReady(statuses: readonly StatusDocument[], instance: string | undefined): void {
  const wrong = statuses.flatMap(({ node, ready, notReady, instance: found }) => {
    if (instance !== undefined && found !== instance) return [`${node}: another agent is in charge (${found})`];
    return ready ? [] : [`${node}: not ready: ${notReady.join('; ')}`];
  });
  if (wrong.length > 0) throw new CliError(wrong.join('\n'), EXIT.failure);
}

async function run(options: StatusOptions): Promise<void> {
  const answers: AgentAnswers<StatusDocument> = await ask<StatusDocument>(options, 'GET', '/status');
  const documents = answers.answers.map((answer) => answer.body);
  if (outputFormat(options) !== 'table') {
    await printRows(options, answers, documents, [], '');
    if (options.ready === true) expectReady(documents, options.instance);
    return;
  }
  await say(formatTable(documents, COLUMNS));
  for (const status of documents) {
    const lines = remarks(status);
    if (lines.length > 0) await say(`\n${status.node}:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  }
  endIfIncomplete(answers);
  if (options.ready === true) expectReady(documents, options.instance);
}

export function registerStatusCommand(program: Command): void {
  const command = program
    .command('status')
    .description("the agents' state: pods, workers, controller, configuration, and what needs attention");
  addCommonOptions(command)
    .option('--ready', 'exit with 1 unless every agent is ready, for probes')
    .addOption(
      new Option('--instance <id>', 'with --ready: it must be this agent, not the one it is about to replace').env(
        'WEIR_INSTANCE',
      ),
    );
  describe(command, [
    'weir status',
    'weir status --ready',
    "weir status -o json | jq '.[].workers[].pid'",
    'weir status --node node-1 -o yaml',
  ]).action((options: StatusOptions) => run(options));
}
