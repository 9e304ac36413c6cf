/**
 * What the references of a Gateway API route lead to at present: its parents and its backends. The linker makes resources of the
 * answers and the status makes conditions of them, so that both always say the same.
 */
import type { HttpRouteParent } from '../../../mesh/route-model.ts';
import { compareText, type FindingCode } from '../../finding.ts';
import type { ServiceEntryObject } from '../istio/objects.ts';
import type { ServiceObject } from '../objects.ts';
import { isGranted } from '../reference-grant.ts';
import type { BackendReference, ParentReference, RouteObject } from '../route-objects.ts';
import { GATEWAY_GROUP, ISTIO_GROUP } from '../route-references.ts';
import type { LinkView } from './view.ts';

const CLUSTER_SUFFIX = '.svc.cluster.local';

/** Why a reference cannot be followed, for people and as a reason of the Gateway API's conditions. */
export interface ReferenceProblem<Reason extends string> {
  readonly code: FindingCode;
  /** Part of the reference it is about; '': all of it. */
  readonly field: '' | 'port' | 'sectionName' | 'namespace';
  readonly reason: string;
  readonly remedy: string;
  readonly condition: Reason;
}

export type ParentProblem = ReferenceProblem<'NoMatchingParent' | 'UnsupportedValue'>;
export type BackendProblem = ReferenceProblem<
  'BackendNotFound' | 'InvalidKind' | 'RefNotPermitted' | 'UnsupportedProtocol'
>;

export interface ResolvedParent {
  readonly reference: ParentReference;
  /** What agents are told. May name a Service or port that does not exist yet. */
  readonly parents: readonly HttpRouteParent[];
  readonly problem: ParentProblem | null;
}

/** Where a backend leads; with a problem it is only what was written. */
export interface ResolvedBackend {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly problem: BackendProblem | null;
}

/** The parents of a route, in the order in which they are written. */
export function resolveParents(object: RouteObject, view: LinkView): ResolvedParent[] {
  const resolved = object.parents.map((reference) => resolveParent(object.namespace, reference, view));
  const isProducer = resolved.some(({ parents }) => parents.some(({ namespace }) => namespace === object.namespace));
  if (!isProducer) return resolved;
  // Of one route the clients are the same for all parents: everybody here, those of its own namespace there.
  return resolved.map((parent) => {
    if (parent.parents.every(({ namespace }) => namespace === object.namespace)) return parent;
    const problem: ParentProblem = {
      code: 'UNSUPPORTED',
      field: 'namespace',
      reason: `a route cannot be attached to Services of its own namespace and of ${parent.reference.namespace} at once`,
      remedy: 'write two routes; until then this parent is left out',
      condition: 'UnsupportedValue',
    };
    return { reference: parent.reference, parents: [], problem };
  });
}

/** The namespaces whose pods the route decides for: all where it stands beside its parents, its own where it does not. */
export function routeClients(object: RouteObject, parents: readonly HttpRouteParent[]): readonly string[] {
  const isProducer = parents.length === 0 || parents.some(({ namespace }) => namespace === object.namespace);
  return isProducer ? ['*'] : [object.namespace];
}

function resolveParent(from: string, reference: ParentReference, view: LinkView): ResolvedParent {
  const { kind, namespace, name, port } = reference;
  const service = serviceOf(kind, namespace, name);
  if (service !== null) return resolveService(reference, service, view);
  const hosts =
    kind === 'ServiceEntry'
      ? (view.serviceEntry(namespace, name)?.resource.hosts ?? []).map((host) => ({ namespace, name: host }))
      : entriesWith(name, from, view)
          .slice(0, 1)
          .map((entry) => ({ namespace: entry.namespace, name }));
  const parents = hosts.map((host) => ({ ...host, port }));
  return { reference, parents, problem: hosts.length > 0 ? null : noParent(`there is no ${describe(reference)}`) };
}

function resolveService(
  reference: ParentReference,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  view: LinkView,
): ResolvedParent {
  const { port, sectionName } = reference;
  const asWritten = sectionName === null ? [{ namespace, name, port }] : [];
  const service = view.service(namespace, name);
  if (service === undefined) {
    return { reference, parents: asWritten, problem: noParent(`there is no Service ${namespace}/${name}`) };
  }
  const ofPort = service.ports.filter((each) => port === null || each.port === port);
  if (ofPort.length === 0 && port !== null) {
    const problem = noParent(`Service ${name} has no TCP port ${port}`, 'port', `write one of ${portsOf(service)}`);
    return { reference, parents: asWritten, problem };
  }
  if (sectionName === null) return { reference, parents: asWritten, problem: null };
  const named = ofPort.find((each) => each.name === sectionName);
  if (named !== undefined) return { reference, parents: [{ namespace, name, port: named.port }], problem: null };
  const reason = `Service ${name} has no TCP port of that name${port === null ? '' : ` and number ${port}`}`;
  const names = service.ports.flatMap((each) => (each.name === '' ? [] : each.name)).join(', ');
  const remedy = names === '' ? 'its ports have no names: write port' : `write one of ${names}`;
  return { reference, parents: [], problem: noParent(reason, 'sectionName', remedy) };
}

function noParent(
  reason: string,
  field: ParentProblem['field'] = '',
  remedy = 'the route waits for it',
): ParentProblem {
  return { code: 'REFERENCE_NOT_FOUND', field, reason, remedy, condition: 'NoMatchingParent' };
}

/** Follows a backendRef or the backendRef of a mirror. */
export function resolveBackend(object: RouteObject, reference: BackendReference, view: LinkView): ResolvedBackend {
  const { group, kind, namespace, name } = reference;
  const port = reference.port ?? 0;
  const asWritten = { namespace, name, port };
  const known =
    (kind === 'Service' && group === '') || (group === ISTIO_GROUP && /^(ServiceEntry|Hostname)$/.test(kind));
  if (!known) {
    const shown = group === '' ? kind : `${group}/${kind}`;
    const reason = `a backend of kind ${shown} is not supported`;
    return { ...asWritten, problem: broken('UNSUPPORTED', 'InvalidKind', reason, 'write a Service') };
  }
  const refused = kind === 'Hostname' ? null : permissionProblem(object, reference, view);
  if (refused !== null) return { ...asWritten, problem: refused };
  const service = serviceOf(kind, namespace, name);
  return service === null
    ? resolveEntry(object, reference, view)
    : { ...service, port, problem: serviceProblem(object, service, reference, view) };
}

/** A backend of another namespace needs a grant there, but for the Service a consumer route is attached to. */
function permissionProblem(object: RouteObject, reference: BackendReference, view: LinkView): BackendProblem | null {
  const { kind, namespace, name } = reference;
  if (namespace === object.namespace) return null;
  const isParent = object.parents.some(
    (parent) => parent.kind === kind && parent.namespace === namespace && parent.name === name,
  );
  const from = { group: GATEWAY_GROUP, kind: object.kind, namespace: object.namespace };
  if (isParent || isGranted(view.grants(namespace), from, reference)) return null;
  const reason = `no ReferenceGrant of the namespace ${namespace} lets a ${object.kind} of ${object.namespace} refer to ${kind} ${name}`;
  const remedy = `add one there, or use a Service of ${object.namespace}`;
  return broken('REFERENCE_NOT_PERMITTED', 'RefNotPermitted', reason, remedy);
}

function serviceProblem(
  object: RouteObject,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  reference: BackendReference,
  view: LinkView,
): BackendProblem | null {
  const service = view.service(namespace, name);
  if (service === undefined) {
    const reason = `there is no Service ${namespace}/${name}`;
    return broken('REFERENCE_NOT_FOUND', 'BackendNotFound', reason, 'create it or correct the name');
  }
  const port = service.ports.find((each) => each.port === reference.port);
  if (port === undefined) {
    const reason = `Service ${namespace}/${name} has no TCP port ${reference.port ?? 0}`;
    return broken('REFERENCE_NOT_FOUND', 'BackendNotFound', reason, `write one of ${portsOf(service)}`);
  }
  if (port.protocol !== 'tls' || object.kind === 'TLSRoute' || object.kind === 'TCPRoute') return null;
  const reason = `port ${port.port} of Service ${namespace}/${name} speaks TLS, which weir does not begin itself yet`;
  return broken('UNSUPPORTED', 'UnsupportedProtocol', reason, 'name a port that speaks plain HTTP');
}

function resolveEntry(object: RouteObject, reference: BackendReference, view: LinkView): ResolvedBackend {
  const { kind, namespace, name } = reference;
  const entry =
    kind === 'ServiceEntry'
      ? view.serviceEntry(namespace, name)
      : entriesWith(name, object.namespace, view).find(() => true);
  const host = kind === 'ServiceEntry' ? entry?.resource.hosts[0] : name;
  const port = reference.port ?? 0;
  if (entry === undefined || host === undefined) {
    const reason = `there is no ${describe(reference)}`;
    const problem = broken('REFERENCE_NOT_FOUND', 'BackendNotFound', reason, 'create a ServiceEntry');
    return { namespace, name, port, problem };
  }
  const target = { namespace: entry.namespace, name: host, port };
  if (entry.resource.ports.some((each) => each.port === port)) return { ...target, problem: null };
  const reason = `ServiceEntry ${entry.namespace}/${entry.name} has no port ${port}`;
  const remedy = `write one of ${portsOf(entry.resource)}`;
  return { ...target, problem: broken('REFERENCE_NOT_FOUND', 'BackendNotFound', reason, remedy) };
}

function broken(
  code: FindingCode,
  condition: BackendProblem['condition'],
  reason: string,
  remedy: string,
): BackendProblem {
  return { code, field: '', condition, reason, remedy };
}

/** The Service that a reference means: by its name, or by its host name in the cluster; null: no Service is meant. */
function serviceOf(kind: string, namespace: string, name: string): { namespace: string; name: string } | null {
  if (kind === 'Service') return { namespace, name };
  if (kind !== 'Hostname' || !name.endsWith(CLUSTER_SUFFIX)) return null;
  const [service = '', serviceNamespace = '', ...rest] = name.slice(0, -CLUSTER_SUFFIX.length).split('.');
  return rest.length === 0 && serviceNamespace !== '' ? { namespace: serviceNamespace, name: service } : null;
}

/** ServiceEntries of a host that a namespace sees: its own first, then by namespace and name. */
function entriesWith(host: string, namespace: string, view: LinkView): ServiceEntryObject[] {
  const own = (entry: ServiceEntryObject): number => (entry.namespace === namespace ? 0 : 1);
  return [...view.serviceEntries()]
    .filter(({ resource }) => resource.hosts.includes(host))
    .filter(({ resource }) => resource.exportTo.includes('*') || resource.exportTo.includes(namespace))
    .sort((a, b) => own(a) - own(b) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
}

function describe({ kind, namespace, name }: ParentReference | BackendReference): string {
  return kind === 'Hostname'
    ? `ServiceEntry with the host ${name} that ${namespace} may see`
    : `${kind} ${namespace}/${name}`;
}

function portsOf(
  owner: Pick<ServiceObject, 'ports'> | { readonly ports: readonly { readonly port: number }[] },
): string {
  return owner.ports.map(({ port }) => port).join(', ');
}
