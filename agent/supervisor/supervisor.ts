/**
 * One agent, put together: what starts in which order, and how it ends.
 *
 *   alone:  admin socket (also the lock on the run dir) → snapshot → workers with the mesh, host names → pods of the previous run, listeners
 *           before rules → CNI server → controller → ready
 *   beside: another agent is in charge (succession.ts): announce → its snapshot → workers → controller has caught up → listeners for
 *           its pods → CNI socket taken, requests wait → it yields → last changes → it leaves → CNI requests served → ready
 *
 * Ending: no new CNI requests, the stream closed, workers drained. The rules stay in the pods: while no agent listens, their
 * connections are refused, never uncaptured.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { createAdminServer } from '../admin/http-router.ts';
import { verifyDocument } from '../admin/documents.ts';
import { adminRoutes, metricsRoutes } from '../admin/routes.ts';
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
import { LocalSocket } from '../ipc/local-socket.ts';
import { DURATION_BUCKETS_MS, type LogLevel } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { StatsLedger } from '../telemetry/stats-ledger.ts';
import { flush, openAccessLog } from './access-log-output.ts';
import { AccessLogSink } from './access-log-sink.ts';
import { AgentView } from './agent-view.ts';
import { affectedPods } from './affected-pods.ts';
import { readTls } from './controller-tls.ts';
import { withDeadline } from './deadline.ts';
import { DrainState } from './drain-state.ts';
import { HandOver } from './hand-over.ts';
import { type AgentLog, messageOf } from './log.ts';
import { type ApplyResult, MeshHub } from './mesh-hub.ts';
import { MetricsEndpoint } from './metrics-endpoint.ts';
import { DnsLookup } from './name-lookup.ts';
import { NameResolver } from './name-resolver.ts';
import { NameStore } from './name-store.ts';
import type { AgentOptions } from './options.ts';
import { awaitIdentity } from './pod-identity.ts';
import { PodTable } from './pod-table.ts';
import type { Predecessor } from './predecessor.ts';
import { QueueMigration } from './queue-migration.ts';
import { claimNode } from './succession.ts';
import { Takeover, type TakeoverStep } from './takeover.ts';
import { weirVersion } from './version.ts';
import { WorkerPool } from './worker-pool.ts';

/** dist/agent/supervisor/ → dist/agent/worker.js. A worker is always the built file: Node runs it without a loader. */
const WORKER_SCRIPT = fileURLToPath(new URL('../worker.js', import.meta.url));

type Step = TakeoverStep | 'claiming the node' | 'CNI server' | 'ready' | 'stopping' | 'draining';

/** How often an agent looks whether another has taken its place without asking. */
const DISPLACED_CHECK_MS = 1_000;

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
  readonly #dns: DnsLookup;
  readonly #nameStore: NameStore;
  readonly #names: NameResolver;
  readonly #cni: CniServer;
  readonly #view: AgentView;
  readonly #snapshotPath: string;
  readonly #admin: LocalSocket<Server>;
  readonly #metrics: MetricsEndpoint | null;
  readonly #handOver: HandOver;
  readonly #drain: DrainState;
  readonly #migration: QueueMigration;
  readonly #timers: NodeJS.Timeout[] = [];
  #predecessor: Predecessor | null = null;
  #step: Step = 'claiming the node';
  #ending: Promise<void> | null = null;
  #onSuperseded: () => void = () => undefined;
  /** Resolves when another agent has taken this one's place and this one has drained. */
  readonly superseded = new Promise<void>((resolve) => {
    this.#onSuperseded = resolve;
  });
  /** Yielding and resuming follow each other. */
  #captureChange: Promise<void> = Promise.resolve();
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
    this.#migration = new QueueMigration(log);
    this.#enrolment = new Enrolment(
      {
        stateDir: options.stateDir,
        excludeNamespaces: options.excludeNamespaces,
        interceptionMode: options.interceptionMode,
      },
      {
        identityOf: (pod, waitMs) => this.#identityOf(pod, waitMs),
        listen: (index, pod, netnsPath) => {
          this.#migration.enable(`${pod.namespace}/${pod.name}`, netnsPath);
          return this.#pods.listen(index, pod, netnsPath);
        },
        unlisten: (index) => this.#pods.unlisten(index),
        readiness: () => this.#readiness(),
        inCharge: () => !this.#admin.isDisplaced() && this.#step !== 'draining',
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
    this.#dns = new DnsLookup({ servers: options.dnsServers });
    this.#nameStore = new NameStore(options.stateDir, log);
    this.#names = new NameResolver({
      hub: this.#hub,
      lookup: (query) => this.#dns.lookup(query),
      store: this.#nameStore,
      log,
      random: Math.random,
    });
    this.#cni = new CniServer(this.#enrolment, `${options.runDir}/cni.sock`);
    this.#drain = new DrainState(options.drainDeadlineMs, {
      refresh: () => this.#pool.refreshStats(),
      connections: () => this.#ledger.level('connections'),
      predecessor: () => this.#predecessor,
    });
    this.#handOver = this.#makeHandOver();
    this.#view = this.#makeView();
    const onFailure = (route: string, error: unknown): void => {
      this.#log.error({ route, error: messageOf(error) }, 'admin request failed');
    };
    const admin = createAdminServer(adminRoutes(this.#view, this.#handOver), options.node, onFailure);
    this.#admin = new LocalSocket(admin, `${options.runDir}/agent.sock`);
    const { metricsListen } = options;
    this.#metrics =
      metricsListen === null
        ? null
        : new MetricsEndpoint(
            createAdminServer(metricsRoutes(this.#view), options.node, onFailure),
            metricsListen.host,
            metricsListen.port,
            log,
          );
  }

  /**
   * Resolves when the agent is ready, or was stopped meanwhile. Rejects when a socket or the node cannot be had; an agent that was in
   * charge before goes on then.
   */
  async start(): Promise<void> {
    await this.#admin.listen();
    this.#admin.server.on('error', (error) => this.#log.error({ error: error.message }, 'admin: accept failed'));
    const { node, instance } = this.#options;
    const self = { instance, node, version: weirVersion(), pid: process.pid };
    const claim = await claimNode(this.#admin, self, () => this.#isStopping(), this.#log);
    if (claim.kind === 'ended') return;
    if (claim.kind !== 'alone') this.#predecessor = claim.before;
    if (claim.kind === 'draining') this.#admin.replace();
    if (claim.kind === 'beside' || claim.kind === 'silent') {
      await this.#startBeside(claim.before, claim.kind === 'silent');
    } else {
      await this.#startAlone(claim.kind === 'draining');
    }
    if (this.#isStopping()) return;
    this.#step = 'ready';
    this.#every(limits.captureRepairMs, () => this.#repair());
    this.#every(DISPLACED_CHECK_MS, () => this.#leaveWhenDisplaced());
    const { controller } = this.#options;
    this.#log.info({ controller, pods: this.#enrolment.list().length }, 'agent is up');
  }

  /** Drains and closes everything; resolves when the process may exit. Idempotent. Waits for a successor that is at work. */
  stop(): Promise<void> {
    this.#ending ??= this.#stop();
    return this.#ending;
  }

  async #stop(): Promise<void> {
    if (this.#handOver.successor !== null) {
      this.#log.info({ successorPid: this.#handOver.successor.pid }, 'agent is to stop; its successor is awaited');
      await this.#handOver.settled(limits.successorWaitMs);
    }
    if (this.#step === 'draining') return this.superseded;
    this.#step = 'stopping';
    this.#handOver.close();
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all([withDeadline(this.#cni.close(), limits.cniCloseMs), this.#control.stop()]);
    await Promise.all([this.#enrolment.close(), this.#bypass.close(), this.#store.close()]);
    this.#log.info(
      { deadlineMs: this.#drain.deadlineMs },
      'agent stops; pods stay captured and refuse connections until one is back',
    );
    this.#step = 'draining';
    this.#drain.begin(null);
    await this.#pool.drain(this.#drain.deadlineMs, false);
    await this.#close();
  }

  /** Another agent is in charge: stop accepting, finish what is in flight, end. */
  async #leave(successor: { readonly pid: number; readonly version: string } | null): Promise<void> {
    if (this.#step === 'draining') return;
    this.#step = 'draining';
    this.#handOver.close();
    for (const timer of this.#timers) clearInterval(timer);
    const deadlineMs = this.#drain.deadlineMs;
    this.#log.info(
      { successorPid: successor?.pid ?? null, deadlineMs },
      'another agent has taken over; this one drains',
    );
    this.#drain.begin(successor);
    this.#metrics?.close();
    const drained = this.#pool.drain(deadlineMs, true);
    await Promise.all([this.#control.stop(), this.#bypass.close(), withDeadline(this.#cni.close(), limits.cniCloseMs)]);
    await drained;
    // Clients that ask by the public name must find the successor there before this one's socket goes.
    const untilMs = performance.now() + limits.takeoverLeaseMs;
    while (this.#admin.owns() && performance.now() < untilMs) {
      await new Promise((resolve) => setTimeout(resolve, limits.takeoverRetryMs));
    }
    await this.#enrolment.close();
    await this.#close();
    this.#onSuperseded();
  }

  async #close(): Promise<void> {
    this.#names.close();
    this.#dns.close();
    await Promise.all([this.#nameStore.close(), this.#store.close()]);
    this.#admin.withdraw();
    this.#admin.server.close();
    this.#admin.server.closeAllConnections();
    this.#metrics?.close();
    await flush(this.#accessLogOutput);
  }

  /** @param besideDraining an agent that drains may have the metrics port for a moment. */
  async #startAlone(besideDraining: boolean): Promise<void> {
    if (besideDraining) void this.#metrics?.openWhenFree();
    else await this.#metrics?.open();
    this.#step = 'configuration';
    await this.#loadSnapshot();
    this.#step = 'workers';
    await this.#startWorkers();
    if (this.#isStopping()) return;
    this.#step = 'pods';
    await this.#bypass.request();
    await this.#enrolment.start();
    await this.#bypass.request();
    if (this.#isStopping()) return;
    this.#step = 'CNI server';
    if (besideDraining) {
      await this.#cni.listenInstead();
      this.#cni.release();
    } else {
      await this.#cni.listen();
    }
    if (this.#isStopping()) return;
    this.#control.start();
  }

  /** Before the first connection comes: the names of the stored configuration lead somewhere, where DNS answers soon enough. */
  async #startWorkers(): Promise<void> {
    await Promise.all([this.#pool.start(), this.#names.settled(limits.nameFirstAnswerMs)]);
  }

  async #startBeside(before: Predecessor, silent: boolean): Promise<void> {
    const takeover = new Takeover(
      {
        store: this.#store,
        control: this.#control,
        hub: this.#hub,
        enrolment: this.#enrolment,
        cni: this.#cni,
        log: this.#log,
        displace: () => this.#admin.replace(),
        begin: (step) => {
          if (!this.#isStopping()) this.#step = step;
        },
        ended: () => this.#isStopping(),
        loadConfiguration: () => this.#loadSnapshot(),
        startWorkers: () => this.#startWorkers(),
      },
      before,
    );
    if (!(await takeover.run(silent))) return;
    this.#admin.replace();
    this.#cni.release();
    this.#store.release();
    await this.#bypass.request();
    if (before.last !== null) this.#handOver.hasReplaced(before.last.instance);
    void this.#metrics?.openWhenFree();
    setImmediate(() => void this.#repair());
  }

  async #leaveWhenDisplaced(): Promise<void> {
    if (this.#step === 'ready' && this.#admin.isDisplaced()) await this.#leave(null);
  }

  #makeHandOver(): HandOver {
    const { node, instance } = this.#options;
    return new HandOver(
      {
        node,
        busy: () =>
          this.#step === 'ready' || this.#step === 'draining' ? null : `the agent is not settled: ${this.#step}`,
        self: () => ({ instance, version: weirVersion(), pid: process.pid, socket: this.#admin.privatePath }),
        flushConfiguration: () => this.#store.flush(),
        yieldCapture: () => this.#changeCapture(() => this.#yieldCapture()),
        resumeCapture: () => this.#changeCapture(() => this.#resumeCapture()),
        leave: (successor) => void this.#leave(successor),
      },
      this.#log,
    );
  }

  #changeCapture(change: () => Promise<void>): Promise<void> {
    const changed = this.#captureChange.then(change);
    this.#captureChange = changed.catch(() => undefined);
    return changed;
  }

  async #yieldCapture(): Promise<void> {
    await this.#cni.close();
    await this.#enrolment.yieldCharge();
    await this.#store.flush();
    this.#store.hold();
  }

  async #resumeCapture(): Promise<void> {
    if (this.#step === 'draining') return;
    this.#store.release();
    this.#enrolment.resume();
    await this.#cni.close();
    await this.#cni.listenInstead();
    this.#cni.release();
  }

  #isStopping(): boolean {
    return this.#step === 'stopping' || this.#step === 'draining';
  }

  #makePool(): WorkerPool {
    const { workers, node, trustDomain, accessLog, logLevel, caps } = this.#options;
    return new WorkerPool(
      { script: WORKER_SCRIPT, count: workers, node, trustDomain, accessLog, logLevel, caps },
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
      names: () => this.#names.document(),
      notReady: () => this.#notReady(),
      instance: this.#options.instance,
      drain: this.#drain,
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
    if (this.#isStopping()) return [this.#drain.describe() ?? 'the agent stops'];
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
      await this.#bypass.repair();
      const pods = repaired.map(({ pod }) => `${pod.namespace}/${pod.name}`);
      if (pods.length > 0) this.#log.warn({ pods }, 'capture of pods was repaired');
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'looking after the capture of pods failed');
    } finally {
      this.#repairing = false;
    }
  }
}
