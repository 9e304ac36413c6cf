/**
 * When to ask next and what the answers mean: the kubelet's prober worker as a state machine without a clock.
 */
import type { ProbeSpec } from './probe-spec.ts';

export type ProbeKind = 'startup' | 'readiness' | 'liveness';

/** Shortest pause between two quick looks at a container that has not succeeded yet. */
const QUICK_START_MS = 50;

/** Counts one probe's answers. `passing` starts as false, except for liveness: a container lives until proven otherwise. */
export class ProbeTracker {
  readonly spec: ProbeSpec;
  readonly kind: ProbeKind;
  passing: boolean;
  #successes = 0;
  #failures = 0;
  #quickMs = QUICK_START_MS;
  #sincePeriodMs = 0;

  constructor(kind: ProbeKind, spec: ProbeSpec) {
    this.kind = kind;
    this.spec = spec;
    this.passing = kind === 'liveness';
  }

  /**
   * Takes one answer. Returns `failed` when failureThreshold is reached in a row (the kubelet then restarts the container,
   * or takes it out of its Services), `passed` when successThreshold is, else null.
   */
  record(success: boolean): 'passed' | 'failed' | null {
    // Quick looks exist to notice a start early; only those at the probe's own pace count against it.
    const onSchedule = this.#sincePeriodMs === 0;
    if (success) {
      this.#failures = 0;
      this.#successes += 1;
      if (this.#successes < this.spec.successThreshold) return null;
      this.passing = true;
      return 'passed';
    }
    this.#successes = 0;
    if (!onSchedule) return null;
    this.#failures += 1;
    if (this.#failures < this.spec.failureThreshold) return null;
    this.passing = false;
    return 'failed';
  }

  /**
   * Milliseconds until the next question. Kubernetes asks a container that is not ready more often than periodSeconds
   * ("to make the Pod ready faster"); here it starts at 50 ms and doubles, so that a sandbox starts as fast as its pods do.
   */
  nextDelayMs(): number {
    const periodMs = this.spec.periodSeconds * 1_000;
    const waiting = !this.passing && this.kind !== 'liveness' && this.#successes === 0;
    if (!waiting) {
      this.#sincePeriodMs = 0;
      return periodMs;
    }
    const pause = Math.min(this.#quickMs, periodMs - this.#sincePeriodMs);
    this.#quickMs = Math.min(this.#quickMs * 2, periodMs);
    this.#sincePeriodMs += pause;
    if (this.#sincePeriodMs >= periodMs) this.#sincePeriodMs = 0;
    return pause;
  }
}
