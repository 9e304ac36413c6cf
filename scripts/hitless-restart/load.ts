/** One client program in the client pod, and the newest counts it has printed. */
import { type ChildProcess, spawn } from 'node:child_process';

/** A line of client.mjs. Times are ms since the epoch. */
export interface Counts {
  readonly kind: string;
  readonly requests: number;
  readonly failed: number;
  /** Calls that HTTP/2 declared unprocessed, sent again. */
  readonly retried: number;
  readonly cuts: readonly number[];
  readonly failures: readonly { readonly what: string; readonly code: string; readonly at: number }[];
  readonly done: boolean;
}

export class Load {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  readonly #closed: Promise<void>;
  counts: Counts;
  ended = false;

  constructor(weir: string, script: string, kind: string, concurrency: number) {
    this.counts = { kind, requests: 0, failed: 0, retried: 0, cuts: [], failures: [], done: false };
    const command = [process.execPath, script, kind, 'echo', String(concurrency)];
    this.#child = spawn(process.execPath, [weir, 'sandbox', 'exec', 'client', '--', ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let partial = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (partial + chunk).split('\n');
      partial = lines.pop() ?? '';
      const last = lines.at(-1);
      if (last !== undefined) this.counts = JSON.parse(last) as Counts;
      this.#wake();
    });
    this.#closed = new Promise((resolve) => {
      this.#child.on('close', () => {
        this.ended = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Resolves at the next line, or when it has ended. */
  progress(): Promise<void> {
    return this.ended ? Promise.resolve() : new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Lets it finish what is in flight; rejects when it did not say so. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
    if (!this.counts.done) throw new Error(`the client for ${this.counts.kind} ended early`);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
