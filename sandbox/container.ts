/**
 * One container of a pod: starts its process, restarts it by the pod's policy with back-off, asks its probes, stops it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { containerArgv, enterArgv } from './container-process.ts';
import type { ResolvedCommand } from './environment.ts';
import type { ContainerSpec, RestartPolicy } from './pod-spec.ts';
import type { ProbeSpec } from './probe-spec.ts';
import { ProbeTracker } from './probe-tracker.ts';
import {
  catchesSignal,
  childrenOf,
  delay,
  exitStatus,
  run,
  signalProcess,
  type Tools,
  waitUntil,
} from './processes.ts';

export type ContainerState =
  /** Reasons are Kubernetes' own: ContainerCreating, PodInitializing, CrashLoopBackOff, CreateContainerConfigError. */
  | { readonly kind: 'waiting'; readonly reason: string; readonly message: string }
  | { readonly kind: 'running'; readonly pid: number }
  | { readonly kind: 'terminated'; readonly status: number };

/** What a container needs of its pod. */
export interface ContainerHost {
  readonly tools: Tools;
  readonly pausePid: number;
  readonly logFile: string;
  readonly defaultWorkingDir: string;
  readonly gracePeriodMs: number;
  resolve(): ResolvedCommand;
  /** Asks an httpGet or tcpSocket probe from the node. */
  ask(probe: ProbeSpec): Promise<{ success: boolean; detail: string }>;
  changed(): void;
  log(message: string): void;
}

/** First pause before a restart; it doubles up to the maximum. The kubelet's (10 s to 5 min) would only make people wait. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Without a readiness probe a container is ready when it has run this long, so that one that fails at once never is. */
const UNPROBED_READY_MS = 300;
/** A container that ran this long starts over with the first pause. */
const BACKOFF_RESET_MS = 60_000;

export class Container {
  readonly spec: ContainerSpec;
  state: ContainerState = { kind: 'waiting', reason: 'ContainerCreating', message: '' };
  restarts = 0;
  ready = false;
  /** Why the last probe or start failed; '' when nothing did. */
  lastFailure = '';
  readonly #host: ContainerHost;
  readonly #stopping = new AbortController();
  #child: ChildProcess | null = null;
  #exited: Promise<number> | null = null;

  constructor(spec: ContainerSpec, host: ContainerHost) {
    this.spec = spec;
    this.#host = host;
  }

  /** Runs until it need not run again (by policy) or is stopped; returns the last exit status. Never throws. */
  async runByPolicy(policy: RestartPolicy): Promise<number> {
    let pauseMs = BACKOFF_FIRST_MS;
    for (;;) {
      const started = Date.now();
      const status = await this.#runOnce();
      if (this.#isStopping() || policy === 'Never' || (policy === 'OnFailure' && status === 0)) return status;
      if (Date.now() - started > BACKOFF_RESET_MS) pauseMs = BACKOFF_FIRST_MS;
      this.#host.log(
        `container ${this.spec.name} ended with status ${status}; starting it again in ${pauseMs / 1_000} s`,
      );
      this.#set({ kind: 'waiting', reason: 'CrashLoopBackOff', message: `the last run ended with status ${status}` });
      await delay(pauseMs, this.#stopping.signal);
      if (this.#isStopping()) return status;
      pauseMs = Math.min(pauseMs * 2, BACKOFF_MAX_MS);
      this.restarts += 1;
    }
  }

  /** Ends it for good: SIGTERM and the grace period when it listens to that, then SIGKILL; resolves when it is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    await this.#terminate(graceMs);
  }

  async #runOnce(): Promise<number> {
    const command = this.#host.resolve();
    if (!command.ok) {
      this.lastFailure = command.reason;
      this.#set({ kind: 'waiting', reason: 'CreateContainerConfigError', message: command.reason });
      return 1;
    }
    const { tools, pausePid, logFile, defaultWorkingDir } = this.#host;
    const workingDir = this.spec.workingDir ?? defaultWorkingDir;
    const argv = containerArgv(tools, pausePid, workingDir, this.spec.addCapabilities, command.argv);
    const log = openSync(logFile, 'a', 0o600);
    const child = spawn(argv[0] ?? '', argv.slice(1), {
      stdio: ['ignore', log, log],
      env: { ...command.env },
      detached: true, // no terminal: Ctrl-C is for the user's command
    });
    closeSync(log);
    const exited = new Promise<number>((done) => {
      child.on('error', () => done(127));
      child.on('exit', (code, signal) => done(exitStatus(code, signal)));
    });
    this.#child = child;
    this.#exited = exited;
    await this.#watch(child, exited, command.env);
    const status = await exited;
    this.#child = null;
    this.#set({ kind: 'terminated', status });
    return status;
  }

  /** Waits for PID 1 of the container, then asks the probes for as long as it lives. */
  async #watch(child: ChildProcess, exited: Promise<number>, env: Readonly<Record<string, string>>): Promise<void> {
    const wrapper = child.pid;
    if (wrapper === undefined) return;
    let pid: number | undefined;
    await waitUntil(
      () => {
        pid = childrenOf(wrapper)[0];
        return pid !== undefined || child.exitCode !== null || child.signalCode !== null;
      },
      Date.now() + 10_000,
      2,
    );
    if (pid === undefined) return;
    this.#set({ kind: 'running', pid });
    if (this.#isStopping()) void this.#terminate(0);
    const life = new AbortController();
    const probing = this.#probeAll(pid, env, life.signal);
    await exited;
    life.abort();
    await probing;
  }

  async #probeAll(pid: number, env: Readonly<Record<string, string>>, life: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.spec;
    if (startupProbe !== null) await this.#probe(new ProbeTracker('startup', startupProbe), pid, env, life, true);
    if (life.aborted) return;
    if (readinessProbe === null) {
      await delay(UNPROBED_READY_MS, life);
      if (!life.aborted) this.#setReady(true);
    }
    const running: Promise<void>[] = [];
    if (readinessProbe !== null)
      running.push(this.#probe(new ProbeTracker('readiness', readinessProbe), pid, env, life, false));
    if (livenessProbe !== null)
      running.push(this.#probe(new ProbeTracker('liveness', livenessProbe), pid, env, life, false));
    await Promise.all(running);
  }

  /** One probe until the process ends (`once`: until it passes for the first time). */
  async #probe(
    tracker: ProbeTracker,
    pid: number,
    env: Readonly<Record<string, string>>,
    life: AbortSignal,
    once: boolean,
  ): Promise<void> {
    await delay(tracker.spec.initialDelaySeconds * 1_000, life);
    while (!life.aborted) {
      const { success, detail } = await this.#ask(tracker.spec, pid, env);
      if (life.aborted) return;
      this.lastFailure = success ? '' : `${tracker.kind} probe: ${detail}`;
      const outcome = tracker.record(success);
      if (tracker.kind === 'readiness' && outcome !== null) this.#setReady(outcome === 'passed');
      else if (outcome === 'failed') {
        this.#host.log(`container ${this.spec.name}: ${tracker.kind} probe failed, ending it: ${detail}`);
        void this.#terminate(this.#host.gracePeriodMs);
        return;
      }
      if (once && outcome === 'passed') return;
      await delay(tracker.nextDelayMs(), life);
    }
  }

  async #ask(
    probe: ProbeSpec,
    pid: number,
    env: Readonly<Record<string, string>>,
  ): Promise<{ success: boolean; detail: string }> {
    if (probe.action.type !== 'exec') return await this.#host.ask(probe);
    const workingDir = this.spec.workingDir ?? this.#host.defaultWorkingDir;
    const enter = { pid, workingDir, capabilities: this.spec.addCapabilities, userNamespace: false };
    const argv = enterArgv(this.#host.tools, enter, probe.action.command);
    const result = await run(argv, { env: { ...env }, timeoutMs: probe.timeoutSeconds * 1_000 });
    const said = (result.stderr.trim() || result.stdout.trim()).split('\n').at(-1) ?? '';
    return { success: result.status === 0, detail: `status ${result.status}${said === '' ? '' : `: ${said}`}` };
  }

  async #terminate(graceMs: number): Promise<void> {
    const child = this.#child;
    const exited = this.#exited;
    if (child === null || exited === null) return;
    const pid = this.state.kind === 'running' ? this.state.pid : null;
    this.#setReady(false);
    // The kernel drops SIGTERM for a PID 1 that has no handler: there is nothing to wait for then.
    if (pid !== null && graceMs > 0 && catchesSignal(pid, 'SIGTERM')) {
      signalProcess(pid, 'SIGTERM');
      const patience = new AbortController();
      await Promise.race([exited.then(() => patience.abort()), delay(graceMs, patience.signal)]);
    }
    if (pid !== null && child.exitCode === null && child.signalCode === null) signalProcess(pid, 'SIGKILL');
    child.kill('SIGKILL');
    await exited;
  }

  #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  #set(state: ContainerState): void {
    this.state = state;
    if (state.kind !== 'running') this.ready = false;
    this.#host.changed();
  }

  #setReady(ready: boolean): void {
    if (this.ready === ready) return;
    this.ready = ready;
    this.#host.changed();
  }
}
