/** Clients and servers of the interop service as processes in the pods of a WorkerLab. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { WorkerLab } from '../worker-lab.ts';
import type { ClientAnswer, ClientRequest } from './interop-client.ts';

function command(script: string, ...words: string[]): string[] {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return [process.execPath, '--import', import.meta.resolve('tsx'), path, ...words];
}

/** A server process; `ageMs` makes it send GOAWAY to every connection of that age. */
export function startServer(
  lab: WorkerLab,
  pod: string,
  port: number,
  ageMs: number | null = null,
): Promise<ChildProcess> {
  const age = ageMs === null ? [] : [String(ageMs)];
  return lab.run(pod, command('./interop-server.ts', pod, String(port), ...age));
}

/** Ends a server gracefully; resolves when its last call is over. */
export async function shutDown(server: ChildProcess): Promise<void> {
  server.stdin?.write('shutdown\n');
  await once(server.stdout as NodeJS.ReadableStream, 'data');
}

export class InteropClient {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: ClientAnswer) => void>();
  #lastId = 0;

  static async start(lab: WorkerLab, pod: string): Promise<InteropClient> {
    return new InteropClient(await lab.run(pod, command('./interop-client.ts')));
  }

  private constructor(child: ChildProcess) {
    this.#process = child;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const answer = JSON.parse(line) as ClientAnswer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  /** Runs a case (interop-cases.ts); rejects when it fails. The same target and options mean the same channel. */
  async run(name: string, target: string, options: ClientRequest['options'] = {}): Promise<unknown> {
    const id = ++this.#lastId;
    const answered = new Promise<ClientAnswer>((resolve) => this.#waiting.set(id, resolve));
    this.#process.stdin?.write(`${JSON.stringify({ id, run: name, target, options } satisfies ClientRequest)}\n`);
    const { error, result } = await answered;
    if (error !== null) throw new Error(`${name}: ${error}`);
    return result;
  }
}
