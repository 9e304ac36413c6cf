/** A captured pod as its worker sees it: namespace, identity, listeners, pools and counters. */
import type { EnrolledPod, PodStats } from '../ipc/messages.ts';
import type { Identity, Workload } from '../../mesh/model.ts';
import type { RouteClient } from '../../mesh/route-table.ts';
import type { MeshState } from '../../mesh/state.ts';
import { type PreparedAddress, prepareAddress } from '../engine/address.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import type { PairSeries, SeriesTable } from '../telemetry/series.ts';
import { UpstreamPool } from '../upstream/pool.ts';
import type { UpstreamEnvironment } from '../upstream/environment.ts';
import { PodUsage } from '../upstream/usage.ts';
import type { PeerFacts } from './peer-facts.ts';

export class Pod {
  /** Index among this node's pods: the reactor's tenant number. */
  readonly index: number;
  readonly pod: EnrolledPod;
  readonly namespace: NetworkNamespace;
  readonly identity: Identity;
  readonly pool: UpstreamPool;
  /** What it uses of this worker now, and what it was refused. */
  readonly usage: PodUsage;
  /** By endpoint slot; an entry counts only if its endpoint is the very object asked for. */
  readonly peers: (PeerFacts | undefined)[] = [];
  readonly sourceV4: PreparedAddress | null;
  readonly sourceV6: PreparedAddress | null;
  /** Counters of connections from unproven sources, and of those that leave the mesh. */
  inboundSeries: PairSeries | null = null;
  passthroughSeries: PairSeries | null = null;
  /** By service, for requests that got no peer. Those of services that are gone are dropped by the sweep. */
  readonly unroutedSeries = new Map<string, PairSeries>();
  #workload: Workload | null = null;
  /** As whom it asks routes, for one generation of the mesh. */
  #routeClient: RouteClient;
  #routeClientGeneration = -1;
  closed = false;
  bytesIn = 0;
  bytesOut = 0;
  requests = 0;
  connectionsOpened = 0;
  refused = 0;

  constructor(
    index: number,
    pod: EnrolledPod,
    namespace: NetworkNamespace,
    trustDomain: string,
    environment: UpstreamEnvironment,
  ) {
    this.index = index;
    this.pod = pod;
    this.namespace = namespace;
    this.identity = { trustDomain, namespace: pod.namespace, serviceAccount: pod.serviceAccount };
    this.usage = new PodUsage(index, environment.usage);
    this.pool = new UpstreamPool(environment);
    this.sourceV4 = firstAddress(pod.addresses, false);
    this.sourceV6 = firstAddress(pod.addresses, true);
    this.#routeClient = { namespace: pod.namespace, labels: {} };
  }

  /** Downstream connections open now. */
  get connectionsActive(): number {
    return this.usage.connections;
  }

  set connectionsActive(count: number) {
    this.usage.setConnections(count);
  }

  get fullName(): string {
    return `${this.pod.namespace}/${this.pod.name}`;
  }

  source(family: 2 | 10): PreparedAddress | null {
    return family === 2 ? this.sourceV4 : this.sourceV6;
  }

  /**
   * The mesh's view of this pod, by uid. While it terminates and the mesh has already dropped it, the last one known;
   * null only when the mesh never knew it.
   */
  workload(mesh: MeshState): Workload | null {
    this.#workload = mesh.workloadByUid(this.pod.uid) ?? this.#workload;
    return this.#workload;
  }

  /** Whose requests its are, to routes; without labels as long as the mesh does not know it. Hot. */
  routeClient(mesh: MeshState): RouteClient {
    if (this.#routeClientGeneration !== mesh.generation) {
      this.#routeClientGeneration = mesh.generation;
      this.#routeClient = this.workload(mesh) ?? this.#routeClient;
    }
    return this.#routeClient;
  }

  /** Drops the counters of services that are no longer there; a minute later nobody is told of them. */
  forgetUnrouted(mesh: MeshState, series: SeriesTable): void {
    for (const [key, pair] of this.unroutedSeries) {
      if (key === '') continue;
      if (mesh.serviceByName(key) !== null) continue;
      this.unroutedSeries.delete(key);
      series.retire(pair);
    }
  }

  stats(cpuMs: number): PodStats {
    return {
      index: this.index,
      namespace: this.pod.namespace,
      name: this.pod.name,
      cpuMs,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      requests: this.requests,
      connectionsOpened: this.connectionsOpened,
      connectionsActive: this.connectionsActive,
      refused: this.refused,
      requestsActive: this.usage.requests,
      pending: this.usage.pending,
      bufferedBytes: this.usage.bufferedBytes,
      shed: this.usage.shed,
    };
  }
}

function firstAddress(addresses: readonly string[], v6: boolean): PreparedAddress | null {
  const ip = addresses.find((address) => address.includes(':') === v6);
  return ip === undefined ? null : prepareAddress({ ip, port: 0 });
}
