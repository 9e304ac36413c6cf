/** A client that runs inside a pod and sends what it is told, for as long as the session is open. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CLI } from '../demonstration/sandbox.ts';
import type { PodAnswer } from './compare.ts';

const CLIENT = fileURLToPath(new URL('pod-client.mjs', import.meta.url));

/** One request, `times` over; `address` is dialled (`name:port`). */
export interface PodQuestion {
  readonly protocol: 'http' | 'grpc';
  readonly address: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly times: number;
}

interface Waiting {
  readonly resolve: (answers: readonly PodAnswer[]) => void;
  readonly reject: (error: Error) => void;
}

export class PodSession {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;

  /** @param pod `name.namespace` */
  constructor(pod: string) {
    const words = [CLI, 'sandbox', 'exec', pod, '--', process.execPath, CLIENT];
    this.#child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the client in ${pod} ended with ${code}`));
      this.#waiting.clear();
    });
    if (this.#child.stdout === null) return;
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { id, answers } = JSON.parse(line) as { readonly id: number; readonly answers: readonly PodAnswer[] };
      this.#waiting.get(id)?.resolve(answers);
      this.#waiting.delete(id);
    });
  }

  /** All answers; rejects when the client ends. */
  ask(question: PodQuestion): Promise<readonly PodAnswer[]> {
    const id = this.#asked++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`);
    });
  }

  /** Ends the client; idempotent. */
  close(): void {
    this.#child.stdin?.end();
  }
}
