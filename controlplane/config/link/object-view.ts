/** Every accepted object with the indexes that linking needs: the one LinkView there is. */
import type { Ip } from '../../../mesh/model.ts';
import { compareText } from '../../finding.ts';
import type {
  DestinationRuleObject,
  ServiceEntryObject,
  VirtualServiceObject,
  WorkloadEntryObject,
} from '../istio/objects.ts';
import { NAMESPACE_NAME_LABEL } from '../namespace.ts';
import {
  type AcceptedObject,
  type EndpointSliceObject,
  isClusterKind,
  type NamespaceObject,
  type NodeObject,
  type ObjectKind,
  type ObjectOf,
  type PodObject,
  type ServiceObject,
} from '../objects.ts';
import type { HttpRouteObject, ReferenceGrantObject } from '../route-objects.ts';
import type { LinkView } from './view.ts';

/** Objects of one kind by namespace and name. */
type ByNamespace = Map<string, Map<string, AcceptedObject>>;

export class ObjectView implements LinkView {
  readonly #rootNamespace: string;
  readonly #kinds = new Map<ObjectKind, ByNamespace>();
  /** Namespace → objects in it. */
  readonly #population = new Map<string, number>();
  readonly #podsByAddress = new Map<Ip, Set<PodObject>>();
  /** Indexes by what makes them; void as soon as an object changes. */
  readonly #derived = new Map<(view: LinkView) => unknown, unknown>();

  constructor(rootNamespace: string) {
    this.#rootNamespace = rootNamespace;
  }

  /**
   * Puts an object in the place of its earlier version; either may be missing. Answers the kinds whose objects others may see
   * differently now.
   */
  replace(before: AcceptedObject | null, after: AcceptedObject | null): ObjectKind[] {
    const changed = new Set<ObjectKind>();
    this.#derived.clear();
    if (before !== null) this.#remove(before, changed);
    if (after !== null) this.#add(after, changed);
    return [...changed];
  }

  /** What the mesh's ConfigMap says, else what the controller was told. */
  get rootNamespace(): string {
    for (const { settings } of this.of('ConfigMap')) return settings.rootNamespace;
    return this.#rootNamespace;
  }

  /** Objects of one kind. */
  *of<K extends ObjectKind>(kind: K, namespace?: string): Iterable<ObjectOf<K>> {
    const namespaces = this.#kinds.get(kind);
    if (namespaces === undefined) return;
    const parts = namespace === undefined ? namespaces.values() : [namespaces.get(namespace) ?? new Map()];
    // A kind's map holds nothing else: see #add.
    for (const objects of parts) yield* objects.values() as Iterable<ObjectOf<K>>;
  }

  get<K extends ObjectKind>(kind: K, namespace: string, name: string): ObjectOf<K> | undefined {
    return this.#kinds.get(kind)?.get(namespace)?.get(name) as ObjectOf<K> | undefined;
  }

  service(namespace: string, name: string): ServiceObject | undefined {
    return this.get('Service', namespace, name);
  }

  services(): Iterable<ServiceObject> {
    return this.of('Service');
  }

  serviceEntries(): Iterable<ServiceEntryObject> {
    return this.of('ServiceEntry');
  }

  serviceEntry(namespace: string, name: string): ServiceEntryObject | undefined {
    return this.get('ServiceEntry', namespace, name);
  }

  workloadEntries(namespace: string): Iterable<WorkloadEntryObject> {
    return this.of('WorkloadEntry', namespace);
  }

  destinationRules(): Iterable<DestinationRuleObject> {
    return this.of('DestinationRule');
  }

  virtualService(namespace: string, name: string): VirtualServiceObject | undefined {
    return this.get('VirtualService', namespace, name);
  }

  virtualServices(): Iterable<VirtualServiceObject> {
    return this.of('VirtualService');
  }

  *httpRoutes(): Iterable<HttpRouteObject> {
    yield* this.of('HTTPRoute');
    yield* this.of('GRPCRoute');
  }

  grants(namespace: string): Iterable<ReferenceGrantObject> {
    return this.of('ReferenceGrant', namespace);
  }

  *namespaces(): Iterable<NamespaceObject> {
    yield* this.of('Namespace');
    for (const name of this.#population.keys()) {
      if (this.get('Namespace', '', name) !== undefined) continue;
      yield { kind: 'Namespace', namespace: '', name, labels: { [NAMESPACE_NAME_LABEL]: name } };
    }
  }

  pods(namespace?: string): Iterable<PodObject> {
    return this.of('Pod', namespace);
  }

  pod(namespace: string, name: string): PodObject | undefined {
    return this.get('Pod', namespace, name);
  }

  podAt(address: Ip): PodObject | undefined {
    const [first] = [...(this.#podsByAddress.get(address) ?? [])].sort(
      (a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name),
    );
    return first;
  }

  slices(): Iterable<EndpointSliceObject> {
    return this.of('EndpointSlice');
  }

  node(name: string): NodeObject | undefined {
    return this.get('Node', '', name);
  }

  derived<T>(build: (view: LinkView) => T): T {
    const known = this.#derived.get(build);
    // Whatever is kept under a function is what that function returned.
    if (known !== undefined) return known as T;
    const made = build(this);
    this.#derived.set(build, made);
    return made;
  }

  #add(object: AcceptedObject, changed: Set<ObjectKind>): void {
    const namespaces: ByNamespace = this.#kinds.get(object.kind) ?? new Map();
    this.#kinds.set(object.kind, namespaces);
    const objects = namespaces.get(object.namespace) ?? new Map<string, AcceptedObject>();
    namespaces.set(object.namespace, objects.set(object.name, object));
    changed.add(object.kind);
    this.#populate(object, 1, changed);
    if (object.kind !== 'Pod' || object.ended || object.hostNetwork) return;
    for (const address of object.addresses) {
      const pods = this.#podsByAddress.get(address) ?? new Set();
      this.#podsByAddress.set(address, pods.add(object));
    }
  }

  #remove(object: AcceptedObject, changed: Set<ObjectKind>): void {
    const namespaces = this.#kinds.get(object.kind);
    const objects = namespaces?.get(object.namespace);
    objects?.delete(object.name);
    if (objects?.size === 0) namespaces?.delete(object.namespace);
    changed.add(object.kind);
    this.#populate(object, -1, changed);
    if (object.kind !== 'Pod') return;
    for (const address of object.addresses) {
      const pods = this.#podsByAddress.get(address);
      pods?.delete(object);
      if (pods?.size === 0) this.#podsByAddress.delete(address);
    }
  }

  /** A namespace that nobody defines comes and goes with the objects in it. */
  #populate(object: AcceptedObject, by: 1 | -1, changed: Set<ObjectKind>): void {
    if (isClusterKind(object.kind)) return;
    const count = (this.#population.get(object.namespace) ?? 0) + by;
    if (count === 0) this.#population.delete(object.namespace);
    else this.#population.set(object.namespace, count);
    if (count === 0 || (count === 1 && by === 1)) changed.add('Namespace');
  }
}
