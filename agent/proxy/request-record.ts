/** What remains of a request once it is answered: counters, and a line in the access log if asked for. */
import { errnoName } from '../engine/errno.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { Flow } from './flow.ts';
import { accessFields } from './flow-info.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { HeaderList } from '../http2/header-list.ts';
import { limits } from '../limits.ts';
import type { WorkerContext } from './context.ts';
import { inboundSeries, unroutedSeries } from './metric-labels.ts';
import type { PeerFacts } from './peer-facts.ts';
import { keptField } from './recent-requests.ts';

/** What is kept of a head for `weir explain`, beside what the access log shows. */
interface HeadSample {
  readonly query: string;
  readonly headers: readonly (readonly [string, string])[];
}

/** Strings copied out of the read buffer before it is overwritten; made only when an access log is on. */
export interface RequestLog {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  route: string | null;
  policy: string | null;
  errno: number;
  /** '' until somebody is told. */
  id: string;
  /** Of a request that was refused while its head was at hand, and of every one where all are logged. */
  sample: HeadSample | null;
}

export function captureRequest(head: RequestView): RequestLog {
  const { method, host, path } = head;
  return { method, host, path, route: null, policy: null, errno: 0, id: '', sample: null };
}

/** The id of a request that has a record. */
export function requestId(context: WorkerContext, log: RequestLog): string {
  if (log.id === '') log.id = context.recentRequests.id();
  return log.id;
}

export function headSample(head: RequestHead): HeadSample {
  const { fields } = head;
  const headers: [string, string][] = [];
  for (let i = 0; i < fields.count && i < limits.recentHeadersMax; i++) {
    const name = fields.bytes.toString('latin1', fields.nameStart(i), fields.nameEnd(i));
    headers.push(keptField(name, fields.bytes.toString('latin1', fields.valueStart(i), fields.valueEnd(i))));
  }
  return { query: head.query, headers };
}

export function listSample(list: HeaderList, query: string): HeadSample {
  const headers: [string, string][] = [];
  list.names.forEach((name, i) => {
    const isSecret = list.neverIndexed?.[i] === 1;
    if (name.startsWith(':') || headers.length >= limits.recentHeadersMax) return;
    headers.push(isSecret ? [name, '(not kept)'] : keptField(name, list.values[i] as string));
  });
  return { query, headers };
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
  /** weir answered or cut it, or it ended badly. */
  readonly failed: boolean;
}

/** Remembers a request that failed or is to be logged, and writes its line where one is asked for. */
export function logRequest(
  flow: Flow,
  peer: PeerFacts | null,
  log: RequestLog,
  result: RequestResult,
  requestBytes: number,
  responseBytes: number,
): void {
  const { status } = result;
  const { context } = flow;
  const id = requestId(context, log);
  const facts = accessFields(flow, peer);
  const reason =
    result.reason !== null && log.errno !== 0 ? `${result.reason} (${errnoName(log.errno)})` : result.reason;
  const durationMs = Math.round(result.durationMs * 1000) / 1000;
  const { route, method, host, path, policy } = log;
  const { protocol } = result;
  const line = {
    id,
    ...facts,
    protocol,
    route,
    method,
    host,
    path,
    status,
    grpcStatus: result.grpcStatus === null || result.grpcStatus === '' ? null : Number(result.grpcStatus),
    reason,
    policy,
    durationMs,
    bytesFromClient: requestBytes,
    bytesToClient: responseBytes,
  };
  if (context.accessLog.wants(result.failed)) context.accessLog.write(line);
  const { query, headers } = log.sample ?? { query: null, headers: null };
  const outcome = { status, reason: result.reason, route, policy, durationMs };
  context.recentRequests.add({
    id,
    timeMs: context.accessLog.nowMs,
    ...facts,
    protocol,
    method,
    host,
    path,
    query,
    headers,
    ...outcome,
  });
}
