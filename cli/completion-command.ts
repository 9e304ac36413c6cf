/**
 * `weir completion`: shell scripts made from the commands themselves, so that they cannot be out of date. They complete
 * commands, subcommands and options; file names are the shell's.
 */
import type { Command } from 'commander';
import { CliError, EXIT, write } from './output.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** One command and what may follow it. */
export interface CompletionNode {
  /** Words from the program's name on, e.g. `weir sandbox exec`. */
  readonly path: string;
  readonly description: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  /** Long and short flags. */
  readonly options: readonly { readonly flags: readonly string[]; readonly description: string }[];
}

/** Adds `weir completion bash|zsh|fish`. */
export function registerCompletionCommand(program: Command): void {
  program
    .command('completion <shell>')
    .description('print a completion script for bash, zsh or fish')
    .addHelpText(
      'after',
      `
Examples:
  weir completion bash > ~/.local/share/bash-completion/completions/weir
  weir completion zsh > "\${fpath[1]}/_weir"
  weir completion fish > ~/.config/fish/completions/weir.fish`,
    )
    .action(async (shell: string) => {
      await write(process.stdout, completionScript(shell, collectNodes(program)));
    });
}

/** Every command of the tree, the program first. */
export function collectNodes(command: Command, path: string = command.name()): CompletionNode[] {
  const commands = command.commands.filter((child) => !child.name().startsWith('_'));
  const node: CompletionNode = {
    path,
    description: firstSentence(command.description()),
    commands: commands.map((child) => ({ name: child.name(), description: firstSentence(child.description()) })),
    options: [...command.options, { short: '-h', long: '--help', description: 'show help' }].map((option) => ({
      flags: [option.long, option.short].filter((flag): flag is string => typeof flag === 'string'),
      description: firstSentence(option.description),
    })),
  };
  return [node, ...commands.flatMap((child) => collectNodes(child, `${path} ${child.name()}`))];
}

/** The script; throws CliError for another shell. */
export function completionScript(shell: string, nodes: readonly CompletionNode[]): string {
  switch (shell) {
    case 'bash':
      return bashScript(nodes);
    case 'zsh':
      // zsh runs bash's completion functions; one script to keep right.
      return `#compdef weir\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(nodes)}`;
    case 'fish':
      return fishScript(nodes);
    default:
      throw new CliError(`no completion for ${shell}; write one of ${SHELLS.join(', ')}`, EXIT.usage);
  }
}

function bashScript(nodes: readonly CompletionNode[]): string {
  const cases = nodes.map(({ path, commands, options }) => {
    const words = [...commands.map(({ name }) => name), ...options.flatMap(({ flags }) => flags)];
    return `    ${quote(path)}) words=${quote(words.join(' '))} ;;`;
  });
  const paths = nodes.map(({ path }) => quote(path)).join('|');
  return `# bash completion for weir
_weir() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path=weir words="" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [[ "$word" == -- ]] && { COMPREPLY=($(compgen -A command -A file -- "$current")); return; }
    case "$path $word" in ${paths}) path="$path $word" ;; esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ \${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -A file -- "$current"))
}
complete -o filenames -F _weir weir
`;
}

function fishScript(nodes: readonly CompletionNode[]): string {
  const lines = ['# fish completion for weir', 'complete -c weir -f'];
  for (const { path, commands, options } of nodes) {
    const words = path.split(' ').slice(1);
    const inside = words.map((word) => `__fish_seen_subcommand_from ${word}`);
    const nested = commands.map(({ name }) => name).join(' ');
    const notDeeper = nested === '' ? [] : [`not __fish_seen_subcommand_from ${nested}`];
    const condition = [...inside, ...notDeeper].join('; and ');
    const when = condition === '' ? '' : ` -n ${quote(condition)}`;
    for (const { name, description } of commands)
      lines.push(`complete -c weir${when} -a ${name} -d ${quote(description)}`);
    for (const { flags, description } of options) {
      const named = flags
        .map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(' ');
      lines.push(`complete -c weir${when} ${named} -d ${quote(description)}`);
    }
  }
  lines.push(`complete -c weir -n '__fish_seen_subcommand_from sandbox' -F`);
  return `${lines.join('\n')}\n`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function firstSentence(text: string): string {
  return text.split(/[:;\n]/)[0] ?? '';
}
