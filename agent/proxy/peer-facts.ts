/** What a source pod remembers about one endpoint: how to dial it, its policy for this source, its counters. */
import type { BoundAuthorization } from '../../mesh/authz.ts';
import type { Service, Workload } from '../../mesh/model.ts';
import type { Endpoint } from '../../mesh/state.ts';
import type { PairSeries } from '../telemetry/series.ts';
import type { DialPlan } from '../upstream/environment.ts';
import type { Pod } from './pod.ts';

export class PeerFacts {
  readonly endpoint: Endpoint;
  /** null: outside the mesh. */
  readonly workload: Workload | null;
  readonly plan: DialPlan;
  /** The destination when it is captured on this node: its inbound policy is decided here (single pass). */
  readonly localPod: Pod | null;
  /** The bound policy, valid for one mesh generation and these facts of a connection. */
  bound: BoundAuthorization | null = null;
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
