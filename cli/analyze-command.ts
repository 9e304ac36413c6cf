/** `weir analyze`: everything that is wrong, or probably not meant, in files or in what a controller holds. */
import { type Command, Option } from 'commander';
import { compareFindings, type Finding, formatFieldPath } from '../controlplane/finding.ts';
import { objectKey } from '../controlplane/config/objects.ts';
import { type AnalysisFinding, analyze } from '../mesh/analyze.ts';
import { collect } from './controller-command.ts';
import { controllerFindings, controllerMesh } from './controller-mesh.ts';
import { type OfflineMesh, readOfflineMesh } from './offline-mesh.ts';
import { CliError, EXIT, formatDocument, write } from './output.ts';
import { sarifLog } from './sarif.ts';

interface AnalyzeFlags {
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
    .action(run);
}

async function run(flags: AnalyzeFlags): Promise<void> {
  if ((flags.file === undefined) === (flags.cluster === undefined)) {
    throw new CliError('give -f PATH, or --cluster (one of them)', EXIT.usage);
  }
  const findings = flags.file === undefined ? await ofController(flags) : ofFiles(flags.file, flags.rootNamespace);
  await print(findings, flags.output);
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const bad = flags.failOn === 'never' ? 0 : flags.failOn === 'error' ? errors : findings.length;
  if (bad > 0) process.exitCode = EXIT.failure;
}

function ofFiles(paths: readonly string[], rootNamespace: string): readonly Finding[] {
  const mesh = readOfflineMesh(paths, { rootNamespace, destinations: [] });
  const more = analyze(mesh.state).map((finding) => placed(finding, mesh));
  return [...mesh.findings, ...more].sort(compareFindings);
}

async function ofController(flags: AnalyzeFlags): Promise<readonly Finding[]> {
  const socket = typeof flags.cluster === 'string' ? flags.cluster : null;
  const findings = await controllerFindings(socket);
  const state = await controllerMesh(socket);
  return [...findings, ...analyze(state).map((finding) => placed(finding, null))];
}

/** The finding where the object stands; without files it has no place. */
function placed(finding: AnalysisFinding, mesh: OfflineMesh | null): Finding {
  const { code, kind, namespace, name, path, reason, remedy } = finding;
  const object = objectKey(kind, namespace, name);
  const accepted = mesh?.accepted.get(object);
  const origin = accepted !== undefined && 'origin' in accepted ? accepted.origin : null;
  const position = origin?.locate(path, 'value') ?? { file: '', line: 0 };
  return { severity: 'warning', code, ...position, object, field: formatFieldPath(path), reason, remedy };
}

async function print(findings: readonly Finding[], output: AnalyzeFlags['output']): Promise<void> {
  if (output === 'sarif') return write(process.stdout, `${JSON.stringify(sarifLog(findings), null, 2)}\n`);
  if (output !== 'table') return write(process.stdout, await formatDocument({ findings }, output));
  for (const finding of findings) await write(process.stdout, findingText(finding));
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  await write(process.stderr, findings.length === 0 ? 'nothing found\n' : `${errors} errors, ${warnings} warnings\n`);
}

/** Like a compiler's, so that editors find the place. */
function findingText({ severity, code, file, line, object, field, reason, remedy }: Finding): string {
  const where = file === '' ? '' : `${file}${line > 0 ? `:${line}` : ''}: `;
  const what = [object, field].filter((part) => part !== '').join(' ');
  const text = `${where}${severity} ${code}: ${what === '' ? '' : `${what}: `}${reason}`;
  // Names and reasons come from other people's files: a control character must not reach the terminal.
  return `${text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')}\n    fix: ${remedy.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')}\n`;
}
