/**
 * One worker process: spawned with its IPC socket on fd 3 and its access log on fd 4, watched until it is gone.
 *
 * Knows nothing of pods or of the mesh. A WorkerProcess is never restarted: the pool makes a new one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { ACCESS_LOG_FD, type FromWorker, IPC_FD, type ToWorker } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { IpcChannel } from './ipc-channel.ts';
import { LineSplitter } from './line-splitter.ts';

/** After 'exit', how long the last words on stderr may take; they name the cause of a crash. */
const LAST_WORDS_MS = 250;
/** After the IPC socket is lost, how long a worker has to end by itself and so to tell why. */
const LOST_SOCKET_MS = 500;
/** The line of a crash report that tells the cause, among stack traces and heap statistics. */
const TELLING_LINE = /FATAL ERROR|^\w*Error\b|Assertion/;

export interface WorkerHandlers {
  onMessage(worker: WorkerProcess, message: FromWorker): void;
  /** A line on stdout or stderr: a worker prints only when it is about to die. */
  onOutput(worker: WorkerProcess, line: string): void;
  onAccessLog(worker: WorkerProcess, chunk: Buffer): void;
  /** Called once; `reason` says why in words. */
  onExit(worker: WorkerProcess, reason: string): void;
}

export interface WorkerCommand {
  /** The worker's script: dist/agent/worker.js. */
  readonly script: string;
  readonly slot: number;
  /** Unique for the life of the supervisor: a restarted worker has the same slot and another generation. */
  readonly generation: number;
}

/** The Node flags of a worker: its heap is bounded, the rest is Node's default. */
function workerArguments(command: WorkerCommand): string[] {
  return [
    `--max-old-space-size=${limits.workerOldSpaceMiB}`,
    `--max-semi-space-size=${limits.workerSemiSpaceMiB}`,
    command.script,
    `worker=${command.slot}`,
  ];
}

/** The supervisor's environment without NODE_OPTIONS: an inspector or a loader meant for the supervisor is not the worker's. */
function workerEnvironment(): NodeJS.ProcessEnv {
  const environment = { ...process.env };
  delete environment['NODE_OPTIONS'];
  return environment;
}

export class WorkerProcess {
  readonly slot: number;
  readonly generation: number;
  readonly pid: number;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  readonly #child: ChildProcess;
  readonly #channel: IpcChannel | null;
  readonly #handlers: WorkerHandlers;
  #lastWords = '';
  #wordsAreTelling = false;
  #killReason: string | null = null;
  #lossTimer: NodeJS.Timeout | undefined;
  #gone = false;

  constructor(command: WorkerCommand, handlers: WorkerHandlers) {
    this.slot = command.slot;
    this.generation = command.generation;
    this.startedAtMs = performance.now();
    this.#handlers = handlers;
    this.#child = spawn(process.execPath, workerArguments(command), {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
      env: workerEnvironment(),
      // Its own session: Ctrl-C reaches only the supervisor, which drains. EOF on fd 3 ends a worker without a supervisor.
      detached: true,
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.once('error', (error) => this.#exited(`could not be started: ${error.message}`));
    this.#child.once('exit', (code, signal) => this.#onProcessExit(code, signal));
    this.#channel = this.#openStreams();
  }

  /** True until the process has ended. */
  get alive(): boolean {
    return !this.#gone;
  }

  send(message: ToWorker): void {
    this.#channel?.send(message);
  }

  sendFrame(frame: Buffer): void {
    this.#channel?.sendFrame(frame);
  }

  /** SIGKILL: a worker has nothing to save, and its loop runs no signal handler. Idempotent; the first reason counts. */
  kill(reason: string): void {
    if (this.#gone) return;
    this.#killReason ??= reason;
    this.#child.kill('SIGKILL');
  }

  /** Null when the process could not be started at all. */
  #openStreams(): IpcChannel | null {
    const ipc = this.#child.stdio[IPC_FD] as Socket | null | undefined;
    const accessLog = this.#child.stdio[ACCESS_LOG_FD] as Socket | null | undefined;
    if (!ipc || !accessLog) return null;
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      const lines = new LineSplitter(limits.workerOutputLineBytesMax);
      output?.on('data', (chunk: Buffer) => lines.push(chunk, (line) => this.#onLine(line)));
      output?.on('end', () => lines.end((line) => this.#onLine(line)));
      output?.on('error', (error) => this.#onLine(`output stream: ${error.message}`));
    }
    accessLog.on('data', (chunk: Buffer) => this.#handlers.onAccessLog(this, chunk));
    accessLog.on('error', (error) => this.#onLine(`access log stream: ${error.message}`));
    return new IpcChannel(
      ipc,
      {
        onMessage: (message) => this.#handlers.onMessage(this, message),
        onBroken: (reason) => this.kill(reason),
        onLost: (reason) => this.#onChannelLost(reason),
      },
      limits,
    );
  }

  #onLine(line: string): void {
    if (!this.#wordsAreTelling) {
      this.#lastWords = line.trim();
      this.#wordsAreTelling = TELLING_LINE.test(line);
    }
    this.#handlers.onOutput(this, line);
  }

  #onChannelLost(reason: string): void {
    this.#lossTimer = setTimeout(() => this.kill(reason), LOST_SOCKET_MS);
  }

  #onProcessExit(code: number | null, signal: NodeJS.Signals | null): void {
    const finish = (): void => this.#exited(this.#exitReason(code, signal));
    const timer = setTimeout(finish, LAST_WORDS_MS);
    this.#child.once('close', () => {
      clearTimeout(timer);
      finish();
    });
  }

  #exited(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    clearTimeout(this.#lossTimer);
    this.#channel?.close();
    this.#handlers.onExit(this, reason);
  }

  #exitReason(code: number | null, signal: NodeJS.Signals | null): string {
    if (this.#killReason !== null && signal === 'SIGKILL') return `killed by the supervisor: ${this.#killReason}`;
    const words = this.#lastWords === '' ? '' : `; it said: ${this.#lastWords}`;
    if (signal === 'SIGKILL') return `SIGKILL from outside, perhaps the kernel out of memory${words}`;
    return `${signal === null ? `exit code ${code}` : `signal ${signal}`}${words}`;
  }
}
