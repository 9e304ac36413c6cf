/**
 * The worker's metric counters: plain numbers, found once per (source, destination) pair and then added to.
 *
 * A pair object is cached by the data path per source pod and endpoint, so a request costs two property additions and one
 * bucket search; label objects are built only when a pair or a status is seen for the first time. Names and labels:
 * Istio Standard Metrics, which people's dashboards use.
 */
import { DURATION_BUCKETS_MS, type HttpSeries, type Labels, type TcpSeries } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { BoundCounters } from './bounds.ts';

export class HttpCounter {
  readonly labels: Labels;
  requests = 0;
  durationSumMs = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly buckets = new Float64Array(DURATION_BUCKETS_MS.length + 1);

  constructor(labels: Labels) {
    this.labels = labels;
  }

  /** Adds one finished request; sizes are body octets, duration in ms. Hot. */
  record(durationMs: number, requestBytes: number, responseBytes: number): void {
    this.requests++;
    this.durationSumMs += durationMs;
    this.requestBytes += requestBytes;
    this.responseBytes += responseBytes;
    let bucket = 0;
    while (bucket < DURATION_BUCKETS_MS.length && durationMs > (DURATION_BUCKETS_MS[bucket] as number)) bucket++;
    (this.buckets[bucket] as number)++;
  }
}

export class TcpCounter {
  readonly labels: Labels;
  opened = 0;
  closed = 0;
  sentBytes = 0;
  receivedBytes = 0;

  constructor(labels: Labels) {
    this.labels = labels;
  }
}

/** All counters of one (source workload, destination workload, service) pair. */
export class PairSeries {
  readonly #table: SeriesTable;
  readonly #labels: Labels;
  /** uids of the two pods, '' when not a pod of the mesh: used to drop series of pods that are gone. */
  readonly sourceUid: string;
  readonly destinationUid: string;
  readonly #byStatus = new Map<string, HttpCounter>();
  /** What it counts is gone though its pods are not: see SeriesTable.retire. */
  retired = false;
  #lastStatus = 0;
  #last: HttpCounter | null = null;
  #lastGrpcStatus = '';
  #lastGrpc: HttpCounter | null = null;
  #tcp: TcpCounter | null = null;
  /** Both sides are decided in one pass: the same numbers are reported for `source` and `destination`. */
  readonly reporters: readonly ('source' | 'destination')[];

  constructor(
    table: SeriesTable,
    labels: Labels,
    reporters: readonly ('source' | 'destination')[],
    sourceUid: string,
    destinationUid: string,
  ) {
    this.#table = table;
    this.#labels = labels;
    this.reporters = reporters;
    this.sourceUid = sourceUid;
    this.destinationUid = destinationUid;
  }

  /** The counter for a status and Envoy response flag ('-' for none). Hot for the common status. */
  http(status: number, flags: string): HttpCounter {
    if (status === this.#lastStatus && this.#last !== null && flags === '-') return this.#last;
    const counter = this.#byStatus.get(`${status}${flags}`) ?? this.#newStatus(status, flags);
    if (flags === '-') {
      this.#lastStatus = status;
      this.#last = counter;
    }
    return counter;
  }

  /** A service that answers with ever new codes must not fill the table: beyond the bound they are counted by class. */
  #newStatus(status: number, flags: string): HttpCounter {
    const folded = this.#byStatus.size >= limits.statusesPerPairMax;
    if (folded) this.#table.statusFolded();
    const code = folded ? `${Math.floor(status / 100)}xx` : String(status);
    const shownFlags = folded ? '-' : flags;
    const key = `${code}${shownFlags}`;
    let counter = this.#byStatus.get(key);
    if (counter === undefined) {
      counter = this.#table.admitHttp({
        ...this.#labels,
        request_protocol: 'http',
        response_code: code,
        response_flags: shownFlags,
        grpc_response_status: '',
      });
      this.#byStatus.set(key, counter);
    }
    return counter;
  }

  /** The counter of gRPC calls that ended with that `grpc-status` ('' for none). Hot for the common status. */
  grpc(status: number, flags: string, grpcStatus: string): HttpCounter {
    if (grpcStatus === this.#lastGrpcStatus && status === 200 && flags === '-' && this.#lastGrpc !== null) {
      return this.#lastGrpc;
    }
    const key = `grpc ${status}${flags}${grpcStatus}`;
    let counter = this.#byStatus.get(key);
    if (counter === undefined) {
      counter = this.#table.admitHttp({
        ...this.#labels,
        request_protocol: 'grpc',
        response_code: String(status),
        response_flags: flags,
        grpc_response_status: grpcStatus,
      });
      this.#byStatus.set(key, counter);
    }
    if (status === 200 && flags === '-') {
      this.#lastGrpcStatus = grpcStatus;
      this.#lastGrpc = counter;
    }
    return counter;
  }

  tcp(): TcpCounter {
    if (this.#tcp === null) {
      this.#tcp = this.#table.admitTcp({ ...this.#labels, request_protocol: 'tcp', response_flags: '-' });
    }
    return this.#tcp;
  }

  *httpCounters(): Iterable<HttpCounter> {
    yield* this.#byStatus.values();
  }

  tcpCounter(): TcpCounter | null {
    return this.#tcp;
  }
}

const OVERFLOW: Labels = { source_workload: 'unknown', destination_workload: 'unknown', request_protocol: 'unknown' };

export class SeriesTable {
  readonly #bounds: BoundCounters;
  readonly #pairs = new Map<string, PairSeries>();
  readonly #goneSinceMs = new Map<PairSeries, number>();
  readonly #overflowHttp = new HttpCounter({ ...OVERFLOW, response_code: '0', response_flags: '-' });
  readonly #overflowTcp = new TcpCounter({ ...OVERFLOW, response_flags: '-' });
  #count = 0;

  constructor(bounds: BoundCounters) {
    this.#bounds = bounds;
  }

  /** The one series of these labels and pods: many callers remember it for no longer than a connection. */
  pair(
    labels: Labels,
    reporters: readonly ('source' | 'destination')[],
    sourceUid: string,
    destinationUid: string,
  ): PairSeries {
    const key = [sourceUid, destinationUid, reporters.length, ...Object.values(labels)].join('\u0000');
    const known = this.#pairs.get(key);
    if (known !== undefined) {
      known.retired = false;
      return known;
    }
    const pair = new PairSeries(this, labels, reporters, sourceUid, destinationUid);
    if (this.#count < limits.metricSeriesMax) this.#pairs.set(key, pair);
    return pair;
  }

  /** The pair counts nothing any more, e.g. its service was deleted: dropped as if a pod of it were gone, unless asked for again. */
  retire(pair: PairSeries): void {
    pair.retired = true;
  }

  statusFolded(): void {
    this.#bounds.hit('statusesPerPairMax');
  }

  admitHttp(labels: Labels): HttpCounter {
    return this.#admit() ? new HttpCounter(labels) : this.#overflowHttp;
  }

  admitTcp(labels: Labels): TcpCounter {
    return this.#admit() ? new TcpCounter(labels) : this.#overflowTcp;
  }

  #admit(): boolean {
    if (this.#count >= limits.metricSeriesMax) {
      this.#bounds.hit('metricSeriesMax');
      return false;
    }
    this.#count++;
    return true;
  }

  /**
   * Everything for a `stats` answer. Pairs one of whose pods `isGone` are dropped a minute after that was first seen.
   * A pair that a live connection still holds goes on counting unseen; that connection's pod is gone anyway.
   */
  collect(nowMs: number, isGone: (uid: string) => boolean): { http: HttpSeries[]; tcp: TcpSeries[] } {
    const http: HttpSeries[] = [];
    const tcp: TcpSeries[] = [];
    for (const [key, pair] of this.#pairs) {
      if (this.#expired(pair, nowMs, isGone)) {
        this.#pairs.delete(key);
        continue;
      }
      for (const reporter of pair.reporters) {
        for (const counter of pair.httpCounters()) http.push(httpRow(counter, reporter));
        const counter = pair.tcpCounter();
        if (counter !== null) tcp.push(tcpRow(counter, reporter));
      }
    }
    if (this.#overflowHttp.requests > 0) http.push(httpRow(this.#overflowHttp, 'unknown'));
    if (this.#overflowTcp.opened > 0) tcp.push(tcpRow(this.#overflowTcp, 'unknown'));
    return { http, tcp };
  }

  #expired(pair: PairSeries, nowMs: number, isGone: (uid: string) => boolean): boolean {
    const gone =
      pair.retired ||
      (pair.sourceUid !== '' && isGone(pair.sourceUid)) ||
      (pair.destinationUid !== '' && isGone(pair.destinationUid));
    if (!gone) {
      this.#goneSinceMs.delete(pair);
      return false;
    }
    const since = this.#goneSinceMs.get(pair) ?? nowMs;
    this.#goneSinceMs.set(pair, since);
    if (nowMs - since < limits.goneSeriesKeptMs) return false;
    for (const _ of pair.httpCounters()) this.#count--;
    if (pair.tcpCounter() !== null) this.#count--;
    this.#goneSinceMs.delete(pair);
    return true;
  }
}

function httpRow(counter: HttpCounter, reporter: string): HttpSeries {
  return {
    labels: { ...counter.labels, reporter },
    requests: counter.requests,
    durationBuckets: cumulative(counter.buckets),
    durationSumMs: counter.durationSumMs,
    requestBytes: counter.requestBytes,
    responseBytes: counter.responseBytes,
  };
}

function tcpRow(counter: TcpCounter, reporter: string): TcpSeries {
  return {
    labels: { ...counter.labels, reporter },
    opened: counter.opened,
    closed: counter.closed,
    sentBytes: counter.sentBytes,
    receivedBytes: counter.receivedBytes,
  };
}

function cumulative(buckets: Float64Array): number[] {
  let sum = 0;
  return Array.from(buckets, (count) => {
    sum += count;
    return sum;
  });
}
