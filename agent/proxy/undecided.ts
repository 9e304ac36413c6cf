/**
 * Step 3, when the port does not say it all: wait for the first octets, without delaying a server that speaks first.
 *
 *   declared tcp            → relayed at once, unless the destination's policy or a TLSRoute goes by server name
 *   nothing asks for HTTP   → as if declared tcp, whatever the port is declared to carry (mesh/layers.ts)
 *   first octets are there  → decided at once (first-octets.ts)
 *   declared http           → waits for the client (it must speak first)
 *   otherwise, silent       → after limits.detectDelayMs the endpoint is dialled, if the connection's L4 verdict allows a
 *                             connection without a server name and no server name chooses the endpoint; whoever speaks first
 *                             decides: server → relay, client → by its octets
 *   octets that stop short  → after limits.detectStallMs relayed as they are; part of a ClientHello that someone decides by
 *                             is waited for, and where it does not come its server name counts as not known
 *
 * On a port declared tcp or tls the octets are looked at with MSG_PEEK and stay in the socket, so that all of the relay is
 * splice(2). Only when they do not suffice are they taken out: level-triggered epoll would report them for ever, and
 * SO_RCVLOWAT costs a system call per segment and still wakes on memory pressure. Undeclared ports are read at once:
 * most turn out to be HTTP, which needs the octets here.
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import { READABLE, type ReadyHandler } from '../engine/reactor.ts';
import { closeFd, discard, peek, receive, setReset, takeSocketError } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { PortProtocol } from '../../mesh/model.ts';
import { ClientHelloParser } from '../tls/client-hello.ts';
import { DIAL_COST, dial } from '../upstream/dial.ts';
import { admitDial, bufferRefusal } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import {
  REFUSED,
  type Step,
  TO_HTTP,
  TO_HTTP2,
  TO_RELAY,
  WAIT,
  WAIT_HELLO,
  clientHello,
  firstOctets,
  payload,
} from './first-octets.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import { Http2Downstream } from './http2-downstream.ts';
import { HttpDownstream } from './http-downstream.ts';
import type { PeerFacts } from './peer-facts.ts';
import { headerRequired } from './proxy-header.ts';
import { TcpRelay } from './tcp-relay.ts';

/** First octet of a TLS handshake record. */
const TLS_HANDSHAKE = 22;

/** For connections whose ClientHello is there at once; one that has to wait takes it along. */
let spareParser = new ClientHelloParser(limits.clientHelloBytesMax);

export class Undecided implements ReadyHandler, TimerTarget, LiveConnection {
  readonly tenant: number;
  readonly podIndex: number;
  tableIndex = -1;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  /** What to look for: `tcp` where nobody needs HTTP to be parsed. */
  readonly #protocol: PortProtocol;
  readonly #required: boolean;
  readonly #timer: Timer = new Timer(this);
  #fd: number;
  /** Octets taken out of the socket: the first `#length` of it. */
  #pending: Buffer | null = null;
  #length = 0;
  /** Of those, a PROXY header. */
  #headerLength = 0;
  /** Set while the rest of a ClientHello is waited for. */
  #hello: ClientHelloParser | null = null;
  /** The endpoint dialled while both sides are still silent. */
  #eager: { readonly fd: number; readonly peer: PeerFacts } | null = null;
  #waitedForServer = false;
  /** The address that was dialled does not answer; a name may still lead elsewhere. */
  #serverFailed = false;

  static start(context: WorkerContext, flow: Flow, fd: number): void {
    flow.pod.connectionsActive++;
    flow.pod.connectionsOpened++;
    const protocol = flow.needsHttp || flow.protocol === 'tls' ? flow.protocol : 'tcp';
    const required = headerRequired(flow);
    if ((protocol === 'tcp' && !required && !flow.needsServerName()) || flow.refusedAtOnce) {
      TcpRelay.start(context, flow, fd, null, null);
      return;
    }
    const peeks = protocol === 'tcp' || protocol === 'tls';
    const { readBuffer } = context;
    const got = peeks ? peek(fd, readBuffer, 0, readBuffer.length) : receive(fd, readBuffer, 0, readBuffer.length);
    if (got <= 0) {
      if (got === -EAGAIN || got === -EINTR) new Undecided(context, flow, fd, protocol, required);
      else close(flow, fd);
      return;
    }
    spareParser.reset();
    const step = firstOctets(flow, protocol, readBuffer.bytes, got, required, spareParser);
    switch (step) {
      case TO_HTTP:
      case TO_HTTP2:
        toHttp(context, flow, fd, step, got, false);
        return;
      case TO_RELAY:
        TcpRelay.start(context, flow, fd, peeks ? null : Buffer.from(readBuffer.bytes.subarray(0, got)), null);
        return;
      case REFUSED:
        refuse(flow, fd);
        return;
      case WAIT:
      case WAIT_HELLO:
        if (peeks) discard(fd, got);
        new Undecided(context, flow, fd, protocol, required).#keep(step, 0, got);
    }
  }

  private constructor(context: WorkerContext, flow: Flow, fd: number, protocol: PortProtocol, required: boolean) {
    this.#context = context;
    this.#flow = flow;
    this.#fd = fd;
    this.#protocol = protocol;
    this.#required = required;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    context.reactor.add(fd, READABLE, this);
    context.connections.add(this);
    this.#arm();
  }

  // --- events

  onReady(): number {
    const before = this.#length;
    if (this.#eager !== null) {
      // Which of the two sockets it was is not known here; look at the client first, then at the server.
      if (!this.#readClient()) this.#checkServer();
    } else {
      this.#readClient();
    }
    return 1_000 + Math.max(0, this.#length - before);
  }

  onTimer(nowMs: number): void {
    if (this.#serverFailed && this.#length === 0) {
      this.cut('UPSTREAM_CONNECT_FAILED');
      return;
    }
    if (this.#length === 0 && this.#eager === null && !this.#waitedForServer && this.#mayDialEarly()) {
      this.#dialEarly();
      return;
    }
    const stalled = this.#length > 0 && this.#stallMs() !== null;
    const overdue = nowMs - this.#flow.openedMs >= limits.firstByteTimeoutMs;
    if (stalled && this.#hello === null) {
      this.#context.bounds.hit('detectStallMs');
      this.#becomeRelay(this.#nameOfPart());
    } else if (!overdue) {
      this.#arm();
    } else if (this.#eager !== null || this.#hello !== null) {
      // Both sides silent, or the rest of a ClientHello missing: what was said stands, and no server name can be assumed.
      this.#context.bounds.hit('firstByteTimeoutMs');
      this.#becomeRelay(null);
    } else {
      this.#context.bounds.hit('firstByteTimeoutMs');
      this.cut('FIRST_BYTE_TIMEOUT');
    }
  }

  /** Until when to wait for the next octet. Whole waits count from the connection's beginning: trickled octets gain no time. */
  #arm(): void {
    const { reactor } = this.#context;
    const wholeMs = Math.max(1, limits.firstByteTimeoutMs - (reactor.nowMs - this.#flow.openedMs));
    const silent = this.#length === 0;
    const shortMs = silent
      ? this.#waitedForServer || !this.#mayDialEarly()
        ? null
        : limits.detectDelayMs
      : this.#stallMs();
    reactor.timers.arm(this.#timer, shortMs ?? wholeMs);
  }

  /** How long octets that do not suffice may stand still; null: the client must go on, or they cannot be relayed. */
  #stallMs(): number | null {
    if (this.#hello !== null || (this.#required && this.#headerLength === 0)) return null;
    const declared = this.#protocol === 'http' || this.#protocol === 'http2' || this.#protocol === 'grpc';
    return declared ? null : limits.detectStallMs;
  }

  #mayDialEarly(): boolean {
    if (this.#required || this.#flow.routedByServerName) return false;
    return this.#protocol === 'detect' || this.#protocol === 'tcp' || this.#protocol === 'tls';
  }

  #dialEarly(): void {
    this.#waitedForServer = true;
    this.#arm();
    const choice = this.#flow.chooseOnce();
    if (!choice.ok || !this.#allowedInSilence(choice.peer)) return;
    const refusal = admitDial(this.#flow.pod);
    if (refusal !== null) {
      this.cut(refusal.reason);
      return;
    }
    this.#context.reactor.charge(DIAL_COST);
    const fd = dial(choice.peer.plan);
    if (fd < 0) {
      this.#onServerFailed();
      return;
    }
    this.#eager = { fd, peer: choice.peer };
    this.#flow.pod.usage.dialStarted();
    this.#context.reactor.add(fd, READABLE, this);
  }

  /** What policy says while nothing was said: there is no server name so far. */
  #allowedInSilence(peer: PeerFacts): boolean {
    this.#flow.serverName = '';
    const allowed = this.#flow.connectionVerdict(peer)?.allowed !== false;
    this.#flow.serverName = null;
    return allowed;
  }

  // --- octets

  /** True when something was read, or the connection handed on or closed. */
  #readClient(): boolean {
    const buffer = this.#context.readBuffer;
    // What is waited for besides a ClientHello is short: it is looked at again from its beginning.
    const held =
      this.#hello === null && this.#pending !== null ? this.#pending.copy(buffer.bytes, 0, 0, this.#length) : 0;
    const got = receive(this.#fd, buffer, held, buffer.length - held);
    if (got === -EAGAIN || got === -EINTR) return false;
    if (got < 0) this.cut('CLIENT_RESET');
    else if (got === 0) this.#ended();
    else if (this.#hello !== null) this.#continueHello(this.#hello, got);
    else this.#decide(held, held + got);
    return true;
  }

  #decide(held: number, length: number): void {
    const { bytes } = this.#context.readBuffer;
    spareParser.reset();
    const step = firstOctets(this.#flow, this.#protocol, bytes, length, this.#required, spareParser);
    switch (step) {
      case TO_HTTP:
      case TO_HTTP2:
        this.#becomeHttp(step, length);
        return;
      case TO_RELAY:
        if (this.#append(bytes, held, length)) this.#becomeRelay(this.#flow.serverName);
        return;
      case REFUSED:
        this.cut('PROXY_HEADER_MALFORMED');
        return;
      case WAIT:
      case WAIT_HELLO:
        this.#keep(step, held, length);
    }
  }

  /** Keeps octets [from, to) of the read buffer until there are more. */
  #keep(step: Step, from: number, to: number): void {
    if (!this.#append(this.#context.readBuffer.bytes, from, to)) return;
    this.#headerLength = payload.start;
    if (step === WAIT_HELLO) {
      this.#hello = spareParser;
      spareParser = new ClientHelloParser(limits.clientHelloBytesMax);
    }
    this.#arm();
  }

  #continueHello(hello: ClientHelloParser, got: number): void {
    const { bytes } = this.#context.readBuffer;
    if (!this.#append(bytes, 0, got)) return;
    if (clientHello(this.#flow, hello, bytes, 0, got)) {
      this.#becomeRelay(this.#flow.serverName);
    } else if (this.#length > limits.detectBytesMax) {
      this.#context.bounds.hit('detectBytesMax');
      this.#becomeRelay(null);
    } else this.#arm();
  }

  /** Takes octets [from, to) to what is kept; false: the pod may hold no more, and the connection was cut. */
  #append(bytes: Buffer, from: number, to: number): boolean {
    if (!this.#flow.pod.usage.hold(to - from)) {
      this.cut(bufferRefusal(this.#flow.pod).reason);
      return false;
    }
    const length = this.#length + to - from;
    if (this.#pending === null || this.#pending.length < length) {
      // Exact the first time, when it mostly suffices; doubled afterwards.
      const grown = Buffer.allocUnsafeSlow(
        this.#pending === null ? length : Math.max(length, 2 * this.#pending.length),
      );
      this.#pending?.copy(grown, 0, 0, this.#length);
      this.#pending = grown;
    }
    bytes.copy(this.#pending, this.#length, from, to);
    this.#length = length;
    return true;
  }

  /** The client has sent FIN: what it said is all there will be. */
  #ended(): void {
    if (this.#required && this.#headerLength === 0) {
      this.cut('PROXY_HEADER_MALFORMED');
    } else if (this.#length === 0 && this.#eager === null) {
      this.#release();
      close(this.#flow, this.#fd);
      this.#fd = -1;
    } else this.#becomeRelay(this.#nameOfPart());
  }

  /** The server name that can be assumed of a part: none, unless it could be part of a ClientHello. */
  #nameOfPart(): string | null {
    const first = this.#pending?.[this.#headerLength];
    return this.#length > this.#headerLength && first === TLS_HANDSHAKE ? null : '';
  }

  #checkServer(): void {
    const eager = this.#eager;
    if (eager === null) return;
    const error = takeSocketError(eager.fd);
    if (error !== 0) this.#onServerFailed();
    else this.#becomeRelay(this.#nameOfPart());
  }

  #onServerFailed(): void {
    if (!this.#flow.goesByName) {
      this.cut('UPSTREAM_CONNECT_FAILED');
      return;
    }
    this.#closeEager();
    this.#serverFailed = true;
    this.#context.reactor.timers.arm(this.#timer, limits.detectStallMs);
  }

  // --- ways out

  #becomeHttp(step: typeof TO_HTTP | typeof TO_HTTP2, length: number): void {
    this.#closeEager();
    this.#forgetPending();
    this.#context.connections.remove(this);
    this.#context.reactor.timers.disarm(this.#timer);
    toHttp(this.#context, this.#flow, this.#fd, step, length, true);
    this.#fd = -1;
  }

  #becomeRelay(serverName: string | null): void {
    if (this.#flow.mayBeElsewhere) this.#closeEager();
    const eager = this.#eager;
    this.#eager = null;
    if (eager !== null) {
      this.#context.reactor.remove(eager.fd);
      this.#flow.pod.usage.dialEnded(); // the relay counts it from here on
    }
    const prefix = this.#pending?.subarray(0, this.#length) ?? null;
    this.#release();
    this.#flow.serverName = serverName;
    const fd = this.#fd;
    this.#fd = -1;
    TcpRelay.start(this.#context, this.#flow, fd, prefix, eager);
  }

  #release(): void {
    this.#context.connections.remove(this);
    this.#context.reactor.timers.disarm(this.#timer);
    this.#context.reactor.remove(this.#fd);
    this.#forgetPending();
    this.#closeEager();
  }

  #forgetPending(): void {
    this.#flow.pod.usage.release(this.#length);
    this.#pending = null;
    this.#length = 0;
  }

  #closeEager(): void {
    if (this.#eager === null) return;
    this.#context.reactor.remove(this.#eager.fd);
    closeFd(this.#eager.fd);
    this.#eager = null;
    this.#flow.pod.usage.dialEnded();
  }

  // --- as a live connection

  cut(reason: string): void {
    if (this.#fd < 0) return;
    this.#context.bounds.event(`undecided_${reason.toLowerCase()}`);
    this.#release();
    setReset(this.#fd);
    close(this.#flow, this.#fd);
    this.#fd = -1;
  }

  reevaluate(): void {
    if (this.#eager !== null && !this.#allowedInSilence(this.#eager.peer)) this.cut('RBAC_DENIED');
  }

  /** Nothing has begun that could end: it lives on until the drain's deadline, and a request on it is its connection's last. */
  drain(_patient: boolean): void {}

  describe(nowMs: number): ConnectionInfo {
    const state = this.#hello === null ? 'waiting for first octets' : 'waiting for the rest of a ClientHello';
    return connectionInfo(this.#flow, nowMs, { protocol: 'undecided', state, bytesFromClient: this.#length });
  }
}

function close(flow: Flow, fd: number): void {
  flow.pod.connectionsActive--;
  closeFd(fd);
}

function refuse(flow: Flow, fd: number): void {
  flow.pod.refused++;
  flow.context.bounds.event('undecided_proxy_header_malformed');
  setReset(fd);
  close(flow, fd);
}

/** Octets [payload.start, length) of the read buffer go on as the connection's first: a PROXY header is left out. */
function toHttp(
  context: WorkerContext,
  flow: Flow,
  fd: number,
  step: typeof TO_HTTP | typeof TO_HTTP2,
  length: number,
  watched: boolean,
): void {
  const { start } = payload;
  if (start > 0) context.readBuffer.bytes.copyWithin(0, start, length);
  if (step === TO_HTTP) HttpDownstream.start(context, flow, fd, length - start, watched);
  else Http2Downstream.start(context, flow, fd, length - start, watched);
}
