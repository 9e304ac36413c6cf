/** Whether a delta can be applied: everything is looked at before anything is changed. */
import type { MeshDelta, ResourceKey } from './model.ts';
import { keyOfAnything, validateKey, validateResource } from './validate.ts';

/** A delta was applied whole, or not at all and why: `error` names the resource, its field and the remedy. */
export type ApplyResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string; readonly resource: ResourceKey };

/** The first reason to refuse a delta, or null. */
export function checkDelta(delta: MeshDelta): ApplyResult | null {
  const { upserts, removals }: { upserts?: unknown; removals?: unknown } = delta ?? {};
  if (!Array.isArray(upserts) || !Array.isArray(removals)) {
    return refuse({ kind: 'workload', key: '?' }, 'a delta has the lists upserts and removals');
  }
  for (const removal of removals) {
    const problem = validateKey(removal);
    if (problem !== null) return refuse(keyOfAnything(removal), `removal: ${problem}`);
  }
  const seen = new Set<string>();
  for (const resource of upserts) {
    const key = keyOfAnything(resource);
    const problem = validateResource(resource);
    if (problem !== null) return refuse(key, problem);
    const id = `${key.kind} ${key.key}`;
    if (seen.has(id)) return refuse(key, 'occurs twice in one delta: send its last version only');
    seen.add(id);
  }
  return null;
}

function refuse(resource: ResourceKey, problem: string): ApplyResult {
  return { ok: false, error: `${resource.kind} ${resource.key}: ${problem}`, resource };
}
