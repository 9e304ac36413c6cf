/**
 * Hosts as Istio's kinds write them.
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
import { compareText } from '../../finding.ts';

/** What follows `name.namespace.` in the host of a Service. */
export const SERVICE_SUFFIX = '.svc.cluster.local';

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

/** Order of objects by age, the oldest first; of one age by namespace and name. */
export function byAge(
  a: { readonly createdMs: number; readonly namespace: string; readonly name: string },
  b: { readonly createdMs: number; readonly namespace: string; readonly name: string },
): number {
  return a.createdMs - b.createdMs || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}
