/**
 * ServiceEntries as what the rest of the mesh understands: each host is a Service of that name, each endpoint a workload that backs
 * it. Pure translation; MeshState keeps the tables. Where a connection to a host goes (Istio ServiceEntry `resolution`):
 *
 *   NONE             the address that the client dialled, whatever it is
 *   STATIC           the endpoints, or the workloads that are selected
 *   DNS              every address of the names of the endpoints; without endpoints, of the host itself
 *   DNS_ROUND_ROBIN  of each family the first of them
 *   DYNAMIC_DNS      as DNS for hosts without a wildcard; below a wildcard nothing is looked up
 *
 * Names are looked up by the agent (NameAnswer). What has no endpoint leads nowhere, and never to the address that was dialled.
 */
import { canonicalIp, type Family, familyOf, formatCidr, parseCidr } from './ip.ts';
import type { Ip, NamespacedName, Service, TargetPort, Workload } from './model.ts';
import type { ServiceEntry, ServiceEntryEndpoint } from './traffic-model.ts';

/** Before the uid of a workload that is an endpoint of a ServiceEntry; no pod's uid has a slash. */
const UID_PREFIX = 'serviceentry/';
/** The same of those whose addresses are what a name leads to. */
const RESOLVED_PREFIX = 'resolved/';

/** A host of a ServiceEntry. */
export interface ExternalService {
  readonly service: Service;
  /** See Cluster.passthrough. */
  readonly passthrough: boolean;
  readonly blocks: readonly string[];
}

/** True: made from a ServiceEntry, and no pod. */
export function isExternalWorkload(uid: string): boolean {
  return uid.startsWith(UID_PREFIX) || uid.startsWith(RESOLVED_PREFIX);
}

/** True: its addresses are what a name leads to, and each is an endpoint. It is reached by host or VIP, never by those addresses. */
export function isResolvedWorkload(uid: string): boolean {
  return uid.startsWith(RESOLVED_PREFIX);
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
  const passthrough = entry.resolution === 'NONE' && entry.workloads.length === 0 && entry.endpoints.length === 0;
  return entry.hosts.map((host) => ({
    passthrough,
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
  return byHost(entry, targetPorts(entry));
}

/** The names that have to be looked up for an entry, each once. */
export function namesOfEntry(entry: ServiceEntry): readonly string[] {
  if (!isByName(entry)) return [];
  const names = hostsAreNames(entry) ? entry.hosts : entry.endpoints.map(({ address }) => address);
  return [...new Set(names.filter((name) => isName(name)))];
}

/** Those of them that one of its hosts is resolved by. */
export function namesOfHost(entry: ServiceEntry, host: string): readonly string[] {
  const names = namesOfEntry(entry);
  return hostsAreNames(entry) ? names.filter((name) => name === host) : names;
}

/** The order of an answer counts: only its first address is used. */
export function usesFirstAddress({ resolution }: ServiceEntry): boolean {
  return resolution === 'DNS_ROUND_ROBIN';
}

/** Of each family the first address of an answer, IPv4 first. */
export function firstAddresses(addresses: readonly Ip[]): readonly Ip[] {
  return FAMILIES.flatMap((family) => addresses.find((ip) => familyOf(ip) === family) ?? []);
}

const FAMILIES: readonly Family[] = [4, 6];

/** An endpoint as a workload; null: it has no address. */
export interface EntryMember {
  readonly uid: string;
  readonly workload: Workload | null;
}

/**
 * The endpoints, or those alone that go by a name.
 * @param answerOf what a name leads to; empty: nowhere, or it is not known yet
 * @param only null: all of them
 */
export function membersOfEntry(
  entry: ServiceEntry,
  answerOf: (name: string) => readonly Ip[],
  only: string | null = null,
): readonly EntryMember[] {
  const resolved = (name: string): readonly Ip[] => {
    const addresses = answerOf(name);
    // Sorted: to whoever uses all of them, the same ones in another order are no change.
    return usesFirstAddress(entry) ? firstAddresses(addresses) : [...addresses].sort();
  };
  if (hostsAreNames(entry)) return membersByHost(entry, resolved, only);
  // Endpoints are many, hosts may be, and most endpoints have the ports of the entry: what those back is made once.
  const byPorts = new Map<string, Workload['services']>();
  return entry.endpoints.flatMap((endpoint, index) => {
    if (only !== null && endpoint.address !== only) return [];
    const ip = canonicalIp(endpoint.address);
    const key = JSON.stringify(endpoint.ports);
    const services = byPorts.get(key) ?? servicesOfEndpoint(entry, endpoint);
    byPorts.set(key, services);
    const addresses = ip !== null ? [ip] : isByName(entry) ? resolved(endpoint.address) : [];
    const prefix = ip === null ? RESOLVED_PREFIX : UID_PREFIX;
    return [memberOf(entry, endpoint, addresses, { prefix, suffix: String(index) }, services)];
  });
}

/** Each host backed by what its own name leads to. */
function membersByHost(
  entry: ServiceEntry,
  resolved: (name: string) => readonly Ip[],
  only: string | null,
): readonly EntryMember[] {
  const ports = targetPorts(entry);
  return entry.hosts.flatMap((host) => {
    if ((only !== null && host !== only) || !isName(host)) return [];
    const services = { [`${entry.namespace}/${host}`]: ports };
    return [memberOf(entry, HOST_ITSELF, resolved(host), { prefix: RESOLVED_PREFIX, suffix: host }, services)];
  });
}

/** What an endpoint says that nobody has written. */
const HOST_ITSELF = { serviceAccount: '', labels: {}, locality: '' } as const;

/** Names are looked up for it. */
function isByName({ resolution }: ServiceEntry): boolean {
  return resolution !== 'NONE' && resolution !== 'STATIC';
}

/** Nobody has said where it is, so its hosts are looked up themselves. */
function hostsAreNames(entry: ServiceEntry): boolean {
  return isByName(entry) && entry.endpoints.length === 0 && entry.workloads.length === 0;
}

/** Something that can be looked up: no address, no wildcard. */
function isName(text: string): boolean {
  return canonicalIp(text) === null && !text.includes('*');
}

function targetPorts(entry: ServiceEntry): readonly TargetPort[] {
  return entry.ports.map(({ port, targetPort }) => ({ servicePort: port, targetPort }));
}

function servicesOfEndpoint(entry: ServiceEntry, { ports }: ServiceEntryEndpoint): Workload['services'] {
  const targets = entry.ports.map(({ port, targetPort }) => ({
    servicePort: port,
    targetPort: ports[String(port)] ?? targetPort,
  }));
  return byHost(entry, targets);
}

function memberOf(
  entry: ServiceEntry,
  endpoint: Pick<ServiceEntryEndpoint, 'serviceAccount' | 'labels' | 'locality'>,
  addresses: readonly Ip[],
  id: { readonly prefix: string; readonly suffix: string },
  services: Workload['services'],
): EntryMember {
  const uid = `${id.prefix}${entry.namespace}/${entry.name}/${id.suffix}`;
  if (addresses.length === 0) return { uid, workload: null };
  const workload: Workload = {
    kind: 'workload',
    uid,
    namespace: entry.namespace,
    name: `${entry.name}-${id.suffix}`,
    serviceAccount: endpoint.serviceAccount,
    node: '',
    addresses,
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
  return { uid, workload };
}

function byHost(entry: ServiceEntry, ports: readonly TargetPort[]): Record<NamespacedName, readonly TargetPort[]> {
  return Object.fromEntries(entry.hosts.map((host) => [`${entry.namespace}/${host}`, ports]));
}
