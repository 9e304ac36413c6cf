/**
 * How long a worker has worked for one tenant only. Looking for others' events costs as many events as that tenant has ready, so
 * one that has been alone for limits.soloAfterMs is let go on for limits.soloQuanta; otherwise one quantum, which bounds
 * what a quiet tenant waits beside a flood.
 */
import { limits } from '../limits.ts';

const NOBODY = -1;

export class SoloTenant {
  private last = NOBODY;
  private sharedMs = Number.NEGATIVE_INFINITY;

  /** Several tenants have work. */
  shared(nowMs: number): void {
    this.sharedMs = nowMs;
  }

  /** One tenant has all the work: how many quanta it may spend at once. Hot. */
  quanta(tenant: number, nowMs: number): number {
    if (tenant !== this.last) {
      if (this.last !== NOBODY) this.sharedMs = nowMs;
      this.last = tenant;
    }
    return nowMs - this.sharedMs > limits.soloAfterMs ? limits.soloQuanta : 1;
  }
}
