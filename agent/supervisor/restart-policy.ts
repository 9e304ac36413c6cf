/** When a dead worker may come back: at once, unless it keeps dying. Pure: the clock is an argument. */

export interface RestartLimits {
  /** Deaths within `windowMs` that are still answered at once. */
  readonly deathsMax: number;
  readonly windowMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
}

/** One per worker slot. */
export class RestartPolicy {
  readonly #limits: RestartLimits;
  #deaths: number[] = [];
  #level = 0;

  constructor(limits: RestartLimits) {
    this.#limits = limits;
  }

  /** Milliseconds to wait before the restart of a worker that lived `livedMs` and died at `nowMs` (monotonic). */
  delayAfterDeath(nowMs: number, livedMs: number): number {
    const { deathsMax, windowMs, backoffMinMs, backoffMaxMs } = this.#limits;
    this.#deaths = this.#deaths.filter((at) => nowMs - at < windowMs);
    this.#deaths.push(nowMs);
    // Delays thin the deaths out, so the window alone would forget that the worker never got healthy in between.
    const stillFailing = this.#level > 0 && livedMs < windowMs;
    if (this.#deaths.length <= deathsMax && !stillFailing) {
      this.#level = 0;
      return 0;
    }
    this.#level += 1;
    return Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(this.#level - 1, 20));
  }
}
