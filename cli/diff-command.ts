/** `weir diff`: what another version of the files would change, in objects and in what becomes of requests. */
import { type Command, Option } from 'commander';
import { collect } from './controller-command.ts';

/** Its flags. */
export interface DiffFlags {
  readonly file?: readonly string[];
  readonly requests?: string;
  readonly rootNamespace: string;
  readonly output: 'table' | 'json' | 'yaml';
}

const OUTPUTS = ['table', 'json', 'yaml'];

/** Adds `weir diff`. */
export function registerDiffCommand(program: Command): void {
  program
    .command('diff')
    .description('compare two versions of the files: objects that differ, and requests whose fate does')
    .option('-f, --file <path>', 'the old version, then the new one: give it twice (files or folders of YAML)', collect)
    .option(
      '--requests <file>',
      'requests as JSON lines (see weir explain); without it they are made from the rules of both',
    )
    .option('--root-namespace <name>', 'policies in this namespace apply to the whole mesh', 'istio-system')
    .addOption(new Option('-o, --output <format>', `one of ${OUTPUTS.join(', ')}`).choices(OUTPUTS).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  weir diff -f main/ -f branch/
  weir diff -f main/ -f branch/ --requests recorded.jsonl -o json

Exit status: 0 no verdict differs; 1 some do; 2 usage.`,
    )
    .action(async (...given: [DiffFlags]) => (await import('./diff-run.ts')).runDiff(...given));
}
