/**
 * Idle upstream connections of one source pod, by endpoint. Keyed per source pod because an upstream socket carries that
 * pod's address; per endpoint object, so a connection to a pod that is gone is never handed out for its successor.
 */
import { limits } from '../limits.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import type { UpstreamEnvironment } from './environment.ts';
import { Http2Pool } from './http2-pool.ts';
import type { HttpUpstream, UpstreamPoolLike } from './http-upstream.ts';

interface Stack {
  readonly endpoint: Endpoint;
  readonly idle: HttpUpstream[];
}

export class UpstreamPool implements UpstreamPoolLike {
  readonly #environment: UpstreamEnvironment;
  readonly http2: Http2Pool;
  readonly #stacks: (Stack | undefined)[] = [];
  #closed = false;

  constructor(environment: UpstreamEnvironment) {
    this.#environment = environment;
    this.http2 = new Http2Pool(environment);
  }

  /** The most recently used idle connection, or null. Hot. */
  take(endpoint: Endpoint): HttpUpstream | null {
    const stack = this.#stacks[endpoint.slot];
    if (stack === undefined || stack.endpoint !== endpoint) return null;
    const upstream = stack.idle.pop();
    if (upstream === undefined) return null;
    this.#environment.idleUpstreams--;
    return upstream;
  }

  /** Keeps a clean connection; false when a bound says to close it. Hot. */
  release(upstream: HttpUpstream): boolean {
    const endpoint = upstream.endpoint;
    // An exchange may end after its pod, its endpoint or the pod it was connected to directly has gone; the slot may have a new owner.
    if (this.#closed || upstream.plan.namespace.closed || !this.#environment.inFlight.owns(endpoint)) return false;
    let stack = this.#stacks[endpoint.slot];
    if (stack === undefined || stack.endpoint !== endpoint) {
      if (stack !== undefined) this.#closeAll(stack);
      stack = { endpoint, idle: [] };
      this.#stacks[endpoint.slot] = stack;
    }
    if (stack.idle.length >= limits.idleUpstreamsPerPoolMax) {
      this.#environment.bounds.hit('idleUpstreamsPerPoolMax');
      return false;
    }
    if (this.#environment.idleUpstreams >= limits.idleUpstreamsPerWorkerMax) {
      this.#environment.bounds.hit('idleUpstreamsPerWorkerMax');
      return false;
    }
    upstream.idleSinceMs = this.#environment.reactor.nowMs;
    stack.idle.push(upstream);
    this.#environment.idleUpstreams++;
    return true;
  }

  /** An idle connection closes by itself (EOF, surplus octets, sweep). */
  forget(upstream: HttpUpstream): void {
    const stack = this.#stacks[upstream.endpoint.slot];
    const at = stack?.idle.indexOf(upstream) ?? -1;
    if (stack === undefined || at < 0) return;
    stack.idle.splice(at, 1);
    this.#environment.idleUpstreams--;
  }

  /** Closes what has been idle for too long or leads to an endpoint that is no longer current. */
  sweep(nowMs: number, isCurrent: (endpoint: Endpoint) => boolean): void {
    for (const stack of this.#stacks) {
      if (stack === undefined) continue;
      const current = isCurrent(stack.endpoint);
      for (const upstream of stack.idle.slice()) {
        if (!current || nowMs - upstream.idleSinceMs >= limits.upstreamIdleTimeoutMs) upstream.close();
      }
      if (!current) this.#stacks[stack.endpoint.slot] = undefined;
    }
    this.http2.sweep(nowMs, isCurrent);
  }

  /** Gives everything back; later releases are refused. */
  close(): void {
    this.#closed = true;
    this.closeIdle();
    this.http2.close();
  }

  /** Gives the descriptors of idle connections back. */
  closeIdle(): void {
    for (const stack of this.#stacks) if (stack !== undefined) this.#closeAll(stack);
    this.#stacks.length = 0;
    this.http2.closeIdle();
  }

  #closeAll(stack: Stack): void {
    for (const upstream of stack.idle.slice()) upstream.close();
  }
}
