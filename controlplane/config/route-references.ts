/** What the routes of the Gateway API have in common: the Services they are attached to and those they send to. */
import type { HttpRouteParent, StreamBackend } from '../../mesh/route-model.ts';
import type { FieldPath } from '../finding.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import { type ObjectReader, quote } from './object-reader.ts';
import type { BackendReference } from './objects.ts';

const GATEWAY_GROUP = 'gateway.networking.k8s.io';
/** Elements of the lists of a rule and of parentRefs: four times what the Gateway API's schema allows. */
export const ELEMENTS_MAX = 128;

/** One Service a route is attached to, and where it says so. */
export interface Parent {
  readonly parent: HttpRouteParent;
  readonly path: FieldPath;
}

/** The Services among parentRefs; null (and a warning) when there is none. */
export function readParents(spec: ObjectReader, namespace: string): Parent[] | null {
  if (!spec.has('parentRefs')) spec.missing('parentRefs', 'add parentRefs with the Service to attach to');
  const references = spec.objects('parentRefs', ELEMENTS_MAX);
  const parents = references.flatMap((reference) => readParent(reference, namespace) ?? []);
  if (references.length > 0 && parents.length === 0 && !spec.problems.refused) {
    const remedy = 'to route inside the mesh write a parentRef with group: "" and kind: Service';
    spec.problems.warning(
      'NO_EFFECT',
      spec.at('parentRefs'),
      'names no Service, so the mesh ignores the route',
      remedy,
      'key',
    );
    return null;
  }
  return parents;
}

function readParent(reference: ObjectReader, namespace: string): Parent | null {
  const group = reference.text('group') ?? GATEWAY_GROUP;
  const kind = reference.text('kind') ?? 'Gateway';
  const name = reference.requiredText('name', OBJECT_NAME);
  const parentNamespace = reference.text('namespace', LABEL_NAME) ?? namespace;
  const port = reference.integer('port', 1, 65_535);
  const isService = kind === 'Service' && (group === '' || group === 'core');
  if (isService) reference.unsupported('sectionName');
  reference.finish(['sectionName']);
  if (kind === 'Service' && !isService) {
    const remedy = 'write group: ""';
    const path = reference.has('group') ? reference.at('group') : reference.path;
    reference.problems.error('INVALID_VALUE', path, `a Service is in the core group, not ${quote(group)}`, remedy);
    return null;
  }
  if (!isService || name === null) return null;
  if (parentNamespace !== namespace) {
    const reason = `a route for a Service of another namespace (consumer route) is not supported by weir yet`;
    reference.problems.error('UNSUPPORTED', reference.at('namespace'), reason, `move the route to ${parentNamespace}`);
  }
  return { parent: { namespace: parentNamespace, name, port }, path: reference.path };
}

export interface BackendTarget {
  readonly target: Omit<StreamBackend, 'valid'>;
  readonly reference: BackendReference;
}

/** The Service and weight of a backendRef; the caller takes what else it has and calls finish(). */
export function readBackendReference(reader: ObjectReader, namespace: string): BackendTarget {
  const group = reader.text('group') ?? '';
  const kind = reader.text('kind') ?? 'Service';
  const name = reader.requiredText('name', OBJECT_NAME) ?? '';
  const backendNamespace = reader.text('namespace', LABEL_NAME) ?? namespace;
  const isService = kind === 'Service' && (group === '' || group === 'core');
  const port = reader.integer('port', 1, 65_535);
  if (isService && !reader.has('port')) reader.missing('port', "add the Service's port");
  const weight = reader.integer('weight', 0, 1_000_000) ?? 1;
  return {
    target: { namespace: backendNamespace, name, port: port ?? 0, subset: null, weight },
    reference: { path: reader.path, foreignKind: isService ? null : `${group}/${kind}` },
  };
}
