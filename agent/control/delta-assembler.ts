/** A response of the controller → a change of the mesh, or the reasons to refuse it. Pure. */
import type { MeshDelta, ResourceKey } from '../../mesh/model.ts';
import { keyOf } from '../../mesh/model.ts';
import type { DeltaResponse, Nack, Rejection } from '../../mesh/wire/discovery.ts';
import { decodeResource, typeUrlOf, wireNameOf } from '../../mesh/wire/resource.ts';
import type { SnapshotStore, VersionedResource } from './snapshot-store.ts';

export type Assembled =
  | { readonly ok: true; readonly delta: MeshDelta; readonly upserts: readonly VersionedResource[] }
  | { readonly ok: false; readonly nack: Nack };

/** Decodes every resource of a response; one that cannot be decoded refuses the response and is named. */
export function assembleDelta(response: DeltaResponse, store: Pick<SnapshotStore, 'get'>): Assembled {
  const rejections: Rejection[] = [];
  const upserts: VersionedResource[] = [];
  for (const { name, version, typeUrl, value } of response.resources) {
    if (typeUrl !== response.typeUrl) {
      rejections.push({ name, error: `has the type ${typeUrl} in a response of type ${response.typeUrl}` });
      continue;
    }
    const decoded = decodeResource(typeUrl, name, value);
    if (decoded.ok) upserts.push({ version, resource: decoded.resource });
    else rejections.push({ name, error: `${decoded.problem.field} ${decoded.problem.reason}`.trim() });
  }
  if (rejections.length > 0) return { ok: false, nack: nackOf(rejections) };
  const removals: ResourceKey[] = [];
  for (const name of response.removed) {
    // Only what is held can be removed; the rest is no change (xDS: removals of the unknown are ignored).
    const held = store.get(response.typeUrl, name);
    if (held !== undefined) removals.push(keyOf(held.resource));
  }
  return { ok: true, delta: { upserts: upserts.map(({ resource }) => resource), removals }, upserts };
}

/** The NACK for a change that the mesh or a worker refused. */
export function nackForRefusal(response: DeltaResponse, error: string, resource: ResourceKey | null): Nack {
  if (resource === null || typeUrlOf(resource.kind) !== response.typeUrl) return { message: error, rejections: [] };
  return nackOf([{ name: wireNameOf(resource), error }]);
}

function nackOf(rejections: readonly Rejection[]): Nack {
  const message = rejections.map(({ name, error }) => `${name}: ${error}`).join('; ');
  return { message: message.slice(0, 4_096), rejections };
}
