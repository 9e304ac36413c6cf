/** Which pods lost something when a worker died: for its log line. Pure. */
import type { PodEntry } from './pod-table.ts';

/** Names a log line carries; a node may have a thousand pods. */
const NAMES_MAX = 20;

export interface AffectedPods {
  /** Pods that had connections on the worker when it last reported: name to number of connections. */
  readonly connectionsLost: Readonly<Record<string, number>>;
  /** Pods whose listeners in this worker closed (other workers go on); at most 20 names, then the count says more. */
  readonly pods: readonly string[];
  readonly podCount: number;
}

/** @param active open connections per `namespace/name` on the worker, as last reported. */
export function affectedPods(entries: readonly PodEntry[], active: ReadonlyMap<string, number>): AffectedPods {
  const lost = [...active].filter(([, connections]) => connections > 0).sort((a, b) => b[1] - a[1]);
  const names = entries.map(({ pod }) => `${pod.namespace}/${pod.name}`).sort();
  return {
    connectionsLost: Object.fromEntries(lost.slice(0, NAMES_MAX)),
    pods: names.slice(0, NAMES_MAX),
    podCount: names.length,
  };
}
