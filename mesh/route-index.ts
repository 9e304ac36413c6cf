/** Routes of one kind by key, by the Service they are attached to, and by the Services they send to. */

import { keyOf, type NamespacedName } from './model.ts';
import {
  type BackendTarget,
  type HttpRoute,
  type HttpRouteRule,
  type StreamRouteRule,
  type TcpRoute,
  type TlsRoute,
  targetName,
} from './route-model.ts';

export type AnyRoute = HttpRoute | TlsRoute | TcpRoute;

export class RouteIndex<R extends AnyRoute> {
  readonly #byKey = new Map<NamespacedName, R>();
  readonly #byParent = new Map<NamespacedName, Set<R>>();
  readonly #byBackend = new Map<NamespacedName, Set<R>>();

  get(key: NamespacedName): R | null {
    return this.#byKey.get(key) ?? null;
  }

  /** In the order in which they first came. */
  list(): readonly R[] {
    return [...this.#byKey.values()];
  }

  upsert(route: R): void {
    const { key } = keyOf(route);
    const previous = this.#byKey.get(key);
    if (previous !== undefined) this.#unlink(previous);
    this.#byKey.set(key, route);
    for (const parent of parentsOf(route)) addTo(this.#byParent, parent, route);
    for (const backend of backendsOf(route)) addTo(this.#byBackend, backend, route);
  }

  /** The route that was removed, or null. */
  remove(key: NamespacedName): R | null {
    const previous = this.#byKey.get(key);
    if (previous === undefined) return null;
    this.#byKey.delete(key);
    this.#unlink(previous);
    return previous;
  }

  /** Routes attached to a Service port, whichever clients they decide for (see RouteTable). */
  attachedTo(service: NamespacedName, port: number): R[] {
    const attached: R[] = [];
    for (const route of this.#byParent.get(service) ?? []) {
      const isHere = parentPorts(route, service).some((p) => p === null || p === port);
      if (isHere && mayDecide(route, service)) attached.push(route);
    }
    return attached;
  }

  /** Routes with a backend in that Service. */
  withBackend(service: NamespacedName): readonly R[] {
    return [...(this.#byBackend.get(service) ?? [])];
  }

  #unlink(route: R): void {
    for (const parent of parentsOf(route)) removeFrom(this.#byParent, parent, route);
    for (const backend of backendsOf(route)) removeFrom(this.#byBackend, backend, route);
  }
}

/** Ports of a Service that a route names; null among them: all ports. */
export function parentPorts(route: AnyRoute, service: NamespacedName): readonly (number | null)[] {
  return route.parents
    .filter((parent) => `${parent.namespace}/${parent.name}` === service)
    .map((parent) => parent.port);
}

/** Services a route is attached to. */
export function parentsOf(route: AnyRoute): ReadonlySet<NamespacedName> {
  return new Set(route.parents.map((parent) => `${parent.namespace}/${parent.name}`));
}

/** Services a route sends to or mirrors to. */
function backendsOf(route: AnyRoute): ReadonlySet<NamespacedName> {
  const backends: BackendTarget[] = route.rules.flatMap((rule: HttpRouteRule | StreamRouteRule) => rule.backends);
  if (route.kind === 'httpRoute') {
    for (const { filters } of route.rules) {
      for (const filter of filters) if (filter.type === 'requestMirror') backends.push(filter.backend);
    }
  }
  return new Set(backends.map(targetName));
}

/**
 * GAMMA: a route that stands in another namespace than the Service decides for pods of its own alone. One that says otherwise
 * would take over other people's traffic.
 */
function mayDecide(route: AnyRoute, service: NamespacedName): boolean {
  if (route.source === 'VirtualService' || service.startsWith(`${route.namespace}/`)) return true;
  return route.clients.every((namespace) => namespace === route.namespace);
}

function addTo<R>(index: Map<NamespacedName, Set<R>>, key: NamespacedName, route: R): void {
  const members = index.get(key);
  if (members === undefined) index.set(key, new Set([route]));
  else members.add(route);
}

function removeFrom<R>(index: Map<NamespacedName, Set<R>>, key: NamespacedName, route: R): void {
  const members = index.get(key);
  members?.delete(route);
  if (members?.size === 0) index.delete(key);
}
