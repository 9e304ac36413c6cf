/**
 * Services by name and ClusterIP, with their ports compiled per address family: a client that dialled an IPv6 ClusterIP is
 * sent to the pods' IPv6 addresses, because the connection keeps its source address (a pod without an address of that
 * family is reached by the one it has).
 */

import { CidrTrie } from './cidr-trie.ts';
import { type Cluster, type Endpoint, LiveCluster } from './cluster.ts';
import type { CompiledPort, Destination, ServiceDestination, UnknownDestination } from './destination.ts';
import { type Family, familyOf, parseCidr, parseIp } from './ip.ts';
import { keyOf, type NamespacedName, type PortProtocol, type Service, type ServicePort } from './model.ts';
import { type HttpRoute, type Subset, type TcpRoute, type TlsRoute, targetName } from './route-model.ts';
import { type AnyRoute, parentPorts, parentsOf, type RouteIndex } from './route-index.ts';
import { type ClusterLookup, RouteTable } from './route-table.ts';
import { StreamRoutes } from './stream-routes.ts';

/** Ready endpoints behind a Service port for clients of an address family. */
export type EndpointLookup = (service: Service, port: number, family: Family) => readonly Endpoint[];

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

interface Listed {
  readonly service: Service;
  readonly key: NamespacedName;
  /** See Cluster.passthrough. */
  readonly passthrough: boolean;
  /** Address blocks beside `service.addresses` (ServiceEntry). */
  readonly blocks: readonly string[];
  /** Order in which the Service first came; an update keeps it. */
  readonly arrival: number;
  readonly ports: ReadonlyMap<number, PortEntry>;
  /** Answer for a port the Service does not have. */
  readonly unknownPort: UnknownDestination;
}

export class ServiceTable {
  readonly #byName = new Map<NamespacedName, Listed>();
  /** By arrival. More than one only while an address passes from a Service to another; the last to come has it. */
  readonly #byAddress = new Map<string, Listed[]>();
  /** By host of a ServiceEntry, in the order in which they came; a wildcard by what follows its `*`. */
  readonly #byHost = new Map<string, Listed[]>();
  /** Blocks of ServiceEntries; null: to be built. */
  #blocks: CidrTrie<Listed> | null = null;
  #hasBlocks = false;
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
    if (entries === undefined) return this.#hasBlocks ? this.#resolveInBlocks(ip, port) : null;
    const entry = entries[entries.length - 1] as Listed;
    const portEntry = entry.ports.get(port);
    return portEntry === undefined ? entry.unknownPort : this.#destination(entry, portEntry, familyOf(ip));
  }

  /** The port of a ServiceEntry by host: the exact name, else the longest wildcard, of those that `sees` lets the client see. */
  resolveHost(
    host: string,
    port: number,
    family: Family,
    sees: (service: Service) => boolean,
  ): ServiceDestination | null {
    const found = this.#listedByHost(host, port, family, sees);
    if (found !== null) return found;
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const below = this.#listedByHost(`*${host.slice(dot)}`, port, family, sees);
      if (below !== null) return below;
    }
    return null;
  }

  #listedByHost(
    host: string,
    port: number,
    family: Family,
    sees: (service: Service) => boolean,
  ): ServiceDestination | null {
    for (const entry of this.#byHost.get(host) ?? []) {
      const portEntry = entry.ports.get(port);
      if (portEntry !== undefined && sees(entry.service)) return this.#destination(entry, portEntry, family);
    }
    return null;
  }

  #resolveInBlocks(ip: string, port: number): Destination | null {
    const address = parseIp(ip);
    if (address === null) return null;
    if (this.#blocks === null) {
      this.#blocks = new CidrTrie();
      for (const entry of this.#byName.values()) {
        for (const text of entry.blocks) {
          const block = parseCidr(text);
          if (block !== null) this.#blocks.entry(block, () => entry);
        }
      }
    }
    const found: Listed[] = [];
    this.#blocks.collect(address, found);
    // The narrowest block that has the port.
    for (const entry of found.reverse()) {
      const portEntry = entry.ports.get(port);
      if (portEntry !== undefined) return this.#destination(entry, portEntry, familyOf(ip));
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
    const ports = new Map(service.ports.map((port) => [port.port, { port, families: new Map() }]));
    const arrival = previous?.arrival ?? this.#arrivals++;
    const unknownPort: UnknownDestination = { kind: 'unknown', service };
    const { passthrough, blocks } = external ?? { passthrough: false, blocks: [] };
    const entry: Listed = { service, key, passthrough, blocks, arrival, ports, unknownPort };
    this.#byName.set(key, entry);
    if (external !== null) this.#byHost.set(service.name, [...(this.#byHost.get(service.name) ?? []), entry]);
    if (blocks.length > 0) this.#blocksChanged();
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
      for (const { cluster, subsets } of port.families.values()) {
        cluster.invalidate();
        for (const subset of subsets.values()) subset.invalidate();
      }
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
    const { port } = portEntry;
    const collect = (): readonly Endpoint[] => this.#endpointsOf(entry.service, port.port, family);
    const cluster = new LiveCluster(entry.service, port, collect, entry.passthrough);
    const compiled: CompiledFamily = { cluster, subsets: new Map(), destination: null };
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
    return tls.length + tcp.length === 0 ? null : new StreamRoutes(tls, tcp, port, this.#clusterLookup(family));
  }

  #clusterLookup(family: Family): ClusterLookup {
    return (target) => {
      const entry = this.#byName.get(targetName(target));
      const portEntry = entry?.ports.get(target.port);
      if (entry === undefined || portEntry === undefined) return null;
      const compiled = this.#compiled(entry, portEntry, family);
      return target.subset === null ? compiled.cluster : this.#subset(entry, portEntry, compiled, target.subset);
    };
  }

  /** Pods of the Service with those labels, kept up to date with it. */
  #subset(entry: Listed, { port }: PortEntry, { cluster, subsets }: CompiledFamily, { labels }: Subset): Cluster {
    const wanted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = JSON.stringify(wanted);
    let subset = subsets.get(key);
    if (subset === undefined) {
      const collect = (): readonly Endpoint[] =>
        cluster.endpoints.filter(({ workload }) => wanted.every(([name, value]) => workload.labels[name] === value));
      subset = new LiveCluster(entry.service, port, collect, entry.passthrough);
      subsets.set(key, subset);
    }
    return subset;
  }

  #blocksChanged(): void {
    this.#blocks = null;
    this.#hasBlocks = [...this.#byName.values()].some(({ blocks }) => blocks.length > 0);
  }

  #unlink(entry: Listed): void {
    for (const port of entry.ports.values()) {
      for (const { cluster, subsets } of port.families.values()) {
        cluster.close();
        for (const subset of subsets.values()) subset.close();
      }
    }
    const sameHost = this.#byHost.get(entry.service.name)?.filter((other) => other !== entry) ?? [];
    if (sameHost.length === 0) this.#byHost.delete(entry.service.name);
    else this.#byHost.set(entry.service.name, sameHost);
    if (entry.blocks.length > 0) this.#blocksChanged();
    for (const address of new Set(entry.service.addresses)) {
      const entries = this.#byAddress.get(address)?.filter((other) => other !== entry) ?? [];
      if (entries.length === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, entries);
    }
  }
}
