/** The flags all diagnostics commands share, and how a command asks, prints and ends. */
import { type Command, Option } from 'commander';
import {
  CliError,
  type Column,
  EXIT,
  OUTPUT_FORMATS,
  type OutputFormat,
  parseOutputFormat,
  print,
  write,
} from '../../cli/output.ts';
import { defaultAgentSockets } from '../../cli/sandbox-registry.ts';
import { type AgentAnswers, askAgents, socketsOfNode } from './agent-client.ts';

export interface CommonOptions {
  readonly socket?: readonly string[];
  readonly node?: string;
  readonly output: string;
}

/** Examples below the help, and the exit statuses. */
export function describe(command: Command, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join('\n');
  return command.addHelpText(
    'after',
    `\nExamples:\n${lines}\n\nExit status: 0 done, 1 the answer is no, 2 usage, 3 agent unreachable.`,
  );
}

/** --socket and --node: which agents to ask. */
export function addAgentOptions(command: Command): Command {
  return command
    .option(
      '--socket <path>',
      'admin socket of an agent; repeatable (default: WEIR_SOCKET, the sandbox, or /run/weir/agent.sock)',
      (path: string, all: readonly string[] | undefined) => [...(all ?? []), path],
    )
    .option('--node <name>', 'only the agent of this node');
}

/** Those, and -o. */
export function addCommonOptions(command: Command): Command {
  return addAgentOptions(command).addOption(
    new Option('-o, --output <format>', `one of ${OUTPUT_FORMATS.join(', ')}`).default('table'),
  );
}

/** Which sockets to ask; throws CliError (usage) when that is not clear. */
async function socketsFor(options: Pick<CommonOptions, 'socket' | 'node'>): Promise<readonly string[]> {
  const sockets = options.socket ?? defaultSockets();
  return options.node === undefined ? sockets : socketsOfNode(sockets, options.node);
}

function defaultSockets(): readonly string[] {
  try {
    return defaultAgentSockets();
  } catch (error) {
    throw new CliError((error as Error).message, EXIT.usage);
  }
}

/** Asks all agents the options name. */
export async function ask<T>(
  options: CommonOptions,
  method: string,
  path: string,
  body?: unknown,
): Promise<AgentAnswers<T>> {
  return askAgents<T>(await socketsFor(options), method, path, body);
}

export interface NodeRow {
  readonly node: string;
}

/**
 * Prints rows of one or several agents: a NODE column when there are several, the rows themselves for programs. Ends with
 * EXIT.unreachable, after printing, when some agent did not answer.
 */
export async function printRows<Row extends NodeRow>(
  options: CommonOptions,
  answers: AgentAnswers<unknown>,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  empty: string,
  document: unknown = rows,
): Promise<void> {
  const several = answers.answers.length > 1;
  const node: Column<Row> = { header: 'node', value: (row) => row.node };
  await print({ rows, columns: several ? [node, ...columns] : columns, document, empty }, outputFormat(options));
  endIfIncomplete(answers);
}

export function outputFormat(options: CommonOptions): OutputFormat {
  return parseOutputFormat(options.output);
}

/** Throws when an agent did not answer; the others' answers have been printed by then. */
export function endIfIncomplete(answers: AgentAnswers<unknown>): void {
  const failures = answers.failures;
  if (failures.length === 0) return;
  const code = failures.some((failure) => failure.exitCode === EXIT.unreachable) ? EXIT.unreachable : EXIT.failure;
  throw new CliError(failures.map((failure) => failure.message).join('\n'), code);
}

/** Text for people on stdout. */
export function say(text: string): Promise<void> {
  return write(process.stdout, text);
}
