/** `weir capture verify`, `weir log-level`, `weir access-log`: commands that do something on the node. */
import { Argument, type Command } from 'commander';
import { CliError, type Column, EXIT } from '../../cli/output.ts';
import type { AccessLogDocument, LogLevelDocument, PodDocument, VerifyCheck, VerifyDocument } from '../admin/api.ts';
import { ACCESS_LOG_MODES, LOG_LEVELS } from '../admin/choices.ts';
import { type AgentAnswer, type AgentAnswers, askAgent } from './agent-client.ts';
import { addCommonOptions, ask, type CommonOptions, describe, type NodeRow, printRows } from './command-options.ts';
import { truncate } from './format.ts';
import { parsePodName } from './pod-name.ts';

interface PodOnNode {
  readonly socket: string;
  readonly node: string;
  readonly key: string;
}

interface VerifyOptions extends CommonOptions {
  readonly all?: true;
}

interface CheckRow extends NodeRow, VerifyCheck {
  readonly pod: string;
}

const CHECK_COLUMNS: readonly Column<CheckRow>[] = [
  { header: 'pod', value: (row) => truncate(row.pod, 40) },
  { header: 'check', value: (row) => row.check },
  { header: 'result', value: (row) => (row.skipped ? 'skipped' : row.ok ? 'ok' : 'FAILED') },
  { header: 'detail', value: (row) => row.detail },
];

async function choosePods(
  pod: string | undefined,
  options: VerifyOptions,
): Promise<[AgentAnswers<unknown>, PodOnNode[]]> {
  if ((pod === undefined) === (options.all !== true)) {
    throw new CliError('name one pod (NAME.NAMESPACE), or give --all', EXIT.usage);
  }
  const wanted = pod === undefined ? () => true : parsePodName(pod);
  const answers = await ask<readonly PodDocument[]>(options, 'GET', '/pods');
  const all = answers.answers.flatMap(({ socket, node, body }) =>
    body.map(({ namespace, name }) => ({ socket, node, key: `${namespace}/${name}` })),
  );
  const chosen = all.filter(({ key }) => wanted(key));
  if (pod !== undefined && chosen.length > 1) {
    const names = chosen.map(({ key }) => key).join(', ');
    throw new CliError(`pod ${pod} is ambiguous: ${names}; write NAMESPACE/NAME`, EXIT.usage);
  }
  if (pod !== undefined && chosen.length === 0) {
    throw new CliError(`pod ${pod} is not enrolled on the nodes asked; \`weir pods\` lists those that are`);
  }
  return [answers, chosen];
}

async function verify(pod: string | undefined, options: VerifyOptions): Promise<void> {
  const [answers, chosen] = await choosePods(pod, options);
  const verified: AgentAnswer<VerifyDocument>[] = [];
  // One after the other: each takes a moment in the pod's namespace, and a whole node at once would be a burst.
  for (const { socket, key } of chosen) {
    verified.push(await askAgent<VerifyDocument>(socket, 'POST', `/capture/verify?pod=${encodeURIComponent(key)}`));
  }
  const documents = verified.map(({ node, body }) => ({ node, ...body }));
  const rows = documents.flatMap(({ node, namespace, name, checks }) =>
    checks.map((check): CheckRow => ({ node, pod: `${namespace}/${name}`, ...check })),
  );
  const failed = documents.filter((document) => !document.ok).map(({ namespace, name }) => `${namespace}/${name}`);
  await printRows(options, answers, rows, CHECK_COLUMNS, 'no pod is enrolled', documents);
  if (failed.length > 0) throw new CliError(`not captured as they should be: ${failed.join(', ')}`);
}

async function setting<Document>(
  options: CommonOptions,
  path: string,
  body: Document | null,
  column: Column<Document>,
): Promise<void> {
  const answers = await (body === null
    ? ask<Document>(options, 'GET', path)
    : ask<Document>(options, 'PUT', path, body));
  const rows = answers.answers.map((answer) => ({ node: answer.node, ...answer.body }));
  await printRows(options, answers, rows, [column], '');
}

export function registerControlCommands(program: Command): void {
  const capture = program.command('capture').description("the capture of pods' traffic");
  const command = capture
    .command('verify')
    .description('prove from inside the pod that its traffic, both ways, IPv4 and IPv6, reaches the agent')
    .argument('[pod]', 'NAME, NAME.NAMESPACE or NAMESPACE/NAME')
    .option('--all', 'every pod of the node');
  describe(addCommonOptions(command), [
    'weir capture verify checkout-1.shop',
    'weir capture verify --all -o json',
  ]).action(verify);

  const level = program
    .command('log-level')
    .description("show or change the agents' log level, without a restart")
    .addArgument(new Argument('[level]', 'the new level; none: show it').choices(LOG_LEVELS));
  describe(addCommonOptions(level), ['weir log-level', 'weir log-level debug --node node-1']).action(
    (chosen: LogLevelDocument['level'] | undefined, options: CommonOptions) =>
      setting<LogLevelDocument>(options, '/log-level', chosen === undefined ? null : { level: chosen }, {
        header: 'log level',
        value: (row) => row.level,
      }),
  );

  const access = program
    .command('access-log')
    .description('show or change what the access log holds: nothing, what failed or was denied, or everything')
    .addArgument(new Argument('[mode]', 'the new mode; none: show it').choices(ACCESS_LOG_MODES));
  describe(addCommonOptions(access), ['weir access-log', 'weir access-log all --node node-1']).action(
    (chosen: AccessLogDocument['mode'] | undefined, options: CommonOptions) =>
      setting<AccessLogDocument>(options, '/access-log', chosen === undefined ? null : { mode: chosen }, {
        header: 'access log',
        value: (row) => row.mode,
      }),
  );
}
