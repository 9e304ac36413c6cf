/**
 * The pods of this node as every worker knows them: listeners in each pod's namespace, in every worker.
 *
 * The only writer of podAdd and podRemove. Enrolment (agent/capture) decides which pods there are and gives each its index;
 * here it is made true in all workers, now and after a restart.
 */
import { done, failure, type Result } from '../capture/result.ts';
import type { EnrolledPod, FromWorker } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { AckBarrier, type AckResult } from './ack-barrier.ts';
import type { PoolMember, WorkerLink } from './pool-member.ts';

/** What one pod looks like from the supervisor. */
export interface PodEntry {
  readonly index: number;
  readonly pod: EnrolledPod;
  readonly netnsPath: string;
  /** Per worker slot: null = listening, text = why not; a slot that is missing has not answered. */
  readonly listeners: ReadonlyMap<number, string | null>;
}

interface MutableEntry extends PodEntry {
  readonly listeners: Map<number, string | null>;
  /** Waits for podListening from the workers that were asked last. */
  barrier: AckBarrier;
}

/** Tells of a worker that could not open a pod's listeners after its restart, when no `listen` waits for the answer. */
export type ListenErrorHandler = (entry: PodEntry, slot: number, error: string) => void;

export class PodTable implements PoolMember {
  readonly #entries = new Map<number, MutableEntry>();
  /** Index to the wait for every worker to let go of it. */
  readonly #leaving = new Map<number, AckBarrier>();
  readonly #workers = new Map<number, WorkerLink>();
  /** Indices whose answer a new worker owes before it has caught up, by generation. */
  readonly #welcomes = new Map<number, { readonly owed: Set<number>; readonly resolve: () => void }>();
  readonly #onListenError: ListenErrorHandler;

  constructor(onListenError: ListenErrorHandler) {
    this.#onListenError = onListenError;
  }

  list(): readonly PodEntry[] {
    return [...this.#entries.values()];
  }

  get(index: number): PodEntry | null {
    return this.#entries.get(index) ?? null;
  }

  /**
   * Opens listeners in the pod's namespace in every worker. Succeeds when all live workers listen and at least one does;
   * waits for a worker at most limits.cniReadyWaitMs. Called again for the same pod, only workers that do not listen are
   * asked: the others keep their connections. LISTENERS_FAILED names the workers and causes; nothing is undone then.
   */
  async listen(index: number, pod: EnrolledPod, netnsPath: string): Promise<Result<void>> {
    await this.#leaving.get(index)?.done;
    let entry = this.#entries.get(index);
    if (entry !== undefined && !samePod(entry, pod, netnsPath)) {
      await this.unlisten(index);
      entry = undefined;
    }
    if (entry === undefined) {
      entry = {
        index,
        pod,
        netnsPath,
        listeners: new Map(),
        barrier: this.#ask(index, pod, netnsPath, this.#workers.values()),
      };
      this.#entries.set(index, entry);
    } else if (entry.barrier.settled) {
      const { listeners } = entry;
      const deaf = [...this.#workers.values()].filter((worker) => listeners.get(worker.slot) !== null);
      if (deaf.length === 0 && listeners.size > 0) return done;
      entry.barrier = this.#ask(index, pod, netnsPath, deaf);
    }
    return this.#awaitListening(entry);
  }

  /** Closes the pod's listeners and connections in every worker; resolves when all have let go. Unknown: nothing to do. */
  async unlisten(index: number): Promise<void> {
    const entry = this.#entries.get(index);
    if (entry === undefined) {
      await this.#leaving.get(index)?.done;
      return;
    }
    this.#entries.delete(index);
    entry.barrier.giveUp();
    for (const [generation, welcome] of this.#welcomes) {
      if (welcome.owed.delete(index)) this.#settleWelcome(generation);
    }
    const barrier = new AckBarrier(this.#workers.values(), 0);
    this.#leaving.set(index, barrier);
    for (const worker of this.#workers.values()) worker.send({ type: 'podRemove', index });
    // An index that one worker still uses must not be given to another pod, so a silent worker is ended.
    const timer = setTimeout(() => {
      const reason = `did not let go of pod ${nameOf(entry)} in ${limits.cniReadyWaitMs} ms`;
      for (const generation of barrier.pending) this.#workers.get(generation)?.kill(reason);
    }, limits.cniReadyWaitMs);
    await barrier.done;
    clearTimeout(timer);
    this.#leaving.delete(index);
  }

  welcome(worker: WorkerLink): Promise<void> {
    this.#workers.set(worker.generation, worker);
    const owed = new Set<number>();
    const caughtUp = new Promise<void>((resolve) => {
      this.#welcomes.set(worker.generation, { owed, resolve });
    });
    for (const { index, pod, netnsPath, barrier } of this.#entries.values()) {
      owed.add(index);
      barrier.join(worker);
      worker.send({ type: 'podAdd', index, pod, netnsPath });
    }
    this.#settleWelcome(worker.generation);
    return caughtUp;
  }

  onMessage(worker: WorkerLink, message: FromWorker): void {
    if (message.type === 'podListening') this.#onListening(worker, message.index, message.error);
    else if (message.type === 'podGone') this.#leaving.get(message.index)?.ack(worker, null);
  }

  farewell(worker: WorkerLink): void {
    this.#workers.delete(worker.generation);
    const welcome = this.#welcomes.get(worker.generation);
    welcome?.owed.clear();
    this.#settleWelcome(worker.generation);
    for (const entry of this.#entries.values()) {
      entry.listeners.delete(worker.slot);
      entry.barrier.gone(worker);
    }
    for (const barrier of this.#leaving.values()) barrier.gone(worker);
  }

  #ask(index: number, pod: EnrolledPod, netnsPath: string, workers: Iterable<WorkerLink>): AckBarrier {
    const asked = [...workers];
    for (const worker of asked) worker.send({ type: 'podAdd', index, pod, netnsPath });
    return new AckBarrier(asked, 1);
  }

  #onListening(worker: WorkerLink, index: number, error: string | null): void {
    const entry = this.#entries.get(index);
    if (entry !== undefined) {
      entry.listeners.set(worker.slot, error);
      if (entry.barrier.settled && error !== null) this.#onListenError(entry, worker.slot, error);
      entry.barrier.ack(worker, error);
    }
    this.#welcomes.get(worker.generation)?.owed.delete(index);
    this.#settleWelcome(worker.generation);
  }

  async #awaitListening(entry: MutableEntry): Promise<Result<void>> {
    const { barrier } = entry;
    const timer = setTimeout(() => barrier.giveUp(), limits.cniReadyWaitMs);
    const result = await barrier.done;
    clearTimeout(timer);
    if (this.#entries.get(entry.index) !== entry) {
      return failure('LISTENERS_FAILED', `pod ${nameOf(entry)} was removed while its listeners were being opened`);
    }
    const complete = result.failures.length === 0 && result.acks > 0 && barrier.pending.size === 0;
    return complete ? done : failure('LISTENERS_FAILED', explain(entry, result, barrier.pending.size), true);
  }

  /** Resolves a new worker's welcome once it owes nothing. */
  #settleWelcome(generation: number): void {
    const welcome = this.#welcomes.get(generation);
    if (welcome === undefined || welcome.owed.size > 0) return;
    this.#welcomes.delete(generation);
    welcome.resolve();
  }
}

function nameOf(entry: PodEntry): string {
  return `${entry.pod.namespace}/${entry.pod.name}`;
}

function samePod(entry: PodEntry, pod: EnrolledPod, netnsPath: string): boolean {
  return (
    entry.netnsPath === netnsPath &&
    entry.pod.uid === pod.uid &&
    entry.pod.serviceAccount === pod.serviceAccount &&
    entry.pod.addresses.length === pod.addresses.length &&
    entry.pod.addresses.every((address, i) => address === pod.addresses[i])
  );
}

function explain(entry: PodEntry, result: AckResult, silent: number): string {
  const pod = `pod ${nameOf(entry)}`;
  if (result.failures.length > 0) {
    const causes = result.failures.map(({ slot, error }) => `worker ${slot}: ${error}`).join('; ');
    return `listeners of ${pod} in ${entry.netnsPath} could not be opened (${causes})`;
  }
  if (silent > 0) return `${silent} worker(s) did not open the listeners of ${pod} in ${limits.cniReadyWaitMs} ms`;
  return `no worker runs that could open the listeners of ${pod}; the agent's log says why workers exit`;
}
