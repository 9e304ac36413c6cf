/**
 * Services by name and ClusterIP, with their ports compiled per address family: a client that dialled an IPv6 ClusterIP is
 * sent to the pods' IPv6 addresses, because the connection keeps its source address (a pod without an address of that
 * family is reached by the one it has).
 */

import { type Cluster, type Endpoint, LiveCluster } from './cluster.ts';
import type { CompiledPort, ServiceDestination, UnknownDestination } from './destination.ts';
import { type Family, familyOf } from './ip.ts';
import { keyOf, type NamespacedName, type PortProtocol, type Service, type ServicePort } from './model.ts';
import type { PathNormalization } from './path.ts';
import { type HttpRoute, type Subset, type TcpRoute, type TlsRoute, targetName } from './route-model.ts';
import { type AnyRoute, parentPorts, parentsOf, type RouteIndex } from './route-index.ts';
import { type ClusterLookup, RouteTable } from './route-table.ts';
import { type Addressed, ServiceLookup } from './service-lookup.ts';
import { StreamRoutes } from './stream-routes.ts';

/** Characters of a host that is looked up label by label: no name is longer (RFC 1035 section 2.3.4), whatever a client writes. */
const HOST_LENGTH_MAX = 253;

/** What the table asks others. */
export interface ServiceTableParts {
  readonly routes: RouteIndexes;
  /** Ready endpoints behind a Service port for clients of an address family. */
  readonly endpointsOf: (service: Service, port: number, family: Family) => readonly Endpoint[];
  /** Those of them that clients of this node use. */
  readonly near: (service: Service, endpoints: readonly Endpoint[]) => readonly Endpoint[];
}

/** Does the client that asks see the Service? */
export type Sees = (service: Service) => boolean;

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
  /** By the labels that make them, as JSON. */
  readonly subsets: Map<string, LiveCluster>;
  /** null after a route changed: made anew on next use. */
  destination: ServiceDestination | null;
}

interface PortEntry {
  readonly port: ServicePort;
  readonly families: Map<Family, CompiledFamily>;
}

interface Listed extends Addressed {
  /** See Cluster.passthrough. */
  readonly passthrough: boolean;
  readonly ports: ReadonlyMap<number, PortEntry>;
  /** Answer for a port the Service does not have. */
  readonly unknownPort: UnknownDestination;
}

export class ServiceTable {
  readonly #byName = new Map<NamespacedName, Listed>();
  readonly #lookup = new ServiceLookup<Listed>();
  readonly #parts: ServiceTableParts;
  #pathMode: PathNormalization = 'BASE';
  #arrivals = 0;

  constructor(parts: ServiceTableParts) {
    this.#parts = parts;
  }

  byName(key: NamespacedName): Service | null {
    return this.#byName.get(key)?.service ?? null;
  }

  /** Services of the cluster, in the order in which they first came. */
  list(): readonly Service[] {
    const services: Service[] = [];
    for (const { isExternal, service } of this.#byName.values()) if (!isExternal) services.push(service);
    return services;
  }

  /** null: no Service that the client sees has the address. @param sees null: everybody sees everything */
  resolve(ip: string, port: number, sees: Sees | null): ServiceDestination | UnknownDestination | null {
    let other: UnknownDestination | null = null;
    for (const entry of this.#lookup.at(ip)) {
      if (sees !== null && !sees(entry.service)) continue;
      const portEntry = entry.ports.get(port);
      if (portEntry !== undefined) return this.#destination(entry, portEntry, familyOf(ip));
      if (!entry.isExternal) return entry.unknownPort;
      // ServiceEntries may share an address, each with ports of its own.
      other ??= entry.unknownPort;
    }
    return other;
  }

  /** The ServiceEntry with the narrowest block that the address is in and that has the port; null: there is none. */
  resolveInBlocks(ip: string, port: number, sees: Sees | null): ServiceDestination | null {
    return this.#firstWithPort(this.#lookup.within(ip), port, familyOf(ip), sees);
  }

  /** Some ServiceEntry has a host on that port that a client can name to us: in HTTP, or in a ClientHello. */
  hasHostsAt(port: number): boolean {
    return this.#lookup.hasHostsAt(port);
  }

  /**
   * The port of a ServiceEntry by host: the exact name, else the longest wildcard. Where several have the host, the one of the client's
   * namespace, else the first by name. null too for what is too long to be a host.
   */
  resolveHost(
    host: string,
    port: number,
    family: Family,
    namespace: string | null,
    sees: Sees,
  ): ServiceDestination | null {
    if (host.length > HOST_LENGTH_MAX) return null;
    let found = this.#byHost(host, port, family, namespace, sees);
    for (let dot = host.indexOf('.'); dot >= 0 && found === null; dot = host.indexOf('.', dot + 1)) {
      found = this.#byHost(`*${host.slice(dot)}`, port, family, namespace, sees);
    }
    return found;
  }

  #byHost(host: string, port: number, family: Family, namespace: string | null, sees: Sees): ServiceDestination | null {
    const entries = this.#lookup.named(host);
    const own: Sees = (service) => service.namespace === namespace && sees(service);
    return this.#firstWithPort(entries, port, family, own) ?? this.#firstWithPort(entries, port, family, sees);
  }

  #firstWithPort(
    entries: readonly Listed[],
    port: number,
    family: Family,
    sees: Sees | null,
  ): ServiceDestination | null {
    for (const entry of entries) {
      const portEntry = entry.ports.get(port);
      if (portEntry !== undefined && (sees === null || sees(entry.service))) {
        return this.#destination(entry, portEntry, family);
      }
    }
    return null;
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

  /** @param external a host of a ServiceEntry: see Listed */
  upsert(
    service: Service,
    external: { readonly passthrough: boolean; readonly blocks: readonly string[] } | null = null,
  ): void {
    const { key } = keyOf(service);
    const previous = this.#byName.get(key);
    if (previous !== undefined) this.#unlink(previous);
    const entry: Listed = {
      service,
      key,
      isExternal: external !== null,
      passthrough: external?.passthrough ?? false,
      blocks: external?.blocks ?? [],
      arrival: previous?.arrival ?? this.#arrivals++,
      ports: new Map(service.ports.map((port) => [port.port, { port, families: new Map() }])),
      unknownPort: { kind: 'unknown', service },
    };
    this.#byName.set(key, entry);
    this.#lookup.add(entry);
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
    const entry = this.#byName.get(key);
    if (entry !== undefined) for (const cluster of clustersOf(entry)) cluster.invalidate();
  }

  /** This node is elsewhere than it was thought to be: other endpoints are near. */
  placeChanged(): void {
    for (const entry of this.#byName.values()) {
      if (entry.service.trafficDistribution !== null) for (const cluster of clustersOf(entry)) cluster.invalidate();
    }
  }

  /** How what rewrites make of a path is normalised. All ports compile anew if that has changed. */
  setPathMode(mode: PathNormalization): void {
    if (mode === this.#pathMode) return;
    this.#pathMode = mode;
    for (const { ports } of this.#byName.values()) {
      for (const { families } of ports.values()) for (const family of families.values()) family.destination = null;
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

  #destination(entry: Listed, portEntry: PortEntry, family: Family): ServiceDestination {
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

  #compiled(entry: Listed, portEntry: PortEntry, family: Family): CompiledFamily {
    const existing = portEntry.families.get(family);
    if (existing !== undefined) return existing;
    const cluster = this.#cluster(entry, portEntry.port, family, null);
    const compiled: CompiledFamily = { cluster, subsets: new Map(), destination: null };
    portEntry.families.set(family, compiled);
    return compiled;
  }

  #routeTable(key: NamespacedName, port: number, family: Family): RouteTable | null {
    const routes = this.#parts.routes.http.attachedTo(key, port);
    const clusterOf = this.#clusterLookup(family);
    return routes.length === 0 ? null : new RouteTable(routes, port, clusterOf, this.#pathMode);
  }

  #streamRoutes(key: NamespacedName, port: number, family: Family): StreamRoutes | null {
    const tls = this.#parts.routes.tls.attachedTo(key, port);
    const tcp = this.#parts.routes.tcp.attachedTo(key, port);
    return tls.length + tcp.length === 0 ? null : new StreamRoutes(tls, tcp, port, this.#clusterLookup(family));
  }

  #clusterLookup(family: Family): ClusterLookup {
    return (target) => {
      const entry = this.#byName.get(targetName(target));
      const portEntry = entry?.ports.get(target.port);
      if (entry === undefined || portEntry === undefined) return null;
      const compiled = this.#compiled(entry, portEntry, family);
      return target.subset === null ? compiled.cluster : this.#subset(entry, portEntry, family, target.subset);
    };
  }

  #subset(entry: Listed, portEntry: PortEntry, family: Family, { labels }: Subset): Cluster {
    const wanted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify(wanted);
    const { subsets } = this.#compiled(entry, portEntry, family);
    let subset = subsets.get(key);
    if (subset === undefined) {
      subset = this.#cluster(entry, portEntry.port, family, ({ workload }) =>
        wanted.every(([name, value]) => workload.labels[name] === value),
      );
      subsets.set(key, subset);
    }
    return subset;
  }

  /** @param isMember null: every pod of the Service is. Near is who is near among the members. */
  #cluster(
    entry: Listed,
    port: ServicePort,
    family: Family,
    isMember: ((endpoint: Endpoint) => boolean) | null,
  ): LiveCluster {
    const { service, passthrough } = entry;
    const { endpointsOf, near } = this.#parts;
    const collect = (): readonly Endpoint[] => {
      const all = endpointsOf(service, port.port, family);
      return near(service, isMember === null ? all : all.filter(isMember));
    };
    return new LiveCluster(service, port, collect, passthrough);
  }

  #unlink(entry: Listed): void {
    for (const cluster of clustersOf(entry)) cluster.close();
    this.#lookup.remove(entry);
  }
}

/** Of all ports and families, subsets included. */
function clustersOf(entry: Listed): readonly LiveCluster[] {
  return [...entry.ports.values()].flatMap(({ families }) =>
    [...families.values()].flatMap(({ cluster, subsets }) => [cluster, ...subsets.values()]),
  );
}
