/**
 * Pods → workloads: joins each pod with the Services that select it or whose EndpointSlices name it, and with its node. Pods are
 * many and change all the time, so this is the one link that works out itself which of them a change concerns.
 */
import type { MeshResource, ResourceKey, TargetPort, Workload } from '../../../mesh/model.ts';
import { sameJson } from '../../../mesh/validate.ts';
import { compareText, type Finding } from '../../finding.ts';
import { limits } from '../../limits.ts';
import type { AcceptedObject, PodObject, ServiceObject } from '../objects.ts';
import type { ObjectView } from './object-view.ts';
import { endpointPod, sliceService } from './services.ts';

/** Services (`namespace/name`) that EndpointSlices make a pod back, by the pod's `namespace/name`. */
type SliceBackends = ReadonlyMap<string, Readonly<Record<string, readonly TargetPort[]>>>;

export class WorkloadLinks {
  readonly #view: ObjectView;
  /** uid → names (`namespace/name`) of the pods that claim it: one in a cluster, but files may say anything. */
  readonly #uids = new Map<string, Set<string>>();
  readonly #findings = new Map<string, Finding>();
  readonly #dirtyUids = new Set<string>();
  readonly #dirtyNamespaces = new Set<string>();
  readonly #dirtyNodes = new Set<string>();
  #bySlice: SliceBackends = new Map();
  #slicesDirty = false;

  constructor(view: ObjectView) {
    this.#view = view;
  }

  /** Notes what a change may concern; the view has it already. */
  changed(before: AcceptedObject | null, after: AcceptedObject | null): void {
    if (before?.kind === 'Pod') this.#removePod(before);
    if (after?.kind === 'Pod') this.#addPod(after);
    switch ((before ?? after)?.kind) {
      case 'Service':
        this.#dirtyNamespaces.add((before ?? after)?.namespace ?? '');
        this.#slicesDirty = true;
        return;
      case 'Pod':
      case 'EndpointSlice':
        this.#slicesDirty = true;
        return;
      case 'Node':
        this.#dirtyNodes.add((before ?? after)?.name ?? '');
        return;
      default:
    }
  }

  /** Links whatever the changes since the last call concern. */
  link(upserts: MeshResource[], removals: ResourceKey[]): void {
    if (this.#slicesDirty) this.#takeSlices();
    for (const namespace of this.#dirtyNamespaces) {
      for (const pod of this.#view.pods(namespace)) this.#dirtyUids.add(pod.uid);
    }
    if (this.#dirtyNodes.size > 0) {
      for (const pod of this.#view.pods()) if (this.#dirtyNodes.has(pod.node)) this.#dirtyUids.add(pod.uid);
    }
    for (const uid of this.#dirtyUids) this.#linkUid(uid, upserts, removals);
    this.#dirtyUids.clear();
    this.#dirtyNamespaces.clear();
    this.#dirtyNodes.clear();
  }

  findings(): Iterable<Finding> {
    return this.#findings.values();
  }

  #addPod(pod: PodObject): void {
    const names = this.#uids.get(pod.uid) ?? new Set();
    this.#uids.set(pod.uid, names.add(`${pod.namespace}/${pod.name}`));
    this.#dirtyUids.add(pod.uid);
  }

  #removePod(pod: PodObject): void {
    const name = `${pod.namespace}/${pod.name}`;
    const names = this.#uids.get(pod.uid);
    names?.delete(name);
    if (names?.size === 0) this.#uids.delete(pod.uid);
    this.#findings.delete(name);
    this.#findings.delete(`${name} services`);
    this.#dirtyUids.add(pod.uid);
  }

  /** The resource of a uid: the first pod by name that claims it, and nothing for pods that have ended. */
  #linkUid(uid: string, upserts: MeshResource[], removals: ResourceKey[]): void {
    const [winner, ...losers] = [...(this.#uids.get(uid) ?? [])].sort(compareText);
    for (const loser of losers) this.#reportUid(uid, loser, winner ?? '');
    if (winner !== undefined) this.#findings.delete(winner);
    const pod = winner === undefined ? undefined : this.#pod(winner);
    if (pod === undefined || pod.ended) removals.push({ kind: 'workload', key: uid });
    else upserts.push(this.#linkPod(pod));
  }

  #pod(name: string): PodObject | undefined {
    const slash = name.indexOf('/');
    return this.#view.pod(name.slice(0, slash), name.slice(slash + 1));
  }

  #reportUid(uid: string, loser: string, winner: string): void {
    this.#findings.set(loser, {
      severity: 'error',
      code: 'DUPLICATE_UID',
      ...(this.#pod(loser)?.position ?? { file: '', line: 0 }),
      object: `Pod ${loser}`,
      field: 'metadata.uid',
      reason: `has the uid ${uid} of Pod ${winner}, which is used`,
      remedy: 'give each pod its own uid, or leave it out',
    });
  }

  #linkPod(pod: PodObject): Workload {
    const services: Record<string, readonly TargetPort[]> = { ...this.#bySlice.get(`${pod.namespace}/${pod.name}`) };
    let published = false;
    const selecting = [...this.#view.of('Service', pod.namespace)].filter((service) => selects(service, pod));
    for (const service of selecting) {
      // A pod that is not ready backs only the Services that publish such pods, and for those it counts as ready.
      if (!pod.ready && !service.publishNotReadyAddresses && selecting.some((each) => each.publishNotReadyAddresses))
        continue;
      published ||= service.publishNotReadyAddresses;
      services[`${service.namespace}/${service.name}`] = targetPorts(service, pod);
    }
    return {
      kind: 'workload',
      uid: pod.uid,
      namespace: pod.namespace,
      name: pod.name,
      serviceAccount: pod.serviceAccount,
      node: pod.node,
      addresses: pod.addresses,
      ready: pod.ready || published,
      hostNetwork: pod.hostNetwork,
      labels: pod.labels,
      annotations: pod.annotations,
      workloadName: pod.workloadName,
      canonicalName: pod.canonicalName,
      canonicalRevision: pod.canonicalRevision,
      namedPorts: pod.namedPorts,
      locality: this.#view.node(pod.node)?.locality ?? '',
      services: this.#bounded(pod, Object.entries(services)),
    };
  }

  /** In the order of their names; those beyond the bound are reported. */
  #bounded(pod: PodObject, services: [string, readonly TargetPort[]][]): Workload['services'] {
    const key = `${pod.namespace}/${pod.name} services`;
    services.sort(([a], [b]) => compareText(a, b));
    const [beyond] = services[limits.podServicesMax] ?? [];
    if (beyond === undefined) this.#findings.delete(key);
    else {
      this.#findings.set(key, {
        severity: 'error',
        code: 'UNSUPPORTED',
        ...pod.position,
        object: `Pod ${pod.namespace}/${pod.name}`,
        field: 'metadata.labels',
        reason: `backs ${services.length} Services; ${beyond} and those after it by name do not get it`,
        remedy: `let at most ${limits.podServicesMax} Services select it`,
      });
    }
    return Object.fromEntries(services.slice(0, limits.podServicesMax));
  }

  /** Works out anew which pods the slices name: few Services have no selector. */
  #takeSlices(): void {
    this.#slicesDirty = false;
    const next = new Map<string, Record<string, readonly TargetPort[]>>();
    const slices = [...this.#view.slices()].sort((a, b) => compareText(a.name, b.name));
    for (const slice of slices) {
      const service = sliceService(slice, this.#view);
      if (service === null) continue;
      const ports = service.ports.flatMap(({ port: servicePort, name }) => {
        const found = slice.ports.find((each) => each.name === name);
        return found === undefined ? [] : [{ servicePort, targetPort: found.port }];
      });
      for (const endpoint of slice.endpoints) {
        const pod = endpoint.ready || service.publishNotReadyAddresses ? endpointPod(endpoint, this.#view) : null;
        if (pod === null || pod.ended) continue;
        const name = `${pod.namespace}/${pod.name}`;
        const services = next.get(name) ?? {};
        // Several slices of one Service (IPv4 and IPv6, or ports apart): the ports of all of them, each once.
        const known = services[`${service.namespace}/${service.name}`] ?? [];
        const added = ports.filter(({ servicePort }) => known.every((each) => each.servicePort !== servicePort));
        services[`${service.namespace}/${service.name}`] = [...known, ...added];
        next.set(name, services);
      }
    }
    for (const name of new Set([...this.#bySlice.keys(), ...next.keys()])) {
      const pod = sameJson(this.#bySlice.get(name), next.get(name)) ? undefined : this.#pod(name);
      if (pod !== undefined) this.#dirtyUids.add(pod.uid);
    }
    this.#bySlice = next;
  }
}

function selects(service: ServiceObject, pod: PodObject): boolean {
  if (service.selector === null || service.externalName !== null || pod.ended) return false;
  return Object.entries(service.selector).every(
    ([label, value]) => Object.hasOwn(pod.labels, label) && pod.labels[label] === value,
  );
}

/** A named target port is whatever the pod's containers call so; a pod without it does not back that port. */
function targetPorts(service: ServiceObject, pod: PodObject): TargetPort[] {
  return service.ports.flatMap(({ port, targetPort }) => {
    const named = typeof targetPort === 'string' && Object.hasOwn(pod.namedPorts, targetPort);
    const number = typeof targetPort === 'number' ? targetPort : named ? pod.namedPorts[targetPort] : undefined;
    return number === undefined ? [] : [{ servicePort: port, targetPort: number }];
  });
}
