/** What the pool promises to those who keep something in every worker (the mesh, the pods), and what it asks of them. */
import type { FromWorker, ToWorker } from '../ipc/messages.ts';

/** A worker that is ready. `generation` tells a restarted worker from the one before in the same slot. */
export interface WorkerLink {
  readonly slot: number;
  readonly generation: number;
  readonly pid: number;
  send(message: ToWorker): void;
  sendFrame(frame: Buffer): void;
  /** Restarts the worker; `reason` goes to the log. */
  kill(reason: string): void;
}

export interface PoolMember {
  /** The worker is ready: send it everything it must know. Resolves when it has it, or is gone. Sends synchronously. */
  welcome(worker: WorkerLink): Promise<void>;
  /** Every message after 'ready' is offered to every member. */
  onMessage(worker: WorkerLink, message: FromWorker): void;
  /** The worker is gone; called once for each one that was welcomed. */
  farewell(worker: WorkerLink): void;
}
