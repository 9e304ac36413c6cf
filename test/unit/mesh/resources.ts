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
  StreamBackend,
  TcpRoute,
  TlsRoute,
} from '../../../mesh/route-model.ts';
import { keyOf } from '../../../mesh/model.ts';
import type { RequestView } from '../../../mesh/request.ts';
import type { MeshState } from '../../../mesh/state.ts';

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
    ...fields,
  };
}

export function routeMatch(fields: Partial<HttpRouteMatch> = {}): HttpRouteMatch {
  return { path: null, method: null, headers: [], queryParams: [], ...fields };
}

export function backend(name: string, fields: Partial<HttpRouteBackend> = {}): HttpRouteBackend {
  return { namespace: 'shop', name, port: 80, weight: 1, filters: [], valid: true, ...fields };
}

export function routeRule(fields: Partial<HttpRouteRule> = {}): HttpRouteRule {
  return { name: null, matches: [], filters: [], backends: [], ...fields };
}

export function route(fields: Partial<HttpRoute> & { name: string }): HttpRoute {
  return {
    kind: 'httpRoute',
    namespace: 'shop',
    createdMs: 0,
    parents: [{ namespace: 'shop', name: 'web', port: null }],
    rules: [],
    ...fields,
  };
}

export function source(fields: Partial<PolicySource> = {}): PolicySource {
  return {
    principals: [],
    notPrincipals: [],
    namespaces: [],
    notNamespaces: [],
    serviceAccounts: [],
    notServiceAccounts: [],
    ipBlocks: [],
    notIpBlocks: [],
    remoteIpBlocks: [],
    notRemoteIpBlocks: [],
    ...fields,
  };
}

export function operation(fields: Partial<PolicyOperation> = {}): PolicyOperation {
  return {
    hosts: [],
    notHosts: [],
    ports: [],
    notPorts: [],
    methods: [],
    notMethods: [],
    paths: [],
    notPaths: [],
    ...fields,
  };
}

export function condition(fields: Partial<PolicyCondition> = {}): PolicyCondition {
  return { key: 'connection.sni', values: [], notValues: [], ...fields };
}

export function streamBackend(name: string, fields: Partial<StreamBackend> = {}): StreamBackend {
  return { namespace: 'shop', name, port: 80, weight: 1, valid: true, ...fields };
}

export function tlsRoute(fields: Partial<TlsRoute> & { name: string }): TlsRoute {
  return {
    kind: 'tlsRoute',
    namespace: 'shop',
    createdMs: 0,
    parents: PARENTS,
    hostnames: [],
    backends: [],
    ...fields,
  };
}

export function tcpRoute(fields: Partial<TcpRoute> & { name: string }): TcpRoute {
  return { kind: 'tcpRoute', namespace: 'shop', createdMs: 0, parents: PARENTS, backends: [], ...fields };
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
