import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DURATION_BUCKETS_MS, type Labels, type WorkerStats } from '../../../agent/ipc/messages.ts';
import { ISTIO_LABELS, METRICS, type MetricDefinition } from '../../../agent/telemetry/metric-catalogue.ts';
import { type AgentGauges, type Liveness, PrometheusExporter } from '../../../agent/telemetry/prometheus.ts';
import { StatsLedger } from '../../../agent/telemetry/stats-ledger.ts';

const BUCKETS = DURATION_BUCKETS_MS.length + 1;

const GAUGES: AgentGauges = {
  version: '0.1.0',
  node: 'node-1',
  controllerConnected: true,
  configRefused: 2,
  podsCaptured: 3,
  podsUnhealthy: 1,
  workerStates: { serving: 2 },
  workerRestarts: [
    { worker: 0, restarts: 0 },
    { worker: 1, restarts: 4 },
  ],
  meshResources: { workload: 5 },
  bounds: { accessLogLineBytesMax: 1 },
  accessLogLines: 10,
  accessLogDropped: 1,
};

const HTTP_LABELS: Labels = {
  reporter: 'source',
  source_workload: 'client',
  source_workload_namespace: 'shop',
  destination_workload: 'web "quoted"',
  destination_workload_namespace: 'shop',
  request_protocol: 'http',
  response_code: '200',
  response_flags: '-',
  not_a_label: 'x',
};

const STATS: WorkerStats = {
  worker: 0,
  pid: 1,
  http: [
    {
      labels: HTTP_LABELS,
      requests: 4,
      // 1 within 0.5 ms, 3 within 1 ms, all within 5 ms.
      durationBuckets: [1, 3, ...Array.from({ length: BUCKETS - 2 }, () => 4)],
      durationSumMs: 6.5,
      requestBytes: 100,
      responseBytes: 2_000,
    },
  ],
  tcp: [
    { labels: { reporter: 'source', request_protocol: 'tcp' }, opened: 3, closed: 1, sentBytes: 7, receivedBytes: 8 },
  ],
  pods: [
    {
      index: 1,
      namespace: 'shop',
      name: 'client-1',
      cpuMs: 1_500,
      bytesIn: 10,
      bytesOut: 20,
      requests: 4,
      connectionsOpened: 5,
      connectionsActive: 2,
      refused: 1,
      requestsActive: 0,
      pending: 0,
      bufferedBytes: 0,
      shed: { connections: 0, requests: 0, pending: 0, buffered: 0, overloaded: 0 },
    },
  ],
  bounds: { headBytesMax: 3 },
  counters: { upstream_replayed: 6, connections: 2 },
};

function exporter(live: Liveness = { workload: () => true, pod: () => true }, now = () => 0) {
  const ledger = new StatsLedger(BUCKETS, 100);
  let refreshes = 0;
  const exported = new PrometheusExporter(ledger, {
    refresh: () => {
      refreshes += 1;
      return Promise.resolve();
    },
    liveness: () => live,
    gauges: () => GAUGES,
    now,
  });
  return { ledger, exported, refreshes: () => refreshes };
}

/** Sample lines of one name (with its suffixes), each as its labels and its value. */
function samples(text: string, name: string): { labels: Record<string, string>; value: number }[] {
  const found: { labels: Record<string, string>; value: number }[] = [];
  for (const line of text.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name) continue;
    const labels = Object.fromEntries(
      [...(match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map((m) => [m[1], m[2]]),
    );
    found.push({ labels, value: Number(match[3]) });
  }
  return found;
}

test('istio_requests_total has exactly the labels of the Istio standard, what is missing is unknown', async () => {
  const { ledger, exported } = exporter();
  ledger.report(1, STATS);
  const [sample, ...others] = samples(await exported.render(), 'istio_requests_total');
  assert.deepEqual(others, []);
  assert.equal(sample?.value, 4);
  assert.deepEqual(Object.keys(sample?.labels ?? {}), [...ISTIO_LABELS]);
  assert.equal(sample?.labels['source_workload'], 'client');
  assert.equal(sample?.labels['source_principal'], 'unknown');
  assert.equal(sample?.labels['destination_workload'], 'web \\"quoted\\"');
});

test('the duration histogram is cumulative and ends in +Inf = count', async () => {
  const { ledger, exported } = exporter();
  ledger.report(1, STATS);
  const text = await exported.render();
  const buckets = samples(text, 'istio_request_duration_milliseconds_bucket');
  assert.deepEqual(
    buckets.map(({ labels }) => labels['le']),
    [...DURATION_BUCKETS_MS.map(String), '+Inf'],
  );
  assert.deepEqual(
    buckets.slice(0, 3).map(({ value }) => value),
    [1, 3, 4],
  );
  assert.equal(buckets.at(-1)?.value, 4);
  assert.equal(samples(text, 'istio_request_duration_milliseconds_sum')[0]?.value, 6.5);
  assert.equal(samples(text, 'istio_request_duration_milliseconds_count')[0]?.value, 4);
  assert.equal(samples(text, 'istio_response_bytes_sum')[0]?.value, 2_000);
  assert.match(text, /# TYPE istio_request_duration_milliseconds histogram/);
});

test('pods, bounds, workers and the controller are told', async () => {
  const { ledger, exported } = exporter();
  ledger.report(1, STATS);
  const text = await exported.render();
  const one = (name: string): number | undefined => samples(text, name)[0]?.value;
  assert.equal(one('weir_pod_cpu_seconds_total'), 1.5);
  assert.equal(one('weir_pod_connections'), 2);
  assert.equal(one('istio_tcp_received_bytes_total'), 8);
  assert.deepEqual(samples(text, 'weir_pod_bytes_total'), [
    { labels: { namespace: 'shop', pod: 'client-1', direction: 'in' }, value: 10 },
    { labels: { namespace: 'shop', pod: 'client-1', direction: 'out' }, value: 20 },
  ]);
  assert.deepEqual(
    samples(text, 'weir_bound_hits_total').map(({ labels, value }) => [labels['bound'], value]),
    [
      ['accessLogLineBytesMax', 1],
      ['headBytesMax', 3],
    ],
  );
  assert.deepEqual(
    samples(text, 'weir_events_total').map(({ labels }) => labels['event']),
    ['upstream_replayed'],
  );
  assert.deepEqual(
    samples(text, 'weir_worker_restarts_total').map(({ value }) => value),
    [0, 4],
  );
  assert.equal(one('weir_controller_connected'), 1);
  assert.deepEqual(samples(text, 'weir_build_info')[0]?.labels, { version: '0.1.0', node: 'node-1' });
});

test('a dead worker does not make a counter fall; its open connections are gone', async () => {
  const { ledger, exported } = exporter();
  ledger.report(1, STATS);
  ledger.close(1);
  const text = await exported.render();
  assert.equal(samples(text, 'istio_requests_total')[0]?.value, 4);
  assert.equal(samples(text, 'weir_pod_connections')[0]?.value, 0);
});

test('series of a pod that is gone are dropped after a minute', async () => {
  let now = 0;
  const { ledger, exported } = exporter({ workload: () => false, pod: () => false }, () => now);
  ledger.report(1, STATS);
  assert.equal(samples(await exported.render(), 'istio_requests_total').length, 1);
  now = 60_000;
  const text = await exported.render();
  for (const name of [
    'istio_requests_total',
    'istio_tcp_sent_bytes_total',
    'weir_pod_connections',
    'weir_pod_bytes_total',
  ]) {
    assert.deepEqual(samples(text, name), [], name);
  }
});

test('scrapes at the same time share one round of questions to the workers', async () => {
  const { exported, refreshes } = exporter();
  await Promise.all([exported.render(), exported.render(), exported.render()]);
  assert.equal(refreshes(), 1);
  await exported.render();
  assert.equal(refreshes(), 2);
});

test('what is exported is what the catalogue documents', async () => {
  const { ledger, exported } = exporter();
  ledger.report(1, STATS);
  const text = await exported.render();
  const typed = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
  const documented = Object.entries(METRICS).map(([name, { type }]) => `${name} ${type}`);
  assert.deepEqual(new Set(typed), new Set(documented));
  for (const [name, definition] of Object.entries(METRICS) as [string, MetricDefinition][]) {
    const suffix = definition.type === 'histogram' ? '_sum' : '';
    for (const { labels } of samples(text, `${name}${suffix}`)) {
      assert.deepEqual(Object.keys(labels).sort(), [...definition.labels].sort(), name);
    }
  }
});

for (const [name, definition] of Object.entries(METRICS) as [string, MetricDefinition][]) {
  test(`${name} keeps Prometheus' naming rules`, () => {
    assert.match(name, /^(istio|weir)_[a-z]+(_[a-z]+)*$/);
    assert.equal(name.endsWith('_total'), definition.type === 'counter', 'counters, and only they, end in _total');
    assert.doesNotMatch(name, /_(count|sum|bucket)(_|$)/, 'suffixes that histograms own');
    assert.doesNotMatch(name, /_(gauge|counter|histogram|info_info)$/);
    // Base units. Istio's own name, which dashboards use, is the exception.
    if (name !== 'istio_request_duration_milliseconds') {
      assert.doesNotMatch(name, /(milli|micro|nano)seconds|minutes|hours|kilobytes|megabytes|_ms(_|$)/);
    }
    assert.match(definition.help, /^[A-Z1].*\.$/, 'help is a sentence');
    for (const label of definition.labels) {
      assert.match(label, /^[a-z]+(_[a-z]+)*$/);
      assert.notEqual(label, 'le');
    }
  });
}
