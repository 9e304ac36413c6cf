/** Resources for the tests of explain, beside those of resources.ts. */
import type { MeshResource } from '../../../mesh/model.ts';
import type { AuthorizationPolicy, PolicyOperation, PolicyRule, PolicySource } from '../../../mesh/policy-model.ts';
import type { HttpRoute, HttpRouteRule } from '../../../mesh/route-model.ts';
import { MeshState } from '../../../mesh/state.ts';
import { NO_OPERATION, NO_SOURCE } from '../../harness/policy-parts.ts';
import { route, routeRule, type WrittenMatch } from './resources.ts';

export { backend, service, workload } from './resources.ts';

export function stateWith(...resources: readonly MeshResource[]): MeshState {
  const state = new MeshState();
  const applied = state.apply({ upserts: resources, removals: [] });
  if (!applied.ok) throw new Error(applied.error);
  return state;
}

/** A rule with one source and one operation, or neither. */
export function rule(fields: Partial<PolicySource & PolicyOperation>): PolicyRule {
  const pick = <T extends object>(any: T): T =>
    Object.fromEntries(Object.keys(any).map((name) => [name, fields[name as keyof typeof fields] ?? []])) as T;
  const has = (any: object): boolean => Object.keys(any).some((name) => name in fields);
  return {
    from: has(NO_SOURCE) ? [pick(NO_SOURCE)] : [],
    to: has(NO_OPERATION) ? [pick(NO_OPERATION)] : [],
    when: [],
  };
}

/** An ALLOW policy of the namespace shop. */
export function policy(fields: Partial<AuthorizationPolicy> & { readonly name: string }): AuthorizationPolicy {
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

/** One rule for a path prefix, attached to shop/echo. */
export function prefixRoute(
  prefix: string,
  fields: Partial<Omit<HttpRouteRule, 'matches'>>,
  headers: WrittenMatch['headers'] = [],
): HttpRoute {
  const one = routeRule({ ...fields, matches: [{ path: { type: 'prefix', value: prefix }, headers: headers ?? [] }] });
  return route({ name: 'r', parents: [{ namespace: 'shop', name: 'echo', port: null }], rules: [one] });
}
