/** Step 1 of a connection: accept it in the pod's namespace, within the pod's and the worker's bounds. */
import { EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, errnoName } from '../engine/errno.ts';
import { READABLE, type ReadyHandler } from '../engine/reactor.ts';
import { acceptConnection, closeFd, lastPeer, setReset } from '../engine/socket.ts';
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { limits } from '../limits.ts';
import { admitConnection } from './admission.ts';
import type { WorkerContext } from './context.ts';
import { identify } from './identify.ts';
import type { Pod } from './pod.ts';

/** Charged per accepted connection, about what its system calls cost in bytes moved. */
const ACCEPT_COST = 4_000;

export class PodListener implements ReadyHandler, TimerTarget {
  readonly tenant: number;
  readonly fd: number;
  readonly #context: WorkerContext;
  readonly #pod: Pod;
  readonly #direction: 'outbound' | 'inbound';
  /** Armed while the listener rests because the process has no descriptors left. */
  readonly #rest: Timer = new Timer(this);
  #closed = false;

  constructor(context: WorkerContext, pod: Pod, fd: number, direction: 'outbound' | 'inbound') {
    this.#context = context;
    this.#pod = pod;
    this.tenant = pod.index;
    this.fd = fd;
    this.#direction = direction;
  }

  onReady(): number {
    return this.#accept(limits.acceptsPerEvent);
  }

  /** Before the listener closes: closing resets what is queued, or passes it to another listener (capture/pod-settings.ts). */
  acceptAll(): void {
    this.#accept(limits.listenBacklog);
  }

  #accept(acceptsMax: number): number {
    let cost = 0;
    for (let i = 0; i < acceptsMax && !this.#closed; i++) {
      const fd = acceptConnection(this.fd);
      if (fd < 0) {
        if (fd === -EINTR || fd === -ECONNABORTED) continue;
        if (fd !== -EAGAIN) this.#acceptFailed(fd);
        break;
      }
      cost += ACCEPT_COST;
      if (this.#admit(fd)) identify(this.#context, this.#pod, fd, this.#direction, lastPeer());
    }
    return cost;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.reactor.timers.disarm(this.#rest);
    this.#context.reactor.remove(this.fd);
    closeFd(this.fd);
  }

  #admit(fd: number): boolean {
    if (admitConnection(this.#pod)) return true;
    this.#pod.refused++;
    setReset(fd);
    closeFd(fd);
    return false;
  }

  #acceptFailed(errno: number): void {
    this.#context.bounds.event(`accept_${errnoName(errno).toLowerCase()}`);
    if (errno !== -EMFILE && errno !== -ENFILE && errno !== -ENOBUFS && errno !== -ENOMEM) return;
    // The connection stays in the queue and the event would come again at once: give idle upstreams back, and rest.
    for (const pod of this.#context.pods.all()) pod.pool.closeIdle();
    this.#context.reactor.change(this.fd, 0);
    this.#context.reactor.timers.arm(this.#rest, limits.acceptRestMs);
  }

  onTimer(): void {
    if (!this.#closed) this.#context.reactor.change(this.fd, READABLE);
  }
}
