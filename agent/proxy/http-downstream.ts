/**
 * One client's HTTP/1.1 connection, request by request: parse → route → authorise → forward → relay the response.
 *
 *            ┌────────────── next request (keep-alive, pipelined octets first) ─────────────┐
 *   READ_HEAD ─► begin() ─► EXCHANGE (request body up, response down) ─► record ────────────┤
 *        │          └─ local response (4xx/5xx) ────────────────────────────────────────────┤
 *        └─ malformed ─► local response ─► LINGER/FLUSH ─► closed                           └─► closed
 *
 * One request is in flight at a time; pipelined octets wait in `#pending` and the socket is not read meanwhile. What a peer's
 * socket does not take is queued and its source is not read until it drains, so memory is bounded on both sides.
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { ERROR, HANGUP, PEER_CLOSED, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { closeFd, receive, setReset, shutdownWrite } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { BodyScanner } from '../http1/body-scanner.ts';
import { closeEdits, type HeadEdits, noEdits, rewriteRequestHead, rewriteResponseHead } from '../http1/rewrite.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { UNBALANCED_SLOT } from '../../mesh/cluster.ts';
import { type Exchange, HttpUpstream, type UpstreamFailure } from '../upstream/http-upstream.ts';
import { Outbox } from '../upstream/outbox.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import { localResponse } from './local-response.ts';
import type { PeerFacts } from './peer-facts.ts';
import { type RequestLog, captureRequest, logRequest, recordRequest } from './request-record.ts';
import { type RouteOutcome, routeRequest } from './route-request.ts';
import { TcpRelay } from './tcp-relay.ts';

const READ_HEAD = 0;
const EXCHANGE = 1;
/** The last response is queued: close when it is out. */
const FLUSH = 2;
/** The last response is out but the client is still sending: read and drop, so that a RST does not destroy it. */
const LINGER = 3;
const CLOSED = 4;

/** Charged per request beside its octets: parsing and deciding cost about as much as moving a kilobyte. */
const REQUEST_COST = 1_000;

const REPLAYABLE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

export class HttpDownstream implements ReadyHandler, TimerTarget, LiveConnection, Exchange {
  readonly tenant: number;
  readonly podIndex: number;
  tableIndex = -1;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  readonly #fd: number;
  readonly #outbox = new Outbox();
  readonly #timer: Timer = new Timer(this);
  #scanner: BodyScanner | null = null;
  #state = READ_HEAD;
  #pending: Buffer | null = null;
  #readPaused = false;
  #clientEnded = false;
  #finSeen = false;
  #headTimerArmed = false;
  #lastActiveMs: number;

  // the request in flight
  #upstream: HttpUpstream | null = null;
  /** Inbound: the one upstream connection that carries this client's address, kept between requests. */
  #dedicated: HttpUpstream | null = null;
  #peer: PeerFacts | null = null;
  #responseEdits: HeadEdits | null = null;
  #replay: Buffer | null = null;
  #requestComplete = true;
  #responseStarted = false;
  #closeAfter = false;
  #headRequest = false;
  #upgrade = false;
  #status = 0;
  #startedMs = 0;
  #requestBytes = 0;
  #responseBytes = 0;
  #log: RequestLog | null = null;

  // the connection's totals
  #requests = 0;
  #bytesFromClient = 0;
  #bytesToClient = 0;

  /**
   * Takes over a connection whose first `length` octets are in the context's read buffer.
   * @param watched whether the fd is already in the reactor.
   */
  static start(context: WorkerContext, flow: Flow, fd: number, watched: boolean, length: number): void {
    const downstream = new HttpDownstream(context, flow, fd);
    if (watched) context.reactor.remove(fd);
    context.reactor.add(fd, READABLE, downstream);
    context.connections.add(downstream);
    context.reactor.timers.arm(downstream.#timer, limits.idleTimeoutMs);
    downstream.#received(length);
    downstream.#consume(context.readBuffer, 0, length, 0);
  }

  private constructor(context: WorkerContext, flow: Flow, fd: number) {
    this.#context = context;
    this.#flow = flow;
    this.#fd = fd;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    this.#lastActiveMs = context.reactor.nowMs;
  }

  // --- events

  onReady(events: number): number {
    this.#lastActiveMs = this.#context.reactor.nowMs;
    if ((events & WRITABLE) !== 0 && this.#outbox.queuedBytes > 0) this.#flush();
    if (this.#state === CLOSED || (events & (READABLE | PEER_CLOSED | HANGUP | ERROR)) === 0) return 200;
    if (this.#readPaused || this.#clientEnded) {
      if ((events & (HANGUP | ERROR)) !== 0) {
        this.#clientGone();
      } else if ((events & PEER_CLOSED) !== 0) {
        // FIN behind octets that were not read yet: nothing to do now, and it would be reported for ever.
        this.#finSeen = true;
        this.#updateInterest();
      }
      return 100;
    }
    return this.#read();
  }

  onTimer(nowMs: number): void {
    if (this.#state === LINGER || this.#state === FLUSH) {
      this.#close(true);
      return;
    }
    if (this.#headTimerArmed && this.#state === READ_HEAD) {
      this.#context.bounds.hit('headTimeoutMs');
      this.#refuse(408, 'HEAD_TIMEOUT');
      return;
    }
    const idleMs = nowMs - this.#lastActiveMs;
    if (idleMs < limits.idleTimeoutMs) {
      this.#context.reactor.timers.arm(this.#timer, limits.idleTimeoutMs - idleMs);
      return;
    }
    this.#context.bounds.hit('idleTimeoutMs');
    this.cut('IDLE_TIMEOUT');
  }

  #read(): number {
    const buffer = this.#context.readBuffer;
    const held = this.#pending === null ? 0 : this.#pending.copy(buffer.bytes, 0);
    const got = receive(this.#fd, buffer, held, buffer.length - held);
    if (got <= 0) {
      if (got !== -EAGAIN && got !== -EINTR) this.#onClientEnd(got);
      return 50;
    }
    this.#received(got);
    if (this.#state === LINGER) return this.#discard(got);
    this.#pending = null;
    if (this.#state === READ_HEAD) {
      this.#consume(buffer, 0, held + got, held);
      return got + REQUEST_COST;
    }
    if (this.#requestComplete) this.#keepPending(buffer, 0, held + got);
    else this.#forwardBody(buffer, 0, held + got);
    return got + 200;
  }

  #received(octets: number): void {
    this.#bytesFromClient += octets;
    if (this.#flow.direction === 'outbound') this.#flow.pod.bytesOut += octets;
    else this.#flow.pod.bytesIn += octets;
  }

  // --- request

  /**
   * Parses and starts requests from [start, end) until one is in flight or octets run out.
   * @param seen octets of the first head that were here before and did not make it complete.
   */
  #consume(buffer: PinnedBuffer, start: number, end: number, seen: number): void {
    const head = this.#context.requestHead;
    let at = start;
    while (this.#state === READ_HEAD && at < end) {
      const length = head.parse(buffer.bytes, at, end, at === start ? seen : 0);
      if (length === 0) {
        this.#keepPartialHead(buffer, at, end);
        return;
      }
      if (length < 0) {
        this.#refuse(-length, head.refusal);
        return;
      }
      if (this.#headTimerArmed) {
        this.#headTimerArmed = false;
        this.#context.reactor.timers.arm(this.#timer, limits.idleTimeoutMs);
      }
      at = this.#begin(head, buffer, at, length, end);
    }
    if (at < end && (this.#state as number) === EXCHANGE) this.#keepPending(buffer, at, end);
  }

  /** Starts the exchange for the head at [at, at+length); returns where the octets after this request's start. */
  #begin(head: RequestHead, buffer: PinnedBuffer, at: number, length: number, end: number): number {
    this.#startedMs = this.#context.reactor.nowMs;
    this.#requests++;
    this.#flow.pod.requests++;
    this.#status = 0;
    this.#peer = null;
    this.#log = null;
    this.#responseStarted = false;
    this.#responseBytes = 0;
    this.#headRequest = head.method === 'HEAD';
    this.#upgrade = head.upgrade;
    // An HTTP/1.0 client's keep-alive is a convention of its own (RFC 9112 appendix C.2.2): answered, then closed.
    this.#closeAfter = !head.keepAlive || head.versionMinor === 0 || this.#context.draining;
    const body = this.#scanRequestBody(head, buffer, at + length, end);
    if (body < 0) {
      this.#refuse(400, 'BAD_BODY');
      return end;
    }
    this.#requestBytes = body;
    if (this.#context.accessLog.mode !== 'off') this.#log = captureRequest(head);
    const outcome = routeRequest(this.#flow, head);
    if (this.#log !== null) this.#log.route = outcome.routeName;
    this.#peer = outcome.peer;
    if (outcome.status !== 0) {
      if (this.#log !== null) this.#log.policy = outcome.policy;
      this.#respondLocally(outcome.status, outcome.reason, outcome.flags);
      return at + length + body;
    }
    this.#forward(head, buffer, at, length, body, outcome);
    return at + length + body;
  }

  /** Octets of the body that are here; −1 when it is malformed. Sets `#requestComplete`. */
  #scanRequestBody(head: RequestHead, buffer: PinnedBuffer, start: number, end: number): number {
    if (head.bodyKind === 0) {
      this.#requestComplete = true;
      return 0;
    }
    this.#scanner ??= new BodyScanner();
    this.#scanner.start(head.bodyKind, head.contentLength);
    const body = this.#scanner.scan(buffer.bytes, start, end);
    this.#requestComplete = body >= 0 && this.#scanner.complete;
    return body;
  }

  #forward(
    head: RequestHead,
    buffer: PinnedBuffer,
    at: number,
    length: number,
    body: number,
    outcome: RouteOutcome,
  ): void {
    const peer = outcome.peer as PeerFacts;
    const upstream = this.#acquire(peer);
    if (upstream === null) {
      this.#respondLocally(503, 'UPSTREAM_CONNECT_FAILED', 'UF');
      return;
    }
    this.#state = EXCHANGE;
    this.#upstream = upstream;
    this.#responseEdits = outcome.responseEdits;
    upstream.begin(this, this.#headRequest);
    let from = buffer;
    let start = at;
    let octets = length + body;
    if (head.hasHopByHop || head.pathChanged || outcome.requestEdits !== null) {
      from = this.#context.scratch;
      start = 0;
      octets = this.#rewrite(head, buffer, at + length, body, outcome.requestEdits);
      if (octets < 0) {
        upstream.abort();
        this.#upstream = null;
        this.#refuse(431, 'HEAD_TOO_LARGE');
        return;
      }
    }
    if (this.#requestComplete) upstream.requestFinished();
    if (upstream.reused) this.#keepForReplay(head, from, start, octets);
    const result = upstream.write(from, start, octets);
    if (result < 0) {
      upstream.abort();
      this.onUpstreamFailed(upstream.connected ? 'reset' : 'connect', result);
      return;
    }
    if (upstream.blocked && !this.#requestComplete) this.#pauseReading();
  }

  /** Head with its edits, then the body octets that came with it, in the scratch buffer; −1 when it does not fit. */
  #rewrite(head: RequestHead, buffer: PinnedBuffer, bodyStart: number, body: number, edits: HeadEdits | null): number {
    const scratch = this.#context.scratch.bytes;
    const headLength = rewriteRequestHead(head, buffer.bytes, edits ?? noEdits, scratch, 0);
    if (headLength < 0 || headLength + body > scratch.length) return -1;
    if (body > 0) buffer.bytes.copy(scratch, headLength, bodyStart, bodyStart + body);
    return headLength + body;
  }

  #keepForReplay(head: RequestHead, from: PinnedBuffer, start: number, octets: number): void {
    if (!this.#requestComplete || octets > limits.replayBytesMax || !REPLAYABLE.has(head.method)) return;
    const replay = this.#context.replayBuffers.pop() ?? Buffer.allocUnsafeSlow(limits.replayBytesMax + 2);
    from.bytes.copy(replay, 2, start, start + octets);
    replay.writeUInt16LE(octets, 0);
    this.#replay = replay;
  }

  #dropReplay(): void {
    if (this.#replay === null) return;
    this.#context.replayBuffers.push(this.#replay);
    this.#replay = null;
  }

  /** An idle connection to the peer, or a new one; null when dialling failed at once. */
  #acquire(peer: PeerFacts): HttpUpstream | null {
    const pooled = peer.endpoint.slot !== UNBALANCED_SLOT;
    if (pooled) {
      const idle = this.#flow.pod.pool.take(peer.endpoint);
      if (idle !== null) return idle;
    } else if (this.#dedicated?.idle === true) {
      return this.#dedicated;
    }
    const upstream = new HttpUpstream(
      this.#context,
      this.#flow.pod.index,
      peer.endpoint,
      peer.plan,
      pooled ? this.#flow.pod.pool : null,
    );
    if (upstream.open() < 0) {
      this.#context.bounds.event('upstream_dial_failed');
      return null;
    }
    if (!pooled) this.#dedicated = upstream;
    return upstream;
  }

  #forwardBody(buffer: PinnedBuffer, start: number, end: number): void {
    const scanner = this.#scanner as BodyScanner;
    const body = scanner.scan(buffer.bytes, start, end);
    if (body < 0) {
      this.#abortUpstream();
      if (this.#responseStarted) this.cut('BAD_BODY');
      else this.#refuse(400, 'BAD_BODY');
      return;
    }
    this.#requestBytes += body;
    this.#requestComplete = scanner.complete;
    const upstream = this.#upstream;
    if (upstream === null) return;
    if (this.#requestComplete) upstream.requestFinished();
    const result = upstream.write(buffer, start, body);
    if (result < 0) {
      upstream.abort();
      this.onUpstreamFailed('reset', result);
      return;
    }
    if (start + body < end) this.#keepPending(buffer, start + body, end);
    else if (upstream.blocked) this.#pauseReading();
  }

  onUpstreamDrained(): void {
    if (!this.#requestComplete) this.#resumeReading();
  }

  // --- response

  onInterim(from: PinnedBuffer, offset: number, length: number): void {
    this.#toClient(from, offset, length);
  }

  onResponse(head: ResponseHead, from: PinnedBuffer, offset: number, headLength: number, bodyLength: number): void {
    this.#dropReplay();
    this.#responseStarted = true;
    this.#status = head.status;
    this.#responseBytes = bodyLength;
    if (head.bodyKind === 3 || !this.#requestComplete) this.#closeAfter = true;
    const edits = this.#closeAfter ? withClose(this.#responseEdits) : (this.#responseEdits ?? noEdits);
    if (!head.hasHopByHop && edits === noEdits) {
      this.#toClient(from, offset, headLength + bodyLength);
      return;
    }
    const scratch = this.#context.scratch;
    const rewritten = rewriteResponseHead(head, from.bytes, edits, scratch.bytes, 0);
    if (rewritten < 0 || rewritten + bodyLength > scratch.length) {
      this.#responseStarted = false;
      this.#abortUpstream();
      this.#respondLocally(502, 'UPSTREAM_MALFORMED', 'UPE');
      return;
    }
    from.bytes.copy(scratch.bytes, rewritten, offset + headLength, offset + headLength + bodyLength);
    this.#toClient(scratch, 0, rewritten + bodyLength);
  }

  onResponseBody(from: PinnedBuffer, offset: number, length: number): void {
    this.#responseBytes += length;
    this.#toClient(from, offset, length);
  }

  onResponseEnd(): void {
    this.#upstream = null;
    if (this.#state !== EXCHANGE) return;
    this.#recorded('-', null);
    this.#next();
  }

  onTunnel(head: ResponseHead, from: PinnedBuffer, offset: number, headLength: number, surplus: number): void {
    const upstream = this.#upstream as HttpUpstream;
    if (!this.#upgrade || !this.#requestComplete) {
      upstream.abort();
      this.onUpstreamFailed('malformed', 0);
      return;
    }
    this.onResponse(head, from, offset, headLength, 0);
    if (this.#state !== EXCHANGE) return;
    this.#recorded('-', null);
    const toClient = Buffer.concat([this.#outbox.takeAll(), from.bytes.subarray(offset + headLength, offset + headLength + surplus)]);
    const { fd, outbox } = upstream.detach();
    const toServer = Buffer.concat([outbox.takeAll(), this.#pending ?? Buffer.alloc(0)]);
    this.#state = CLOSED;
    this.#forget();
    new TcpRelay(this.#context, this.#flow, this.#peer as PeerFacts, this.#fd, fd, orNull(toServer), orNull(toClient));
  }

  onUpstreamFailed(failure: UpstreamFailure, errno: number): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (this.#state !== EXCHANGE) return;
    this.#context.bounds.event(`upstream_${failure}`);
    if (this.#responseStarted) {
      // Half a response is out: the only honest end is an error the client can see.
      this.#recorded('UC', 'UPSTREAM_RESET');
      this.#close(true);
      return;
    }
    if (failure === 'reset' && upstream?.reused === true && !upstream.answered && this.#tryReplay()) return;
    this.#dropReplay();
    if (this.#log !== null) this.#log.errno = errno;
    if (failure === 'connect') this.#respondLocally(503, 'UPSTREAM_CONNECT_FAILED', 'UF');
    else if (failure === 'malformed') this.#respondLocally(502, 'UPSTREAM_MALFORMED', 'UPE');
    else this.#respondLocally(502, 'UPSTREAM_RESET', 'UC');
  }

  /** The reused connection had been closed by the endpoint before it saw the request: once more on a new one. */
  #tryReplay(): boolean {
    const replay = this.#replay;
    const peer = this.#peer;
    if (replay === null || peer === null) return false;
    const pool = peer.endpoint.slot !== UNBALANCED_SLOT ? this.#flow.pod.pool : null;
    const upstream = new HttpUpstream(this.#context, this.#flow.pod.index, peer.endpoint, peer.plan, pool);
    if (upstream.open() < 0) return false;
    this.#context.bounds.event('upstream_replayed');
    if (pool === null) this.#dedicated = upstream;
    this.#upstream = upstream;
    upstream.begin(this, this.#headRequest);
    upstream.requestFinished();
    const octets = replay.readUInt16LE(0);
    const { scratch } = this.#context;
    replay.copy(scratch.bytes, 0, 2, 2 + octets);
    this.#dropReplay();
    if (upstream.write(scratch, 0, octets) === 0) return true;
    upstream.abort();
    this.#upstream = null;
    return false;
  }

  #toClient(from: PinnedBuffer, offset: number, length: number): void {
    if (this.#state !== EXCHANGE) return;
    this.#bytesToClient += length;
    if (this.#flow.direction === 'outbound') this.#flow.pod.bytesIn += length;
    else this.#flow.pod.bytesOut += length;
    const result = this.#outbox.write(this.#fd, from, offset, length);
    if (result < 0) {
      this.#clientGone();
      return;
    }
    if (this.#outbox.queuedBytes > 0) {
      this.#updateInterest();
      this.#upstream?.pauseReading();
    }
  }

  #flush(): void {
    const flushed = this.#outbox.flush(this.#fd);
    if (flushed < 0) {
      this.#clientGone();
      return;
    }
    if (flushed === 1) return;
    this.#updateInterest();
    if (this.#state === FLUSH) this.#endOfConnection();
    else this.#upstream?.resumeReading();
  }

  // --- what weir itself answers

  /** A request that was not understood: nothing went upstream, nothing after it can be trusted. */
  #refuse(status: number, reason: string): void {
    this.#status = status;
    this.#closeAfter = true;
    this.#startedMs = this.#context.reactor.nowMs;
    this.#pending = null;
    this.#respondLocally(status, reason, 'DPE');
  }

  #respondLocally(status: number, reason: string, flags: string): void {
    this.#state = EXCHANGE;
    this.#status = status;
    // After a refused CONNECT the client may already be sending what it wanted tunnelled.
    if (!this.#requestComplete || status === 501) this.#closeAfter = true;
    const { scratch } = this.#context;
    const length = localResponse(scratch, status, reason, !this.#closeAfter, !this.#headRequest);
    this.#responseBytes = length;
    this.#toClient(scratch, 0, length);
    this.#recorded(flags, reason);
    if ((this.#state as number) !== CLOSED) this.#next();
  }

  #recorded(flags: string, reason: string | null): void {
    const durationMs = this.#context.reactor.nowMs - this.#startedMs;
    recordRequest(this.#flow, this.#peer, this.#status, flags, durationMs, this.#requestBytes, this.#responseBytes);
    if (this.#log === null || !this.#context.accessLog.wants(this.#status >= 400 || reason !== null)) return;
    logRequest(this.#flow, this.#peer, this.#log, this.#status, reason, durationMs, this.#requestBytes, this.#responseBytes);
  }

  /** After a response: the next request, or the end. */
  #next(): void {
    if (this.#closeAfter || this.#clientEnded) {
      this.#endOfConnection();
      return;
    }
    this.#state = READ_HEAD;
    const pending = this.#pending;
    if (pending !== null) {
      this.#pending = null;
      const { readBuffer } = this.#context;
      const held = pending.copy(readBuffer.bytes, 0);
      this.#consume(readBuffer, 0, held, 0);
    }
    if (this.#readPaused && this.#state === READ_HEAD) this.#resumeReading();
  }

  // --- the end

  #endOfConnection(): void {
    if (this.#outbox.queuedBytes > 0) {
      this.#state = FLUSH;
      this.#context.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
      this.#updateInterest();
      return;
    }
    if (this.#clientEnded || (this.#requestComplete && this.#pending === null && !this.#readPaused && this.#status < 400)) {
      this.#close(false);
      return;
    }
    this.#state = LINGER;
    this.#pending = null;
    shutdownWrite(this.#fd);
    this.#context.reactor.timers.arm(this.#timer, limits.lingerTimeoutMs);
    this.#readPaused = false;
    this.#updateInterest();
  }

  #discard(octets: number): number {
    this.#requestBytes += octets;
    if (this.#requestBytes > limits.lingerBytesMax) {
      this.#context.bounds.hit('lingerBytesMax');
      this.#close(true);
    }
    return octets;
  }

  #onClientEnd(got: number): void {
    if (got < 0 || this.#state !== EXCHANGE || !this.#requestComplete) {
      this.#clientGone(got < 0);
      return;
    }
    // The client has said all it will say and still waits for the answer.
    this.#clientEnded = true;
    this.#updateInterest();
  }

  #clientGone(reset = true): void {
    if (this.#state === EXCHANGE) {
      if (this.#status === 0) this.#status = 499;
      this.#recorded('DC', 'CLIENT_GONE');
    }
    this.#close(reset);
  }

  #close(reset: boolean): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#abortUpstream();
    this.#forget();
    if (reset) setReset(this.#fd);
    closeFd(this.#fd);
    this.#flow.pod.connectionsActive--;
  }

  /** Leaves reactor, timers and table; the fd stays open. */
  #forget(): void {
    this.#dropReplay();
    this.#dedicated?.close();
    this.#dedicated = null;
    this.#context.reactor.timers.disarm(this.#timer);
    this.#context.reactor.remove(this.#fd);
    this.#context.connections.remove(this);
    this.#outbox.clear();
    this.#pending = null;
  }

  #abortUpstream(): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.abort();
  }

  // --- reading and its pauses

  #keepPartialHead(buffer: PinnedBuffer, start: number, end: number): void {
    this.#pending = Buffer.from(buffer.bytes.subarray(start, end));
    if (this.#headTimerArmed) return;
    this.#headTimerArmed = true;
    this.#context.reactor.timers.arm(this.#timer, limits.headTimeoutMs);
  }

  /** Octets of later requests wait here; at most one read's worth, then the socket is not read. */
  #keepPending(buffer: PinnedBuffer, start: number, end: number): void {
    this.#pending = Buffer.from(buffer.bytes.subarray(start, end));
    this.#pauseReading();
  }

  #pauseReading(): void {
    this.#readPaused = true;
    this.#updateInterest();
  }

  #resumeReading(): void {
    this.#readPaused = false;
    this.#updateInterest();
  }

  #updateInterest(): void {
    if (this.#state === CLOSED) return;
    // While paused, a client that vanishes must still be noticed.
    const paused = this.#readPaused || this.#clientEnded;
    const read = !paused ? READABLE : this.#finSeen || this.#clientEnded ? 0 : PEER_CLOSED;
    const write = this.#outbox.queuedBytes > 0 ? WRITABLE : 0;
    this.#context.reactor.change(this.#fd, read | write);
  }

  // --- as a live connection

  reevaluate(): void {
    if (this.#state !== EXCHANGE || this.#peer === null) return;
    const settled = this.#flow.authorization(this.#peer)?.settled ?? null;
    if (settled === null || settled.allowed) return;
    this.#context.bounds.event('connection_cut_by_policy');
    if (this.#log !== null) this.#log.policy = settled.policy;
    this.cut(settled.reason);
  }

  drain(): void {
    if (this.#state === READ_HEAD) this.#close(false);
    else this.#closeAfter = true;
  }

  cut(reason: string): void {
    if (this.#state === CLOSED) return;
    if (this.#state === EXCHANGE) this.#recorded('-', reason);
    this.#close(true);
  }

  describe(nowMs: number): ConnectionInfo {
    return connectionInfo(this.#flow, nowMs, {
      protocol: 'http',
      peer: this.#peer,
      state: STATE_NAMES[this.#state] as string,
      idleMs: nowMs - this.#lastActiveMs,
      bytesFromClient: this.#bytesFromClient,
      bytesToClient: this.#bytesToClient,
      requests: this.#requests,
    });
  }
}

const STATE_NAMES: readonly string[] = ['idle', 'in flight', 'flushing', 'lingering', 'closed'];

/** The client is told that its connection ends, as it asked for or because it must (RFC 9112 section 9.6). */
function withClose(edits: HeadEdits | null): HeadEdits {
  return edits === null ? closeEdits : { ...edits, close: true };
}

function orNull(octets: Buffer): Buffer | null {
  return octets.length === 0 ? null : octets;
}
