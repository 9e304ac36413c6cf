/**
 * Who is the pod that the runtime just made? The controller's Workload answers, waited for when it is not here yet.
 *
 * The CNI call carries namespace, name and (from kubelet) uid; names are reused, so the uid decides whenever it is given.
 */
import type { Workload } from '../../mesh/model.ts';
import type { PodIdentity, PodReference } from '../capture/enrolment-types.ts';
import { failure, type Result, success } from '../capture/result.ts';

/** The part of the mesh that knows pods (MeshHub). */
export interface WorkloadSource {
  byUid(uid: string): Workload | null;
  byName(namespacedName: string): Workload | null;
  /** Calls back after every change; returns how to stop. */
  subscribe(listener: () => void): () => void;
}

export interface ControllerView {
  readonly connected: boolean;
  readonly target: string;
  readonly lastError: string | null;
}

type Finding =
  | { readonly state: 'known'; readonly identity: PodIdentity }
  | { readonly state: 'refused'; readonly reason: string }
  /** Not there (yet); `otherUid`: the name is known, for another pod. */
  | { readonly state: 'unknown'; readonly otherUid: string | null };

/** One look at what is known now. Pure. */
export function findIdentity(pod: PodReference, node: string, source: WorkloadSource): Finding {
  const name = `${pod.namespace}/${pod.name}`;
  const named = source.byName(name);
  const workload = pod.uid === null ? named : source.byUid(pod.uid);
  if (workload === null) return { state: 'unknown', otherUid: named?.uid ?? null };
  if (workload.namespace !== pod.namespace || workload.name !== pod.name) {
    const actual = `${workload.namespace}/${workload.name}`;
    return {
      state: 'refused',
      reason: `the runtime calls uid ${workload.uid} ${name}, the API server calls it ${actual}`,
    };
  }
  if (workload.node !== node) {
    const where = workload.node === '' ? 'no node yet' : `node ${workload.node}`;
    return { state: 'refused', reason: `the API server has it on ${where}, this agent is node ${node} (--node)` };
  }
  if (workload.hostNetwork) {
    return { state: 'refused', reason: 'it uses the network of its node (hostNetwork: true), which is never captured' };
  }
  const { uid, serviceAccount, annotations } = workload;
  return { state: 'known', identity: { uid, serviceAccount, annotations } };
}

/**
 * Resolves when the pod is known or refused, after `waitMs` with IDENTITY_UNKNOWN, which says whether the controller was away.
 * Never rejects.
 */
export function awaitIdentity(
  pod: PodReference,
  node: string,
  source: WorkloadSource,
  controller: () => ControllerView,
  waitMs: number,
): Promise<Result<PodIdentity>> {
  return new Promise((resolve) => {
    const answer = (finding: Finding, timedOut: boolean): boolean => {
      if (finding.state === 'unknown' && !timedOut) return false;
      resolve(toResult(pod, finding, controller(), waitMs));
      return true;
    };
    if (answer(findIdentity(pod, node, source), waitMs <= 0)) return;
    const stop = (): void => {
      clearTimeout(timer);
      unsubscribe();
    };
    const timer = setTimeout(() => {
      stop();
      answer(findIdentity(pod, node, source), true);
    }, waitMs);
    const unsubscribe = source.subscribe(() => {
      if (answer(findIdentity(pod, node, source), false)) stop();
    });
  });
}

function toResult(
  pod: PodReference,
  finding: Finding,
  controller: ControllerView,
  waitMs: number,
): Result<PodIdentity> {
  const name = `pod ${pod.namespace}/${pod.name}`;
  if (finding.state === 'known') return success(finding.identity);
  if (finding.state === 'refused')
    return failure('IDENTITY_UNKNOWN', `${name} is not for this agent: ${finding.reason}`);
  const uid = pod.uid === null ? '' : ` (uid ${pod.uid})`;
  const stale =
    finding.otherUid === null ? '' : ` It knows that name only for uid ${finding.otherUid}, an earlier pod.`;
  const why = controller.connected
    ? `the controller at ${controller.target} has not sent it; does the controller see this pod?`
    : `the controller at ${controller.target} is not connected: ${controller.lastError ?? 'no attempt has ended yet'}`;
  return failure(
    'IDENTITY_UNKNOWN',
    `${name}${uid} is unknown after ${waitMs} ms: ${why}${stale} The runtime tries again.`,
    true,
  );
}
