/**
 * Which connections begin with a PROXY protocol header. Ports are declared by the destination pod (annotation
 * weir.dev/proxy-protocol-ports), never guessed.
 *
 *   from outside the mesh   required on such a port: without one, or with a broken one, the connection is reset
 *   from a pod of the mesh  read when the connection begins with one (an ingress controller may be a pod too), and otherwise
 *                           done without: its own address is already the true one
 *   the kubelet's probes    never captured, see agent/capture/plan.ts
 */
import type { Workload } from '../../mesh/model.ts';
import { PROXY_PROTOCOL_PORTS, parseProxyPorts } from '../proxy-protocol/ports.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';

const NO_PORTS: ReadonlySet<number> = new Set();
/** By version of the workload: annotations of a live pod may change. */
const portsOf = new WeakMap<Workload, ReadonlySet<number>>();

/** True: the connection must begin with a header. One look-up for all connections to pods without the annotation. */
export function headerRequired(flow: Flow): boolean {
  if (flow.direction !== 'inbound') return false;
  const { mesh } = flow.context;
  const workload = flow.pod.workload(mesh);
  if (workload === null || !declares(flow.context, workload, flow.original.port)) return false;
  return mesh.workloadByAddress(flow.client.ip) === null;
}

/** True: a header that the connection begins with is read. Asked only of connections that begin like one. */
export function headerAccepted(flow: Flow): boolean {
  const { context } = flow;
  if (flow.direction === 'inbound') {
    const workload = flow.pod.workload(context.mesh);
    return workload !== null && declares(context, workload, flow.original.port);
  }
  if (flow.routedByServerName) return false;
  const choice = flow.chooseOnce();
  if (!choice.ok || choice.peer.localPod === null || choice.peer.workload === null) return false;
  return declares(context, choice.peer.workload, choice.peer.endpoint.port);
}

function declares(context: WorkerContext, workload: Workload, port: number): boolean {
  let ports = portsOf.get(workload);
  if (ports === undefined) {
    const parsed = parseProxyPorts(workload.annotations);
    ports = parsed.ok ? parsed.ports : NO_PORTS;
    portsOf.set(workload, ports);
    if (!parsed.ok) {
      const pod = `${workload.namespace}/${workload.name}`;
      context.log('warn', `${PROXY_PROTOCOL_PORTS} is ignored: ${parsed.reason}`, { pod });
    }
  }
  return ports.has(port);
}
