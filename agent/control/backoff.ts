/** How long to wait before the next attempt to reach the controller. */
import { limits } from '../limits.ts';

/** Doubles from limits.controlBackoffMinMs to limits.controlBackoffMaxMs; each wait is 50 to 100 % of that, at random. */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** `random`: 0 ≤ x < 1. Agents that lost the same controller must not come back in step. */
  constructor(random: () => number) {
    this.#random = random;
  }

  nextMs(): number {
    const ceiling = Math.min(
      limits.controlBackoffMaxMs,
      limits.controlBackoffMinMs * 2 ** Math.min(this.#failures, 16),
    );
    this.#failures += 1;
    return Math.round(ceiling * (0.5 + 0.5 * this.#random()));
  }

  reset(): void {
    this.#failures = 0;
  }
}
