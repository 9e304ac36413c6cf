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
 * Workload (by uid) and a proven Identity. What has an address is found in this order: Services and ServiceEntries with
 * endpoints, pods, ServiceEntries that only name the address, ServiceEntries by block. What a name leads to (NameAnswer) has no address.
 */

import type { Authorization } from './authz.ts';
import { type Endpoint, SlotTable } from './cluster.ts';
import type { CompiledPort, Destination, ServiceDestination } from './destination.ts';
import { type ApplyResult, checkDelta } from './delta-check.ts';
import { isExternalService, isExternalWorkload } from './external-services.ts';
import { Membership } from './membership.ts';
import {
  keyOf,
  type MeshDelta,
  type MeshKind,
  type MeshResource,
  type MeshSettings,
  type NameAnswer,
  type NamespacedName,
  type ResourceKey,
  type Service,
  type Workload,
} from './model.ts';
import { NetworkPolicyIndex, type WorkloadNetworkPolicy } from './network-policy.ts';
import { PeerAuthenticationIndex, type WorkloadPeerAuthentication } from './peer-authentication.ts';
import { OwnPlace } from './own-place.ts';
import { PolicyIndex } from './policy-index.ts';
import type { AuthorizationPolicy, NetworkPolicy, PeerAuthentication, RequestAuthentication } from './policy-model.ts';
import { RequestAuthenticationIndex, type WorkloadRequestAuthentication } from './request-authentication.ts';
import { PolicyStore, ResourceStore } from './resource-store.ts';
import { type AnyRoute, RouteIndex } from './route-index.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from './route-model.ts';
import { type Sees, ServiceTable } from './service-table.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import type { DestinationRule, SidecarScope } from './traffic-model.ts';
import { sameJson } from './validate.ts';
import { trustOf } from './trust-domain.ts';
import { Visibility } from './visibility.ts';
import { nearEndpoints } from './topology.ts';
import { WorkloadTable } from './workload-table.ts';

export type { Authorization, BoundAuthorization, ConnectionFacts } from './authz.ts';
export type { Cluster, Endpoint } from './cluster.ts';
export type { ApplyResult } from './delta-check.ts';
export type { CompiledPort, Destination } from './destination.ts';
export type { Verdict } from './verdict.ts';

export interface MeshStateOptions {
  /** Called when a slot is given to an endpoint (first use or reuse): zero the counters kept for it. See Endpoint. */
  readonly onSlotAssigned?: (endpoint: Endpoint) => void;
  /** The node whose clients ask; absent: none in particular, so nothing is near (internalTrafficPolicy, trafficDistribution). */
  readonly node?: string;
  /** It is told what names lead to (NameAnswer); absent: it is not, and nothing is known of them. */
  readonly resolvesNames?: boolean;
}

const UNKNOWN: Destination = { kind: 'unknown', service: null };

export class MeshState {
  #generation = 0;
  /** See MeshStateOptions. */
  readonly resolvesNames: boolean;
  readonly #place: OwnPlace;
  readonly #slots: SlotTable;
  readonly #workloads: WorkloadTable;
  readonly #services: ServiceTable;
  readonly #membership: Membership;
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
  readonly #destinationRules = new ResourceStore<DestinationRule>();
  readonly #scopes = new ResourceStore<SidecarScope>();
  readonly #visibility = new Visibility();
  readonly #allSettings = new ResourceStore<MeshSettings>();
  #settings: MeshSettings = DEFAULT_SETTINGS;

  constructor(options: MeshStateOptions = {}) {
    this.resolvesNames = options.resolvesNames ?? false;
    this.#place = new OwnPlace(options.node ?? '');
    this.#slots = new SlotTable(options.onSlotAssigned ?? (() => {}));
    this.#workloads = new WorkloadTable(this.#slots, (service, port, family) =>
      this.#services.directPort(service, port, family),
    );
    this.#services = new ServiceTable({
      routes: this.#routes,
      endpointsOf: (service, port, family) => this.#workloads.endpointsOf(keyOf(service).key, port, family),
      near: (service, endpoints) => nearEndpoints(service, endpoints, this.#place.place),
    });
    this.#membership = new Membership({
      workloads: this.#workloads,
      services: this.#services,
      visibility: this.#visibility,
      onServiceChanged: (key) => {
        this.#serviceChanged(key);
      },
      onWorkloadGone: (uid) => {
        for (const { index } of Object.values(this.#policies)) index.forget(uid);
      },
    });
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
    for (const answer of delta.answers ?? []) changed = this.#membership.answer(answer) || changed;
    this.#membership.names.forget();
    if (changed) this.#generation++;
    return { ok: true };
  }

  /** Where `ip:port` leads; the same object until something it depends on changes. `ip` in canonical text. */
  resolve(ip: string, port: number): Destination {
    return this.#resolve(ip, port, null);
  }

  /**
   * The same as that pod sees it: a Service that is hidden from it (Sidecar, exportTo) is as if it were not of the mesh. Costs nothing
   * more where nothing is hidden from anybody. @param client null: a pod that is not known, which sees everything
   */
  resolveFor(client: Workload | null, ip: string, port: number): Destination {
    if (client === null || !this.#visibility.restricts) return this.#resolve(ip, port, null);
    return this.#resolve(ip, port, (service) => this.#visibility.sees(client, service, port));
  }

  #resolve(ip: string, port: number, sees: Sees | null): Destination {
    const service = this.#services.resolve(ip, port, sees);
    if (service !== null && service.service !== null && !isExternalService(service.service)) return service;
    const pod = this.#workloads.resolve(ip, port);
    if (pod !== null && precedes(pod, service) && (sees === null || this.#isInSight(pod, sees))) return pod;
    return service ?? this.#services.resolveInBlocks(ip, port, sees) ?? UNKNOWN;
  }

  /** Endpoints of ServiceEntries are hidden with them; pods are where they are. */
  #isInSight(destination: Destination, sees: Sees): boolean {
    if (destination.kind !== 'workload' || !isExternalWorkload(destination.workload.uid)) return true;
    return Object.keys(destination.workload.services).some((key) => {
      const service = this.#services.byName(key);
      return service !== null && sees(service);
    });
  }

  /** False: resolveHost() finds nobody anything on that port. */
  knowsHostsAt(port: number): boolean {
    return this.#services.hasHostsAt(port);
  }

  /** The ServiceEntry that a client means by a host name (lower case), for addresses that the mesh does not know. */
  resolveHost(client: Workload | null, host: string, port: number, family: 4 | 6): ServiceDestination | null {
    if (!this.#services.hasHostsAt(port)) return null;
    const sees: Sees = (service) => client === null || this.#visibility.sees(client, service, port);
    return this.#services.resolveHost(host, port, family, client?.namespace ?? null, sees);
  }

  /** The host names that ServiceEntries are resolved by, in the order in which they were first needed. */
  namesNeeded(): IterableIterator<string> {
    return this.#membership.names.names();
  }

  /** Grows whenever the names that are needed change. */
  get namesVersion(): number {
    return this.#membership.names.version;
  }

  /** What is known of the names that are needed. */
  nameAnswers(): readonly NameAnswer[] {
    return this.#membership.names.answers();
  }

  /** The names by which a host of ServiceEntries (`namespace/host`) is resolved; empty: by none. */
  namesBehind(host: NamespacedName): readonly string[] {
    return this.#membership.namesBehind(host);
  }

  /** What becomes of that pod's connections to destinations that are unknown to it. */
  outboundTrafficPolicy(client: Workload | null): MeshSettings['outboundTrafficPolicy'] {
    return this.#visibility.outboundPolicy(client, this.#settings);
  }

  /** The Sidecar that says what the pod sees; null: none, it sees all that is exported to it. */
  sidecarScope(client: Workload): SidecarScope | null {
    return this.#visibility.scopeOf(client);
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
        return this.#membership.workloads();
      case 'service':
        return this.#services.list();
      case 'serviceEntry':
        return this.#membership.entries();
      case 'httpRoute':
        return this.#routes.http.list();
      case 'tlsRoute':
        return this.#routes.tls.list();
      case 'tcpRoute':
        return this.#routes.tcp.list();
      case 'destinationRule':
        return this.#destinationRules.list();
      case 'sidecarScope':
        return this.#scopes.list();
      case 'authorizationPolicy':
      case 'peerAuthentication':
      case 'requestAuthentication':
      case 'networkPolicy':
        return this.#policies[kind].list();
      case 'meshSettings':
        return this.#allSettings.list();
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

  #upsert(resource: MeshResource): boolean {
    switch (resource.kind) {
      case 'workload':
        return this.#upsertWorkload(resource);
      case 'service':
        return this.#upsertService(resource);
      case 'serviceEntry':
        return this.#membership.upsertEntry(resource);
      case 'httpRoute':
        return this.#upsertRoute(this.#routes.http, resource);
      case 'tlsRoute':
        return this.#upsertRoute(this.#routes.tls, resource);
      case 'tcpRoute':
        return this.#upsertRoute(this.#routes.tcp, resource);
      case 'destinationRule':
        return this.#destinationRules.upsert(resource);
      case 'sidecarScope':
        if (!this.#scopes.upsert(resource)) return false;
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
        if (!this.#allSettings.upsert(resource)) return false;
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
        return this.#membership.removeEntry(key);
      case 'httpRoute':
        return this.#removeRoute(this.#routes.http, key);
      case 'tlsRoute':
        return this.#removeRoute(this.#routes.tls, key);
      case 'tcpRoute':
        return this.#removeRoute(this.#routes.tcp, key);
      case 'destinationRule':
        return this.#destinationRules.remove(key);
      case 'sidecarScope':
        this.#visibility.setScope(key, null);
        return this.#scopes.remove(key);
      case 'authorizationPolicy':
      case 'peerAuthentication':
      case 'requestAuthentication':
      case 'networkPolicy':
        return this.#policies[kind].remove(key);
      case 'meshSettings':
        if (!this.#allSettings.remove(key)) return false;
        this.#chooseSettings();
        return true;
    }
  }

  #upsertWorkload(workload: Workload): boolean {
    const previous = this.#membership.workload(workload.uid);
    if (!this.#membership.upsertWorkload(workload)) return false;
    if (this.#place.replace(previous, workload)) this.#services.placeChanged();
    return true;
  }

  #removeWorkload(uid: string): boolean {
    const previous = this.#membership.workload(uid);
    if (!this.#membership.removeWorkload(uid)) return false;
    if (this.#place.replace(previous, null)) this.#services.placeChanged();
    return true;
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
    const byName = [...this.#allSettings.list()].sort((left, right) => (keyOf(left).key < keyOf(right).key ? -1 : 1));
    this.#settings = byName[0] ?? DEFAULT_SETTINGS;
    this.#authorization.setTrust(trustOf(this.#settings));
    this.#services.setPathMode(this.#settings.pathNormalization);
  }
}

/**
 * A ServiceEntry, which anybody may write for any address, takes none from the pod that has it; while it has endpoints it does from
 * those of ServiceEntries. @param entry what a ServiceEntry says of the address; null: there is none
 */
function precedes(pod: Destination, entry: Destination | null): boolean {
  if (entry === null || (entry.kind === 'service' && entry.target.cluster.endpoints.length === 0)) return true;
  return pod.kind === 'workload' && !isExternalWorkload(pod.workload.uid);
}
