/**
 * The command line of `weir`, put together from its parts. Only what a command line needs is loaded: `weir --help` and the
 * sandbox's client commands start in the time Node takes, without gRPC, FFI or the logger.
 */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';

/** Everything after the first `--`, which belongs to a command that is run and not to weir. */
export interface CommandLine {
  readonly own: readonly string[];
  /** null: there was no `--`. */
  readonly rest: readonly string[] | null;
}

/** Splits at the first `--`. */
export function splitCommandLine(argv: readonly string[]): CommandLine {
  const at = argv.indexOf('--');
  return at < 0 ? { own: argv, rest: null } : { own: argv.slice(0, at), rest: argv.slice(at + 1) };
}

/** Adds a part's commands to the program. */
type Register = (program: Command, line: CommandLine) => void | Promise<void>;

/** Which words load which part; a part is not loaded for another one's words. */
const PARTS: readonly { readonly words: readonly string[]; readonly register: Register }[] = [
  {
    words: ['sandbox'],
    register: async (program, line) => (await import('./sandbox-command.ts')).registerSandboxCommand(program, line),
  },
  {
    words: ['agent'],
    register: async (program) => (await import('../agent/cli/agent-command.ts')).registerAgentCommand(program),
  },
  {
    words: ['controller'],
    register: async (program) => (await import('./controller-command.ts')).registerControllerCommand(program),
  },
  {
    words: ['explain'],
    register: async (program) => (await import('./explain-command.ts')).registerExplainCommand(program),
  },
  {
    words: ['analyze'],
    register: async (program) => (await import('./analyze-command.ts')).registerAnalyzeCommand(program),
  },
  { words: ['diff'], register: async (program) => (await import('./diff-command.ts')).registerDiffCommand(program) },
  { words: ['cni'], register: async (program) => (await import('./cni-command.ts')).registerCniCommand(program) },
  {
    words: ['completion'],
    register: async (program) => (await import('./completion-command.ts')).registerCompletionCommand(program),
  },
];

const EPILOGUE = `
Start here:
  weir sandbox -f shop.yaml -- curl -s http://shop/     a cluster's YAML on this machine, with the mesh, no cluster needed
  weir status                                           what the agents of this node or sandbox are doing
  weir explain --from web.shop --to echo.shop:80        where a request goes, or why it is refused
  weir analyze -f manifests/                            what is wrong with routes and policies, before they are applied

Exit status: 0 done; 1 failed or refused; 2 wrong usage; 3 agent, controller or sandbox not reachable.
\`weir sandbox -- COMMAND\` and \`weir sandbox exec\` pass on the status of what they ran (128 + n after signal n).`;

/** Builds the program with the parts that this command line can need. */
export async function buildProgram(line: CommandLine): Promise<Command> {
  const program = new Command('weir')
    .description(
      'A Kubernetes service mesh without sidecars: one agent per node, and a sandbox to try it on one machine.',
    )
    .version(version(), '-V, --version')
    .enablePositionalOptions()
    .showHelpAfterError('(weir --help lists the commands)')
    .exitOverride()
    .addHelpText('after', EPILOGUE);
  const word = line.own.find((argument) => !argument.startsWith('-'));
  const part = PARTS.find(({ words }) => word !== undefined && words.includes(word));
  // Help and completion show everything; any other word is one of the diagnostics commands or a mistake.
  const wanted = part === undefined || word === 'completion' ? PARTS : [part];
  for (const { register } of wanted) await register(program, line);
  if (part === undefined || word === 'completion') {
    (await import('../agent/cli/commands.ts')).registerNodeCommands(program);
  }
  return program;
}

/** Version of the package this file belongs to. */
function version(): string {
  // dist/cli/weir.js and cli/weir.ts are not equally deep.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      continue; // the other depth
    }
  }
  return 'unknown';
}
