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
  /** accept(2) calls per listener event; the rest waits for the pod's next turn. Together about one quantum of cost, so a burst of new connections makes nobody wait longer than other work of the pod does. */
  acceptsPerEvent: 8,
  /** Least cost of an event, units: a handler that found nothing to do still took about a microsecond. */
  eventCostMin: 100,
  /** Quanta a pod that is alone may spend before other pods' events are looked for: looking costs as many events as it has ready. */
  soloQuanta: 8,
  /** How long no other pod must have been served for that, ms; else one quantum, which is what a quiet pod then waits beside a flood. */
  soloAfterMs: 1_000,
  /** epoll_wait calls per turn while each returns a full list, so that a pod with thousands of ready sockets hides nobody. */
  waitsPerTurnMax: 4,
  /** Debt of a pod, quanta: what it owes beyond that for work outside its turns (timers, policy changes) is forgiven, else it could stall for long. */
  debtQuantaMax: 32,
  /** Timers that fire per turn; the rest comes in the next turns, with the sockets that are ready in between. About half a millisecond of work. */
  timersPerTurn: 64,
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
  /** When an agent ends, how long in-flight work may go on (--drain-deadline); below Kubernetes' default grace period of 30 s. */
  drainDeadlineMs: 20_000,
  /** A worker that still lives this long after the deadline of its drain is killed. */
  drainOvertimeMs: 2_000,
  /** Longest drain deadline that may be asked for: a day. */
  drainDeadlineMaxMs: 86_400_000,
  /** An agent that is replaced forgets a successor that it has not heard for this long, and goes on. */
  takeoverLeaseMs: 5_000,
  /** How long a successor waits for an answer that needs no work; then the old agent counts as hanging. */
  takeoverAnswerMs: 3_000,
  /** How long a successor waits for the old agent's CNI requests in work: a whole ADD, and two seconds. */
  takeoverYieldMs: 16_000,
  /** How long a successor waits for an agent that is itself just starting or stopping. */
  takeoverBusyMs: 60_000,
  /** Between two attempts while waiting for another agent (its socket, its port). */
  takeoverRetryMs: 200,
  /** How long a successor waits for the controller to bring it up to date before it opens listeners; then the snapshot must do. */
  takeoverControllerMs: 5_000,
  /** How long a successor tries to open every pod's listeners; then it gives up and the old agent goes on. */
  takeoverListenMs: 30_000,
  /** On SIGTERM, how long an agent waits for a successor that has announced itself. */
  successorWaitMs: 30_000,
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
  /** Prometheus series of a pod or workload that is gone are dropped after this; scrapes come every 15 to 60 s. */
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

  // --- HTTP/2 (per connection unless said otherwise)
  /** Streams at a time, as announced in SETTINGS: gRPC clients put all their calls on one connection. More: REFUSED_STREAM. */
  http2StreamsMax: 1_024,
  /** Octets a peer may send before we have passed any on, over all streams: what one connection can make us hold. */
  http2ConnectionWindowBytes: 4 * 1024 * 1024,
  /** HPACK dynamic table for what a peer sends, octets: the initial value (RFC 9113 section 6.5.2). */
  http2HeaderTableBytes: 4_096,
  /** A header block in HEADERS and CONTINUATION, compressed, octets: ENHANCE_YOUR_CALM. Uncompressed: headBytesMax. */
  http2HeaderBlockBytesMax: 65_536,
  /** CONTINUATION frames of one block, empty ones included: ENHANCE_YOUR_CALM. */
  http2ContinuationsMax: 64,
  /** Streams that a peer may cancel or have reset in one go, and per second after that: ENHANCE_YOUR_CALM (CVE-2023-44487). */
  http2CancelBurst: 1_000,
  http2CancelPerSecond: 200,
  /** Frames without use (PING, PRIORITY, empty DATA, unknown types): in one go, and per second after that: ENHANCE_YOUR_CALM. */
  http2ControlBurst: 10_000,
  http2ControlPerSecond: 10_000,
  /** WINDOW_UPDATE of fewer octets, when nothing waits for it, counts as such a frame. */
  http2SmallWindowUpdate: 64,
  /** Octets waiting for a peer that does not read, from which on it is not read from either. */
  http2OutputPauseBytes: 131_072,
  /** Connections per (source pod, endpoint): 100 streams each is what most servers allow. More: 503. */
  http2UpstreamsPerPoolMax: 16,
  /** An endpoint's SETTINGS, once connected, for a request that depends on them (extended CONNECT): 503. As long as connecting may take. */
  http2SettingsTimeoutMs: 10_000,
  /** Body of such a request that comes meanwhile, octets: the initial window of its stream, so a peer that keeps to it is never refused. */
  http2WaitingBodyBytesMax: 65_535,
  /** Times one request is sent when endpoints say each time that they have not looked at it: Istio's default is two retries. */
  http2AttemptsMax: 3,
  /** After GOAWAY, how long a client may take to end its streams and connection while the agent drains. */
  http2GoAwayTimeoutMs: 5_000,
  /** Frames of one connection, collected during a turn, octets. */
  frameBufferBytes: 65_536,
  /** Such buffers kept per worker for reuse: more are only needed when so many connections are busy in one turn. */
  frameBuffersKept: 32,

  // --- HPACK
  /** Recurring header lists kept per worker, a power of two: as many kinds of request and response as a node's pods have at once. */
  headerListsKeptMax: 1_024,
  /** Size of a list that is kept, octets (RFC 7541 section 4.1): browsers' are 1 to 2 KiB, larger ones seldom recur. */
  headerListKeptBytesMax: 4_096,
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

  // --- shares of a worker: what pods may use of each (weir agent --pod-connections-max and so on set others; agent/upstream/overload.ts)
  /** Connections of a pod, both directions: further ones are refused with RST. A quarter of a worker's. */
  connectionsPerPodMax: 16_384,
  /** Connections of a worker: two descriptors each stay below the usual 1,048,576; the heaviest pods' further ones are refused with RST. */
  connectionsPerWorkerMax: 65_536,
  /** Interim responses (100, 103) to one request; no server sends more than a few, and each costs the client a read: 502. */
  interimResponsesMax: 64,
  /** Requests of a pod in flight, HTTP/1.1 exchanges and HTTP/2 streams: as many as connections, so only multiplexing reaches it. 503. */
  requestsPerPodMax: 16_384,
  /** Requests of a worker in flight: about 2 KiB each; the heaviest pods' further ones get 503. */
  requestsPerWorkerMax: 65_536,
  /** Connections of a pod that wait for an endpoint's answer: a quarter of its connections, since a burst of new ones waits here for a turn even when endpoints answer at once. 503 or RST. */
  pendingPerPodMax: 4_096,
  /** Such connections of a worker: four pods at their own bound. */
  pendingPerWorkerMax: 16_384,
  /** Octets held for a pod (not yet taken by a peer, unfinished heads, replays, splice pipes): 1,024 blocked reads. Beyond it the connection that would add to them ends. */
  bufferedBytesPerPodMax: 64 * 1024 * 1024,
  /** Octets held by a worker for all pods: four pods at their own bound; the heaviest pods' connections end. */
  bufferedBytesPerWorkerMax: 256 * 1024 * 1024,
  /** A read for a pod that has used half of what it may hold: sixteen times as many slow peers fit into the rest. */
  squeezedReadBytes: 4_096,
  /** Time per tick of the timer wheel for what concerns every connection or pod (policy change, drain, removal of a pod, sweep), ms: a quarter of a worker at most. */
  passSliceMs: 1,
  /** A turn that takes this long and leaves work behind is strained: quiet pods wait this long. 125 pods' whole quanta. */
  strainedTurnMs: 50,
  /** Strained turns without a break for so long: the worker is saturated, and pods above the mean use of CPU are shed. */
  saturatedAfterMs: 1_000,
  /** How long it is remembered who was above the mean; also how often that is looked at again. */
  saturationWindowMs: 1_000,

  // --- what routes ask for
  /** Requests of a worker that an injected delay holds back; beyond it they are not delayed (as Envoy's max_active_faults). */
  delayedRequestsMax: 4_096,
  /** Copies of requests (mirrors) of a worker that wait for their answers; beyond it requests are not mirrored. */
  mirrorsPerWorkerMax: 1_024,
  /** Body of a request that is mirrored, octets: as much as Istio keeps of one; a longer one is not mirrored. */
  mirrorBodyBytesMax: 65_536,
  /** How long a mirror's answer is waited for, ms: Envoy's default route timeout. */
  mirrorTimeoutMs: 15_000,

  // --- connections
  /** Request octets kept to send a request once more: idempotent and the reused connection was closed; HTTP/2: refused unseen. */
  replayBytesMax: 4_096,
  /** Free buffers for kept requests, per size and worker; more than that are garbage. */
  replayBuffersMax: 1_024,
  /** Free buffers of 16 and of 48 KiB for large heads, per size and worker (4 MiB in all): those that are unfinished, and kept requests. */
  headBuffersMax: 64,
  /** Octets read and dropped while a refused request's body is still arriving. */
  lingerBytesMax: 1_048_576,
  /** Octets of a tunnelled or TCP connection moved per event before the next pod's turn. */
  relayBytesPerEvent: 1_048_576,
  /** Idle pooled upstream connections per (source pod, endpoint). */
  idleUpstreamsPerPoolMax: 1_024,
  /** Idle pooled upstream connections per worker. */
  idleUpstreamsPerWorkerMax: 8_192,

  // --- timers, ms
  /** TCP handshake to an endpoint (Istio's connectTimeout): 503. */
  connectTimeoutMs: 10_000,
  /** A new connection to an HTTP or undeclared port that says nothing. */
  firstByteTimeoutMs: 60_000,
  /** From the first byte of a head to its last: 408. */
  headTimeoutMs: 30_000,
  /** No byte in either direction on a connection (Envoy's and Istio's idle timeout: 1 h). A stream of HTTP/2: after one to three times as long. */
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
  /**
   * Half-closed connection with no progress. After an endpoint's GOAWAY the same goes for requests that are neither sent whole nor answered
   * yet: longer would keep the endpoint from ending, shorter would end calls that only rest.
   */
  halfCloseTimeoutMs: 300_000,

  // --- telemetry
  /** Requests of a worker, logged or refused, that `weir explain` can be asked about. About 2 KiB each; 21 KiB when all is at its bound. */
  recentRequestsMax: 1_024,
  /** Header fields kept of each, and octets of a name or a value, of the method and of the host. */
  recentHeadersMax: 32,
  recentHeaderBytesMax: 256,
  /** Octets kept of a path, and of a query. */
  recentPathBytesMax: 2_048,
  /** Such requests in one answer of the admin API. */
  recentRequestRowsMax: 200,
  /** Distinct label sets per worker; beyond it requests are counted in the `unknown` series. */
  metricSeriesMax: 8_192,
  /** Distinct status codes and response flags per pair of workloads; rarer ones are counted by class (`4xx`). Services use a dozen. */
  statusesPerPairMax: 24,
  /** Series of a pod that is gone stay readable this long, so that the last scrape sees them. */
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
  /** Requests that POST /explain decides at once: a few milliseconds of the supervisor's time. */
  explainLinesMax: 256,
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
  /** Destinations that a pod may reach without the agent (8 octets and a hash slot each in the kernel); the rest is captured. */
  bypassEntriesPerPodMax: 4_096,
  /** Changes that let more bypass the agent are gathered for so long; what takes it back is done at once. */
  bypassAddDelayMs: 200,
  /** Pods whose sets grow per second, at most: each is a program that runs. */
  bypassGrowthsPerSecond: 50,
  /** A set that could not be changed is tried again after this. */
  bypassRetryMs: 2_000,
  /** Live connections named in one `ss --kill`: the filter is compiled by ss into one program. */
  bypassCutsPerCommand: 64,
  /** `weir capture verify`: connecting and reading the answer, each way, each family. */
  captureVerifyTimeoutMs: 3_000,
  /** /proc/net/tcp that is read to find listeners, octets: they come first. */
  listenerTableBytesMax: 1_048_576,

  // --- host names of ServiceEntries (DNS)
  /** Names an agent looks up; further ones lead nowhere (503). Two queries each per refresh: at most 400 per second at the shortest one. */
  resolvedNamesMax: 1_024,
  /** Addresses of one name and family that are used, each an endpoint; the rest of the answer is left out. What fits in 1 KiB of DNS message. */
  resolvedAddressesMax: 64,
  /** Queries at once; further ones wait. A DNS server is asked no harder than by a busy pod. */
  nameLookupsAtOnce: 32,
  /** How long one DNS server is waited for at first (longer at the second attempt), ms. */
  nameLookupTimeoutMs: 2_000,
  /** How often each server is asked before a lookup has failed. */
  nameLookupTries: 2,
  /** Shortest time between two lookups of a name, whatever its TTL: each new answer is a change of the mesh in every worker. */
  nameRefreshMinMs: 5_000,
  /** Longest, whatever its TTL: a name that moves is noticed within it. */
  nameRefreshMaxMs: 300_000,
  /** A name that does not exist, or has no address of a family, is looked up again after this: its negative TTL is not told. */
  nameAbsentRefreshMs: 30_000,
  /** First and longest wait after a lookup that failed; doubles in between, with jitter. */
  nameRetryMinMs: 1_000,
  nameRetryMaxMs: 30_000,
  /** How long the last good answer is used while lookups fail (RFC 8767 section 5: 1 to 3 days); afterwards the name leads nowhere. */
  nameStaleMaxMs: 24 * 3_600_000,
  /** Answers are gathered for so long: one change of the mesh instead of many. */
  namePublishDelayMs: 20,
  /** names.json that is read, octets: all names with all addresses are about 6 MiB. */
  nameStoreBytesMax: 16 * 1024 * 1024,
  /** An agent that starts waits so long for first answers before it takes connections; what is unknown then is answered with 503. */
  nameFirstAnswerMs: 3_000,

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
