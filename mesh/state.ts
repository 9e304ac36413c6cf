/**
 * MeshState: the whole mesh as one node knows it, kept as resources (the truth) and compiled lazily for the data path.
 *
 *   resources ──apply──► indexes (by uid, name, address, Service, backend) ──first use──► Destination, Cluster, RouteTable,
 *                                                                                        Authorization
 *
 * apply() validates everything before it changes anything, then invalidates only what the changed resources touch.
 * Compiled objects keep their identity until something they depend on changes. The data path keeps references, and when
 * `generation` differs from the one it saw it asks again and compares by identity.
 *
 * Addresses are reused by Kubernetes. While two pods hold one address the ready one has it, else the one that
 * arrived last; pods on the host network never have an address of their own. Policy never goes by address: it takes a
 * Workload (by uid) and a proven Identity.
 */

import type { Authorization } from './authz.ts';
import { type Endpoint, SlotTable } from './cluster.ts';
import type { CompiledPort, Destination, ServiceDestination } from './destination.ts';
import { isExternalWorkload, servicesOfEntry, servicesOfSelected, workloadsOfEntry } from './external-services.ts';
import { familyOf } from './ip.ts';
import {
  keyOf,
  type MeshDelta,
  type MeshKind,
  type MeshResource,
  type MeshSettings,
  type NamespacedName,
  type ResourceKey,
  type Service,
  type TargetPort,
  type Workload,
} from './model.ts';
import { NetworkPolicyIndex, type WorkloadNetworkPolicy } from './network-policy.ts';
import { PeerAuthenticationIndex, type WorkloadPeerAuthentication } from './peer-authentication.ts';
import { PolicyIndex } from './policy-index.ts';
import type { AuthorizationPolicy, NetworkPolicy, PeerAuthentication, RequestAuthentication } from './policy-model.ts';
import { RequestAuthenticationIndex, type WorkloadRequestAuthentication } from './request-authentication.ts';
import { type AnyRoute, RouteIndex } from './route-index.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from './route-model.ts';
import type { ScopedPolicyIndex } from './scope-index.ts';
import { ServiceTable } from './service-table.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import type { DestinationRule, ServiceEntry, SidecarScope } from './traffic-model.ts';
import { keyOfAnything, sameJson, validateKey, validateResource } from './validate.ts';
import { trustOf } from './trust-domain.ts';
import { Visibility } from './visibility.ts';
import { nearEndpoints, type Place } from './topology.ts';
import { WorkloadTable } from './workload-table.ts';

export type { Authorization, BoundAuthorization, ConnectionFacts } from './authz.ts';
export type { Cluster, Endpoint } from './cluster.ts';
export type { CompiledPort, Destination } from './destination.ts';
export type { Verdict } from './verdict.ts';

export type ApplyResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string; readonly resource: ResourceKey };

export interface MeshStateOptions {
  /** Called when a slot is given to an endpoint (first use or reuse): zero the counters kept for it. See Endpoint. */
  readonly onSlotAssigned?: (endpoint: Endpoint) => void;
  /** The node whose clients ask; absent: none in particular, so nothing is near (internalTrafficPolicy, trafficDistribution). */
  readonly node?: string;
}

const UNKNOWN: Destination = { kind: 'unknown', service: null };
const NO_SERVICES: Readonly<Record<NamespacedName, readonly TargetPort[]>> = {};

/** Policies of one kind, as resources and by the workloads they apply to. */
class PolicyStore<P extends MeshResource> {
  readonly byKey = new Map<NamespacedName, P>();
  readonly index: Pick<ScopedPolicyIndex<P, unknown, unknown>, 'add' | 'remove' | 'forget'>;

  constructor(index: PolicyStore<P>['index']) {
    this.index = index;
  }

  upsert(policy: P): boolean {
    const { key } = keyOf(policy);
    const previous = this.byKey.get(key);
    if (sameJson(previous, policy)) return false;
    if (previous !== undefined) this.index.remove(previous);
    this.byKey.set(key, policy);
    this.index.add(policy);
    return true;
  }

  remove(key: NamespacedName): boolean {
    const previous = this.byKey.get(key);
    if (previous === undefined) return false;
    this.byKey.delete(key);
    this.index.remove(previous);
    return true;
  }
}

export class MeshState {
  #generation = 0;
  readonly #node: string;
  readonly #slots: SlotTable;
  readonly #workloads: WorkloadTable;
  readonly #services: ServiceTable;
  readonly #routes = {
    http: new RouteIndex<HttpRoute>(),
    tls: new RouteIndex<TlsRoute>(),
    tcp: new RouteIndex<TcpRoute>(),
  };
  readonly #authorization = new PolicyIndex();
  readonly #peerAuthentication = new PeerAuthenticationIndex();
  readonly #requestAuthentication = new RequestAuthenticationIndex();
  readonly #networkPolicy = new NetworkPolicyIndex();
  readonly #policies = {
    authorizationPolicy: new PolicyStore<AuthorizationPolicy>(this.#authorization),
    peerAuthentication: new PolicyStore<PeerAuthentication>(this.#peerAuthentication),
    requestAuthentication: new PolicyStore<RequestAuthentication>(this.#requestAuthentication),
    networkPolicy: new PolicyStore<NetworkPolicy>(this.#networkPolicy),
  };
  readonly #entries = new Map<NamespacedName, ServiceEntry>();
  /** uid → the ServiceEntries that select the pod, by key. */
  readonly #selectedBy = new Map<string, Set<NamespacedName>>();
  /** Workloads as they came: what they back through ServiceEntries is added to those in #workloads. */
  readonly #given = new Map<string, Workload>();
  readonly #destinationRules = new Map<NamespacedName, DestinationRule>();
  readonly #scopes = new Map<NamespacedName, SidecarScope>();
  readonly #visibility = new Visibility();
  readonly #allSettings = new Map<NamespacedName, MeshSettings>();
  #settings: MeshSettings = DEFAULT_SETTINGS;

  constructor(options: MeshStateOptions = {}) {
    this.#node = options.node ?? '';
    this.#slots = new SlotTable(options.onSlotAssigned ?? (() => {}));
    this.#workloads = new WorkloadTable(this.#slots, (service, port, family) =>
      this.#services.directPort(service, port, family),
    );
    this.#services = new ServiceTable(this.#routes, (service, port, family) =>
      nearEndpoints(service, this.#workloads.endpointsOf(keyOf(service).key, port, family), this.#place(service)),
    );
  }

  /** Grows by one with every apply() that changed something. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Applies a delta whole or not at all; removals come before upserts, so a key in both is a new object. An upsert equal to
   * what is there changes nothing. Never throws for bad data: the result names the resource, its field and the remedy.
   */
  apply(delta: MeshDelta): ApplyResult {
    const refused = checkDelta(delta);
    if (refused !== null) return refused;
    let changed = false;
    for (const removal of delta.removals) changed = this.#remove(removal) || changed;
    for (const resource of delta.upserts) changed = this.#upsert(resource) || changed;
    if (changed) this.#generation++;
    return { ok: true };
  }

  /** Where `ip:port` leads; the same object until something it depends on changes. `ip` in canonical text. */
  resolve(ip: string, port: number): Destination {
    return this.#services.resolve(ip, port) ?? this.#workloads.resolve(ip, port) ?? UNKNOWN;
  }

  /** The same as that pod sees it: a Service that it cannot see is unknown (Sidecar, exportTo). */
  resolveFor(client: Workload | null, ip: string, port: number): Destination {
    const destination = this.resolve(ip, port);
    if (client === null || destination.kind !== 'service' || !this.#visibility.restricts) return destination;
    return this.#visibility.sees(client, destination.service, port) ? destination : UNKNOWN;
  }

  /** False: resolveHost() finds nobody anything. */
  get knowsHosts(): boolean {
    return this.#entries.size > 0;
  }

  /** The ServiceEntry that a client means by a host name (lower case), for addresses that the mesh does not know. */
  resolveHost(client: Workload | null, host: string, port: number, family: 4 | 6): ServiceDestination | null {
    if (this.#entries.size === 0) return null;
    const sees = (service: Service): boolean => client === null || this.#visibility.sees(client, service, port);
    return this.#services.resolveHost(host, port, family, sees);
  }

  /** What becomes of that pod's connections to destinations that are unknown to it. */
  outboundTrafficPolicy(client: Workload | null): MeshSettings['outboundTrafficPolicy'] {
    return this.#visibility.outboundPolicy(client, this.#settings);
  }

  /** null: no such pod (any more). */
  workloadByUid(uid: string): Workload | null {
    return this.#workloads.byUid(uid);
  }

  /** By `namespace/name`; of two with the same name (a StatefulSet pod being replaced), the ready one, else the newer. */
  workloadByName(name: NamespacedName): Workload | null {
    return this.#workloads.byName(name);
  }

  /** The pod that has an address now, for logs and metrics: an address is not an identity. Host-network pods: null. */
  workloadByAddress(ip: string): Workload | null {
    return this.#workloads.byAddress(ip);
  }

  /** A Service, or a host of a ServiceEntry, by `namespace/name`. */
  serviceByName(name: NamespacedName): Service | null {
    return this.#services.byName(name);
  }

  /** The compiled port of a Service as a client of that address family uses it; null when there is none. */
  servicePort(name: NamespacedName, port: number, family: 4 | 6 = 4): CompiledPort | null {
    return this.#services.compiledPort(name, port, family);
  }

  /** What holds for the whole mesh; the same object until it changes. There is one at most, but of two the first by name counts. */
  get settings(): MeshSettings {
    return this.#settings;
  }

  /** Every resource of a kind, in the order in which it first came. */
  list<K extends MeshKind>(kind: K): readonly Extract<MeshResource, { readonly kind: K }>[] {
    return this.#list(kind) as readonly Extract<MeshResource, { readonly kind: K }>[];
  }

  #list(kind: MeshKind): readonly MeshResource[] {
    switch (kind) {
      case 'workload':
        return this.#workloads.list().filter(({ uid }) => !isExternalWorkload(uid));
      case 'service':
        return this.#services.list().filter(({ name }) => !name.includes('.'));
      case 'serviceEntry':
        return [...this.#entries.values()];
      case 'httpRoute':
        return this.#routes.http.list();
      case 'tlsRoute':
        return this.#routes.tls.list();
      case 'tcpRoute':
        return this.#routes.tcp.list();
      case 'destinationRule':
        return [...this.#destinationRules.values()];
      case 'sidecarScope':
        return [...this.#scopes.values()];
      case 'authorizationPolicy':
      case 'peerAuthentication':
      case 'requestAuthentication':
      case 'networkPolicy':
        return [...this.#policies[kind].byKey.values()];
      case 'meshSettings':
        return [...this.#allSettings.values()];
    }
  }

  /**
   * Policy for connections that reach a workload on one of its own ports; the same object until the policies that apply
   * there change. A workload that is gone is judged by the policies that would apply to it now.
   */
  authorization(workload: Workload, port: number): Authorization {
    const current = this.#workloads.byUid(workload.uid);
    const all = current === null ? this.#authorization.once(workload) : this.#authorization.for(current);
    return all.forPort(port);
  }

  /** As authorization(): whether connections need a proven identity. */
  peerAuthentication(workload: Workload): WorkloadPeerAuthentication {
    const current = this.#workloads.byUid(workload.uid);
    return current === null ? this.#peerAuthentication.once(workload) : this.#peerAuthentication.for(current);
  }

  /** As authorization(): which tokens are accepted. */
  requestAuthentication(workload: Workload): WorkloadRequestAuthentication {
    const current = this.#workloads.byUid(workload.uid);
    return current === null ? this.#requestAuthentication.once(workload) : this.#requestAuthentication.for(current);
  }

  /** As authorization(): Kubernetes NetworkPolicy of a pod, both directions. */
  networkPolicy(workload: Workload): WorkloadNetworkPolicy {
    const current = this.#workloads.byUid(workload.uid);
    return current === null ? this.#networkPolicy.once(workload) : this.#networkPolicy.for(current);
  }

  /** The endpoint that owns a slot now; null when the slot is free. See Endpoint. */
  endpointAt(slot: number): Endpoint | null {
    return this.#slots.endpointAt(slot);
  }

  /** The length that counters indexed by `Endpoint.slot` need now. */
  get slotLimit(): number {
    return this.#slots.limit;
  }

  /** Asked only where the answer matters; a pod of this node tells where it is. */
  #place({ trafficDistribution }: Service): Place {
    const node = this.#node;
    if (node === '' || trafficDistribution === null) return { node, locality: '' };
    const neighbour = this.#workloads.list().find((workload) => workload.node === node && workload.locality !== '');
    return { node, locality: neighbour?.locality ?? '' };
  }

  #upsert(resource: MeshResource): boolean {
    switch (resource.kind) {
      case 'workload':
        return this.#upsertWorkload(resource);
      case 'service':
        return this.#upsertService(resource);
      case 'serviceEntry':
        return this.#upsertEntry(resource);
      case 'httpRoute':
        return this.#upsertRoute(this.#routes.http, resource);
      case 'tlsRoute':
        return this.#upsertRoute(this.#routes.tls, resource);
      case 'tcpRoute':
        return this.#upsertRoute(this.#routes.tcp, resource);
      case 'destinationRule':
        return replace(this.#destinationRules, resource);
      case 'sidecarScope':
        if (!replace(this.#scopes, resource)) return false;
        this.#visibility.setScope(keyOf(resource).key, resource);
        return true;
      case 'authorizationPolicy':
        return this.#policies.authorizationPolicy.upsert(resource);
      case 'peerAuthentication':
        return this.#policies.peerAuthentication.upsert(resource);
      case 'requestAuthentication':
        return this.#policies.requestAuthentication.upsert(resource);
      case 'networkPolicy':
        return this.#policies.networkPolicy.upsert(resource);
      case 'meshSettings':
        if (!replace(this.#allSettings, resource)) return false;
        this.#chooseSettings();
        return true;
    }
  }

  #remove({ kind, key }: ResourceKey): boolean {
    switch (kind) {
      case 'workload':
        return this.#removeWorkload(key);
      case 'service':
        return this.#removeService(key);
      case 'serviceEntry':
        return this.#removeEntry(key);
      case 'httpRoute':
        return this.#removeRoute(this.#routes.http, key);
      case 'tlsRoute':
        return this.#removeRoute(this.#routes.tls, key);
      case 'tcpRoute':
        return this.#removeRoute(this.#routes.tcp, key);
      case 'destinationRule':
        return this.#destinationRules.delete(key);
      case 'sidecarScope':
        this.#visibility.setScope(key, null);
        return this.#scopes.delete(key);
      case 'authorizationPolicy':
      case 'peerAuthentication':
      case 'requestAuthentication':
      case 'networkPolicy':
        return this.#policies[kind].remove(key);
      case 'meshSettings':
        if (!this.#allSettings.delete(key)) return false;
        this.#chooseSettings();
        return true;
    }
  }

  #upsertWorkload(workload: Workload): boolean {
    if (sameJson(this.#given.get(workload.uid), workload)) return false;
    this.#given.set(workload.uid, workload);
    this.#placeWorkload(workload);
    return true;
  }

  /** Puts a workload into the tables with everything that it backs. */
  #placeWorkload(given: Workload): void {
    const previous = this.#workloads.byUid(given.uid);
    const more = this.#selectedServices(given.uid);
    const workload = more === NO_SERVICES ? given : { ...given, services: { ...given.services, ...more } };
    this.#workloads.upsert(workload);
    for (const service of servicesOf(previous, workload)) this.#services.membersChanged(service);
  }

  #selectedServices(uid: string): Readonly<Record<NamespacedName, readonly TargetPort[]>> {
    const selecting = this.#selectedBy.get(uid);
    if (selecting === undefined) return NO_SERVICES;
    const entries = [...selecting].sort().flatMap((key) => this.#entries.get(key) ?? []);
    return Object.assign({}, ...entries.map(servicesOfSelected)) as Record<NamespacedName, readonly TargetPort[]>;
  }

  #removeWorkload(uid: string): boolean {
    if (!this.#given.delete(uid)) return false;
    this.#dropWorkload(uid);
    return true;
  }

  #dropWorkload(uid: string): void {
    const previous = this.#workloads.byUid(uid);
    if (previous === null) return;
    this.#workloads.remove(uid);
    for (const service of servicesOf(previous, null)) this.#services.membersChanged(service);
    for (const { index } of Object.values(this.#policies)) index.forget(uid);
  }

  #upsertService(service: Service): boolean {
    const { key } = keyOf(service);
    if (sameJson(this.#services.byName(key), service)) return false;
    this.#services.upsert(service);
    this.#serviceChanged(key);
    return true;
  }

  #removeService(key: NamespacedName): boolean {
    if (!this.#services.remove(key)) return false;
    this.#serviceChanged(key);
    return true;
  }

  #upsertEntry(entry: ServiceEntry): boolean {
    const { key } = keyOf(entry);
    const previous = this.#entries.get(key);
    if (sameJson(previous, entry)) return false;
    if (previous !== undefined) this.#dropEntry(previous, key);
    this.#entries.set(key, entry);
    for (const { service, passthrough, blocks } of servicesOfEntry(entry)) {
      const { key: name } = keyOf(service);
      this.#services.upsert(service, { passthrough, blocks });
      this.#visibility.setExport(name, entry.exportTo);
      this.#serviceChanged(name);
    }
    for (const workload of workloadsOfEntry(entry)) this.#placeWorkload(workload);
    for (const uid of entry.workloads) {
      const selecting = this.#selectedBy.get(uid) ?? new Set();
      this.#selectedBy.set(uid, selecting.add(key));
      this.#replaceSelected(uid);
    }
    return true;
  }

  #removeEntry(key: NamespacedName): boolean {
    const previous = this.#entries.get(key);
    if (previous === undefined) return false;
    this.#entries.delete(key);
    this.#dropEntry(previous, key);
    return true;
  }

  #dropEntry(entry: ServiceEntry, key: NamespacedName): void {
    for (const { service } of servicesOfEntry(entry)) {
      const { key: name } = keyOf(service);
      this.#services.remove(name);
      this.#visibility.setExport(name, null);
      this.#serviceChanged(name);
    }
    for (const { uid } of workloadsOfEntry(entry)) this.#dropWorkload(uid);
    for (const uid of entry.workloads) {
      const selecting = this.#selectedBy.get(uid);
      selecting?.delete(key);
      if (selecting?.size === 0) this.#selectedBy.delete(uid);
      this.#replaceSelected(uid);
    }
  }

  #replaceSelected(uid: string): void {
    const given = this.#given.get(uid);
    if (given !== undefined) this.#placeWorkload(given);
  }

  /** Direct destinations name the Service's ports; route tables hold its clusters. */
  #serviceChanged(key: NamespacedName): void {
    this.#workloads.serviceChanged(key);
    for (const index of [this.#routes.http, this.#routes.tls, this.#routes.tcp]) {
      for (const route of index.withBackend(key)) this.#services.routeChanged(route);
    }
  }

  #upsertRoute<R extends AnyRoute>(index: RouteIndex<R>, route: R): boolean {
    const { key } = keyOf(route);
    const previous = index.get(key);
    if (sameJson(previous, route)) return false;
    index.upsert(route);
    if (previous !== null) this.#services.routeChanged(previous);
    this.#services.routeChanged(route);
    return true;
  }

  #removeRoute<R extends AnyRoute>(index: RouteIndex<R>, key: NamespacedName): boolean {
    const previous = index.remove(key);
    if (previous === null) return false;
    this.#services.routeChanged(previous);
    return true;
  }

  #chooseSettings(): void {
    const first = [...this.#allSettings.keys()].sort()[0];
    this.#settings = (first === undefined ? undefined : this.#allSettings.get(first)) ?? DEFAULT_SETTINGS;
    this.#authorization.setTrust(trustOf(this.#settings));
  }
}

/** False: it is there already, equal. */
function replace<R extends MeshResource>(all: Map<NamespacedName, R>, resource: R): boolean {
  const { key } = keyOf(resource);
  if (sameJson(all.get(key), resource)) return false;
  all.set(key, resource);
  return true;
}

function servicesOf(previous: Workload | null, next: Workload | null): ReadonlySet<NamespacedName> {
  return new Set([...Object.keys(previous?.services ?? {}), ...Object.keys(next?.services ?? {})]);
}

/** The first reason to refuse a delta, or null. Looks at everything before anything is changed. */
function checkDelta(delta: MeshDelta): ApplyResult | null {
  const { upserts, removals }: { upserts?: unknown; removals?: unknown } = delta ?? {};
  if (!Array.isArray(upserts) || !Array.isArray(removals)) {
    return refuse({ kind: 'workload', key: '?' }, 'a delta has the lists upserts and removals');
  }
  for (const removal of removals) {
    const problem = validateKey(removal);
    if (problem !== null) return refuse(keyOfAnything(removal), `removal: ${problem}`);
  }
  const seen = new Set<string>();
  for (const resource of upserts) {
    const key = keyOfAnything(resource);
    const problem = validateResource(resource);
    if (problem !== null) return refuse(key, problem);
    const id = `${key.kind} ${key.key}`;
    if (seen.has(id)) return refuse(key, 'occurs twice in one delta: send its last version only');
    seen.add(id);
  }
  return null;
}

function refuse(resource: ResourceKey, problem: string): ApplyResult {
  return { ok: false, error: `${resource.kind} ${resource.key}: ${problem}`, resource };
}
