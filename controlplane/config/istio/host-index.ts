/** Objects by the hosts they name, made once per round of linking (LinkView.derived): linking asks for them host by host. */
import type { LinkView } from '../link/view.ts';
import { resolveParents } from '../link/route-resolution.ts';
import { type HostTarget, hostOfService, hostWithin, serviceOfHost } from './hosts.ts';
import type { DestinationRuleObject, ServiceEntryObject, VirtualServiceObject } from './objects.ts';

/** What is found under whole host names and wildcards. */
export class HostIndex<O> {
  readonly #exact = new Map<string, O[]>();
  readonly #wildcards: { readonly host: string; readonly object: O }[] = [];

  add(host: string, object: O): void {
    if (host.startsWith('*')) {
      this.#wildcards.push({ host, object });
      return;
    }
    this.#put(host, object);
    // `reviews.prod` may mean the Service; whoever asks decides.
    const service = host.endsWith('.svc.cluster.local') ? null : serviceOfHost(host);
    if (service !== null) this.#put(hostOfService(service), object);
  }

  /** Objects that have this very host. */
  exact(host: string): readonly O[] {
    return this.#exact.get(host) ?? [];
  }

  /** Objects that have this very host or a wildcard around it; one that has several is there several times. */
  covering(host: string): O[] {
    const around = this.#wildcards.filter((each) => hostWithin(host, each.host)).map(({ object }) => object);
    return [...this.exact(host), ...around];
  }

  #put(host: string, object: O): void {
    const objects = this.#exact.get(host);
    if (objects === undefined) this.#exact.set(host, [object]);
    else objects.push(object);
  }
}

/** ServiceEntries by host. */
export function entriesByHost(view: LinkView): HostIndex<ServiceEntryObject> {
  const index = new HostIndex<ServiceEntryObject>();
  for (const entry of view.serviceEntries()) for (const host of entry.resource.hosts) index.add(host, entry);
  return index;
}

/** DestinationRules by host. */
export function rulesByHost(view: LinkView): HostIndex<DestinationRuleObject> {
  const index = new HostIndex<DestinationRuleObject>();
  for (const rule of view.destinationRules()) index.add(rule.resource.host, rule);
  return index;
}

/** VirtualServices that hold in the mesh, by host. */
export function virtualServicesByHost(view: LinkView): HostIndex<VirtualServiceObject> {
  const index = new HostIndex<VirtualServiceObject>();
  for (const object of view.virtualServices()) {
    for (const { host } of object.mesh ? object.hosts : []) index.add(host, object);
  }
  return index;
}

/** `namespace/name` of the VirtualServices that others delegate to. */
export function delegates(view: LinkView): ReadonlySet<string> {
  const names = new Set<string>();
  for (const object of view.virtualServices()) {
    for (const { delegate } of object.http) if (delegate !== null) names.add(`${delegate.namespace}/${delegate.name}`);
  }
  return names;
}

/** The first HTTPRoute or GRPCRoute by name of each Service or host (`namespace/name`) that has one. */
export function gatewayRoutesByParent(view: LinkView): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const route of view.httpRoutes()) {
    const shown = `${route.kind} ${route.namespace}/${route.name}`;
    for (const { parents } of resolveParents(route, view)) {
      for (const parent of parents) {
        const key = `${parent.namespace}/${parent.name}`;
        const other = found.get(key);
        if (other === undefined || shown < other) found.set(key, shown);
      }
    }
  }
  return found;
}

/** The host of a target. */
export function targetHost(target: HostTarget): string {
  return target.owner === 'Service' ? hostOfService(target) : target.name;
}
