/** Which kinds the controller knows, and how a document becomes an object of one of them. */
import { keyOf, type MeshResource } from '../../mesh/model.ts';
import { validateResource } from '../../mesh/validate.ts';
import { decodeResource, encodeResource, typeUrlOf, wireNameOf } from '../../mesh/wire/resource.ts';
import type { FieldPath, Finding } from '../finding.ts';
import { formatFieldPath } from '../finding.ts';
import type { SourceDocument } from '../sources/yaml-document.ts';
import { readAuthorizationPolicy } from './authorization-policy.ts';
import { closestWord } from './did-you-mean.ts';
import { readHttpRoute } from './http-route.ts';
import { readMeshConfig } from './mesh-config.ts';
import { DEFAULT_NAMESPACE, readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import { isMapping, ObjectReader, Problems, type ReaderOptions } from './object-reader.ts';
import { type AcceptedObject, type ObjectKey, type ObjectOrigin, objectKey } from './objects.ts';
import { readPod } from './pod.ts';
import { readService } from './service.ts';
import { readStreamRoute } from './stream-route.ts';

interface KnownKind {
  readonly group: string;
  readonly versions: readonly string[];
  /** `ignored`: another part of the system reads it; no finding. */
  readonly use: 'mesh' | 'ignored';
  readonly options: ReaderOptions;
}

const lenient: ReaderOptions = { nullIs: 'absent', unknownField: 'warning' };
const strict: ReaderOptions = { nullIs: 'error', unknownField: 'error' };

const KINDS: Readonly<Record<string, KnownKind>> = {
  Namespace: { group: '', versions: ['v1'], use: 'mesh', options: lenient },
  ServiceAccount: { group: '', versions: ['v1'], use: 'mesh', options: lenient },
  Pod: { group: '', versions: ['v1'], use: 'mesh', options: lenient },
  Service: { group: '', versions: ['v1'], use: 'mesh', options: lenient },
  ConfigMap: { group: '', versions: ['v1'], use: 'mesh', options: lenient },
  EndpointSlice: { group: 'discovery.k8s.io', versions: ['v1'], use: 'ignored', options: lenient },
  Deployment: { group: 'apps', versions: ['v1'], use: 'ignored', options: lenient },
  ReplicaSet: { group: 'apps', versions: ['v1'], use: 'ignored', options: lenient },
  HTTPRoute: { group: 'gateway.networking.k8s.io', versions: ['v1', 'v1beta1'], use: 'mesh', options: strict },
  TLSRoute: {
    group: 'gateway.networking.k8s.io',
    versions: ['v1', 'v1alpha3', 'v1alpha2'],
    use: 'mesh',
    options: strict,
  },
  TCPRoute: { group: 'gateway.networking.k8s.io', versions: ['v1', 'v1alpha2'], use: 'mesh', options: strict },
  AuthorizationPolicy: { group: 'security.istio.io', versions: ['v1', 'v1beta1'], use: 'mesh', options: strict },
};

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
  const namespace = text(metadata, 'namespace') ?? DEFAULT_NAMESPACE;
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
    into.unidentified.push({ kind: kind !== null && Object.hasOwn(KINDS, kind) ? kind : null, namespace, name });
  };
  if (!isMapping(value)) return report('error', 'NOT_AN_OBJECT', '', 'is not a mapping', 'write a Kubernetes object');
  if (kind === null) return report('error', 'MISSING_FIELD', 'kind', 'kind is missing', 'add kind and apiVersion');
  if (apiVersion === null) {
    return report('error', 'MISSING_FIELD', 'apiVersion', 'apiVersion is missing', `add the apiVersion of ${kind}`);
  }
  const known = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  const slash = apiVersion.indexOf('/');
  const [group, version] = slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)];
  if (known === undefined || known.group !== group) {
    const close = known === undefined ? closestWord(kind, Object.keys(KINDS)) : null;
    const wanted = known === undefined ? null : closestWord(group, [known.group]);
    const remedy =
      close !== null ? `did you mean ${close}?` : wanted !== null ? `did you mean ${wanted}?` : 'nothing to do';
    return report(
      'warning',
      'UNKNOWN_KIND',
      'kind',
      `${apiVersion} ${kind} means nothing to weir and is ignored`,
      remedy,
    );
  }
  if (known.use === 'ignored') return;
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
  readonly findings: readonly Finding[];
}

export interface ReadContext {
  readonly rootNamespace: string;
}

/** Reads and validates one object. */
export function readObject(candidate: Candidate, context: ReadContext): ReadObject {
  const problems = new Problems();
  const reader = new ObjectReader(candidate.value, [], problems, candidate.known.options);
  const object = readKind(candidate, reader, context);
  if (!problems.refused) checkForAgents(object, problems);
  const findings = problems.found.map((problem): Finding => {
    const { severity, code, reason, remedy } = problem;
    const position = candidate.origin.locate(problem.path, problem.at);
    return { severity, code, ...position, object: candidate.key, field: formatFieldPath(problem.path), reason, remedy };
  });
  return { object: problems.refused ? null : object, refused: problems.refused, findings };
}

function readKind(candidate: Candidate, reader: ObjectReader, context: ReadContext): AcceptedObject | null {
  switch (candidate.kind) {
    case 'Pod':
      return readPod(reader, candidate.origin);
    case 'Service':
      return readService(reader);
    case 'HTTPRoute':
      return readHttpRoute(reader, candidate.origin);
    case 'TLSRoute':
    case 'TCPRoute':
      return readStreamRoute(candidate.kind, reader, candidate.origin);
    case 'AuthorizationPolicy':
      return readAuthorizationPolicy(reader, candidate.origin, context.rootNamespace);
    case 'ConfigMap':
      return readMeshConfig(reader, context.rootNamespace);
    default:
      return readBare(candidate.kind === 'Namespace' ? 'Namespace' : 'ServiceAccount', reader);
  }
}

function readBare(kind: 'Namespace' | 'ServiceAccount', reader: ObjectReader): AcceptedObject | null {
  const metadata = reader.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, kind === 'Namespace' ? LABEL_NAME : OBJECT_NAME);
  return meta === null ? null : { kind, namespace: meta.namespace, name: meta.name };
}

/**
 * What the agents' own validation (mesh/validate.ts) refuses is refused here first, where a person can be told. The paths
 * of the model's routes and policies are those of the API but for the wrappers left out.
 */
function checkForAgents(object: AcceptedObject | null, problems: Problems): void {
  const resource = decidingResource(object);
  if (resource === null) return;
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

/** Routes and policies: what agents judge as strictly as the controller does. */
function decidingResource(object: AcceptedObject | null): MeshResource | null {
  switch (object?.kind) {
    case 'HTTPRoute':
    case 'TLSRoute':
    case 'TCPRoute':
      return object.route;
    case 'AuthorizationPolicy':
      return object.policy;
    default:
      return null;
  }
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
