/** What the routes of the Gateway API have in common: what they are attached to and what they send to. */
import type { BackendTarget, HttpRouteParent } from '../../mesh/route-model.ts';
import { readMetadata, type ObjectMeta } from './metadata.ts';
import { HOSTNAME, LABEL_NAME, OBJECT_NAME, PORT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { BackendReference, ParentReference } from './route-objects.ts';

/** Group of the Gateway API's kinds. */
export const GATEWAY_GROUP = 'gateway.networking.k8s.io';
/** Group of Istio's networking kinds. */
export const ISTIO_GROUP = 'networking.istio.io';
/** Elements of the lists of a rule and of parentRefs: twice what the Gateway API's schema allows. */
export const ELEMENTS_MAX = 128;

/** What every route begins with; null: it is unusable, or attached to nothing the mesh answers for. */
export interface RouteHead {
  readonly meta: ObjectMeta;
  readonly spec: ObjectReader;
  readonly parents: readonly ParentReference[];
}

/** Reads metadata and parentRefs of a route. The caller takes the rest of `spec` and calls its finish(). */
export function readRouteHead(object: ObjectReader): RouteHead | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status']);
  for (const field of ['metadata', 'spec']) if (!object.has(field)) object.missing(field);
  if (meta === null || spec === null) return null;
  const parents = readParents(spec, meta.namespace);
  return parents === null ? null : { meta, spec, parents };
}

/** The parents among parentRefs that are the mesh's; null (and a warning) when there is none. */
function readParents(spec: ObjectReader, namespace: string): ParentReference[] | null {
  if (!spec.has('parentRefs')) spec.missing('parentRefs', 'add parentRefs with the Service to attach to');
  const references = spec.objects('parentRefs', ELEMENTS_MAX);
  const parents = references.flatMap((reference) => readParent(reference, namespace) ?? []);
  if (references.length > 0 && parents.length === 0 && !spec.problems.refused) {
    const remedy = 'to route inside the mesh write a parentRef with group: "" and kind: Service';
    const reason = 'names no Service, so the mesh ignores the route';
    spec.problems.warning('NO_EFFECT', spec.at('parentRefs'), reason, remedy, 'key');
    return null;
  }
  return parents;
}

function readParent(reference: ObjectReader, namespace: string): ParentReference | null {
  const group = reference.text('group') ?? GATEWAY_GROUP;
  const kind = parentKind(group, reference.text('kind') ?? 'Gateway');
  const name = reference.requiredText('name', kind === 'Hostname' ? HOSTNAME : OBJECT_NAME);
  const parentNamespace = reference.text('namespace', LABEL_NAME) ?? namespace;
  const port = reference.integer('port', 1, 65_535);
  const sectionName = reference.text('sectionName', kind === 'Service' ? PORT_NAME : undefined);
  reference.finish();
  if (kind === 'misplaced Service') {
    const path = reference.has('group') ? reference.at('group') : reference.path;
    const reason = `a Service is in the core group, not ${quote(group)}`;
    reference.problems.error('INVALID_VALUE', path, reason, 'write group: ""');
    return null;
  }
  if (kind === null || name === null) return null;
  if (sectionName !== null && kind !== 'Service') {
    const remedy = 'write port; the name is ignored';
    reference.problems.warning('NO_EFFECT', reference.at('sectionName'), `means nothing for a ${kind}`, remedy, 'key');
  }
  const section = kind === 'Service' ? sectionName : null;
  return { kind, namespace: parentNamespace, name, port, sectionName: section, path: reference.path };
}

/** null: somebody else's, such as a Gateway. */
function parentKind(group: string, kind: string): ParentReference['kind'] | 'misplaced Service' | null {
  if (kind === 'Service') return group === '' || group === 'core' ? 'Service' : 'misplaced Service';
  return group === ISTIO_GROUP && (kind === 'ServiceEntry' || kind === 'Hostname') ? kind : null;
}

/** The parents as the model has them before they are resolved. */
export function writtenParents(parents: readonly ParentReference[]): HttpRouteParent[] {
  return parents.map(({ namespace, name, port }) => ({ namespace, name, port }));
}

/** Reads a backendRef; the caller takes what else it has and calls finish(). */
export function readBackendReference(reader: ObjectReader, namespace: string): BackendReference {
  const group = reader.text('group') ?? '';
  const kind = reader.text('kind') ?? 'Service';
  const name = reader.requiredText('name', OBJECT_NAME) ?? '';
  const backendNamespace = reader.text('namespace', LABEL_NAME) ?? namespace;
  const port = reader.integer('port', 1, 65_535);
  const isCore = group === '' || group === 'core';
  if (kind === 'Service' && isCore && !reader.has('port')) reader.missing('port', "add the Service's port");
  return { group: isCore ? '' : group, kind, namespace: backendNamespace, name, port, path: reader.path };
}

/** The relative share of a backendRef. */
export function readWeight(reader: ObjectReader): number {
  return reader.integer('weight', 0, 1_000_000) ?? 1;
}

/** The place a reference names, before it is resolved. */
export function writtenTarget({ namespace, name, port }: BackendReference): BackendTarget {
  return { namespace, name, port: port ?? 0, subset: null };
}
