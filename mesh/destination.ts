/** Where a connection goes: the answers of MeshState.resolve. */

import type { Cluster, Endpoint } from './cluster.ts';
import type { PortProtocol, Service, ServicePort, Workload } from './model.ts';
import type { RouteTable } from './route-table.ts';
import type { StreamRoutes } from './stream-routes.ts';

/** What a Service port does with traffic: where it goes and by which routes. Replaced when its Service or routes change. */
export interface CompiledPort {
  readonly cluster: Cluster;
  /** null: no HTTPRoute is attached; everything goes to `cluster`. */
  readonly routes: RouteTable | null;
  /** null: no TLSRoute or TCPRoute is attached; connections that are not routed as HTTP go to `cluster`. */
  readonly streams: StreamRoutes | null;
  readonly protocol: PortProtocol;
}

/** A ClusterIP and one of its ports. */
export interface ServiceDestination {
  readonly kind: 'service';
  readonly service: Service;
  readonly port: ServicePort;
  readonly target: CompiledPort;
}

/**
 * A pod's own address (headless Services lead here too). `protocol` is what the Service port that targets this port
 * declares, `detect` where none does or two disagree; `target` names that Service port, with `routes` and `streams` null because
 * the Service's routes do not apply to direct pod traffic.
 */
export interface WorkloadDestination {
  readonly kind: 'workload';
  readonly workload: Workload;
  readonly endpoint: Endpoint;
  readonly protocol: PortProtocol;
  readonly target: CompiledPort | null;
}

/**
 * Nothing the mesh knows: relay as TCP. `service` non-null: a ClusterIP was dialled on a port the Service does not have; the
 * kernel's own Service rules answer that exactly as they would without a mesh, and the log can name the Service.
 */
export interface UnknownDestination {
  readonly kind: 'unknown';
  readonly service: Service | null;
}

export type Destination = ServiceDestination | WorkloadDestination | UnknownDestination;
