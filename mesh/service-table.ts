/**
 * Services by name and ClusterIP, with their ports compiled per address family: a client that dialled an IPv6 ClusterIP is
 * sent to the pods' IPv6 addresses, because the connection keeps its source address (a pod without an address of that
 * family is reached by the one it has).
 */

import { type Cluster, type Endpoint, LiveCluster } from './cluster.ts';
import type { CompiledPort, Destination, ServiceDestination, UnknownDestination } from './destination.ts';
import { type Family, familyOf } from './ip.ts';
import { keyOf, type NamespacedName, type PortProtocol, type Service, type ServicePort } from './model.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from './route-model.ts';
import { type AnyRoute, parentPorts, parentsOf, type RouteIndex } from './route-index.ts';
import { type ClusterLookup, RouteTable } from './route-table.ts';
import { StreamRoutes } from './stream-routes.ts';

/** Ready endpoints behind a Service port for clients of an address family. */
export type EndpointLookup = (service: NamespacedName, port: number, family: Family) => readonly Endpoint[];

/** The routes of the mesh, by kind. */
export interface RouteIndexes {
  readonly http: RouteIndex<HttpRoute>;
  readonly tls: RouteIndex<TlsRoute>;
  readonly tcp: RouteIndex<TcpRoute>;
}

/** How the routes of a port are compiled; null: none is attached. */
interface PortCompiler {
  routes(): RouteTable | null;
  streams(): StreamRoutes | null;
}

/** CompiledPort whose route tables are built when first asked for. */
class LazyPort implements CompiledPort {
  readonly cluster: Cluster;
  readonly protocol: PortProtocol;
  #routes: RouteTable | null | undefined;
  #streams: StreamRoutes | null | undefined;
  readonly #compiler: PortCompiler;

  constructor(cluster: Cluster, protocol: PortProtocol, compiler: PortCompiler) {
    this.cluster = cluster;
    this.protocol = protocol;
    this.#compiler = compiler;
  }

  get routes(): RouteTable | null {
    if (this.#routes === undefined) this.#routes = this.#compiler.routes();
    return this.#routes;
  }

  get streams(): StreamRoutes | null {
    if (this.#streams === undefined) this.#streams = this.#compiler.streams();
    return this.#streams;
  }
}

/** One port of a Service, for one address family. */
interface CompiledFamily {
  readonly cluster: LiveCluster;
  /** null after a route changed: made anew on next use. */
  destination: ServiceDestination | null;
}

interface PortEntry {
  readonly port: ServicePort;
  readonly families: Map<Family, CompiledFamily>;
}

interface ServiceEntry {
  readonly service: Service;
  readonly key: NamespacedName;
  /** Order in which the Service first came; an update keeps it. */
  readonly arrival: number;
  readonly ports: ReadonlyMap<number, PortEntry>;
  /** Answer for a port the Service does not have. */
  readonly unknownPort: UnknownDestination;
}

export class ServiceTable {
  readonly #byName = new Map<NamespacedName, ServiceEntry>();
  /** By arrival. More than one only while an address passes from a Service to another; the last to come has it. */
  readonly #byAddress = new Map<string, ServiceEntry[]>();
  readonly #routes: RouteIndexes;
  readonly #endpointsOf: EndpointLookup;
  #arrivals = 0;

  constructor(routes: RouteIndexes, endpointsOf: EndpointLookup) {
    this.#routes = routes;
    this.#endpointsOf = endpointsOf;
  }

  byName(key: NamespacedName): Service | null {
    return this.#byName.get(key)?.service ?? null;
  }

  list(): readonly Service[] {
    return Array.from(this.#byName.values(), (entry) => entry.service);
  }

  /** null: not a ClusterIP. */
  resolve(ip: string, port: number): Destination | null {
    const entries = this.#byAddress.get(ip);
    if (entries === undefined) return null;
    const entry = entries[entries.length - 1] as ServiceEntry;
    const portEntry = entry.ports.get(port);
    return portEntry === undefined ? entry.unknownPort : this.#destination(entry, portEntry, familyOf(ip));
  }

  compiledPort(key: NamespacedName, port: number, family: Family): CompiledPort | null {
    const entry = this.#byName.get(key);
    const portEntry = entry?.ports.get(port);
    return entry === undefined || portEntry === undefined ? null : this.#destination(entry, portEntry, family).target;
  }

  /** A port as direct pod traffic sees it: same cluster and protocol, never routes. */
  directPort(key: NamespacedName, port: number, family: Family): CompiledPort | null {
    const target = this.compiledPort(key, port, family);
    return target === null ? null : { cluster: target.cluster, protocol: target.protocol, routes: null, streams: null };
  }

  upsert(service: Service): void {
    const { key } = keyOf(service);
    const previous = this.#byName.get(key);
    if (previous !== undefined) this.#unlink(previous);
    const ports = new Map(service.ports.map((port) => [port.port, { port, families: new Map() }]));
    const arrival = previous?.arrival ?? this.#arrivals++;
    const entry: ServiceEntry = { service, key, arrival, ports, unknownPort: { kind: 'unknown', service } };
    this.#byName.set(key, entry);
    for (const address of new Set(service.addresses)) {
      const entries = [...(this.#byAddress.get(address) ?? []), entry];
      this.#byAddress.set(
        address,
        entries.sort((left, right) => left.arrival - right.arrival),
      );
    }
  }

  /** False: there was none. */
  remove(key: NamespacedName): boolean {
    const previous = this.#byName.get(key);
    if (previous === undefined) return false;
    this.#byName.delete(key);
    this.#unlink(previous);
    return true;
  }

  /** A pod behind the Service came, went, or changed. */
  membersChanged(key: NamespacedName): void {
    for (const port of this.#byName.get(key)?.ports.values() ?? []) {
      for (const { cluster } of port.families.values()) cluster.invalidate();
    }
  }

  /** A route came, went, or one of its backends did: the ports it is attached to compile anew. */
  routeChanged(route: AnyRoute): void {
    for (const parent of parentsOf(route)) {
      const wanted = parentPorts(route, parent);
      for (const entry of this.#byName.get(parent)?.ports.values() ?? []) {
        if (!wanted.includes(null) && !wanted.includes(entry.port.port)) continue;
        for (const family of entry.families.values()) family.destination = null;
      }
    }
  }

  #destination(entry: ServiceEntry, portEntry: PortEntry, family: Family): ServiceDestination {
    const compiled = this.#compiled(entry, portEntry, family);
    if (compiled.destination !== null) return compiled.destination;
    const { service, key } = entry;
    const { port } = portEntry;
    const target = new LazyPort(compiled.cluster, port.protocol, {
      routes: () => this.#routeTable(key, port.port, family),
      streams: () => this.#streamRoutes(key, port.port, family),
    });
    compiled.destination = { kind: 'service', service, port, target };
    return compiled.destination;
  }

  #compiled(entry: ServiceEntry, portEntry: PortEntry, family: Family): CompiledFamily {
    const existing = portEntry.families.get(family);
    if (existing !== undefined) return existing;
    const { port } = portEntry;
    const cluster = new LiveCluster(entry.service, port, () => this.#endpointsOf(entry.key, port.port, family));
    const compiled: CompiledFamily = { cluster, destination: null };
    portEntry.families.set(family, compiled);
    return compiled;
  }

  #routeTable(key: NamespacedName, port: number, family: Family): RouteTable | null {
    const routes = this.#routes.http.attachedTo(key, port);
    return routes.length === 0 ? null : new RouteTable(routes, port, this.#clusterLookup(family));
  }

  #streamRoutes(key: NamespacedName, port: number, family: Family): StreamRoutes | null {
    const tls = this.#routes.tls.attachedTo(key, port);
    const tcp = this.#routes.tcp.attachedTo(key, port);
    return tls.length + tcp.length === 0 ? null : new StreamRoutes(tls, tcp, this.#clusterLookup(family));
  }

  #clusterLookup(family: Family): ClusterLookup {
    return (namespace, name, port) => {
      const entry = this.#byName.get(`${namespace}/${name}`);
      const portEntry = entry?.ports.get(port);
      return entry === undefined || portEntry === undefined ? null : this.#compiled(entry, portEntry, family).cluster;
    };
  }

  #unlink(entry: ServiceEntry): void {
    for (const port of entry.ports.values()) for (const { cluster } of port.families.values()) cluster.close();
    for (const address of new Set(entry.service.addresses)) {
      const entries = this.#byAddress.get(address)?.filter((other) => other !== entry) ?? [];
      if (entries.length === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, entries);
    }
  }
}
