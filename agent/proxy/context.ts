/** Everything one worker shares between its connections. One instance per process. */
import type { PinnedBuffer } from '../engine/memory.ts';
import { allocatePinned } from '../engine/memory.ts';
import type { Reactor } from '../engine/reactor.ts';
import { RequestHead } from '../http1/request-head.ts';
import { ResponseHead } from '../http1/response-head.ts';
import { type Caps, DEFAULT_CAPS } from '../ipc/caps.ts';
import type { LogLevel } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { PathNormalization } from '../../mesh/path.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import { MeshState } from '../../mesh/state.ts';
import type { AccessLog } from '../telemetry/access-log.ts';
import type { BoundCounters } from '../telemetry/bounds.ts';
import { SeriesTable } from '../telemetry/series.ts';
import { HeaderListTable } from '../http2/header-list.ts';
import { FrameBuffers } from '../upstream/frame-output.ts';
import { InFlight } from '../upstream/in-flight.ts';
import type { UpstreamEnvironment } from '../upstream/environment.ts';
import { WorkerUsage } from '../upstream/usage.ts';
import { ConnectionTable } from './connection-table.ts';
import { HttpNeeded } from './http-needed.ts';
import type { Pod } from './pod.ts';
import { PodTable } from './pod-table.ts';
import { PreparedAddresses } from './prepared-addresses.ts';
import { RecentRequests } from './recent-requests.ts';
import { KeptRequests } from './replay.ts';
import type { VerifyTokens } from './verify-reply.ts';

export interface WorkerIdentity {
  readonly worker: number;
  readonly node: string;
  readonly trustDomain: string;
}

export type LogFunction = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void;

export class WorkerContext implements UpstreamEnvironment {
  readonly self: WorkerIdentity;
  readonly reactor: Reactor;
  readonly inFlight = new InFlight();
  readonly mesh: MeshState;
  readonly accessLog: AccessLog;
  readonly log: LogFunction;
  readonly random: () => number;
  readonly bounds: BoundCounters;
  /** What all pods together use of this worker, and how much they may. */
  readonly usage: WorkerUsage;
  readonly series: SeriesTable;
  readonly addresses = new PreparedAddresses();
  /** Shared by every read of this worker; valid until the next one. */
  readonly readBuffer: PinnedBuffer = allocatePinned(limits.readBufferBytes);
  /** Rewritten heads and local responses are built here. */
  readonly scratch: PinnedBuffer = allocatePinned(limits.scratchBytes);
  readonly keptRequests = new KeptRequests();
  readonly requestHead = new RequestHead();
  readonly responseHead = new ResponseHead();
  readonly connections = new ConnectionTable();
  readonly verifyTokens: VerifyTokens = new Map();
  readonly httpNeeded: HttpNeeded = new HttpNeeded(this);
  readonly pods: PodTable;
  readonly translation: PinnedBuffer = allocatePinned(limits.scratchBytes);
  readonly frameBuffers = new FrameBuffers();
  readonly recentRequests: RecentRequests;
  readonly headerLists = new HeaderListTable({
    headerListsKeptMax: limits.headerListsKeptMax,
    headerListKeptBytesMax: limits.headerListKeptBytesMax,
  });
  readonly allPods = (): Iterable<Pod> => this.pods.all();
  idleUpstreams = 0;
  /** Requests that an injected fault holds back now, and copies of requests that wait for their answer: bounded in limits.ts. */
  delayedRequests = 0;
  mirrorsInFlight = 0;
  /** What the mesh makes of paths; the codecs are told by settingsChanged(). */
  pathNormalization: PathNormalization = 'BASE';
  draining = false;

  constructor(parts: {
    self: WorkerIdentity;
    reactor: Reactor;
    accessLog: AccessLog;
    bounds: BoundCounters;
    log: LogFunction;
    random: () => number;
    caps?: Caps;
  }) {
    this.self = parts.self;
    const onSlotAssigned = (endpoint: Endpoint): void => this.inFlight.assign(endpoint);
    this.mesh = new MeshState({ onSlotAssigned, node: parts.self.node });
    this.reactor = parts.reactor;
    this.accessLog = parts.accessLog;
    this.bounds = parts.bounds;
    this.log = parts.log;
    this.random = parts.random;
    this.recentRequests = new RecentRequests(parts.self.worker, Date.now());
    this.usage = new WorkerUsage(parts.caps ?? DEFAULT_CAPS, parts.bounds);
    this.series = new SeriesTable(this.bounds);
    this.pods = new PodTable(this);
  }

  /** The mesh's settings may be others now: those that are looked at per request are kept where the request is. */
  settingsChanged(): void {
    const { settings } = this.mesh;
    this.accessLog.askedForByMesh = settings.accessLog;
    this.pathNormalization = settings.pathNormalization;
    this.requestHead.target.normalization = settings.pathNormalization;
  }
}
