/**
 * The TLSRoutes, TCPRoutes and VirtualServices (tls, tcp) of one Service port, compiled: which of them decides for a connection.
 *
 *   TLS        TLSRoute with the exact name, else with the longest `*.suffix`, else without hostnames; TCPRoute where the port
 *              has no TLSRoute at all
 *   not TLS    TCPRoute, else TLSRoute without hostnames
 *   VirtualService: only where the Gateway API says nothing; tls rules in order, then tcp rules in order
 *
 * Of equal ones the oldest, then the first by name. A connection that no route names is reset (Gateway API TLSRoute). Cost of a
 * match: one look-up per label of the name; linear in the rules of VirtualServices.
 */

import type { Cluster } from './cluster.ts';
import { type Cidr, cidrContains, parseCidr, parseIp } from './ip.ts';
import type { RouteClient } from './request-match.ts';
import type { StreamBackend, StreamRouteMatch, StreamRouteRule, TcpRoute, TlsRoute } from './route-model.ts';
import { compareRoutes } from './route-order.ts';
import type { ClusterLookup } from './route-table.ts';

/** One backend with a weight above 0. `cluster` null: broken reference, its share is reset. */
export interface WeightedStream {
  readonly cluster: Cluster | null;
  readonly weight: number;
  readonly backend: StreamBackend;
}

/** A rule that decides; one object per rule for the life of the table. */
export interface StreamMatch {
  readonly route: TlsRoute | TcpRoute;
  readonly ruleIndex: number;
  /** `namespace/name`, for the access log and people. */
  readonly name: string;
  readonly backends: { readonly entries: readonly WeightedStream[]; readonly totalWeight: number };
}

const EVERYBODY = '*';

export class StreamRoutes {
  /** A connection can only be routed once its ClientHello has been read. */
  readonly needsServerName: boolean;
  readonly #routes: readonly (TlsRoute | TcpRoute)[];
  readonly #port: number;
  readonly #clusterOf: ClusterLookup;
  readonly #named: ReadonlySet<string>;
  readonly #views = new Map<string, StreamView | null>();

  /** Compiles routes that are valid (see validate.ts) and attached to one Service port. */
  constructor(tlsRoutes: readonly TlsRoute[], tcpRoutes: readonly TcpRoute[], port: number, clusterOf: ClusterLookup) {
    this.needsServerName = tlsRoutes.length > 0;
    this.#routes = [...tlsRoutes, ...tcpRoutes];
    this.#port = port;
    this.#clusterOf = (target) => clusterOf(target.port === 0 ? { ...target, port } : target);
    this.#named = new Set(this.#routes.flatMap(({ clients }) => clients.filter((name) => name !== EVERYBODY)));
  }

  /** As RouteTable.concerns. */
  concerns(client: RouteClient): boolean {
    return this.#view(client.namespace) !== null;
  }

  /**
   * @param serverName of a TLS connection, '' when it names none; null: not TLS
   * @param ip that was dialled
   * @returns null when no route decides
   */
  match(serverName: string | null, client: RouteClient, ip: string): StreamMatch | null {
    return this.#view(client.namespace)?.match(serverName, client, ip) ?? null;
  }

  #view(namespace: string): StreamView | null {
    const key = this.#named.has(namespace) ? namespace : EVERYBODY;
    let view = this.#views.get(key);
    if (view === undefined) {
      view = this.#compileView(key);
      this.#views.set(key, view);
    }
    return view;
  }

  #compileView(namespace: string): StreamView | null {
    const visible = this.#routes.filter(({ clients }) => clients.includes(EVERYBODY) || clients.includes(namespace));
    const gateway = visible.filter(({ source }) => source !== 'VirtualService');
    const consumer = gateway.filter(({ clients }) => !clients.includes(EVERYBODY));
    const chosen = consumer.length > 0 ? consumer : gateway;
    if (chosen.length > 0) return new GatewayView(chosen, this.#clusterOf);
    return visible.length === 0 ? null : new OrderedView(visible, this.#port, this.#clusterOf);
  }
}

interface StreamView {
  match(serverName: string | null, client: RouteClient, ip: string): StreamMatch | null;
}

class GatewayView implements StreamView {
  readonly #hasTls: boolean;
  readonly #exact = new Map<string, StreamMatch>();
  /** By what follows the `*`: `.example.com`. */
  readonly #suffixes = new Map<string, StreamMatch>();
  #anyName: StreamMatch | null = null;
  #tcp: StreamMatch | null = null;

  constructor(routes: readonly (TlsRoute | TcpRoute)[], clusterOf: ClusterLookup) {
    this.#hasTls = routes.some(({ kind }) => kind === 'tlsRoute');
    for (const route of [...routes].sort(compareRoutes)) {
      route.rules.forEach((rule, index) => {
        const match = compile(route, rule, index, clusterOf);
        if (route.kind === 'tcpRoute') this.#tcp ??= match;
        else this.#addTls(rule, match);
      });
    }
  }

  match(serverName: string | null): StreamMatch | null {
    if (serverName === null) return this.#tcp ?? this.#anyName;
    return this.#byName(serverName) ?? this.#anyName ?? (this.#hasTls ? null : this.#tcp);
  }

  #addTls(rule: StreamRouteRule, match: StreamMatch): void {
    const hostnames = rule.matches.flatMap((each) => each.hostnames);
    if (hostnames.length === 0) this.#anyName ??= match;
    for (const hostname of hostnames) {
      const table = hostname.startsWith('*') ? this.#suffixes : this.#exact;
      const key = hostname.startsWith('*') ? hostname.slice(1) : hostname;
      if (!table.has(key)) table.set(key, match);
    }
  }

  #byName(serverName: string): StreamMatch | null {
    const exact = this.#exact.get(serverName);
    if (exact !== undefined) return exact;
    // The longest suffix begins at the first dot. A suffix never is the whole name: `*.a.b` does not match `a.b`.
    for (let dot = serverName.indexOf('.', 1); dot > 0; dot = serverName.indexOf('.', dot + 1)) {
      const found = this.#suffixes.get(serverName.slice(dot));
      if (found !== undefined) return found;
    }
    return null;
  }
}

/** A rule of a VirtualService with its blocks parsed. */
interface OrderedRule {
  readonly tls: boolean;
  readonly matches: readonly { readonly match: StreamRouteMatch; readonly blocks: readonly Cidr[] }[];
  readonly result: StreamMatch;
}

class OrderedView implements StreamView {
  readonly #rules: readonly OrderedRule[];
  readonly #port: number;
  /** Some rule asks for the dialled address. */
  readonly #hasBlocks: boolean;

  constructor(routes: readonly (TlsRoute | TcpRoute)[], port: number, clusterOf: ClusterLookup) {
    const tlsFirst = [...routes].sort((a, b) => kindOrder(a) - kindOrder(b) || compareRoutes(a, b));
    this.#port = port;
    this.#rules = tlsFirst.flatMap((route) =>
      route.rules.map((rule, index) => ({
        tls: route.kind === 'tlsRoute',
        matches: rule.matches.map((match) => ({ match, blocks: match.destinationBlocks.map(parsedBlock) })),
        result: compile(route, rule, index, clusterOf),
      })),
    );
    this.#hasBlocks = this.#rules.some(({ matches }) => matches.some(({ blocks }) => blocks.length > 0));
  }

  match(serverName: string | null, client: RouteClient, ip: string): StreamMatch | null {
    const address = this.#hasBlocks ? parseIp(ip) : null;
    const holds = ({ match, blocks }: OrderedRule['matches'][number]): boolean =>
      (match.port === null || match.port === this.#port) &&
      (match.hostnames.length === 0 || match.hostnames.some((name) => nameMatches(name, serverName))) &&
      (blocks.length === 0 || (address !== null && blocks.some((block) => cidrContains(block, address)))) &&
      (match.client === null || clientMatches(match.client, client));
    for (const rule of this.#rules) {
      if (rule.tls && serverName === null) continue;
      if (rule.matches.length === 0 || rule.matches.some(holds)) return rule.result;
    }
    return null;
  }
}

function kindOrder(route: TlsRoute | TcpRoute): number {
  return route.kind === 'tlsRoute' ? 0 : 1;
}

function nameMatches(wanted: string, serverName: string | null): boolean {
  if (serverName === null) return false;
  if (wanted === '*') return true;
  return wanted.startsWith('*') ? serverName.endsWith(wanted.slice(1)) : serverName === wanted;
}

function clientMatches(match: NonNullable<StreamRouteMatch['client']>, client: RouteClient): boolean {
  if (match.namespace !== null && match.namespace !== client.namespace) return false;
  return Object.entries(match.labels).every(([name, value]) => client.labels[name] === value);
}

function parsedBlock(value: string): Cidr {
  const block = parseCidr(value);
  if (block === null) throw new Error(`address block ${value} was not validated`);
  return block;
}

function compile(
  route: TlsRoute | TcpRoute,
  rule: StreamRouteRule,
  ruleIndex: number,
  clusterOf: ClusterLookup,
): StreamMatch {
  const entries = rule.backends
    .filter((backend) => backend.weight > 0)
    .map((backend) => ({
      cluster: backend.valid ? clusterOf(backend) : null,
      weight: backend.weight,
      backend,
    }));
  const totalWeight = entries.reduce((sum, entry) => sum + entry.weight, 0);
  return { route, ruleIndex, name: `${route.namespace}/${route.name}`, backends: { entries, totalWeight } };
}
