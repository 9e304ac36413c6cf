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

import { type Authorization, WorkloadAuthorization } from './authz.ts';
import { type Endpoint, SlotTable } from './cluster.ts';
import type { CompiledPort, Destination } from './destination.ts';
import {
  keyOf,
  type MeshDelta,
  type MeshKind,
  type MeshResource,
  type MeshSettings,
  type NamespacedName,
  type ResourceKey,
  type Service,
  type Workload,
} from './model.ts';
import type { AuthorizationPolicy } from './policy-model.ts';
import type { HttpRoute, TcpRoute, TlsRoute } from './route-model.ts';
import { PolicyIndex, sameScope } from './policy-index.ts';
import { type AnyRoute, RouteIndex } from './route-index.ts';
import { ServiceTable } from './service-table.ts';
import { DEFAULT_SETTINGS } from './settings.ts';
import { keyOfAnything, sameJson, validateKey, validateResource } from './validate.ts';
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
}

interface AuthorizationEntry {
  authorization: WorkloadAuthorization;
  policyVersion: number;
}

const UNKNOWN: Destination = { kind: 'unknown', service: null };

export class MeshState {
  #generation = 0;
  readonly #slots: SlotTable;
  readonly #workloads: WorkloadTable;
  readonly #services: ServiceTable;
  readonly #routes = {
    http: new RouteIndex<HttpRoute>(),
    tls: new RouteIndex<TlsRoute>(),
    tcp: new RouteIndex<TcpRoute>(),
  };
  readonly #policies = new Map<NamespacedName, AuthorizationPolicy>();
  readonly #policyIndex = new PolicyIndex();
  #policyVersion = 0;
  readonly #authorizations = new Map<string, AuthorizationEntry>();
  readonly #allSettings = new Map<NamespacedName, MeshSettings>();
  #settings: MeshSettings = DEFAULT_SETTINGS;
  /** Kinds that decide nothing yet, by kind and key. */
  readonly #others = new Map<string, MeshResource>();

  constructor(options: MeshStateOptions = {}) {
    this.#slots = new SlotTable(options.onSlotAssigned ?? (() => {}));
    this.#workloads = new WorkloadTable(this.#slots, (service, port, family) =>
      this.#services.directPort(service, port, family),
    );
    this.#services = new ServiceTable(this.#routes, (service, port, family) =>
      this.#workloads.endpointsOf(service, port, family),
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
  list(kind: 'workload'): readonly Workload[];
  list(kind: 'service'): readonly Service[];
  list(kind: 'httpRoute'): readonly HttpRoute[];
  list(kind: 'tlsRoute'): readonly TlsRoute[];
  list(kind: 'tcpRoute'): readonly TcpRoute[];
  list(kind: 'authorizationPolicy'): readonly AuthorizationPolicy[];
  list(kind: 'meshSettings'): readonly MeshSettings[];
  list(kind: MeshKind): readonly MeshResource[];
  list(kind: MeshKind): readonly MeshResource[] {
    switch (kind) {
      case 'workload':
        return this.#workloads.list();
      case 'service':
        return this.#services.list();
      case 'httpRoute':
        return this.#routes.http.list();
      case 'tlsRoute':
        return this.#routes.tls.list();
      case 'tcpRoute':
        return this.#routes.tcp.list();
      case 'authorizationPolicy':
        return [...this.#policies.values()];
      case 'meshSettings':
        return [...this.#allSettings.values()];
      default:
        return [...this.#others.values()].filter((resource) => resource.kind === kind);
    }
  }

  /**
   * Policy for connections that reach a workload on one of its own ports; the same object until the policies that apply
   * there change. A workload that is gone is judged by the policies that would apply to it now.
   */
  authorization(workload: Workload, port: number): Authorization {
    const entry = this.#authorizations.get(workload.uid);
    if (entry !== undefined && entry.policyVersion === this.#policyVersion) return entry.authorization.forPort(port);
    return this.#refreshAuthorization(workload, entry).forPort(port);
  }

  /** The endpoint that owns a slot now; null when the slot is free. See Endpoint. */
  endpointAt(slot: number): Endpoint | null {
    return this.#slots.endpointAt(slot);
  }

  /** The length that counters indexed by `Endpoint.slot` need now. */
  get slotLimit(): number {
    return this.#slots.limit;
  }

  #refreshAuthorization(workload: Workload, entry: AuthorizationEntry | undefined): WorkloadAuthorization {
    const current = this.#workloads.byUid(workload.uid);
    const policies = this.#policyIndex.policiesFor(current ?? workload);
    if (entry !== undefined && sameScope(entry.authorization.policies, policies)) {
      entry.policyVersion = this.#policyVersion;
      return entry.authorization;
    }
    const authorization = new WorkloadAuthorization(policies);
    if (current !== null) this.#authorizations.set(workload.uid, { authorization, policyVersion: this.#policyVersion });
    return authorization;
  }

  #upsert(resource: MeshResource): boolean {
    switch (resource.kind) {
      case 'workload':
        return this.#upsertWorkload(resource);
      case 'service':
        return this.#upsertService(resource);
      case 'httpRoute':
        return this.#upsertRoute(this.#routes.http, resource);
      case 'tlsRoute':
        return this.#upsertRoute(this.#routes.tls, resource);
      case 'tcpRoute':
        return this.#upsertRoute(this.#routes.tcp, resource);
      case 'authorizationPolicy':
        return this.#upsertPolicy(resource);
      case 'meshSettings':
        return this.#upsertSettings(resource);
      default:
        return this.#upsertOther(resource);
    }
  }

  #remove(removal: ResourceKey): boolean {
    switch (removal.kind) {
      case 'workload':
        return this.#removeWorkload(removal.key);
      case 'service':
        return this.#removeService(removal.key);
      case 'httpRoute':
        return this.#removeRoute(this.#routes.http, removal.key);
      case 'tlsRoute':
        return this.#removeRoute(this.#routes.tls, removal.key);
      case 'tcpRoute':
        return this.#removeRoute(this.#routes.tcp, removal.key);
      case 'authorizationPolicy':
        return this.#removePolicy(removal.key);
      case 'meshSettings':
        return this.#removeSettings(removal.key);
      default:
        return this.#others.delete(`${removal.kind} ${removal.key}`);
    }
  }

  #upsertWorkload(workload: Workload): boolean {
    const previous = this.#workloads.byUid(workload.uid);
    if (sameJson(previous, workload)) return false;
    this.#workloads.upsert(workload);
    for (const service of servicesOf(previous, workload)) this.#services.membersChanged(service);
    // Labels and Services decide which policies apply: gather again, keep the compiled object if they are the same.
    const entry = this.#authorizations.get(workload.uid);
    if (entry !== undefined) entry.policyVersion = -1;
    return true;
  }

  #removeWorkload(uid: string): boolean {
    const previous = this.#workloads.byUid(uid);
    if (previous === null) return false;
    this.#workloads.remove(uid);
    for (const service of servicesOf(previous, null)) this.#services.membersChanged(service);
    this.#authorizations.delete(uid);
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

  #upsertPolicy(policy: AuthorizationPolicy): boolean {
    const { key } = keyOf(policy);
    const previous = this.#policies.get(key);
    if (sameJson(previous, policy)) return false;
    if (previous !== undefined) this.#policyIndex.remove(previous);
    this.#policies.set(key, policy);
    this.#policyIndex.add(policy);
    this.#policyVersion++;
    return true;
  }

  #removePolicy(key: NamespacedName): boolean {
    const previous = this.#policies.get(key);
    if (previous === undefined) return false;
    this.#policies.delete(key);
    this.#policyIndex.remove(previous);
    this.#policyVersion++;
    return true;
  }

  #upsertSettings(settings: MeshSettings): boolean {
    const { key } = keyOf(settings);
    if (sameJson(this.#allSettings.get(key), settings)) return false;
    this.#allSettings.set(key, settings);
    this.#chooseSettings();
    return true;
  }

  #removeSettings(key: NamespacedName): boolean {
    if (!this.#allSettings.delete(key)) return false;
    this.#chooseSettings();
    return true;
  }

  #upsertOther(resource: MeshResource): boolean {
    const { kind, key } = keyOf(resource);
    if (sameJson(this.#others.get(`${kind} ${key}`), resource)) return false;
    this.#others.set(`${kind} ${key}`, resource);
    return true;
  }

  #chooseSettings(): void {
    const first = [...this.#allSettings.keys()].sort()[0];
    this.#settings = (first === undefined ? undefined : this.#allSettings.get(first)) ?? DEFAULT_SETTINGS;
  }
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
