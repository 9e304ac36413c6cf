/** Which endpoints of a Service a node's clients use (internalTrafficPolicy, trafficDistribution). Pure. */
import type { Endpoint } from './cluster.ts';
import type { Service } from './model.ts';

/** Where the clients are. */
export interface Place {
  /** '': not on a node; nothing is nearer than anything else. */
  readonly node: string;
  /** `region/zone/subzone`; '' unknown. */
  readonly locality: string;
}

/** Local: those of the node, or none. A distribution prefers some and falls back to all, as kube-proxy does. */
export function nearEndpoints(service: Service, endpoints: readonly Endpoint[], place: Place): readonly Endpoint[] {
  const { internalTrafficPolicy, trafficDistribution } = service;
  if (place.node === '' || (internalTrafficPolicy === 'Cluster' && trafficDistribution === null)) return endpoints;
  const onNode = endpoints.filter(({ workload }) => workload.node === place.node);
  if (internalTrafficPolicy === 'Local') return onNode;
  if (trafficDistribution === 'PreferSameNode' && onNode.length > 0) return onNode;
  const zone = zoneOf(place.locality);
  const inZone = zone === '' ? [] : endpoints.filter(({ workload }) => zoneOf(workload.locality) === zone);
  return inZone.length > 0 ? inZone : endpoints;
}

/** `region/zone`; '' when there is none. */
function zoneOf(locality: string): string {
  const [region = '', zone = ''] = locality.split('/');
  return zone === '' ? '' : `${region}/${zone}`;
}
