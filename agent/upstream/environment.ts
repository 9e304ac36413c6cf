/** What the upstream side needs of the worker it runs in; WorkerContext provides it. */
import type { ResponseHead } from '../http1/response-head.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import type { Reactor } from '../engine/reactor.ts';
import type { PreparedAddress } from '../engine/address.ts';
import type { BoundCounters } from '../telemetry/bounds.ts';
import type { HeaderListTable } from '../http2/header-list.ts';
import type { FrameBuffers } from './frame-output.ts';
import type { InFlight } from './in-flight.ts';
import type { WorkerUsage } from './usage.ts';

export interface UpstreamEnvironment {
  readonly reactor: Reactor;
  /** Shared: overwritten by the next read of anybody. */
  readonly readBuffer: PinnedBuffer;
  /** Shared: where heads and frames that are made here are written. */
  readonly scratch: PinnedBuffer;
  /** Shared: messages that change their version are written here. */
  readonly translation: PinnedBuffer;
  readonly responseHead: ResponseHead;
  readonly bounds: BoundCounters;
  readonly inFlight: InFlight;
  readonly frameBuffers: FrameBuffers;
  /** Lists of header fields that recur, shared by all HTTP/2 connections. */
  readonly headerLists: HeaderListTable;
  readonly usage: WorkerUsage;
  /** Idle upstream connections of this worker, over all pools. */
  idleUpstreams: number;
}

/** How to open a socket to an endpoint: in whose namespace, and with whose address. */
export interface DialPlan {
  readonly namespace: NetworkNamespace;
  /** Bind to a source address that is not local there (single pass, inbound): IP_TRANSPARENT. */
  readonly transparent: boolean;
  readonly source: PreparedAddress | null;
  readonly target: PreparedAddress;
  /** Octets that each new connection begins with (the PROXY header its client sent); such connections are never pooled. */
  readonly preamble: Buffer | null;
}
