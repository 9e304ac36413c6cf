/**
 * Every bound of the agent, in one place: unit in the name, reason beside it, and what happens when it is reached.
 * A hit is counted in `bounds.<name>` (see telemetry) and shown by `weir stats`.
 */
export const limits = {
  // --- engine
  /** One shared read buffer per worker; a read never takes more, so no connection needs a buffer of its own. */
  readBufferBytes: 65_536,
  /** Events taken per epoll_wait. More only adds latency for the pod that is served last. */
  eventsPerWait: 256,
  /** Deficit round robin: cost units (about one byte, plus 1,000 per request) a pod may spend per round. */
  fairQuantum: 32_768,
  /** accept(2) calls per listener event; the rest waits for the pod's next turn. */
  acceptsPerEvent: 32,

  // --- supervisor ⇄ worker
  /** Largest frame; a full snapshot of 50,000 pods is about 25 MiB. Larger: the worker is restarted. */
  ipcFrameBytesMax: 64 * 1024 * 1024,

  // --- HTTP/1.1 (status code when exceeded)
  /** Request line, octets (RFC 9112 section 3 recommends 8,000 at least): 414. */
  requestLineBytesMax: 16_384,
  /** Whole head, octets: 431. */
  headBytesMax: 49_152,
  /** Header fields: 431. */
  headerCountMax: 128,
  /** A chunk-size line with its extensions, octets: 400. */
  chunkLineBytesMax: 1_024,
  /** Trailer section, octets: 431. */
  trailerBytesMax: 8_192,

  // --- connections
  /** Per pod, both directions: further ones are refused with RST. */
  connectionsPerPodMax: 16_384,
  /** Per worker. */
  connectionsPerWorkerMax: 65_536,
  /** Bytes waiting for a peer that does not read; above it the source is not read (backpressure). */
  queuedBytesPerConnectionMax: 131_072,
  /** Idle pooled upstream connections per (source pod, endpoint). */
  idleUpstreamsPerPoolMax: 64,
  /** Idle pooled upstream connections per worker. */
  idleUpstreamsPerWorkerMax: 8_192,

  // --- timers, ms
  /** TCP handshake to an endpoint (semantics.md default): 503. */
  connectTimeoutMs: 10_000,
  /** From the first byte of a head to its last: 408. */
  headTimeoutMs: 30_000,
  /** No byte in either direction on a connection (semantics.md: 1 h). */
  idleTimeoutMs: 3_600_000,
  /** A pooled upstream connection unused for this long is closed. */
  upstreamIdleTimeoutMs: 60_000,
  /** Half-closed connection with no progress. */
  halfCloseTimeoutMs: 300_000,

  // --- telemetry
  /** Distinct label sets per worker; beyond it requests are counted in the `unknown` series. */
  metricSeriesMax: 8_192,
  /** Access-log bytes waiting for a slow reader; then lines are dropped and counted. */
  accessLogBufferBytes: 262_144,
  /** Rows a `connections` answer carries. */
  connectionRowsMax: 10_000,

  // --- CNI and control
  /** How long ADD waits for the pod's identity from the controller: ADD then fails and the runtime retries. */
  cniIdentityWaitMs: 10_000,
  /** How long ADD waits for listeners and rules. */
  cniReadyWaitMs: 10_000,
  /** Request body on the CNI and admin sockets, octets. */
  localRequestBytesMax: 1_048_576,
  /** Pods per node; further ADDs fail. */
  podsPerNodeMax: 1_024,
} as const;

export type LimitName = keyof typeof limits;
