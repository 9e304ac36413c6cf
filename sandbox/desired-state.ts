/**
 * What the cluster should be, worked out from the user's objects: pods to run, Services with addresses, and the files the
 * controller reads. Pure but for the address allocator, whose memory is the cluster's.
 */
import type { DataLookup } from './environment.ts';
import { generated, type StoredObject, verbatim } from './object-store.ts';
import type { PodContext } from './pod-spec.ts';
import type { ServiceAddresses, ServiceEntry } from './services.ts';
import { describeObject, isFields, type Problem, ProblemsError, type SourceObject } from './source.ts';
import { readWorkload, type WorkloadSet } from './workloads.ts';

/** The user's objects and what follows from them. */
export interface DesiredState {
  readonly objects: ReadonlyMap<string, SourceObject>;
  readonly sets: readonly WorkloadSet[];
  readonly services: readonly ServiceEntry[];
  /** Files for the controller, all but the pods. */
  readonly files: readonly StoredObject[];
}

export const EMPTY_STATE: DesiredState = { objects: new Map(), sets: [], services: [], files: [] };

/** Kinds that make pods in a cluster but not here: saying nothing would leave people looking for the pods. */
const OTHER_WORKLOADS = new Set(['StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job', 'CronJob']);

/** Kinds that only the sandbox itself uses; a Secret has no business in one more file. The mesh's own ConfigMap goes on. */
const OWN_KINDS = new Set(['Pod', 'Service', 'ConfigMap', 'Secret']);

/** Works out the state; throws ProblemsError listing everything that cannot be run, with file and line. */
export function evaluate(
  objects: ReadonlyMap<string, SourceObject>,
  context: PodContext,
  addresses: ServiceAddresses,
): DesiredState {
  const problems: Problem[] = [];
  const all = [...objects.values()];
  for (const object of all) {
    if (!OTHER_WORKLOADS.has(object.kind)) continue;
    context.warn(
      `${object.file}:${object.line}: ${describeObject(object)}: the sandbox runs Pods and Deployments; this makes no pods`,
    );
  }
  const sets = all.flatMap((object) => readWorkload(object, context, problems) ?? []);
  const services = addresses.assign(
    all.filter((object) => object.kind === 'Service' && object.apiVersion === 'v1'),
    problems,
  );
  if (problems.length > 0) throw new ProblemsError(problems);
  const files = [
    ...all.filter((object) => !isOwnKind(object)).map(verbatim),
    ...services.map((service) => generated(service.object, service.source, service.source)),
    ...implied(all, sets, context.warn),
  ];
  return { objects, sets, services, files };
}

function isOwnKind(object: SourceObject): boolean {
  const isMeshConfig = object.kind === 'ConfigMap' && object.name === 'istio';
  return object.apiVersion === 'v1' && OWN_KINDS.has(object.kind) && !isMeshConfig;
}

/** Namespaces and ServiceAccounts that are used but not given: a cluster's admin would have made them. */
function implied(
  all: readonly SourceObject[],
  sets: readonly WorkloadSet[],
  warn: (message: string) => void,
): StoredObject[] {
  const given = new Set(all.map((object) => `${object.kind}/${object.namespace ?? ''}/${object.name}`));
  const namespaces = new Set(['default', ...all.flatMap((object) => object.namespace ?? [])]);
  for (const object of all) if (object.kind === 'Namespace') namespaces.add(object.name);
  const accounts = new Map<string, { namespace: string; name: string }>();
  for (const namespace of namespaces) accounts.set(`${namespace}/default`, { namespace, name: 'default' });
  for (const { namespace, spec, file, line, name: owner } of sets) {
    const name = spec.serviceAccount;
    if (accounts.has(`${namespace}/${name}`) || given.has(`ServiceAccount/${namespace}/${name}`)) continue;
    accounts.set(`${namespace}/${name}`, { namespace, name });
    warn(
      `${file}:${line}: ${namespace}/${owner} uses ServiceAccount ${name}, which is not given; a cluster would refuse its pods`,
    );
  }
  const source = { file: 'weir-sandbox', line: 1 };
  const object = (kind: string, namespace: string | null, name: string, metadata: object): StoredObject =>
    generated({ apiVersion: 'v1', kind, metadata }, { apiVersion: 'v1', kind, namespace, name }, source);
  return [
    ...[...namespaces]
      .filter((name) => !given.has(`Namespace//${name}`))
      .map((name) => object('Namespace', null, name, { name, labels: { 'kubernetes.io/metadata.name': name } })),
    ...[...accounts.values()]
      .filter(({ namespace, name }) => !given.has(`ServiceAccount/${namespace}/${name}`))
      .map(({ namespace, name }) => object('ServiceAccount', namespace, name, { namespace, name })),
  ];
}

/** Data of the ConfigMaps and Secrets of a namespace. */
export function dataLookup(state: DesiredState, namespace: string): DataLookup {
  return (source, name) => {
    const object = state.objects.get(`/${source}/${namespace}/${name}`);
    if (object === undefined) return null;
    const plain = { ...stringsOf(object.fields['data']) };
    if (source === 'ConfigMap') return plain;
    const decoded = Object.entries(plain).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]);
    return { ...Object.fromEntries(decoded), ...stringsOf(object.fields['stringData']) };
  };
}

function stringsOf(value: unknown): Record<string, string> {
  if (!isFields(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]));
}

/** What happened to each applied object, in kubectl's words. */
export function describeChanges(
  before: DesiredState,
  applied: readonly SourceObject[],
  keyOf: (o: SourceObject) => string,
): string[] {
  return applied.map((object) => {
    const old = before.objects.get(keyOf(object));
    const verb = old === undefined ? 'created' : sameData(old, object) ? 'unchanged' : 'configured';
    return `${describeObject(object)} ${verb}`;
  });
}

function sameData(a: SourceObject, b: SourceObject): boolean {
  return JSON.stringify(a.fields) === JSON.stringify(b.fields);
}
