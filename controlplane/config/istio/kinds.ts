/** Istio's networking kinds, and kinds of other groups that are known without being supported. */
import type { KnownKind } from '../kinds.ts';
import type { ReaderOptions } from '../object-reader.ts';
import { readDestinationRule } from './destination-rule.ts';
import type { UnsupportedObject } from './objects.ts';
import { readServiceEntry } from './service-entry.ts';
import { readSidecar } from './sidecar.ts';
import { readUnsupported } from './unsupported-kinds.ts';
import { readVirtualService } from './virtual-service.ts';
import { readWorkloadEntry } from './workload-entry.ts';

const NETWORKING = 'networking.istio.io';
const GATEWAY = 'gateway.networking.k8s.io';
const VERSIONS = ['v1', 'v1beta1', 'v1alpha3'];
const strict: ReaderOptions = { nullIs: 'error', unknownField: 'error' };
/** Their fields are not looked at. */
const unread: ReaderOptions = { nullIs: 'absent', unknownField: 'warning' };

function unsupported(group: string, kind: UnsupportedObject['kind'], versions: readonly string[]): KnownKind {
  return { group, kind, versions, options: unread, read: (reader) => readUnsupported(kind, reader) };
}

/** Entries of the registry of kinds (config/kinds.ts). */
export const ISTIO_KINDS: readonly KnownKind[] = [
  { group: NETWORKING, kind: 'VirtualService', versions: VERSIONS, options: strict, read: readVirtualService },
  { group: NETWORKING, kind: 'DestinationRule', versions: VERSIONS, options: strict, read: readDestinationRule },
  { group: NETWORKING, kind: 'ServiceEntry', versions: VERSIONS, options: strict, read: readServiceEntry },
  { group: NETWORKING, kind: 'WorkloadEntry', versions: VERSIONS, options: strict, read: readWorkloadEntry },
  {
    group: NETWORKING,
    kind: 'Sidecar',
    versions: VERSIONS,
    options: strict,
    read: (reader, origin, { rootNamespace }) => readSidecar(reader, origin, rootNamespace),
  },
  unsupported(NETWORKING, 'Gateway', VERSIONS),
  unsupported(NETWORKING, 'EnvoyFilter', ['v1alpha3']),
  unsupported(NETWORKING, 'ProxyConfig', ['v1beta1']),
  unsupported(NETWORKING, 'WorkloadGroup', VERSIONS),
  unsupported('extensions.istio.io', 'WasmPlugin', ['v1alpha1']),
  unsupported('telemetry.istio.io', 'Telemetry', ['v1', 'v1alpha1']),
  unsupported(GATEWAY, 'Gateway', ['v1', 'v1beta1', 'v1alpha2']),
  unsupported(GATEWAY, 'GatewayClass', ['v1', 'v1beta1', 'v1alpha2']),
  unsupported(GATEWAY, 'BackendTLSPolicy', ['v1', 'v1alpha3', 'v1alpha2']),
];
