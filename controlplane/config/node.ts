/** core/v1 Node → NodeObject: where its pods are. */
import { readMetadata } from './metadata.ts';
import { OBJECT_NAME } from './names.ts';
import type { ObjectReader } from './object-reader.ts';
import type { NodeObject } from './objects.ts';

/** Region, zone, subzone: the well-known labels of Kubernetes, and Istio's for what Kubernetes has none for. */
const LOCALITY_LABELS = [
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'topology.istio.io/subzone',
] as const;

/** Reads a Node; null when it has no usable name. */
export function readNode(object: ObjectReader): NodeObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  object.finish(['apiVersion', 'kind', 'spec', 'status']);
  if (meta === null) return null;
  return { kind: 'Node', namespace: '', name: meta.name, locality: localityOf(meta.labels) };
}

/** `region/zone/subzone`, as far as the labels tell: what is unknown at the end is left out, before that it is empty. */
function localityOf(labels: Readonly<Record<string, string>>): string {
  const parts = LOCALITY_LABELS.map((label) => (Object.hasOwn(labels, label) ? (labels[label] ?? '') : ''));
  return parts.join('/').replace(/\/+$/, '');
}
