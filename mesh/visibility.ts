/**
 * What a pod can see: Istio Sidecar (egress hosts) and `exportTo`. Pure. A Service that its client cannot see is to that client as if
 * it were not of the mesh: `outboundTrafficPolicy` says what becomes of the connection.
 */
import type { MeshSettings, Service, Workload } from './model.ts';
import type { SidecarScope } from './traffic-model.ts';

/** Scopes of namespaces and of the mesh; which one a pod has. */
export class Visibility {
  readonly #scopes = new Map<string, SidecarScope>();
  /** By `namespace/name` of a Service (ServiceEntry host): the namespaces that see it. */
  readonly #exports = new Map<string, readonly string[]>();
  readonly #byWorkload = new WeakMap<Workload, { readonly version: number; readonly scope: SidecarScope | null }>();
  #version = 0;

  /** False: everybody sees everything, and nothing needs to be asked. */
  get restricts(): boolean {
    return this.#scopes.size + this.#exports.size > 0;
  }

  setScope(key: string, scope: SidecarScope | null): void {
    if (scope === null) this.#scopes.delete(key);
    else this.#scopes.set(key, scope);
    this.#version++;
  }

  /** @param namespaces [`*`] or null: everybody */
  setExport(service: string, namespaces: readonly string[] | null): void {
    if (namespaces === null || namespaces.includes('*')) this.#exports.delete(service);
    else this.#exports.set(service, namespaces);
  }

  /** May that pod see that port of the Service? */
  sees(client: Workload, service: Service, port: number): boolean {
    const exported = this.#exports.get(`${service.namespace}/${service.name}`);
    if (exported !== undefined && !exported.includes(client.namespace)) return false;
    const egress = this.scopeOf(client)?.egress ?? null;
    if (egress === null) return true;
    // A listener for a port of its own takes that port from the others (Istio Sidecar).
    const own = egress.filter((listener) => listener.port === port);
    const listeners = own.length > 0 ? own : egress.filter((listener) => listener.port === null);
    return listeners.some(({ hosts }) => hosts.some((host) => hostCovers(host, service)));
  }

  /** What becomes of destinations that the pod does not see. */
  outboundPolicy(client: Workload | null, settings: MeshSettings): 'ALLOW_ANY' | 'REGISTRY_ONLY' {
    const scope = client === null || this.#scopes.size === 0 ? null : this.scopeOf(client);
    return scope?.outboundTrafficPolicy ?? settings.outboundTrafficPolicy;
  }

  /** With a selector, else of its namespace, else of the mesh; of several the oldest, then the first by name. */
  scopeOf(client: Workload): SidecarScope | null {
    const known = this.#byWorkload.get(client);
    if (known !== undefined && known.version === this.#version) return known.scope;
    let best: SidecarScope | null = null;
    for (const scope of this.#scopes.values()) {
      if (rank(scope, client) > 0 && (best === null || isBetter(scope, best, client))) best = scope;
    }
    this.#byWorkload.set(client, { version: this.#version, scope: best });
    return best;
  }
}

/** 0: does not concern the pod. */
function rank(scope: SidecarScope, client: Workload): number {
  if (scope.namespace === client.namespace) {
    if (scope.selector === null) return 2;
    return Object.entries(scope.selector).every(([name, value]) => client.labels[name] === value) ? 3 : 0;
  }
  return scope.meshWide && scope.selector === null ? 1 : 0;
}

function isBetter(scope: SidecarScope, other: SidecarScope, client: Workload): boolean {
  const byRank = rank(scope, client) - rank(other, client);
  if (byRank !== 0) return byRank > 0;
  if (scope.createdMs !== other.createdMs) return scope.createdMs < other.createdMs;
  return `${scope.namespace}/${scope.name}` < `${other.namespace}/${other.name}`;
}

function hostCovers(wanted: { readonly namespace: string; readonly host: string }, service: Service): boolean {
  if (wanted.namespace !== '*' && wanted.namespace !== service.namespace) return false;
  if (wanted.host === '*') return true;
  return wanted.host.startsWith('*')
    ? service.hostname.endsWith(wanted.host.slice(1))
    : wanted.host === service.hostname;
}
