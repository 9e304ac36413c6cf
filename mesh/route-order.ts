/** Which of two routes that match equally well decides (Gateway API). */

/** Oldest first, then alphabetically by `namespace/name` (by code unit, as Go compares strings). */
export function compareRoutes(left: RouteAge, right: RouteAge): number {
  if (left.createdMs !== right.createdMs) return left.createdMs - right.createdMs;
  const a = `${left.namespace}/${left.name}`;
  const b = `${right.namespace}/${right.name}`;
  return a < b ? -1 : a > b ? 1 : 0;
}

interface RouteAge {
  readonly namespace: string;
  readonly name: string;
  readonly createdMs: number;
}
