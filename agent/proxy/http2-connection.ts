/** What an HTTP/2 request to a peer goes on: one that is there, or a new one within the pod's bounds. */
import type { RequestFacts } from '../http2/request-facts.ts';
import type { StreamHandler } from '../http2/stream.ts';
import { Http1Stream } from '../upstream/http1-stream.ts';
import { HttpUpstream } from '../upstream/http-upstream.ts';
import { Http2Upstream } from '../upstream/http2-upstream.ts';
import { type AdmissionRefusal, admitDial } from './admission.ts';
import type { WorkerContext } from './context.ts';
import type { PeerFacts } from './peer-facts.ts';
import type { Pod } from './pod.ts';

export const UNREACHABLE: AdmissionRefusal = { reason: 'UPSTREAM_CONNECT_FAILED', flags: 'UF' };
export const OVERFLOW: AdmissionRefusal = { reason: 'UPSTREAM_OVERFLOW', flags: 'UO' };

/** One that is shared by all clients of the pod, or why there is none (answer 503). Hot. */
export function sharedConnection(context: WorkerContext, pod: Pod, peer: PeerFacts): Http2Upstream | AdmissionRefusal {
  const { http2 } = pod.pool;
  const known = http2.find(peer.endpoint);
  if (known !== null) return known;
  // A request sent again remembers its peer; the namespace to dial in is closed with the pod. A pod that leaves has closed its pool.
  if (peer.localPod?.closed === true || pod.closed) return UNREACHABLE;
  const refusal = admitDial(pod);
  if (refusal !== null) return refusal;
  if (http2.isFull(peer.endpoint)) return OVERFLOW;
  return http2.dial(pod.usage, peer.endpoint, peer.plan) ?? unreachable(context);
}

/** One of its own, for a client whose address it carries; or why there is none. */
export function ownConnection(context: WorkerContext, pod: Pod, peer: PeerFacts): Http2Upstream | AdmissionRefusal {
  if (peer.localPod?.closed === true) return UNREACHABLE;
  const refusal = admitDial(pod);
  if (refusal !== null) return refusal;
  const upstream = new Http2Upstream(context, pod.usage, peer.endpoint, peer.plan, null);
  return upstream.open() < 0 ? unreachable(context) : upstream;
}

/**
 * A request that an endpoint is asked in HTTP/1.1, on a pooled connection or a new one; or why there is none.
 * @param again it has met a connection that was stale: others may be, too
 */
export function http1Stream(
  context: WorkerContext,
  pod: Pod,
  peer: PeerFacts,
  facts: RequestFacts,
  handler: StreamHandler,
  again: boolean,
): Http1Stream | AdmissionRefusal {
  let upstream = again ? null : pod.pool.take(peer.endpoint);
  if (upstream === null) {
    const refusal = peer.localPod?.closed === true ? UNREACHABLE : admitDial(pod);
    if (refusal !== null) return refusal;
    upstream = new HttpUpstream(context, pod.usage, peer.endpoint, peer.plan, pod.pool);
    if (upstream.open() < 0) return unreachable(context);
  }
  return new Http1Stream(context, upstream, facts, handler);
}

function unreachable(context: WorkerContext): AdmissionRefusal {
  context.bounds.event('upstream_dial_failed');
  return UNREACHABLE;
}
