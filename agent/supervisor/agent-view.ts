/**
 * What the agent tells about itself: one place that reads all parts for the admin API and for Prometheus.
 *
 * It changes nothing but log level and access-log mode.
 */
import { statSync } from 'node:fs';
import type {
  ConnectionsDocument,
  NamesDocument,
  RequestsDocument,
  PodDocument,
  PolicyDocument,
  RouteDocument,
  ServiceDocument,
  StatsDocument,
  StatusDocument,
  VerifyDocument,
  WorkerDocument,
} from '../admin/api.ts';
import {
  nonZero,
  podDocuments,
  podProblem,
  policyDocuments,
  routeDocuments,
  serviceDocuments,
  statsDocument,
} from '../admin/documents.ts';
import { explainBody } from '../admin/explain.ts';
import type { AdminView } from '../admin/routes.ts';
import type { BypassSets } from '../capture/bypass.ts';
import type { Enrolled } from '../capture/enrolment-types.ts';
import type { ControlStatus } from '../control/client.ts';
import type { AccessLogMode, LogLevel } from '../ipc/messages.ts';
import {
  addTotals,
  type AgentGauges,
  type Liveness,
  type MetricsSource,
  PrometheusExporter,
} from '../telemetry/prometheus.ts';
import { limits } from '../limits.ts';
import type { Decision } from '../../mesh/explain.ts';
import type { StatsLedger } from '../telemetry/stats-ledger.ts';
import type { AccessLogSink } from './access-log-sink.ts';
import type { AgentLog } from './log.ts';
import type { DrainState } from './drain-state.ts';
import type { MeshHub } from './mesh-hub.ts';
import type { PodTable } from './pod-table.ts';
import { processUsage } from './process-usage.ts';
import type { WorkerPool } from './worker-pool.ts';

const NO_USAGE = { cpuMs: null, rssBytes: null, pssBytes: null };

const SIDES = ['source', 'destination'] as const;

function workloadKey(namespace: string | undefined, workloadName: string | undefined): string {
  return `${namespace ?? 'unknown'}/${workloadName ?? 'unknown'}`;
}

/** The parts of a running agent that are shown. */
export interface AgentParts {
  readonly node: string;
  readonly version: string;
  readonly trustDomain: string;
  readonly snapshotPath: string;
  readonly log: AgentLog;
  readonly pool: WorkerPool;
  readonly hub: MeshHub;
  readonly pods: PodTable;
  readonly ledger: StatsLedger;
  readonly accessLog: AccessLogSink;
  /** Changes from the controller that were refused since the start. */
  configRefused(): number;
  control(): ControlStatus;
  enrolled(): readonly Enrolled[];
  find(pod: string): Enrolled | null;
  verify(enrolled: Enrolled): Promise<VerifyDocument>;
  iptables(): { readonly backend: string | null };
  readonly bypass: BypassSets;
  names(): NamesDocument;
  /** What is not done yet of the start, or that the agent stops; empty when it is up. */
  notReady(): readonly string[];
  readonly instance: string;
  readonly drain: DrainState;
}

/** `namespace/name` of workloads, for the question whether a series is still of interest. */
interface LiveWorkloads {
  readonly meshGeneration: number;
  readonly inMesh: ReadonlySet<string>;
}

export class AgentView implements AdminView, MetricsSource {
  readonly #parts: AgentParts;
  readonly #exporter: PrometheusExporter;
  readonly #startedAtMs = Date.now();
  #live: LiveWorkloads = { meshGeneration: -1, inMesh: new Set() };

  constructor(parts: AgentParts) {
    this.#parts = parts;
    this.#exporter = new PrometheusExporter(parts.ledger, this);
  }

  notReady(): readonly string[] {
    return this.#parts.notReady();
  }

  async status(own: boolean): Promise<StatusDocument> {
    const { hub, log, node, version, trustDomain, pool, instance, drain } = this.#parts;
    await this.#exporter.refresh();
    const notReady = this.notReady();
    const [workers, supervisor, predecessor] = await Promise.all([
      this.#workers(),
      processUsage(process.pid),
      own ? null : drain.predecessor(),
    ]);
    return {
      node,
      version,
      pid: process.pid,
      instance,
      startedAt: new Date(this.#startedAtMs).toISOString(),
      uptimeMs: Date.now() - this.#startedAtMs,
      ready: notReady.length === 0,
      notReady,
      draining: drain.document(),
      predecessor,
      trustDomain,
      controller: this.#controller(),
      workers,
      supervisor: supervisor ?? NO_USAGE,
      pods: this.#podCounts(),
      mesh: {
        workloads: hub.state.list('workload').length,
        services: hub.state.list('service').length,
        httpRoutes: hub.state.list('httpRoute').length,
        tlsRoutes: hub.state.list('tlsRoute').length,
        tcpRoutes: hub.state.list('tcpRoute').length,
        authorizationPolicies: hub.state.list('authorizationPolicy').length,
      },
      snapshot: this.#snapshot(),
      iptables: this.#parts.iptables(),
      bypass: this.#parts.bypass.status(),
      names: this.#parts.names(),
      bounds: nonZero(this.#bounds()),
      logLevel: log.level,
      accessLog: pool.accessLog,
      errors: log.recentErrors,
    };
  }

  async pods(): Promise<readonly PodDocument[]> {
    await this.#exporter.refresh();
    const { pods, hub, ledger, trustDomain } = this.#parts;
    return podDocuments({
      enrolled: this.#parts.enrolled(),
      entryOf: (index) => pods.get(index),
      workloadOf: (uid) => hub.byUid(uid),
      bypassOf: (enrolled) => this.#parts.bypass.entriesOf(enrolled),
      servingSlots: this.#servingSlots(),
      trustDomain,
      ledger,
    });
  }

  services(): readonly ServiceDocument[] {
    return serviceDocuments(this.#parts.hub.resources());
  }

  routes(): readonly RouteDocument[] {
    return routeDocuments(this.#parts.hub.resources());
  }

  policies(): readonly PolicyDocument[] {
    const local = new Set(this.#parts.enrolled().map((enrolled) => enrolled.pod.uid));
    return policyDocuments(this.#parts.hub.resources(), local);
  }

  async connections(): Promise<ConnectionsDocument> {
    const { pool, bypass } = this.#parts;
    const [captured, bypassed] = await Promise.all([pool.connections(), bypass.connections()]);
    return { connections: [...captured.connections, ...bypassed], truncated: captured.truncated };
  }

  async requests(id: string | null): Promise<RequestsDocument> {
    const all = await this.#parts.pool.requests(id);
    return { requests: all.slice(0, limits.recentRequestRowsMax) };
  }

  explain(body: unknown): readonly Decision[] {
    return explainBody(this.#parts.hub.state, body);
  }

  async stats(): Promise<StatsDocument> {
    await this.#exporter.refresh();
    const { node, ledger } = this.#parts;
    const { lookups, failures, expired } = this.#parts.names().counters;
    const events = { name_lookups: lookups, name_lookup_failures: failures, name_answers_expired: expired };
    return statsDocument(node, ledger, this.#bounds(), addTotals(ledger.counters, events));
  }

  metrics(): Promise<string> {
    return this.#exporter.render();
  }

  /** Forgets metrics of what is gone; to be called on a timer, scraped or not. */
  expireMetrics(): void {
    this.#exporter.expire();
  }

  accessLogTail(lines: number): readonly string[] {
    return this.#parts.accessLog.tail(lines);
  }

  get logLevel(): LogLevel {
    return this.#parts.log.level;
  }

  set logLevel(level: LogLevel) {
    this.#parts.log.level = level;
    this.#parts.pool.setLogLevel(level);
  }

  get accessLog(): AccessLogMode {
    return this.#parts.pool.accessLog;
  }

  set accessLog(mode: AccessLogMode) {
    this.#parts.pool.setAccessLog(mode);
    void this.#parts.bypass.request();
  }

  async verify(pod: string): Promise<VerifyDocument | null> {
    const enrolled = this.#parts.find(pod);
    return enrolled === null ? null : this.#parts.verify(enrolled);
  }

  // --- MetricsSource

  refresh(): Promise<void> {
    return this.#parts.pool.refreshStats();
  }

  now(): number {
    return performance.now();
  }

  liveness(): Liveness {
    const { hub } = this.#parts;
    const enrolled = this.#parts.enrolled();
    const pods = new Set(enrolled.map(({ pod }) => `${pod.namespace}/${pod.name}`));
    const here = new Set(enrolled.map(({ pod }) => workloadKey(pod.namespace, hub.byUid(pod.uid)?.workloadName)));
    const inMesh = this.#workloadsInMesh();
    return {
      pod: (labels) => pods.has(`${labels['namespace']}/${labels['pod']}`),
      workload: (labels) =>
        SIDES.every((side) => {
          const name = labels[`${side}_workload`] ?? 'unknown';
          if (name === 'unknown') return true;
          const known = labels['reporter'] === side ? here : inMesh;
          return known.has(workloadKey(labels[`${side}_workload_namespace`], name));
        }),
    };
  }

  gauges(): AgentGauges {
    const { version, node, accessLog, hub, pool } = this.#parts;
    const summaries = pool.summaries();
    const workerStates: Record<string, number> = { serving: 0 };
    for (const { state } of summaries) workerStates[state] = (workerStates[state] ?? 0) + 1;
    const pods = this.#podCounts();
    return {
      version,
      node,
      controllerConnected: this.#parts.control().connected,
      configRefused: this.#parts.configRefused(),
      podsCaptured: pods.captured,
      podsUnhealthy: pods.unhealthy,
      workerStates,
      workerRestarts: summaries.map(({ worker, restarts }) => ({ worker, restarts })),
      meshResources: {
        workload: hub.state.list('workload').length,
        service: hub.state.list('service').length,
        httpRoute: hub.state.list('httpRoute').length,
        tlsRoute: hub.state.list('tlsRoute').length,
        tcpRoute: hub.state.list('tcpRoute').length,
        authorizationPolicy: hub.state.list('authorizationPolicy').length,
      },
      bounds: this.#ownBounds(),
      accessLogLines: accessLog.counters.lines,
      accessLogDropped: accessLog.counters.dropped + accessLog.counters.tooLong,
    };
  }

  // --- parts of documents

  #controller(): StatusDocument['controller'] {
    const { target, connected, sinceMs, lastError, systemVersion, nacks } = this.#parts.control();
    return {
      address: target,
      connected,
      since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
      lastError,
      version: systemVersion,
      nacks: nacks.map(({ resource, error, version }) => ({ resource, error, version })),
    };
  }

  #workers(): Promise<WorkerDocument[]> {
    return Promise.all(
      this.#parts.pool.summaries().map(async ({ worker, pid, state, restarts, lastExit }) => {
        const usage = pid === 0 ? null : await processUsage(pid);
        return { worker, pid, state, restarts, ...(usage ?? NO_USAGE), lastExit };
      }),
    );
  }

  #servingSlots(): number[] {
    return this.#parts.pool
      .summaries()
      .filter((summary) => summary.state === 'serving')
      .map((summary) => summary.worker);
  }

  #podCounts(): StatusDocument['pods'] {
    const enrolled = this.#parts.enrolled();
    const slots = this.#servingSlots();
    const unhealthy = enrolled.filter((pod) => podProblem(pod, this.#parts.pods.get(pod.index), slots) !== null).length;
    return { count: enrolled.length, captured: enrolled.length - unhealthy, unhealthy };
  }

  #snapshot(): StatusDocument['snapshot'] {
    const path = this.#parts.snapshotPath;
    const file = statSync(path, { throwIfNoEntry: false });
    if (file === undefined) return { path, savedAt: null, ageMs: null };
    return { path, savedAt: file.mtime.toISOString(), ageMs: Math.max(0, Date.now() - file.mtimeMs) };
  }

  #bounds(): Record<string, number> {
    return addTotals(this.#parts.ledger.bounds, this.#ownBounds());
  }

  /** Bounds of the supervisor; those of the workers are in the ledger. */
  #ownBounds(): Record<string, number> {
    const { accessLog, ledger } = this.#parts;
    const names = this.#parts.names();
    return {
      accessLogOutputBytesMax: accessLog.counters.dropped,
      accessLogLineBytesMax: accessLog.counters.tooLong,
      bypassEntriesPerPodMax: this.#parts.bypass.status().omitted,
      resolvedNamesMax: names.omitted,
      resolvedAddressesMax: names.counters.addressesLeftOut,
      metricLedgerSeriesMax: ledger.http.refused + ledger.tcp.refused + ledger.pods.refused,
    };
  }

  #workloadsInMesh(): ReadonlySet<string> {
    const { state } = this.#parts.hub;
    if (this.#live.meshGeneration !== state.generation) {
      const inMesh = new Set(
        state.list('workload').map((workload) => workloadKey(workload.namespace, workload.workloadName)),
      );
      this.#live = { meshGeneration: state.generation, inMesh };
    }
    return this.#live.inMesh;
  }
}
