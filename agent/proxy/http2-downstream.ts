/**
 * One client's HTTP/2 connection (prior knowledge, RFC 9113 section 3.3): a session, and an Http2Exchange for each request on
 * it. Every request is routed, authorised and balanced by itself.
 *
 *   octets ─► session (agent/http2) ─► request ─► Http2Exchange ─► endpoint
 *   frames of all streams ◄─ FrameOutput, one write per turn ◄─────────┘
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import { ERROR, HANGUP, PEER_CLOSED, READABLE, type ReadyHandler, WRITABLE } from '../engine/reactor.ts';
import { discard, receive, setReset, shutdownWrite } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { CANCEL, errorName, NO_ERROR } from '../http2/frame.ts';
import type { HeaderList } from '../http2/header-list.ts';
import { isGrpcType, RequestFacts } from '../http2/request-facts.ts';
import { Http2Session } from '../http2/session.ts';
import type { SessionOwner } from '../http2/session-owner.ts';
import { CONNECTION_LOST } from '../http2/stream.ts';
import type { Http2Stream } from '../http2/stream.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { type LimitName, limits } from '../limits.ts';
import { FrameOutput, type OutputOwner } from '../upstream/frame-output.ts';
import { Http2Upstream } from '../upstream/http2-upstream.ts';
import { Remainder } from '../upstream/remainder.ts';
import { type AdmissionRefusal, bufferRefusal } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import { ownConnection } from './http2-connection.ts';
import { Http2Exchange } from './http2-exchange.ts';
import type { PeerFacts } from './peer-facts.ts';

/** Charged per request beside its octets, as for HTTP/1.1. */
const REQUEST_COST = 1_000;

export class Http2Downstream implements ReadyHandler, TimerTarget, LiveConnection, SessionOwner, OutputOwner {
  readonly tenant: number;
  readonly podIndex: number;
  readonly fd: number;
  readonly flow: Flow;
  readonly context: WorkerContext;
  readonly session: Http2Session;
  tableIndex = -1;
  /** The exchange that was last begun: for what is shown of the connection. */
  lastPeer: PeerFacts | null = null;
  readonly #output: FrameOutput;
  readonly #rest: Remainder;
  readonly #timer: Timer = new Timer(this);
  readonly #exchanges = new Set<Http2Exchange>();
  /** Inbound: the connection to the pod that carries this client's address. */
  #dedicated: Http2Upstream | null = null;
  #readPaused = false;
  #closing = false;
  /** We have said all we have to say, and wait for the client to close. */
  #lingering = false;
  #discarded = 0;
  #closed = false;
  #lastActiveMs: number;
  #silenceAskedMs: number;
  /** Octets sent when the timer was last asked. */
  #writtenBefore = 0;
  #requests = 0;
  #requestsCharged = 0;
  #bytesFromClient = 0;

  /**
   * Takes over a connection whose first `length` octets are in the context's read buffer and begin with the preface.
   * @param watched whether the reactor has the fd already, with interest READABLE.
   */
  static start(context: WorkerContext, flow: Flow, fd: number, length: number, watched: boolean): void {
    const downstream = new Http2Downstream(context, flow, fd);
    if (watched) context.reactor.handOver(fd, downstream);
    else context.reactor.add(fd, READABLE, downstream);
    context.connections.add(downstream);
    context.reactor.timers.arm(downstream.#timer, limits.idleTimeoutMs);
    downstream.session.start();
    if (context.draining) downstream.drain(true);
    downstream.#onOctets(length);
  }

  private constructor(context: WorkerContext, flow: Flow, fd: number) {
    this.context = context;
    this.flow = flow;
    this.fd = fd;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    this.#lastActiveMs = context.reactor.nowMs;
    this.#silenceAskedMs = context.reactor.nowMs;
    this.#output = new FrameOutput(context.frameBuffers, this, flow.pod.usage, true);
    this.#rest = new Remainder(flow.pod.usage);
    this.session = new Http2Session(true, this, this.#output, context.headerLists, context.reactor.nowMs);
  }

  // --- events

  onReady(events: number): number {
    this.#lastActiveMs = this.context.reactor.nowMs;
    if ((events & WRITABLE) !== 0 && this.#output.blocked && this.#output.drain()) this.#onDrained();
    if (this.#closed || (events & (READABLE | PEER_CLOSED | HANGUP | ERROR)) === 0) return 200;
    if (this.#lingering) return this.#discard();
    if (this.#readPaused) {
      this.#close(true);
      return 200;
    }
    const octets = this.#read();
    const requests = this.#requests - this.#requestsCharged;
    this.#requestsCharged = this.#requests;
    return octets + requests * REQUEST_COST;
  }

  onTimer(nowMs: number): void {
    if (this.#closing) {
      this.#close(!this.#lingering);
      return;
    }
    // A client that does not answer the PING is not waited for; one that has requests under way is.
    const { draining } = this.session;
    if (draining && this.session.active === 0) {
      this.#endGracefully();
      return;
    }
    // A client that only listens is not idle.
    const { written } = this.#output;
    if (written !== this.#writtenBefore) this.#lastActiveMs = nowMs;
    this.#writtenBefore = written;
    const leftMs = limits.idleTimeoutMs - (nowMs - this.#lastActiveMs);
    if (leftMs > 0) {
      this.#endSilent(nowMs);
      if (this.#closed) return;
      this.context.reactor.timers.arm(this.#timer, draining ? Math.min(leftMs, limits.http2GoAwayTimeoutMs) : leftMs);
      return;
    }
    this.context.bounds.hit('idleTimeoutMs');
    this.cut('IDLE_TIMEOUT');
  }

  /** Streams on which nothing moves end as an idle connection would, however busy others are: after one to three times as long. */
  #endSilent(nowMs: number): void {
    if (nowMs - this.#silenceAskedMs < limits.idleTimeoutMs) return;
    this.#silenceAskedMs = nowMs;
    if (this.session.endSilent(false) > 0) this.context.bounds.hit('idleTimeoutMs');
  }

  #read(): number {
    const buffer = this.context.readBuffer;
    const held = this.#rest.copyTo(buffer.bytes);
    const got = receive(this.fd, buffer, held, Math.min(buffer.length - held, this.flow.pod.usage.readBytesMax));
    if (got <= 0) {
      // FIN ends it too: a client that sends nothing more can neither open windows nor acknowledge anything.
      if (got !== -EAGAIN && got !== -EINTR) this.#close(got < 0 || this.session.active > 0);
      return 50;
    }
    this.#rest.clear();
    this.#count(got);
    this.#onOctets(held + got);
    return got + 200;
  }

  /** The first `end` octets of the read buffer are the next of the connection. */
  #onOctets(end: number): void {
    const { bytes } = this.context.readBuffer;
    const rest = this.session.receive(bytes, 0, end, this.context.reactor.nowMs);
    if (this.#closed) return;
    if (this.session.failed >= 0) this.#onSessionFailed();
    else if (!this.#rest.put(bytes, rest, end)) this.cut(bufferRefusal(this.flow.pod).reason);
    else if (this.session.drained) this.#endGracefully();
  }

  #count(octets: number): void {
    this.#bytesFromClient += octets;
    if (this.flow.direction === 'outbound') this.flow.pod.bytesOut += octets;
    else this.flow.pod.bytesIn += octets;
  }

  #onSessionFailed(): void {
    this.context.bounds.event(`http2_${errorName(this.session.failed).toLowerCase()}`);
    this.#endGracefully();
  }

  // --- as owner of the session

  onRequest(stream: Http2Stream, list: HeaderList, endStream: boolean): void {
    this.#requests++;
    this.flow.pod.requests++;
    const facts = RequestFacts.of(list, this.context.pathNormalization);
    if (facts.malformed !== '' || (endStream && facts.contentLength > 0)) {
      this.context.bounds.event('http2_malformed_request');
      this.session.malformed(stream);
      return;
    }
    stream.expected = facts.contentLength;
    const exchange = new Http2Exchange(this, stream, facts, facts.isGrpc);
    this.#exchanges.add(exchange);
    exchange.begin(endStream);
  }

  onTooLarge(stream: Http2Stream, contentType: string): void {
    this.#requests++;
    const exchange = new Http2Exchange(this, stream, null, isGrpcType(contentType));
    this.#exchanges.add(exchange);
    exchange.refuse(431, 'HEAD_TOO_LARGE');
  }

  onStreamClosed(): void {
    if (this.session.drained) this.#endGracefully();
  }

  /** #onOctets looks when all has been read. */
  onGoAway(): void {}

  onBound(name: LimitName): void {
    this.context.bounds.hit(name);
  }

  // --- for its exchanges

  /** The exchange is over. */
  ended(exchange: Http2Exchange): void {
    this.#exchanges.delete(exchange);
  }

  /** Inbound: the one HTTP/2 connection to the pod for this client, with room for a stream; or why there is none. */
  dedicated(peer: PeerFacts): Http2Upstream | AdmissionRefusal {
    const before = this.#dedicated;
    if (before?.hasRoom === true && before.endpoint === peer.endpoint) return before;
    const upstream = ownConnection(this.context, this.flow.pod, peer);
    if (!(upstream instanceof Http2Upstream)) return upstream;
    this.#dedicated = upstream;
    if (before !== null) retire(before);
    return upstream;
  }

  // --- as owner of the output

  onOutputBlocked(): void {
    this.#readPaused = this.#output.queuedBytes > limits.http2OutputPauseBytes;
    this.#updateInterest();
  }

  /** A reset comes as an event too; only a want of room is found here alone. */
  onOutputBroken(): void {
    if (this.#closed) return;
    this.#closing = true;
    this.context.reactor.timers.arm(this.#timer, 0);
  }

  #onDrained(): void {
    this.#readPaused = false;
    this.session.sendListed();
    this.#updateInterest();
    if (this.#closing && this.session.active === 0) this.#endGracefully();
  }

  #updateInterest(): void {
    if (this.#closed) return;
    const read = this.#readPaused ? PEER_CLOSED : READABLE;
    this.context.reactor.change(this.fd, read | (this.#output.blocked ? WRITABLE : 0));
  }

  // --- the end

  /** Ends our side once what is queued is out. */
  #endGracefully(): void {
    if (this.#closed) return;
    this.#output.flush();
    if (!this.#output.blocked) {
      this.#linger();
      return;
    }
    if (!this.#closing) this.context.reactor.timers.arm(this.#timer, limits.halfCloseTimeoutMs);
    this.#closing = true;
  }

  /**
   * Reads on until the client closes, too: what arrives for a closed socket is answered with RST, and a client that meets it
   * while it writes does not read our GOAWAY any more, nor the end of its last response (RFC 9112 section 9.6 has the same).
   */
  #linger(): void {
    if (this.#lingering) return;
    this.#lingering = true;
    this.#closing = true;
    this.#readPaused = false;
    this.#rest.clear();
    shutdownWrite(this.fd);
    this.context.reactor.timers.arm(this.#timer, limits.lingerTimeoutMs);
    this.#updateInterest();
  }

  #discard(): number {
    const got = discard(this.fd, limits.readBufferBytes);
    if (got === -EAGAIN || got === -EINTR) return 50;
    if (got <= 0) {
      this.#close(got < 0);
      return 200;
    }
    this.#count(got);
    this.#discarded += got;
    if (this.#discarded > limits.lingerBytesMax) {
      this.context.bounds.hit('lingerBytesMax');
      this.#close(true);
    }
    return got + 200;
  }

  #close(reset: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.session.end(CONNECTION_LOST);
    this.#dedicated?.close();
    this.#dedicated = null;
    this.#output.close();
    this.#rest.clear();
    this.context.reactor.timers.disarm(this.#timer);
    this.context.connections.remove(this);
    if (reset) setReset(this.fd);
    this.context.reactor.removeAndClose(this.fd);
    this.flow.pod.connectionsActive--;
    const sent = this.#output.written;
    if (this.flow.direction === 'outbound') this.flow.pod.bytesIn += sent;
    else this.flow.pod.bytesOut += sent;
  }

  // --- as a live connection

  reevaluate(): void {
    for (const exchange of this.#exchanges) exchange.reevaluate();
  }

  /** GOAWAY, whether or not somebody else accepts: a client that has seen it uses another connection by itself. */
  drain(patient: boolean): void {
    if (this.#closed || this.#lingering) return;
    if (!this.session.draining) {
      this.session.drain();
      this.context.reactor.timers.arm(this.#timer, limits.http2GoAwayTimeoutMs);
    }
    if (!patient && this.session.active === 0) this.#endGracefully();
  }

  cut(_reason: string): void {
    if (this.#closed) return;
    // All has been said, and may still be on its way to the client: RST would destroy it.
    const isOver = this.#lingering && this.session.active === 0;
    this.session.fail(this.session.draining ? NO_ERROR : CANCEL, '');
    this.#close(!isOver);
  }

  describe(nowMs: number): ConnectionInfo {
    return connectionInfo(this.flow, nowMs, {
      protocol: 'http2',
      peer: this.lastPeer,
      state: this.session.draining ? 'draining' : this.session.active > 0 ? `${this.session.active} streams` : 'idle',
      idleMs: nowMs - this.#lastActiveMs,
      bytesFromClient: this.#bytesFromClient,
      bytesToClient: this.#output.written,
      requests: this.#requests,
    });
  }
}

/** Takes no more requests; closes when those it carries are done. */
function retire(upstream: Http2Upstream): void {
  if (upstream.idle) upstream.close();
  else upstream.session.draining = true;
}
