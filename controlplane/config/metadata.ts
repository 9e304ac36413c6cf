/** metadata of any object. */
import { LABEL_KEY, LABEL_NAME, LABEL_VALUE, type OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';

/** The namespace of an object that names none. */
export const DEFAULT_NAMESPACE = 'default';

export interface ObjectMeta {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch; 0 when absent. */
  readonly createdMs: number;
  /** null: not written. */
  readonly generation: number | null;
}

const IGNORED = [
  'generateName',
  'selfLink',
  'resourceVersion',
  'deletionGracePeriodSeconds',
  'finalizers',
  'managedFields',
  'uid',
  'deletionTimestamp',
  'ownerReferences',
];

/** Anything that has no "/" and no control characters in its key; the values of annotations are free. */
const ANNOTATION_KEY = { ...LABEL_KEY, description: `for an annotation ${LABEL_KEY.description}` };

/** Reads metadata; null when there is no usable name. The caller takes what else it needs from `reader` beforehand. */
export function readMetadata(reader: ObjectReader, nameRule: typeof OBJECT_NAME): ObjectMeta | null {
  const name = reader.requiredText('name', nameRule);
  const namespace = reader.has('namespace') ? reader.text('namespace', LABEL_NAME) : DEFAULT_NAMESPACE;
  const labels = reader.textMap('labels', LABEL_KEY, LABEL_VALUE);
  const annotations = reader.textMap('annotations', ANNOTATION_KEY);
  const created = reader.has('creationTimestamp') ? reader.text('creationTimestamp') : null;
  const createdMs = created === null ? 0 : Date.parse(created);
  if (Number.isNaN(createdMs)) {
    const remedy = 'write it as 2026-01-31T12:00:00Z or remove it';
    reader.problems.error('INVALID_VALUE', reader.at('creationTimestamp'), `is ${quote(created ?? '')}`, remedy);
  }
  const generation = reader.integer('generation', 0, Number.MAX_SAFE_INTEGER);
  reader.finish([...IGNORED, 'namespace', 'creationTimestamp']);
  if (name === null || namespace === null) return null;
  return { namespace, name, labels, annotations, createdMs: Math.max(0, createdMs), generation };
}
