/**
 * The streams that ended last: what arrives for one that we reset is ignored, since the peer could not know yet (RFC 9113
 * section 5.1, closed); what arrives for one that had ended is an error.
 */
const SIZE = 128;

export class RecentStreams {
  readonly #ids = new Int32Array(SIZE);
  readonly #reset = new Uint8Array(SIZE);
  #next = 0;

  add(id: number, reset: boolean): void {
    this.#ids[this.#next] = id;
    this.#reset[this.#next] = reset ? 1 : 0;
    this.#next = (this.#next + 1) % SIZE;
  }

  wasReset(id: number): boolean {
    const at = this.#ids.indexOf(id);
    return at >= 0 && this.#reset[at] === 1;
  }

  wasClosed(id: number): boolean {
    return this.#ids.includes(id);
  }
}
