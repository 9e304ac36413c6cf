/**
 * A connection whose octets weir does not look at: decided once, then moved by splice(2) inside the kernel.
 *
 *   client ══ downstream fd ──toServer──► upstream fd ══ endpoint
 *                          ◄──toClient──
 *
 * Octets already read (detection, an upgrade's surplus) go first as a prefix. FIN is passed on in each direction; RST or an
 * error on either side resets the other. A policy change cuts it: a tunnel is judged by
 * the request that opened it, any other connection as plain TCP.
 */
import { EAGAIN, EINTR, ETIMEDOUT, errnoName } from '../engine/errno.ts';
import { ERROR, HANGUP, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { closeFd, isConnected, sendBuffer, setReset, takeSocketError } from '../engine/socket.ts';
import { SplicePump } from '../engine/splice.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import type { TcpCounter } from '../telemetry/series.ts';
import { limits } from '../limits.ts';
import { DIAL_COST, dial } from '../upstream/dial.ts';
import { admitDial, bufferRefusal } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { accessFields, connectionInfo } from './flow-info.ts';
import type { PeerFacts, PeerVerdict } from './peer-facts.ts';

/** Octets that were read before the relay began: all sent, some still queued, or a side is broken. */
const SENT = 0;
const WAITING = 1;
const BROKEN = 2;

/** One socket of the pair: tells the relay which of its two became ready. */
class RelaySide implements ReadyHandler {
  readonly tenant: number;
  readonly #relay: TcpRelay;
  readonly #upstream: boolean;

  constructor(relay: TcpRelay, tenant: number, upstream: boolean) {
    this.#relay = relay;
    this.tenant = tenant;
    this.#upstream = upstream;
  }

  onReady(events: number): number {
    return this.#relay.onReady(this.#upstream, events);
  }
}

/** An endpoint that is already dialled or connected. */
export interface OpenUpstream {
  readonly fd: number;
  readonly peer: PeerFacts;
}

export class TcpRelay implements TimerTarget, LiveConnection {
  readonly podIndex: number;
  readonly tenant: number;
  tableIndex = -1;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  readonly #peer: PeerFacts;
  readonly #downFd: number;
  readonly #upFd: number;
  readonly #toServer: SplicePump;
  readonly #toClient: SplicePump;
  readonly #timer: Timer = new Timer(this);
  readonly #counter: TcpCounter;
  /** The head of the request that opened a tunnel; null: not a tunnel. */
  readonly #request: Buffer | null;
  #prefixToServer: Buffer | null;
  #prefixToClient: Buffer | null;
  /** Octets of prefixes already sent: counted beside what the pumps moved. */
  #prefixSentToServer = 0;
  #prefixSentToClient = 0;
  #connected = false;
  #halfClosed = false;
  #closed = false;
  #lastActiveMs: number;
  #accountedToServer = 0;
  #accountedToClient = 0;
  /** Octets of prefixes and pipes that are booked to the pod. */
  #held = 0;

  /**
   * Authorises, dials unless `open` is given, and relays. The connection is already counted as active.
   * @param prefix octets read from the client so far.
   */
  static start(context: WorkerContext, flow: Flow, fd: number, prefix: Buffer | null, open: OpenUpstream | null): void {
    const choice = open === null ? flow.chooseOnce() : ({ ok: true, peer: open.peer } as const);
    if (!choice.ok) {
      refuse(flow, fd, open, null, choice.reason, null);
      return;
    }
    const verdict = flow.connectionVerdict(choice.peer);
    if (verdict !== null && !verdict.allowed) {
      refuse(flow, fd, open, choice.peer, verdict.reason, verdict.policy);
      return;
    }
    const refusal = open === null ? admitDial(flow.pod) : null;
    if (refusal !== null) {
      refuse(flow, fd, null, choice.peer, refusal.reason, null);
      return;
    }
    if (open === null) context.reactor.charge(DIAL_COST);
    const upFd = open?.fd ?? dial(choice.peer.plan);
    if (upFd < 0) {
      refuse(flow, fd, null, choice.peer, 'UPSTREAM_CONNECT_FAILED', null);
      return;
    }
    new TcpRelay(context, flow, choice.peer, fd, upFd, prefix, null, null);
  }

  constructor(
    context: WorkerContext,
    flow: Flow,
    peer: PeerFacts,
    downFd: number,
    upFd: number,
    prefixToServer: Buffer | null,
    prefixToClient: Buffer | null,
    request: Buffer | null,
  ) {
    this.#context = context;
    this.#flow = flow;
    this.#peer = peer;
    this.podIndex = flow.pod.index;
    this.tenant = flow.pod.index;
    this.#downFd = downFd;
    this.#upFd = upFd;
    this.#prefixToServer = prefixToServer;
    this.#prefixToClient = prefixToClient;
    this.#request = request;
    this.#counter = flow.series(peer).tcp();
    this.#toServer = new SplicePump(downFd, upFd);
    this.#toClient = new SplicePump(upFd, downFd);
    this.#lastActiveMs = context.reactor.nowMs;
    context.inFlight.begin(peer.endpoint);
    context.connections.add(this);
    this.#counter.opened++;
    this.#connected = isConnected(upFd);
    // Until the endpoint answers, only the client's giving up matters. Once it has, #updateInterest says what does.
    context.reactor.add(downFd, this.#connected ? 0 : ERROR, new RelaySide(this, flow.pod.index, false));
    context.reactor.add(upFd, this.#connected ? 0 : WRITABLE, new RelaySide(this, flow.pod.index, true));
    context.reactor.timers.arm(this.#timer, this.#connected ? limits.idleTimeoutMs : limits.connectTimeoutMs);
    if (!this.#connected) flow.pod.usage.dialStarted();
    if (!this.#bookHeld()) this.#finish(bufferRefusal(flow.pod).reason, true);
    else if (this.#connected) context.reactor.charge(this.#move(true, WRITABLE));
  }

  onReady(upstream: boolean, events: number): number {
    if (this.#closed) return 0;
    if (!this.#connected) return this.#onConnecting(upstream, events);
    if ((events & ERROR) !== 0) {
      const error = takeSocketError(upstream ? this.#upFd : this.#downFd);
      this.#finish(error === 0 ? null : upstream ? 'UPSTREAM_RESET' : 'CLIENT_RESET', true);
      return 500;
    }
    return this.#move(upstream, events);
  }

  onTimer(nowMs: number): void {
    if (!this.#connected) {
      this.#context.bounds.hit('connectTimeoutMs');
      this.#finish('UPSTREAM_CONNECT_FAILED', true);
      return;
    }
    const bound = this.#halfClosed ? 'halfCloseTimeoutMs' : 'idleTimeoutMs';
    const idleMs = nowMs - this.#lastActiveMs;
    if (idleMs < limits[bound]) {
      this.#context.reactor.timers.arm(this.#timer, limits[bound] - idleMs);
      return;
    }
    this.#context.bounds.hit(bound);
    this.#finish('IDLE_TIMEOUT', true);
  }

  #onConnecting(upstream: boolean, events: number): number {
    if (!upstream) {
      // The client gave up before the endpoint answered.
      if ((events & (ERROR | HANGUP)) !== 0) this.#finish('CLIENT_RESET', true);
      return 100;
    }
    const error = takeSocketError(this.#upFd);
    if (error !== 0) {
      if (Math.abs(error) === ETIMEDOUT) this.#context.bounds.hit('connectTimeoutMs');
      this.#context.bounds.event(`tcp_connect_${errnoName(error).toLowerCase()}`);
      this.#finish('UPSTREAM_CONNECT_FAILED', true);
      return 500;
    }
    if ((events & WRITABLE) === 0) return 50;
    this.#connected = true;
    this.#flow.pod.usage.dialEnded();
    this.#context.reactor.timers.arm(this.#timer, limits.idleTimeoutMs);
    return this.#move(true, events); // what it has to say is reported as soon as that is asked for
  }

  /** Moves what the event made movable, then says what to wait for. */
  #move(upstream: boolean, events: number): number {
    this.#lastActiveMs = this.#context.reactor.nowMs;
    let moved = 0;
    const prefixes = this.#flushPrefixes();
    if (prefixes === BROKEN) {
      this.#finish('CONNECTION_RESET', true);
      return 500;
    }
    if (prefixes === SENT) {
      // A direction can move when its source became readable or its target writable; a prefix just sent unblocks both.
      const readable = (events & (READABLE | HANGUP)) !== 0;
      const writable = (events & (WRITABLE | HANGUP)) !== 0;
      const mayHold = this.#flow.pod.usage.readBytesMax === limits.readBufferBytes;
      // The direction that ends last needs no FIN of its own: both sockets are closed right after it.
      this.#toServer.passesEnd = !this.#toClient.drained;
      if (upstream ? writable : readable) moved += this.#toServer.pump(limits.relayBytesPerEvent, mayHold);
      this.#toClient.passesEnd = !this.#toServer.drained;
      if (upstream ? readable : writable) moved += this.#toClient.pump(limits.relayBytesPerEvent, mayHold);
    }
    this.#account();
    if (!this.#bookHeld()) {
      this.#finish(bufferRefusal(this.#flow.pod).reason, true);
      return moved;
    }
    if (this.#toServer.error !== 0 || this.#toClient.error !== 0) {
      this.#finish('CONNECTION_RESET', true);
      return moved;
    }
    if (this.#toServer.drained && this.#toClient.drained) {
      this.#finish(null, false);
      return moved;
    }
    if (!this.#halfClosed && (this.#toServer.drained || this.#toClient.drained)) {
      this.#halfClosed = true;
      this.#context.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
    }
    this.#updateInterest();
    return moved;
  }

  /** Books what the relay holds now to the pod; false: it may not hold that much. */
  #bookHeld(): boolean {
    const prefixes = (this.#prefixToServer?.length ?? 0) + (this.#prefixToClient?.length ?? 0);
    const held = prefixes + this.#toServer.held + this.#toClient.held;
    const more = held - this.#held;
    if (more === 0) return true;
    const { usage } = this.#flow.pod;
    if (more > 0 && !usage.hold(more)) return false;
    if (more < 0) usage.release(-more);
    this.#held = held;
    return true;
  }

  #flushPrefixes(): typeof SENT | typeof WAITING | typeof BROKEN {
    if (this.#prefixToServer !== null) {
      const sent = this.#sendPrefix(this.#upFd, this.#prefixToServer);
      if (sent < 0) return BROKEN;
      this.#prefixSentToServer += sent;
      this.#prefixToServer = rest(this.#prefixToServer, sent);
    }
    if (this.#prefixToClient !== null) {
      const sent = this.#sendPrefix(this.#downFd, this.#prefixToClient);
      if (sent < 0) return BROKEN;
      this.#prefixSentToClient += sent;
      this.#prefixToClient = rest(this.#prefixToClient, sent);
    }
    return this.#prefixToServer === null && this.#prefixToClient === null ? SENT : WAITING;
  }

  #sendPrefix(fd: number, prefix: Buffer): number {
    const sent = sendBuffer(fd, prefix, 0, prefix.length);
    return sent === -EAGAIN || sent === -EINTR ? 0 : sent;
  }

  #updateInterest(): void {
    const prefixUp = this.#prefixToServer !== null;
    const prefixDown = this.#prefixToClient !== null;
    const waiting = prefixUp || prefixDown;
    // A socket that is finished in both directions reports HANGUP for ever: stop watching it while the other drains.
    this.#watch(
      false,
      this.#toServer.sourceEnded && this.#toClient.drained,
      !waiting && this.#toServer.wantsRead,
      prefixDown || (!waiting && this.#toClient.wantsWrite),
    );
    this.#watch(
      true,
      this.#toClient.sourceEnded && this.#toServer.drained,
      !waiting && this.#toClient.wantsRead,
      prefixUp || (!waiting && this.#toServer.wantsWrite),
    );
  }

  #watch(upstream: boolean, finished: boolean, read: boolean, write: boolean): void {
    const { reactor } = this.#context;
    const fd = upstream ? this.#upFd : this.#downFd;
    if (finished) reactor.remove(fd);
    else reactor.change(fd, (read ? READABLE : 0) | (write ? WRITABLE : 0));
  }

  get #bytesFromClient(): number {
    return this.#prefixSentToServer + this.#toServer.moved;
  }

  get #bytesToClient(): number {
    return this.#prefixSentToClient + this.#toClient.moved;
  }

  /** Adds what moved since the last call to the metrics and to the pod's meters. */
  #account(): void {
    const fromClient = this.#bytesFromClient - this.#accountedToServer;
    const toClient = this.#bytesToClient - this.#accountedToClient;
    this.#accountedToServer += fromClient;
    this.#accountedToClient += toClient;
    this.#counter.sentBytes += toClient;
    this.#counter.receivedBytes += fromClient;
    const { pod } = this.#flow;
    const outbound = this.#flow.direction === 'outbound';
    pod.bytesOut += outbound ? fromClient : toClient;
    pod.bytesIn += outbound ? toClient : fromClient;
  }

  #finish(reason: string | null, reset: boolean, policy: string | null = null): void {
    if (this.#closed) return;
    this.#closed = true;
    const { reactor, connections, inFlight } = this.#context;
    const { usage } = this.#flow.pod;
    this.#account();
    usage.release(this.#held);
    if (!this.#connected) usage.dialEnded();
    reactor.timers.disarm(this.#timer);
    this.#toServer.close();
    this.#toClient.close();
    if (reset) {
      setReset(this.#downFd);
      setReset(this.#upFd);
    }
    reactor.removeAndClose(this.#downFd);
    reactor.removeAndClose(this.#upFd);
    connections.remove(this);
    inFlight.end(this.#peer.endpoint);
    this.#flow.pod.connectionsActive--;
    this.#counter.closed++;
    logConnection(this.#flow, this.#peer, reason, policy, this.#bytesFromClient, this.#bytesToClient);
  }

  reevaluate(): void {
    const verdict = this.#verdict();
    if (verdict !== null && !verdict.allowed) {
      this.#context.bounds.event('connection_cut_by_policy');
      this.#finish(verdict.reason, true, verdict.policy);
    }
  }

  /** What policy says now; null: nothing to enforce here. */
  #verdict(): PeerVerdict | null {
    if (this.#request === null) return this.#flow.connectionVerdict(this.#peer);
    const { requestHead } = this.#context;
    requestHead.parse(this.#request, 0, this.#request.length, 0);
    return this.#flow.authorization(this.#peer)?.request(requestHead) ?? null;
  }

  /** A relay has no safe point to end at: it lives until its ends close it, or the drain's deadline cuts it. */
  drain(_patient: boolean): void {}

  cut(reason: string): void {
    this.#finish(reason, true);
  }

  describe(nowMs: number): ConnectionInfo {
    return connectionInfo(this.#flow, nowMs, {
      protocol: this.#flow.carries === 'tls' ? 'tls' : 'tcp',
      peer: this.#peer,
      state: this.#connected ? 'relaying' : 'connecting',
      idleMs: nowMs - this.#lastActiveMs,
      bytesFromClient: this.#bytesFromClient,
      bytesToClient: this.#bytesToClient,
    });
  }
}

function rest(prefix: Buffer, sent: number): Buffer | null {
  return sent >= prefix.length ? null : prefix.subarray(sent);
}

function refuse(
  flow: Flow,
  fd: number,
  open: OpenUpstream | null,
  peer: PeerFacts | null,
  reason: string,
  policy: string | null,
): void {
  flow.pod.connectionsActive--;
  flow.pod.refused++;
  flow.context.bounds.event(`tcp_refused_${reason.toLowerCase()}`);
  setReset(fd);
  closeFd(fd);
  if (open !== null) closeFd(open.fd);
  logConnection(flow, peer, reason, policy, 0, 0);
}

function logConnection(
  flow: Flow,
  peer: PeerFacts | null,
  reason: string | null,
  policy: string | null,
  bytesFromClient: number,
  bytesToClient: number,
): void {
  const { accessLog, reactor } = flow.context;
  if (!accessLog.wants(reason !== null)) return;
  accessLog.write({
    ...accessFields(flow, peer),
    protocol: flow.carries === 'tls' ? 'tls' : 'tcp',
    route: flow.streamRoute,
    method: null,
    host: flow.serverName === '' ? null : flow.serverName,
    path: null,
    status: 0,
    grpcStatus: null,
    reason,
    policy,
    durationMs: Math.round(reactor.nowMs - flow.openedMs),
    bytesFromClient,
    bytesToClient,
  });
}
