/**
 * Step 3, when the port does not say it all: wait for the first octets, without delaying a server that speaks first.
 *
 *   declared tcp            → relayed at once
 *   nothing asks for HTTP   → relayed at once, also on a port declared http (mesh/layers.ts)
 *   first octets are there  → HTTP or relay, at once
 *   declared http           → waits for the client (it must speak first)
 *   undeclared, silent      → after limits.detectDelayMs the endpoint is dialled, if the connection's L4 verdict allows a plain
 *                             TCP connection at all; whoever speaks first decides: server → relay, client → by its octets
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import { READABLE, type ReadyHandler } from '../engine/reactor.ts';
import { closeFd, receive, setReset, takeSocketError } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import { DIAL_COST, dial } from '../upstream/dial.ts';
import { admitDial, bufferRefusal } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import { IS_HTTP, IS_HTTP2, NEED_MORE, detect } from './detect.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import { Http2Downstream } from './http2-downstream.ts';
import { HttpDownstream } from './http-downstream.ts';
import type { PeerFacts } from './peer-facts.ts';
import { TcpRelay } from './tcp-relay.ts';

export class Undecided implements ReadyHandler, TimerTarget, LiveConnection {
  readonly tenant: number;
  readonly podIndex: number;
  tableIndex = -1;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  readonly #timer: Timer = new Timer(this);
  #fd: number;
  #pending: Buffer | null = null;
  /** The endpoint dialled while both sides are still silent. */
  #eager: { readonly fd: number; readonly peer: PeerFacts } | null = null;
  #waitedForServer = false;

  static start(context: WorkerContext, flow: Flow, fd: number): void {
    flow.pod.connectionsActive++;
    flow.pod.connectionsOpened++;
    if (flow.protocol === 'tcp' || flow.protocol === 'tls' || !flow.needsHttp) {
      TcpRelay.start(context, flow, fd, null, null);
      return;
    }
    const got = receive(fd, context.readBuffer, 0, context.readBuffer.length);
    if (got > 0) {
      const kind = detect(context.readBuffer.bytes, 0, got, flow.protocol === 'http');
      if (kind === IS_HTTP2) {
        Http2Downstream.start(context, flow, fd, got, false);
        return;
      }
      if (kind === IS_HTTP) {
        HttpDownstream.start(context, flow, fd, got, false);
        return;
      }
      if (kind !== NEED_MORE) {
        TcpRelay.start(context, flow, fd, Buffer.from(context.readBuffer.bytes.subarray(0, got)), null);
        return;
      }
    } else if (got !== -EAGAIN && got !== -EINTR) {
      flow.pod.connectionsActive--;
      closeFd(fd);
      return;
    }
    new Undecided(context, flow, fd, got > 0 ? got : 0);
  }

  private constructor(context: WorkerContext, flow: Flow, fd: number, got: number) {
    this.#context = context;
    this.#flow = flow;
    this.#fd = fd;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    context.reactor.add(fd, READABLE, this);
    context.connections.add(this);
    if (got > 0 && !this.#setPending(context.readBuffer.bytes.subarray(0, got))) {
      this.cut(bufferRefusal(flow.pod).reason);
      return;
    }
    context.reactor.timers.arm(
      this.#timer,
      flow.protocol === 'detect' && got === 0 ? limits.detectDelayMs : limits.firstByteTimeoutMs,
    );
  }

  onReady(): number {
    if (this.#eager !== null) {
      // Which of the two sockets it was is not known here; look at the client first, then at the server.
      if (!this.#readClient()) this.#checkServer();
    } else {
      this.#readClient();
    }
    return 1_000;
  }

  onTimer(): void {
    if (this.#waitedForServer || this.#pending !== null || this.#flow.protocol !== 'detect') {
      this.cut('FIRST_BYTE_TIMEOUT');
      return;
    }
    this.#waitedForServer = true;
    this.#context.reactor.timers.arm(this.#timer, limits.firstByteTimeoutMs);
    const choice = this.#flow.choose();
    if (!choice.ok || this.#flow.connectionVerdict(choice.peer)?.allowed === false) return;
    const refusal = admitDial(this.#flow.pod);
    if (refusal !== null) {
      this.cut(refusal.reason);
      return;
    }
    this.#context.reactor.charge(DIAL_COST);
    const fd = dial(choice.peer.plan);
    if (fd < 0) {
      this.cut('UPSTREAM_CONNECT_FAILED');
      return;
    }
    this.#eager = { fd, peer: choice.peer };
    this.#flow.pod.usage.dialStarted();
    this.#context.reactor.add(fd, READABLE, this);
  }

  /** True when the connection was handed on or closed. */
  #readClient(): boolean {
    const buffer = this.#context.readBuffer;
    const held = this.#pending === null ? 0 : this.#pending.copy(buffer.bytes, 0);
    const got = receive(this.#fd, buffer, held, buffer.length - held);
    if (got === -EAGAIN || got === -EINTR) return false;
    if (got < 0) {
      this.cut('CLIENT_RESET');
      return true;
    }
    const length = held + got;
    const kind = detect(buffer.bytes, 0, length, this.#flow.protocol === 'http');
    if (kind === NEED_MORE && got > 0) {
      if (!this.#setPending(buffer.bytes.subarray(0, length))) this.cut(bufferRefusal(this.#flow.pod).reason);
      return true;
    }
    if (length === 0 && this.#eager === null) {
      this.#release();
      this.#flow.pod.connectionsActive--;
      closeFd(this.#fd);
      return true;
    }
    if (kind === IS_HTTP || kind === IS_HTTP2) this.#becomeHttp(length, kind === IS_HTTP2);
    else this.#becomeRelay(length === 0 ? null : Buffer.from(buffer.bytes.subarray(0, length)));
    return true;
  }

  #checkServer(): void {
    const eager = this.#eager;
    if (eager === null) return;
    const error = takeSocketError(eager.fd);
    if (error !== 0) this.cut('UPSTREAM_CONNECT_FAILED');
    else this.#becomeRelay(this.#pending);
  }

  #becomeHttp(length: number, http2: boolean): void {
    this.#closeEager();
    this.#setPending(null);
    this.#context.connections.remove(this);
    this.#context.reactor.timers.disarm(this.#timer);
    if (http2) Http2Downstream.start(this.#context, this.#flow, this.#fd, length, true);
    else HttpDownstream.start(this.#context, this.#flow, this.#fd, length, true);
  }

  #becomeRelay(prefix: Buffer | null): void {
    const eager = this.#eager;
    this.#eager = null;
    if (eager !== null) {
      this.#context.reactor.remove(eager.fd);
      this.#flow.pod.usage.dialEnded(); // the relay counts it from here on
    }
    this.#release();
    TcpRelay.start(this.#context, this.#flow, this.#fd, prefix, eager);
  }

  #release(): void {
    this.#context.connections.remove(this);
    this.#context.reactor.timers.disarm(this.#timer);
    this.#context.reactor.remove(this.#fd);
    this.#setPending(null);
    this.#closeEager();
  }

  /** Keeps a copy of the first octets, instead of what was kept; false: they may not be held. */
  #setPending(octets: Buffer | null): boolean {
    const { usage } = this.#flow.pod;
    if (this.#pending !== null) usage.release(this.#pending.length);
    this.#pending = null;
    if (octets === null) return true;
    if (!usage.hold(octets.length)) return false;
    this.#pending = Buffer.from(octets);
    return true;
  }

  #closeEager(): void {
    if (this.#eager === null) return;
    this.#context.reactor.remove(this.#eager.fd);
    closeFd(this.#eager.fd);
    this.#eager = null;
    this.#flow.pod.usage.dialEnded();
  }

  cut(reason: string): void {
    if (this.#fd < 0) return;
    this.#context.bounds.event(`undecided_${reason.toLowerCase()}`);
    this.#release();
    setReset(this.#fd);
    closeFd(this.#fd);
    this.#fd = -1;
    this.#flow.pod.connectionsActive--;
  }

  reevaluate(): void {
    if (this.#eager === null) return;
    if (this.#flow.connectionVerdict(this.#eager.peer)?.allowed === false) this.cut('RBAC_DENIED');
  }

  /** Its first octets are on their way; what it becomes then knows of the drain. */
  drain(_patient: boolean): void {}

  describe(nowMs: number): ConnectionInfo {
    return connectionInfo(this.#flow, nowMs, { protocol: 'undecided', state: 'waiting for first octets' });
  }
}
