/**
 * The mesh in the supervisor and in every worker: one delta, the same bytes for all, in the same order.
 *
 * A delta is applied here first; what this MeshState refuses never reaches a worker and is NACKed. A worker that starts
 * later gets the whole state under the sequence number it stands for.
 */
import {
  MESH_KINDS,
  type MeshDelta,
  type MeshResource,
  type NameAnswer,
  type ResourceKey,
  type Workload,
} from '../../mesh/model.ts';
import { MeshState } from '../../mesh/state.ts';
import type { FromWorker, ToWorker } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { AckBarrier } from './ack-barrier.ts';
import { encodeFrame } from '../ipc/frame.ts';
import type { WorkloadSource } from './pod-identity.ts';
import type { PoolMember, WorkerLink } from './pool-member.ts';

export type ApplyResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: string; readonly resource: ResourceKey | null };

/** Frames of one state must fit; half the frame limit leaves room for the envelope and the last resource. */
const FULL_STATE_FRAME_BYTES = limits.ipcFrameBytesMax / 2;

/**
 * Splits a whole state into deltas whose JSON stays near `bytesMax`. Workers without pods need no atomicity. The last one has the
 * answers, when the entries that need them are there.
 */
export function fullStateFrames(
  resources: readonly MeshResource[],
  answers: readonly NameAnswer[],
  sequence: number,
  bytesMax: number,
): Buffer[] {
  const frames: Buffer[] = [];
  let parts: string[] = [];
  let bytes = 0;
  const flush = (more = ''): void => {
    const delta = `{"upserts":[${parts.join(',')}],"removals":[]${more}}`;
    frames.push(encodeFrame(`{"type":"meshDelta","sequence":${sequence},"delta":${delta}}`));
    parts = [];
    bytes = 0;
  };
  for (const resource of resources) {
    const json = JSON.stringify(resource);
    if (bytes > 0 && bytes + json.length > bytesMax) flush();
    parts.push(json);
    bytes += json.length;
  }
  flush(answers.length === 0 ? '' : `,"answers":${JSON.stringify(answers)}`);
  return frames;
}

export class MeshHub implements PoolMember, WorkloadSource {
  readonly state = new MeshState({ resolvesNames: true });
  readonly #workers = new Map<number, WorkerLink>();
  readonly #barriers = new Map<number, AckBarrier>();
  readonly #listeners = new Set<() => void>();
  /** Answers a new worker still owes for its full state, by generation. */
  readonly #welcomes = new Map<number, { owed: number; resolve: () => void }>();
  readonly #frameBytesMax: number;
  #sequence = 0;

  /** @param frameBytesMax a whole state is sent in frames near this size. */
  constructor(frameBytesMax: number = FULL_STATE_FRAME_BYTES) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Applies here and in every live worker; resolves when all have it. Refused: nothing changed anywhere. */
  async apply(delta: MeshDelta): Promise<ApplyResult> {
    const sequence = this.#sequence + 1;
    const frame = encodeFrame(JSON.stringify({ type: 'meshDelta', sequence, delta } satisfies ToWorker));
    if (frame.length > limits.ipcFrameBytesMax) {
      const error = `change of ${frame.length} bytes; the agent takes ${limits.ipcFrameBytesMax} at once: send it in parts`;
      return { ok: false, error, resource: null };
    }
    const { generation } = this.state;
    const applied = this.state.apply(delta);
    if (!applied.ok) return applied;
    // Answers come again and again, and mostly make no difference.
    const isNews = this.state.generation !== generation;
    if (!isNews && delta.upserts.length + delta.removals.length === 0) return applied;
    this.#sequence = sequence;
    const barrier = new AckBarrier(this.#workers.values(), 0);
    this.#barriers.set(sequence, barrier);
    for (const worker of this.#workers.values()) worker.sendFrame(frame);
    for (const listener of this.#listeners) listener();
    await barrier.done;
    this.#barriers.delete(sequence);
    return { ok: true };
  }

  byUid(uid: string): Workload | null {
    return this.state.workloadByUid(uid) ?? null;
  }

  byName(namespacedName: string): Workload | null {
    return this.state.workloadByName(namespacedName) ?? null;
  }

  /** Everything, in the order of MESH_KINDS. */
  resources(): MeshResource[] {
    return MESH_KINDS.flatMap((kind) => [...this.state.list(kind)]);
  }

  /** Calls `listener` after each applied delta; returns how to stop. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  welcome(worker: WorkerLink): Promise<void> {
    this.#workers.set(worker.generation, worker);
    const frames = fullStateFrames(this.resources(), this.state.nameAnswers(), this.#sequence, this.#frameBytesMax);
    const caughtUp = new Promise<void>((resolve) => {
      this.#welcomes.set(worker.generation, { owed: frames.length, resolve });
    });
    for (const frame of frames) worker.sendFrame(frame);
    return caughtUp;
  }

  onMessage(worker: WorkerLink, message: FromWorker): void {
    if (message.type !== 'meshApplied') return;
    if (message.error !== null) {
      // Both sides run the same code on the same state, so this worker's copy has diverged: give it a fresh one.
      worker.kill(`it refused mesh change ${message.sequence} that the supervisor accepted: ${message.error}`);
      return;
    }
    const welcome = this.#welcomes.get(worker.generation);
    if (welcome !== undefined) {
      // The socket keeps the order, so the first answers are those to the full state.
      welcome.owed -= 1;
      if (welcome.owed > 0) return;
      this.#welcomes.delete(worker.generation);
      welcome.resolve();
      return;
    }
    this.#barriers.get(message.sequence)?.ack(worker, null);
  }

  farewell(worker: WorkerLink): void {
    this.#workers.delete(worker.generation);
    this.#welcomes.get(worker.generation)?.resolve();
    this.#welcomes.delete(worker.generation);
    for (const barrier of this.#barriers.values()) barrier.gone(worker);
  }
}
