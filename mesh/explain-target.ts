/** Which workload and which Service port a question of `weir explain` is about. Pure. */
import type { CompiledPort } from './destination.ts';
import type { ExplainDestination, ExplainRequest } from './explain-request.ts';
import { familyOf } from './ip.ts';
import type { NamespacedName, Workload } from './model.ts';
import { hostWithoutPort } from './plain-request.ts';
import type { RouteClient } from './route-table.ts';
import type { MeshState } from './state.ts';

/** What stands for an address that the question does not say (explain-request.ts). */
const UNKNOWN_ADDRESS = '0.0.0.0';

/** uid of a workload that exists in a question only; no pod is called that. */
const IMAGINED_UID = 'explained';

/**
 * The pod that has the address, or any with the same namespace and labels; else one that is made up from the question (it backs
 * the Service that was dialled, at the port that was reached).
 */
export function destinationWorkload(mesh: MeshState, destination: ExplainDestination): Workload | null {
  if (destination.routed) return mesh.workloadByAddress(destination.ip);
  const known = mesh.workloadByAddress(destination.ip);
  if (known !== null && isLike(known, destination)) return known;
  const alike = mesh.list('workload').find((workload) => isLike(workload, destination));
  if (alike !== undefined) return alike;
  const service = serviceOf(mesh, destination);
  const port = service === null ? null : (mesh.serviceByName(service)?.ports[0]?.port ?? null);
  const services =
    service === null || port === null ? {} : { [service]: [{ servicePort: port, targetPort: destination.port }] };
  return {
    kind: 'workload',
    uid: IMAGINED_UID,
    namespace: destination.namespace,
    name: IMAGINED_UID,
    serviceAccount: 'default',
    node: '',
    addresses: [destination.ip],
    ready: true,
    hostNetwork: false,
    labels: destination.labels,
    annotations: {},
    workloadName: IMAGINED_UID,
    canonicalName: IMAGINED_UID,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services,
  };
}

/** The port of the Service that was dialled; null: no Service was, or it is not known. */
export function dialledPort(
  mesh: MeshState,
  destination: ExplainDestination,
  workload: Workload | null,
): { readonly port: CompiledPort; readonly number: number } | null {
  const name = serviceOf(mesh, destination);
  if (name === null) return null;
  const ports = mesh.serviceByName(name)?.ports ?? [];
  if (destination.routed) return portOf(mesh, name, destination.port, destination);
  const mapped = workload?.services[name]?.find(({ targetPort }) => targetPort === destination.port)?.servicePort;
  const same = ports.find(({ port }) => port === destination.port)?.port;
  const number = mapped ?? same ?? (ports.length === 1 ? ports[0]?.port : undefined);
  return number === undefined ? null : portOf(mesh, name, number, destination);
}

function portOf(
  mesh: MeshState,
  name: NamespacedName,
  number: number,
  destination: ExplainDestination,
): ReturnType<typeof dialledPort> {
  const port = mesh.servicePort(name, number, familyOf(destination.ip));
  return port === null ? null : { port, number };
}

/**
 * What an agent makes of an address that the mesh does not know (agent/proxy/flow.ts): it goes where the name leads that the client
 * says, or as `outboundTrafficPolicy` has it. null: the question is about something else.
 */
export function unknownTarget(
  mesh: MeshState,
  { source, destination, http, connection }: ExplainRequest,
): { readonly named: CompiledPort | null; readonly allowed: boolean } | null {
  const { ip, port, serviceHost, namespace, labels, routed } = destination;
  if (routed || serviceHost !== '' || namespace !== '' || Object.keys(labels).length > 0) return null;
  const client = mesh.workloadByAddress(source.ip);
  if (ip === UNKNOWN_ADDRESS || mesh.resolveFor(client, ip, port).kind !== 'unknown') return null;
  const host = http === null ? (connection.sni ?? '') : hostWithoutPort(http.host).toLowerCase();
  // An address of the mesh that is hidden from the client is not opened by a name.
  const isHidden = mesh.resolve(ip, port).kind !== 'unknown';
  const named = isHidden ? null : (mesh.resolveHost(client, host, port, familyOf(ip))?.target ?? null);
  return { named, allowed: named !== null || mesh.outboundTrafficPolicy(client) === 'ALLOW_ANY' };
}

/** The client as routes see it: the pod with the source's address, else its namespace alone. */
export function clientOf(mesh: MeshState, source: ExplainRequest['source']): RouteClient {
  const pod = mesh.workloadByAddress(source.ip);
  if (pod !== null && (source.namespace === '' || pod.namespace === source.namespace)) return pod;
  return { namespace: source.namespace, labels: {} };
}

/** The Service a host name stands for: `name.namespace.svc.cluster.local`, shorter forms of it, or a ServiceEntry's host. */
function serviceOf(mesh: MeshState, { serviceHost, namespace }: ExplainDestination): NamespacedName | null {
  if (serviceHost === '') return null;
  const [name = '', space = namespace] = serviceHost.replace(/\.svc(\.cluster\.local)?$/, '').split('.');
  const key = `${space}/${name}`;
  if (mesh.serviceByName(key) !== null) return key;
  const entry = mesh.list('serviceEntry').find(({ hosts }) => hosts.includes(serviceHost));
  return entry === undefined ? null : `${entry.namespace}/${serviceHost}`;
}

function isLike(workload: Workload, { namespace, labels }: ExplainDestination): boolean {
  const names = Object.keys(labels);
  return (
    workload.namespace === namespace &&
    names.length === Object.keys(workload.labels).length &&
    names.every((name) => workload.labels[name] === labels[name])
  );
}
