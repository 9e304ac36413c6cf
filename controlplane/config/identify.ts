/** How a document becomes an object of a kind that the controller knows (kinds.ts), or is refused. */
import { keyOf, type MeshResource } from '../../mesh/model.ts';
import { validateResource } from '../../mesh/validate.ts';
import { decodeResource, encodeResource, typeUrlOf, wireNameOf } from '../../mesh/wire/resource.ts';
import type { FieldPath, Finding } from '../finding.ts';
import { formatFieldPath } from '../finding.ts';
import type { SourceDocument } from '../sources/yaml-document.ts';
import { closestWord } from './did-you-mean.ts';
import { groupsOf, isKind, type KnownKind, knownKind, knownKinds, type ReadContext } from './kinds.ts';
import { DEFAULT_NAMESPACE } from './metadata.ts';
import { isMapping, ObjectReader, Problems } from './object-reader.ts';
import { type AcceptedObject, isClusterKind, type ObjectKey, type ObjectOrigin, objectKey } from './objects.ts';

/** An object as far as it can be told apart from others, before it is read. */
export interface Candidate {
  readonly key: ObjectKey;
  readonly value: Readonly<Record<string, unknown>>;
  readonly known: KnownKind;
  readonly kind: string;
  readonly origin: ObjectOrigin;
}

/** A document that is no object of a known kind. It may be a misspelt version of one that was: see ObjectStore. */
export interface Unidentified {
  /** null: missing or unknown. */
  readonly kind: string | null;
  readonly namespace: string;
  /** null: missing or unusable. */
  readonly name: string | null;
}

export interface Identified {
  readonly candidates: readonly Candidate[];
  readonly unidentified: readonly Unidentified[];
  readonly findings: readonly Finding[];
}

/** Splits documents into objects of known kinds; a `List` counts as its items. */
export function identify(documents: readonly SourceDocument[]): Identified {
  const result = { candidates: [] as Candidate[], unidentified: [] as Unidentified[], findings: [] as Finding[] };
  for (const document of documents) {
    const value = document.value;
    const items = isMapping(value) && value['kind'] === 'List' && Array.isArray(value['items']) ? value['items'] : null;
    if (items === null) identifyOne(value, [], document, result);
    else for (const [index, item] of items.entries()) identifyOne(item, ['items', index], document, result);
  }
  return result;
}

function identifyOne(
  value: unknown,
  base: FieldPath,
  document: SourceDocument,
  into: { candidates: Candidate[]; unidentified: Unidentified[]; findings: Finding[] },
): void {
  const origin: ObjectOrigin = { locate: (path, at) => document.locate([...base, ...path], at) };
  const text = (holder: unknown, field: string): string | null => {
    const found = isMapping(holder) && Object.hasOwn(holder, field) ? holder[field] : null;
    return typeof found === 'string' && found !== '' ? found : null;
  };
  const metadata = isMapping(value) ? value['metadata'] : null;
  const [apiVersion, kind, name] = [text(value, 'apiVersion'), text(value, 'kind'), text(metadata, 'name')];
  const namespace = kind !== null && isClusterKind(kind) ? '' : (text(metadata, 'namespace') ?? DEFAULT_NAMESPACE);
  const report = (
    severity: Finding['severity'],
    code: Finding['code'],
    field: string,
    reason: string,
    remedy: string,
  ) => {
    const shown = kind === null ? '' : objectKey(kind, namespace, name ?? '?');
    const position = origin.locate(field === '' ? [] : field.split('.'), 'value');
    into.findings.push({ severity, code, ...position, object: shown, field, reason, remedy });
    into.unidentified.push({ kind: kind !== null && isKind(kind) ? kind : null, namespace, name });
  };
  if (!isMapping(value)) return report('error', 'NOT_AN_OBJECT', '', 'is not a mapping', 'write a Kubernetes object');
  if (kind === null) return report('error', 'MISSING_FIELD', 'kind', 'kind is missing', 'add kind and apiVersion');
  if (apiVersion === null) {
    return report('error', 'MISSING_FIELD', 'apiVersion', 'apiVersion is missing', `add the apiVersion of ${kind}`);
  }
  const slash = apiVersion.indexOf('/');
  const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  const known = knownKind(group, kind);
  if (known === undefined) {
    const close = isKind(kind) ? closestWord(group, groupsOf(kind)) : closestWord(kind, knownKinds());
    const remedy = close === null ? 'nothing to do' : `did you mean ${close}?`;
    return report(
      'warning',
      'UNKNOWN_KIND',
      'kind',
      `${apiVersion} ${kind} means nothing to weir and is ignored`,
      remedy,
    );
  }
  if (known.read === null) return;
  if (!known.versions.includes(version)) {
    const remedy = `write ${known.versions.map((each) => (group === '' ? each : `${group}/${each}`)).join(' or ')}`;
    return report('error', 'UNKNOWN_VERSION', 'apiVersion', `${kind} has no version ${version}`, remedy);
  }
  if (name === null) {
    return report('error', 'MISSING_FIELD', 'metadata.name', 'the name is missing or not text', 'add metadata.name');
  }
  into.candidates.push({ key: objectKey(kind, namespace, name), value, known, kind, origin });
}

export interface ReadObject {
  /** null: refused, or valid and of no consequence (see `refused`). */
  readonly object: AcceptedObject | null;
  readonly refused: boolean;
  /** What could be read of a refused object, for telling people about it; never linked. */
  readonly attempted: AcceptedObject | null;
  readonly findings: readonly Finding[];
}

/** Reads and validates one object. */
export function readObject(candidate: Candidate, context: ReadContext): ReadObject {
  const problems = new Problems();
  const reader = new ObjectReader(candidate.value, [], problems, candidate.known.options);
  const object = candidate.known.read?.(reader, candidate.origin, context) ?? null;
  if (!problems.refused) for (const resource of resourcesIn(object)) checkForAgents(resource, problems);
  const findings = problems.found.map((problem): Finding => {
    const { severity, code, reason, remedy } = problem;
    const position = candidate.origin.locate(problem.path, problem.at);
    return { severity, code, ...position, object: candidate.key, field: formatFieldPath(problem.path), reason, remedy };
  });
  return problems.refused
    ? { object: null, refused: true, attempted: object, findings }
    : { object, refused: false, attempted: null, findings };
}

/**
 * What the agents' own validation (mesh/validate.ts) refuses is refused here first, where a person can be told. The paths
 * of the model's routes and policies are those of the API but for the wrappers left out.
 */
function checkForAgents(resource: MeshResource, problems: Problems): void {
  const text = validateResource(resource);
  if (text === null) {
    const name = wireNameOf(keyOf(resource));
    const decoded = decodeResource(typeUrlOf(resource.kind), name, encodeResource(resource));
    if (!decoded.ok) {
      const { field, reason } = decoded.problem;
      problems.error(
        'INVALID_VALUE',
        ['spec'],
        `${field} ${reason}`.trim(),
        'shorten or correct it; agents would refuse it',
      );
    }
    return;
  }
  const parts = /^([^:]+): (.*?)(?:: (.*))?$/.exec(text);
  const path = ['spec', ...modelPath(parts?.[1] ?? '')];
  const reason = parts?.[2] ?? text;
  problems.error(
    'UNSUPPORTED',
    path,
    reason,
    parts?.[3] ?? `correct it; agents would refuse ${keyOf(resource).kind} as it is`,
  );
}

/** The resources an object holds before it is linked. Workloads and Services are not judged: agents take them as they are. */
function resourcesIn(object: AcceptedObject | null): readonly MeshResource[] {
  if (object === null) return [];
  if ('route' in object) return [object.route];
  if ('policy' in object) return [object.policy];
  if ('settings' in object) return [object.settings];
  return 'resource' in object ? [object.resource] : [];
}

function modelPath(text: string): (string | number)[] {
  const path: (string | number)[] = [];
  for (const part of text.matchAll(/([A-Za-z]+)|\[(\d+)\]/g)) {
    const clause = path.at(-2);
    if (part[1] === undefined) path.push(Number(part[2]));
    else if (clause === 'from') path.push('source', part[1]);
    else if (clause === 'to') path.push('operation', part[1]);
    else path.push(part[1] === 'backends' ? 'backendRefs' : part[1]);
  }
  return path;
}
