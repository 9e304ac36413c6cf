/** Services and EndpointSlices. */
import type { Service } from '../../../mesh/model.ts';
import type { Finding } from '../../finding.ts';
import type { EndpointSliceObject, ServiceObject, SliceEndpoint } from '../objects.ts';
import { reporter } from './report.ts';
import type { Link, LinkView } from './view.ts';
import type { PodObject } from '../objects.ts';

/** The Service as agents see it. */
export const linkService: Link<ServiceObject> = (service) => {
  const { namespace, name, addresses, internalTrafficPolicy, trafficDistribution, externalName } = service;
  const resource: Service = {
    kind: 'service',
    namespace,
    name,
    hostname: `${name}.${namespace}.svc.cluster.local`,
    addresses,
    ports: service.ports.map(({ port, name: portName, protocol }) => ({ port, name: portName, protocol })),
    internalTrafficPolicy,
    trafficDistribution,
    externalName,
  };
  return { resources: [resource], findings: [] };
};

/** The Service whose pods a slice names; null: there is none, or its own selector says which they are. */
export function sliceService(slice: EndpointSliceObject, view: LinkView): ServiceObject | null {
  const service = view.service(slice.namespace, slice.service);
  return service === undefined || service.selector !== null || service.externalName !== null ? null : service;
}

/** The pod behind an endpoint: the one it refers to, or the one that has its address. */
export function endpointPod(endpoint: SliceEndpoint, view: LinkView): PodObject | null {
  if (endpoint.pod !== null) return view.pod(endpoint.pod.namespace, endpoint.pod.name) ?? null;
  for (const address of endpoint.addresses) {
    const pod = view.podAt(address);
    if (pod !== undefined) return pod;
  }
  return null;
}

/** Says which endpoints lead to no pod. The slice makes no resource: its pods do, see WorkloadLinks. */
export const linkEndpointSlice: Link<EndpointSliceObject> = (slice, view) => {
  const findings: Finding[] = [];
  if (sliceService(slice, view) === null) return { resources: [], findings };
  const stray = slice.endpoints.filter((endpoint) => endpointPod(endpoint, view) === null);
  const [first] = stray;
  if (first !== undefined) {
    const others = stray.length === 1 ? '' : `, nor have ${stray.length - 1} further endpoints`;
    const reason = `no pod has the address ${first.addresses[0] ?? ''}${others}: weir sends nothing there yet`;
    const remedy = 'describe endpoints outside the cluster by a ServiceEntry';
    reporter(slice, findings)(first.path, 'NOT_ENFORCED', reason, remedy);
  }
  return { resources: [], findings };
};
