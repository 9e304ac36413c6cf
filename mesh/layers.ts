/**
 * How high a connection must climb: is HTTP to be parsed, or does a verdict on the connection say it all? Pure.
 *
 *   telemetry of HTTP is asked for        → parse (the default)
 *   routes are attached to the port       → parse (a TCPRoute may lead to endpoints that need it)
 *   the Service port is declared http2 or grpc → parse: its requests are balanced one by one, which is what it is declared for
 *   a policy of a possible destination that is enforced here has HTTP fields → parse
 *   otherwise                             → decided once, octets never enter user space
 *
 * What policy of another node's pods says is that node's to enforce.
 */
import type { Destination } from './destination.ts';
import type { Endpoint } from './cluster.ts';
import type { MeshSettings, Workload } from './model.ts';
import { effectiveAccessLog } from './settings.ts';
import type { MeshState } from './state.ts';

/** Is telemetry of HTTP asked for, by the mesh or by this agent's access log? */
export function httpTelemetry(settings: MeshSettings, accessLog: 'off' | 'errors' | 'all'): boolean {
  return settings.metrics || effectiveAccessLog(settings, accessLog) !== 'off';
}

/** True: the policy of one port of a workload cannot be judged without HTTP. */
export function policyNeedsHttp(mesh: MeshState, workload: Workload, port: number): boolean {
  return mesh.authorization(workload, port).needsHttp;
}

/**
 * For a destination as the client's node sees it, telemetry aside: true or false, or the endpoints that need HTTP if they are on
 * this node (which can change without the mesh changing). Linear in the endpoints: remember it for a generation of the mesh.
 */
export function destinationNeedsHttp(mesh: MeshState, destination: Destination): boolean | readonly Endpoint[] {
  switch (destination.kind) {
    case 'unknown':
      return false;
    case 'workload':
      return atEndpoints(mesh, [destination.endpoint]);
    case 'service': {
      const { routes, streams, cluster, protocol } = destination.target;
      const isBalanced = protocol === 'http2' || protocol === 'grpc';
      return isBalanced || routes !== null || streams !== null || atEndpoints(mesh, cluster.endpoints);
    }
  }
}

function atEndpoints(mesh: MeshState, endpoints: readonly Endpoint[]): false | readonly Endpoint[] {
  const found = endpoints.filter(({ workload, port }) => policyNeedsHttp(mesh, workload, port));
  return found.length === 0 ? false : found;
}
