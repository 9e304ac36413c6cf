/**
 * Must a connection be parsed as HTTP? Asked once per connection, before its first octet is looked at; answered from memory while
 * the mesh is the same. The decision itself is mesh/layers.ts.
 */
import type { Endpoint } from '../../mesh/cluster.ts';
import type { Destination } from '../../mesh/destination.ts';
import { destinationNeedsHttp, httpTelemetry, policyNeedsHttp } from '../../mesh/layers.ts';
import type { WorkerContext } from './context.ts';
import type { Pod } from './pod.ts';

export class HttpNeeded {
  readonly #context: WorkerContext;
  #generation = -1;
  /** Weak: some destinations are made for one connection only. */
  #answers = new WeakMap<Destination, boolean | readonly Endpoint[]>();

  constructor(context: WorkerContext) {
    this.#context = context;
  }

  /** For a connection that a pod of this node opens. */
  outbound(destination: Destination): boolean {
    const { mesh, accessLog, pods } = this.#context;
    if (httpTelemetry(mesh.settings, accessLog.mode)) return true;
    const answer = this.#answer(destination);
    if (typeof answer === 'boolean') return answer;
    // Pods come to this node and leave it without the mesh changing.
    for (let i = 0; i < answer.length; i++) {
      if (pods.byUid((answer[i] as Endpoint).workload.uid) !== undefined) return true;
    }
    return false;
  }

  /** For a connection that reaches a pod of this node from elsewhere. */
  inbound(pod: Pod, port: number): boolean {
    const { mesh, accessLog } = this.#context;
    if (httpTelemetry(mesh.settings, accessLog.mode)) return true;
    const workload = pod.workload(mesh);
    // What the mesh has never described is refused whatever it speaks.
    return workload !== null && policyNeedsHttp(mesh, workload, port);
  }

  #answer(destination: Destination): boolean | readonly Endpoint[] {
    const { mesh } = this.#context;
    if (this.#generation !== mesh.generation) {
      this.#generation = mesh.generation;
      this.#answers = new WeakMap();
    }
    let answer = this.#answers.get(destination);
    if (answer === undefined) {
      answer = destinationNeedsHttp(mesh, destination);
      this.#answers.set(destination, answer);
    }
    return answer;
  }
}
