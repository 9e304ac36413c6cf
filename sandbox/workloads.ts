/**
 * Which pods should exist, from Pods and Deployments: pure planning, as the deployment controller and the scheduler do it.
 */
import { createHash } from 'node:crypto';
import { readPodSpec, type PodContext, type PodSpec } from './pod-spec.ts';
import { Reader } from './reader.ts';
import { type Fields, isFields, keyOfObject, type Problem, type SourceObject } from './source.ts';

/** A Pod or Deployment of the user: what its pods look like and how many there should be. */
export interface WorkloadSet {
  readonly kind: 'pod' | 'deployment';
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number;
  /** RollingUpdate: new pods become ready before old ones go. Recreate: old ones go first. */
  readonly strategy: 'RollingUpdate' | 'Recreate';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  /** Changes when its pods must be replaced. */
  readonly hash: string;
  readonly file: string;
  readonly line: number;
}

/** A pod that exists, as far as planning needs it. */
export interface ExistingPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Key of the workload set it was made from. */
  readonly owner: string;
  readonly hash: string;
  readonly ready: boolean;
}

/** One pod to make. */
export interface PodToCreate {
  readonly set: WorkloadSet;
  readonly name: string;
}

/** What to do, in this order: removeFirst, create, wait until ready, removeLast. */
export interface PodPlan {
  readonly removeFirst: readonly string[];
  readonly create: readonly PodToCreate[];
  readonly removeLast: readonly string[];
}

/** No vowels, no look-alikes (k8s.io/apimachinery util/rand), so that no word appears by chance. */
const SAFE_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';
const REPLICAS_MAX = 200;

/** Reads a Pod or Deployment; null when it is neither. Problems are collected; the result is only used without any. */
export function readWorkload(object: SourceObject, context: PodContext, problems: Problem[]): WorkloadSet | null {
  const root = new Reader(object, problems);
  if (object.kind === 'Pod' && object.apiVersion === 'v1') {
    const spec = root.child('spec');
    if (spec === null) {
      root.refuse('spec', 'missing', 'write spec with containers');
      return null;
    }
    const metadata = root.child('metadata');
    return {
      ...common(object),
      kind: 'pod',
      replicas: 1,
      strategy: 'Recreate',
      labels: metadata?.map('labels') ?? {},
      annotations: metadata?.map('annotations') ?? {},
      spec: readPodSpec(spec, context),
      hash: shortHash(spec.fields, 10),
    };
  }
  if (object.kind === 'Deployment' && object.apiVersion === 'apps/v1') return readDeployment(object, root, context);
  return null;
}

function readDeployment(object: SourceObject, root: Reader, context: PodContext): WorkloadSet | null {
  const spec = root.child('spec');
  const template = spec?.child('template') ?? null;
  const podSpec = template?.child('spec') ?? null;
  if (spec === null || template === null || podSpec === null) {
    root.refuse(['spec', 'template', 'spec'], 'missing', 'write spec.template.spec with containers');
    return null;
  }
  const metadata = template.child('metadata');
  const labels = metadata?.map('labels') ?? {};
  const selector = spec.child('selector')?.map('matchLabels') ?? {};
  if (Object.keys(selector).length === 0) {
    spec.refuse('selector', 'missing', 'write selector.matchLabels with the labels of the template');
  }
  for (const [key, value] of Object.entries(selector)) {
    if (labels[key] !== value) {
      const path = ['selector', 'matchLabels', key];
      spec.refuse(path, `the template has no label ${key}: ${value}`, 'give selector and template the same labels');
    }
  }
  const strategy = spec.child('strategy')?.string('type') === 'Recreate' ? 'Recreate' : 'RollingUpdate';
  return {
    ...common(object),
    kind: 'deployment',
    replicas: spec.integer('replicas', 1, 0, REPLICAS_MAX),
    strategy,
    labels,
    annotations: metadata?.map('annotations') ?? {},
    spec: readPodSpec(podSpec, context),
    hash: shortHash(template.fields, 10),
  };
}

function common(object: SourceObject): Pick<WorkloadSet, 'key' | 'namespace' | 'name' | 'file' | 'line'> {
  const namespace = object.namespace ?? 'default';
  return { key: keyOfObject(object), namespace, name: object.name, file: object.file, line: object.line };
}

/**
 * Compares what should be with what is. `suffix` gives five characters for a new pod's name (random in production).
 * A Deployment's surplus is taken from pods that are not ready first, then from the youngest.
 */
export function planPods(
  sets: readonly WorkloadSet[],
  existing: readonly ExistingPod[],
  suffix: () => string,
): PodPlan {
  const plan = { removeFirst: [] as string[], create: [] as PodToCreate[], removeLast: [] as string[] };
  const known = new Set(sets.map((set) => set.key));
  for (const pod of existing) if (!known.has(pod.owner)) plan.removeFirst.push(pod.uid);
  for (const set of sets) {
    const own = existing.filter((pod) => pod.owner === set.key);
    const current = own.filter((pod) => pod.hash === set.hash);
    const old = own.filter((pod) => pod.hash !== set.hash).map((pod) => pod.uid);
    // Stable sort: ready ones first, otherwise oldest first.
    const ordered = [...current].sort((a, b) => Number(b.ready) - Number(a.ready));
    plan.removeFirst.push(...ordered.slice(set.replicas).map((pod) => pod.uid));
    (set.strategy === 'Recreate' ? plan.removeFirst : plan.removeLast).push(...old);
    for (let index = current.length; index < set.replicas; index++) {
      plan.create.push({ set, name: set.kind === 'pod' ? set.name : `${set.name}-${set.hash}-${suffix()}` });
    }
  }
  return plan;
}

/** Where a new pod goes: its own choice, else the node after the last one (round robin over `nodes`). */
export class RoundRobin {
  readonly #nodes: readonly string[];
  #next = 0;
  constructor(nodes: readonly string[]) {
    this.#nodes = nodes;
  }
  pick(wanted: string | null): string {
    if (wanted !== null) return wanted;
    const node = this.#nodes[this.#next % this.#nodes.length];
    this.#next += 1;
    if (node === undefined) throw new Error('a sandbox has at least one node');
    return node;
  }
}

/** `length` characters that depend on the data only, whatever the order of its keys. */
export function shortHash(data: unknown, length: number): string {
  const digest = createHash('sha256').update(canonicalJson(data)).digest();
  return [...digest.subarray(0, length)].map((byte) => SAFE_CHARACTERS.charAt(byte % SAFE_CHARACTERS.length)).join('');
}

/** `length` characters from a source of random bytes. */
export function randomSuffix(bytes: Uint8Array): string {
  return [...bytes].map((byte) => SAFE_CHARACTERS.charAt(byte % SAFE_CHARACTERS.length)).join('');
}

/** Metadata of a pod made from a set: labels of the template plus pod-template-hash, and the ReplicaSet that owns it. */
export function podMetadata(pod: PodToCreate, uid: string, created: string): Fields {
  const { set } = pod;
  const base = { name: pod.name, namespace: set.namespace, uid, creationTimestamp: created };
  const annotations = Object.keys(set.annotations).length === 0 ? {} : { annotations: set.annotations };
  if (set.kind === 'pod') return { ...base, labels: set.labels, ...annotations };
  const replicaSet = `${set.name}-${set.hash}`;
  return {
    ...base,
    generateName: `${replicaSet}-`,
    labels: { ...set.labels, 'pod-template-hash': set.hash },
    ...annotations,
    ownerReferences: [
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        name: replicaSet,
        uid: `${set.key}#${set.hash}`,
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  };
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isFields(value)) return JSON.stringify(value) ?? 'null';
  const entries = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${entries.join(',')}}`;
}
