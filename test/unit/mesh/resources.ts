/** Builders for mesh resources in tests: everything has a harmless default, a test states only what it is about. */

import type { MeshResource, Service, Workload } from '../../../mesh/model.ts';
import type {
  AuthorizationPolicy,
  PolicyCondition,
  PolicyOperation,
  PolicyRule,
  PolicySource,
} from '../../../mesh/policy-model.ts';
import type {
  HttpRoute,
  HttpRouteBackend,
  HttpRouteMatch,
  HttpRouteRule,
  HeaderMatch,
  PathMatch,
  StreamBackend,
  StreamRouteRule,
  StringMatch,
  TcpRoute,
  TlsRoute,
} from '../../../mesh/route-model.ts';
import type { Cluster } from '../../../mesh/cluster.ts';
import { keyOf } from '../../../mesh/model.ts';
import type { RouteClient } from '../../../mesh/route-table.ts';
import type { ServiceEntry, ServiceEntryEndpoint, SidecarScope } from '../../../mesh/traffic-model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import type { MeshState } from '../../../mesh/state.ts';
import { NO_OPERATION, NO_SOURCE } from '../../harness/policy-parts.ts';

export function workload(fields: Partial<Workload> & { uid: string }): Workload {
  return {
    kind: 'workload',
    namespace: 'shop',
    name: fields.uid,
    serviceAccount: 'default',
    node: 'n1',
    addresses: [],
    ready: true,
    hostNetwork: false,
    labels: {},
    annotations: {},
    workloadName: fields.uid,
    canonicalName: fields.uid,
    canonicalRevision: 'latest',
    namedPorts: {},
    locality: '',
    services: {},
    ...fields,
  };
}

export function service(fields: Partial<Service> & { name: string }): Service {
  return {
    kind: 'service',
    namespace: 'shop',
    hostname: `${fields.name}.shop.svc.cluster.local`,
    addresses: [],
    ports: [{ port: 80, name: 'http', protocol: 'http' }],
    internalTrafficPolicy: 'Cluster',
    trafficDistribution: null,
    externalName: null,
    ...fields,
  };
}

/** A match as a test writes it: what is left out has its default, a method alone is an exact one. */
export interface WrittenMatch extends Partial<Omit<HttpRouteMatch, 'path' | 'method' | 'headers' | 'queryParams'>> {
  readonly path?: (Omit<PathMatch, 'ignoreCase'> & Partial<PathMatch>) | null;
  readonly method?: StringMatch | string | null;
  readonly headers?: readonly (Omit<HeaderMatch, 'invert'> & Partial<HeaderMatch>)[];
  readonly queryParams?: readonly (Omit<HeaderMatch, 'invert'> & Partial<HeaderMatch>)[];
}

export function routeMatch(fields: WrittenMatch = {}): HttpRouteMatch {
  const { path = null, method = null, headers = [], queryParams = [], ...rest } = fields;
  return {
    path: path === null ? null : { ignoreCase: false, ...path },
    method: typeof method === 'string' ? { type: 'exact', value: method } : method,
    headers: headers.map((header) => ({ invert: false, ...header })),
    queryParams: queryParams.map((param) => ({ invert: false, ...param })),
    scheme: null,
    authority: null,
    port: null,
    client: null,
    ...rest,
  };
}

export function backend(name: string, fields: Partial<HttpRouteBackend> = {}): HttpRouteBackend {
  return { namespace: 'shop', name, port: 80, subset: null, weight: 1, filters: [], valid: true, ...fields };
}

/** A rule as a test writes it; see WrittenMatch. */
export interface WrittenRule extends Partial<Omit<HttpRouteRule, 'matches' | 'backends'>> {
  readonly matches?: readonly WrittenMatch[];
  readonly backends?: readonly (Omit<HttpRouteBackend, 'subset'> & Partial<HttpRouteBackend>)[];
}

export function routeRule({ matches = [], backends = [], ...fields }: WrittenRule = {}): HttpRouteRule {
  return {
    name: null,
    matches: matches.map(routeMatch),
    filters: [],
    backends: backends.map((one) => ({ subset: null, ...one })),
    directResponse: null,
    fault: null,
    timeouts: { requestMs: null, backendRequestMs: null },
    retry: null,
    sessionPersistence: null,
    ...fields,
  };
}

export function route(fields: Partial<HttpRoute> & { name: string }): HttpRoute {
  return {
    kind: 'httpRoute',
    source: 'HTTPRoute',
    namespace: 'shop',
    createdMs: 0,
    parents: PARENTS,
    clients: ['*'],
    rules: [],
    ...fields,
  };
}

export function source(fields: Partial<PolicySource> = {}): PolicySource {
  return { ...NO_SOURCE, ...fields };
}

export function operation(fields: Partial<PolicyOperation> = {}): PolicyOperation {
  return { ...NO_OPERATION, ...fields };
}

export function condition(fields: Partial<PolicyCondition> = {}): PolicyCondition {
  return { key: 'connection.sni', values: [], notValues: [], ...fields };
}

export function streamBackend(name: string, fields: Partial<StreamBackend> = {}): StreamBackend {
  return { namespace: 'shop', name, port: 80, subset: null, weight: 1, valid: true, ...fields };
}

/** A route of one rule as a test writes it: its host names and backends stand beside its name. */
interface OneRule {
  readonly hostnames?: readonly string[];
  readonly backends?: readonly StreamBackend[];
}

function oneRule({ hostnames = [], backends = [] }: OneRule): readonly StreamRouteRule[] {
  const matches = hostnames.length === 0 ? [] : [{ hostnames, destinationBlocks: [], port: null, client: null }];
  return [{ matches, backends }];
}

export function tlsRoute({ hostnames, backends, ...fields }: Partial<TlsRoute> & OneRule & { name: string }): TlsRoute {
  return {
    kind: 'tlsRoute',
    source: 'TLSRoute',
    namespace: 'shop',
    createdMs: 0,
    parents: PARENTS,
    clients: ['*'],
    rules: oneRule({ hostnames: hostnames ?? [], backends: backends ?? [] }),
    ...fields,
  };
}

export function tcpRoute({
  backends,
  ...fields
}: Partial<TcpRoute> & Omit<OneRule, 'hostnames'> & { name: string }): TcpRoute {
  return {
    kind: 'tcpRoute',
    source: 'TCPRoute',
    namespace: 'shop',
    createdMs: 0,
    parents: PARENTS,
    clients: ['*'],
    rules: oneRule({ backends: backends ?? [] }),
    ...fields,
  };
}

const PARENTS = [{ namespace: 'shop', name: 'web', port: null }];

export function policyRule(
  fields: { from?: Partial<PolicySource>[]; to?: Partial<PolicyOperation>[]; when?: Partial<PolicyCondition>[] } = {},
): PolicyRule {
  return {
    from: (fields.from ?? []).map(source),
    to: (fields.to ?? []).map(operation),
    when: (fields.when ?? []).map(condition),
  };
}

export function policy(fields: Partial<AuthorizationPolicy> & { name: string }): AuthorizationPolicy {
  return {
    kind: 'authorizationPolicy',
    namespace: 'shop',
    action: 'ALLOW',
    dryRun: false,
    meshWide: false,
    selector: null,
    targetServices: [],
    rules: [],
    ...fields,
  };
}

export function request(
  fields: Partial<Omit<RequestView, 'header' | 'headerValues'>> & { headers?: [string, string][] } = {},
): RequestView {
  const headers = fields.headers ?? [];
  const headerValues = (name: string): readonly string[] =>
    headers.filter(([key]) => key === name).map(([, value]) => value);
  return {
    method: fields.method ?? 'GET',
    path: fields.path ?? '/',
    query: fields.query ?? '',
    host: fields.host ?? 'web.shop',
    header(name) {
      const values = headerValues(name);
      return values.length === 0 ? undefined : values.join(', ');
    },
    headerValues,
  };
}

/** Whoever asks routes, from a namespace. */
export function clientIn(namespace: string, labels: Readonly<Record<string, string>> = {}): RouteClient {
  return { namespace, labels };
}

/** A cluster that is told by its name. */
export function clusterNamed(name: string): Cluster {
  return {
    name,
    service: service({ name }),
    port: { port: 80, name: 'http', protocol: 'http' },
    endpoints: [],
    passthrough: false,
  };
}

export function serviceEntry(fields: Partial<ServiceEntry> & { name: string }): ServiceEntry {
  return {
    kind: 'serviceEntry',
    namespace: 'shop',
    hosts: ['api.example.com'],
    addresses: [],
    ports: [{ port: 80, name: 'http', protocol: 'http', targetPort: 80 }],
    location: 'MESH_EXTERNAL',
    resolution: 'NONE',
    endpoints: [],
    workloads: [],
    exportTo: ['*'],
    ...fields,
  };
}

export function entryEndpoint(address: string, fields: Partial<ServiceEntryEndpoint> = {}): ServiceEntryEndpoint {
  return { address, ports: {}, labels: {}, serviceAccount: '', weight: 0, locality: '', ...fields };
}

export function sidecarScope(fields: Partial<SidecarScope> & { name: string }): SidecarScope {
  return {
    kind: 'sidecarScope',
    namespace: 'shop',
    meshWide: false,
    selector: null,
    egress: null,
    outboundTrafficPolicy: null,
    createdMs: 0,
    ...fields,
  };
}

/** Applies and insists that it worked. */
export function applyAll(
  state: MeshState,
  upserts: readonly MeshResource[],
  removals: readonly MeshResource[] = [],
): void {
  const result = state.apply({ upserts, removals: removals.map(keyOf) });
  if (!result.ok) throw new Error(result.error);
}

/** Deterministic [0, 1) numbers (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
