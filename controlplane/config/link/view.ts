/** What a kind sees of all others while it is linked, and what it answers with. */
import type { Ip, MeshResource } from '../../../mesh/model.ts';
import type { Finding } from '../../finding.ts';
import type {
  DestinationRuleObject,
  ServiceEntryObject,
  VirtualServiceObject,
  WorkloadEntryObject,
} from '../istio/objects.ts';
import type { EndpointSliceObject, NamespaceObject, NodeObject, PodObject, ServiceObject } from '../objects.ts';
import type { HttpRouteObject, ReferenceGrantObject } from '../route-objects.ts';

/**
 * Every accepted object, for reading. What an iteration yields comes in no particular order: whoever depends on one sorts. A kind
 * that looks another kind up says so in its entry of the registry (link/registry.ts), or it will miss its changes.
 */
export interface LinkView {
  /** Policies of this namespace hold for the whole mesh; who asks looks up `ConfigMap`. */
  readonly rootNamespace: string;
  service(namespace: string, name: string): ServiceObject | undefined;
  services(): Iterable<ServiceObject>;
  serviceEntries(): Iterable<ServiceEntryObject>;
  serviceEntry(namespace: string, name: string): ServiceEntryObject | undefined;
  workloadEntries(namespace: string): Iterable<WorkloadEntryObject>;
  destinationRules(): Iterable<DestinationRuleObject>;
  virtualService(namespace: string, name: string): VirtualServiceObject | undefined;
  virtualServices(): Iterable<VirtualServiceObject>;
  /** HTTPRoutes and GRPCRoutes. */
  httpRoutes(): Iterable<HttpRouteObject>;
  /** The ReferenceGrants of a namespace. */
  grants(namespace: string): Iterable<ReferenceGrantObject>;
  /**
   * All namespaces with their labels. One that only occurs as the namespace of some object counts too, with the label
   * `kubernetes.io/metadata.name`.
   */
  namespaces(): Iterable<NamespaceObject>;
  /** Pods of one namespace, or all; those that have ended among them. */
  pods(namespace?: string): Iterable<PodObject>;
  pod(namespace: string, name: string): PodObject | undefined;
  /** The pod that has an address of its own; the first by name where several claim it. */
  podAt(address: Ip): PodObject | undefined;
  slices(): Iterable<EndpointSliceObject>;
  node(name: string): NodeObject | undefined;
  /** What `build` makes of the view, made once until an object changes: an index that many objects ask. `build` is its key. */
  derived<T>(build: (view: LinkView) => T): T;
}

/** What an object means for the mesh now, and what is wrong with it in view of others. */
export interface Linked {
  readonly resources: readonly MeshResource[];
  readonly findings: readonly Finding[];
}

/** Object → resources. Pure: depends on nothing but its arguments, and answers the same for the same. */
export type Link<O> = (object: O, view: LinkView) => Linked;
