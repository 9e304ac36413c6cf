/** What `weir analyze` does: finds, places and prints. */
import { compareFindings, type Finding, formatFieldPath } from '../controlplane/finding.ts';
import { objectKey } from '../controlplane/config/objects.ts';
import { type AnalysisFinding, analyze } from '../mesh/analyze.ts';
import { controllerFindings, controllerMesh } from './controller-mesh.ts';
import { type OfflineMesh, readOfflineMesh } from './offline-mesh.ts';
import { CliError, EXIT, formatDocument, write } from './output.ts';
import { sarifLog } from './sarif.ts';
import type { AnalyzeFlags } from './analyze-command.ts';

/** Prints what is found and sets the exit status. */
export async function runAnalyze(flags: AnalyzeFlags): Promise<void> {
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
