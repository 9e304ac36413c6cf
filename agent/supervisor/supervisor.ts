/**
 * One agent, put together: what starts in which order, and how it ends.
 *
 *   admin socket (also the lock on the run dir) → snapshot → workers with the mesh → pods of the previous run, listeners
 *   before rules → CNI server → controller → ready
 *
 * Ending: no new CNI requests, the stream closed, workers drained. The rules stay in the pods: while no agent listens, their
 * connections are refused, never uncaptured.
 */
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createAdminServer } from '../admin/http-router.ts';
import { verifyDocument } from '../admin/documents.ts';
import { adminRoutes, metricsRoutes } from '../admin/routes.ts';
import { listenPrivately } from '../admin/unix-listener.ts';
import { PodRules } from '../capture/apply.ts';
import { BypassSets } from '../capture/bypass.ts';
import { CniServer } from '../capture/cni-server.ts';
import { Enrolment } from '../capture/enrolment.ts';
import type { Enrolled, PodReference } from '../capture/enrolment-types.ts';
import { ProbeRules } from '../capture/probe-rules.ts';
import { done, failure, type Result } from '../capture/result.ts';
import { ControlClient } from '../control/client.ts';
import { SnapshotStore } from '../control/snapshot-store.ts';
import { type CaptureReport, verifyCapture } from '../capture/verify.ts';
import { DURATION_BUCKETS_MS, type LogLevel } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { StatsLedger } from '../telemetry/stats-ledger.ts';
import { AccessLogSink } from './access-log-sink.ts';
import { AgentView } from './agent-view.ts';
import { affectedPods } from './affected-pods.ts';
import { type AgentLog, messageOf } from './log.ts';
import { type ApplyResult, MeshHub } from './mesh-hub.ts';
import type { AgentOptions, ControllerTls } from './options.ts';
import { awaitIdentity } from './pod-identity.ts';
import { PodTable } from './pod-table.ts';
import { weirVersion } from './version.ts';
import { WorkerPool } from './worker-pool.ts';

/** dist/agent/supervisor/ → dist/agent/worker.js. A worker is always the built file: Node runs it without a loader. */
const WORKER_SCRIPT = fileURLToPath(new URL('../worker.js', import.meta.url));

type StartStep = 'configuration' | 'workers' | 'pods' | 'CNI server' | 'ready' | 'stopping';

export class Supervisor {
  readonly #options: AgentOptions;
  readonly #log: AgentLog;
  readonly #hub = new MeshHub();
  readonly #ledger = new StatsLedger(DURATION_BUCKETS_MS.length + 1, limits.metricLedgerSeriesMax);
  readonly #accessLog: AccessLogSink;
  readonly #accessLogOutput: Writable;
  readonly #pods: PodTable;
  readonly #pool: WorkerPool;
  readonly #store: SnapshotStore;
  readonly #control: ControlClient;
  readonly #podRules = new PodRules();
  readonly #enrolment: Enrolment;
  readonly #bypass: BypassSets;
  readonly #cni: CniServer;
  readonly #view: AgentView;
  readonly #snapshotPath: string;
  readonly #servers: Server[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #releaseSocket: () => void = () => {};
  #step: StartStep = 'configuration';
  #hasConfiguration = false;
  #configRefused = 0;
  #repairing = false;

  /** Reads the TLS files; throws Error with the remedy when one cannot be read. Opens nothing else. */
  constructor(options: AgentOptions, log: AgentLog) {
    this.#options = options;
    this.#log = log;
    this.#snapshotPath = `${options.stateDir}/snapshot.json`;
    mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
    this.#accessLogOutput = openAccessLog(options.accessLogFile);
    this.#accessLog = new AccessLogSink(this.#accessLogOutput);
    this.#pods = new PodTable((entry, worker, error) => {
      const pod = `${entry.pod.namespace}/${entry.pod.name}`;
      this.#log.error({ pod, worker, error }, 'listeners of a pod could not be opened again');
    });
    this.#pool = this.#makePool();
    const write = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void => {
      this.#log[level](fields, message);
    };
    this.#store = new SnapshotStore(this.#snapshotPath, { log: write });
    this.#control = new ControlClient({
      target: options.controller,
      node: options.node,
      tls: readTls(options.controllerTls),
      store: this.#store,
      apply: (delta) => this.#applyDelta(delta),
      random: Math.random,
      log: write,
    });
    this.#enrolment = new Enrolment(
      { stateDir: options.stateDir, excludeNamespaces: options.excludeNamespaces },
      {
        identityOf: (pod, waitMs) => this.#identityOf(pod, waitMs),
        listen: (index, pod, netnsPath) => this.#pods.listen(index, pod, netnsPath),
        unlisten: (index) => this.#pods.unlisten(index),
        readiness: () => this.#readiness(),
        podRules: this.#podRules,
        probeRules: new ProbeRules(options.hostNetns, options.node),
        onEnrolled: () => void this.#bypass.request(),
        log: write,
        now: Date.now,
      },
    );
    this.#bypass = new BypassSets({
      mesh: this.#hub.state,
      podRules: this.#podRules,
      enrolled: () => this.#enrolment.list(),
      accessLog: () => this.#pool.accessLog,
      log: write,
    });
    this.#cni = new CniServer(this.#enrolment, `${options.runDir}/cni.sock`);
    this.#view = this.#makeView();
  }

  /** Resolves when the agent is ready, or was stopped meanwhile. Rejects when a socket cannot be had. */
  async start(): Promise<void> {
    await this.#openAdmin();
    await this.#loadSnapshot();
    this.#step = 'workers';
    await this.#pool.start();
    if (this.#isStopping()) return;
    this.#step = 'pods';
    await this.#bypass.request();
    await this.#enrolment.start();
    await this.#bypass.request();
    if (this.#isStopping()) return;
    this.#step = 'CNI server';
    await this.#cni.listen();
    if (this.#isStopping()) return;
    this.#control.start();
    this.#step = 'ready';
    this.#every(limits.captureRepairMs, () => this.#repair());
    const { controller } = this.#options;
    this.#log.info({ controller, pods: this.#enrolment.list().length }, 'agent is up');
  }

  /** Drains and closes everything; resolves when the process may exit. Idempotent. */
  async stop(): Promise<void> {
    if (this.#isStopping()) return;
    this.#step = 'stopping';
    this.#log.info(
      { deadlineMs: limits.drainDeadlineMs },
      'agent stops; pods stay captured and refuse connections until it is back',
    );
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([withDeadline(this.#cni.close(), limits.cniCloseMs), this.#control.stop()]);
    await Promise.all([this.#pool.drain(limits.drainDeadlineMs), this.#enrolment.close(), this.#bypass.close()]);
    await this.#store.close();
    this.#releaseSocket();
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    await flush(this.#accessLogOutput);
  }

  #isStopping(): boolean {
    return this.#step === 'stopping';
  }

  #makePool(): WorkerPool {
    const { workers, node, trustDomain, accessLog, logLevel } = this.#options;
    return new WorkerPool(
      { script: WORKER_SCRIPT, count: workers, node, trustDomain, accessLog, logLevel },
      [this.#hub, this.#pods],
      {
        onStats: (worker, stats) => this.#ledger.report(worker.generation, stats),
        onAccessLog: (worker, chunk) => this.#accessLog.push(worker.generation, chunk),
        onDeath: (worker) => {
          const affected = affectedPods(this.#pods.list(), this.#ledger.activeConnections(worker.generation));
          this.#ledger.close(worker.generation);
          this.#accessLog.forget(worker.generation);
          return { ...affected };
        },
      },
      this.#log,
    );
  }

  #makeView(): AgentView {
    const { node, trustDomain } = this.#options;
    return new AgentView({
      node,
      version: weirVersion(),
      trustDomain,
      snapshotPath: this.#snapshotPath,
      log: this.#log,
      pool: this.#pool,
      hub: this.#hub,
      pods: this.#pods,
      ledger: this.#ledger,
      accessLog: this.#accessLog,
      configRefused: () => this.#configRefused,
      control: () => this.#control.status(),
      enrolled: () => this.#enrolment.list(),
      find: (pod) => this.#enrolment.find(pod),
      verify: async (enrolled) => verifyDocument(enrolled, await this.#verify(enrolled)),
      iptables: () => ({ backend: this.#podRules.backend }),
      bypass: this.#bypass,
      notReady: () => this.#notReady(),
    });
  }

  #verify(enrolled: Enrolled): Promise<CaptureReport> {
    return verifyCapture(enrolled, {
      arm: async (token, podIndex) => {
        this.#pool.broadcast({ type: 'verifyArm', token, podIndex });
        // Messages are handled in order: whoever has answered this query knows the token.
        await this.#pool.refreshStats();
      },
      disarm: (token) => this.#pool.broadcast({ type: 'verifyDisarm', token }),
      podRules: this.#podRules,
      hostNetnsPath: this.#options.hostNetns,
      newToken: () => randomBytes(24).toString('hex'),
    });
  }

  /** First of all: the socket is the lock on the run dir, and status can be asked while the rest starts. */
  async #openAdmin(): Promise<void> {
    const { runDir, node, metricsListen } = this.#options;
    const onFailure = (route: string, error: unknown): void => {
      this.#log.error({ route, error: messageOf(error) }, 'admin request failed');
    };
    const admin = createAdminServer(adminRoutes(this.#view), node, onFailure);
    this.#releaseSocket = await listenPrivately(admin, `${runDir}/agent.sock`);
    admin.on('error', (error) => onFailure('accept', error));
    this.#servers.push(admin);
    if (metricsListen === null) return;
    const metrics = createAdminServer(metricsRoutes(this.#view), node, onFailure);
    const { port, host } = metricsListen;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error): void => reject(new Error(`--metrics-listen ${host}:${port}: ${error.message}`));
      metrics.once('error', onError);
      metrics.listen(port, host, () => {
        metrics.off('error', onError);
        resolve();
      });
    });
    metrics.on('error', (error) => onFailure('accept', error));
    this.#servers.push(metrics);
    this.#log.info({ host, port: (metrics.address() as AddressInfo).port }, 'metrics are served');
  }

  async #loadSnapshot(): Promise<void> {
    const { resources, error } = this.#store.load();
    if (error !== null) this.#log.error({ error, path: this.#snapshotPath }, 'stored configuration was not usable');
    if (resources.length === 0) return;
    const applied = await this.#hub.apply({ upserts: resources, removals: [] });
    if (!applied.ok) {
      this.#log.error({ error: applied.error, path: this.#snapshotPath }, 'stored configuration was refused');
      return;
    }
    this.#hasConfiguration = true;
    this.#log.info({ resources: resources.length, path: this.#snapshotPath }, 'stored configuration is in use');
  }

  async #applyDelta(delta: Parameters<MeshHub['apply']>[0]): Promise<ApplyResult> {
    const applied = await this.#hub.apply(delta);
    if (applied.ok) this.#hasConfiguration = true;
    else this.#configRefused += 1;
    // Applied means enforced, also on what does not pass the workers.
    await this.#bypass.request();
    return applied;
  }

  #identityOf(pod: PodReference, waitMs: number): ReturnType<typeof awaitIdentity> {
    return awaitIdentity(pod, this.#options.node, this.#hub, () => this.#control.status(), waitMs);
  }

  /** Why an ADD would not be served, or the agent is not ready; empty when all is well. */
  #notReady(): readonly string[] {
    if (this.#isStopping()) return ['the agent stops'];
    const reasons: string[] = [];
    if (this.#step !== 'ready') reasons.push(`the agent starts: ${this.#step}`);
    if (!this.#pool.summaries().some(({ state }) => state === 'serving')) reasons.push('no worker serves');
    // An empty mesh is a configuration too: the controller has answered, there was just nothing to apply.
    if (!this.#hasConfiguration && this.#control.status().systemVersion === '') {
      const { target, lastError } = this.#control.status();
      const why = lastError === null ? '' : `: ${lastError}`;
      reasons.push(`no configuration yet, neither stored nor from the controller at ${target}${why}`);
    }
    return reasons;
  }

  #readiness(): Result<void> {
    const reasons = this.#notReady();
    return reasons.length === 0 ? done : failure('NOT_READY', reasons.join('; '), true);
  }

  #every(intervalMs: number, work: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void work(), intervalMs));
  }

  async #repair(): Promise<void> {
    this.#view.expireMetrics();
    if (this.#repairing) return; // a slow round: the next timer tick tries again
    this.#repairing = true;
    try {
      const repaired = await this.#enrolment.repair();
      await this.#bypass.request();
      const pods = repaired.map(({ pod }) => `${pod.namespace}/${pod.name}`);
      if (pods.length > 0) this.#log.warn({ pods }, 'capture of pods was repaired');
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'looking after the capture of pods failed');
    } finally {
      this.#repairing = false;
    }
  }
}

function openAccessLog(file: string | null): Writable {
  if (file !== null) return createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A command of the CLI ends when the reader of its output is gone; an agent loses its access log and goes on.
  process.stdout.removeAllListeners('error');
  return process.stdout;
}

/** Waits until what was written has been taken, or its reader is too slow. */
function flush(output: Writable): Promise<void> {
  return withDeadline(new Promise<void>((resolve) => output.write('', () => resolve())), 1_000);
}

/** Resolves with the work, or when its time is up; the work goes on then. */
async function withDeadline(work: Promise<void>, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs);
  });
  await Promise.race([work, deadline]);
  clearTimeout(timer);
}

function readTls(tls: ControllerTls | null): { ca: Buffer; cert: Buffer | null; key: Buffer | null } | null {
  if (tls === null) return null;
  const read = (flag: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Error(`${flag} ${path}: ${messageOf(error)}`);
    }
  };
  return {
    ca: read('--controller-ca', tls.caFile),
    cert: tls.certFile === null ? null : read('--controller-cert', tls.certFile),
    key: tls.keyFile === null ? null : read('--controller-key', tls.keyFile),
  };
}
