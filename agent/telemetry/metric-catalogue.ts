/**
 * Every metric the agent exposes: name, type, labels, meaning. The exporter is built from this list, and a test holds the
 * names against Prometheus' naming rules, so a metric cannot appear without being documented here.
 */

/** Istio's label names (Istio Standard Metrics, which people's dashboards use), in their order. */
export const ISTIO_LABELS = [
  'reporter',
  'source_workload',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_canonical_service',
  'source_canonical_revision',
  'destination_workload',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_service',
  'destination_service_name',
  'destination_service_namespace',
  'destination_canonical_service',
  'destination_canonical_revision',
  'request_protocol',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'connection_security_policy',
] as const;

export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  /** One sentence; the unit when the name does not say it. */
  readonly help: string;
}

const POD = ['namespace', 'pod'] as const;

export const METRICS = {
  istio_requests_total: { type: 'counter', labels: ISTIO_LABELS, help: 'HTTP requests that were answered.' },
  istio_request_duration_milliseconds: {
    type: 'histogram',
    labels: ISTIO_LABELS,
    help: 'Time from the first byte of a request to the last byte of its response.',
  },
  istio_request_bytes: {
    type: 'histogram',
    labels: ISTIO_LABELS,
    help: 'HTTP request body sizes; sum and count only, the one bucket is +Inf.',
  },
  istio_response_bytes: {
    type: 'histogram',
    labels: ISTIO_LABELS,
    help: 'HTTP response body sizes; sum and count only, the one bucket is +Inf.',
  },
  istio_tcp_connections_opened_total: {
    type: 'counter',
    labels: ISTIO_LABELS,
    help: 'TCP connections relayed, opened.',
  },
  istio_tcp_connections_closed_total: {
    type: 'counter',
    labels: ISTIO_LABELS,
    help: 'TCP connections relayed, closed.',
  },
  istio_tcp_sent_bytes_total: {
    type: 'counter',
    labels: ISTIO_LABELS,
    help: 'Bytes sent to the client on TCP connections.',
  },
  istio_tcp_received_bytes_total: {
    type: 'counter',
    labels: ISTIO_LABELS,
    help: 'Bytes received from the client on TCP connections.',
  },
  weir_pod_cpu_seconds_total: {
    type: 'counter',
    labels: POD,
    help: "CPU time the data plane spent on a pod's traffic.",
  },
  weir_pod_bytes_total: {
    type: 'counter',
    labels: [...POD, 'direction'],
    help: "Bytes of a pod's captured connections; direction in = to the pod, out = from the pod.",
  },
  weir_pod_requests_total: { type: 'counter', labels: POD, help: 'HTTP requests on connections captured for a pod.' },
  weir_pod_connections: { type: 'gauge', labels: POD, help: 'Connections captured for a pod that are open now.' },
  weir_pod_connections_opened_total: { type: 'counter', labels: POD, help: 'Connections captured for a pod.' },
  weir_pod_connections_refused_total: {
    type: 'counter',
    labels: POD,
    help: 'Connections of a pod that were refused: a bound was reached, or a port of the mesh was dialled.',
  },
  weir_pod_shed_total: {
    type: 'counter',
    labels: [...POD, 'bound'],
    help: "Connections, requests and dials of a pod that were refused because of a cap; bound is the pod's own that was reached, or overloaded. Only those above zero.",
  },
  weir_pod_requests_in_flight: {
    type: 'gauge',
    labels: POD,
    help: 'HTTP requests and streams of a pod in flight now.',
  },
  weir_pod_buffered_bytes: {
    type: 'gauge',
    labels: POD,
    help: 'Octets held for a pod now because a peer does not take them yet.',
  },
  weir_pods: { type: 'gauge', labels: ['state'], help: 'Enrolled pods of this node; state captured or unhealthy.' },
  weir_bound_hits_total: {
    type: 'counter',
    labels: ['bound'],
    help: 'How often a bound of the agent was reached, by its name in limits.ts.',
  },
  weir_events_total: { type: 'counter', labels: ['event'], help: 'Rare events of the data plane and its engine.' },
  weir_connections: { type: 'gauge', labels: [], help: 'Connections the data plane has open now, all pods.' },
  weir_idle_upstreams: { type: 'gauge', labels: [], help: 'Idle upstream connections kept for reuse.' },
  weir_requests_in_flight: { type: 'gauge', labels: [], help: 'HTTP requests and streams in flight now, all pods.' },
  weir_pending_connections: { type: 'gauge', labels: [], help: 'Connections that wait for an endpoint now.' },
  weir_buffered_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Octets the data plane holds now because peers do not take them yet, all pods.',
  },
  weir_splice_pipes: { type: 'gauge', labels: [], help: 'Pipes that hold octets of relayed connections now.' },
  weir_workers: { type: 'gauge', labels: ['state'], help: 'Data-plane workers by state.' },
  weir_worker_restarts_total: { type: 'counter', labels: ['worker'], help: 'Workers that died and were restarted.' },
  weir_controller_connected: { type: 'gauge', labels: [], help: '1 while the stream from the controller is up.' },
  weir_config_refused_total: {
    type: 'counter',
    labels: [],
    help: 'Changes from the controller that were refused (NACK).',
  },
  weir_mesh_resources: { type: 'gauge', labels: ['kind'], help: 'Resources of the mesh this agent holds.' },
  weir_access_log_lines_total: { type: 'counter', labels: [], help: 'Access-log lines the workers wrote.' },
  weir_access_log_dropped_lines_total: {
    type: 'counter',
    labels: [],
    help: 'Access-log lines dropped because their reader was too slow.',
  },
  weir_build_info: {
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1; the version of the agent and its node.',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricName = keyof typeof METRICS;
