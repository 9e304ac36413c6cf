/** The request as a route forwards it, for `weir explain`: path, host and headers that policy judges and the workload gets. Pure. */
import type { HeaderChanges } from './explain.ts';
import type { HeaderEdits } from './header-edits.ts';
import { rewrittenPath } from './path-rewrite.ts';
import { hostWithoutPort, type PlainRequest } from './plain-request.ts';
import type { NameValue } from './route-model.ts';
import type { RouteMatch, WeightedCluster } from './route-table.ts';

export interface Forwarded {
  readonly request: PlainRequest;
  readonly changes: HeaderChanges;
}

export function forwardedRequest(request: PlainRequest, backend: WeightedCluster, match: RouteMatch): Forwarded {
  const { rewrite, requestEdits } = backend;
  const path =
    rewrite === null || request.path === '*' ? request.path : rewrittenPath(rewrite, match.matched, request.path);
  // As agent/proxy does it: a host that is set beside a rewrite wins.
  const host = requestEdits?.host ?? rewrite?.host ?? null;
  const headers = requestEdits === null ? request.headers : edited(request.headers, requestEdits);
  const forwarded = request.forwarded({ path, host: host ?? request.header('host') ?? request.host, headers });
  return { request: forwarded, changes: changesOf(request, requestEdits, host) };
}

/** Remove, then set, then add (Envoy's order, header-edits.ts). */
function edited(headers: readonly NameValue[], edits: HeaderEdits): readonly NameValue[] {
  const dropped = new Set([...edits.remove, ...edits.set.map(({ name }) => name)]);
  return [...headers.filter(({ name }) => !dropped.has(name)), ...edits.set, ...edits.add];
}

/** `set`: names whose value the workload sees differently, with that value; `remove`: names that were there and are not any more. */
function changesOf(request: PlainRequest, edits: HeaderEdits | null, host: string | null): HeaderChanges {
  const set: Record<string, string> = {};
  if (host !== null && hostWithoutPort(host) !== request.host) set['host'] = host;
  if (edits === null) return { set, remove: [] };
  for (const { name, value } of edits.set) set[name] = value;
  for (const { name, value } of edits.add) {
    const before = set[name] ?? (edits.remove.includes(name) ? undefined : request.header(name));
    set[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`;
  }
  return { set, remove: edits.remove.filter((name) => set[name] === undefined) };
}
