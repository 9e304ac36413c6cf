/**
 * Whether a pod may have one more connection, request or dial, and what it is told when not. O(1), no allocation.
 *
 * For every protocol on the path:
 *
 *   accept:   admitConnection(pod) ─ false ─► RST
 *   request:  admitRequest(pod) ─ refusal ─► answer 503 with its reason; null ─► it counts as in flight until requestEnded(pod),
 *             which comes exactly once per admitted request or stream, however it ends
 *   dial:     admitDial(pod) ─ refusal ─► answer 503 with its reason; null ─► pod.usage.dialStarted() … dialEnded()
 *   buffers:  pod.usage.hold(octets) ─ false ─► answer 503 with bufferRefusal(pod) or, when it is too late, reset; else
 *             release(octets) later. An Outbox does this by itself: its write answers −ENOBUFS.
 *   reads:    at most pod.usage.readBytesMax octets at a time
 *
 * Each refusal is counted: in `bounds`, and in the pod's `shed` (weir stats, weir_pod_shed_total).
 */
import { FITS, fits, POD_LIMIT } from '../upstream/overload.ts';
import type { PodUsage } from '../upstream/usage.ts';

/** What the client is told, with status 503; gRPC: UNAVAILABLE. */
export interface AdmissionRefusal {
  /** x-weir-reason; agent/proxy/local-response.ts explains it. */
  readonly reason: string;
  /** Envoy's response flag: UO a circuit's bound, OM the overload manager. */
  readonly flags: string;
}

const REQUESTS_FULL: AdmissionRefusal = { reason: 'POD_LIMIT_REQUESTS', flags: 'UO' };
const PENDING_FULL: AdmissionRefusal = { reason: 'POD_LIMIT_PENDING', flags: 'UO' };
/** The pod's peers do not take what weir holds for them, and it may hold no more. */
const BUFFERS_FULL: AdmissionRefusal = { reason: 'POD_LIMIT_BUFFERED', flags: 'UO' };
const WORKER_OVERLOADED: AdmissionRefusal = { reason: 'OVERLOADED', flags: 'OM' };

/** Whom the work is done for. */
interface Payer {
  readonly usage: PodUsage;
}

/** A new connection; false: RST. It counts from where `pod.connectionsActive` is raised. */
export function admitConnection({ usage }: Payer): boolean {
  const fit = fits(usage.worker.connections, usage.connections, 1);
  if (fit !== FITS) usage.countShed('connections', fit);
  else if (usage.shedForCpu) usage.countShedForCpu();
  else return true;
  return false;
}

/** A request or stream: counted as in flight and null, or why not. Hot. */
export function admitRequest({ usage }: Payer): AdmissionRefusal | null {
  const share = usage.worker.requests;
  const fit = fits(share, usage.requests, 1);
  if (fit !== FITS) {
    usage.countShed('requests', fit);
    return fit === POD_LIMIT ? REQUESTS_FULL : WORKER_OVERLOADED;
  }
  if (usage.shedForCpu) {
    usage.countShedForCpu();
    return WORKER_OVERLOADED;
  }
  usage.requests++;
  share.total++;
  return null;
}

/** The end of an admitted request, exactly once. Hot. */
export function requestEnded({ usage }: Payer): void {
  usage.requests--;
  usage.worker.requests.total--;
}

/** A connection to an endpoint; it counts from `usage.dialStarted()` on. */
export function admitDial({ usage }: Payer): AdmissionRefusal | null {
  const fit = fits(usage.worker.pending, usage.pending, 1);
  if (fit === FITS) return null;
  usage.countShed('pending', fit);
  return fit === POD_LIMIT ? PENDING_FULL : WORKER_OVERLOADED;
}

/** After `usage.hold` or an Outbox said no. */
export function bufferRefusal({ usage }: Payer): AdmissionRefusal {
  return usage.holdRefusal === POD_LIMIT ? BUFFERS_FULL : WORKER_OVERLOADED;
}
