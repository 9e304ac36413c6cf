/**
 * A captured connection's facts: who, from where, to where, and what the mesh knows about that. Everything a request on it
 * needs to be routed and authorised, resolved again whenever the mesh changed.
 */
import { type SocketAddress, prepareAddress } from '../engine/address.ts';
import { pickEndpoint, pickWeighted } from '../../mesh/balance.ts';
import type { PortProtocol, Service, Workload } from '../../mesh/model.ts';
import { type Cluster, type Endpoint, UNBALANCED_SLOT } from '../../mesh/cluster.ts';
import type { CompiledPort, Destination } from '../../mesh/destination.ts';
import type { RouteClient } from '../../mesh/route-table.ts';
import type { DialPlan } from '../upstream/environment.ts';
import type { PairSeries } from '../telemetry/series.ts';
import type { WorkerContext } from './context.ts';
import { inboundSeries, passthroughSeries, serviceSeries } from './metric-labels.ts';
import { NETWORK_POLICY_DENIED, refusalByNetworkPolicy } from './network-policy.ts';
import { PeerFacts, type PeerPolicy, type PeerVerdict } from './peer-facts.ts';
import type { Pod } from './pod.ts';

/**
 * The verdict for a captured pod that the mesh has never described (no snapshot, controller never reached): which policies
 * select it cannot be known, so nothing is let in.
 */
const DENY_UNKNOWN: PeerVerdict = {
  allowed: false,
  policy: null,
  reason: 'RBAC_DENIED',
  allowPolicies: ['(policy unknown: the mesh has not described this workload yet)'],
};
const POLICY_UNKNOWN: PeerPolicy = {
  settled: DENY_UNKNOWN,
  connection: () => DENY_UNKNOWN,
  request: () => DENY_UNKNOWN,
};

/** Where one request or connection goes: the facts of the chosen peer. */
export type Choice =
  | { readonly ok: true; readonly peer: PeerFacts }
  | {
      readonly ok: false;
      readonly reason: 'NO_HEALTHY_UPSTREAM' | 'NO_ROUTE' | 'NO_VALID_BACKEND' | 'NOT_IN_REGISTRY';
    };

const NO_ROUTE: Choice = { ok: false, reason: 'NO_ROUTE' };
const NO_VALID_BACKEND: Choice = { ok: false, reason: 'NO_VALID_BACKEND' };
const NO_HEALTHY_UPSTREAM: Choice = { ok: false, reason: 'NO_HEALTHY_UPSTREAM' };
const NOT_IN_REGISTRY: Choice = { ok: false, reason: 'NOT_IN_REGISTRY' };

export class Flow {
  readonly context: WorkerContext;
  readonly pod: Pod;
  readonly direction: 'outbound' | 'inbound';
  readonly client: SocketAddress;
  readonly original: SocketAddress;
  readonly openedMs: number;
  /** What its first octets were: see first-octets.ts. */
  carries: 'unknown' | 'http' | 'tls' | 'opaque' = 'unknown';
  /** Of the ClientHello; '' when there is none; null while, or because, that is not known (policy then counts it against). */
  serverName: string | null = null;
  /** The address before the proxies in front (PROXY protocol), else the client's. */
  remoteIp: string;
  /** The TLSRoute or TCPRoute that chose the peer last. */
  streamRoute: string | null = null;
  /** The PROXY header of an inbound connection, which its endpoint expects too. */
  #preamble: Buffer | null = null;
  #early: Choice | null = null;
  #earlyGeneration = -1;
  #destination: Destination;
  #generation: number;
  /** Inbound and passthrough connections have exactly one peer. */
  #only: PeerFacts | null = null;

  constructor(
    context: WorkerContext,
    pod: Pod,
    direction: 'outbound' | 'inbound',
    client: SocketAddress,
    original: SocketAddress,
  ) {
    this.context = context;
    this.pod = pod;
    this.direction = direction;
    this.client = client;
    this.remoteIp = client.ip;
    this.original = original;
    this.openedMs = context.reactor.nowMs;
    this.#destination = this.#resolve();
    this.#generation = context.mesh.generation;
  }

  get destination(): Destination {
    if (this.#generation !== this.context.mesh.generation) {
      this.#destination = this.#resolve();
      this.#generation = this.context.mesh.generation;
    }
    return this.#destination;
  }

  /** As the pod itself sees it: what is hidden from it (Sidecar, exportTo) is unknown. */
  #resolve(): Destination {
    const { mesh } = this.context;
    const { ip, port } = this.original;
    return this.direction === 'inbound' ? mesh.resolve(ip, port) : mesh.resolveFor(this.pod.workload(mesh), ip, port);
  }

  /**
   * The address says nothing, but a name may: the mesh knows hosts (ServiceEntry), or lets nobody go where it knows nothing
   * (REGISTRY_ONLY), and tells HTTP so.
   */
  get goesByName(): boolean {
    if (!this.isUnknown) return false;
    const { mesh } = this.context;
    return (
      mesh.knowsHostsAt(this.original.port) || mesh.outboundTrafficPolicy(this.pod.workload(mesh)) === 'REGISTRY_ONLY'
    );
  }

  /** What the port is declared to carry; a destination outside the mesh is opaque, unless it goes by name. */
  get protocol(): PortProtocol {
    const destination = this.destination;
    switch (destination.kind) {
      case 'service':
        return destination.target.protocol;
      case 'workload':
        return destination.protocol;
      case 'unknown':
        return this.direction === 'inbound' || this.goesByName ? 'detect' : 'tcp';
    }
  }

  /** False: a verdict on the connection says it all, and HTTP need not be parsed whatever the port is declared to carry. */
  get needsHttp(): boolean {
    const { httpNeeded } = this.context;
    if (this.goesByName) return true;
    return this.direction === 'inbound'
      ? httpNeeded.inbound(this.pod, this.original.port)
      : httpNeeded.outbound(this.destination);
  }

  /** The compiled service port whose HTTPRoutes apply; null where none can (inbound, pod address, outside). */
  get routed(): CompiledPort | null {
    const destination = this.destination;
    return this.direction === 'outbound' && destination.kind === 'service' ? destination.target : null;
  }

  /** The mesh knows nothing of the address that the pod has dialled. */
  get isUnknown(): boolean {
    return this.direction === 'outbound' && this.destination.kind === 'unknown';
  }

  /** For a destination that is unknown by address: the port of the ServiceEntry host that a name means; null: there is none. */
  routedByName(host: string): CompiledPort | null {
    if (!this.isUnknown) return null;
    const { mesh } = this.context;
    const { ip, port } = this.original;
    // An address of the mesh that this pod must not see does not become visible by a name that the pod gives.
    if (mesh.resolve(ip, port).kind !== 'unknown') return null;
    return mesh.resolveHost(this.pod.workload(mesh), host, port, ip.includes(':') ? 6 : 4)?.target ?? null;
  }

  /** As whom the pod asks routes. Hot. */
  get routeClient(): RouteClient {
    return this.pod.routeClient(this.context.mesh);
  }

  get service(): Service | null {
    const destination = this.destination;
    return destination.kind === 'service' ? destination.service : null;
  }

  /** The peer when no route decides: the balanced endpoint of a service, the pod itself, or the original address. */
  choose(): Choice {
    if (this.direction === 'inbound') return { ok: true, peer: this.#inboundPeer() };
    const destination = this.destination;
    switch (destination.kind) {
      case 'service':
        return this.chooseByPort(destination.target);
      case 'workload':
        return { ok: true, peer: this.peer(destination.endpoint) };
      case 'unknown':
        return this.#chooseUnknown();
    }
  }

  #chooseUnknown(): Choice {
    const { mesh } = this.context;
    const named = this.carries === 'tls' && this.serverName !== null ? this.routedByName(this.serverName) : null;
    if (named !== null) return this.chooseByPort(named);
    const policy = mesh.outboundTrafficPolicy(this.pod.workload(mesh));
    return policy === 'REGISTRY_ONLY' ? NOT_IN_REGISTRY : { ok: true, peer: this.#passthroughPeer() };
  }

  /** The peer behind a Service port whose HTTP routes do not decide: by its TCPRoutes and TLSRoutes, where it has any. */
  chooseByPort(target: CompiledPort): Choice {
    const { streams, cluster } = target;
    if (streams === null) return this.chooseFrom(cluster, cluster);
    const name = this.carries === 'tls' ? (this.serverName ?? '') : null;
    const match = streams.match(name, this.routeClient, this.original.ip);
    if (match === null) {
      // TLSRoutes say nothing about HTTP on the same port.
      const isFree = this.carries === 'http' || !streams.concerns(this.routeClient);
      return isFree ? this.chooseFrom(cluster, cluster) : NO_ROUTE;
    }
    this.streamRoute = match.name;
    const backend = pickWeighted(match.backends, this.context.random);
    if (backend === null || backend.cluster === null) return NO_VALID_BACKEND;
    return this.chooseFrom(backend.cluster, cluster);
  }

  /** A TLSRoute decides where it goes: nothing can be chosen before the ClientHello is in. */
  get routedByServerName(): boolean {
    return this.routed?.streams?.needsServerName === true;
  }

  /**
   * Whether its first octets must be waited for because the route or the peer's policy goes by server name. The peer is
   * chosen for that ahead of time; chooseOnce() stays with it.
   */
  needsServerName(): boolean {
    if (this.routedByServerName || this.goesByName) return true;
    const choice = this.chooseOnce();
    if (!choice.ok) return false;
    const { localPod, workload, endpoint } = choice.peer;
    if (localPod === null || workload === null) return false;
    return this.context.mesh.authorization(this.#current(workload), endpoint.port).needsServerName;
  }

  /** Its first octets may name another peer than the one chosen in silence. */
  get mayBeElsewhere(): boolean {
    return this.carries === 'tls' && this.goesByName;
  }

  /** choose(), for a connection that is decided once: the same answer until the mesh changes, or a name is learnt that counts. */
  chooseOnce(): Choice {
    if (this.mayBeElsewhere) return this.choose();
    const { generation } = this.context.mesh;
    const early = this.#early;
    const stands = early?.ok === true && this.#earlyGeneration === generation && early.peer.localPod?.closed !== true;
    if (stands) return early;
    const choice = this.choose();
    this.#early = choice;
    this.#earlyGeneration = generation;
    return choice;
  }

  /**
   * A PROXY header was read: whom it speaks of counts as the remote address from now on. An inbound connection's endpoint
   * gets the header first.
   */
  proxied(header: Buffer, remoteIp: string | null): void {
    if (remoteIp !== null) this.remoteIp = remoteIp;
    if (this.direction !== 'inbound') return;
    this.#preamble = header;
    this.#only = null;
    this.#early = null;
  }

  /**
   * An endpoint of a cluster. @param dialled that of the destination: only its own passthrough leads to the address that was dialled;
   * that of another host (resolution NONE, behind a route) leads nowhere
   */
  chooseFrom(cluster: Cluster, dialled: Cluster | null): Choice {
    if (cluster.passthrough && dialled?.service === cluster.service) return { ok: true, peer: this.#passthroughPeer() };
    const endpoint = pickEndpoint(cluster.endpoints, this.context.inFlight.counts, this.context.random);
    return endpoint === null ? NO_HEALTHY_UPSTREAM : { ok: true, peer: this.peer(endpoint) };
  }

  /** Facts about an endpoint as seen from this pod, remembered for as long as the endpoint lives. Hot. */
  peer(endpoint: Endpoint): PeerFacts {
    if (endpoint.slot === UNBALANCED_SLOT) return this.#unbalancedPeer(endpoint);
    const known = this.pod.peers[endpoint.slot];
    if (known !== undefined && known.endpoint === endpoint) return known;
    const facts = this.#outboundPeer(endpoint);
    this.pod.peers[endpoint.slot] = facts;
    return facts;
  }

  /**
   * What is enforced here between this source and the peer: NetworkPolicy, then the destination's AuthorizationPolicy; null: nothing
   * is. Hot.
   */
  authorization(peer: PeerFacts): PeerPolicy | null {
    if (
      peer.boundGeneration === this.context.mesh.generation &&
      peer.boundClientIp === this.client.ip &&
      peer.boundRemoteIp === this.remoteIp &&
      (!peer.boundByName || peer.boundServerName === this.serverName)
    ) {
      return peer.bound;
    }
    peer.bound = this.#bind(peer);
    peer.boundGeneration = this.context.mesh.generation;
    peer.boundClientIp = this.client.ip;
    peer.boundRemoteIp = this.remoteIp;
    peer.boundServerName = this.serverName;
    return peer.bound;
  }

  /**
   * NetworkPolicy refuses the only peer there is: the connection is reset before anything is read. Where a Service has several, some
   * may be allowed, and each request finds out.
   */
  get refusedAtOnce(): boolean {
    if (this.direction === 'outbound' && this.destination.kind === 'service') return false;
    const choice = this.chooseOnce();
    return choice.ok && this.authorization(choice.peer)?.settled?.reason === NETWORK_POLICY_DENIED;
  }

  /** The verdict for a plain TCP connection; null: nothing to enforce here. */
  connectionVerdict(peer: PeerFacts): PeerVerdict | null {
    return this.authorization(peer)?.connection() ?? null;
  }

  series(peer: PeerFacts): PairSeries {
    if (this.direction === 'inbound') return inboundSeries(this.context, this.pod);
    if (peer.workload === null) return passthroughSeries(this.context, this.pod);
    const service = this.service;
    if (peer.series !== null && peer.seriesService === service) return peer.series;
    peer.series = serviceSeries(this.context, this.pod, peer, service);
    peer.seriesService = service;
    return peer.series;
  }

  #bind(peer: PeerFacts): PeerPolicy | null {
    peer.boundByName = false;
    const refusal = refusalByNetworkPolicy(this, peer);
    if (refusal !== null) return refusal;
    if (peer.localPod === null) return null;
    if (peer.workload === null) return POLICY_UNKNOWN;
    const authorization = this.context.mesh.authorization(this.#current(peer.workload), peer.endpoint.port);
    if (authorization.isEmpty) return null;
    peer.boundByName = authorization.needsServerName;
    return authorization.bind({
      identity: this.direction === 'outbound' ? this.pod.identity : null,
      sourceIp: this.client.ip,
      remoteIp: this.remoteIp,
      serverName: this.serverName,
      destinationIp: peer.endpoint.address,
      destinationPort: peer.endpoint.port,
    });
  }

  /** Labels may have changed since the endpoint was interned; a pod that left the mesh keeps what it was last known as. */
  #current(workload: Workload): Workload {
    return this.context.mesh.workloadByUid(workload.uid) ?? workload;
  }

  /** A pod port behind no Service: remembered by this connection only. */
  #unbalancedPeer(endpoint: Endpoint): PeerFacts {
    const known = this.#only;
    if (known !== null && known.endpoint === endpoint && this.#stillThere(known)) return known;
    this.#only = this.#outboundPeer(endpoint);
    return this.#only;
  }

  /** The pod has neither left this node nor been enrolled on it since (see PodTable, which does this for the pods' own facts). */
  #stillThere(peer: PeerFacts): boolean {
    return peer.localPod === (this.context.pods.byUid(peer.endpoint.workload.uid) ?? null);
  }

  #outboundPeer(endpoint: Endpoint): PeerFacts {
    const localPod = this.context.pods.byUid(endpoint.workload.uid) ?? null;
    const target = prepareAddress({ ip: endpoint.address, port: endpoint.port });
    // Same node: straight into the destination's namespace with this pod's address. Calling itself: its own namespace.
    const source = localPod !== null && localPod !== this.pod ? this.pod.source(target.family) : null;
    const plan: DialPlan =
      localPod !== null && source !== null
        ? { namespace: localPod.namespace, transparent: true, source, target, preamble: null }
        : { namespace: this.pod.namespace, transparent: false, source: null, target, preamble: null };
    return new PeerFacts(endpoint, endpoint.workload, plan, localPod);
  }

  #inboundPeer(): PeerFacts {
    if (this.#only !== null) return this.#only;
    const workload = this.pod.workload(this.context.mesh);
    const plan: DialPlan = {
      namespace: this.pod.namespace,
      transparent: true,
      source: this.context.addresses.get(this.client.ip, 0),
      target: this.context.addresses.get(this.original.ip, this.original.port),
      preamble: this.#preamble,
    };
    this.#only = new PeerFacts(unbalanced(this.original, workload), workload, plan, this.pod);
    return this.#only;
  }

  #passthroughPeer(): PeerFacts {
    if (this.#only !== null) return this.#only;
    const plan: DialPlan = {
      namespace: this.pod.namespace,
      transparent: false,
      source: null,
      target: this.context.addresses.get(this.original.ip, this.original.port),
      preamble: null,
    };
    this.#only = new PeerFacts(unbalanced(this.original, null), null, plan, null);
    return this.#only;
  }
}

/** An endpoint outside the balancer: never pooled across connections, never counted by slot. */
function unbalanced(address: SocketAddress, workload: Workload | null): Endpoint {
  return { slot: UNBALANCED_SLOT, workload: workload as Workload, address: address.ip, port: address.port };
}
