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

export class Daemon {
  readonly options: DaemonOptions;
  restarts = 0;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();
  #pauseMs = 0;
  /** Set while a restart was asked for, so that the end of the old process is no news. */
  #expected = false;

  constructor(options: DaemonOptions) {
    this.options = options;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    const { argv, env, logFile, label, log } = this.options;
    mkdirSync(dirname(logFile), { recursive: true, mode: 0o700 });
    const output = openSync(logFile, 'a', 0o600);
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', output, output], env, detached: true });
    closeSync(output);
    const started = Date.now();
    this.#child = child;
    this.#exited = new Promise((done) => {
      const ended = (how: string): void => {
        this.#child = null;
        done();
        if (this.#stopping.signal.aborted || this.#expected) return;
        if (Date.now() - started > HEALTHY_MS) this.#pauseMs = 0;
        log(
          `${label} ${how}; starting it again${this.#pauseMs === 0 ? '' : ` in ${this.#pauseMs / 1_000} s`} (its log: ${logFile})`,
        );
        void this.#startAgain();
      };
      child.on('error', (error) => ended(`could not be started: ${error.message}`));
      child.on('exit', (code, signal) =>
        ended(signal === null ? `ended with status ${exitStatus(code, null)}` : `was ended by ${signal}`),
      );
    });
  }

  /** Ends the running process (SIGTERM, or SIGKILL at once) and starts a new one; resolves when that is started. */
  async restart(kill: boolean, graceMs: number): Promise<void> {
    this.#expected = true;
    await this.#end(kill ? 0 : graceMs);
    this.#expected = false;
    this.restarts += 1;
    this.#pauseMs = 0;
    this.start();
  }

  /** Ends it for good. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#end(graceMs);
  }

  async #end(graceMs: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const patience = new AbortController();
    const gone = this.#exited.then(() => patience.abort());
    if (graceMs > 0) {
      child.kill('SIGTERM');
      await Promise.race([gone, delay(graceMs, patience.signal)]);
    }
    child.kill('SIGKILL');
    await gone;
  }

  async #startAgain(): Promise<void> {
    const pause = this.#pauseMs;
    this.#pauseMs = Math.min(pause + BACKOFF_STEP_MS, BACKOFF_MAX_MS);
    await delay(pause, this.#stopping.signal);
    if (this.#stopping.signal.aborted || this.#child !== null) return;
    this.restarts += 1;
    this.start();
  }
}
