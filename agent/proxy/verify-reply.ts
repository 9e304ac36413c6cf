/**
 * Answers `weir capture verify`: a one-time token, armed by the supervisor for one pod, is sent back with the pod's uid and
 * the direction it arrived in. Proof that the packet went through the pod's own rules into this worker.
 */
import { allocatePinned } from '../engine/memory.ts';
import { READABLE, type ReadyHandler } from '../engine/reactor.ts';
import { closeFd, receive, sendBuffer } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { limits } from '../limits.ts';
import type { WorkerContext } from './context.ts';
import type { Pod } from './pod.ts';

/** Token to the index of the pod it was armed for. */
export type VerifyTokens = Map<string, number>;

export function isArmed(context: WorkerContext, pod: Pod): boolean {
  for (const index of context.verifyTokens.values()) if (index === pod.index) return true;
  return false;
}

const TOKEN_BYTES_MAX = 128;
const buffer = allocatePinned(TOKEN_BYTES_MAX);

export class VerifyReply implements ReadyHandler, TimerTarget {
  readonly tenant: number;
  readonly #context: WorkerContext;
  readonly #pod: Pod;
  readonly #fd: number;
  readonly #direction: 'outbound' | 'inbound';
  readonly #timer: Timer = new Timer(this);
  #received = '';
  #closed = false;

  constructor(context: WorkerContext, pod: Pod, fd: number, direction: 'outbound' | 'inbound') {
    this.#context = context;
    this.#pod = pod;
    this.tenant = pod.index;
    this.#fd = fd;
    this.#direction = direction;
    pod.connectionsActive++;
    context.reactor.add(fd, READABLE, this);
    context.reactor.timers.arm(this.#timer, limits.verifyTimeoutMs);
  }

  onReady(): number {
    const got = receive(this.#fd, buffer, 0, TOKEN_BYTES_MAX);
    if (got > 0) this.#received += buffer.bytes.toString('latin1', 0, got);
    const end = this.#received.indexOf('\n');
    if (end < 0 && got > 0 && this.#received.length < TOKEN_BYTES_MAX) return 500;
    const token = this.#received.slice(0, Math.max(0, end)).trim();
    if (this.#context.verifyTokens.get(token) === this.#pod.index) {
      const reply = Buffer.from(`weir ${token} ${this.#pod.pod.uid} ${this.#direction}\n`, 'latin1');
      sendBuffer(this.#fd, reply, 0, reply.length);
    }
    this.#close();
    return 500;
  }

  onTimer(): void {
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.reactor.timers.disarm(this.#timer);
    this.#context.reactor.remove(this.#fd);
    closeFd(this.#fd);
    this.#pod.connectionsActive--;
  }
}
