/** ServiceEntryObject → ServiceEntry with the pods and WorkloadEntries that it selects. */
import type { ServiceEntry, ServiceEntryEndpoint } from '../../../mesh/traffic-model.ts';
import { ENTRY_MEMBERS_MAX } from '../../../mesh/validate-traffic.ts';
import { compareText, type Finding } from '../../finding.ts';
import type { Linked, LinkView } from '../link/view.ts';
import { entriesByHost } from './host-index.ts';
import { byAge, serviceOfHost, visibleTo } from './hosts.ts';
import type { ServiceEntryObject } from './objects.ts';
import { type Report, reporting } from './report.ts';
import { portsByNumber } from './service-entry.ts';
import { selects } from './workload-entry.ts';

/** The resource of a ServiceEntry, and what is wrong with it in view of others. */
export function linkServiceEntry(object: ServiceEntryObject, view: LinkView): Linked {
  const findings: Finding[] = [];
  const report = reporting(findings);
  const { namespace, resource, workloadSelector } = object;
  const endpoints: ServiceEntryEndpoint[] = [...resource.endpoints];
  const workloads = new Set<string>();
  if (workloadSelector !== null && resource.resolution !== 'NONE') {
    for (const pod of view.pods(namespace)) {
      if (!pod.ended && selects(workloadSelector, pod.labels)) workloads.add(pod.uid);
    }
    endpoints.push(...selectedEntries(object, workloadSelector, view, report));
    if (workloads.size === 0 && endpoints.length === 0) {
      const reason = `selects no pod and no WorkloadEntry of ${namespace}`;
      report(object, ['spec', 'workloadSelector'], 'NO_EFFECT', reason, 'correct its labels, or create them');
    }
  }
  for (const [index, host] of resource.hosts.entries()) warnHost(object, host, index, view, report);
  return { resources: [withMembers(object, endpoints, [...workloads].sort(compareText), report)], findings };
}

/** What backs the hosts; more than agents take is left out, the last first. */
function withMembers(
  object: ServiceEntryObject,
  endpoints: readonly ServiceEntryEndpoint[],
  workloads: readonly string[],
  report: Report,
): ServiceEntry {
  const { resource } = object;
  const max = Math.floor(ENTRY_MEMBERS_MAX / resource.hosts.length);
  const found = endpoints.length + workloads.length;
  if (found > max) {
    const reason = `selects ${found} for ${resource.hosts.length} hosts, of which ${max} are used`;
    report(
      object,
      ['spec', 'workloadSelector'],
      'UNSUPPORTED',
      reason,
      'write several ServiceEntries, each with a part of the hosts',
    );
  }
  const kept = endpoints.slice(0, max);
  return { ...resource, endpoints: kept, workloads: workloads.slice(0, max - kept.length) };
}

function selectedEntries(
  object: ServiceEntryObject,
  selector: Readonly<Record<string, string>>,
  view: LinkView,
  report: Report,
): ServiceEntryEndpoint[] {
  const found = [...view.workloadEntries(object.namespace)].filter((entry) => selects(selector, entry.endpoint.labels));
  return found
    .sort((a, b) => compareText(a.name, b.name))
    .flatMap((entry) => {
      const { endpoint } = entry;
      const isName = /[a-z]/.test(endpoint.address) && !endpoint.address.includes(':');
      if (isName && object.resource.resolution === 'STATIC') {
        const reason = `is a name, and ServiceEntry ${object.namespace}/${object.name}, which selects it, has resolution STATIC`;
        report(entry, ['spec', 'address'], 'NO_EFFECT', reason, 'write an IP address, or resolution: DNS');
        return [];
      }
      return { ...endpoint, ports: portsByNumber(endpoint.ports, object.resource.ports) };
    });
}

/** A host that somebody has already: a Service of the cluster, or an older ServiceEntry. */
function warnHost(object: ServiceEntryObject, host: string, index: number, view: LinkView, report: Report): void {
  const path = ['spec', 'hosts', index];
  const named = host.endsWith('.svc.cluster.local') ? serviceOfHost(host) : null;
  const service = named === null ? undefined : view.service(named.namespace, named.name);
  if (service !== undefined) {
    const foreign = service.namespace !== object.namespace;
    const reason = `is the host of Service ${service.namespace}/${service.name}`;
    const remedy = 'write a host of your own: the Service answers to this one';
    report(object, path, foreign ? 'HOST_OF_ANOTHER_NAMESPACE' : 'CONFLICT', reason, remedy);
    return;
  }
  for (const other of view.derived(entriesByHost).covering(host).sort(byAge)) {
    if (other === object || other.namespace === object.namespace || byAge(other, object) > 0) continue;
    if (!other.resource.hosts.includes(host)) continue;
    if (!visibleTo(object.resource.exportTo, other.resource.exportTo)) continue;
    if (!visibleTo(other.resource.exportTo, object.resource.exportTo)) continue;
    const reason = `is a host of ServiceEntry ${other.namespace}/${other.name} too, which is older and seen by the same clients`;
    const remedy = `write exportTo: ["."] to keep this one to ${object.namespace}`;
    report(object, path, 'HOST_OF_ANOTHER_NAMESPACE', reason, remedy);
    return;
  }
}
