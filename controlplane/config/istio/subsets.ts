/** Subsets: the labels that DestinationRules give names to. */
import type { Subset } from '../../../mesh/route-model.ts';
import type { LinkView } from '../link/view.ts';
import { byAge, type HostTarget, hostOfService, hostWithin, serviceOfHost, visibleTo } from './hosts.ts';
import { rulesByHost, targetHost } from './host-index.ts';
import type { DestinationRuleObject } from './objects.ts';

/** The subset, or the names that there are. */
export type SubsetLookup =
  | { readonly found: true; readonly subset: Subset }
  | { readonly found: false; readonly known: readonly string[] };

/**
 * The subset `name` of a destination, as an object of `namespace` for the pods of `clients` means it. Asked are the DestinationRules
 * of that namespace first, then those of the destination's, those of the root namespace and at last the others that are exported to
 * the clients; the rule with the more specific host first, the older of two with one host first (Istio merges their subsets so).
 */
export function lookUpSubset(
  name: string,
  target: HostTarget,
  asker: { readonly namespace: string; readonly clients: readonly string[] },
  view: LinkView,
): SubsetLookup {
  const rank = (rule: DestinationRuleObject): number => {
    const order = [asker.namespace, target.namespace, view.rootNamespace].indexOf(rule.namespace);
    // A rule for some pods only is asked last: whether it holds depends on who sends.
    return (order < 0 ? 3 : order) + (rule.resource.workloadSelector === null ? 0 : 4);
  };
  const clients = [...asker.clients, asker.namespace];
  const candidates = view.derived(rulesByHost).covering(targetHost(target));
  const rules = candidates
    .filter((rule) => namesTarget(rule.resource.host, target) && visibleTo(rule.resource.exportTo, clients))
    .sort((a, b) => rank(a) - rank(b) || bySpecificity(a.resource.host, b.resource.host) || byAge(a, b));
  const known = new Set<string>();
  for (const rule of rules) {
    for (const subset of rule.resource.subsets) {
      if (subset.name === name) return { found: true, subset: { name, labels: subset.labels } };
      known.add(subset.name);
    }
  }
  return { found: false, known: [...known].sort() };
}

/** Whether a whole host means a Service or ServiceEntry host, by itself or as a wildcard. */
export function namesTarget(host: string, target: HostTarget): boolean {
  if (target.owner === 'ServiceEntry') return hostWithin(target.name, host);
  if (hostWithin(hostOfService(target), host)) return true;
  const service = serviceOfHost(host);
  return service?.namespace === target.namespace && service.name === target.name;
}

/** Order of hosts: whole names, then wildcards, the longer (narrower) first. */
export function bySpecificity(a: string, b: string): number {
  const wildcard = (host: string): number => (host.startsWith('*') ? 1 : 0);
  return wildcard(a) - wildcard(b) || (wildcard(a) === 0 ? 0 : b.length - a.length);
}
