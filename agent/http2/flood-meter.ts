/**
 * Counts what only an attacker does often: cancelled requests (CVE-2023-44487), streams we had to reset (CVE-2025-8671), PING and
 * SETTINGS that want answers (CVE-2019-9512, 9515), PRIORITY, empty frames (CVE-2019-9518). A token bucket, one per connection.
 */
export class FloodMeter {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#atMs = nowMs;
  }

  /** False: more than a well-behaved peer would ever do; end the connection with ENHANCE_YOUR_CALM. */
  spend(nowMs: number): boolean {
    if (this.#left < 1) {
      this.#left = Math.min(this.#burst, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1_000);
      this.#atMs = nowMs;
      if (this.#left < 1) return false;
    } else if (this.#left === this.#burst) {
      this.#atMs = nowMs;
    }
    this.#left--;
    return true;
  }
}
