/**
 * When a worker has too little CPU for its pods, and which of them use most of it. Pure; the clock is an argument.
 *
 * A busy loop is not overload: fair turns hold a flood back, and a closed loop of clients that keeps a core busy is served as
 * fast as the core can. It is overload when even a quiet pod waits long: turns that take limits.strainedTurnMs and leave events behind, one
 * after the other for limits.saturatedAfterMs. From then on the pods that used more CPU than the mean of the active ones, looked at every
 * limits.saturationWindowMs, are refused new requests and connections, until a turn is no longer strained.
 */
import { limits } from '../limits.ts';

/** What is known of a pod here. */
export interface CpuUser {
  readonly index: number;
  readonly usage: { shedForCpu: boolean };
}

/** A pod that used less than this share of the window, ms, is not active. */
const ACTIVE_MS = 1;

export class Saturation {
  #strainedSinceMs = Number.POSITIVE_INFINITY;
  #windowEndsMs = 0;
  #shedding = false;
  /** CPU time of each pod index at the start of the window, ms. */
  #marks: number[] = [];

  get shedding(): boolean {
    return this.#shedding;
  }

  /** After each turn. Hot: one comparison while all is well. */
  turnEnded(
    nowMs: number,
    turnMs: number,
    hasBacklog: boolean,
    cpuMs: (index: number) => number,
    pods: () => Iterable<CpuUser>,
  ): void {
    if (turnMs < limits.strainedTurnMs || !hasBacklog) {
      if (this.#strainedSinceMs !== Number.POSITIVE_INFINITY) this.#relax(pods());
      return;
    }
    if (this.#strainedSinceMs === Number.POSITIVE_INFINITY) {
      this.#strainedSinceMs = nowMs;
      this.#windowEndsMs = nowMs + limits.saturatedAfterMs;
      this.#mark(cpuMs, pods());
    } else if (nowMs >= this.#windowEndsMs) {
      this.#shedding = true;
      choose(pods(), cpuMs, this.#marks);
      this.#windowEndsMs = nowMs + limits.saturationWindowMs;
      this.#mark(cpuMs, pods());
    }
  }

  #relax(pods: Iterable<CpuUser>): void {
    this.#strainedSinceMs = Number.POSITIVE_INFINITY;
    if (!this.#shedding) return;
    this.#shedding = false;
    for (const pod of pods) pod.usage.shedForCpu = false;
  }

  #mark(cpuMs: (index: number) => number, pods: Iterable<CpuUser>): void {
    this.#marks = [];
    for (const { index } of pods) this.#marks[index] = cpuMs(index);
  }
}

/** Marks the pods whose CPU time since `marks` is above the mean of the active ones. A pod that was reset meanwhile counts from zero. */
function choose(pods: Iterable<CpuUser>, cpuMs: (index: number) => number, marks: readonly number[]): void {
  const used: { pod: CpuUser; ms: number }[] = [];
  let sum = 0;
  let active = 0;
  for (const pod of pods) {
    const total = cpuMs(pod.index);
    const mark = marks[pod.index] ?? total;
    const ms = total >= mark ? total - mark : total;
    used.push({ pod, ms });
    if (ms < ACTIVE_MS) continue;
    sum += ms;
    active++;
  }
  for (const { pod, ms } of used) pod.usage.shedForCpu = active > 1 && ms * active > sum;
}
