/** A worker link that only writes down what it was sent: for PodTable and MeshHub, which never see a process. */
import type { ToWorker } from '../../../agent/ipc/messages.ts';
import { FRAME_HEADER_BYTES } from '../../../agent/ipc/frame.ts';
import type { WorkerLink } from '../../../agent/supervisor/pool-member.ts';

export class RecordingLink implements WorkerLink {
  readonly slot: number;
  readonly generation: number;
  readonly pid = 1;
  readonly sent: ToWorker[] = [];
  killed: string | null = null;

  constructor(slot: number, generation: number) {
    this.slot = slot;
    this.generation = generation;
  }

  send(message: ToWorker): void {
    this.sent.push(message);
  }

  sendFrame(frame: Buffer): void {
    this.sent.push(JSON.parse(frame.subarray(FRAME_HEADER_BYTES).toString('utf8')) as ToWorker);
  }

  kill(reason: string): void {
    this.killed ??= reason;
  }

  /** The types sent since the last call. */
  take(): string[] {
    return this.sent.splice(0).map((message) => message.type);
  }
}

/** Whether a promise has settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const first = await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))]);
  return first !== pending;
}
