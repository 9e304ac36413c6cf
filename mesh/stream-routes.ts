/**
 * The TLSRoutes and TCPRoutes of one Service port, compiled: which of them decides for a connection.
 *
 *   TLS        TLSRoute with the exact name, else with the longest `*.suffix`, else without hostnames; TCPRoute where the port
 *              has no TLSRoute at all
 *   not TLS    TCPRoute, else TLSRoute without hostnames
 *
 * Of equal ones the oldest, then the first by name. A connection that no route names is reset (Gateway API TLSRoute). Cost of a match: one look-up per label of the name.
 */

import type { Cluster } from './cluster.ts';
import { compareRoutes } from './route-order.ts';
import type { StreamBackend, TcpRoute, TlsRoute } from './route-model.ts';
import type { ClusterLookup } from './route-table.ts';

/** One backend with a weight above 0. `cluster` null: broken reference, its share is reset. */
export interface WeightedStream {
  readonly cluster: Cluster | null;
  readonly weight: number;
  readonly backend: StreamBackend;
}

/** A route that decides; one object per route for the life of the table. */
export interface StreamMatch {
  readonly route: TlsRoute | TcpRoute;
  /** `namespace/name`, for the access log and people. */
  readonly name: string;
  readonly backends: { readonly entries: readonly WeightedStream[]; readonly totalWeight: number };
}

export class StreamRoutes {
  /** A connection can only be routed once its ClientHello has been read. */
  readonly needsServerName: boolean;
  readonly #exact = new Map<string, StreamMatch>();
  /** By what follows the `*`: `.example.com`. */
  readonly #suffixes = new Map<string, StreamMatch>();
  #anyName: StreamMatch | null = null;
  readonly #tcp: StreamMatch | null;

  /** Compiles routes that are valid (see validate.ts) and attached to one Service port. */
  constructor(tlsRoutes: readonly TlsRoute[], tcpRoutes: readonly TcpRoute[], clusterOf: ClusterLookup) {
    this.needsServerName = tlsRoutes.length > 0;
    for (const route of [...tlsRoutes].sort(compareRoutes)) {
      const match = compile(route, clusterOf);
      const hostnames = hostnamesOf(route);
      if (hostnames.length === 0) this.#anyName ??= match;
      for (const hostname of hostnames) {
        const table = hostname.startsWith('*') ? this.#suffixes : this.#exact;
        const key = hostname.startsWith('*') ? hostname.slice(1) : hostname;
        if (!table.has(key)) table.set(key, match);
      }
    }
    const tcp = [...tcpRoutes].sort(compareRoutes)[0];
    this.#tcp = tcp === undefined ? null : compile(tcp, clusterOf);
  }

  /** @param serverName of a TLS connection, '' when it names none; null: not TLS. Answers null when no route decides. */
  match(serverName: string | null): StreamMatch | null {
    if (serverName === null) return this.#tcp ?? this.#anyName;
    return this.#byName(serverName) ?? this.#anyName ?? (this.needsServerName ? null : this.#tcp);
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

function compile(route: TlsRoute | TcpRoute, clusterOf: ClusterLookup): StreamMatch {
  const entries = (route.rules[0]?.backends ?? [])
    .filter((backend) => backend.weight > 0)
    .map((backend) => ({
      cluster: backend.valid ? clusterOf(backend.namespace, backend.name, backend.port) : null,
      weight: backend.weight,
      backend,
    }));
  const totalWeight = entries.reduce((sum, entry) => sum + entry.weight, 0);
  return { route, name: `${route.namespace}/${route.name}`, backends: { entries, totalWeight } };
}

function hostnamesOf(route: TlsRoute): readonly string[] {
  return (route.rules[0]?.matches ?? []).flatMap((match) => match.hostnames);
}
