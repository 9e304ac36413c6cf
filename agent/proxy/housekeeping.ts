/**
 * What a worker does beside requests: sweeps idle upstream connections, re-evaluates live connections when the mesh changes, cuts
 * those of a pod that leaves, drains.
 *
 * Each of these concerns up to all connections, so it is done in slices of limits.passSliceMs, one per tick of the timer wheel,
 * each connection's part metered and charged to its pod. It fails closed: what is new (requests, connections) is judged by the
 * new policy from the moment the delta is applied; only what lives already may live on for the slices it takes to come to it.
 */
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import { limits } from '../limits.ts';
import { type Endpoint, UNBALANCED_SLOT } from '../../mesh/cluster.ts';
import { Pass } from './connection-pass.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Pod } from './pod.ts';

/** Charged per connection that is looked at: about what a small request costs. */
const VISIT_COST = 500;

/** Pods in a fixed order, while they come and go. */
class PodList {
  readonly #pods: readonly Pod[];
  constructor(pods: Iterable<Pod>) {
    this.#pods = [...pods];
  }
  get size(): number {
    return this.#pods.length;
  }
  at(index: number): Pod | undefined {
    const pod = this.#pods[index];
    return pod?.closed === true ? undefined : pod;
  }
}

/** The fields of a pass that do not depend on what it visits. */
interface Walk {
  slice(): boolean;
}

export class Housekeeping implements TimerTarget {
  readonly #context: WorkerContext;
  readonly #sweepTimer: Timer;
  readonly #sliceTimer: Timer = new Timer(this);
  /** In order; one at a time is worked on. */
  readonly #walks: Walk[] = [];
  /** A policy pass is under way, and whether the mesh has changed again since it began. */
  #reevaluating = false;
  #changedAgain = false;
  #sweeping = false;
  #sliceStartedMs = 0;
  #itemStartedMs = 0;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#sweepTimer = new Timer({ onTimer: () => this.#onSweepTimer() });
    context.reactor.timers.arm(this.#sweepTimer, limits.sweepIntervalMs);
  }

  /** The next slice. */
  onTimer(): void {
    this.#work();
  }

  /** After a delta: endpoints that are gone lose their idle connections, connections no longer allowed are cut. */
  meshChanged(): void {
    this.#sweep();
    this.#reevaluate();
    this.#work();
  }

  /** Cuts the pod's connections, then calls `gone`: nothing of it is left and its index is free. */
  removePod(index: number, gone: () => void): void {
    const pod = this.#context.pods.detach(index);
    if (pod === null) {
      gone();
      return;
    }
    this.#eachConnection(
      (connection) => {
        if (connection.podIndex === index) connection.cut('POD_GONE');
      },
      () => {
        pod.namespace.close();
        gone();
      },
    );
    this.#work();
  }

  /** Tells every connection to end when it can. @param patient another agent accepts meanwhile */
  drain(patient: boolean): void {
    this.#eachConnection(
      (connection) => connection.drain(patient),
      () => undefined,
    );
    this.#work();
  }

  #onSweepTimer(): void {
    this.#sweep();
    this.#work();
    this.#context.reactor.timers.arm(this.#sweepTimer, limits.sweepIntervalMs);
  }

  #reevaluate(): void {
    // A pass that is under way judges by what is true when it comes to a connection; those behind it need another one.
    this.#changedAgain = this.#reevaluating;
    if (this.#reevaluating) return;
    this.#reevaluating = true;
    this.#eachConnection(
      (connection) => connection.reevaluate(),
      () => {
        this.#reevaluating = false;
        if (this.#changedAgain) this.#reevaluate();
      },
    );
  }

  #sweep(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    const { mesh, reactor, series } = this.#context;
    // A workload may stay and lose an address: one of a name that is resolved, for example.
    const isCurrent = (endpoint: Endpoint): boolean =>
      endpoint.slot === UNBALANCED_SLOT
        ? mesh.workloadByUid(endpoint.workload.uid) !== null
        : mesh.endpointAt(endpoint.slot) === endpoint;
    const sweepPod = (pod: Pod): void => {
      pod.pool.sweep(reactor.nowMs, isCurrent);
      pod.forgetUnrouted(mesh, series);
    };
    const done = (): void => {
      this.#sweeping = false;
    };
    const pass = new Pass(new PodList(this.#context.pods.all()), sweepPod, done);
    this.#walks.push({ slice: () => pass.slice((pod) => this.#isTimeUp(pod.index)) });
  }

  #eachConnection(visit: (connection: LiveConnection) => void, done: () => void): void {
    const pass = new Pass(this.#context.connections, visit, done);
    this.#walks.push({ slice: () => pass.slice((connection) => this.#isTimeUp(connection.podIndex)) });
  }

  /** One slice of the first walk, and of those behind it while there is time. */
  #work(): void {
    const { reactor } = this.#context;
    this.#sliceStartedMs = reactor.readClock();
    this.#itemStartedMs = this.#sliceStartedMs;
    while (this.#walks.length > 0) {
      const walk = this.#walks[0] as Walk;
      if (!walk.slice()) break;
      this.#walks.shift();
    }
    if (this.#walks.length > 0) reactor.timers.arm(this.#sliceTimer, 0);
  }

  /** After each item: its pod pays, and the slice ends when its time is over. */
  #isTimeUp(tenant: number): boolean {
    this.#itemStartedMs = this.#context.reactor.bill(tenant, VISIT_COST, this.#itemStartedMs);
    return this.#itemStartedMs - this.#sliceStartedMs >= limits.passSliceMs;
  }
}
