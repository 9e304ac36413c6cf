/**
 * Delegation: a rule of a root VirtualService stands for the rules of another one, each within the root's match. What the delegate
 * does not say it takes from the root; a match of the delegate that is no part of any of the root's makes its rule void (Istio).
 */
import type { ClientMatch, HeaderMatch, HttpRouteMatch, PathMatch, StringMatch } from '../../../mesh/route-model.ts';
import type { LinkView } from '../link/view.ts';
import type { HttpRuleObject, VirtualServiceObject } from './objects.ts';
import { visibleTo } from './hosts.ts';
import type { Report } from './report.ts';

/** A rule, and the object it was written in. */
export interface OwnedRule {
  readonly rule: HttpRuleObject;
  readonly owner: VirtualServiceObject;
}

/** The `http` rules of a VirtualService with those of its delegates in place of the ones that delegate. */
export function withDelegates(root: VirtualServiceObject, view: LinkView, report: Report): OwnedRule[] {
  return root.http.flatMap((rule) => {
    if (rule.delegate === null) return [{ rule, owner: root }];
    const delegate = delegateOf(root, rule, view, report);
    return delegate === null ? [] : joined(root, rule, delegate, report);
  });
}

function delegateOf(
  root: VirtualServiceObject,
  rule: HttpRuleObject,
  view: LinkView,
  report: Report,
): VirtualServiceObject | null {
  if (rule.delegate === null) return null;
  const { namespace, name, path } = rule.delegate;
  const found = view.virtualService(namespace, name);
  const gone = 'until then the rule is left out';
  if (found === undefined) {
    const reason = `there is no VirtualService ${namespace}/${name}`;
    report(root, path, 'REFERENCE_NOT_FOUND', reason, `create it or correct the name; ${gone}`);
  } else if (found.hosts.length > 0) {
    const reason = `VirtualService ${namespace}/${name} has hosts of its own, so nothing can be delegated to it`;
    report(root, path, 'REFERENCE_NOT_FOUND', reason, `remove its hosts; ${gone}`);
  } else if (!visibleTo(found.clients, [root.namespace])) {
    const reason = `VirtualService ${namespace}/${name} is not exported to ${root.namespace}`;
    report(root, path, 'REFERENCE_NOT_PERMITTED', reason, `add ${root.namespace} to its exportTo; ${gone}`);
  } else return found;
  return null;
}

function joined(
  root: VirtualServiceObject,
  rootRule: HttpRuleObject,
  delegate: VirtualServiceObject,
  report: Report,
): OwnedRule[] {
  return delegate.http.flatMap((rule) => {
    if (rootRule.matchesNothing || rule.matchesNothing) return [];
    const matches = joinedMatches(rootRule.matches, rule.matches);
    if (matches === null) {
      const reason = `has a match that is no part of a match of VirtualService ${root.namespace}/${root.name}, so the rule is left out`;
      const remedy = 'narrow it to what the root passes on, or leave it to the root';
      report(delegate, [...rule.path, 'match'], 'CONFLICT', reason, remedy);
      return [];
    }
    const names = [rootRule.name, rule.name].filter((name) => name !== null);
    return {
      owner: delegate,
      rule: {
        ...rule,
        name: names.length === 0 ? null : names.join('-'),
        matches,
        rewrite: rule.rewrite ?? (rule.redirect === null ? rootRule.rewrite : null),
        cors: rule.cors ?? rootRule.cors,
        headers: rule.headers ?? rootRule.headers,
        mirrors: rule.mirrors ?? rootRule.mirrors,
        fault: rule.fault ?? rootRule.fault,
        timeoutMs: rule.timeoutMs === undefined ? rootRule.timeoutMs : rule.timeoutMs,
        retry: rule.retry ?? rootRule.retry,
      },
    };
  });
}

/** Each of the delegate's matches within each of the root's that has room for it; null: one has none. */
function joinedMatches(
  root: readonly HttpRouteMatch[],
  delegate: readonly HttpRouteMatch[],
): readonly HttpRouteMatch[] | null {
  if (root.length === 0) return delegate;
  if (delegate.length === 0) return root;
  const found: HttpRouteMatch[] = [];
  for (const inner of delegate) {
    const within = root.filter((outer) => fits(outer, inner));
    if (within.length === 0) return null;
    for (const outer of within) found.push(joinedMatch(outer, inner));
  }
  return found;
}

function joinedMatch(outer: HttpRouteMatch, inner: HttpRouteMatch): HttpRouteMatch {
  return {
    path: inner.path ?? outer.path,
    method: inner.method ?? outer.method,
    headers: joinedValues(outer.headers, inner.headers),
    queryParams: joinedValues(outer.queryParams, inner.queryParams),
    scheme: inner.scheme ?? outer.scheme,
    authority: inner.authority ?? outer.authority,
    port: inner.port ?? outer.port,
    client: joinedClient(outer.client, inner.client),
  };
}

/** The inner one's, and those of the outer one that it says nothing about. */
function joinedValues(outer: readonly HeaderMatch[], inner: readonly HeaderMatch[]): HeaderMatch[] {
  const told = (match: HeaderMatch): boolean =>
    inner.some((each) => each.name === match.name && each.invert === match.invert);
  return [...outer.filter((match) => !told(match)), ...inner];
}

function joinedClient(outer: ClientMatch | null, inner: ClientMatch | null): ClientMatch | null {
  if (outer === null || inner === null) return inner ?? outer;
  return { namespace: inner.namespace ?? outer.namespace, labels: { ...outer.labels, ...inner.labels } };
}

function fits(outer: HttpRouteMatch, inner: HttpRouteMatch): boolean {
  return (
    pathFits(outer.path, inner.path) &&
    textFits(outer.scheme, inner.scheme) &&
    textFits(outer.method, inner.method) &&
    textFits(outer.authority, inner.authority) &&
    valuesFit(outer.headers, inner.headers) &&
    valuesFit(outer.queryParams, inner.queryParams) &&
    (outer.port === null || inner.port === null || outer.port === inner.port) &&
    clientFits(outer.client, inner.client)
  );
}

function pathFits(outer: PathMatch | null, inner: PathMatch | null): boolean {
  if (outer === null || inner === null) return true;
  if (outer.ignoreCase !== inner.ignoreCase) return false;
  return valueFits(outer.type === 'exact', outer.value, inner.type === 'exact', inner.value);
}

function textFits(outer: StringMatch | null, inner: StringMatch | null): boolean {
  if (outer === null || inner === null) return true;
  return valueFits(outer.type === 'exact', outer.value, inner.type === 'exact', inner.value);
}

/** An exact value is within itself alone, anything that begins with a prefix is within it (expressions are refused before). */
function valueFits(outerExact: boolean, outer: string, innerExact: boolean, inner: string): boolean {
  return outerExact ? innerExact && inner === outer : inner.startsWith(outer);
}

function valuesFit(outer: readonly HeaderMatch[], inner: readonly HeaderMatch[]): boolean {
  return inner.every((match) => {
    const around = outer.find((each) => each.name === match.name && each.invert === match.invert);
    if (around === undefined || around.type === 'present') return true;
    if (match.type === 'present') return false;
    return valueFits(around.type === 'exact', around.value, match.type === 'exact', match.value);
  });
}

function clientFits(outer: ClientMatch | null, inner: ClientMatch | null): boolean {
  if (outer === null || inner === null) return true;
  if (outer.namespace !== null && inner.namespace !== null && outer.namespace !== inner.namespace) return false;
  return Object.entries(inner.labels).every(([key, value]) => (outer.labels[key] ?? value) === value);
}
