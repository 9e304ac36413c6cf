/**
 * The part of core/v1 PodSpec that the sandbox runs. What it cannot run is refused with the field's name and line, never
 * silently left out; what has no meaning for local processes (resources, securityContext, volumes) is named once.
 */
import { readProbe, type ProbeSpec } from './probe-spec.ts';
import type { Reader } from './reader.ts';
import type { Fields } from './source.ts';

export type EnvEntry =
  | { readonly kind: 'value'; readonly name: string; readonly value: string }
  | { readonly kind: 'field'; readonly name: string; readonly fieldPath: string }
  | { readonly kind: 'key'; readonly name: string; readonly reference: KeyReference };

/** A key of a ConfigMap or Secret of the pod's namespace. */
export interface KeyReference {
  readonly source: 'ConfigMap' | 'Secret';
  readonly object: string;
  readonly key: string;
  readonly optional: boolean;
}

/** All keys of a ConfigMap or Secret as variables. */
export interface EnvFrom {
  readonly source: 'ConfigMap' | 'Secret';
  readonly object: string;
  readonly prefix: string;
  readonly optional: boolean;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  /** The command line before `$(NAME)` expansion: command or the image's mapping, then args. Never empty. */
  readonly commandLine: readonly string[];
  readonly workingDir: string | null;
  readonly env: readonly EnvEntry[];
  readonly envFrom: readonly EnvFrom[];
  /** containerPort by the port's name. */
  readonly namedPorts: ReadonlyMap<string, number>;
  /** Upper-case names without CAP_, beyond the runtime's defaults. */
  readonly addCapabilities: readonly string[];
  readonly readinessProbe: ProbeSpec | null;
  readonly livenessProbe: ProbeSpec | null;
  readonly startupProbe: ProbeSpec | null;
}

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export interface PodSpec {
  readonly serviceAccount: string;
  /** spec.nodeName, or nodeSelector kubernetes.io/hostname; null: any node. */
  readonly node: string | null;
  readonly hostname: string | null;
  readonly restartPolicy: RestartPolicy;
  readonly gracePeriodSeconds: number;
  readonly initContainers: readonly ContainerSpec[];
  readonly containers: readonly ContainerSpec[];
  /** As written, for the Pod object that the controller reads. */
  readonly fields: Fields;
}

/** What reading a pod needs to know of the machine. */
export interface PodContext {
  /** `--image`: image name to the words of a local command. */
  readonly images: ReadonlyMap<string, readonly string[]>;
  readonly nodes: readonly string[];
  /** True when a process could be started from this word (absolute, relative to the folder, or on PATH). */
  readonly isExecutable: (word: string, workingDir: string | null) => boolean;
  /** Told once per kind of thing that has no effect here. */
  readonly warn: (message: string) => void;
}

const HOSTNAME_LABEL = 'kubernetes.io/hostname';
const FIELD_PATHS = new Set([
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'status.podIP',
  'status.podIPs',
  'status.hostIP',
  'status.hostIPs',
  'spec.nodeName',
  'spec.serviceAccountName',
]);

/** Reads a PodSpec; problems go to the reader, and the result is only used when there were none. */
export function readPodSpec(spec: Reader, context: PodContext): PodSpec {
  if (spec.boolean('hostNetwork')) {
    spec.refuse('hostNetwork', 'pods on the host network are not supported by the sandbox', 'remove hostNetwork');
  }
  if (spec.has('volumes')) context.warn('spec.volumes have no effect: containers see the files of this machine');
  const containers = spec.children('containers').map((container) => readContainer(container, context));
  if (containers.length === 0)
    spec.refuse('containers', 'a pod needs at least one container', 'add containers with name and image');
  const initContainers = spec.children('initContainers').map((container) => {
    if (container.has('restartPolicy')) {
      container.refuse(
        'restartPolicy',
        'sidecar init containers are not supported by the sandbox',
        'move it to containers',
      );
    }
    return readContainer(container, context);
  });
  refuseDuplicates(spec, [...initContainers, ...containers]);
  return {
    serviceAccount: spec.string('serviceAccountName') ?? spec.string('serviceAccount') ?? 'default',
    node: readNode(spec, context),
    hostname: spec.string('hostname'),
    restartPolicy: readRestartPolicy(spec),
    gracePeriodSeconds: spec.integer('terminationGracePeriodSeconds', 30, 0, 3_600),
    initContainers,
    containers,
    fields: spec.fields,
  };
}

function readNode(spec: Reader, context: PodContext): string | null {
  const selector = spec.child('nodeSelector');
  const node = spec.string('nodeName') ?? selector?.string(HOSTNAME_LABEL) ?? null;
  for (const label of Object.keys(selector?.fields ?? {})) {
    if (label !== HOSTNAME_LABEL)
      spec.refuse(['nodeSelector', label], 'sandbox nodes have no such label', `use ${HOSTNAME_LABEL}`);
  }
  if (node !== null && !context.nodes.includes(node)) {
    const field = spec.has('nodeName') ? 'nodeName' : ['nodeSelector', HOSTNAME_LABEL];
    spec.refuse(field, `there is no node ${node}`, `this sandbox has ${context.nodes.join(', ')}; see --nodes`);
  }
  return node;
}

function readRestartPolicy(spec: Reader): RestartPolicy {
  const policy = spec.string('restartPolicy') ?? 'Always';
  if (policy === 'Always' || policy === 'OnFailure' || policy === 'Never') return policy;
  spec.refuse('restartPolicy', `${policy} is not a restart policy`, 'write Always, OnFailure or Never');
  return 'Always';
}

function refuseDuplicates(spec: Reader, containers: readonly ContainerSpec[]): void {
  const names = containers.map((container) => container.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) spec.refuse('containers', `two containers are named ${twice}`, 'give each its own name');
}

function readContainer(container: Reader, context: PodContext): ContainerSpec {
  const name = container.requiredString('name', 'write a name of lower-case letters, digits and -');
  if (name !== '' && !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
    container.refuse('name', `${name} is not a container name`, 'write lower-case letters, digits and -');
  }
  const image = container.requiredString('image', 'write an image name and map it with --image NAME=COMMAND');
  const workingDir = container.string('workingDir');
  const ports = readPorts(container);
  return {
    name,
    image,
    commandLine: readCommandLine(container, image, workingDir, context),
    workingDir,
    env: container.children('env').flatMap(readEnvEntry),
    envFrom: container.children('envFrom').flatMap(readEnvFrom),
    namedPorts: ports,
    addCapabilities: (container.child('securityContext')?.child('capabilities')?.strings('add') ?? []).map((word) =>
      word.toUpperCase().replace(/^CAP_/, ''),
    ),
    readinessProbe: readProbe(container.child('readinessProbe'), ports),
    livenessProbe: readProbe(container.child('livenessProbe'), ports),
    startupProbe: readProbe(container.child('startupProbe'), ports),
  };
}

function readPorts(container: Reader): Map<string, number> {
  const named = new Map<string, number>();
  for (const port of container.children('ports')) {
    const number = port.integer('containerPort', 0, 1, 65_535);
    const name = port.string('name');
    if (name !== null) named.set(name, number);
  }
  return named;
}

/** Kubernetes: `command` replaces the image's entrypoint (and its default arguments), `args` follow. */
function readCommandLine(
  container: Reader,
  image: string,
  workingDir: string | null,
  context: PodContext,
): readonly string[] {
  const command = container.strings('command');
  const args = container.strings('args') ?? [];
  const entrypoint = command !== null && command.length > 0 ? command : mappedImage(image, context.images);
  const program = entrypoint?.[0];
  if (entrypoint === null || program === undefined) {
    const remedy = `say what runs instead of it: --image '${image}=COMMAND', or give the container a command`;
    if (image !== '')
      container.refuse('image', `the sandbox runs local processes and does not know the image ${image}`, remedy);
    return [];
  }
  if (!program.includes('$(') && !context.isExecutable(program, workingDir)) {
    const field = command === null ? 'image' : 'command';
    const remedy = `install it, or map the image to something that is here: --image '${image}=COMMAND' (and remove command)`;
    container.refuse(field, `${program} is not an executable on this machine`, remedy);
  }
  return [...entrypoint, ...args];
}

/** Exact image name first, then without digest or tag. */
function mappedImage(image: string, images: PodContext['images']): readonly string[] | null {
  const untagged = image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  return images.get(image) ?? images.get(untagged) ?? null;
}

function readEnvEntry(entry: Reader): EnvEntry[] {
  const name = entry.requiredString('name', 'write the name of the variable');
  const from = entry.child('valueFrom');
  if (from === null) return [{ kind: 'value', name, value: entry.string('value') ?? '' }];
  const field = from.child('fieldRef');
  if (field !== null) {
    const fieldPath = field.requiredString('fieldPath', 'write for example metadata.name');
    if (!FIELD_PATHS.has(fieldPath) && !/^metadata\.(labels|annotations)\['[^']+'\]$/.test(fieldPath)) {
      field.refuse(
        'fieldPath',
        `${fieldPath} is not supported`,
        `use one of ${[...FIELD_PATHS].join(', ')}, metadata.labels['KEY']`,
      );
    }
    return [{ kind: 'field', name, fieldPath }];
  }
  for (const [key, source] of [
    ['configMapKeyRef', 'ConfigMap'],
    ['secretKeyRef', 'Secret'],
  ] as const) {
    const reference = from.child(key);
    if (reference === null) continue;
    const object = reference.requiredString('name', `write the name of the ${source}`);
    const keyName = reference.requiredString('key', 'write the key');
    return [
      { kind: 'key', name, reference: { source, object, key: keyName, optional: reference.boolean('optional') } },
    ];
  }
  from.refuse('', 'this source of a value is not supported', 'use fieldRef, configMapKeyRef or secretKeyRef');
  return [];
}

function readEnvFrom(entry: Reader): EnvFrom[] {
  const prefix = entry.string('prefix') ?? '';
  for (const [key, source] of [
    ['configMapRef', 'ConfigMap'],
    ['secretRef', 'Secret'],
  ] as const) {
    const reference = entry.child(key);
    if (reference === null) continue;
    const object = reference.requiredString('name', `write the name of the ${source}`);
    return [{ source, object, prefix, optional: reference.boolean('optional') }];
  }
  entry.refuse('', 'this source of variables is not supported', 'use configMapRef or secretRef');
  return [];
}
