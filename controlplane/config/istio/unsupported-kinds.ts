/**
 * Kinds that stand in people's folders beside those that weir takes, and that it can do nothing with: known by name, so that they are
 * reported with a reason and never taken for a slip.
 */
import { readMetadata } from '../metadata.ts';
import { OBJECT_NAME } from '../names.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { UnsupportedObject } from './objects.ts';

interface UnsupportedKind {
  readonly reason: string;
  readonly remedy: string;
}

const INGRESS: UnsupportedKind = {
  reason: 'weir has no ingress yet: it routes between the pods of the mesh',
  remedy: 'keep the gateway you have in front; routes that name mesh or a Service as parent hold',
};

const REASONS: Readonly<Record<UnsupportedObject['kind'], UnsupportedKind>> = {
  Gateway: INGRESS,
  GatewayClass: INGRESS,
  EnvoyFilter: {
    reason: 'it patches the configuration of Envoy, and weir has no Envoy',
    remedy: 'say it with VirtualService, HTTPRoute, DestinationRule or AuthorizationPolicy where these can',
  },
  WasmPlugin: {
    reason: 'weir loads no foreign code into its data plane',
    remedy: 'do the work in the application, or in a pod in front of it',
  },
  Telemetry: {
    reason: 'weir has one setting for all: defaultProviders of the ConfigMap istio',
    remedy: 'write metrics and accessLogging there; selection by workload is not supported yet',
  },
  ProxyConfig: {
    reason: 'it configures the sidecar of a pod, and weir has none',
    remedy: 'remove it; what pods have to say is in annotations under weir.dev/',
  },
  WorkloadGroup: {
    reason: 'it is the template by which VMs join, and weir has no agent for VMs yet',
    remedy: 'write a WorkloadEntry for each VM and a ServiceEntry that selects them',
  },
  BackendTLSPolicy: {
    reason: 'weir opens no TLS to backends on behalf of its clients yet',
    remedy: 'let the client speak TLS itself; until then it goes as the client sends it',
  },
};

/** Notes that a kind has no effect; its name is all that is read. */
export function readUnsupported(kind: UnsupportedObject['kind'], object: ObjectReader): UnsupportedObject | null {
  const metadata = object.object('metadata');
  const meta = metadata === null ? null : readMetadata(metadata, OBJECT_NAME);
  const { reason, remedy } = REASONS[kind];
  object.problems.warning('UNSUPPORTED', ['kind'], `${kind} is not supported by weir: ${reason}`, remedy);
  return meta === null ? null : { kind, namespace: meta.namespace, name: meta.name };
}
