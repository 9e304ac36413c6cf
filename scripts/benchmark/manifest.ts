/** The objects of the sandboxes that weir is measured in. */
import { ATTACKED_PORT, GRPC_PORT, HTTP2_PORT, HTTP_PORT, TCP_PORT } from './backend.ts';
import { LOAD_CORE } from './commands.ts';
import type { Entry } from './contestant.ts';

export const NAMESPACE = 'bench';
/** Service and port behind each entry. */
export const ENTRIES: Readonly<Record<Entry, { readonly service: string; readonly port: number }>> = {
  http: { service: 'echo', port: 80 },
  tcp: { service: 'echo', port: TCP_PORT },
  http2: { service: 'echo', port: 81 },
  grpc: { service: 'echo', port: 82 },
  attacked: { service: 'attacked', port: 80 },
};
/** Of the pods and the Service that are in interception mode TPROXY. */
export const ROUTED_SUFFIX = '-tproxy';
const ROUTE_RULES = 20;

type Command = readonly string[];

/** Commands of the servers. */
export interface Servers {
  readonly http: Command;
  readonly http2: Command;
  readonly grpc: Command;
  readonly attacked: Command;
}

/**
 * Clients that sleep (one is quiet, one attacks), the servers, and for each Service an HTTPRoute and an L7 policy.
 * The servers share the load's core; see hostile.ts for who goes first there.
 */
export function proxiesManifest(servers: Servers): string {
  const onLoadCore = (command: Command): Command => ['taskset', '-c', `${LOAD_CORE}`, ...command];
  return join([
    namespace(),
    pod('client', [['sleep', 'infinity']]),
    pod('quiet', [['sleep', 'infinity']]),
    pod('server', [servers.http, servers.http2, servers.grpc].map(onLoadCore), [
      HTTP_PORT,
      TCP_PORT,
      HTTP2_PORT,
      GRPC_PORT,
    ]),
    // Of the first server's work, the HTTP/1.1 part.
    routed(pod(`client${ROUTED_SUFFIX}`, [['sleep', 'infinity']])),
    routed(pod(`server${ROUTED_SUFFIX}`, [onLoadCore(servers.http)], [HTTP_PORT])),
    service(`echo${ROUTED_SUFFIX}`, `server${ROUTED_SUFFIX}`, [
      { name: 'http', port: ENTRIES.http.port, targetPort: HTTP_PORT },
    ]),
    route(`echo${ROUTED_SUFFIX}`, ENTRIES.http.port),
    policy(`server${ROUTED_SUFFIX}`, [{ methods: ['GET', 'HEAD'], paths: ['/api/*'], ports: [`${HTTP_PORT}`] }]),
    pod('attacked', [onLoadCore(servers.attacked)], [ATTACKED_PORT]),
    service('echo', 'server', [
      { name: 'http', port: ENTRIES.http.port, targetPort: HTTP_PORT },
      { name: 'tcp-bulk', port: ENTRIES.tcp.port, targetPort: TCP_PORT },
      { name: 'http2', port: ENTRIES.http2.port, targetPort: HTTP2_PORT, appProtocol: 'kubernetes.io/h2c' },
      { name: 'grpc', port: ENTRIES.grpc.port, targetPort: GRPC_PORT },
    ]),
    service('attacked', 'attacked', [{ name: 'http', port: ENTRIES.attacked.port, targetPort: ATTACKED_PORT }]),
    ...[ENTRIES.http, ENTRIES.http2, ENTRIES.grpc, ENTRIES.attacked].map((entry) => route(entry.service, entry.port)),
    policy('server', [
      { methods: ['GET', 'HEAD'], paths: ['/api/*', '/static/*'], ports: [`${HTTP_PORT}`, `${HTTP2_PORT}`] },
      { methods: ['POST'], paths: ['/bench.Echo/*'], ports: [`${GRPC_PORT}`] },
      // Plain TCP needs a rule without HTTP fields: on such a port an ALLOW rule that has some never matches.
      { ports: [`${TCP_PORT}`] },
    ]),
    policy('attacked', [{ methods: ['GET', 'POST'], paths: ['/api/*', '/static/*', '/upload/*'] }]),
  ]);
}

/** `pods` captured pods of which all but two do nothing; a client and a server for connections that idle. */
export function footprintManifest(pods: number, server: Command): string {
  const idle = Array.from({ length: Math.max(0, pods - 2) }, (_, index) =>
    pod(`idle-${index}`, [['sleep', 'infinity']]),
  );
  return join([
    namespace(),
    pod('client', [['sleep', 'infinity']]),
    pod('server', [server], [HTTP_PORT]),
    ...idle,
    service('echo', 'server', [{ name: 'http', port: ENTRIES.http.port, targetPort: HTTP_PORT }]),
    route('echo', ENTRIES.http.port),
    policy('server', [{ methods: ['GET', 'HEAD'], paths: ['/api/*', '/static/*'], ports: [`${HTTP_PORT}`] }]),
  ]);
}

// YAML is a superset of JSON.
function join(objects: readonly object[]): string {
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

function namespace(): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
}

function pod(name: string, commands: readonly Command[], ports: readonly number[] = []): PodManifest {
  const containers = commands.map((command, index) => ({ name: `main-${index}`, image: 'local', command }));
  const first = ports[0];
  const listening =
    first === undefined
      ? {}
      : {
          ports: ports.map((containerPort) => ({ containerPort })),
          readinessProbe: { tcpSocket: { port: first }, periodSeconds: 1 },
        };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: { app: name } },
    spec: {
      nodeName: 'node-0',
      serviceAccountName: 'default',
      containers: containers.map((container, index) => (index === 0 ? { ...container, ...listening } : container)),
    },
  };
}

interface PodManifest {
  readonly metadata: object;
  readonly [field: string]: unknown;
}

function routed(object: PodManifest): object {
  const annotations = { 'weir.dev/interception-mode': 'TPROXY' };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function service(name: string, app: string, ports: readonly object[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { selector: { app }, ports },
  };
}

/** The rule that matches is the least specific one, so that the whole table is looked at. */
function route(name: string, port: number): object {
  const backendRefs = [{ name, port }];
  const special = Array.from({ length: ROUTE_RULES - 1 }, (_, index) => ({
    matches: [
      {
        path: { type: 'PathPrefix', value: `/api/v${index + 2}` },
        headers: [{ name: 'x-team', value: `team-${index}` }],
      },
      { path: { type: 'Exact', value: `/service-${index}/items` }, method: 'POST' },
    ],
    backendRefs,
  }));
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: `${name}-${port}`, namespace: NAMESPACE },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name, port }],
      rules: [...special, { matches: [{ path: { type: 'PathPrefix', value: '/' } }], backendRefs }],
    },
  };
}

function policy(app: string, operations: readonly object[]): object {
  const from = [{ source: { namespaces: [NAMESPACE] } }];
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: app, namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: { app } },
      action: 'ALLOW',
      rules: operations.map((operation) => ({ from, to: [{ operation }] })),
    },
  };
}
