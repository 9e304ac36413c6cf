/** The rows that `weir connections` and the access log show of a flow. Never on the path of a request. */
import type { ConnectionInfo } from '../ipc/messages.ts';
import type { AccessRecord } from '../telemetry/access-log.ts';
import type { Flow } from './flow.ts';
import type { PeerFacts } from './peer-facts.ts';

export interface ConnectionDetail {
  readonly protocol: ConnectionInfo['protocol'];
  readonly state: string;
  readonly peer?: PeerFacts | null;
  readonly idleMs?: number;
  readonly bytesFromClient?: number;
  readonly bytesToClient?: number;
  readonly requests?: number;
}

export function connectionInfo(flow: Flow, nowMs: number, detail: ConnectionDetail): ConnectionInfo {
  const peer = detail.peer ?? null;
  const service = flow.service;
  return {
    worker: flow.context.self.worker,
    pod: flow.pod.fullName,
    direction: flow.direction,
    protocol: detail.protocol,
    source: addressText(flow.client.ip, flow.client.port),
    destination: addressText(flow.original.ip, flow.original.port),
    service: service === null ? null : `${service.namespace}/${service.name}`,
    upstream: peer === null ? null : addressText(peer.endpoint.address, peer.endpoint.port),
    state: detail.state,
    ageMs: Math.round(nowMs - flow.openedMs),
    idleMs: Math.round(detail.idleMs ?? 0),
    bytesFromClient: detail.bytesFromClient ?? 0,
    bytesToClient: detail.bytesToClient ?? 0,
    requests: detail.requests ?? 0,
  };
}

type FlowFields = 'direction' | 'sourcePod' | 'source' | 'destination' | 'destinationPod' | 'upstream' | 'service';

export function accessFields(flow: Flow, peer: PeerFacts | null): Pick<AccessRecord, FlowFields> {
  const service = flow.service;
  const workload = peer?.workload ?? null;
  return {
    direction: flow.direction,
    sourcePod: flow.direction === 'outbound' ? flow.pod.fullName : null,
    source: addressText(flow.client.ip, flow.client.port),
    destination: addressText(flow.original.ip, flow.original.port),
    destinationPod: workload === null ? null : `${workload.namespace}/${workload.name}`,
    upstream: peer === null ? null : addressText(peer.endpoint.address, peer.endpoint.port),
    service: service === null ? null : `${service.namespace}/${service.name}`,
  };
}

function addressText(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
