/**
 * What the mirrors of both codecs have in common: which requests are copied, how many at a time, and that nobody waits for them.
 *
 *   request ─► its endpoint                           copies are sent once the whole request has come, and its body was short enough
 *       └─ copy ─► mirror's endpoint ─► answer dropped
 *
 * A mirror is a request of its pod like any other (its caps, its turns) and is judged by its destination's policy, but is neither
 * measured nor logged as one. As in Envoy, `-shadow` is appended to the host's name, so that servers can tell copies from requests.
 */
import { Timer, type TimerTarget } from '../engine/timer-wheel.ts';
import type { ConnectionInfo } from '../ipc/messages.ts';
import { limits } from '../limits.ts';
import type { Cluster } from '../../mesh/cluster.ts';
import type { RequestView } from '../../mesh/request.ts';
import type { CompiledMirror } from '../../mesh/route-actions.ts';
import { admitRequest, requestEnded } from './admission.ts';
import type { LiveConnection } from './connection-table.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { connectionInfo } from './flow-info.ts';
import type { PeerFacts } from './peer-facts.ts';

/** Where a request is to be copied to, chance included; null: nowhere. */
export function mirrorTargets(flow: Flow, mirrors: readonly CompiledMirror[]): Cluster[] | null {
  const { random } = flow.context;
  let targets: Cluster[] | null = null;
  for (const { cluster, perMillion } of mirrors) {
    if (cluster === null || (perMillion < 1_000_000 && random() * 1_000_000 >= perMillion)) continue;
    if (targets === null) targets = [cluster];
    else targets.push(cluster);
  }
  return targets;
}

/** The endpoint that a copy goes to; null: none, since nobody is there, policy says no, or too much is under way. Counted. */
export function mirrorPeer(flow: Flow, cluster: Cluster, request: RequestView): PeerFacts | null {
  const { context, pod } = flow;
  if (context.mirrorsInFlight >= limits.mirrorsPerWorkerMax) {
    context.bounds.hit('mirrorsPerWorkerMax');
    return null;
  }
  const choice = flow.chooseFrom(cluster, null);
  if (!choice.ok) {
    context.bounds.event('mirror_without_endpoint');
    return null;
  }
  const authorization = flow.authorization(choice.peer);
  if (authorization !== null && !(authorization.settled ?? authorization.request(request)).allowed) {
    context.bounds.event('mirror_denied');
    return null;
  }
  // A pod that has gone meanwhile has no namespace to dial from.
  return pod.closed || admitRequest(pod) !== null ? null : choice.peer;
}

/** The authority of a copy; null: it has no name to append to. */
export function shadowHost(authority: string): string | null {
  if (authority === '' || authority.startsWith('[')) return null;
  const colon = authority.lastIndexOf(':');
  const name = colon < 0 ? authority : authority.slice(0, colon);
  return `${name}-shadow${colon < 0 ? '' : authority.slice(colon)}`;
}

/** One copy under way; admitted by mirrorPeer(). */
export abstract class Mirror implements TimerTarget, LiveConnection {
  readonly tenant: number;
  readonly podIndex: number;
  tableIndex = -1;
  protected readonly context: WorkerContext;
  protected readonly flow: Flow;
  protected readonly peer: PeerFacts;
  readonly #timer: Timer = new Timer(this);
  readonly #startedMs: number;
  #over = false;

  constructor(flow: Flow, peer: PeerFacts) {
    this.context = flow.context;
    this.flow = flow;
    this.peer = peer;
    this.tenant = flow.pod.index;
    this.podIndex = flow.pod.index;
    this.#startedMs = this.context.reactor.nowMs;
    this.context.mirrorsInFlight++;
    this.context.connections.add(this);
    this.context.reactor.timers.arm(this.#timer, limits.mirrorTimeoutMs);
  }

  /** Leaves the endpoint, in whatever state the copy is. */
  protected abstract abandon(): void;

  /** The copy is over; the first call counts. @param event what is counted */
  protected end(event: 'mirror_answered' | 'mirror_failed'): void {
    if (this.#over) return;
    this.#over = true;
    this.context.bounds.event(event);
    this.context.mirrorsInFlight--;
    this.context.reactor.timers.disarm(this.#timer);
    this.context.connections.remove(this);
    requestEnded(this.flow.pod);
  }

  onTimer(): void {
    this.context.bounds.hit('mirrorTimeoutMs');
    this.cut();
  }

  cut(): void {
    if (this.#over) return;
    this.abandon();
    this.end('mirror_failed');
  }

  /** It was allowed when it was sent, and its answer goes nowhere. */
  reevaluate(): void {}

  /** Nobody waits for it. */
  drain(): void {
    this.cut();
  }

  describe(nowMs: number): ConnectionInfo {
    const ageMs = nowMs - this.#startedMs;
    return connectionInfo(this.flow, nowMs, { protocol: 'http', peer: this.peer, state: 'mirroring', idleMs: ageMs });
  }
}
