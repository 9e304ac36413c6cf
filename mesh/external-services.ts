/**
 * ServiceEntries as what the rest of the mesh understands: each host is a Service of that name, each static endpoint a workload that
 * backs it. Pure translation; MeshState keeps the tables.
 */
import { formatCidr, parseCidr, canonicalIp } from './ip.ts';
import type { NamespacedName, Service, TargetPort, Workload } from './model.ts';
import type { ServiceEntry, ServiceEntryEndpoint } from './traffic-model.ts';

/** Before the uid of a workload that is an endpoint of a ServiceEntry; no pod's uid has a slash. */
const UID_PREFIX = 'serviceentry/';

/** A host of a ServiceEntry. */
export interface ExternalService {
  readonly service: Service;
  /** See Cluster.passthrough. */
  readonly passthrough: boolean;
  readonly blocks: readonly string[];
}

/** True: made from a ServiceEntry, and no pod. */
export function isExternalWorkload(uid: string): boolean {
  return uid.startsWith(UID_PREFIX);
}

/** True: a host of a ServiceEntry. It has a dot (validate-traffic.ts), which no Service's name has. */
export function isExternalService(service: Service): boolean {
  return service.name.includes('.');
}

/** The Services of an entry's hosts. */
export function servicesOfEntry(entry: ServiceEntry): readonly ExternalService[] {
  const addresses: string[] = [];
  const blocks: string[] = [];
  for (const text of entry.addresses) {
    const ip = canonicalIp(text);
    const block = ip === null ? parseCidr(text) : null;
    if (ip !== null) addresses.push(ip);
    else if (block !== null) blocks.push(formatCidr(block));
  }
  const known = entry.workloads.length > 0 || entry.endpoints.some(({ address }) => canonicalIp(address) !== null);
  return entry.hosts.map((host) => ({
    passthrough: !known,
    blocks,
    service: {
      kind: 'service',
      namespace: entry.namespace,
      name: host,
      hostname: host,
      addresses,
      ports: entry.ports.map(({ port, name, protocol }) => ({ port, name, protocol })),
      internalTrafficPolicy: 'Cluster',
      trafficDistribution: null,
      externalName: null,
    },
  }));
}

/** What a pod that the entry selects backs, beside its own Services. */
export function servicesOfSelected(entry: ServiceEntry): Readonly<Record<NamespacedName, readonly TargetPort[]>> {
  return byHost(
    entry,
    entry.ports.map(({ port, targetPort }) => ({ servicePort: port, targetPort })),
  );
}

/** The static endpoints with an address; names are resolved by the client itself. */
export function workloadsOfEntry(entry: ServiceEntry): readonly Workload[] {
  // Endpoints are many, hosts may be, and most endpoints have the ports of the entry: what those back is made once.
  const byPorts = new Map<string, Workload['services']>();
  return entry.endpoints.flatMap((endpoint, index) => {
    const ip = canonicalIp(endpoint.address);
    if (ip === null) return [];
    const key = JSON.stringify(endpoint.ports);
    const services = byPorts.get(key) ?? servicesOfEndpoint(entry, endpoint);
    byPorts.set(key, services);
    return [workloadOf(entry, endpoint, ip, index, services)];
  });
}

function servicesOfEndpoint(entry: ServiceEntry, { ports }: ServiceEntryEndpoint): Workload['services'] {
  const targets = entry.ports.map(({ port, targetPort }) => ({
    servicePort: port,
    targetPort: ports[String(port)] ?? targetPort,
  }));
  return byHost(entry, targets);
}

function workloadOf(
  entry: ServiceEntry,
  endpoint: ServiceEntryEndpoint,
  ip: string,
  index: number,
  services: Workload['services'],
): Workload {
  const name = `${entry.name}-${index}`;
  return {
    kind: 'workload',
    uid: `${UID_PREFIX}${entry.namespace}/${entry.name}/${index}`,
    namespace: entry.namespace,
    name,
    serviceAccount: endpoint.serviceAccount,
    node: '',
    addresses: [ip],
    ready: true,
    // Its address is no pod's: pod selectors do not match it, and a pod that has the address is preferred.
    hostNetwork: true,
    labels: endpoint.labels,
    annotations: {},
    workloadName: entry.name,
    canonicalName: entry.name,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: endpoint.locality,
    services,
  };
}

function byHost(entry: ServiceEntry, ports: readonly TargetPort[]): Record<NamespacedName, readonly TargetPort[]> {
  return Object.fromEntries(entry.hosts.map((host) => [`${entry.namespace}/${host}`, ports]));
}
