/** Workloads and Services as Istio's workload API carries them (istio.workload.Address), with weir's extensions. */
import type { PortProtocol, Service, ServicePort, TargetPort, Workload } from '../model.ts';
import { sorted, type WireCheck, type WireMessage } from './check.ts';
import { ipFromBytes, ipToBytes } from './ip-bytes.ts';
import { addressType, serviceExtensionType, workloadExtensionType } from './schema-root.ts';

const WORKLOAD_EXTENSION = 'weir.mesh.v1.WorkloadExtension';
const SERVICE_EXTENSION = 'weir.mesh.v1.ServiceExtension';
const TYPE_URL_PREFIX = 'type.googleapis.com/';

const PROTOCOLS: Readonly<Record<number, PortProtocol>> = {
  1: 'http',
  2: 'tcp',
  3: 'detect',
  4: 'http2',
  5: 'grpc',
  6: 'tls',
};
const PROTOCOL_NUMBERS: Readonly<Record<PortProtocol, number>> = {
  http: 1,
  tcp: 2,
  detect: 3,
  http2: 4,
  grpc: 5,
  tls: 6,
};
const TRAFFIC_POLICIES = { 0: 'Cluster', 1: 'Local' } as const;
const DISTRIBUTIONS = { 0: 'AllAlike', 1: 'PreferSameZone', 2: 'PreferSameNode' } as const;
const DISTRIBUTION_NUMBERS = { PreferSameZone: 1, PreferSameNode: 2 } as const;
/** Pod uid: a UUID in a cluster, any path-free token in files. A '/' would make it look like a Service's key. */
const UID = /^[A-Za-z0-9][-A-Za-z0-9._]{0,252}$/;
/** A hostname as Kubernetes makes it: `name.namespace.svc.cluster.local`. */
const HOSTNAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Bytes of an istio.workload.Address. */
export function encodeWorkload(workload: Workload): Uint8Array {
  const services = Object.fromEntries(
    Object.entries(workload.services).map(([key, ports]) => [
      wireServiceKey(key),
      { ports: ports.map(({ servicePort, targetPort }) => ({ servicePort, targetPort })) },
    ]),
  );
  const extension = {
    labels: sorted(workload.labels),
    annotations: sorted(workload.annotations),
    namedPorts: sorted(workload.namedPorts),
    locality: workload.locality,
  };
  return addressType
    .encode({
      workload: {
        uid: workload.uid,
        namespace: workload.namespace,
        name: workload.name,
        serviceAccount: workload.serviceAccount,
        node: workload.node,
        addresses: workload.addresses.map(requireIpBytes),
        status: workload.ready ? 0 : 1,
        networkMode: workload.hostNetwork ? 1 : 0,
        workloadName: workload.workloadName,
        canonicalName: workload.canonicalName,
        canonicalRevision: workload.canonicalRevision,
        services: sorted(services),
        extensions: [wireExtension(WORKLOAD_EXTENSION, workloadExtensionType.encode(extension).finish())],
      },
    })
    .finish();
}

/** Bytes of an istio.workload.Address. */
export function encodeService(service: Service): Uint8Array {
  const extension = {
    ports: service.ports.map((port) => ({ ...port, protocol: PROTOCOL_NUMBERS[port.protocol] })),
    internalTrafficPolicy: service.internalTrafficPolicy === 'Local' ? 1 : 0,
    trafficDistribution: service.trafficDistribution === null ? 0 : DISTRIBUTION_NUMBERS[service.trafficDistribution],
    externalName: service.externalName ?? '',
  };
  return addressType
    .encode({
      service: {
        namespace: service.namespace,
        name: service.name,
        hostname: service.hostname,
        addresses: service.addresses.map((ip) => ({ network: '', address: requireIpBytes(ip) })),
        // No target port here: each workload carries its own, because a named port may differ from pod to pod.
        ports: service.ports.map(({ port }) => ({ servicePort: port, targetPort: 0 })),
        extensions: [wireExtension(SERVICE_EXTENSION, serviceExtensionType.encode(extension).finish())],
      },
    })
    .finish();
}

/** Reads an istio.workload.Address; what is wrong with it goes to `check`. */
export function readAddress(bytes: Uint8Array, check: WireCheck): Workload | Service | null {
  const address = addressType.decode(bytes) as unknown as WireMessage;
  if (address['workload'] !== null && address['workload'] !== undefined) {
    return readWorkload(check.message(address['workload'], 'workload'), check);
  }
  if (address['service'] !== null && address['service'] !== undefined) {
    return readService(check.message(address['service'], 'service'), check);
  }
  check.fail('type', 'is neither a workload nor a service');
  return null;
}

function readWorkload(wire: WireMessage, check: WireCheck): Workload {
  const extension = readExtension(wire['extensions'], WORKLOAD_EXTENSION, check);
  const details = extension === null ? {} : (workloadExtensionType.decode(extension) as unknown as WireMessage);
  const text = (value: unknown, field: string): string => check.text(value, field);
  return {
    kind: 'workload',
    uid: check.text(wire['uid'], 'workload.uid', UID),
    namespace: check.namespace(wire['namespace'], 'workload.namespace'),
    name: check.objectName(wire['name'], 'workload.name'),
    // Istio elides the default account.
    serviceAccount: check.objectName(wire['serviceAccount'] || 'default', 'workload.service_account'),
    node: check.text(wire['node'], 'workload.node'),
    addresses: check.list(wire['addresses'], 'workload.addresses', (item, field) => readIp(item, field, check)),
    ready: check.choice(wire['status'], 'workload.status', { 0: 'healthy', 1: 'unhealthy' }) === 'healthy',
    hostNetwork: check.choice(wire['networkMode'], 'workload.network_mode', { 0: 'standard', 1: 'host' }) === 'host',
    labels: check.map(details['labels'] ?? {}, 'workload.labels', text),
    annotations: check.map(details['annotations'] ?? {}, 'workload.annotations', text),
    workloadName: check.text(wire['workloadName'], 'workload.workload_name'),
    canonicalName: check.text(wire['canonicalName'], 'workload.canonical_name'),
    canonicalRevision: check.text(wire['canonicalRevision'], 'workload.canonical_revision'),
    namedPorts: check.map(details['namedPorts'] ?? {}, 'workload.named_ports', (item, field) =>
      check.port(item, field),
    ),
    locality: check.text(details['locality'] ?? '', 'workload.locality'),
    services: readWorkloadServices(wire['services'], check),
  };
}

function readWorkloadServices(value: unknown, check: WireCheck): Record<string, readonly TargetPort[]> {
  const byHostname = check.map(value, 'workload.services', (item, field) =>
    check.list(check.message(item, field)['ports'], `${field}.ports`, (port, portField): TargetPort => {
      const wire = check.message(port, portField);
      return {
        servicePort: check.port(wire['servicePort'], `${portField}.service_port`),
        targetPort: check.port(wire['targetPort'], `${portField}.target_port`),
      };
    }),
  );
  const services: Record<string, readonly TargetPort[]> = {};
  for (const [key, ports] of Object.entries(byHostname)) {
    const name = modelServiceKey(key);
    if (name === null) check.fail('workload.services', `${JSON.stringify(key)} is not namespace/hostname`);
    else services[name] = ports;
  }
  return services;
}

function readService(wire: WireMessage, check: WireCheck): Service {
  const extension = readExtension(wire['extensions'], SERVICE_EXTENSION, check);
  const details = extension === null ? null : (serviceExtensionType.decode(extension) as unknown as WireMessage);
  const namespace = check.namespace(wire['namespace'], 'service.namespace');
  const name = check.objectName(wire['name'], 'service.name');
  return {
    kind: 'service',
    namespace,
    name,
    hostname: check.text(wire['hostname'], 'service.hostname', HOSTNAME),
    addresses: check.list(wire['addresses'], 'service.addresses', (item, field) =>
      readIp(check.message(item, field)['address'], `${field}.address`, check),
    ),
    ports: details === null ? readPlainPorts(wire['ports'], check) : readExtensionPorts(details['ports'], check),
    ...readTraffic(details ?? {}, check),
  };
}

type ServiceTraffic = Pick<Service, 'internalTrafficPolicy' | 'trafficDistribution' | 'externalName'>;

function readTraffic(details: WireMessage, check: WireCheck): ServiceTraffic {
  const policy = details['internalTrafficPolicy'] ?? 0;
  const distribution = details['trafficDistribution'] ?? 0;
  const preferred = check.choice(distribution, 'service.traffic_distribution', DISTRIBUTIONS);
  const externalName = details['externalName'] ?? '';
  return {
    internalTrafficPolicy: check.choice(policy, 'service.internal_traffic_policy', TRAFFIC_POLICIES),
    trafficDistribution: preferred === 'AllAlike' ? null : preferred,
    externalName: externalName === '' ? null : check.text(externalName, 'service.external_name', HOSTNAME),
  };
}

/** A controller other than weir's declares no protocol. */
function readPlainPorts(value: unknown, check: WireCheck): ServicePort[] {
  return check.list(value, 'service.ports', (item, field) => ({
    port: check.port(check.message(item, field)['servicePort'], `${field}.service_port`),
    name: '',
    protocol: 'detect',
  }));
}

function readExtensionPorts(value: unknown, check: WireCheck): ServicePort[] {
  return check.list(value, 'service.ports', (item, field) => {
    const wire = check.message(item, field);
    return {
      port: check.port(wire['port'], `${field}.port`),
      name: check.text(wire['name'], `${field}.name`),
      protocol: check.choice(wire['protocol'], `${field}.protocol`, PROTOCOLS),
    };
  });
}

function wireExtension(name: string, value: Uint8Array): WireMessage {
  return { name, config: { type_url: TYPE_URL_PREFIX + name, value } };
}

/** The bytes of the extension with that name; null when there is none. Others are not weir's and are skipped. */
function readExtension(value: unknown, name: string, check: WireCheck): Uint8Array | null {
  let found: Uint8Array | null = null;
  check.list(value, 'extensions', (item, field) => {
    const wire = check.message(item, field);
    if (wire['name'] !== name) return;
    const config = check.message(wire['config'], `${field}.config`);
    if (config['type_url'] !== TYPE_URL_PREFIX + name) check.fail(`${field}.config.type_url`, `is not that of ${name}`);
    else if (config['value'] instanceof Uint8Array) found = config['value'];
    else check.fail(`${field}.config.value`, 'is not bytes');
  });
  return found;
}

function readIp(value: unknown, field: string, check: WireCheck): string {
  const ip = value instanceof Uint8Array ? ipFromBytes(value) : null;
  if (ip === null) check.fail(field, 'is not an address of 4 or 16 bytes');
  return ip ?? '0.0.0.0';
}

/** The model only ever holds addresses that were parsed: anything else is a bug of the translation. */
function requireIpBytes(ip: string): Uint8Array {
  const bytes = ipToBytes(ip);
  if (bytes === null) throw new RangeError(`${JSON.stringify(ip)} in the mesh model is not an IP address`);
  return bytes;
}

/** The wire key of a Service, `namespace/hostname` (Istio's), from the model's `namespace/name`. */
export function wireServiceKey(key: string): string {
  const slash = key.indexOf('/');
  return `${key}.${key.slice(0, slash)}.svc.cluster.local`;
}

/** The model's `namespace/name` from `namespace/hostname`; null when the hostname is not that of a Kubernetes Service. */
export function modelServiceKey(wireKey: string): string | null {
  const slash = wireKey.indexOf('/');
  const namespace = wireKey.slice(0, slash);
  const at = wireKey.indexOf(`.${namespace}.svc.`, slash);
  return slash > 0 && at > slash + 1 ? wireKey.slice(0, at) : null;
}
