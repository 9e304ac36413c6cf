/**
 * Pods made up from what the files describe: the templates of Deployments, StatefulSets, DaemonSets, ReplicaSets and Jobs, and the
 * workloads that questions of `weir explain` are about. One pod per template: how many there are changes no decision.
 */
import { createHash } from 'node:crypto';
import type { SourceDocument } from '../controlplane/sources/yaml-document.ts';
import type { ExplainDestination } from '../mesh/explain-request.ts';

type Json = Readonly<Record<string, unknown>>;

/** Kinds whose `spec.template` is a pod's. */
const TEMPLATE_KINDS = ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job'];
/** Made-up pods get addresses of 198.18.0.0/15, which RFC 2544 keeps for tests: no cluster uses them. */
const FIRST_ADDRESS = (198 << 24) + (18 << 16);
const ADDRESSES_MAX = 131_072;

/** Pods as Kubernetes objects. Destinations that a pod of the files or a template stands for already are not made again. */
export function podsOfTemplates(
  documents: readonly SourceDocument[],
  destinations: readonly ExplainDestination[],
): Json[] {
  const pods: Json[] = [];
  const seen = new Set<string>();
  const items = documents.flatMap(({ value }) => itemsOf(value));
  for (const item of items) {
    const pod = item['kind'] === 'Pod' ? item : null;
    if (pod !== null) seen.add(likeness(textAt(pod, 'metadata', 'namespace') ?? 'default', labelsOf(pod)));
  }
  for (const item of items) {
    if (typeof item['kind'] !== 'string' || !TEMPLATE_KINDS.includes(item['kind'])) continue;
    const template = mappingAt(item, 'spec', 'template');
    const name = textAt(item, 'metadata', 'name');
    if (template === null || name === null) continue;
    const namespace = textAt(item, 'metadata', 'namespace') ?? 'default';
    seen.add(likeness(namespace, labelsOf(template)));
    pods.push(madePod(pods.length, name, namespace, template, null, ownerOf(item, name)));
  }
  for (const destination of destinations) {
    const { namespace, labels, ip } = destination;
    const like = likeness(namespace, labels);
    if (seen.has(like) || namespace === '') continue;
    seen.add(like);
    pods.push(madePod(pods.length, `explained-${shortHash(like)}`, namespace, { metadata: { labels } }, ip, null));
  }
  return pods;
}

function madePod(
  index: number,
  name: string,
  namespace: string,
  template: Json,
  ip: string | null,
  owner: Json | null,
): Json {
  const metadata = mappingAt(template, 'metadata') ?? {};
  const spec = mappingAt(template, 'spec') ?? {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      name,
      namespace,
      uid: `made-${shortHash(`${namespace}/${name}/${index}`)}`,
      ...(owner === null ? {} : { ownerReferences: [owner] }),
    },
    spec: { ...spec, nodeName: 'node' },
    status: {
      phase: 'Running',
      ...addressStatus(ip ?? addressAt(index)),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

function addressStatus(ip: string): Json {
  return ip === '0.0.0.0' ? {} : { podIP: ip, podIPs: [{ ip }] };
}

function addressAt(index: number): string {
  const number = FIRST_ADDRESS + (index % ADDRESSES_MAX);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

/** As the deployment controller writes it: the pod's workload is called after the object of the files. */
function ownerOf(item: Json, name: string): Json {
  return { apiVersion: item['apiVersion'], kind: item['kind'], name, uid: `made-${shortHash(name)}`, controller: true };
}

function itemsOf(value: unknown): Json[] {
  if (!isMapping(value)) return [];
  return value['kind'] === 'List' && Array.isArray(value['items']) ? value['items'].filter(isMapping) : [value];
}

function labelsOf(object: Json): Json {
  return mappingAt(object, 'metadata', 'labels') ?? {};
}

/** The same for the same namespace and labels, whatever their order. */
function likeness(namespace: string, labels: Json): string {
  return JSON.stringify([namespace, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function mappingAt(object: Json, ...path: readonly string[]): Json | null {
  let found: unknown = object;
  for (const name of path) found = isMapping(found) && Object.hasOwn(found, name) ? found[name] : null;
  return isMapping(found) ? found : null;
}

function textAt(object: Json, ...path: readonly string[]): string | null {
  const parent = mappingAt(object, ...path.slice(0, -1));
  const found = parent?.[path.at(-1) as string];
  return typeof found === 'string' && found !== '' ? found : null;
}

function isMapping(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
