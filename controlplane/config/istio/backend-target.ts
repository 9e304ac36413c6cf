/** Where an Istio Destination leads: a Service or ServiceEntry host with port and subset, or nowhere. */
import type { BackendTarget, Subset } from '../../../mesh/route-model.ts';
import type { LinkView } from '../link/view.ts';
import { entriesByHost } from './host-index.ts';
import { targetsOf } from './host-targets.ts';
import { byAge, type HostTarget, serviceOfHost } from './hosts.ts';
import type { DestinationReference, VirtualServiceObject } from './objects.ts';
import type { Report } from './report.ts';
import { lookUpSubset } from './subsets.ts';

/** A target of the mesh model; not valid: its share is answered with an error, and the report says why. */
export interface ResolvedTarget {
  readonly target: BackendTarget;
  readonly valid: boolean;
}

/** What a broken destination does to its share of the traffic, for the remedy of its finding. */
export type BrokenShare =
  | 'until then its share of the requests is answered with 500'
  | 'until then its share of the connections is reset'
  | 'until then nothing is mirrored';

/**
 * Resolves a destination that stands in `owner` for the clients of `root` (the same object, unless `owner` is its delegate).
 */
export function resolveDestination(
  destination: DestinationReference,
  root: VirtualServiceObject,
  owner: VirtualServiceObject,
  view: LinkView,
  share: BrokenShare,
  report: Report,
): ResolvedTarget {
  const { host, path, port } = destination;
  const clients = [...root.clients, root.namespace];
  const target = targetsOf(host, clients, owner.namespace, view).find(
    (each) => each.owner === 'Service' || each.name === host,
  );
  const broken = (field: string, reason: string, remedy: string): ResolvedTarget => {
    report(owner, [...path, field], 'REFERENCE_NOT_FOUND', reason, `${remedy}; ${share}`);
    const service = serviceOfHost(host);
    const { namespace, name } = target ?? service ?? { namespace: owner.namespace, name: host };
    return { target: { namespace, name, port: 0, subset: null }, valid: false };
  };
  if (target === undefined) {
    return broken('host', `there is no Service and no ServiceEntry with the host ${host}`, hostRemedy(host, view));
  }
  if (port !== null && !target.ports.includes(port)) {
    const ports = target.ports.join(', ');
    const remedy = ports === '' ? 'give it a TCP port' : `write one of ${ports}`;
    return broken('port', `${describe(target)} has no TCP port ${port}`, remedy);
  }
  const subset = destination.subset === null ? null : findSubset(destination.subset, target, owner, root, view);
  if (subset !== null && 'reason' in subset) return broken('subset', subset.reason, subset.remedy);
  const only = target.ports.length === 1 ? target.ports[0] : undefined;
  const { namespace, name } = target;
  return { target: { namespace, name, port: port ?? only ?? 0, subset }, valid: true };
}

function findSubset(
  name: string,
  target: HostTarget,
  owner: VirtualServiceObject,
  root: VirtualServiceObject,
  view: LinkView,
): Subset | { readonly reason: string; readonly remedy: string } {
  const asker = { namespace: owner.namespace, clients: root.clients };
  const lookup = lookUpSubset(name, target, asker, view);
  if (lookup.found) return lookup.subset;
  const reason = `no DestinationRule defines the subset ${name} of ${describe(target)}`;
  const known =
    lookup.known.length === 0 ? 'create a DestinationRule with it' : `write one of ${lookup.known.join(', ')}`;
  return { reason, remedy: known };
}

/** `Service prod/reviews`, or `the ServiceEntry host api.example.com of prod`. */
export function describe(target: HostTarget): string {
  if (target.owner === 'Service') return `Service ${target.namespace}/${target.name}`;
  return `the ServiceEntry host ${target.name} of ${target.namespace}`;
}

/** What to do about a host that nobody has. */
export function hostRemedy(host: string, view: LinkView): string {
  const [entry] = view.derived(entriesByHost).covering(host).sort(byAge);
  if (entry !== undefined) {
    const { hosts, exportTo } = entry.resource;
    const shown = `ServiceEntry ${entry.namespace}/${entry.name}`;
    const wildcard = hosts.find((each) => each.startsWith('*.') && host.endsWith(each.slice(1)));
    if (!hosts.includes(host) && wildcard !== undefined) return `${shown} has ${wildcard}: add ${host} to its hosts`;
    return `${shown} has it and exports it to ${exportTo.length === 0 ? 'nobody' : exportTo.join(', ')}: widen its exportTo`;
  }
  return serviceOfHost(host) === null
    ? 'create a ServiceEntry with this host or correct it'
    : 'create it or correct the host';
}
