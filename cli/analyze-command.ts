/** `weir analyze`: everything that is wrong, or probably not meant, in files or in what a controller holds. */
import { type Command, Option } from 'commander';
import { collect } from './controller-command.ts';

/** Its flags. */
export interface AnalyzeFlags {
  readonly file?: readonly string[];
  readonly cluster?: string | true;
  readonly rootNamespace: string;
  readonly failOn: 'error' | 'warning' | 'never';
  readonly output: 'table' | 'json' | 'yaml' | 'sarif';
}

const OUTPUTS = ['table', 'json', 'yaml', 'sarif'];

/** Adds `weir analyze`. */
export function registerAnalyzeCommand(program: Command): void {
  program
    .command('analyze')
    .description('find what is wrong, or probably not meant, in routes and policies; for people and for CI')
    .option('-f, --file <path>', 'file or folder of YAML (repeatable; - is stdin)', collect)
    .option(
      '--cluster [socket]',
      "what a running controller holds (default: the sandbox's, or /run/weir/controller.sock)",
    )
    .option('--root-namespace <name>', 'with -f: policies in this namespace apply to the whole mesh', 'istio-system')
    .addOption(
      new Option('--fail-on <severity>', 'the least severe finding that makes the exit status 1')
        .choices(['error', 'warning', 'never'])
        .default('error'),
    )
    .addOption(new Option('-o, --output <format>', `one of ${OUTPUTS.join(', ')}`).choices(OUTPUTS).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  weir analyze -f manifests/
  weir analyze -f manifests/ --fail-on warning -o sarif > weir.sarif
  kubectl get httproute,authorizationpolicy,service,pod -A -o yaml | weir analyze -f -
  weir analyze --cluster

Exit status: 0 nothing as severe as --fail-on; 1 something is; 2 usage; 3 controller unreachable.`,
    )
    .action(async (...given: [AnalyzeFlags]) => (await import('./analyze-run.ts')).runAnalyze(...given));
}
