/** gateway.networking.k8s.io ReferenceGrant → ReferenceGrantObject, and what such grants permit. */
import { readMetadata } from './metadata.ts';
import { LABEL_NAME, OBJECT_NAME } from './names.ts';
import type { ObjectReader } from './object-reader.ts';
import type { BackendReference, ReferenceGrantObject } from './route-objects.ts';

/** Elements of `from` and of `to`: what the Gateway API's schema allows is 16. */
const ELEMENTS_MAX = 128;

/** Reads a ReferenceGrant; null when it is unusable. */
export function readReferenceGrant(object: ObjectReader): ReferenceGrantObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const spec = object.object('spec');
  object.finish(['apiVersion', 'kind', 'status']);
  for (const field of ['metadata', 'spec']) if (!object.has(field)) object.missing(field);
  if (meta === null || spec === null) return null;
  for (const field of ['from', 'to']) if (!spec.has(field)) spec.missing(field);
  const from = spec.objects('from', ELEMENTS_MAX).map((reader) => {
    const group = readGroup(reader);
    const kind = reader.requiredText('kind') ?? '';
    const namespace = reader.requiredText('namespace', LABEL_NAME) ?? '';
    reader.finish();
    return { group, kind, namespace };
  });
  const to = spec.objects('to', ELEMENTS_MAX).map((reader) => {
    const group = readGroup(reader);
    const kind = reader.requiredText('kind') ?? '';
    const name = reader.text('name', OBJECT_NAME);
    reader.finish();
    return { group, kind, name };
  });
  spec.finish();
  return { kind: 'ReferenceGrant', namespace: meta.namespace, name: meta.name, from, to };
}

/** `core` is a common way of writing the group without a name. */
function readGroup(reader: ObjectReader): string {
  if (!reader.has('group')) reader.missing('group', 'add group; write "" for the core group');
  const group = reader.text('group') ?? '';
  return group === 'core' ? '' : group;
}

/** Whether one of the grants of the reference's namespace lets routes of that kind and namespace refer to it. */
export function isGranted(
  grants: Iterable<ReferenceGrantObject>,
  from: { readonly group: string; readonly kind: string; readonly namespace: string },
  to: BackendReference,
): boolean {
  for (const grant of grants) {
    const fromMatches = grant.from.some(
      ({ group, kind, namespace }) => group === from.group && kind === from.kind && namespace === from.namespace,
    );
    const toMatches = grant.to.some(
      ({ group, kind, name }) => group === to.group && kind === to.kind && (name === null || name === to.name),
    );
    if (fromMatches && toMatches) return true;
  }
  return false;
}
