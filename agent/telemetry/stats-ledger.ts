/**
 * What all workers have counted, living and dead: counters that never go down, and are forgotten when their pod is gone.
 *
 * Per worker generation the last report is kept; what a worker had counted when it died, or stops reporting (it drops a pair
 * of pods a minute after one is gone), moves into a base. Pure: the clock is an argument. Cost: one pass per report.
 */
import type { HttpSeries, Labels, PodStats, TcpSeries, WorkerStats } from '../ipc/messages.ts';
import { ISTIO_LABELS } from './metric-catalogue.ts';

/** A series is a vector of numbers that only grow; what they mean is the caller's. */
export interface LedgerSeries {
  readonly labels: Labels;
  readonly values: Float64Array;
}

/** Layout of an HTTP series: four sums, then the cumulative duration buckets. */
export const HTTP_REQUESTS = 0;
export const HTTP_DURATION_SUM_MS = 1;
export const HTTP_REQUEST_BYTES = 2;
export const HTTP_RESPONSE_BYTES = 3;
export const HTTP_BUCKETS = 4;

/** Layout of a TCP series. */
export const TCP_OPENED = 0;
export const TCP_CLOSED = 1;
export const TCP_SENT_BYTES = 2;
export const TCP_RECEIVED_BYTES = 3;

/** Layout of a pod's series. */
export const POD_CPU_MS = 0;
export const POD_BYTES_IN = 1;
export const POD_BYTES_OUT = 2;
export const POD_REQUESTS = 3;
export const POD_OPENED = 4;
export const POD_REFUSED = 5;
export const POD_SHED_CONNECTIONS = 6;
export const POD_SHED_REQUESTS = 7;
export const POD_SHED_PENDING = 8;
export const POD_SHED_BUFFERED = 9;
export const POD_SHED_OVERLOADED = 10;
const POD_WIDTH = 11;

/** The `bound` label of weir_pod_shed_total, and where its count is. */
export const POD_SHED: readonly (readonly [string, number])[] = [
  ['connections', POD_SHED_CONNECTIONS],
  ['requests', POD_SHED_REQUESTS],
  ['pending', POD_SHED_PENDING],
  ['buffered', POD_SHED_BUFFERED],
  ['overloaded', POD_SHED_OVERLOADED],
];

/** One text per label set. Label sets of one ledger have the same names in the same order (completeLabels and its like). */
function labelKey(labels: Labels): string {
  return Object.values(labels).join('\u0000');
}

/** Exactly Istio's labels, in its order; what a worker left out is `unknown`, what it added is left out. */
function completeLabels(labels: Labels): Labels {
  const complete: Record<string, string> = {};
  for (const name of ISTIO_LABELS) complete[name] = labels[name] ?? 'unknown';
  return complete;
}

interface Account {
  readonly labels: Labels;
  /** What reporters that are gone, or series they dropped, had counted. */
  readonly base: Float64Array;
  readonly last: Map<number, Float64Array>;
  /** Since when `isLive` has denied it; null: live. */
  goneSinceMs: number | null;
  /** Expired, but a worker still reports it: kept so that it does not come back, not shown. */
  hidden: boolean;
}

/** Series of one kind, added up over all reporters. */
export class SeriesLedger {
  readonly #width: number;
  readonly #seriesMax: number;
  readonly #accounts = new Map<string, Account>();
  #refused = 0;

  /** @param width numbers per series; @param seriesMax distinct series, further ones are left out and counted. */
  constructor(width: number, seriesMax: number) {
    this.#width = width;
    this.#seriesMax = seriesMax;
  }

  /** Series that were left out because of seriesMax. */
  get refused(): number {
    return this.#refused;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** A reporter's whole current list; a label set may come several times, its numbers are added. */
  report(reporter: number, series: Iterable<LedgerSeries>): void {
    const sums = new Map<string, LedgerSeries>();
    for (const { labels, values } of series) {
      const key = labelKey(labels);
      const sum = sums.get(key);
      if (sum === undefined) sums.set(key, { labels, values: this.#fit(values) });
      else addInto(sum.values, values);
    }
    for (const [key, account] of this.#accounts) {
      if (account.last.has(reporter) && !sums.has(key)) this.#retire(account, reporter);
    }
    for (const [key, sum] of sums) {
      const account = this.#account(key, sum.labels);
      if (account !== null) settle(account, reporter, sum.values);
    }
  }

  /** The reporter is dead: what it had counted stays counted. */
  close(reporter: number): void {
    for (const account of this.#accounts.values()) this.#retire(account, reporter);
  }

  /** Forgets series that `isLive` has denied for `expiryMs`. A series that comes back in time goes on where it was. */
  expire(nowMs: number, expiryMs: number, isLive: (labels: Labels) => boolean): void {
    for (const [key, account] of this.#accounts) {
      if (isLive(account.labels)) {
        account.goneSinceMs = null;
        account.hidden = false;
      } else if (account.goneSinceMs === null) {
        account.goneSinceMs = nowMs;
      } else if (nowMs - account.goneSinceMs >= expiryMs) {
        account.hidden = true;
        if (account.last.size === 0) this.#accounts.delete(key);
      }
    }
  }

  /** Totals. Do not keep the vectors. */
  *totals(): Iterable<LedgerSeries> {
    for (const { labels, base, last, hidden } of this.#accounts.values()) {
      if (hidden) continue;
      const values = base.slice();
      for (const part of last.values()) addInto(values, part);
      yield { labels, values };
    }
  }

  #account(key: string, labels: Labels): Account | null {
    const known = this.#accounts.get(key);
    if (known !== undefined) return known;
    if (this.#accounts.size >= this.#seriesMax) {
      this.#refused += 1;
      return null;
    }
    const base = new Float64Array(this.#width);
    const account: Account = { labels, base, last: new Map(), goneSinceMs: null, hidden: false };
    this.#accounts.set(key, account);
    return account;
  }

  #retire(account: Account, reporter: number): void {
    const last = account.last.get(reporter);
    if (last === undefined) return;
    addInto(account.base, last);
    account.last.delete(reporter);
  }

  /** A copy of exactly the ledger's width: a worker's word on the number of buckets is not taken. */
  #fit(values: Float64Array): Float64Array {
    const fitted = new Float64Array(this.#width);
    fitted.set(values.subarray(0, this.#width));
    return fitted;
  }
}

function addInto(target: Float64Array, values: Float64Array): void {
  const length = Math.min(target.length, values.length);
  for (let i = 0; i < length; i++) target[i] = (target[i] ?? 0) + (values[i] ?? 0);
}

/**
 * Takes a new report. Where a number went down, the worker has dropped a part of what it had summed: that part moves to the
 * base. The total is base + max(last, new) in each place, so cumulative buckets stay cumulative.
 */
function settle(account: Account, reporter: number, values: Float64Array): void {
  const last = account.last.get(reporter);
  if (last !== undefined) {
    for (let i = 0; i < values.length; i++) {
      const lost = (last[i] ?? 0) - (values[i] ?? 0);
      if (lost > 0) account.base[i] = (account.base[i] ?? 0) + lost;
    }
  }
  account.last.set(reporter, values);
}

function httpVector(series: HttpSeries): LedgerSeries {
  const { labels, requests, durationSumMs, requestBytes, responseBytes, durationBuckets } = series;
  const values = Float64Array.from([requests, durationSumMs, requestBytes, responseBytes, ...durationBuckets]);
  return { labels: completeLabels(labels), values };
}

function tcpVector(series: TcpSeries): LedgerSeries {
  const { labels, opened, closed, sentBytes, receivedBytes } = series;
  return { labels: completeLabels(labels), values: Float64Array.of(opened, closed, sentBytes, receivedBytes) };
}

function podVector(pod: PodStats): LedgerSeries {
  const { namespace, name, cpuMs, bytesIn, bytesOut, requests, connectionsOpened, refused } = pod;
  const { connections, requests: shedRequests, pending, buffered, overloaded } = pod.shed;
  const counted = [cpuMs, bytesIn, bytesOut, requests, connectionsOpened, refused];
  const values = Float64Array.from(counted.concat(connections, shedRequests, pending, buffered, overloaded));
  return { labels: { namespace, pod: name }, values };
}

/** Entries of WorkerStats.counters that are levels, not counters: they go down, and end with their worker. */
export const LEVEL_NAMES = [
  'connections',
  'idle_upstreams',
  'requests_in_flight',
  'pending_connections',
  'buffered_bytes',
  'splice_pipes',
] as const;
const LEVELS: ReadonlySet<string> = new Set(LEVEL_NAMES);

/** What a pod uses now, summed over the workers. */
export interface PodLevels {
  connections: number;
  requests: number;
  pending: number;
  bufferedBytes: number;
}

function named(counters: Readonly<Record<string, number>>): LedgerSeries[] {
  return Object.entries(counters).map(([name, value]) => ({ labels: { name }, values: Float64Array.of(value) }));
}

/** All kinds of counters that workers report. */
export class StatsLedger {
  readonly http: SeriesLedger;
  readonly tcp: SeriesLedger;
  readonly pods: SeriesLedger;
  readonly bounds: SeriesLedger;
  readonly counters: SeriesLedger;
  readonly #active = new Map<number, readonly PodStats[]>();
  readonly #levels = new Map<number, Readonly<Record<string, number>>>();

  /** @param buckets number of duration buckets including +Inf; @param seriesMax per kind. */
  constructor(buckets: number, seriesMax: number) {
    this.http = new SeriesLedger(HTTP_BUCKETS + buckets, seriesMax);
    this.tcp = new SeriesLedger(4, seriesMax);
    this.pods = new SeriesLedger(POD_WIDTH, seriesMax);
    this.bounds = new SeriesLedger(1, seriesMax);
    this.counters = new SeriesLedger(1, seriesMax);
  }

  /** @param generation of the worker: a restarted worker is another reporter. */
  report(generation: number, stats: WorkerStats): void {
    this.http.report(generation, stats.http.map(httpVector));
    this.tcp.report(generation, stats.tcp.map(tcpVector));
    this.pods.report(generation, stats.pods.map(podVector));
    this.bounds.report(generation, named(stats.bounds));
    const counted = Object.entries(stats.counters).filter(([name]) => !LEVELS.has(name));
    this.counters.report(generation, named(Object.fromEntries(counted)));
    this.#active.set(generation, stats.pods);
    this.#levels.set(generation, stats.counters);
  }

  /** The worker is dead: counters stay, its live connections are no more. */
  close(generation: number): void {
    for (const ledger of [this.http, this.tcp, this.pods, this.bounds, this.counters]) ledger.close(generation);
    this.#active.delete(generation);
    this.#levels.delete(generation);
  }

  /** The sum of a level over all living workers, e.g. `idle_upstreams`. */
  level(name: string): number {
    let sum = 0;
    for (const counters of this.#levels.values()) sum += counters[name] ?? 0;
    return sum;
  }

  /** What each pod (`namespace/name`) uses now, as last reported. */
  podLevels(): Map<string, PodLevels> {
    const levels = new Map<string, PodLevels>();
    for (const pods of this.#active.values()) {
      for (const pod of pods) {
        const key = `${pod.namespace}/${pod.name}`;
        const sum = levels.get(key) ?? { connections: 0, requests: 0, pending: 0, bufferedBytes: 0 };
        sum.connections += pod.connectionsActive;
        sum.requests += pod.requestsActive;
        sum.pending += pod.pending;
        sum.bufferedBytes += pod.bufferedBytes;
        levels.set(key, sum);
      }
    }
    return levels;
  }

  /** Connections now open per `namespace/name`, as last reported; of one worker when its generation is given. */
  activeConnections(generation?: number): Map<string, number> {
    const active = new Map<string, number>();
    for (const [reporter, pods] of this.#active) {
      if (generation !== undefined && reporter !== generation) continue;
      for (const pod of pods) {
        const key = `${pod.namespace}/${pod.name}`;
        active.set(key, (active.get(key) ?? 0) + pod.connectionsActive);
      }
    }
    return active;
  }
}
