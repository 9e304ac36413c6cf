/**
 * The question as a person asks it: from a pod or an identity, to a host and port. Pure: resolved against a mesh into the
 * question of explain-request.ts.
 */
import { type ExplainRequest, type ParsedRequest, readExplainRequest } from './explain-request.ts';
import { canonicalIp } from './ip.ts';
import type { Workload } from './model.ts';
import type { MeshState } from './state.ts';

/** What the flags of `weir explain` say. */
export interface Asked {
  /** `pod.namespace`, `namespace/pod` or `namespace/serviceaccount`; '': somebody outside the mesh. */
  readonly from: string;
  /** A Service, a pod, an external host or an address, and a port: `echo.shop:80`. */
  readonly to: string;
  readonly method: string;
  /** With query. */
  readonly path: string;
  /** '': that of `to`. */
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
  /** True: a connection that carries no HTTP. */
  readonly tcp: boolean;
  /** '': none. */
  readonly sni: string;
}

/** Documentation addresses (RFC 5737): a client that no pod stands for. */
const OUTSIDE_ADDRESS = '192.0.2.1';

/** Makes a question of it; what is not found in the mesh is an error that says what there is. */
export function questionOf(mesh: MeshState, asked: Asked, id: string): ParsedRequest {
  const colon = asked.to.lastIndexOf(':');
  const host = asked.to
    .slice(0, colon)
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase();
  const port = Number(asked.to.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return refuse(id, `--to ${asked.to}: write HOST:PORT, e.g. echo.shop:80`);
  }
  const source = sourceOf(mesh, asked.from);
  if (typeof source === 'string') return refuse(id, source);
  const destination = destinationOf(mesh, host, port, source.namespace);
  if (typeof destination === 'string') return refuse(id, destination);
  const http = {
    method: asked.method,
    path: asked.path,
    host: asked.host === '' ? asked.to.slice(0, colon) : asked.host,
    headers: asked.headers,
    jwt: null,
  };
  const question = readExplainRequest({
    id,
    source,
    destination,
    connection: {
      protocol: asked.tcp ? 'tcp' : 'http',
      tls: source.principal === null ? 'none' : 'mtls',
      sni: asked.sni === '' ? null : asked.sni,
    },
    http: asked.tcp ? null : http,
  });
  return question.ok
    ? { ok: true, request: { ...question.request, destination: destinationFields(question.request, destination) } }
    : question;
}

function destinationFields(
  request: ExplainRequest,
  { routed }: { readonly routed: boolean },
): ExplainRequest['destination'] {
  return { ...request.destination, routed };
}

interface SourceFields {
  readonly principal: string | null;
  readonly namespace: string;
  readonly ip: string;
}

function sourceOf(mesh: MeshState, from: string): SourceFields | string {
  if (from === '') return { principal: null, namespace: '', ip: OUTSIDE_ADDRESS };
  const pod = podNamed(mesh, from);
  const { trustDomain } = mesh.settings;
  if (pod !== null) {
    return {
      principal: `spiffe://${trustDomain}/ns/${pod.namespace}/sa/${pod.serviceAccount}`,
      namespace: pod.namespace,
      ip: pod.addresses[0] ?? OUTSIDE_ADDRESS,
    };
  }
  const account = /^([^/]+)\/([^/]+)$/.exec(from);
  if (account === null) {
    return `--from ${from}: there is no such pod; write POD.NAMESPACE of one that exists, or NAMESPACE/SERVICEACCOUNT of any client`;
  }
  const [, namespace = '', serviceAccount = ''] = account;
  return { principal: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`, namespace, ip: OUTSIDE_ADDRESS };
}

/** By name and namespace; a Deployment's name stands for its first pod. */
function podNamed(mesh: MeshState, name: string): Workload | null {
  const key = name.includes('/') ? name : name.replace(/^(.+)\.([^.]+)$/, '$2/$1');
  const exact = mesh.workloadByName(key);
  if (exact !== null) return exact;
  return (
    mesh
      .list('workload')
      .find(({ namespace, workloadName }) => `${namespace}/${workloadName}` === key && !name.includes('/')) ?? null
  );
}

interface DestinationFields {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ip: string;
  readonly port: number;
  readonly serviceHost: string;
  readonly routed: boolean;
}

function destinationOf(
  mesh: MeshState,
  host: string,
  port: number,
  clientNamespace: string,
): DestinationFields | string {
  const ip = canonicalIp(host);
  if (ip !== null) {
    const reached = mesh.resolve(ip, port);
    if (reached.kind === 'service') return toService(reached.service.hostname, ip, port);
    const pod = mesh.workloadByAddress(ip);
    return pod === null
      ? { namespace: '', labels: {}, ip, port, serviceHost: '', routed: false }
      : toPod(pod, ip, port);
  }
  const short = host.replace(/\.svc(\.cluster\.local)?$/, '');
  const [name = '', namespace = clientNamespace || 'default'] = short.split('.');
  const service = mesh.serviceByName(`${namespace}/${name}`);
  if (service !== null) {
    if (service.ports.some((each) => each.port === port))
      return toService(service.hostname, service.addresses[0] ?? '', port);
    const ports = service.ports.map((each) => each.port).join(', ') || 'no TCP port';
    return `--to ${host}:${port}: Service ${namespace}/${name} has ${ports}`;
  }
  const pod = podNamed(mesh, host);
  if (pod !== null) return toPod(pod, pod.addresses[0] ?? '', port);
  const isExternal = mesh.list('serviceEntry').some(({ hosts }) => hosts.includes(host));
  if (isExternal) return toService(host, '', port);
  return `--to ${host}:${port}: there is no Service ${namespace}/${name}, no such pod and no ServiceEntry of that host`;
}

function toService(serviceHost: string, ip: string, port: number): DestinationFields {
  return { namespace: '', labels: {}, ip, port, serviceHost, routed: true };
}

function toPod(pod: Workload, ip: string, port: number): DestinationFields {
  return { namespace: pod.namespace, labels: pod.labels, ip, port, serviceHost: '', routed: false };
}

function refuse(id: string, error: string): ParsedRequest {
  return { ok: false, id, error };
}
