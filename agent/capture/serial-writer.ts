/** One write at a time of a state that changes meanwhile: requests that come during a write share the next one. */
export class SerialWriter<T> {
  readonly #write: () => Promise<T>;
  /** The write that has not begun yet: it will see every change made until it begins. */
  #next: Promise<T> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** `write` writes the state as it is when called, and never rejects. */
  constructor(write: () => Promise<T>) {
    this.#write = write;
  }

  /** Resolves when a write that began after this call has ended. */
  request(): Promise<T> {
    if (this.#next !== null) return this.#next;
    const turn = this.#last.then(() => {
      this.#next = null;
      return this.#write();
    });
    this.#next = turn;
    this.#last = turn;
    return turn;
  }
}
