/** core/v1 Namespace and ServiceAccount: a name, and labels that selectors of namespaces look at. */
import { readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import type { ObjectReader } from './object-reader.ts';
import type { NamespaceObject, ServiceAccountObject } from './objects.ts';

/** The label that the API server puts on every namespace. */
export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';

/** Reads a Namespace; null when it has no usable name. */
export function readNamespace(object: ObjectReader): NamespaceObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, LABEL_NAME);
  object.finish(['apiVersion', 'kind', 'spec', 'status']);
  if (meta === null) return null;
  const { name, labels } = meta;
  return { kind: 'Namespace', namespace: '', name, labels: { ...labels, [NAMESPACE_NAME_LABEL]: name } };
}

/** Reads a ServiceAccount; null when it has no usable name. */
export function readServiceAccount(object: ObjectReader): ServiceAccountObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  object.finish(['apiVersion', 'kind', 'secrets', 'imagePullSecrets', 'automountServiceAccountToken']);
  return meta === null ? null : { kind: 'ServiceAccount', namespace: meta.namespace, name: meta.name };
}
