/**
 * What need not pass the agent at all: destinations with neither policy, nor route, nor telemetry. Pure.
 *
 *   outbound   a Service's address and port, when no route is attached and no endpoint has policy there;
 *              the pods of headless Services, one by one; not for pods whose own egress is limited (mayBypass);
 *              never hosts of ServiceEntries
 *   inbound    a pod's own address and the ports that Services send to, when it has no policy there
 *
 * Off unless the mesh says `bypass: true`. What is left out by a bound is captured, as everything else is. Whoever adds a kind of
 * policy or route to the mesh adds it to `isOpen` or `isServiceOpen`: a destination that bypasses the agent is beyond its reach.
 */
import type { MeshSettings, Service, ServicePort, Workload } from './model.ts';
import { httpTelemetry } from './layers.ts';
import { RESERVED_PORTS, VERIFY_PORT } from './ports.ts';
import type { MeshState } from './state.ts';

/** One address and TCP port. `ip` in canonical text. */
export interface BypassEntry {
  readonly ip: string;
  readonly port: number;
}

/** `omitted`: destinations that were not looked at because the list was full; they are captured. */
export interface BypassList {
  readonly entries: readonly BypassEntry[];
  readonly omitted: number;
}

/** Why nothing bypasses the agent; null: it may. */
export function bypassRefusal(settings: MeshSettings, accessLog: 'off' | 'errors' | 'all'): string | null {
  if (!settings.bypass) return 'not asked for (bypass in the mesh configuration)';
  if (!httpTelemetry(settings, accessLog)) return null;
  return settings.metrics
    ? 'metrics are asked for (defaultProviders.metrics in the mesh configuration)'
    : 'an access log is asked for (defaultProviders.accessLogging in the mesh configuration, or --access-log)';
}

/** Destinations that any pod of the mesh may reach directly, at most `entriesMax`; the same order until something came or went. */
export function bypassDestinations(mesh: MeshState, entriesMax: number): BypassList {
  const entries: BypassEntry[] = [];
  let omitted = 0;
  const headless = new Set<string>();
  for (const service of mesh.list('service')) {
    if (service.addresses.length === 0) headless.add(`${service.namespace}/${service.name}`);
    for (const ip of service.addresses) {
      for (const port of service.ports) {
        if (entries.length >= entriesMax) omitted++;
        else if (isServiceOpen(mesh, service, port, ip)) entries.push({ ip, port: port.port });
      }
    }
  }
  if (headless.size === 0) return { entries, omitted };
  for (const workload of mesh.list('workload')) {
    if (workload.hostNetwork) continue;
    for (const entry of ownEntries(workload, (name) => headless.has(name))) {
      if (entries.length >= entriesMax) omitted++;
      else if (isPodOpen(mesh, workload, entry)) entries.push(entry);
    }
  }
  return { entries, omitted };
}

/**
 * May that pod reach them directly? Not if its own egress is limited, by NetworkPolicy or by a Sidecar that hides Services from it or
 * says what becomes of the rest. @param workload null: not described yet, so whatever limits it is not known either
 */
export function mayBypass(mesh: MeshState, workload: Workload | null): boolean {
  if (workload === null) return false;
  const scope = mesh.sidecarScope(workload);
  const isLimited = scope !== null && (scope.egress !== null || scope.outboundTrafficPolicy !== null);
  return !isLimited && mesh.networkPolicy(workload).egressIsEmpty;
}

/** Where a pod of this node may be reached without the agent. `addresses`: the runtime's, which are the ones that count. */
export function bypassOfPod(mesh: MeshState, workload: Workload, addresses: readonly string[]): readonly BypassEntry[] {
  if (workload.hostNetwork) return [];
  return ownEntries({ ...workload, addresses }, () => true).filter(({ port }) => isOpen(mesh, workload, port));
}

function isServiceOpen(mesh: MeshState, service: Service, port: ServicePort, ip: string): boolean {
  if (isReserved(port.port)) return false;
  const destination = mesh.resolve(ip, port.port);
  // Another Service may hold the address now.
  if (destination.kind !== 'service' || destination.service !== service) return false;
  const { routes, streams, cluster } = destination.target;
  if (routes !== null || streams !== null) return false;
  return cluster.endpoints.every((endpoint) => isOpen(mesh, endpoint.workload, endpoint.port));
}

/** Of two pods that claim an address, the one that has it counts. */
function isPodOpen(mesh: MeshState, workload: Workload, { ip, port }: BypassEntry): boolean {
  const destination = mesh.resolve(ip, port);
  return destination.kind === 'workload' && destination.workload.uid === workload.uid && isOpen(mesh, workload, port);
}

/** No policy can refuse anything on that port of the workload. */
function isOpen(mesh: MeshState, workload: Workload, port: number): boolean {
  return (
    mesh.authorization(workload, port).isEmpty &&
    mesh.networkPolicy(workload).ingressIsEmpty &&
    mesh.peerAuthentication(workload).forPort(port).mode !== 'STRICT' &&
    mesh.requestAuthentication(workload).isEmpty
  );
}

/** A pod's addresses with the ports that the chosen Services send to. */
function ownEntries(
  workload: Pick<Workload, 'addresses' | 'services'>,
  chosen: (service: string) => boolean,
): BypassEntry[] {
  const ports = new Set<number>();
  for (const [service, targets] of Object.entries(workload.services)) {
    if (chosen(service)) for (const { targetPort } of targets) if (!isReserved(targetPort)) ports.add(targetPort);
  }
  return workload.addresses.flatMap((ip) => [...ports].map((port) => ({ ip, port })));
}

/** The mesh's own ports are never anybody's to reach directly. */
function isReserved(port: number): boolean {
  return port === VERIFY_PORT || RESERVED_PORTS.includes(port);
}
