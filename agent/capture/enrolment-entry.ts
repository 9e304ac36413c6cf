/** One enrolled pod in the memory of Enrolment, and the pure questions asked of it. */
import type { EnrolledPod } from '../ipc/messages.ts';
import type { AddRequest, Enrolled } from './enrolment-types.ts';
import { INTERCEPTION_MODE, type InterceptionMode } from './interception.ts';
import type { PodRecord } from './pods-store.ts';

/** A pod, from the moment its index and addresses are taken. */
export interface Entry extends PodRecord {
  /** `adding`: not yet answered to the runtime, not in list() and not on disk. */
  state: 'adding' | 'enrolled';
  /** What holds: without the mode TPROXY where that could not be had. */
  annotations: Readonly<Record<string, string>>;
  problem: string | null;
  /** Set once, when listeners and index are given back: the index may be another pod's afterwards. */
  released: Promise<void> | null;
}

/** Whether the pod was answered to the runtime. */
export function isEnrolled(entry: Entry): boolean {
  return entry.state === 'enrolled';
}

/** Whether a line of `missing` is about rules rather than listeners. */
export function isRule(missing: string): boolean {
  return !missing.includes('no listener');
}

/** `namespace/name`, for messages. */
export function nameOf({ pod }: { readonly pod: EnrolledPod }): string {
  return `${pod.namespace}/${pod.name}`;
}

/** Whether two pods claim the same address. */
export function overlaps(a: EnrolledPod, b: EnrolledPod): boolean {
  return a.addresses.some((address) => b.addresses.includes(address));
}

/** The same ADD again, as runtimes may repeat it; a pod without uid in the request is the one that is there. */
export function isSame(entry: Entry, request: AddRequest, inode: string): boolean {
  const { namespace, name, uid } = request.pod;
  return (
    isEnrolled(entry) &&
    entry.netnsInode === inode &&
    entry.netnsPath === request.netnsPath &&
    entry.ifName === request.ifName &&
    entry.pod.namespace === namespace &&
    entry.pod.name === name &&
    (uid === null || uid === entry.pod.uid) &&
    entry.pod.addresses.length === request.ips.length &&
    request.ips.every((ip) => entry.pod.addresses.includes(ip))
  );
}

/** What decides about capture: the annotations of exclusions, and the mode where it is not the usual one. */
export function captureAnnotations(
  annotations: Readonly<Record<string, string>>,
  mode: InterceptionMode,
): Readonly<Record<string, string>> {
  const exclusions = Object.entries(annotations).filter(([name]) => name.startsWith('weir.dev/exclude-'));
  return Object.fromEntries(mode === 'REDIRECT' ? exclusions : [...exclusions, [INTERCEPTION_MODE, mode]]);
}

/** The annotations of a pod that is redirected although it, or the agent's default, asked for TPROXY. */
export function withoutMode(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== INTERCEPTION_MODE));
}

/** What is kept on disk. */
export function recordOf(entry: Entry): PodRecord {
  const { containerId, ifName, index, pod, netnsPath, netnsInode, annotations, enrolledAtMs } = entry;
  return { containerId, ifName, index, pod, netnsPath, netnsInode, annotations, enrolledAtMs };
}

/** What others are told. */
export function enrolledOf(entry: Entry): Enrolled {
  const { containerId, ifName, index, pod, netnsPath, annotations, enrolledAtMs, problem } = entry;
  return { containerId, ifName, index, pod, netnsPath, annotations, enrolledAtMs, problem };
}

/** The pods that are not as the file says any more: gone, or the same container as another pod. Pure. */
export function strangers(entries: Iterable<Entry>, records: readonly PodRecord[]): Entry[] {
  const byContainer = new Map(records.map((record) => [record.containerId, record]));
  return [...entries].filter((entry) => {
    const record = byContainer.get(entry.containerId);
    return (
      record === undefined ||
      record.index !== entry.index ||
      record.netnsInode !== entry.netnsInode ||
      record.netnsPath !== entry.netnsPath ||
      record.pod.uid !== entry.pod.uid
    );
  });
}
