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
/** weir.mesh.v1.RejectedResource: the detail of a NACK. */
export const rejectedResourceType = root.lookupType('weir.mesh.v1.RejectedResource');
/** envoy.service.discovery.v3.DeltaDiscoveryRequest. */
export const deltaRequestType = root.lookupType('envoy.service.discovery.v3.DeltaDiscoveryRequest');
/** envoy.service.discovery.v3.DeltaDiscoveryResponse. */
export const deltaResponseType = root.lookupType('envoy.service.discovery.v3.DeltaDiscoveryResponse');
/** envoy.service.discovery.v3.Resource. */
export const resourceType = root.lookupType('envoy.service.discovery.v3.Resource');

/** The messages of weir.mesh.v1 that carry a kind of the model as JSON, by that kind. */
const jsonTypes = new Map<string, protobuf.Type>();

/** The message that carries resources of a kind as JSON: `httpRoute` → weir.mesh.v1.HttpRoute. */
export function jsonResourceType(kind: string): protobuf.Type {
  let type = jsonTypes.get(kind);
  if (type === undefined) {
    type = root.lookupType(`weir.mesh.v1.${kind.charAt(0).toUpperCase()}${kind.slice(1)}`);
    jsonTypes.set(kind, type);
  }
  return type;
}

/** Frame writer of protobufjs, for messages that are put together from bytes encoded before. */
export function newWriter(): protobuf.Writer {
  return protobuf.Writer.create();
}
