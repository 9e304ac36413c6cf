/**
 * Hosts as Istio's kinds write them, and the Services and ServiceEntry hosts they mean.
 *
 *   reviews                            → reviews.<namespace of the object>.svc.cluster.local
 *   reviews.prod, reviews.prod.svc     → the Service reviews of prod, unless a ServiceEntry has that very host
 *   reviews.prod.svc.cluster.local     → the Service reviews of prod
 *   api.example.com                    → the ServiceEntries that have this host
 *   *.example.com, *.prod.svc.cluster.local → every host below it
 *
 * Istio itself makes only names without a dot whole; weir also takes the two forms between, which people write and which resolve in
 * the pods' own DNS.
 */
import type { ServiceObject } from '../objects.ts';
import type { LinkView } from '../link/view.ts';
import { compareText } from '../../finding.ts';
import type { ServiceEntryObject } from './objects.ts';

/** What follows `name.namespace.` in the host of a Service. */
const SERVICE_SUFFIX = '.svc.cluster.local';

/** A Service, or one host of a ServiceEntry, as routes address it (BackendTarget without port). */
export interface HostTarget {
  readonly namespace: string;
  /** Name of the Service, or the host of the entry. */
  readonly name: string;
  /** TCP ports by number, in the order they are written. */
  readonly ports: readonly number[];
  readonly owner: 'Service' | 'ServiceEntry';
}

/** A host in lower case; a name without a dot is made that of a Service of `namespace`. Wildcards and addresses stay. */
export function wholeHost(host: string, namespace: string): string {
  const lower = host.toLowerCase();
  if (lower.includes('*') || lower.includes(':')) return lower;
  if (!lower.includes('.')) return `${lower}.${namespace}${SERVICE_SUFFIX}`;
  return /^[^.]+\.[^.]+\.svc$/.test(lower) ? `${lower}.cluster.local` : lower;
}

/** The Service that a whole host names, if it has the form of one. */
export function serviceOfHost(host: string): { readonly namespace: string; readonly name: string } | null {
  const short = host.endsWith(SERVICE_SUFFIX) ? host.slice(0, -SERVICE_SUFFIX.length) : host;
  const parts = short.split('.');
  const [name, namespace] = parts;
  return parts.length === 2 && name !== undefined && namespace !== undefined && name !== '*'
    ? { name, namespace }
    : null;
}

/** The host of a Service. */
export function hostOfService(service: { readonly namespace: string; readonly name: string }): string {
  return `${service.name}.${service.namespace}${SERVICE_SUFFIX}`;
}

/** Whether all hosts of `inner` (a host, or a wildcard) are hosts of `outer`. */
export function hostWithin(inner: string, outer: string): boolean {
  if (inner === outer || outer === '*') return true;
  return outer.startsWith('*') && inner.length > outer.length - 1 && inner.endsWith(outer.slice(1));
}

/** Whether one of a host and another lies within the other: there are names that both mean. */
export function hostsOverlap(a: string, b: string): boolean {
  return hostWithin(a, b) || hostWithin(b, a);
}

/** Whether pods of one of `clients` may see what is exported to `exportTo`; both may be [`*`]. */
export function visibleTo(exportTo: readonly string[], clients: readonly string[]): boolean {
  if (exportTo.includes('*')) return true;
  return clients.includes('*') ? exportTo.length > 0 : exportTo.some((name) => clients.includes(name));
}

/**
 * The Services and ServiceEntry hosts that a whole host means for the pods of `clients`, Services first, then entries: those of
 * `preferred` (a namespace) first, then by age and name. Cost: the number of ServiceEntries, for a wildcard the Services too.
 */
export function targetsOf(host: string, clients: readonly string[], preferred: string, view: LinkView): HostTarget[] {
  const entries = entryTargets(host, clients, preferred, view);
  if (host.includes('*')) return [...wildcardServices(host, view), ...entries];
  const written = host.endsWith(SERVICE_SUFFIX);
  const named = written || entries.length === 0 ? serviceOfHost(host) : null;
  const service = named === null ? undefined : view.service(named.namespace, named.name);
  return service === undefined ? entries : [serviceTarget(service), ...entries];
}

function wildcardServices(host: string, view: LinkView): HostTarget[] {
  const found = [...view.services()].filter((service) => hostWithin(hostOfService(service), host));
  return found.map(serviceTarget).sort(byName);
}

function entryTargets(host: string, clients: readonly string[], preferred: string, view: LinkView): HostTarget[] {
  const found: { target: HostTarget; object: ServiceEntryObject }[] = [];
  for (const object of view.serviceEntries()) {
    const { exportTo, hosts, ports } = object.resource;
    if (!visibleTo(exportTo, clients)) continue;
    for (const each of hosts) {
      if (!hostWithin(each, host)) continue;
      const numbers = ports.map((port) => port.port);
      found.push({
        target: { namespace: object.namespace, name: each, ports: numbers, owner: 'ServiceEntry' },
        object,
      });
    }
  }
  const rank = (object: ServiceEntryObject): number => (object.namespace === preferred ? 0 : 1);
  found.sort((a, b) => rank(a.object) - rank(b.object) || byAge(a.object, b.object) || byName(a.target, b.target));
  const seen = new Set<string>();
  return found.flatMap(({ target }) => {
    const key = `${target.namespace}/${target.name}`;
    if (seen.has(key)) return [];
    seen.add(key);
    return target;
  });
}

function serviceTarget(service: ServiceObject): HostTarget {
  const { namespace, name, ports } = service;
  return { namespace, name, ports: ports.map((port) => port.port), owner: 'Service' };
}

/** Order of objects by age, the oldest first; of one age by namespace and name. */
export function byAge(
  a: { readonly createdMs: number; readonly namespace: string; readonly name: string },
  b: { readonly createdMs: number; readonly namespace: string; readonly name: string },
): number {
  return a.createdMs - b.createdMs || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

function byName(a: HostTarget, b: HostTarget): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}
