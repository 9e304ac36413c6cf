/**
 * The agent's metrics as Prometheus text. Everything is read when it is scraped; prom-client formats and checks, the numbers
 * live in the workers and in the ledger.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { DURATION_BUCKETS_MS, type Labels } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { METRICS, type MetricName } from './metric-catalogue.ts';
import {
  HTTP_BUCKETS,
  HTTP_DURATION_SUM_MS,
  HTTP_REQUEST_BYTES,
  HTTP_REQUESTS,
  HTTP_RESPONSE_BYTES,
  type LedgerSeries,
  POD_BYTES_IN,
  POD_BYTES_OUT,
  POD_CPU_MS,
  POD_OPENED,
  POD_REFUSED,
  POD_REQUESTS,
  POD_SHED,
  type PodLevels,
  LEVEL_NAMES,
  type SeriesLedger,
  type StatsLedger,
  TCP_CLOSED,
  TCP_OPENED,
  TCP_RECEIVED_BYTES,
  TCP_SENT_BYTES,
} from './stats-ledger.ts';

/** What the exporter reads at each scrape, besides the ledger. */
export interface MetricsSource {
  /** Brings the ledger up to date; bounded in time, never rejects. */
  refresh(): Promise<void>;
  /** Who is there now; asked once per expiry. */
  liveness(): Liveness;
  /** Metrics that are not in the ledger. */
  gauges(): AgentGauges;
  /** Monotonic ms. */
  now(): number;
}

/** Whether a series still has its pods. */
export interface Liveness {
  /** By Istio's workload labels: both sides are in the mesh, and the reporting side has a pod on this node. */
  readonly workload: (labels: Labels) => boolean;
  /** By `labels.namespace` and `labels.pod`: the pod is enrolled. */
  readonly pod: (labels: Labels) => boolean;
}

export interface AgentGauges {
  readonly version: string;
  readonly node: string;
  readonly controllerConnected: boolean;
  readonly configRefused: number;
  readonly podsCaptured: number;
  readonly podsUnhealthy: number;
  readonly workerStates: Readonly<Record<string, number>>;
  readonly workerRestarts: readonly { readonly worker: number; readonly restarts: number }[];
  readonly meshResources: Readonly<Record<string, number>>;
  /** Bounds the supervisor itself hit, by name. */
  readonly bounds: Readonly<Record<string, number>>;
  readonly accessLogLines: number;
  readonly accessLogDropped: number;
}

interface Sample {
  readonly value: number;
  readonly labels: Record<string, string | number>;
  readonly metricName?: string;
}

type Read = () => Sample[];

/** prom-client asks a metric for its values with get(); these answer from elsewhere instead of from their own table. */
class CollectedCounter extends Counter {
  readonly #read: Read;
  constructor(name: MetricName, registry: Registry, read: Read) {
    super({ ...definition(name), registers: [registry] });
    this.#read = read;
  }
  override async get(): ReturnType<Counter['get']> {
    return { ...(await super.get()), values: this.#read() };
  }
}

class CollectedGauge extends Gauge {
  readonly #read: Read;
  constructor(name: MetricName, registry: Registry, read: Read) {
    super({ ...definition(name), registers: [registry] });
    this.#read = read;
  }
  override async get(): ReturnType<Gauge['get']> {
    return { ...(await super.get()), values: this.#read() };
  }
}

class CollectedHistogram extends Histogram {
  readonly #name: MetricName;
  readonly #read: Read;
  constructor(name: MetricName, registry: Registry, read: Read) {
    super({ ...definition(name), registers: [registry], buckets: [] });
    this.#name = name;
    this.#read = read;
  }
  /** Where histograms keep their values: Registry.metrics() and get() both start here (prom-client 15, not in its types). */
  getForPromString(): Promise<{ name: string; help: string; type: string; values: object[] }> {
    const values = this.#read().map((sample) => ({ ...sample, sharedLabels: {} }));
    return Promise.resolve({ name: this.#name, help: METRICS[this.#name].help, type: 'histogram', values });
  }
}

function definition(name: MetricName): { name: string; help: string; labelNames: readonly string[] } {
  const { help, labels } = METRICS[name];
  return { name, help, labelNames: labels };
}

export class PrometheusExporter {
  readonly registry = new Registry();
  readonly #ledger: StatsLedger;
  readonly #source: MetricsSource;
  #running: Promise<string> | null = null;

  constructor(ledger: StatsLedger, source: MetricsSource) {
    this.#ledger = ledger;
    this.#source = source;
    this.#registerIstio();
    this.#registerPods();
    this.#registerAgent();
  }

  /** The text of one scrape. Scrapes that overlap share one answer. */
  render(): Promise<string> {
    this.#running ??= this.#render().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Brings the ledger up to date and forgets what is gone; also for `weir stats`. */
  async refresh(): Promise<void> {
    await this.#source.refresh();
    this.expire();
  }

  /** To be called now and then even if nobody scrapes, so that the ledger does not only grow. */
  expire(): void {
    const nowMs = this.#source.now();
    const live = this.#source.liveness();
    this.#ledger.http.expire(nowMs, limits.metricExpiryMs, live.workload);
    this.#ledger.tcp.expire(nowMs, limits.metricExpiryMs, live.workload);
    this.#ledger.pods.expire(nowMs, limits.metricExpiryMs, live.pod);
  }

  async #render(): Promise<string> {
    await this.refresh();
    return this.registry.metrics();
  }

  #counter(name: MetricName, read: Read): void {
    new CollectedCounter(name, this.registry, read);
  }

  #gauge(name: MetricName, read: Read): void {
    new CollectedGauge(name, this.registry, read);
  }

  #registerIstio(): void {
    const { http, tcp } = this.#ledger;
    const column = (ledger: SeriesLedger, index: number): Read => {
      return () => map(ledger, ({ labels, values }) => [{ labels: { ...labels }, value: values[index] ?? 0 }]);
    };
    this.#counter('istio_requests_total', column(http, HTTP_REQUESTS));
    this.#counter('istio_tcp_connections_opened_total', column(tcp, TCP_OPENED));
    this.#counter('istio_tcp_connections_closed_total', column(tcp, TCP_CLOSED));
    this.#counter('istio_tcp_sent_bytes_total', column(tcp, TCP_SENT_BYTES));
    this.#counter('istio_tcp_received_bytes_total', column(tcp, TCP_RECEIVED_BYTES));
    const durations = 'istio_request_duration_milliseconds';
    new CollectedHistogram(durations, this.registry, () => map(http, (series) => durationSamples(durations, series)));
    for (const [name, index] of [
      ['istio_request_bytes', HTTP_REQUEST_BYTES],
      ['istio_response_bytes', HTTP_RESPONSE_BYTES],
    ] as const) {
      new CollectedHistogram(name, this.registry, () => map(http, (series) => sizeSamples(name, series, index)));
    }
  }

  #registerPods(): void {
    const { pods } = this.#ledger;
    const column = (index: number, scale = 1): Read => {
      return () => map(pods, ({ labels, values }) => [{ labels: { ...labels }, value: (values[index] ?? 0) * scale }]);
    };
    this.#counter('weir_pod_cpu_seconds_total', column(POD_CPU_MS, 0.001));
    this.#counter('weir_pod_requests_total', column(POD_REQUESTS));
    this.#counter('weir_pod_connections_opened_total', column(POD_OPENED));
    this.#counter('weir_pod_connections_refused_total', column(POD_REFUSED));
    this.#counter('weir_pod_bytes_total', () =>
      map(pods, ({ labels, values }) => [
        { labels: { ...labels, direction: 'in' }, value: values[POD_BYTES_IN] ?? 0 },
        { labels: { ...labels, direction: 'out' }, value: values[POD_BYTES_OUT] ?? 0 },
      ]),
    );
    this.#counter('weir_pod_shed_total', () =>
      map(pods, ({ labels, values }) =>
        POD_SHED.filter(([, index]) => (values[index] ?? 0) > 0).map(([bound, index]) => ({
          labels: { ...labels, bound },
          value: values[index] ?? 0,
        })),
      ),
    );
    const level = (name: keyof PodLevels): Read => {
      return () => {
        const levels = this.#ledger.podLevels();
        return map(pods, ({ labels }) => [
          { labels: { ...labels }, value: levels.get(`${labels['namespace']}/${labels['pod']}`)?.[name] ?? 0 },
        ]);
      };
    };
    this.#gauge('weir_pod_connections', level('connections'));
    this.#gauge('weir_pod_requests_in_flight', level('requests'));
    this.#gauge('weir_pod_buffered_bytes', level('bufferedBytes'));
  }

  #registerAgent(): void {
    const { bounds, counters } = this.#ledger;
    const read = (pick: (gauges: AgentGauges) => Sample[]): Read => {
      return () => pick(this.#source.gauges());
    };
    const single = (pick: (gauges: AgentGauges) => number): Read =>
      read((gauges) => [{ labels: {}, value: pick(gauges) }]);
    this.#gauge(
      'weir_controller_connected',
      single((gauges) => (gauges.controllerConnected ? 1 : 0)),
    );
    this.#counter(
      'weir_config_refused_total',
      single((gauges) => gauges.configRefused),
    );
    this.#counter(
      'weir_access_log_lines_total',
      single((gauges) => gauges.accessLogLines),
    );
    this.#counter(
      'weir_access_log_dropped_lines_total',
      single((gauges) => gauges.accessLogDropped),
    );
    this.#gauge(
      'weir_build_info',
      read(({ version, node }) => [{ labels: { version, node }, value: 1 }]),
    );
    this.#gauge(
      'weir_mesh_resources',
      read((gauges) => byLabel('kind', gauges.meshResources)),
    );
    this.#gauge(
      'weir_workers',
      read((gauges) => byLabel('state', gauges.workerStates)),
    );
    this.#gauge(
      'weir_pods',
      read((gauges) => byLabel('state', { captured: gauges.podsCaptured, unhealthy: gauges.podsUnhealthy })),
    );
    this.#counter(
      'weir_worker_restarts_total',
      read((gauges) => gauges.workerRestarts.map(({ worker, restarts }) => ({ labels: { worker }, value: restarts }))),
    );
    this.#counter('weir_bound_hits_total', () => {
      return byLabel('bound', addTotals(bounds, this.#source.gauges().bounds));
    });
    for (const level of LEVEL_NAMES) {
      this.#gauge(`weir_${level}`, () => [{ labels: {}, value: this.#ledger.level(level) }]);
    }
    this.#counter('weir_events_total', () => byLabel('event', addTotals(counters, {})));
  }
}

function map(ledger: SeriesLedger, toSamples: (series: LedgerSeries) => readonly Sample[]): Sample[] {
  const samples: Sample[] = [];
  for (const series of ledger.totals()) for (const sample of toSamples(series)) samples.push(sample);
  return samples;
}

function byLabel(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** A ledger of named totals plus the supervisor's own. */
export function addTotals(ledger: SeriesLedger, own: Readonly<Record<string, number>>): Record<string, number> {
  const totals: Record<string, number> = { ...own };
  for (const { labels, values } of ledger.totals()) {
    const name = labels['name'] ?? 'unknown';
    totals[name] = (totals[name] ?? 0) + (values[0] ?? 0);
  }
  return totals;
}

function durationSamples(name: string, { labels, values }: LedgerSeries): Sample[] {
  const samples: Sample[] = DURATION_BUCKETS_MS.map((bound, i) => ({
    metricName: `${name}_bucket`,
    labels: { ...labels, le: bound },
    value: values[HTTP_BUCKETS + i] ?? 0,
  }));
  // +Inf and _count are the same number by definition; requests is what istio_requests_total says too.
  const count = values[HTTP_REQUESTS] ?? 0;
  samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count });
  samples.push({ metricName: `${name}_sum`, labels: { ...labels }, value: values[HTTP_DURATION_SUM_MS] ?? 0 });
  samples.push({ metricName: `${name}_count`, labels: { ...labels }, value: count });
  return samples;
}

function sizeSamples(name: string, { labels, values }: LedgerSeries, index: number): Sample[] {
  const count = values[HTTP_REQUESTS] ?? 0;
  return [
    { metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels: { ...labels }, value: values[index] ?? 0 },
    { metricName: `${name}_count`, labels: { ...labels }, value: count },
  ];
}
