/**
 * Kubernetes YAML as the user wrote it: split into objects that know their file and line, so that every message can name
 * them. Nothing is interpreted here beyond apiVersion, kind, namespace and name.
 */
import { isMap, isSeq, LineCounter, type Document, type Node, parseAllDocuments, Parser, stringify } from 'yaml';
import { findTooDeep } from '../mesh/yaml-nesting.ts';

/** Levels of nesting; Kubernetes objects have about 15. Deeper texts could end the process while they are composed. */
const NESTING_MAX = 64;

/** One file, read by whoever has it (the path is what the user typed and is only printed). */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** JSON-compatible data of a Kubernetes object; every field is checked before it is used. */
export type Fields = Readonly<Record<string, unknown>>;

/** Field path inside an object, e.g. ['spec', 'containers', 0, 'image']. */
export type FieldPath = readonly (string | number)[];

/** One object of a file. */
export interface SourceObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** null: the kind has no namespace. */
  readonly namespace: string | null;
  readonly name: string;
  readonly file: string;
  /** Line of the object's first field, from 1. */
  readonly line: number;
  /** The object's own text: verbatim for a document, rewritten for an item of a List. */
  readonly text: string;
  readonly fields: Fields;
  /** Line of a field, or of its nearest ancestor that is written. */
  readonly lineOf: (path: FieldPath) => number;
}

/** What is wrong with an object, and what to write instead. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  /** `Kind namespace/name`, or '' when the text is not even an object. */
  readonly object: string;
  readonly field: string;
  readonly reason: string;
  readonly remedy: string;
}

/** Input that was refused; the message has one line per problem. */
export class ProblemsError extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ProblemsError';
    this.problems = problems;
  }
}

/** `FILE:LINE: Kind ns/name: field: reason; remedy` */
export function formatProblem(problem: Problem): string {
  const parts = [`${problem.file}:${problem.line}`, problem.object, problem.field].filter((part) => part !== '');
  const remedy = problem.remedy === '' ? '' : `; ${problem.remedy}`;
  return `${parts.join(': ')}: ${problem.reason}${remedy}`;
}

/** `Kind namespace/name`, or `Kind name` for kinds without a namespace. */
export function describeObject(object: Pick<SourceObject, 'kind' | 'namespace' | 'name'>): string {
  return `${object.kind} ${object.namespace === null ? '' : `${object.namespace}/`}${object.name}`;
}

/** Identity of an object in a cluster: API group, kind, namespace, name (versions of one group are one object). */
export function keyOfObject(object: Pick<SourceObject, 'apiVersion' | 'kind' | 'namespace' | 'name'>): string {
  const slash = object.apiVersion.indexOf('/');
  const group = slash < 0 ? '' : object.apiVersion.slice(0, slash);
  return `${group}/${object.kind}/${object.namespace ?? ''}/${object.name}`;
}

/** Kinds of the API server that stand outside namespaces (kubectl api-resources --namespaced=false), as far as meshes use them. */
const CLUSTER_KINDS = new Set([
  'Namespace',
  'Node',
  'PersistentVolume',
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
  'GatewayClass',
  'StorageClass',
  'PriorityClass',
  'IngressClass',
  'RuntimeClass',
  'APIService',
]);

const DNS_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Reads every object of every file. Throws ProblemsError listing all syntax errors, documents that are not objects, and
 * objects that are given twice.
 */
export function readObjects(files: readonly SourceFile[]): SourceObject[] {
  const problems: Problem[] = [];
  const objects = files.flatMap((file) => readFile(file, problems));
  const seen = new Map<string, SourceObject>();
  for (const object of objects) {
    const first = seen.get(keyOfObject(object));
    if (first === undefined) seen.set(keyOfObject(object), object);
    else {
      problems.push({
        file: object.file,
        line: object.line,
        object: describeObject(object),
        field: 'metadata.name',
        reason: `the same object is given twice, first at ${first.file}:${first.line}`,
        remedy: 'remove one of them or rename it',
      });
    }
  }
  if (problems.length > 0) throw new ProblemsError(problems);
  return objects;
}

function readFile(file: SourceFile, problems: Problem[]): SourceObject[] {
  const deep = findTooDeep([...new Parser().parse(file.text)], NESTING_MAX);
  if (deep !== null) {
    const line = file.text.slice(0, deep).split('\n').length;
    problems.push({
      file: file.path,
      line,
      object: '',
      field: '',
      reason: `more than ${NESTING_MAX} levels deep`,
      remedy: 'flatten it',
    });
    return [];
  }
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(file.text, { lineCounter, prettyErrors: false });
  if (!Array.isArray(documents)) return []; // the library's way of saying: no document at all
  const objects: SourceObject[] = [];
  for (const document of documents as Document.Parsed[]) {
    const lineAt = (offset: number): number => lineCounter.linePos(offset).line;
    for (const error of document.errors) {
      problems.push({
        file: file.path,
        line: lineAt(error.pos[0]),
        object: '',
        field: '',
        reason: `not valid YAML: ${error.message}`,
        remedy: '',
      });
    }
    if (document.errors.length === 0) objects.push(...readDocument(file, document, lineAt, problems));
  }
  return objects;
}

function readDocument(
  file: SourceFile,
  document: Document.Parsed,
  lineAt: (offset: number) => number,
  problems: Problem[],
): SourceObject[] {
  const root = document.contents;
  if (root === null) return [];
  const offset = root.range[0];
  let fields: unknown;
  try {
    fields = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // An alias to nothing, or aliases that would expand without end.
    const reason = `not valid YAML: ${error instanceof Error ? error.message : String(error)}`;
    problems.push({ file: file.path, line: lineAt(offset), object: '', field: '', reason, remedy: '' });
    return [];
  }
  if (fields === null || fields === undefined) return [];
  const lineStart = file.text.lastIndexOf('\n', offset - 1) + 1;
  const whole: Candidate = {
    file: file.path,
    fields,
    line: lineAt(offset),
    text: `${file.text.slice(lineStart, root.range[2]).trimEnd()}\n`,
    lineOf: (path) => lineOfPath(root, path, lineAt),
  };
  if (isFields(fields) && /List$/.test(String(fields['kind'])) && Array.isArray(fields['items'])) {
    return fields['items'].flatMap((item: unknown, index) => {
      const lineOf = (path: FieldPath): number => lineOfPath(root, ['items', index, ...path], lineAt);
      return toObject({ file: file.path, fields: item, line: lineOf([]), text: stringify(item), lineOf }, problems);
    });
  }
  return toObject(whole, problems);
}

interface Candidate {
  readonly file: string;
  readonly fields: unknown;
  readonly line: number;
  readonly text: string;
  readonly lineOf: (path: FieldPath) => number;
}

function toObject(candidate: Candidate, problems: Problem[]): SourceObject[] {
  const { file, fields, line, lineOf } = candidate;
  const refuse = (field: string, path: FieldPath, reason: string, remedy: string, object = ''): SourceObject[] => {
    problems.push({ file, line: lineOf(path), object, field, reason, remedy });
    return [];
  };
  if (!isFields(fields))
    return refuse('', [], 'not a Kubernetes object', 'write a mapping with apiVersion, kind and metadata');
  const { apiVersion, kind, metadata } = fields;
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    return refuse('apiVersion', ['apiVersion'], 'missing', 'write for example apiVersion: v1');
  }
  if (typeof kind !== 'string' || !/^[A-Za-z][A-Za-z0-9]*$/.test(kind)) {
    return refuse('kind', ['kind'], 'missing', 'write for example kind: Pod');
  }
  const meta = isFields(metadata) ? metadata : {};
  const name = meta['name'];
  if (typeof name !== 'string' || !DNS_NAME.test(name)) {
    const reason = name === undefined ? 'missing' : `${JSON.stringify(name)} is not a name`;
    return refuse('metadata.name', ['metadata', 'name'], reason, 'write lower-case letters, digits, - and .', kind);
  }
  const given = meta['namespace'] ?? 'default';
  if (typeof given !== 'string' || !DNS_NAME.test(given)) {
    const reason = `${JSON.stringify(given)} is not a namespace`;
    return refuse(
      'metadata.namespace',
      ['metadata', 'namespace'],
      reason,
      'write lower-case letters, digits and -',
      kind,
    );
  }
  const namespace = CLUSTER_KINDS.has(kind) ? null : given;
  return [{ apiVersion, kind, namespace, name, file, line, text: candidate.text, fields, lineOf }];
}

/** True for a YAML mapping (not null, not a sequence). */
export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function lineOfPath(root: Node, path: FieldPath, lineAt: (offset: number) => number): number {
  let node: unknown = root;
  let offset = root.range?.[0] ?? 0;
  for (const step of path) {
    const next: unknown = isMap(node) || isSeq(node) ? node.get(step, true) : undefined;
    if (!isNode(next)) break;
    // A mapping's or list's own offset is its first entry's; for a field the key's line is what people look for.
    const key = isMap(node)
      ? node.items.find((pair) => isNode(pair.key) && keyText(pair.key) === step)?.key
      : undefined;
    offset = (isNode(key) ? key.range?.[0] : next.range?.[0]) ?? offset;
    node = next;
  }
  return lineAt(offset);
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'range' in value;
}

function keyText(node: Node): unknown {
  return 'value' in node ? node.value : undefined;
}
