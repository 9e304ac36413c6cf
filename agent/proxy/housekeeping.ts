/** What a worker does beside requests: sweeps idle upstream connections, re-evaluates live ones when the mesh changes. */
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { limits } from '../limits.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import type { WorkerContext } from './context.ts';

export class Housekeeping implements TimerTarget {
  readonly #context: WorkerContext;
  readonly #timer: Timer = new Timer(this);

  constructor(context: WorkerContext) {
    this.#context = context;
    context.reactor.timers.arm(this.#timer, limits.sweepIntervalMs);
  }

  onTimer(nowMs: number): void {
    this.#sweep(nowMs);
    this.#context.reactor.timers.arm(this.#timer, limits.sweepIntervalMs);
  }

  /** After a delta: endpoints that are gone lose their idle connections, connections no longer allowed are cut. */
  meshChanged(): void {
    this.#sweep(this.#context.reactor.nowMs);
    for (const connection of this.#context.connections.snapshot()) connection.reevaluate();
  }

  #sweep(nowMs: number): void {
    const isCurrent = (endpoint: Endpoint): boolean => this.#context.mesh.workloadByUid(endpoint.workload.uid) !== null;
    for (const pod of this.#context.pods.all()) pod.pool.sweep(nowMs, isCurrent);
  }
}
