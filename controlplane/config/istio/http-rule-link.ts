/** One `http` rule of a VirtualService → HttpRouteRule, its destinations resolved. */
import type { HttpFilter, HttpRouteMatch, HttpRouteRule, UrlRewrite } from '../../../mesh/route-model.ts';
import type { LinkView } from '../link/view.ts';
import { resolveDestination } from './backend-target.ts';
import type { HttpRuleObject, VirtualServiceObject } from './objects.ts';
import type { Report } from './report.ts';

/** `owner`: the object the rule stands in, which is a delegate of `root` or `root` itself. */
export function linkHttpRule(
  rule: HttpRuleObject,
  root: VirtualServiceObject,
  owner: VirtualServiceObject,
  view: LinkView,
  report: Report,
): HttpRouteRule {
  const { matches, rewrite } = withRewrite(rule.matches, rule.rewrite);
  const backends = rule.destinations.map(({ destination, weight, headers }) => {
    const share = 'until then its share of the requests is answered with 500';
    const { target, valid } = resolveDestination(destination, root, owner, view, share, report);
    return { ...target, weight, filters: headers, valid };
  });
  const mirrors = (rule.mirrors ?? []).map(({ destination, perMillion }): HttpFilter => {
    const share = 'until then nothing is mirrored';
    const { target, valid } = resolveDestination(destination, root, owner, view, share, report);
    return { type: 'requestMirror', backend: target, valid, perMillion };
  });
  const filters: HttpFilter[] = [...(rule.headers ?? [])];
  for (const filter of [rule.redirect, rewrite, rule.cors]) if (filter !== null) filters.push(filter);
  return {
    name: rule.name,
    matches,
    filters: [...filters, ...mirrors],
    backends,
    directResponse: rule.directResponse,
    fault: rule.fault,
    timeouts: { requestMs: rule.timeoutMs ?? null, backendRequestMs: null },
    retry: rule.retry,
    sessionPersistence: null,
  };
}

/**
 * A rewritten uri replaces what the match's prefix named, and the whole path of an exact match or an expression. A match without uri
 * is Envoy's prefix `/`, which is then said, so that the `/` is what is replaced.
 */
function withRewrite(
  matches: readonly HttpRouteMatch[],
  rewrite: UrlRewrite | null,
): { readonly matches: readonly HttpRouteMatch[]; readonly rewrite: UrlRewrite | null } {
  if (rewrite?.path?.type !== 'stringPrefix') return { matches, rewrite };
  const whole = matches.length > 0 && matches.every(({ path }) => path !== null && path.type !== 'stringPrefix');
  if (whole) return { matches, rewrite: { ...rewrite, path: { type: 'full', value: rewrite.path.value } } };
  const root = { type: 'stringPrefix', value: '/', ignoreCase: false } as const;
  const named = matches.length === 0 ? [ANY] : matches;
  return { matches: named.map((match) => ({ ...match, path: match.path ?? root })), rewrite };
}

/** Every request. */
const ANY: HttpRouteMatch = {
  path: null,
  method: null,
  headers: [],
  queryParams: [],
  scheme: null,
  authority: null,
  port: null,
  client: null,
};
