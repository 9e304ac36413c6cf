/**
 * Accepted objects → mesh resources: joins pods with the Services that select them, and routes with the Services they
 * name. Works on what changed and gives what a translation of everything would give (a property the tests hold it to).
 */
import type { MeshResource, ResourceKey, Service, TargetPort, Workload } from '../../mesh/model.ts';
import type { HttpRouteParent, StreamBackend } from '../../mesh/route-model.ts';
import { keyOf } from '../../mesh/model.ts';
import { compareText, type FieldPath, type Finding, formatFieldPath } from '../finding.ts';
import type { ObjectChange } from './object-store.ts';
import {
  type BackendReference,
  type HttpRouteObject,
  type ObjectOrigin,
  objectKey,
  type PodObject,
  type PolicyObject,
  type ServiceObject,
  type StreamRouteObject,
} from './objects.ts';

type RouteObject = HttpRouteObject | StreamRouteObject;

/** What a round of linking changed. */
export interface LinkResult {
  /** May hold resources that came out as they were. */
  readonly upserts: readonly MeshResource[];
  readonly removals: readonly ResourceKey[];
}

export class MeshLinker {
  readonly #pods = new Map<string, Map<string, PodObject>>();
  readonly #services = new Map<string, Map<string, ServiceObject>>();
  /** By kind and name. */
  readonly #routes = new Map<string, RouteObject>();
  readonly #policies = new Map<string, PolicyObject>();
  /** uid → names (`namespace/name`) of the pods that claim it: one in a cluster, but files may say anything. */
  readonly #uids = new Map<string, Set<string>>();
  readonly #findings = new Map<string, Finding[]>();

  /** Takes changed objects in and links again whatever depends on them. */
  update(changes: readonly ObjectChange[]): LinkResult {
    const upserts: MeshResource[] = [];
    const removals: ResourceKey[] = [];
    const dirtyUids = new Set<string>();
    const dirtyNamespaces = new Set<string>();
    let servicesChanged = false;
    for (const { before, after } of changes) {
      if (before?.kind === 'Pod') this.#removePod(before, dirtyUids);
      if (after?.kind === 'Pod') this.#addPod(after, dirtyUids);
      const service = before?.kind === 'Service' ? before : after?.kind === 'Service' ? after : null;
      if (service !== null) {
        servicesChanged = true;
        dirtyNamespaces.add(service.namespace);
        this.#changeService(service, after?.kind === 'Service' ? after : null, upserts, removals);
      }
      this.#changeRoute(before, after, removals);
      this.#changePolicy(before, after, upserts, removals);
      if (after?.kind === 'ConfigMap') upserts.push(after.settings);
      else if (before?.kind === 'ConfigMap') removals.push(keyOf(before.settings));
    }
    for (const namespace of dirtyNamespaces) {
      for (const pod of this.#pods.get(namespace)?.values() ?? []) dirtyUids.add(pod.uid);
    }
    for (const uid of dirtyUids) this.#linkUid(uid, upserts, removals);
    const changedRoutes = changes.flatMap(({ after }) => (isRoute(after) ? [after] : []));
    for (const route of servicesChanged ? this.#routes.values() : changedRoutes) upserts.push(this.#linkRoute(route));
    for (const policy of servicesChanged ? this.#policies.values() : []) this.#checkPolicy(policy);
    return { upserts, removals };
  }

  findings(): Finding[] {
    return [...this.#findings.values()].flat();
  }

  #addPod(pod: PodObject, dirtyUids: Set<string>): void {
    const pods = this.#pods.get(pod.namespace) ?? new Map<string, PodObject>();
    this.#pods.set(pod.namespace, pods.set(pod.name, pod));
    const names = this.#uids.get(pod.uid) ?? new Set();
    this.#uids.set(pod.uid, names.add(`${pod.namespace}/${pod.name}`));
    dirtyUids.add(pod.uid);
  }

  #removePod(pod: PodObject, dirtyUids: Set<string>): void {
    const pods = this.#pods.get(pod.namespace);
    pods?.delete(pod.name);
    if (pods?.size === 0) this.#pods.delete(pod.namespace);
    const names = this.#uids.get(pod.uid);
    names?.delete(`${pod.namespace}/${pod.name}`);
    if (names?.size === 0) this.#uids.delete(pod.uid);
    this.#findings.delete(objectKey('Pod', pod.namespace, pod.name));
    dirtyUids.add(pod.uid);
  }

  /** The resource of a uid: the first pod by name that claims it, and nothing for pods that have ended. */
  #linkUid(uid: string, upserts: MeshResource[], removals: ResourceKey[]): void {
    const [winner, ...losers] = [...(this.#uids.get(uid) ?? [])].sort(compareText);
    for (const loser of losers) this.#reportUid(uid, loser, winner ?? '');
    if (winner !== undefined) this.#findings.delete(`Pod ${winner}`);
    const pod = winner === undefined ? undefined : this.#pod(winner);
    if (pod === undefined || pod.ended) removals.push({ kind: 'workload', key: uid });
    else upserts.push(this.#linkPod(pod));
  }

  #pod(name: string): PodObject | undefined {
    const slash = name.indexOf('/');
    return this.#pods.get(name.slice(0, slash))?.get(name.slice(slash + 1));
  }

  #reportUid(uid: string, loser: string, winner: string): void {
    const finding: Finding = {
      severity: 'error',
      code: 'DUPLICATE_UID',
      ...(this.#pod(loser)?.position ?? { file: '', line: 0 }),
      object: `Pod ${loser}`,
      field: 'metadata.uid',
      reason: `has the uid ${uid} of Pod ${winner}, which is used`,
      remedy: 'give each pod its own uid, or leave it out',
    };
    this.#findings.set(`Pod ${loser}`, [finding]);
  }

  #linkPod(pod: PodObject): Workload {
    const services: Record<string, readonly TargetPort[]> = {};
    let published = false;
    const selecting = [...(this.#services.get(pod.namespace)?.values() ?? [])].filter((service) =>
      selects(service, pod),
    );
    for (const service of selecting.sort((a, b) => compareText(a.name, b.name))) {
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
      locality: '',
      services,
    };
  }

  #changeService(
    service: ServiceObject,
    after: ServiceObject | null,
    upserts: MeshResource[],
    removals: ResourceKey[],
  ): void {
    const { namespace, name } = service;
    const services = this.#services.get(namespace) ?? new Map<string, ServiceObject>();
    if (after === null) services.delete(name);
    else services.set(name, after);
    if (services.size === 0) this.#services.delete(namespace);
    else this.#services.set(namespace, services);
    if (after === null) removals.push({ kind: 'service', key: `${namespace}/${name}` });
    else upserts.push(linkService(after));
  }

  #changeRoute(before: ObjectChange['before'], after: ObjectChange['after'], removals: ResourceKey[]): void {
    if (isRoute(after)) this.#routes.set(objectKey(after.kind, after.namespace, after.name), after);
    else if (isRoute(before)) {
      const key = objectKey(before.kind, before.namespace, before.name);
      this.#routes.delete(key);
      this.#findings.delete(key);
      removals.push(keyOf(before.route));
    }
  }

  #changePolicy(
    before: ObjectChange['before'],
    after: ObjectChange['after'],
    upserts: MeshResource[],
    removals: ResourceKey[],
  ): void {
    if (after?.kind === 'AuthorizationPolicy') {
      this.#policies.set(`${after.namespace}/${after.name}`, after);
      this.#checkPolicy(after);
      upserts.push(after.policy);
    } else if (before?.kind === 'AuthorizationPolicy') {
      this.#policies.delete(`${before.namespace}/${before.name}`);
      this.#findings.delete(objectKey('AuthorizationPolicy', before.namespace, before.name));
      removals.push(keyOf(before.policy));
    }
  }

  /** Resolves the references of a route; a broken one keeps its weight and is answered with 500, or reset (Gateway API). */
  #linkRoute(object: RouteObject): MeshResource {
    const found: Finding[] = [];
    const report = findingsOf(object, found);
    this.#checkParents(object, report);
    const link = <B extends StreamBackend>(backend: B, reference: BackendReference | undefined): B => {
      const problem = this.#backendProblem(object, backend, reference?.foreignKind ?? null);
      if (problem !== null) report(reference?.path ?? [], problem.code, problem.reason, problem.remedy);
      return { ...backend, valid: problem === null };
    };
    const linked =
      object.kind === 'HTTPRoute'
        ? {
            ...object.route,
            rules: object.route.rules.map((rule, at) => ({
              ...rule,
              backends: rule.backends.map((backend, index) => link(backend, object.backends[at]?.[index])),
            })),
          }
        : {
            ...object.route,
            rules: object.route.rules.map((rule) => ({
              ...rule,
              backends: rule.backends.map((backend, at) => link(backend, object.backends[at])),
            })),
          };
    this.#setFindings(objectKey(object.kind, object.namespace, object.name), found);
    return linked;
  }

  #checkParents(object: RouteObject, report: Report): void {
    const parents: readonly HttpRouteParent[] = object.route.parents;
    for (const [index, parent] of parents.entries()) {
      const path = object.parentPaths[index] ?? [];
      const service = this.#services.get(parent.namespace)?.get(parent.name);
      if (service === undefined) {
        report(
          path,
          'REFERENCE_NOT_FOUND',
          `there is no Service ${parent.namespace}/${parent.name}`,
          'the route waits for it',
        );
      } else if (parent.port !== null && !service.ports.some((port) => port.port === parent.port)) {
        const remedy = `write one of ${service.ports.map((port) => port.port).join(', ')}`;
        report(
          [...path, 'port'],
          'REFERENCE_NOT_FOUND',
          `Service ${parent.name} has no TCP port ${parent.port}`,
          remedy,
        );
      }
    }
  }

  #backendProblem(
    object: RouteObject,
    backend: StreamBackend,
    foreignKind: string | null,
  ): Pick<Finding, 'code' | 'reason' | 'remedy'> | null {
    const share =
      object.kind === 'HTTPRoute'
        ? 'until then its share of the requests is answered with 500'
        : 'until then its share of the connections is reset';
    const { namespace, name, port } = backend;
    if (foreignKind !== null) {
      return {
        code: 'UNSUPPORTED',
        reason: `a backend of kind ${foreignKind} is not supported`,
        remedy: `write a Service; ${share}`,
      };
    }
    const parents: readonly HttpRouteParent[] = object.route.parents;
    const isParent = parents.some((parent) => parent.namespace === namespace && parent.name === name);
    if (namespace !== object.namespace && !isParent) {
      const reason = `the backend is in the namespace ${namespace} and ReferenceGrant is not supported by weir yet`;
      return { code: 'REFERENCE_NOT_PERMITTED', reason, remedy: `use a Service of ${object.namespace}; ${share}` };
    }
    const service = this.#services.get(namespace)?.get(name);
    if (service === undefined) {
      const reason = `there is no Service ${namespace}/${name}`;
      return { code: 'REFERENCE_NOT_FOUND', reason, remedy: `create it or correct the name; ${share}` };
    }
    if (service.ports.some((each) => each.port === port)) return null;
    const ports = service.ports.map((each) => each.port).join(', ');
    const reason = `Service ${namespace}/${name} has no TCP port ${port}`;
    return { code: 'REFERENCE_NOT_FOUND', reason, remedy: `write one of ${ports}; ${share}` };
  }

  #checkPolicy(object: PolicyObject): void {
    const found: Finding[] = [];
    const report = findingsOf(object, found);
    for (const [index, service] of object.policy.targetServices.entries()) {
      const slash = service.indexOf('/');
      if (this.#services.get(service.slice(0, slash))?.has(service.slice(slash + 1)) === true) continue;
      const path = object.targetPaths[index] ?? [];
      report(
        path,
        'REFERENCE_NOT_FOUND',
        `there is no Service ${service}`,
        'the policy applies to nothing until it exists',
      );
    }
    this.#setFindings(objectKey('AuthorizationPolicy', object.namespace, object.name), found);
  }

  #setFindings(key: string, found: Finding[]): void {
    if (found.length === 0) this.#findings.delete(key);
    else this.#findings.set(key, found);
  }
}

type Report = (path: FieldPath, code: Finding['code'], reason: string, remedy: string) => void;

function isRoute(object: ObjectChange['after']): object is RouteObject {
  return object?.kind === 'HTTPRoute' || object?.kind === 'TLSRoute' || object?.kind === 'TCPRoute';
}

function findingsOf(object: RouteObject | PolicyObject, into: Finding[]): Report {
  const origin: ObjectOrigin = object.origin;
  const key = objectKey(object.kind, object.namespace, object.name);
  return (path, code, reason, remedy) => {
    const position = origin.locate(path, 'value');
    into.push({ severity: 'warning', code, ...position, object: key, field: formatFieldPath(path), reason, remedy });
  };
}

function selects(service: ServiceObject, pod: PodObject): boolean {
  if (service.selector === null || pod.ended) return false;
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

function linkService(service: ServiceObject): Service {
  return {
    kind: 'service',
    namespace: service.namespace,
    name: service.name,
    hostname: `${service.name}.${service.namespace}.svc.cluster.local`,
    addresses: service.addresses,
    ports: service.ports.map(({ port, name, protocol }) => ({ port, name, protocol })),
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: null,
    externalName: null,
  };
}
