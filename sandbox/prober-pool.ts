/** The prober process of a node (prober.ts): started when the first probe needs it, and again when it died. */
import { type ChildProcess, spawn } from 'node:child_process';
import { distFile, type Tools } from './processes.ts';
import type { ProbeAnswer, ProbeQuestion } from './prober.ts';

/** Beyond a probe's own time-out: then the prober itself is stuck. */
const GRACE_MS = 5_000;

export class ProberPool {
  readonly #tools: Tools;
  readonly #netns: string;
  #child: ChildProcess | null = null;
  #nextId = 1;
  readonly #waiting = new Map<number, (answer: ProbeAnswer) => void>();

  constructor(tools: Tools, netns: string) {
    this.#tools = tools;
    this.#netns = netns;
  }

  /** Asks one probe from the node's namespace; never rejects. */
  ask(question: Omit<ProbeQuestion, 'id'>): Promise<{ success: boolean; detail: string }> {
    const id = this.#nextId++;
    return new Promise((done) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        done({ success: false, detail: 'the prober does not answer' });
      }, question.timeoutMs + GRACE_MS);
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        done({ success: answer.success, detail: answer.detail });
      });
      this.#process().send({ id, ...question }, (error) => {
        if (error !== null)
          this.#waiting.get(id)?.({ id, success: false, detail: `the prober ended: ${error.message}` });
      });
    });
  }

  close(): void {
    this.#child?.kill('SIGKILL');
  }

  #process(): ChildProcess {
    if (this.#child !== null) return this.#child;
    const child = spawn(
      this.#tools.nsenter,
      [`--net=${this.#netns}`, process.execPath, distFile('sandbox/prober.js')],
      {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        detached: true,
      },
    );
    child.on('message', (answer: ProbeAnswer) => this.#waiting.get(answer.id)?.(answer));
    const ended = (): void => {
      if (this.#child === child) this.#child = null;
      for (const [id, answer] of this.#waiting) answer({ id, success: false, detail: 'the prober ended' });
    };
    child.on('error', ended);
    child.on('exit', ended);
    this.#child = child;
    return child;
  }
}
