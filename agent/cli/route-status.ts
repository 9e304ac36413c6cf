/** What the controller says became of routes, beside what agents hold of them. */
import { defaultControllerSocket } from '../../cli/sandbox-registry.ts';
import type { RouteCondition, RouteStatus } from '../../mesh/route-status.ts';
import type { RouteDocument } from '../admin/api.ts';
import { askController } from './controller-client.ts';

/** Kubernetes kind of a route, `namespace/name`: routes of different kinds may have the same name. */
type RouteKey = string;

export type RouteStatuses = ReadonlyMap<RouteKey, RouteStatus>;

/** Where to ask: the socket that was named, else (unless agents were named themselves) the one that belongs to them. */
export async function routeStatuses(options: {
  readonly controllerSocket?: string;
  readonly socket?: readonly string[];
}): Promise<RouteStatuses | null> {
  const socket = options.controllerSocket ?? (options.socket === undefined ? defaultControllerSocket() : null);
  const answer = socket === null ? null : await askController(socket, '/routes');
  const routes = typeof answer === 'object' && answer !== null && 'routes' in answer ? answer.routes : null;
  if (!Array.isArray(routes)) return null;
  // The controller's own document, as RouteDocument is the agent's.
  return new Map((routes as readonly RouteStatus[]).map((status) => [keyOfStatus(status), status]));
}

/** The key of the status of a route as agents hold it. */
export function keyOfRoute(route: RouteDocument): RouteKey {
  return `${route.source} ${route.namespace}/${route.name}`;
}

/** The key of a status. */
export function keyOfStatus({ kind, namespace, name }: RouteStatus): RouteKey {
  return `${kind} ${namespace}/${name}`;
}

/** `Accepted`, or the reasons why not, each once: `RefNotPermitted`, `NoMatchingParent, BackendNotFound`. */
export function describeStatus(status: RouteStatus | undefined): string | null {
  if (status === undefined) return null;
  const conditions = status.parents.flatMap((parent) => parent.conditions);
  const reasons = conditions.filter(isProblem).map(({ type, reason }) => {
    return type === 'PartiallyInvalid' ? `${type} (${reason})` : reason;
  });
  return reasons.length === 0 ? 'Accepted' : [...new Set(reasons)].join(', ');
}

function isProblem({ type, status }: RouteCondition): boolean {
  return (status === 'True') === (type === 'PartiallyInvalid');
}
