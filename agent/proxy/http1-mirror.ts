/** Copies of HTTP/1.1 requests: octet for octet what is forwarded, but for the host. See mirror.ts. */
import type { PinnedBuffer } from '../engine/memory.ts';
import { contentHasMeaning } from '../http1/request-method.ts';
import { RequestHead } from '../http1/request-head.ts';
import { noEdits, rewriteRequestHead } from '../http1/rewrite.ts';
import { limits } from '../limits.ts';
import type { Cluster } from '../../mesh/cluster.ts';
import type { CompiledMirror } from '../../mesh/route-actions.ts';
import type { Exchange, UpstreamConnection } from '../upstream/http-upstream.ts';
import type { Flow } from './flow.ts';
import { Http1Connections } from './http1-connections.ts';
import { KeptBody } from './kept-body.ts';
import { Mirror, mirrorPeer, mirrorTargets, shadowHost } from './mirror.ts';
import type { PeerFacts } from './peer-facts.ts';
import { spoken } from './route-request.ts';
import { requestEnded } from './admission.ts';

/** Of the copy in work: the worker's own may be in use for the request itself. */
const copyHead = new RequestHead();
/** What `-shadow` adds to a head. */
const SHADOW_BYTES = 16;

/** A request that is to be mirrored, as far as it has come. Booked to its pod until it is sent or dropped. */
export class RequestCopy {
  readonly #flow: Flow;
  readonly #targets: readonly Cluster[];
  readonly #kept: KeptBody;
  readonly #bytesMax: number;

  /**
   * Takes a copy of a head as it is forwarded, and of the body octets after it: together the `octets` from `start` on. null: it is not
   * to be mirrored, or the pod may hold no more.
   */
  static begin(
    flow: Flow,
    mirrors: readonly CompiledMirror[],
    bytes: Buffer,
    start: number,
    headLength: number,
    octets: number,
  ): RequestCopy | null {
    const targets = mirrorTargets(flow, mirrors);
    if (targets === null) return null;
    copyHead.target.normalization = 'NONE';
    if (copyHead.parse(bytes, start, start + headLength) !== headLength) return null;
    const host = shadowHost(copyHead.header('host') ?? '');
    const head = Buffer.allocUnsafe(headLength + SHADOW_BYTES);
    const length = rewriteRequestHead(copyHead, bytes, host === null ? noEdits : { ...noEdits, host }, head, 0);
    if (length < 0) return null;
    const copy = new RequestCopy(flow, targets, length + limits.mirrorBodyBytesMax);
    return copy.add(head, 0, length) && copy.add(bytes, start + headLength, octets - headLength) ? copy : null;
  }

  private constructor(flow: Flow, targets: readonly Cluster[], bytesMax: number) {
    this.#flow = flow;
    this.#targets = targets;
    this.#kept = new KeptBody(flow.context.keptRequests, flow.pod.usage);
    this.#bytesMax = bytesMax;
  }

  /** Further octets of the body, as they are framed; false: it has become too long, is counted, and not mirrored. */
  add(bytes: Buffer, start: number, length: number): boolean {
    if (length === 0 || this.#kept.add(bytes, start, length, this.#bytesMax)) return true;
    this.#flow.context.bounds.hit('mirrorBodyBytesMax');
    return false;
  }

  /** The request is complete: sends the copies. What the worker's scratch buffer held is gone. */
  send(): void {
    for (const cluster of this.#targets) sendCopy(this.#flow, cluster, this.#kept);
    this.#kept.drop();
  }

  drop(): void {
    this.#kept.drop();
  }
}

function sendCopy(flow: Flow, cluster: Cluster, kept: KeptBody): void {
  const { scratch } = flow.context;
  copyHead.target.normalization = 'NONE';
  const headLength = copyHead.parse(kept.octets, 0, kept.length);
  if (headLength <= 0) return;
  const peer = mirrorPeer(flow, cluster, copyHead);
  if (peer === null) return;
  const connections = new Http1Connections(flow.context, flow);
  const upstream = connections.take(peer, spoken(cluster.port.protocol, true), false);
  if (upstream === null) {
    requestEnded(flow.pod);
    return;
  }
  const { method } = copyHead;
  kept.octets.copy(scratch.bytes, 0, 0, kept.length);
  new Http1Mirror(flow, peer, connections, upstream).send(
    method,
    kept.length > headLength && !contentHasMeaning(method),
    kept.length,
  );
}

class Http1Mirror extends Mirror implements Exchange {
  readonly #connections: Http1Connections;
  #upstream: UpstreamConnection | null;

  constructor(flow: Flow, peer: PeerFacts, connections: Http1Connections, upstream: UpstreamConnection) {
    super(flow, peer);
    this.#connections = connections;
    this.#upstream = upstream;
  }

  /** The first `length` octets of the scratch buffer. @param last nothing may follow this request on its connection */
  send(method: string, last: boolean, length: number): void {
    const upstream = this.#upstream as UpstreamConnection;
    upstream.begin(this, method, !last);
    upstream.requestFinished();
    if (upstream.write(this.context.scratch, 0, length) < 0) this.cut();
  }

  onInterim(): void {}
  onResponse(): void {}
  onResponseBody(_from: PinnedBuffer, _offset: number, _length: number): void {}
  onUpstreamDrained(): void {}

  onResponseEnd(): void {
    this.#upstream = null;
    this.#connections.close();
    this.end('mirror_answered');
  }

  /** It asked for none. */
  onTunnel(): void {
    this.cut();
  }

  onUpstreamFailed(): void {
    this.#upstream = null;
    this.#connections.close();
    this.end('mirror_failed');
  }

  protected abandon(): void {
    this.#upstream?.abort();
    this.#upstream = null;
    this.#connections.close();
  }
}
