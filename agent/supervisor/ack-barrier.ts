/**
 * "Every live worker has answered": the wait behind a mesh change and behind a pod's listeners.
 *
 * A worker that dies is not waited for (it gets the whole state when it is back); one that joins can be added. Pure.
 */

export interface AckFailure {
  readonly slot: number;
  readonly error: string;
}

export interface AckResult {
  /** Workers that answered without an error. */
  readonly acks: number;
  readonly failures: readonly AckFailure[];
}

export interface AckMember {
  readonly slot: number;
  readonly generation: number;
}

export class AckBarrier {
  readonly done: Promise<AckResult>;
  readonly #acksMin: number;
  readonly #pending = new Set<number>();
  readonly #failures: AckFailure[] = [];
  #resolve!: (result: AckResult) => void;
  #acks = 0;
  #settled = false;

  /** With `acksMin` 1 the wait also goes on while no worker is alive at all. */
  constructor(members: Iterable<AckMember>, acksMin: 0 | 1) {
    this.#acksMin = acksMin;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const member of members) this.#pending.add(member.generation);
    this.#check();
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Generations that have not answered yet. */
  get pending(): ReadonlySet<number> {
    return this.#pending;
  }

  join(member: AckMember): void {
    if (!this.#settled) this.#pending.add(member.generation);
  }

  ack(member: AckMember, error: string | null): void {
    if (!this.#pending.delete(member.generation)) return;
    if (error === null) this.#acks += 1;
    else this.#failures.push({ slot: member.slot, error });
    this.#check();
  }

  gone(member: AckMember): void {
    if (this.#pending.delete(member.generation)) this.#check();
  }

  /** Ends the wait with what has been answered so far. */
  giveUp(): void {
    this.#finish();
  }

  #check(): void {
    if (this.#pending.size > 0) return;
    if (this.#acks >= this.#acksMin || this.#failures.length > 0) this.#finish();
  }

  #finish(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolve({ acks: this.#acks, failures: this.#failures });
  }
}
