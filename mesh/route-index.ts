/** HTTPRoutes by key, by the Service they are attached to, and by the Services they send to. */

import { type HttpRoute, keyOf, type NamespacedName } from './model.ts';

export class RouteIndex {
  readonly #byKey = new Map<NamespacedName, HttpRoute>();
  readonly #byParent = new Map<NamespacedName, Set<HttpRoute>>();
  readonly #byBackend = new Map<NamespacedName, Set<HttpRoute>>();

  get(key: NamespacedName): HttpRoute | null {
    return this.#byKey.get(key) ?? null;
  }

  /** In the order in which they first came. */
  list(): readonly HttpRoute[] {
    return [...this.#byKey.values()];
  }

  upsert(route: HttpRoute): void {
    const { key } = keyOf(route);
    const previous = this.#byKey.get(key);
    if (previous !== undefined) this.#unlink(previous);
    this.#byKey.set(key, route);
    for (const parent of parentsOf(route)) addTo(this.#byParent, parent, route);
    for (const backend of backendsOf(route)) addTo(this.#byBackend, backend, route);
  }

  /** The route that was removed, or null. */
  remove(key: NamespacedName): HttpRoute | null {
    const previous = this.#byKey.get(key);
    if (previous === undefined) return null;
    this.#byKey.delete(key);
    this.#unlink(previous);
    return previous;
  }

  /**
   * Routes that decide for every client of a Service port: producer routes, which stand in the Service's own namespace. A
   * route from another namespace concerns only clients of that namespace (GAMMA consumer route) and is not among them.
   */
  attachedTo(service: NamespacedName, port: number): HttpRoute[] {
    const attached: HttpRoute[] = [];
    for (const route of this.#byParent.get(service) ?? []) {
      if (isProducer(route, service) && parentPorts(route, service).some((p) => p === null || p === port))
        attached.push(route);
    }
    return attached;
  }

  /** Routes with a backend in that Service. */
  withBackend(service: NamespacedName): readonly HttpRoute[] {
    return [...(this.#byBackend.get(service) ?? [])];
  }

  #unlink(route: HttpRoute): void {
    for (const parent of parentsOf(route)) removeFrom(this.#byParent, parent, route);
    for (const backend of backendsOf(route)) removeFrom(this.#byBackend, backend, route);
  }
}

/** Ports of a Service that a route names; null among them: all ports. */
export function parentPorts(route: HttpRoute, service: NamespacedName): readonly (number | null)[] {
  return route.parents
    .filter((parent) => `${parent.namespace}/${parent.name}` === service)
    .map((parent) => parent.port);
}

/** Services a route is attached to. */
export function parentsOf(route: HttpRoute): ReadonlySet<NamespacedName> {
  return new Set(route.parents.map((parent) => `${parent.namespace}/${parent.name}`));
}

function backendsOf(route: HttpRoute): ReadonlySet<NamespacedName> {
  return new Set(route.rules.flatMap((rule) => rule.backends.map((backend) => `${backend.namespace}/${backend.name}`)));
}

function isProducer(route: HttpRoute, service: NamespacedName): boolean {
  return service.startsWith(`${route.namespace}/`);
}

function addTo(index: Map<NamespacedName, Set<HttpRoute>>, key: NamespacedName, route: HttpRoute): void {
  const members = index.get(key);
  if (members === undefined) index.set(key, new Set([route]));
  else members.add(route);
}

function removeFrom(index: Map<NamespacedName, Set<HttpRoute>>, key: NamespacedName, route: HttpRoute): void {
  const members = index.get(key);
  members?.delete(route);
  if (members?.size === 0) index.delete(key);
}
