/** Raw octets sent from inside a pod, and what came back (test/sandbox/fixtures/raw-client.mjs). */
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Corner, Running } from '../../sandbox/sandbox-harness.ts';

const RAW_CLIENT = fileURLToPath(new URL('../../sandbox/fixtures/raw-client.mjs', import.meta.url));

export interface Answer {
  /** null: the connection ended without one. */
  readonly status: number | null;
  readonly reason: string;
  readonly location: string | null;
  /** What the workload was sent; null: it was sent nothing. */
  readonly seen: { readonly pod: string; readonly lines: readonly string[] } | null;
  readonly error: string | null;
}

interface Told {
  readonly id: number;
  readonly head?: string;
  readonly error?: string;
}

/** Connections at a time per pod: enough to be quick, few enough that nothing is shed. */
const CONCURRENT = 8;

export class PodSocket {
  readonly #running: Running;
  readonly #waiting = new Map<number, (told: Told) => void>();
  readonly #queue: (() => void)[] = [];
  #asked = 0;

  constructor(corner: Corner, pod: string) {
    this.#running = corner.start(['sandbox', 'exec', pod, '--', process.execPath, RAW_CLIENT]);
    const { stdout } = this.#running.child;
    if (stdout === null) throw new Error('a pipe was asked for');
    createInterface({ input: stdout }).on('line', (line) => {
      const told = JSON.parse(line) as Told;
      this.#waiting.get(told.id)?.(told);
      this.#waiting.delete(told.id);
      this.#queue.shift()?.();
    });
    void this.#running.finished.then(({ status, stderr }) => {
      for (const [id, tell] of this.#waiting) tell({ id, error: `the client ended with ${status}: ${stderr}` });
    });
  }

  /** Opens a connection of its own, sends the octets, and waits for one answer's head. */
  async send(ip: string, port: number, octets: Buffer): Promise<Answer> {
    const id = this.#asked++;
    if (this.#waiting.size >= CONCURRENT) {
      await new Promise<void>((go) => {
        this.#queue.push(go);
      });
    }
    const told = await new Promise<Told>((tell) => {
      this.#waiting.set(id, tell);
      this.#running.child.stdin?.write(`${JSON.stringify({ id, ip, port, octets: octets.toString('base64') })}\n`);
    });
    return told.head === undefined ? { ...NONE, error: told.error ?? 'no answer' } : answerOf(told.head);
  }
}

const NONE: Answer = { status: null, reason: '', location: null, seen: null, error: null };

function answerOf(head: string): Answer {
  const [statusLine = '', ...lines] = Buffer.from(head, 'base64').toString('latin1').split('\r\n');
  const field = (name: string): string | null =>
    lines.find((line) => line.toLowerCase().startsWith(`${name}: `))?.slice(name.length + 2) ?? null;
  const seen = field('x-seen');
  return {
    status: Number(statusLine.split(' ')[1]),
    reason: field('x-weir-reason') ?? '',
    location: field('location'),
    seen: seen === null ? null : (JSON.parse(Buffer.from(seen, 'base64').toString('utf8')) as Answer['seen']),
    error: null,
  };
}
