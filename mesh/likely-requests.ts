/**
 * Requests that the routes and policies of a mesh are about: for every Service port what its rules match, from every identity that a
 * policy names. Pure and bounded; the questions of `weir diff` when nobody has recorded any.
 */
import type { ExplainRequest } from './explain-request.ts';
import type { Identity, Service } from './model.ts';
import type { HttpRouteMatch, NameValue } from './route-model.ts';
import { targetName } from './route-model.ts';
import type { MeshState } from './state.ts';

/** Sources and requests per Service port that are combined. */
const SOURCES_MAX = 32;
const REQUESTS_MAX = 64;

interface Likely {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly NameValue[];
}

/** At most `max` questions, in a fixed order. */
export function likelyRequests(mesh: MeshState, max: number): ExplainRequest[] {
  const sources = sourcesOf(mesh);
  const policied = policyRequests(mesh);
  const found: ExplainRequest[] = [];
  for (const service of mesh.list('service')) {
    const requests = [...routeRequests(mesh, service), ...policied].slice(0, REQUESTS_MAX);
    for (const { port } of service.ports) {
      for (const identity of sources) {
        for (const likely of requests) {
          if (found.length >= max) return found;
          found.push(question(String(found.length), service, port, identity, likely));
        }
      }
    }
  }
  return found;
}

function question(
  id: string,
  service: Service,
  port: number,
  identity: Identity | null,
  likely: Likely,
): ExplainRequest {
  const { method, target, headers } = likely;
  return {
    id,
    source: { identity, namespace: identity?.namespace ?? '', ip: '192.0.2.1', remoteIp: '192.0.2.1' },
    destination: {
      namespace: '',
      labels: {},
      ip: service.addresses[0] ?? '0.0.0.0',
      port,
      serviceHost: service.hostname,
      routed: true,
    },
    connection: { protocol: 'http', tls: identity === null ? 'none' : 'mtls', sni: null },
    http: { method, target, host: service.hostname, headers, jwt: null },
  };
}

/** Nobody, every workload's identity, and those that policies name without wildcards. */
function sourcesOf(mesh: MeshState): readonly (Identity | null)[] {
  const { trustDomain } = mesh.settings;
  const names = new Set<string>();
  for (const { namespace, serviceAccount } of mesh.list('workload')) names.add(`${namespace}/${serviceAccount}`);
  for (const { rules } of mesh.list('authorizationPolicy')) {
    for (const { from } of rules) {
      for (const { principals, namespaces, serviceAccounts } of from) {
        for (const principal of principals) {
          const parts = /\/ns\/([^/*]+)\/sa\/([^/*]+)$/.exec(principal);
          if (parts !== null) names.add(`${parts[1]}/${parts[2]}`);
        }
        for (const namespace of namespaces) if (!namespace.includes('*')) names.add(`${namespace}/default`);
        for (const account of serviceAccounts) names.add(account);
      }
    }
  }
  const identities = [...names]
    .sort()
    .slice(0, SOURCES_MAX - 1)
    .map((name): Identity => {
      const [namespace = '', serviceAccount = ''] = name.split('/');
      return { trustDomain, namespace, serviceAccount };
    });
  return [null, ...identities];
}

function routeRequests(mesh: MeshState, service: Service): Likely[] {
  const key = `${service.namespace}/${service.name}`;
  const found: Likely[] = [{ method: 'GET', target: '/', headers: [] }];
  for (const route of mesh.list('httpRoute')) {
    if (!route.parents.some((parent) => targetName(parent) === key)) continue;
    for (const { matches } of route.rules) for (const match of matches) found.push(matching(match));
  }
  return found;
}

/** A request that the match holds for, as far as one can be made up: regular expressions are taken literally. */
function matching(match: HttpRouteMatch): Likely {
  const path = match.path === null ? '/' : match.path.value;
  const query = match.queryParams
    .filter(({ invert }) => !invert)
    .map(({ name, value }) => `${name}=${value}`)
    .join('&');
  const headers = match.headers
    .filter(({ invert }) => !invert)
    .map(({ name, value }) => ({ name, value: value === '' ? 'x' : value }));
  const visible = /^\/[!-~]*$/.test(path) ? path : '/';
  return { method: match.method?.value ?? 'GET', target: query === '' ? visible : `${visible}?${query}`, headers };
}

/** Methods and paths that policies name, `*` and templates filled in. */
function policyRequests(mesh: MeshState): Likely[] {
  const found = new Map<string, Likely>();
  for (const { rules } of mesh.list('authorizationPolicy')) {
    for (const { to } of rules) {
      for (const { methods, paths, notMethods, notPaths } of to) {
        for (const method of [...methods, ...notMethods, 'GET']) {
          for (const path of [...paths, ...notPaths, '/']) {
            const target = path.replace(/\{\*\*?\}|\*/g, 'x');
            const likely = {
              method: method === '*' ? 'GET' : method,
              target: target.startsWith('/') ? target : `/${target}`,
              headers: [],
            };
            found.set(`${likely.method} ${likely.target}`, likely);
          }
        }
      }
    }
  }
  return [...found.values()];
}
