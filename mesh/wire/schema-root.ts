/** The loaded schemas: one protobufjs type per message that crosses the wire. Loaded once, when first imported. */
import protobuf from 'protobufjs/light.js';
import { schema } from './schema.ts';

const root = protobuf.Root.fromJSON(schema as protobuf.INamespace);
root.resolveAll();

/** istio.workload.Address: a Workload or a Service. */
export const addressType = root.lookupType('istio.workload.Address');
/** weir.mesh.v1.WorkloadExtension: what Istio's Workload has no field for. */
export const workloadExtensionType = root.lookupType('weir.mesh.v1.WorkloadExtension');
/** weir.mesh.v1.ServiceExtension: what Istio's Service has no field for. */
export const serviceExtensionType = root.lookupType('weir.mesh.v1.ServiceExtension');
/** weir.mesh.v1.HttpRoute. */
export const httpRouteType = root.lookupType('weir.mesh.v1.HttpRoute');
/** weir.mesh.v1.TlsRoute. */
export const tlsRouteType = root.lookupType('weir.mesh.v1.TlsRoute');
/** weir.mesh.v1.TcpRoute. */
export const tcpRouteType = root.lookupType('weir.mesh.v1.TcpRoute');
/** weir.mesh.v1.AuthorizationPolicy. */
export const authorizationPolicyType = root.lookupType('weir.mesh.v1.AuthorizationPolicy');
/** weir.mesh.v1.MeshSettings. */
export const meshSettingsType = root.lookupType('weir.mesh.v1.MeshSettings');
/** weir.mesh.v1.RejectedResource: the detail of a NACK. */
export const rejectedResourceType = root.lookupType('weir.mesh.v1.RejectedResource');
/** envoy.service.discovery.v3.DeltaDiscoveryRequest. */
export const deltaRequestType = root.lookupType('envoy.service.discovery.v3.DeltaDiscoveryRequest');
/** envoy.service.discovery.v3.DeltaDiscoveryResponse. */
export const deltaResponseType = root.lookupType('envoy.service.discovery.v3.DeltaDiscoveryResponse');
/** envoy.service.discovery.v3.Resource. */
export const resourceType = root.lookupType('envoy.service.discovery.v3.Resource');

/** Frame writer of protobufjs, for messages that are put together from bytes encoded before. */
export function newWriter(): protobuf.Writer {
  return protobuf.Writer.create();
}
