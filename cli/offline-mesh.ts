/**
 * A mesh from files, without any process: what a controller would make of them, in this process. Pods that only a Deployment
 * or the like describes are made up from its template, so that selectors find them.
 */
import { readFileSync, statSync } from 'node:fs';
import { MeshLinker } from '../controlplane/config/linker.ts';
import { type FileChange, ObjectStore } from '../controlplane/config/object-store.ts';
import type { AcceptedObject, ObjectKey } from '../controlplane/config/objects.ts';
import { compareFindings, type Finding } from '../controlplane/finding.ts';
import { readYamlFile } from '../controlplane/sources/file-reader.ts';
import { limits } from '../controlplane/limits.ts';
import { listSources } from '../controlplane/sources/folder-listing.ts';
import { parseYaml, type SourceDocument } from '../controlplane/sources/yaml-document.ts';
import type { ExplainDestination } from '../mesh/explain-request.ts';
import { MeshState } from '../mesh/state.ts';
import { CliError, EXIT } from './output.ts';
import { podsOfTemplates } from './workload-templates.ts';

/** What files come to. */
export interface OfflineMesh {
  readonly state: MeshState;
  /** What is wrong with the files, in the order of files and lines. */
  readonly findings: readonly Finding[];
  readonly accepted: ReadonlyMap<ObjectKey, AcceptedObject>;
  readonly files: readonly string[];
}

export interface OfflineOptions {
  readonly rootNamespace: string;
  /** Workloads that questions are about and that need not stand in the files. */
  readonly destinations: readonly ExplainDestination[];
}

/** The name under which standard input is read. */
const STDIN = '-';

/** Reads files and folders (`-`: standard input); throws CliError (usage) for one that does not exist. */
export function readOfflineMesh(paths: readonly string[], options: OfflineOptions): OfflineMesh {
  const changes = paths.flatMap((path) => (path === STDIN ? [readStdin()] : readPath(path)));
  const documents = changes.flatMap((change) => (change.type === 'parsed' ? change.documents : []));
  const made = podsOfTemplates(documents, options.destinations);
  const store = new ObjectStore({ rootNamespace: options.rootNamespace });
  const linker = new MeshLinker(options.rootNamespace);
  const state = new MeshState();
  const generated: FileChange = { type: 'parsed', file: '', documents: made.map(generatedDocument) };
  const { upserts, removals } = linker.update(store.apply([...changes, generated]));
  const applied = state.apply({ upserts, removals });
  if (!applied.ok) throw new CliError(`the files make no valid mesh: ${applied.error}`);
  const findings = [...store.findings(), ...linker.findings()].filter(({ file }) => file !== '').sort(compareFindings);
  return { state, findings, accepted: store.accepted, files: changes.map(({ file }) => file) };
}

function readPath(path: string): FileChange[] {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    throw new CliError(`-f ${path}: there is no such file or folder`, EXIT.usage);
  }
  const { files, unreadable } = listSources([path], new Map());
  const [first] = unreadable;
  if (first !== undefined) throw new CliError(`-f ${first.path}: ${first.reason}; ${first.remedy}`, EXIT.usage);
  if (files.length === 0) throw new CliError(`-f ${path}: no *.yaml, *.yml or *.json is in there`, EXIT.usage);
  return files.map((file) => readYamlFile(file) ?? changing(file));
}

function changing(file: string): FileChange {
  const problem = {
    code: 'FILE_UNREADABLE' as const,
    position: { file, line: 0 },
    reason: 'is being written to',
    remedy: 'try again',
  };
  return { type: 'broken', file, problem };
}

function readStdin(): FileChange {
  const text = readFileSync(0, 'utf8');
  if (text.length > limits.fileBytesMax) {
    throw new CliError(`-f -: standard input is larger than ${limits.fileBytesMax} octets`, EXIT.usage);
  }
  const parsed = parseYaml(text, STDIN);
  if (parsed.ok) return { type: 'parsed', file: STDIN, documents: parsed.documents };
  return { type: 'broken', file: STDIN, problem: parsed.problem };
}

function generatedDocument(value: unknown): SourceDocument {
  return { value, locate: () => ({ file: '', line: 0 }) };
}
