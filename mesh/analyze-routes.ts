/** Checks of routes for `weir analyze`: rules that no request reaches, routes that contradict one another, weights. Pure. */
import type { AnalysisFinding } from './analyze.ts';
import {
  type HeaderMatch,
  type HttpRoute,
  type HttpRouteMatch,
  type HttpRouteRule,
  type PathMatch,
  type StringMatch,
  targetName,
} from './route-model.ts';
import type { MeshState } from './state.ts';
import { sameJson } from './validate.ts';

/** Pairs of rules compared per route: rules beyond it are compared with the first ones only. */
const RULES_COMPARED_MAX = 512;

/** What is probably not meant in the HTTP routes of a mesh. */
export function analyzeRoutes(mesh: MeshState): AnalysisFinding[] {
  const routes = mesh.list('httpRoute');
  const found: AnalysisFinding[] = [];
  for (const route of routes) found.push(...shadowed(route), ...weights(route));
  found.push(...conflicts(routes), ...withoutEndpoints(mesh));
  return found;
}

function rulePath(route: HttpRoute, index: number): AnalysisFinding['path'] {
  return ['spec', route.source === 'VirtualService' ? 'http' : 'rules', index];
}

function about(route: HttpRoute): Pick<AnalysisFinding, 'kind' | 'namespace' | 'name'> {
  return { kind: route.source, namespace: route.namespace, name: route.name };
}

/** VirtualService: the first rule that matches wins. Gateway API: of two equal matches the earlier rule does. */
function shadowed(route: HttpRoute): AnalysisFinding[] {
  const found: AnalysisFinding[] = [];
  const inOrder = route.source === 'VirtualService';
  for (const [index, rule] of route.rules.entries()) {
    const earlier = route.rules.slice(0, Math.min(index, RULES_COMPARED_MAX));
    const by = earlier.findIndex((other) =>
      matchesOf(rule).every((match) =>
        matchesOf(other).some((wide) => (inOrder ? covers(wide, match) : sameJson(wide, match))),
      ),
    );
    if (by < 0) continue;
    found.push({
      ...about(route),
      code: 'SHADOWED_RULE',
      path: rulePath(route, index),
      reason: `no request gets here: rule ${by} takes all that this one matches`,
      remedy: inOrder
        ? `move it before rule ${by}: the first rule that matches decides`
        : `remove it, or change one of the two`,
    });
  }
  return found;
}

const EVERYTHING: HttpRouteMatch = {
  path: null,
  method: null,
  headers: [],
  queryParams: [],
  scheme: null,
  authority: null,
  port: null,
  client: null,
};

function matchesOf(rule: HttpRouteRule): readonly HttpRouteMatch[] {
  return rule.matches.length === 0 ? [EVERYTHING] : rule.matches;
}

/** True: certainly every request of `narrow` is one of `wide`. */
function covers(wide: HttpRouteMatch, narrow: HttpRouteMatch): boolean {
  return (
    pathCovers(wide.path, narrow.path) &&
    textCovers(wide.method, narrow.method) &&
    textCovers(wide.scheme, narrow.scheme) &&
    textCovers(wide.authority, narrow.authority) &&
    fieldsCover(wide.headers, narrow.headers) &&
    fieldsCover(wide.queryParams, narrow.queryParams) &&
    (wide.port === null || wide.port === narrow.port) &&
    (wide.client === null || sameJson(wide.client, narrow.client))
  );
}

function pathCovers(wide: PathMatch | null, narrow: PathMatch | null): boolean {
  if (wide === null) return true;
  if ((wide.type === 'stringPrefix' || wide.type === 'prefix') && wide.value === '/') return true;
  if (narrow === null) return false;
  if (wide.ignoreCase !== narrow.ignoreCase) return false;
  if (wide.type === 'stringPrefix' && narrow.type !== 'regex') return narrow.value.startsWith(wide.value);
  return sameJson(wide, narrow);
}

function textCovers(wide: StringMatch | null, narrow: StringMatch | null): boolean {
  if (wide === null) return true;
  if (narrow === null) return false;
  if (wide.type === 'prefix' && narrow.type !== 'regex') return narrow.value.startsWith(wide.value);
  return sameJson(wide, narrow);
}

/** All that `wide` asks is asked by `narrow` too. */
function fieldsCover(wide: readonly HeaderMatch[], narrow: readonly HeaderMatch[]): boolean {
  return wide.every((field) =>
    narrow.some(
      (other) =>
        sameJson(field, other) ||
        (field.type === 'present' && !field.invert && !other.invert && other.name === field.name),
    ),
  );
}

function weights(route: HttpRoute): AnalysisFinding[] {
  const found: AnalysisFinding[] = [];
  for (const [index, rule] of route.rules.entries()) {
    if (rule.backends.length === 0) continue;
    const sum = rule.backends.reduce((total, { weight }) => total + weight, 0);
    const path = rulePath(route, index);
    if (sum === 0) {
      const reason = 'all weights are 0, so every request is answered with 500';
      found.push({
        ...about(route),
        code: 'WEIGHTS',
        path,
        reason,
        remedy: 'give one of the backends a weight above 0',
      });
    } else if (route.source === 'VirtualService' && rule.backends.length > 1 && sum !== 100) {
      const reason = `the weights add up to ${sum}, not 100: they are taken as shares of ${sum}`;
      found.push({ ...about(route), code: 'WEIGHTS', path, reason, remedy: 'make them add up to 100' });
    }
  }
  return found;
}

/** Two routes of one Service, for the same clients, with an equal match: one of the two never decides. */
function conflicts(routes: readonly HttpRoute[]): AnalysisFinding[] {
  const found: AnalysisFinding[] = [];
  const seen = new Map<string, HttpRoute>();
  const inOrder = [...routes].sort((a, b) => a.createdMs - b.createdMs || (targetName(a) < targetName(b) ? -1 : 1));
  for (const route of inOrder) {
    if (route.source === 'VirtualService') continue;
    for (const parent of route.parents) {
      for (const [index, rule] of route.rules.entries()) {
        for (const match of matchesOf(rule)) {
          const key = JSON.stringify([targetName(parent), parent.port, [...route.clients].sort(), keyOfMatch(match)]);
          const first = seen.get(key);
          if (first === undefined) seen.set(key, route);
          else if (first !== route) {
            found.push({
              ...about(route),
              code: 'CONFLICTING_ROUTES',
              path: rulePath(route, index),
              reason: `${first.source} ${targetName(first)} has the same match for Service ${targetName(parent)} and wins: it is older, or first by name`,
              remedy: 'remove one of the two rules, or make one more specific',
            });
          }
        }
      }
    }
  }
  return found;
}

function keyOfMatch(match: HttpRouteMatch): readonly unknown[] {
  const byName = (fields: readonly HeaderMatch[]): readonly string[] =>
    fields.map((field) => JSON.stringify(field)).sort();
  const path =
    match.path === null ? ['prefix', '/', false] : [match.path.type, match.path.value, match.path.ignoreCase];
  return [path, match.method?.type, match.method?.value, byName(match.headers), byName(match.queryParams)];
}

/** Backends that exist and have no pod; says nothing while no workload is known at all. */
function withoutEndpoints(mesh: MeshState): AnalysisFinding[] {
  if (mesh.list('workload').length === 0) return [];
  const found: AnalysisFinding[] = [];
  for (const route of mesh.list('httpRoute')) {
    for (const [index, rule] of route.rules.entries()) {
      for (const { valid, namespace, name, port, subset, weight } of rule.backends) {
        if (!valid || weight === 0 || name.includes('.')) continue;
        const key = `${namespace}/${name}`;
        const backing = mesh
          .list('workload')
          .some(
            ({ services, labels }) =>
              (services[key] ?? []).some(({ servicePort }) => port === 0 || servicePort === port) &&
              Object.entries(subset?.labels ?? {}).every(([label, value]) => labels[label] === value),
          );
        if (backing) continue;
        const which = subset === null ? `Service ${key}` : `subset ${subset.name} of Service ${key}`;
        const reason = `${which} has no pod, so its share of the requests is answered with 503`;
        const remedy =
          subset === null
            ? "compare the Service's selector with the labels of the pods"
            : "compare the subset's labels with those of the pods";
        found.push({ ...about(route), code: 'NO_ENDPOINTS', path: rulePath(route, index), reason, remedy });
      }
    }
  }
  return found;
}
