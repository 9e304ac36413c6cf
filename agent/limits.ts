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
  /** Least cost of an event, units: a handler that found nothing to do still took about a microsecond. */
  eventCostMin: 100,
  /** Quanta a pod that is alone may spend before other pods' events are looked for. */
  soloQuanta: 8,
  /** epoll_wait calls per turn while each returns a full list, so that a pod with thousands of ready sockets hides nobody. */
  waitsPerTurnMax: 4,
  /** Timer wheel: resolution, ms; a timer is late by at most this. */
  timerTickMs: 4,
  /** Timer wheel: slots (16 s per revolution); longer timers are looked at once per revolution. */
  timerSlots: 4_096,
  /** Capacity of one splice pipe, octets: what a slow reader can hold back outside the socket buffers. */
  splicePipeBytes: 262_144,
  /** Splice pipes in use per worker (two descriptors each); beyond it octets are copied. Only a pump whose target is full holds one. */
  splicePipesMax: 1_024,
  /** Empty splice pipes kept for reuse per worker. */
  splicePipesIdleMax: 64,

  // --- supervisor ⇄ worker
  /** Largest frame; a full snapshot of 50,000 pods is about 25 MiB. Larger: the worker is restarted. */
  ipcFrameBytesMax: 64 * 1024 * 1024,
  /** Bytes queued to a worker that does not read its IPC socket: two full snapshots. Above it the worker is restarted. */
  ipcQueueBytesMax: 128 * 1024 * 1024,
  /** A worker's answer to a query; afterwards the supervisor goes on with the last known values. */
  ipcQueryTimeoutMs: 2_000,
  /** From spawn to 'ready' (Node itself takes 60 ms; a loaded machine much longer): the worker is killed and restarted. */
  workerStartMs: 30_000,
  /** A worker that answers nothing for this long hangs and black-holes its share of connections: it is restarted. */
  workerUnresponsiveMs: 30_000,
  /** How often a worker's counters are read when nobody scrapes: what a crash loses at most, and the watchdog's pulse. */
  workerPollMs: 10_000,
  /** More deaths of one worker than this within workerDeathWindowMs and restarts are delayed. */
  workerDeathsMax: 5,
  workerDeathWindowMs: 10_000,
  /** First and longest delay before the restart of a worker that keeps dying; doubles in between. */
  workerBackoffMinMs: 250,
  workerBackoffMaxMs: 10_000,
  /** JavaScript heap of a worker, MiB: 65,536 connections at 2 KiB, the mesh model of 50,000 pods, and room. */
  workerOldSpaceMiB: 1_024,
  /** Young generation of a worker, MiB: small, so that scavenges stay below a millisecond. */
  workerSemiSpaceMiB: 8,
  /** A line that a worker prints on stdout or stderr; the rest of a longer one is cut. */
  workerOutputLineBytesMax: 8_192,
  /** On SIGTERM, how long in-flight work may go on; below Kubernetes' default grace period of 30 s. */
  drainDeadlineMs: 20_000,
  /** On SIGTERM, how long CNI requests in work may take before draining starts: together below that grace period. */
  cniCloseMs: 3_000,
  /** How often every pod's rules and listeners are looked at and repaired. */
  captureRepairMs: 60_000,
  /** Connections to the admin socket at a time; further ones are closed. */
  adminConnectionsMax: 64,
  /** Errors that `weir status` shows. */
  recentErrorsMax: 20,
  /** One access-log line; a longer one is dropped and counted. */
  accessLogLineBytesMax: 65_536,
  /** Access-log bytes waiting for a slow stdout; then lines are dropped and counted. */
  accessLogOutputBytesMax: 1_048_576,
  /** What `weir logs --access` can look back on: bytes, then lines of one answer. */
  accessLogTailBytesMax: 1_048_576,
  accessLogTailLinesMax: 1_000,
  /** Prometheus series of a pod or workload that is gone are dropped after this (semantics.md). */
  metricExpiryMs: 60_000,
  /** Distinct Prometheus series the supervisor keeps per kind; further ones are left out and counted. */
  metricLedgerSeriesMax: 32_768,

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
  /** Method, octets; no registered one is longer than 17, and RFC 9112 section 3 asks for 501 beyond what is known. */
  methodBytesMax: 32,
  /** Options in all Connection fields of a head, because each is compared with every field: 400. */
  connectionOptionsMax: 32,

  // --- first octets of a connection
  /** A ClientHello's handshake message, octets; real ones are 200 to 2,500: a longer one is relayed without a server name. */
  clientHelloBytesMax: 16_384,
  /** Octets read before a connection's protocol is known, record headers of a ClientHello in tiny records included. */
  detectBytesMax: 32_768,
  /** A PROXY protocol header of version 2, octets (its document asks for 536; TLVs with certificates need more): RST. */
  proxyHeaderBytesMax: 2_048,

  /** Rewritten heads and local responses: a head at its limit plus what header modifiers add. */
  scratchBytes: 131_072,
  /** Pending connections per listener; the kernel caps it at net.core.somaxconn of the pod's namespace. */
  listenBacklog: 4_096,
  /** A verification connection that says nothing. */
  verifyTimeoutMs: 5_000,

  /** Peers' socket addresses kept encoded; the least recently used one goes. About 300 octets each. */
  preparedAddressesMax: 4_096,

  // --- connections
  /** Per pod, both directions: further ones are refused with RST. */
  connectionsPerPodMax: 16_384,
  /** Per worker. */
  connectionsPerWorkerMax: 65_536,
  /** Request octets kept to replay an idempotent request whose reused upstream connection turned out closed. */
  replayBytesMax: 4_096,
  /** Free replay buffers kept per worker for reuse; more than that are garbage. */
  replayBuffersMax: 1_024,
  /** Octets read and dropped while a refused request's body is still arriving. */
  lingerBytesMax: 1_048_576,
  /** Octets of a tunnelled or TCP connection moved per event before the next pod's turn. */
  relayBytesPerEvent: 1_048_576,
  /** Idle pooled upstream connections per (source pod, endpoint). */
  idleUpstreamsPerPoolMax: 64,
  /** Idle pooled upstream connections per worker. */
  idleUpstreamsPerWorkerMax: 8_192,

  // --- timers, ms
  /** TCP handshake to an endpoint (semantics.md default): 503. */
  connectTimeoutMs: 10_000,
  /** A new connection to an HTTP or undeclared port that says nothing. */
  firstByteTimeoutMs: 60_000,
  /** From the first byte of a head to its last: 408. */
  headTimeoutMs: 30_000,
  /** No byte in either direction on a connection (semantics.md: 1 h). */
  idleTimeoutMs: 3_600_000,
  /**
   * First octets on an undeclared port that could still become HTTP or TLS and do not go on: relayed as TCP. Longer than a
   * lost segment takes to be sent again (200 ms at least), short enough for a person.
   */
  detectStallMs: 500,
  /** An undeclared port whose client stays silent this long is dialled as TCP, in case the server speaks first. */
  detectDelayMs: 3,
  /** After an error response with the request body still coming: read and discard, so that the client sees the response. */
  lingerTimeoutMs: 2_000,
  /** A listener that could not accept for want of descriptors or memory tries again after this. */
  acceptRestMs: 50,
  /** How often idle upstream connections are looked through. */
  sweepIntervalMs: 10_000,
  /** Longest epoll_wait: how late a worker may notice nothing at all. */
  turnWaitMs: 1_000,
  /** A pooled upstream connection unused for this long is closed. */
  upstreamIdleTimeoutMs: 60_000,
  /** Half-closed connection with no progress. */
  halfCloseTimeoutMs: 300_000,

  // --- telemetry
  /** Distinct label sets per worker; beyond it requests are counted in the `unknown` series. */
  metricSeriesMax: 8_192,
  /** Series of a pod that is gone stay readable this long, so that the last scrape sees them (semantics.md). */
  goneSeriesKeptMs: 60_000,
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

  // --- capture
  /** One iptables-restore, iptables-save or ip: killed after this; the ADD fails and the runtime retries. Normally ≤ 20 ms. */
  ruleCommandTimeoutMs: 5_000,
  /** Such programs running at once; further ones wait. Two pods' worth per core of a small node; more only adds switches. */
  ruleCommandsAtOnce: 16,
  /** Output of such a program that is kept, octets. A pod's own iptables-save is about 4 KiB. */
  ruleOutputBytesMax: 4 * 1024 * 1024,
  /** Whole ADD, identity included: below the plugin's own 15 s, so that the plugin hears the reason. */
  cniAddTotalMs: 14_000,
  /** Requests on the CNI socket in work at once; further ones are refused with 503 and the runtime retries. */
  cniRequestsAtOnce: 256,
  /** How long a client of the CNI socket may take to send a request. */
  cniRequestTimeoutMs: 10_000,
  /** Entries of one exclusion annotation: each is a rule that every new connection passes. */
  exclusionsPerAnnotationMax: 64,
  /** Octets of one exclusion annotation. */
  exclusionAnnotationBytesMax: 4_096,
  /** `weir capture verify`: connecting and reading the answer, each way, each family. */
  captureVerifyTimeoutMs: 3_000,
  /** /proc/net/tcp that is read to find listeners, octets: they come first. */
  listenerTableBytesMax: 1_048_576,

  // --- control stream
  /** First wait before reconnecting to the controller; doubles per failure, with jitter. */
  controlBackoffMinMs: 200,
  /** Longest such wait: a controller that is back is noticed within it. Also how long a stream must live to count as good. */
  controlBackoffMaxMs: 5_000,
  /** The controller is probed when nothing was received for so long: a dead peer sends no FIN. */
  controlKeepaliveTimeMs: 10_000,
  /** No answer to a probe for so long: the connection is given up. */
  controlKeepaliveTimeoutMs: 10_000,
  /** One response of the controller, octets; it sends about 4 MiB at most. Larger: the stream ends and is opened again. */
  controlResponseBytesMax: 32 * 1024 * 1024,
  /** Refusals kept for `weir status`; older ones are dropped. */
  controlNacksMax: 100,
  /** Changes are on disk after this time; a burst is written once. */
  snapshotDelayMs: 1_000,
} as const;

export type LimitName = keyof typeof limits;
