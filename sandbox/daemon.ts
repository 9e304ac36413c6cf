/** A process of the mesh itself (controller, one agent per node): started, watched, started again when it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { delay, exitStatus } from './processes.ts';

export interface DaemonOptions {
  /** For messages: `controller`, `agent on node-0`. */
  readonly label: string;
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  readonly log: (message: string) => void;
}

/** Pause before it is started again; the first time there is none. */
const BACKOFF_STEP_MS = 500;
const BACKOFF_MAX_MS = 5_000;
/** A run this long counts as healthy. */
const HEALTHY_MS = 10_000;

/** One process of a daemon. */
interface Run {
  readonly child: ChildProcess;
  /** Resolves with how it ended. */
  readonly exited: Promise<string>;
  ended: boolean;
  /** Its end was asked for, and is no news. */
  expected: boolean;
}

export class Daemon {
  readonly options: DaemonOptions;
  restarts = 0;
  #run: Run | null = null;
  /** Replaced processes that have not ended yet. */
  readonly #leaving = new Set<Run>();
  readonly #stopping = new AbortController();
  #pauseMs = 0;

  constructor(options: DaemonOptions) {
    this.options = options;
  }

  /** Of the process that counts; null while there is none. */
  get pid(): number | null {
    return this.#run?.child.pid ?? null;
  }

  start(): void {
    this.#run = this.#spawn();
  }

  /** Ends the running process (SIGTERM, or SIGKILL at once) and starts a new one; resolves when that is started. */
  async restart(kill: boolean, graceMs: number): Promise<void> {
    const run = this.#run;
    if (run !== null) await end(run, kill ? 0 : graceMs);
    this.restarts += 1;
    this.#pauseMs = 0;
    this.start();
  }

  /**
   * Starts a new process beside the running one, which is to end by itself once the new one has its place, and is ended when it
   * has not done so `graceMs` later. Resolves with `ready`, not with that end. Rejects when the new one ends before, or `ready`
   * rejects; the old one goes on then if it still can.
   * @param ready resolves when the process with this id has taken over.
   */
  async replace(ready: (pid: number) => Promise<void>, graceMs: number): Promise<void> {
    const old = this.#run;
    if (old === null) {
      this.start();
      return ready(this.pid ?? 0);
    }
    const next = this.#spawn();
    next.expected = true;
    old.expected = true;
    this.#run = next;
    try {
      const early = next.exited.then((how): never => {
        throw new Error(`the new ${this.options.label} ${how} (its log: ${this.options.logFile})`);
      });
      await Promise.race([ready(next.child.pid ?? 0), early]);
    } catch (error) {
      await end(next, 0);
      this.#run = old.ended ? null : old;
      old.expected = false;
      if (old.ended) void this.#startAgain();
      throw error;
    }
    next.expected = false;
    if (next.ended) this.#onUnexpectedEnd('ended');
    this.restarts += 1;
    this.#pauseMs = 0;
    this.#leaving.add(old);
    void this.#seeOff(old, graceMs);
  }

  /** Ends it for good. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const runs = [...this.#leaving, ...(this.#run === null ? [] : [this.#run])];
    await Promise.all(runs.map((run) => end(run, graceMs)));
  }

  #spawn(): Run {
    const { argv, env, logFile } = this.options;
    mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
    const output = openSync(logFile, 'a', 0o600);
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', output, output], env, detached: true });
    closeSync(output);
    const startedMs = Date.now();
    const exited = new Promise<string>((done) => {
      child.on('error', (error) => done(`could not be started: ${error.message}`));
      child.on('exit', (code, signal) =>
        done(signal === null ? `ended with status ${exitStatus(code, null)}` : `was ended by ${signal}`),
      );
    });
    const run: Run = { child, exited, ended: false, expected: false };
    void exited.then((how) => {
      run.ended = true;
      if (this.#run === run) this.#run = null;
      if (run.expected || this.#stopping.signal.aborted) return;
      if (Date.now() - startedMs > HEALTHY_MS) this.#pauseMs = 0;
      this.#onUnexpectedEnd(how);
    });
    return run;
  }

  #onUnexpectedEnd(how: string): void {
    const { label, log, logFile } = this.options;
    const when = this.#pauseMs === 0 ? '' : ` in ${this.#pauseMs / 1_000} s`;
    log(`${label} ${how}; starting it again${when} (its log: ${logFile})`);
    void this.#startAgain();
  }

  /** Waits for a replaced process to end, then makes it. */
  async #seeOff(run: Run, graceMs: number): Promise<void> {
    const gone = new AbortController();
    void run.exited.then(() => gone.abort());
    await delay(graceMs, gone.signal);
    if (!run.ended) this.options.log(`the old ${this.options.label} has not ended by itself; ending it`);
    await end(run, 0);
    this.#leaving.delete(run);
  }

  async #startAgain(): Promise<void> {
    const pause = this.#pauseMs;
    this.#pauseMs = Math.min(pause + BACKOFF_STEP_MS, BACKOFF_MAX_MS);
    await delay(pause, this.#stopping.signal);
    if (this.#stopping.signal.aborted || this.#run !== null) return;
    this.restarts += 1;
    this.start();
  }
}

/** SIGTERM, after the grace SIGKILL; resolves when it has ended. */
async function end(run: Run, graceMs: number): Promise<void> {
  run.expected = true;
  const patience = new AbortController();
  const gone = run.exited.then(() => patience.abort());
  if (graceMs > 0 && !run.ended) {
    run.child.kill('SIGTERM');
    await Promise.race([gone, delay(graceMs, patience.signal)]);
  }
  if (!run.ended) run.child.kill('SIGKILL');
  await gone;
}
