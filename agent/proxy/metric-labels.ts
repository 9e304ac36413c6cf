/** Builds Istio's standard labels for a pair of workloads: once per pair, never per request. */
import type { Labels } from '../ipc/messages.ts';
import { type Service, type Workload, principalOf } from '../../mesh/model.ts';
import type { PairSeries } from '../telemetry/series.ts';
import type { WorkerContext } from './context.ts';
import type { PeerFacts } from './peer-facts.ts';
import type { Pod } from './pod.ts';

const UNKNOWN = 'unknown';

/** Traffic of a captured pod to an endpoint of the mesh. */
export function serviceSeries(context: WorkerContext, pod: Pod, peer: PeerFacts, service: Service | null): PairSeries {
  const labels = {
    ...sourceLabels(context, pod),
    ...destinationLabels(peer.workload, context.self.trustDomain, service),
    connection_security_policy: 'none',
  };
  const reporters = peer.localPod === null ? (['source'] as const) : (['source', 'destination'] as const);
  return context.series.pair(labels, reporters, pod.pod.uid, peer.workload?.uid ?? '');
}

/** Traffic that arrives at a captured pod over the network, from a source without a proven identity. */
export function inboundSeries(context: WorkerContext, pod: Pod): PairSeries {
  pod.inboundSeries ??= context.series.pair(
    {
      ...unknownSource(),
      ...destinationLabels(pod.workload(context.mesh), context.self.trustDomain, null),
      connection_security_policy: 'none',
    },
    ['destination'],
    '',
    pod.pod.uid,
  );
  return pod.inboundSeries;
}

/** Traffic of a captured pod to an address that is not of the mesh (Istio calls the service PassthroughCluster). */
export function passthroughSeries(context: WorkerContext, pod: Pod): PairSeries {
  pod.passthroughSeries ??= context.series.pair(
    {
      ...sourceLabels(context, pod),
      ...destinationLabels(null, context.self.trustDomain, null),
      destination_service: 'PassthroughCluster',
      destination_service_name: 'PassthroughCluster',
      connection_security_policy: UNKNOWN,
    },
    ['source'],
    pod.pod.uid,
    '',
  );
  return pod.passthroughSeries;
}

/** Requests of a captured pod that never got a peer: malformed, no route, no endpoint. */
export function unroutedSeries(context: WorkerContext, pod: Pod, service: Service | null): PairSeries {
  const key = service === null ? '' : `${service.namespace}/${service.name}`;
  let series = pod.unroutedSeries.get(key);
  if (series === undefined) {
    series = context.series.pair(
      {
        ...sourceLabels(context, pod),
        ...destinationLabels(null, context.self.trustDomain, service),
        connection_security_policy: UNKNOWN,
      },
      ['source'],
      pod.pod.uid,
      '',
    );
    pod.unroutedSeries.set(key, series);
  }
  return series;
}

function sourceLabels(context: WorkerContext, pod: Pod): Labels {
  const workload = pod.workload(context.mesh);
  return {
    source_workload: workload?.workloadName ?? UNKNOWN,
    source_workload_namespace: pod.pod.namespace,
    source_principal: `spiffe://${principalOf(pod.identity)}`,
    source_app: workload?.labels['app'] ?? UNKNOWN,
    source_version: workload?.labels['version'] ?? UNKNOWN,
    source_canonical_service: workload?.canonicalName ?? UNKNOWN,
    source_canonical_revision: workload?.canonicalRevision ?? UNKNOWN,
  };
}

function unknownSource(): Labels {
  return {
    source_workload: UNKNOWN,
    source_workload_namespace: UNKNOWN,
    source_principal: UNKNOWN,
    source_app: UNKNOWN,
    source_version: UNKNOWN,
    source_canonical_service: UNKNOWN,
    source_canonical_revision: UNKNOWN,
  };
}

function destinationLabels(workload: Workload | null, trustDomain: string, service: Service | null): Labels {
  const principal =
    workload === null
      ? UNKNOWN
      : `spiffe://${principalOf({ trustDomain, namespace: workload.namespace, serviceAccount: workload.serviceAccount })}`;
  return {
    destination_workload: workload?.workloadName ?? UNKNOWN,
    destination_workload_namespace: workload?.namespace ?? UNKNOWN,
    destination_principal: principal,
    destination_app: workload?.labels['app'] ?? UNKNOWN,
    destination_version: workload?.labels['version'] ?? UNKNOWN,
    destination_canonical_service: workload?.canonicalName ?? UNKNOWN,
    destination_canonical_revision: workload?.canonicalRevision ?? UNKNOWN,
    destination_service: service?.hostname ?? UNKNOWN,
    destination_service_name: service?.name ?? UNKNOWN,
    destination_service_namespace: service?.namespace ?? UNKNOWN,
  };
}
