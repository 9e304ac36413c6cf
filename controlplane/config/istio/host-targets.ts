/** The Services and ServiceEntry hosts that a host means at present. */
import { compareText } from '../../finding.ts';
import type { LinkView } from '../link/view.ts';
import type { ServiceObject } from '../objects.ts';
import { entriesByHost } from './host-index.ts';
import {
  byAge,
  type HostTarget,
  hostOfService,
  hostWithin,
  SERVICE_SUFFIX,
  serviceOfHost,
  visibleTo,
} from './hosts.ts';
import type { ServiceEntryObject } from './objects.ts';

/**
 * The Services and ServiceEntry hosts that a whole host means for the pods of `clients`, Services first, then entries: those of
 * `preferred` (a namespace) first, then by age and name. Cost: flat, for a wildcard the number of ServiceEntries and Services.
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
  // `reviews.prod` is found as a Service's host too: only its own counts, which the comparison below sees to.
  const candidates = host.includes('*') ? view.serviceEntries() : view.derived(entriesByHost).exact(host);
  for (const object of candidates) {
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

function byName(a: HostTarget, b: HostTarget): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}
