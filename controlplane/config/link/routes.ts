/** Gateway API routes: their parents and backends as they are at present. */
import type {
  BackendTarget,
  HttpFilter,
  HttpRoute,
  HttpRouteBackend,
  HttpRouteRule,
  TcpRoute,
  TlsRoute,
} from '../../../mesh/route-model.ts';
import type { Finding } from '../../finding.ts';
import type { HttpRouteObject, RouteObject, StreamRouteObject } from '../route-objects.ts';
import { reporter, type Report } from './report.ts';
import { resolveBackend, resolveParents, routeClients } from './route-resolution.ts';
import type { Link, LinkView } from './view.ts';

/** A broken backend keeps its weight and is answered with 500 (Gateway API). */
export const linkHttpRoute: Link<HttpRouteObject> = (object, view) => {
  const findings: Finding[] = [];
  const report = reporter(object, findings);
  const attached = attach(object, view, report);
  const target = followBackends(object, view, report, 'its share of the requests is answered with 500');
  const mirrorTarget = followBackends(object, view, report, 'nothing is mirrored');
  const filter = (each: HttpFilter): HttpFilter =>
    each.type === 'requestMirror' ? { ...each, ...followMirror(each.backend, mirrorTarget) } : each;
  const refused = (owner: HttpRouteRule | HttpRouteBackend, share: string): boolean => {
    const unsupported = object.unsupported.get(owner);
    if (unsupported === undefined) return false;
    const reason = `the filter ${unsupported.type} is not supported by weir yet`;
    report(unsupported.path, 'UNSUPPORTED', reason, `remove it; until then ${share} answered with 500`);
    return true;
  };
  const rules = object.route.rules.map((rule): HttpRouteRule => {
    const ruleRefused = refused(rule, 'the requests of this rule are');
    const backends = rule.backends.map((backend): HttpRouteBackend => {
      const { valid, ...place } = target(backend);
      const backendRefused = refused(backend, 'its share of the requests is');
      const filters = backendRefused ? [] : backend.filters.map(filter);
      return { ...backend, ...place, filters, valid: valid && !backendRefused && !ruleRefused };
    });
    return { ...rule, filters: ruleRefused ? [] : rule.filters.map(filter), backends };
  });
  const route: HttpRoute = { ...object.route, ...attached, rules };
  return { resources: attached.parents.length === 0 ? [] : [route], findings };
};

/** A broken backend keeps its weight and its connections are reset (Gateway API). */
export const linkStreamRoute: Link<StreamRouteObject> = (object, view) => {
  const findings: Finding[] = [];
  const report = reporter(object, findings);
  const attached = attach(object, view, report);
  const target = followBackends(object, view, report, 'its share of the connections is reset');
  const rules = object.route.rules.map((rule) => {
    return { ...rule, backends: rule.backends.map((backend) => ({ ...backend, ...target(backend) })) };
  });
  const route: TlsRoute | TcpRoute = { ...object.route, ...attached, rules };
  return { resources: attached.parents.length === 0 ? [] : [route], findings };
};

function attach(object: RouteObject, view: LinkView, report: Report): Pick<HttpRoute, 'parents' | 'clients'> {
  const resolved = resolveParents(object, view);
  for (const { reference, problem } of resolved) {
    if (problem === null) continue;
    const path = problem.field === '' ? reference.path : [...reference.path, problem.field];
    report(path, problem.code, problem.reason, problem.remedy);
  }
  const parents = resolved.flatMap((each) => each.parents);
  return { parents, clients: routeClients(object, parents) };
}

type Target = Pick<BackendTarget, 'namespace' | 'name' | 'port'> & { readonly valid: boolean };

/** `loss`: what a broken reference costs. */
function followBackends(
  object: RouteObject,
  view: LinkView,
  report: Report,
  loss: string,
): (backend: BackendTarget) => Target {
  return (backend) => {
    const reference = object.references.get(backend);
    // Every backend of a route comes from a reference: readers note it as they make the backend.
    if (reference === undefined) throw new Error(`a backend of ${object.kind} ${object.name} has no reference`);
    const { namespace, name, port, problem } = resolveBackend(object, reference, view);
    if (problem !== null) report(reference.path, problem.code, problem.reason, `${problem.remedy}; until then ${loss}`);
    return { namespace, name, port, valid: problem === null };
  };
}

function followMirror(
  backend: BackendTarget,
  target: (backend: BackendTarget) => Target,
): { readonly backend: BackendTarget; readonly valid: boolean } {
  const { valid, ...place } = target(backend);
  return { backend: { ...backend, ...place }, valid };
}
