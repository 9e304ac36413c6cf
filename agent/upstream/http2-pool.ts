/**
 * HTTP/2 connections of one source pod, by endpoint: a request goes on the first that has room. Keyed as pool.ts is: an
 * upstream socket carries its pod's address, and a connection to a pod that is gone is never handed out for its successor.
 */
import { limits } from '../limits.ts';
import type { Endpoint } from '../../mesh/cluster.ts';
import type { DialPlan, UpstreamEnvironment } from './environment.ts';
import { type Http2PoolLike, Http2Upstream } from './http2-upstream.ts';
import type { PodUsage } from './usage.ts';

interface Group {
  readonly endpoint: Endpoint;
  readonly connections: Http2Upstream[];
}

export class Http2Pool implements Http2PoolLike {
  readonly #environment: UpstreamEnvironment;
  readonly #groups: (Group | undefined)[] = [];

  constructor(environment: UpstreamEnvironment) {
    this.#environment = environment;
  }

  /** A connection with room for a request, or null. Hot. */
  find(endpoint: Endpoint): Http2Upstream | null {
    const group = this.#groups[endpoint.slot];
    if (group === undefined || group.endpoint !== endpoint) return null;
    const { connections } = group;
    for (let i = 0; i < connections.length; i++) {
      const upstream = connections[i] as Http2Upstream;
      if (upstream.hasRoom) return upstream;
    }
    return null;
  }

  /** True: no connection may be added for this endpoint. Counted. */
  isFull(endpoint: Endpoint): boolean {
    if (this.#group(endpoint).connections.length < limits.http2UpstreamsPerPoolMax) return false;
    this.#environment.bounds.hit('http2UpstreamsPerPoolMax');
    return true;
  }

  /** A new connection; null when dialling failed at once. */
  dial(usage: PodUsage, endpoint: Endpoint, plan: DialPlan): Http2Upstream | null {
    const upstream = new Http2Upstream(this.#environment, usage, endpoint, plan, this);
    if (upstream.open() < 0) return null;
    this.#group(endpoint).connections.push(upstream);
    return upstream;
  }

  /** It takes no more requests, or is closed; what it carries goes on. */
  forget(upstream: Http2Upstream): void {
    const group = this.#groups[upstream.endpoint.slot];
    const at = group?.connections.indexOf(upstream) ?? -1;
    if (group !== undefined && at >= 0) group.connections.splice(at, 1);
  }

  /** Closes what has been idle for too long or leads to an endpoint that is no longer current, once its requests are done. */
  sweep(nowMs: number, isCurrent: (endpoint: Endpoint) => boolean): void {
    for (const group of this.#groups) {
      if (group === undefined) continue;
      const current = isCurrent(group.endpoint);
      for (const upstream of group.connections.slice()) {
        const isOld = nowMs - upstream.idleSinceMs >= limits.upstreamIdleTimeoutMs;
        if (upstream.idle && (!current || isOld)) upstream.close();
        else if (!current) upstream.session.draining = true;
      }
    }
  }

  /** Closes what carries nothing. */
  closeIdle(): void {
    for (const group of this.#groups) {
      for (const upstream of group?.connections.slice() ?? []) if (upstream.idle) upstream.close();
    }
  }

  close(): void {
    for (const group of this.#groups) for (const upstream of group?.connections.slice() ?? []) upstream.close();
    this.#groups.length = 0;
  }

  #group(endpoint: Endpoint): Group {
    const known = this.#groups[endpoint.slot];
    if (known !== undefined && known.endpoint === endpoint) return known;
    // The slot has a new endpoint: what still leads to the old one finishes and closes by itself.
    for (const upstream of known?.connections.slice() ?? []) {
      if (upstream.idle) upstream.close();
      else upstream.session.draining = true;
    }
    const group: Group = { endpoint, connections: [] };
    this.#groups[endpoint.slot] = group;
    return group;
  }
}
