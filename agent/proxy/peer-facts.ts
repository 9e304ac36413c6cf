/** What a source pod remembers about one endpoint: how to dial it, its policy for this source, its counters. */
import type { NamespacedName, Service, Workload } from '../../mesh/model.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { Endpoint } from '../../mesh/state.ts';
import type { PairSeries } from '../telemetry/series.ts';
import type { DialPlan } from '../upstream/environment.ts';
import type { Pod } from './pod.ts';

/** What policy of either kind says: mesh/verdict.ts, or a NetworkPolicy's refusal. */
export interface PeerVerdict {
  readonly allowed: boolean;
  /** Who decided; null: nobody's rule did. */
  readonly policy: NamespacedName | null;
  /** x-weir-reason. */
  readonly reason: string;
  /** When no policy decided: those that would have had to. */
  readonly allowPolicies: readonly NamespacedName[];
}

/** All policy for connections to one peer: mesh/authz.ts, or the same answer to everything where the connection itself is refused. */
export interface PeerPolicy {
  /** Non-null: every request and a plain connection get this answer. */
  readonly settled: PeerVerdict | null;
  connection(): PeerVerdict;
  request(view: RequestView): PeerVerdict;
}

export class PeerFacts {
  readonly endpoint: Endpoint;
  /** null: outside the mesh. */
  readonly workload: Workload | null;
  readonly plan: DialPlan;
  /** The destination when it is captured on this node: its inbound policy is decided here (single pass). */
  readonly localPod: Pod | null;
  /** The bound policy, valid for one mesh generation and these facts of a connection. */
  bound: PeerPolicy | null = null;
  boundGeneration = -1;
  boundClientIp = '';
  boundRemoteIp = '';
  /** Policy goes by server name: then `boundServerName` counts too. */
  boundByName = false;
  boundServerName: string | null = null;
  /** Counters for the service it was last reached through. */
  series: PairSeries | null = null;
  seriesService: Service | null = null;

  constructor(endpoint: Endpoint, workload: Workload | null, plan: DialPlan, localPod: Pod | null) {
    this.endpoint = endpoint;
    this.workload = workload;
    this.plan = plan;
    this.localPod = localPod;
  }
}
