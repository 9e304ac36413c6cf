/** What `weir diff` does: both versions in this process, the same requests to both. */
import { readFileSync } from 'node:fs';
import { type Decision, explain, refusedQuestion } from '../mesh/explain.ts';
import { type ParsedRequest, parseExplainRequest } from '../mesh/explain-request.ts';
import { likelyRequests } from '../mesh/likely-requests.ts';
import { keyOf, MESH_KINDS, type MeshResource } from '../mesh/model.ts';
import type { MeshState } from '../mesh/state.ts';
import { sameJson } from '../mesh/validate.ts';
import { readOfflineMesh } from './offline-mesh.ts';
import { CliError, type Column, EXIT, formatDocument, formatTable, write } from './output.ts';
import type { DiffFlags } from './diff-command.ts';

/** Requests made up when none are given: enough to touch every rule of an ordinary mesh. */
const GENERATED_MAX = 20_000;
/** Pods come and go by themselves: their changes are none of the configuration's. */
const KINDS = MESH_KINDS.filter((kind) => kind !== 'workload');

interface ObjectChange {
  readonly change: 'added' | 'removed' | 'changed';
  readonly kind: string;
  readonly key: string;
}

interface VerdictChange {
  readonly request: string;
  readonly before: Decision;
  readonly after: Decision;
}

/** Prints what differs and sets the exit status. */
export async function runDiff(flags: DiffFlags): Promise<void> {
  const [older, newer, ...more] = flags.file ?? [];
  if (older === undefined || newer === undefined || more.length > 0) {
    throw new CliError('give -f twice: the old version, then the new one', EXIT.usage);
  }
  const recorded = flags.requests === undefined ? null : readRequests(flags.requests);
  const destinations = (recorded ?? []).flatMap((each) => (each.ok ? [each.request.destination] : []));
  const options = { rootNamespace: flags.rootNamespace, destinations };
  const [before, after] = [readOfflineMesh([older], options).state, readOfflineMesh([newer], options).state];
  const questions = recorded ?? generated(before, after);
  const objects = objectChanges(before, after);
  const verdicts = questions.flatMap((question) => verdictChange(before, after, question) ?? []);
  const document = { objects, requests: questions.length, verdicts };
  if (flags.output === 'table') await printTables(objects, verdicts, questions.length);
  else await write(process.stdout, await formatDocument(document, flags.output));
  if (verdicts.length > 0) process.exitCode = EXIT.failure;
}

function readRequests(file: string): ParsedRequest[] {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new CliError(`--requests ${file}: ${(error as Error).message}`, EXIT.usage);
  }
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(parseExplainRequest);
}

/** Of both versions, so that what only one of them has is asked about too. */
function generated(before: MeshState, after: MeshState): ParsedRequest[] {
  const all = [...likelyRequests(before, GENERATED_MAX), ...likelyRequests(after, GENERATED_MAX)];
  const seen = new Set<string>();
  return all.flatMap((request): ParsedRequest[] => {
    const key = JSON.stringify({ ...request, id: '' });
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ ok: true, request: { ...request, id: String(seen.size) } }];
  });
}

function objectChanges(before: MeshState, after: MeshState): ObjectChange[] {
  const changes: ObjectChange[] = [];
  for (const kind of KINDS) {
    const old = byKey(before.list(kind));
    const now = byKey(after.list(kind));
    for (const key of [...new Set([...old.keys(), ...now.keys()])].sort()) {
      const [was, is] = [old.get(key), now.get(key)];
      if (was === undefined) changes.push({ change: 'added', kind, key });
      else if (is === undefined) changes.push({ change: 'removed', kind, key });
      else if (!sameJson(was, is)) changes.push({ change: 'changed', kind, key });
    }
  }
  return changes;
}

function byKey(resources: readonly MeshResource[]): ReadonlyMap<string, MeshResource> {
  return new Map(resources.map((resource) => [keyOf(resource).key, resource]));
}

/** null: it is treated the same. */
function verdictChange(before: MeshState, after: MeshState, question: ParsedRequest): VerdictChange | null {
  const [was, is] = [decide(before, question), decide(after, question)];
  const fate = ({ verdict, status, path, host, backend, headers }: Decision): unknown => ({
    verdict,
    status,
    path,
    host,
    backend,
    headers,
  });
  if (sameJson(fate(was), fate(is))) return null;
  return { request: question.ok ? describeQuestion(question) : question.id, before: was, after: is };
}

function decide(mesh: MeshState, question: ParsedRequest): Decision {
  return question.ok ? explain(mesh, question.request) : refusedQuestion(question.id, question.error);
}

function describeQuestion({ request }: Extract<ParsedRequest, { ok: true }>): string {
  const { source, destination, http } = request;
  const from = source.identity === null ? 'anybody' : `${source.identity.namespace}/${source.identity.serviceAccount}`;
  const host = destination.serviceHost === '' ? destination.ip : destination.serviceHost;
  const what = http === null ? 'tcp' : `${http.method} ${http.target}`;
  return `${from} → ${host}:${destination.port} ${what}`;
}

const OBJECT_COLUMNS: readonly Column<ObjectChange>[] = [
  { header: 'change', value: ({ change }) => change },
  { header: 'kind', value: ({ kind }) => kind },
  { header: 'object', value: ({ key }) => key },
];

const VERDICT_COLUMNS: readonly Column<VerdictChange>[] = [
  { header: 'request', value: ({ request }) => request },
  { header: 'before', value: ({ before }) => fateText(before) },
  { header: 'after', value: ({ after }) => fateText(after) },
  { header: 'because', value: ({ after }) => after.because },
];

function fateText({ verdict, status, backend }: Decision): string {
  return [verdict, status, backend].filter((part) => part !== null).join(' ');
}

async function printTables(
  objects: readonly ObjectChange[],
  verdicts: readonly VerdictChange[],
  requests: number,
): Promise<void> {
  if (objects.length > 0) await write(process.stdout, `${formatTable(objects, OBJECT_COLUMNS)}\n`);
  if (verdicts.length > 0) await write(process.stdout, formatTable(verdicts, VERDICT_COLUMNS));
  await write(
    process.stderr,
    `${objects.length} objects differ; ${verdicts.length} of ${requests} requests are treated differently\n`,
  );
}
