/**
 * Who is refused when a worker's resource runs short: the pods that use most of it. Pure; numbers only.
 *
 *   0 ────────────── shared (3/4) ──────────────┬──── kept for pods below their fair share (1/4) ──── max
 *
 * Of the shared part a pod may use up to HEADROOM times what is still free (dynamic thresholds: Choudhury and Hahne, IEEE/ACM
 * Transactions on Networking 6(2), 1998). A pod alone gets HEADROOM/(HEADROOM+1) of it; as it fills, the threshold falls, so
 * the heaviest pods meet it first, long before the others notice anything. Of the rest every pod has an equal part for
 * itself, whatever the others do.
 *
 * What follows (and is tested as properties): if a pod is refused, every pod that uses as much or more would be, too; a pod below
 * its fair share is never refused; the total never exceeds max, however pods take and give back. (When pods are added their fair
 * shares shrink: what was taken before may leave newcomers less than theirs until it is given back; max holds even then.)
 */

/** How many times what is free a pod may use. Larger: a greedy pod gets more; less is left for the next one. */
const HEADROOM = 4;
const SHARED_PART = 3 / 4;

export const FITS = 0;
/** The pod's own cap is reached. */
export const POD_LIMIT = 1;
/** The worker's is, and the pod is among those that use most. */
export const OVERLOADED = 2;
export type Fit = typeof FITS | typeof POD_LIMIT | typeof OVERLOADED;

/** One resource of a worker. */
export class Share {
  /** In use, all pods. */
  total = 0;
  readonly max: number;
  readonly podMax: number;
  readonly shared: number;
  /** Every pod's own part. */
  fairShare: number;

  /** @param max all pods together; @param podMax one pod. */
  constructor(max: number, podMax: number) {
    this.max = max;
    this.podMax = podMax;
    this.shared = max * SHARED_PART;
    this.fairShare = max - this.shared;
  }

  /** Divides what is kept among `pods`. */
  divide(pods: number): void {
    this.fairShare = (this.max - this.shared) / (pods < 1 ? 1 : pods);
  }
}

/** Whether a pod that uses `used` of it may use `more`. Hot: a few comparisons. */
export function fits(share: Share, used: number, more: number): Fit {
  const usedThen = used + more;
  if (usedThen > share.podMax) return POD_LIMIT;
  const totalThen = share.total + more;
  if (usedThen <= HEADROOM * (share.shared - totalThen)) return FITS;
  return usedThen <= share.fairShare && totalThen <= share.max ? FITS : OVERLOADED;
}
