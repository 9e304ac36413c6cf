/**
 * VirtualServiceObject → HttpRoute, TlsRoute and TcpRoute for the pods of the mesh.
 *
 * Several VirtualServices for one host are not merged: as for Istio's sidecars the one with the more specific host decides, of two
 * alike the older one, and the other has no effect there, which is reported. That is decided for http, tls and tcp apart. Where one
 * holds for some of the other's clients only, both go to the agents, and the older one decides for the clients they have in common.
 */
import type { MeshResource } from '../../../mesh/model.ts';
import type { HttpRouteParent, StreamRouteRule } from '../../../mesh/route-model.ts';
import type { Finding } from '../../finding.ts';
import type { Linked, LinkView } from '../link/view.ts';
import { describe, hostRemedy, resolveDestination } from './backend-target.ts';
import { withDelegates } from './delegate.ts';
import { delegates, gatewayRoutesByParent, targetHost, virtualServicesByHost } from './host-index.ts';
import { targetsOf } from './host-targets.ts';
import { byAge, type HostTarget } from './hosts.ts';
import { linkHttpRule } from './http-rule-link.ts';
import type { HostReference, StreamRuleObject, VirtualServiceObject } from './objects.ts';
import { type Report, reporting } from './report.ts';
import { bySpecificity, namesTarget } from './subsets.ts';

/** The parts of a VirtualService that become routes of their own. */
type Section = 'http' | 'tls' | 'tcp';

/** A Service or ServiceEntry host that a VirtualService names. */
interface Claim {
  readonly host: HostReference;
  readonly target: HostTarget;
}

/** The routes of a VirtualService, and what is wrong with it in view of the others. */
export function linkVirtualService(object: VirtualServiceObject, view: LinkView): Linked {
  const findings: Finding[] = [];
  const report = reporting(findings);
  if (object.hosts.length === 0) {
    if (!view.derived(delegates).has(`${object.namespace}/${object.name}`)) {
      const reason = 'has no hosts, and no VirtualService delegates to it';
      report(object, ['spec'], 'NO_EFFECT', reason, 'add hosts, or a delegate to it in another VirtualService');
    }
    return { resources: [], findings };
  }
  if (!object.mesh) return { resources: [], findings };
  const claims = claimsOf(object, view, report);
  const resources = [
    ...httpRoute(object, claims, view, report),
    ...streamRoute('tls', object, claims, view, report),
    ...streamRoute('tcp', object, claims, view, report),
  ];
  return { resources, findings };
}

function claimsOf(object: VirtualServiceObject, view: LinkView, report: Report): Claim[] {
  return object.hosts.flatMap((host) => {
    const targets = targetsOf(host.host, object.clients, object.namespace, view);
    if (targets.length === 0) {
      const reason = `there is no Service and no ServiceEntry with the host ${host.host}`;
      const remedy = `${hostRemedy(host.host, view)}; until then the VirtualService does nothing for it`;
      report(object, host.path, 'REFERENCE_NOT_FOUND', reason, remedy);
    }
    warnHijack(object, host, targets, report);
    return targets.map((target) => ({ host, target }));
  });
}

/** Anybody may route anybody's hosts in Istio, which is how one team takes another's traffic without knowing. */
function warnHijack(
  object: VirtualServiceObject,
  host: HostReference,
  targets: readonly HostTarget[],
  report: Report,
): void {
  if (object.clients.every((client) => client === object.namespace)) return;
  const foreign = targets.filter((target) => target.namespace !== object.namespace);
  const [first] = foreign;
  if (first === undefined) return;
  const more = foreign.length > 1 ? ` and ${foreign.length - 1} more` : '';
  const reason = `decides for ${describe(first)}${more}, which another namespace owns, and for clients outside ${object.namespace}`;
  const remedy = `move it to ${first.namespace}, or write exportTo: ["."] to decide for clients of ${object.namespace} alone`;
  report(object, host.path, 'HOST_OF_ANOTHER_NAMESPACE', reason, remedy);
}

function httpRoute(
  object: VirtualServiceObject,
  claims: readonly Claim[],
  view: LinkView,
  report: Report,
): MeshResource[] {
  if (object.http.length === 0) return [];
  const rules = withDelegates(object, view, report)
    .filter(({ rule }) => !rule.matchesNothing)
    .map(({ rule, owner }) => linkHttpRule(rule, object, owner, view, report));
  const parents = parentsOf('http', object, claims, view, report);
  if (rules.length === 0 || parents.length === 0) return [];
  const { namespace, name, createdMs, clients } = object;
  return [{ kind: 'httpRoute', source: 'VirtualService', namespace, name, createdMs, parents, clients, rules }];
}

function streamRoute(
  section: 'tls' | 'tcp',
  object: VirtualServiceObject,
  claims: readonly Claim[],
  view: LinkView,
  report: Report,
): MeshResource[] {
  if (object[section].length === 0) return [];
  const rules = object[section]
    .filter((rule) => !rule.matchesNothing)
    .map((rule) => linkStreamRule(rule, object, view, report));
  const parents = parentsOf(section, object, claims, view, report);
  if (rules.length === 0 || parents.length === 0) return [];
  const { namespace, name, createdMs, clients } = object;
  const common = { source: 'VirtualService', namespace, name, createdMs, parents, clients, rules } as const;
  return [section === 'tls' ? { kind: 'tlsRoute', ...common } : { kind: 'tcpRoute', ...common }];
}

function linkStreamRule(
  rule: StreamRuleObject,
  object: VirtualServiceObject,
  view: LinkView,
  report: Report,
): StreamRouteRule {
  const share = 'until then its share of the connections is reset';
  const backends = rule.destinations.map(({ destination, weight }) => {
    const { target, valid } = resolveDestination(destination, object, object, view, share, report);
    return { ...target, weight, valid };
  });
  return { matches: rule.matches, backends };
}

/** The claims that no other VirtualService has before this one. */
function parentsOf(
  section: Section,
  object: VirtualServiceObject,
  claims: readonly Claim[],
  view: LinkView,
  report: Report,
): HttpRouteParent[] {
  return claims.flatMap(({ host, target }) => {
    if (section === 'http') warnGatewayRoute(object, host, target, view, report);
    const winner = view
      .derived(virtualServicesByHost)
      .covering(targetHost(target))
      .filter((other) => other !== object && other[section].length > 0)
      .sort(byAge)
      .find((rival) => precedes(rival, object, host, target));
    const parent = { namespace: target.namespace, name: target.name, port: null };
    if (winner === undefined) return parent;
    const all = covers(winner.clients, object.clients);
    const who = all ? '' : ' for the clients that both are exported to';
    const reason = `VirtualService ${winner.namespace}/${winner.name} decides for ${describe(target)} already${who}`;
    const remedy = 'Istio does not merge them in the mesh: put the rules into one VirtualService';
    report(object, host.path, 'CONFLICT', reason, remedy);
    return all ? [] : parent;
  });
}

/** Where a Service has HTTPRoutes too, they decide (as they do in Istio, which puts them before VirtualServices). */
function warnGatewayRoute(
  object: VirtualServiceObject,
  host: HostReference,
  target: HostTarget,
  view: LinkView,
  report: Report,
): void {
  const route = view.derived(gatewayRoutesByParent).get(`${target.namespace}/${target.name}`);
  if (route === undefined) return;
  const reason = `${route} is attached to ${describe(target)} and decides, so the http rules here are not asked`;
  report(object, host.path, 'CONFLICT', reason, 'keep one of the two kinds for a Service');
}

/** Whether `rival` decides for a target before `object`, which names it by `host`, for some client at least. */
function precedes(
  rival: VirtualServiceObject,
  object: VirtualServiceObject,
  host: HostReference,
  target: HostTarget,
): boolean {
  const common =
    rival.clients.includes('*') ||
    object.clients.includes('*') ||
    rival.clients.some((each) => object.clients.includes(each));
  if (!common) return false;
  const [best] = rival.hosts
    .filter((each) => namesTarget(each.host, target))
    .sort((a, b) => bySpecificity(a.host, b.host));
  if (best === undefined) return false;
  const order = bySpecificity(best.host, host.host) || byAge(rival, object);
  return order < 0;
}

/** Whether all of `inner` are among `outer`. */
function covers(outer: readonly string[], inner: readonly string[]): boolean {
  return outer.includes('*') || inner.every((each) => outer.includes(each));
}
