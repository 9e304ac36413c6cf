/** The connections that one client's HTTP/1.1 requests go on: pooled ones, and inbound the one that carries the client's address. */
import { UNBALANCED_SLOT } from '../../mesh/cluster.ts';
import { HttpUpstream, type UpstreamConnection } from '../upstream/http-upstream.ts';
import { Http2Upstream } from '../upstream/http2-upstream.ts';
import { TranslatedUpstream } from '../upstream/translated-upstream.ts';
import { type AdmissionRefusal, admitDial } from './admission.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { sharedConnection, UNREACHABLE } from './http2-connection.ts';
import type { PeerFacts } from './peer-facts.ts';
import type { RouteOutcome } from './route-request.ts';

export class Http1Connections {
  /** Why the last call had no connection to give (answer 503). */
  refusal: AdmissionRefusal = UNREACHABLE;
  readonly #context: WorkerContext;
  readonly #flow: Flow;
  /** Behind no balancer (inbound, a pod's own port): kept between requests of this client, never pooled. */
  #own: HttpUpstream | null = null;
  /** The last request has gone on in HTTP/2. */
  #translated = false;

  constructor(context: WorkerContext, flow: Flow) {
    this.#context = context;
    this.#flow = flow;
  }

  /** An idle connection to the peer, or a new one; null: see `refusal`. Hot. */
  take(peer: PeerFacts, speaks: RouteOutcome['speaks'], mayTunnel: boolean): UpstreamConnection | null {
    if (peer.endpoint.slot !== UNBALANCED_SLOT) {
      // A tunnel is what HTTP/1.1 makes of it: the endpoint is asked in the client's version.
      this.#translated = speaks === 'http2' && !mayTunnel;
      if (this.#translated) return this.#translate(peer);
      const idle = this.#flow.pod.pool.take(peer.endpoint);
      if (idle !== null) return idle;
    } else if (this.#own?.idle === true && this.#own.endpoint === peer.endpoint) {
      return this.#own;
    }
    return this.#dial(peer);
  }

  /** One more for the request that the last one did not serve; null: see `refusal`. */
  again(peer: PeerFacts): UpstreamConnection | null {
    return this.#translated ? this.#translate(peer) : this.#dial(peer);
  }

  #dial(peer: PeerFacts): HttpUpstream | null {
    const { pod } = this.#flow;
    // A replay remembers its peer; the namespace to dial in is closed with the pod.
    const refusal = peer.localPod?.closed === true ? UNREACHABLE : admitDial(pod);
    this.refusal = refusal ?? UNREACHABLE;
    if (refusal !== null) return null;
    const pool = peer.endpoint.slot !== UNBALANCED_SLOT ? pod.pool : null;
    const upstream = new HttpUpstream(this.#context, pod.usage, peer.endpoint, peer.plan, pool);
    if (upstream.open() < 0) {
      this.#context.bounds.event('upstream_dial_failed');
      return null;
    }
    if (pool === null) {
      this.#own?.close();
      this.#own = upstream;
    }
    return upstream;
  }

  /** A stream on an HTTP/2 connection to the peer. */
  #translate(peer: PeerFacts): UpstreamConnection | null {
    const connection = sharedConnection(this.#context, this.#flow.pod, peer);
    if (connection instanceof Http2Upstream) return new TranslatedUpstream(this.#context, connection);
    this.refusal = connection;
    return null;
  }

  /** The connection has become a tunnel: it is somebody else's. */
  forget(upstream: UpstreamConnection): void {
    if (upstream === this.#own) this.#own = null;
  }

  close(): void {
    this.#own?.close();
    this.#own = null;
  }
}
