/**
 * Workloads by uid, name, address and Service, with the endpoints they own. An endpoint lives as long as its pod has that
 * address and as long as the port stays what it was (behind a Service or not); then its slot is free for another.
 */

import { type Endpoint, LiveEndpoint, type SlotTable, UNBALANCED_SLOT } from './cluster.ts';
import type { CompiledPort, Destination } from './destination.ts';
import { isExternalWorkload, isResolvedWorkload } from './external-services.ts';
import { type Family, familyOf } from './ip.ts';
import type { Ip, NamespacedName, PortProtocol, Workload } from './model.ts';

/** Endpoints a pod may have for ports behind no Service; further ones are made per call, so a port scan keeps nothing. */
const DIRECT_ENDPOINTS_PER_POD_MAX = 64;
/** Destinations remembered per address, for the same reason. */
const DESTINATIONS_PER_ADDRESS_MAX = 128;

/** Compiled port of a Service for direct traffic in a family; null when the Service or the port does not exist. */
export type DirectPortLookup = (service: NamespacedName, port: number, family: Family) => CompiledPort | null;

interface WorkloadEntry {
  workload: Workload;
  /** Order of arrival: the tie-break where two pods claim a name or an address. */
  readonly arrival: number;
  /** Few: scanned, because building a key for a Map costs more. */
  endpoints: LiveEndpoint[];
}

interface AddressEntry {
  readonly members: Set<WorkloadEntry>;
  readonly destinations: Map<number, Destination>;
}

export class WorkloadTable {
  readonly #byUid = new Map<string, WorkloadEntry>();
  readonly #byName = new Map<NamespacedName, Set<WorkloadEntry>>();
  readonly #byAddress = new Map<string, AddressEntry>();
  readonly #byService = new Map<NamespacedName, Set<WorkloadEntry>>();
  readonly #slots: SlotTable;
  readonly #directPort: DirectPortLookup;
  #arrivals = 0;

  constructor(slots: SlotTable, directPort: DirectPortLookup) {
    this.#slots = slots;
    this.#directPort = directPort;
  }

  byUid(uid: string): Workload | null {
    return this.#byUid.get(uid)?.workload ?? null;
  }

  byName(name: NamespacedName): Workload | null {
    return preferred(this.#byName.get(name) ?? [])?.workload ?? null;
  }

  byAddress(ip: string): Workload | null {
    const entry = preferred(this.#byAddress.get(ip)?.members ?? []);
    return entry === null || entry.workload.hostNetwork ? null : entry.workload;
  }

  list(): readonly Workload[] {
    return Array.from(this.#byUid.values(), (entry) => entry.workload);
  }

  /** null: no pod answers there, as far as the mesh knows. */
  resolve(ip: string, port: number): Destination | null {
    const address = this.#byAddress.get(ip);
    if (address === undefined) return null;
    const known = address.destinations.get(port);
    if (known !== undefined) return known;
    const destination = this.#direct(address, ip, port);
    if (destination !== null && address.destinations.size < DESTINATIONS_PER_ADDRESS_MAX) {
      address.destinations.set(port, destination);
    }
    return destination;
  }

  /** Ready endpoints behind a Service port, one per pod and target port; of a name that is resolved one per address. */
  endpointsOf(service: NamespacedName, port: number, family: Family): readonly Endpoint[] {
    const endpoints: Endpoint[] = [];
    for (const entry of this.#byService.get(service) ?? []) {
      const { ready, services } = entry.workload;
      if (!ready) continue;
      for (const address of addressesFor(entry.workload, family)) {
        for (const { servicePort, targetPort } of services[service] ?? []) {
          if (servicePort === port) endpoints.push(this.#endpoint(entry, address, targetPort));
        }
      }
    }
    return endpoints;
  }

  upsert(workload: Workload): void {
    const entry = this.#byUid.get(workload.uid);
    if (entry === undefined) {
      const added: WorkloadEntry = { workload, arrival: this.#arrivals++, endpoints: [] };
      this.#byUid.set(workload.uid, added);
      this.#link(added, null, workload);
      return;
    }
    const previous = entry.workload;
    entry.workload = workload;
    this.#link(entry, previous, workload);
    this.#reconcileEndpoints(entry);
  }

  remove(uid: string): void {
    const entry = this.#byUid.get(uid);
    if (entry === undefined) return;
    this.#byUid.delete(uid);
    this.#link(entry, entry.workload, null);
    for (const endpoint of entry.endpoints) this.#slots.release(endpoint);
    entry.endpoints = [];
  }

  /** A Service came, went or changed: what direct destinations say of it is out of date. */
  serviceChanged(service: NamespacedName): void {
    for (const entry of this.#byService.get(service) ?? []) this.#forgetDestinations(entry);
  }

  #direct(address: AddressEntry, ip: string, port: number): Destination | null {
    const entry = this.#ownerOf(address, port);
    if (entry === null) return null;
    const target = this.#targetOf(entry.workload, port, familyOf(ip));
    const endpoint = this.#endpoint(entry, ip, port);
    return { kind: 'workload', workload: entry.workload, endpoint, protocol: target?.protocol ?? 'detect', target };
  }

  /** On a node's address several host-network pods may listen: the one whose Service targets the port, else none. */
  #ownerOf(address: AddressEntry, port: number): WorkloadEntry | null {
    const entry = preferred(address.members);
    if (entry === null || !entry.workload.hostNetwork) return entry;
    return preferred([...address.members].filter(({ workload }) => isTargetPort(workload, port)));
  }

  /** The Service port behind a pod port: a declared protocol beats `detect`; where two declare differently, `detect`. */
  #targetOf(workload: Workload, port: number, family: Family): CompiledPort | null {
    const targets: CompiledPort[] = [];
    for (const service of Object.keys(workload.services).sort()) {
      for (const { servicePort, targetPort } of workload.services[service] ?? []) {
        if (targetPort !== port) continue;
        const target = this.#directPort(service, servicePort, family);
        if (target !== null) targets.push(target);
      }
    }
    const declared = targets.filter((target) => target.protocol !== 'detect');
    const first = declared[0] ?? targets[0];
    if (first === undefined) return null;
    const agreed: PortProtocol = declared.every((target) => target.protocol === first.protocol)
      ? first.protocol
      : 'detect';
    return { cluster: first.cluster, routes: null, streams: null, protocol: agreed };
  }

  #endpoint(entry: WorkloadEntry, address: string, port: number): LiveEndpoint {
    for (const endpoint of entry.endpoints) if (endpoint.port === port && endpoint.address === address) return endpoint;
    const balanced = isTargetPort(entry.workload, port);
    const endpoint = balanced
      ? this.#slots.assign(entry.workload, address, port)
      : new LiveEndpoint(UNBALANCED_SLOT, entry.workload, address, port);
    if (balanced || entry.endpoints.length < DIRECT_ENDPOINTS_PER_POD_MAX) entry.endpoints.push(endpoint);
    return endpoint;
  }

  /** Ends the endpoints that are no longer what they were, and brings the others' workload up to date. */
  #reconcileEndpoints(entry: WorkloadEntry): void {
    const { workload } = entry;
    const survives = (endpoint: LiveEndpoint): boolean =>
      workload.addresses.includes(endpoint.address) &&
      (endpoint.slot !== UNBALANCED_SLOT) === isTargetPort(workload, endpoint.port);
    for (const endpoint of entry.endpoints) {
      if (survives(endpoint)) endpoint.workload = workload;
      else this.#slots.release(endpoint);
    }
    entry.endpoints = entry.endpoints.filter(survives);
  }

  /**
   * Moves an entry from where its previous version was listed to where the next one belongs. What is in both is left alone:
   * the order of a Service's endpoints, and with it the identity of its array, must survive an unrelated change.
   */
  #link(entry: WorkloadEntry, previous: Workload | null, next: Workload | null): void {
    relist(this.#byName, entry, namesOf(previous), namesOf(next));
    relist(this.#byService, entry, servicesOf(previous), servicesOf(next));
    const addresses = reachedAt(next);
    for (const ip of reachedAt(previous)) {
      const address = this.#byAddress.get(ip);
      address?.destinations.clear();
      if (addresses.includes(ip)) continue;
      address?.members.delete(entry);
      if (address?.members.size === 0) this.#byAddress.delete(ip);
    }
    for (const ip of addresses) {
      const address = this.#byAddress.get(ip);
      address?.destinations.clear();
      if (address === undefined) this.#byAddress.set(ip, { members: new Set([entry]), destinations: new Map() });
      else address.members.add(entry);
    }
  }

  #forgetDestinations(entry: WorkloadEntry): void {
    for (const ip of entry.workload.addresses) this.#byAddress.get(ip)?.destinations.clear();
  }
}

/** Where clients of a family reach it: one address of that family, else one of the other; all of them where a name leads to several. */
function addressesFor({ uid, addresses }: Workload, family: Family): readonly Ip[] {
  const own = addresses.filter((ip) => familyOf(ip) === family);
  const found = own.length > 0 ? own : addresses;
  return isResolvedWorkload(uid) ? found : found.slice(0, 1);
}

/** The addresses that lead to it. What a name leads to may be anybody's, and many names may share it. */
function reachedAt(workload: Workload | null): readonly Ip[] {
  return workload === null || isResolvedWorkload(workload.uid) ? [] : workload.addresses;
}

function namesOf(workload: Workload | null): readonly NamespacedName[] {
  return workload === null ? [] : [`${workload.namespace}/${workload.name}`];
}

function servicesOf(workload: Workload | null): readonly NamespacedName[] {
  return workload === null ? [] : Object.keys(workload.services);
}

function isTargetPort(workload: Workload, port: number): boolean {
  return Object.values(workload.services).some((targets) => targets.some(({ targetPort }) => targetPort === port));
}

/** Own address before the host's, pod before endpoint of a ServiceEntry, ready before not ready, later arrival before earlier. */
function preferred(entries: Iterable<WorkloadEntry>): WorkloadEntry | null {
  let best: WorkloadEntry | null = null;
  for (const entry of entries) if (best === null || isPreferred(entry, best)) best = entry;
  return best;
}

function isPreferred(entry: WorkloadEntry, other: WorkloadEntry): boolean {
  if (entry.workload.hostNetwork !== other.workload.hostNetwork) return !entry.workload.hostNetwork;
  const [isExternal, isOther] = [isExternalWorkload(entry.workload.uid), isExternalWorkload(other.workload.uid)];
  if (isExternal !== isOther) return isOther;
  if (isExternal) return entry.workload.uid < other.workload.uid;
  if (entry.workload.ready !== other.workload.ready) return entry.workload.ready;
  return entry.arrival > other.arrival;
}

function relist(
  index: Map<NamespacedName, Set<WorkloadEntry>>,
  entry: WorkloadEntry,
  previous: readonly NamespacedName[],
  next: readonly NamespacedName[],
): void {
  for (const key of previous) {
    if (next.includes(key)) continue;
    const members = index.get(key);
    members?.delete(entry);
    if (members?.size === 0) index.delete(key);
  }
  for (const key of next) {
    const members = index.get(key);
    if (members === undefined) index.set(key, new Set([entry]));
    else members.add(entry);
  }
}
