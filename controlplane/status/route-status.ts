/**
 * The status of Gateway API routes: what the linker resolves (link/route-resolution.ts), as conditions per parent. Pure: whoever
 * writes it to a cluster adds the times.
 */
import {
  ROUTE_CONTROLLER_NAME,
  type RouteCondition,
  type RouteParentStatus,
  type RouteStatus,
  type StatusParentRef,
} from '../../mesh/route-status.ts';
import { type BackendProblem, resolveBackend, resolveParents } from '../config/link/route-resolution.ts';
import type { LinkView } from '../config/link/view.ts';
import type { RefusedObject } from '../config/object-store.ts';
import type { AcceptedObject } from '../config/objects.ts';
import type { ParentReference, RouteObject } from '../config/route-objects.ts';
import { ISTIO_GROUP } from '../config/route-references.ts';
import { compareText, type Finding, formatFieldPath } from '../finding.ts';

/** Longest message of a condition, in characters (metav1.Condition allows 32,768). */
const MESSAGE_LENGTH_MAX = 4_096;

/** The status of every route; of one whose present version was refused it is about that version. */
export function routeStatuses(
  accepted: Iterable<AcceptedObject>,
  refused: readonly RefusedObject[],
  view: LinkView,
): RouteStatus[] {
  const statuses = new Map<string, RouteStatus>();
  for (const object of accepted) if (isRoute(object)) statuses.set(keyOf(object), routeStatus(object, view));
  for (const { attempted, finding } of refused) {
    if (isRoute(attempted)) statuses.set(keyOf(attempted), refusedRouteStatus(attempted, finding));
  }
  return [...statuses].sort(([a], [b]) => compareText(a, b)).map(([, status]) => status);
}

/** The status of an accepted route as the other objects are now. */
export function routeStatus(object: RouteObject, view: LinkView): RouteStatus {
  const observedGeneration = object.generation ?? 0;
  const unsupported = unsupportedCondition(object);
  const resolvedRefs = resolvedRefsCondition(object, view);
  const parents = resolveParents(object, view).map(({ reference, problem }): RouteParentStatus => {
    const accepted: RouteCondition =
      problem !== null
        ? condition('Accepted', false, problem.condition, `${problem.reason}; ${problem.remedy}`, observedGeneration)
        : unsupported?.type === 'Accepted'
          ? unsupported
          : condition('Accepted', true, 'Accepted', '', observedGeneration);
    const partly = unsupported?.type === 'PartiallyInvalid' ? [unsupported] : [];
    return parentStatus(reference, [accepted, resolvedRefs, ...partly]);
  });
  const { kind, namespace, name } = object;
  return { kind, namespace, name, parents };
}

/** The status of a route whose present version was refused: an earlier one may be in force. */
export function refusedRouteStatus(object: RouteObject, finding: Finding): RouteStatus {
  const message = `${finding.field === '' ? '' : `${finding.field}: `}${finding.reason}; ${finding.remedy}`;
  const accepted = condition('Accepted', false, 'UnsupportedValue', message, object.generation ?? 0);
  const { kind, namespace, name } = object;
  return { kind, namespace, name, parents: object.parents.map((reference) => parentStatus(reference, [accepted])) };
}

function isRoute(object: AcceptedObject): object is RouteObject {
  switch (object.kind) {
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TLSRoute':
    case 'TCPRoute':
      return true;
    default:
      return false;
  }
}

function keyOf({ kind, namespace, name }: RouteObject): string {
  return `${namespace}/${name} ${kind}`;
}

/** Filters that weir has not: every rule has one, then the route is not accepted; some have, then it is in part. */
function unsupportedCondition(object: RouteObject): RouteCondition | null {
  if ((object.kind !== 'HTTPRoute' && object.kind !== 'GRPCRoute') || object.unsupported.size === 0) return null;
  const told = [...object.unsupported.values()].map(
    ({ path, type }) => `${formatFieldPath(path)}: the filter ${type} is not supported`,
  );
  const all = object.route.rules.every((rule) => object.unsupported.has(rule));
  const message = all ? told.join('; ') : `Dropped Rule(s): ${told.join('; ')}`;
  return all
    ? condition('Accepted', false, 'UnsupportedValue', message, object.generation ?? 0)
    : condition('PartiallyInvalid', true, 'UnsupportedValue', message, object.generation ?? 0);
}

function resolvedRefsCondition(object: RouteObject, view: LinkView): RouteCondition {
  const problems: BackendProblem[] = [];
  for (const reference of object.references.values()) {
    const { problem } = resolveBackend(object, reference, view);
    if (problem !== null) problems.push(problem);
  }
  const [first] = problems;
  const generation = object.generation ?? 0;
  if (first === undefined) return condition('ResolvedRefs', true, 'ResolvedRefs', '', generation);
  const message = [...new Set(problems.map(({ reason }) => reason))].join('; ');
  return condition('ResolvedRefs', false, first.condition, message, generation);
}

function parentStatus(reference: ParentReference, conditions: readonly RouteCondition[]): RouteParentStatus {
  const { kind, namespace, name, port, sectionName } = reference;
  const parentRef: StatusParentRef = {
    group: kind === 'Service' ? '' : ISTIO_GROUP,
    kind,
    namespace,
    name,
    ...(port === null ? {} : { port }),
    ...(sectionName === null ? {} : { sectionName }),
  };
  return { parentRef, controllerName: ROUTE_CONTROLLER_NAME, conditions };
}

function condition(
  type: RouteCondition['type'],
  holds: boolean,
  reason: RouteCondition['reason'],
  message: string,
  observedGeneration: number,
): RouteCondition {
  const shown = message.length > MESSAGE_LENGTH_MAX ? `${message.slice(0, MESSAGE_LENGTH_MAX - 3)}...` : message;
  return { type, status: holds ? 'True' : 'False', reason, message: shown, observedGeneration };
}
