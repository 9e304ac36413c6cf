/**
 * The workers of one agent: started, welcomed, watched, restarted, drained.
 *
 * A slot is a place for one worker for the life of the agent; a generation is one process in it. What every worker must
 * know (mesh, pods) is kept by members (pool-member.ts); the pool only sees that a new worker hears it before it serves.
 */
import { type Caps, DEFAULT_CAPS } from '../ipc/caps.ts';
import type {
  AccessLogMode,
  ConnectionInfo,
  FromWorker,
  LogLevel,
  RequestTrace,
  ToWorker,
  WorkerStats,
} from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { Log } from './log.ts';
import type { PoolMember, WorkerLink } from './pool-member.ts';
import { RestartPolicy } from './restart-policy.ts';
import { WorkerProcess } from './worker-process.ts';

export type WorkerState = 'starting' | 'syncing' | 'serving' | 'draining' | 'down';

/** One row of `weir status`. */
export interface WorkerSummary {
  readonly worker: number;
  /** 0 while the slot has no process. */
  readonly pid: number;
  readonly state: WorkerState;
  readonly restarts: number;
  readonly lastExit: string | null;
}

export interface PoolOptions {
  readonly script: string;
  readonly count: number;
  readonly node: string;
  readonly trustDomain: string;
  readonly accessLog: AccessLogMode;
  readonly logLevel: LogLevel;
  /** What pods may use of each worker; those of limits.ts when left out. */
  readonly caps?: Caps;
  /** Between two looks at each worker; limits.workerPollMs when left out. */
  readonly pollMs?: number;
}

/** What the pool tells the rest of the supervisor; all called synchronously. */
export interface PoolListener {
  onStats(worker: WorkerLink, stats: WorkerStats): void;
  onAccessLog(worker: WorkerLink, chunk: Buffer): void;
  /** The worker's counters will not grow any more; `reason` in words. Returns fields for the log line (affected pods). */
  onDeath(worker: WorkerLink, reason: string): Readonly<Record<string, unknown>>;
}

interface Slot {
  readonly index: number;
  readonly restartPolicy: RestartPolicy;
  process: WorkerProcess | null;
  state: WorkerState;
  restarts: number;
  lastExit: string | null;
  unansweredPolls: number;
  timer: NodeJS.Timeout | null;
}

interface PendingQuery {
  readonly generation: number;
  readonly finish: (message: FromWorker | null) => void;
}

export interface ConnectionsAnswer {
  readonly connections: readonly ConnectionInfo[];
  readonly truncated: boolean;
}

/** A worker that leaves this many polls in a row unanswered hangs (counted, not timed: the supervisor may be frozen too). */
const UNANSWERED_POLLS_MAX = Math.ceil(limits.workerUnresponsiveMs / limits.workerPollMs);

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #members: readonly PoolMember[];
  readonly #listener: PoolListener;
  readonly #log: Log;
  readonly #slots: Slot[] = [];
  readonly #queries = new Map<number, PendingQuery>();
  readonly #servingWaiters = new Set<() => void>();
  #accessLog: AccessLogMode;
  #logLevel: LogLevel;
  #nextGeneration = 1;
  #nextQuery = 1;
  #pollTimer: NodeJS.Timeout | null = null;
  #closing = false;

  /** @param members in the order in which a new worker must hear them: the mesh before the pods. */
  constructor(options: PoolOptions, members: readonly PoolMember[], listener: PoolListener, log: Log) {
    this.#options = options;
    this.#members = members;
    this.#listener = listener;
    this.#log = log;
    this.#accessLog = options.accessLog;
    this.#logLevel = options.logLevel;
    for (let index = 0; index < options.count; index++) {
      this.#slots.push({
        index,
        restartPolicy: new RestartPolicy({
          deathsMax: limits.workerDeathsMax,
          windowMs: limits.workerDeathWindowMs,
          backoffMinMs: limits.workerBackoffMinMs,
          backoffMaxMs: limits.workerBackoffMaxMs,
        }),
        process: null,
        state: 'down',
        restarts: 0,
        lastExit: null,
        unansweredPolls: 0,
        timer: null,
      });
    }
  }

  get accessLog(): AccessLogMode {
    return this.#accessLog;
  }

  summaries(): WorkerSummary[] {
    return this.#slots.map((slot) => ({
      worker: slot.index,
      pid: slot.process?.pid ?? 0,
      state: slot.state,
      restarts: slot.restarts,
      lastExit: slot.lastExit,
    }));
  }

  /**
   * Starts all workers. Resolves when each of them serves, or has died once while another serves (one that keeps dying must
   * not hold up the node), or when the pool is drained before that.
   */
  async start(): Promise<void> {
    for (const slot of this.#slots) this.#spawn(slot);
    this.#pollTimer = setInterval(() => this.#poll(), this.#options.pollMs ?? limits.workerPollMs);
    while (!this.#started() && !this.#closing) {
      await new Promise<void>((resolve) => this.#servingWaiters.add(resolve));
    }
  }

  #started(): boolean {
    const tried = this.#slots.every((slot) => slot.state === 'serving' || slot.restarts > 0);
    return tried && this.#slots.some((slot) => slot.state === 'serving');
  }

  setAccessLog(mode: AccessLogMode): void {
    this.#accessLog = mode;
    this.broadcast({ type: 'accessLog', mode });
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    this.broadcast({ type: 'logLevel', level });
  }

  /** To every worker that was welcomed; a later one hears it only if a member or its hello says so. */
  broadcast(message: ToWorker): void {
    for (const slot of this.#slots) {
      if (slot.state === 'syncing' || slot.state === 'serving') slot.process?.send(message);
    }
  }

  /** Asks every worker for its counters; answers reach PoolListener.onStats. Resolves when all answered or timed out. */
  async refreshStats(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => this.#query(slot, 'stats')));
  }

  /** Live connections of all workers; `truncated` also when a worker did not answer in time. */
  async connections(): Promise<ConnectionsAnswer> {
    const answers = await Promise.all(this.#slots.map((slot) => this.#query(slot, 'connections')));
    const connections: ConnectionInfo[] = [];
    let truncated = false;
    for (const answer of answers) {
      if (answer?.type !== 'connections') truncated = true;
      else {
        for (const connection of answer.connections) connections.push(connection);
        truncated ||= answer.truncated;
      }
    }
    return { connections, truncated };
  }

  /** The last requests of all workers that were logged or refused, newest first; with an id that one, if it is still known. */
  async requests(id: string | null): Promise<readonly RequestTrace[]> {
    const answers = await Promise.all(this.#slots.map((slot) => this.#query(slot, 'requests', id)));
    const requests = answers.flatMap((answer) => (answer?.type === 'requests' ? answer.requests : []));
    return requests.sort((a, b) => b.timeMs - a.timeMs);
  }

  /**
   * Lets workers finish what is in flight, then ends them. Resolves when all are gone. Nothing restarts afterwards.
   * @param successor another agent accepts in the meantime: idle connections may then be used once more, instead of being closed.
   */
  async drain(deadlineMs: number, successor: boolean): Promise<void> {
    this.#closing = true;
    if (this.#pollTimer !== null) clearInterval(this.#pollTimer);
    this.#wakeServingWaiters();
    const draining: Slot[] = [];
    for (const slot of this.#slots) {
      if (slot.timer !== null) clearTimeout(slot.timer);
      if (slot.process === null) continue;
      const early = slot.state === 'starting';
      slot.state = 'draining';
      if (early) slot.process.kill('the agent stops');
      else slot.process.send({ type: 'drain', deadlineMs, successor });
      draining.push(slot);
    }
    // A worker keeps the deadline itself; the extra time is for one that does not.
    const timer = setTimeout(() => {
      for (const slot of draining) slot.process?.kill(`did not drain in ${deadlineMs} ms`);
    }, deadlineMs + limits.drainOvertimeMs);
    await Promise.all(draining.map((slot) => this.#untilGone(slot)));
    clearTimeout(timer);
  }

  #spawn(slot: Slot): void {
    slot.timer = null;
    slot.state = 'starting';
    slot.unansweredPolls = 0;
    const command = { script: this.#options.script, slot: slot.index, generation: this.#nextGeneration++ };
    const process = new WorkerProcess(command, {
      onMessage: (worker, message) => this.#onMessage(slot, worker, message),
      onOutput: (worker, line) => this.#log.warn({ worker: worker.slot, pid: worker.pid, line }, 'worker output'),
      onAccessLog: (worker, chunk) => this.#listener.onAccessLog(worker, chunk),
      onExit: (worker, reason) => this.#onExit(slot, worker, reason),
    });
    slot.process = process;
    slot.timer = setTimeout(
      () => process.kill(`not ready ${limits.workerStartMs} ms after its start`),
      limits.workerStartMs,
    );
  }

  #onMessage(slot: Slot, worker: WorkerProcess, message: FromWorker): void {
    slot.unansweredPolls = 0;
    if (message.type === 'log') {
      this.#log[message.level]({ ...message.fields, worker: worker.slot, workerPid: worker.pid }, message.message);
    } else if (message.type === 'ready') {
      if (slot.state === 'starting') this.#welcome(slot, worker);
      else if (slot.state !== 'draining') worker.kill('said ready twice');
    } else if (slot.state === 'starting') {
      worker.kill(`said ${message.type} before ready`);
    } else if (message.type === 'stats' || message.type === 'connections' || message.type === 'requests') {
      this.#answer(worker, message);
    } else {
      for (const member of this.#members) member.onMessage(worker, message);
    }
  }

  #welcome(slot: Slot, worker: WorkerProcess): void {
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.timer = null;
    slot.state = 'syncing';
    const { node, trustDomain, caps = DEFAULT_CAPS } = this.#options;
    const accessLog = this.#accessLog;
    worker.send({ type: 'hello', worker: worker.slot, node, trustDomain, accessLog, logLevel: this.#logLevel, caps });
    const caughtUp = this.#members.map((member) => member.welcome(worker));
    void Promise.all(caughtUp).then(() => {
      if (slot.process !== worker || slot.state !== 'syncing') return;
      slot.state = 'serving';
      this.#log.info({ worker: worker.slot, workerPid: worker.pid, restarts: slot.restarts }, 'worker serves');
      this.#wakeServingWaiters();
    });
  }

  #onExit(slot: Slot, worker: WorkerProcess, reason: string): void {
    const welcomed = slot.state !== 'starting';
    const drained = this.#closing;
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.timer = null;
    slot.process = null;
    slot.state = 'down';
    slot.lastExit = reason;
    for (const [id, query] of this.#queries) {
      if (query.generation === worker.generation) this.#finishQuery(id, null);
    }
    const affected = this.#listener.onDeath(worker, reason);
    if (welcomed) for (const member of this.#members) member.farewell(worker);
    if (drained) {
      this.#log.info({ worker: worker.slot, workerPid: worker.pid, reason }, 'worker ended');
      this.#wakeServingWaiters();
      return;
    }
    const nowMs = performance.now();
    const delayMs = slot.restartPolicy.delayAfterDeath(nowMs, nowMs - worker.startedAtMs);
    const fields = { ...affected, worker: worker.slot, workerPid: worker.pid, error: reason, restartInMs: delayMs };
    this.#log.error(fields, `worker ${worker.slot} died`);
    slot.restarts += 1;
    this.#wakeServingWaiters();
    if (delayMs === 0) this.#spawn(slot);
    else slot.timer = setTimeout(() => this.#spawn(slot), delayMs);
  }

  #poll(): void {
    for (const slot of this.#slots) {
      if (slot.state !== 'serving' && slot.state !== 'syncing') continue;
      if (slot.unansweredPolls >= UNANSWERED_POLLS_MAX) {
        slot.process?.kill(`hangs: it left ${UNANSWERED_POLLS_MAX} questions in a row unanswered`);
        continue;
      }
      slot.unansweredPolls += 1;
      void this.#query(slot, 'stats');
    }
  }

  #query(
    slot: Slot,
    what: 'stats' | 'connections' | 'requests',
    request: string | null = null,
  ): Promise<FromWorker | null> {
    const worker = slot.process;
    const asked = slot.state === 'serving' || slot.state === 'syncing' || slot.state === 'draining';
    if (worker === null || !asked) return Promise.resolve(null);
    const id = this.#nextQuery++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#finishQuery(id, null), limits.ipcQueryTimeoutMs);
      this.#queries.set(id, {
        generation: worker.generation,
        finish: (message) => {
          clearTimeout(timer);
          resolve(message);
        },
      });
      worker.send(what === 'requests' ? { type: 'query', id, what, request } : { type: 'query', id, what });
    });
  }

  #answer(worker: WorkerProcess, message: Extract<FromWorker, { readonly id: number }>): void {
    // Late answers still carry the newest counters, so they are used before the query is looked up.
    if (message.type === 'stats') this.#listener.onStats(worker, message.stats);
    if (this.#queries.get(message.id)?.generation === worker.generation) this.#finishQuery(message.id, message);
  }

  #finishQuery(id: number, message: FromWorker | null): void {
    const query = this.#queries.get(id);
    this.#queries.delete(id);
    query?.finish(message);
  }

  #wakeServingWaiters(): void {
    const waiters = [...this.#servingWaiters];
    this.#servingWaiters.clear();
    for (const waiter of waiters) waiter();
  }

  async #untilGone(slot: Slot): Promise<void> {
    while (slot.process !== null) await new Promise<void>((resolve) => this.#servingWaiters.add(resolve));
  }
}
