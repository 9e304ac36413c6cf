/** What remains of a request once it is answered: counters, and a line in the access log if asked for. */
import { errnoName } from '../engine/errno.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { Flow } from './flow.ts';
import { accessFields } from './flow-info.ts';
import { inboundSeries, unroutedSeries } from './metric-labels.ts';
import type { PeerFacts } from './peer-facts.ts';

/** Strings copied out of the read buffer before it is overwritten; made only when an access log is on. */
export interface RequestLog {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  route: string | null;
  policy: string | null;
  errno: number;
}

export function captureRequest(head: RequestView): RequestLog {
  return { method: head.method, host: head.host, path: head.path, route: null, policy: null, errno: 0 };
}

/**
 * Hot.
 * @param peer null: refused before a peer was chosen (an inbound request has one destination in any case).
 * @param grpcStatus null: not gRPC; '' a gRPC call that ended without a status.
 */
export function recordRequest(
  flow: Flow,
  peer: PeerFacts | null,
  status: number,
  flags: string,
  durationMs: number,
  requestBytes: number,
  responseBytes: number,
  grpcStatus: string | null = null,
): void {
  const series =
    flow.direction === 'inbound'
      ? inboundSeries(flow.context, flow.pod)
      : peer === null
        ? unroutedSeries(flow.context, flow.pod, flow.service)
        : flow.series(peer);
  const counter = grpcStatus === null ? series.http(status, flags) : series.grpc(status, flags, grpcStatus);
  counter.record(durationMs, requestBytes, responseBytes);
}

export interface RequestResult {
  /** As the client spoke. */
  readonly protocol: 'http' | 'http2' | 'grpc';
  readonly status: number;
  /** null: not gRPC; '' a gRPC call that ended without a status. */
  readonly grpcStatus: string | null;
  readonly reason: string | null;
  readonly durationMs: number;
}

export function logRequest(
  flow: Flow,
  peer: PeerFacts | null,
  log: RequestLog,
  result: RequestResult,
  requestBytes: number,
  responseBytes: number,
): void {
  const { status, reason } = result;
  flow.context.accessLog.write({
    ...accessFields(flow, peer),
    protocol: result.protocol,
    route: log.route,
    method: log.method,
    host: log.host,
    path: log.path,
    status,
    grpcStatus: result.grpcStatus === null || result.grpcStatus === '' ? null : Number(result.grpcStatus),
    reason: reason !== null && log.errno !== 0 ? `${reason} (${errnoName(log.errno)})` : reason,
    policy: log.policy,
    durationMs: Math.round(result.durationMs * 1000) / 1000,
    bytesFromClient: requestBytes,
    bytesToClient: responseBytes,
  });
}
