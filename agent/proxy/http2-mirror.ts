/** Copies of HTTP/2 requests: the fields that are forwarded, but for the authority, and the body. See mirror.ts. */
import { CANCEL } from '../http2/frame.ts';
import type { HeaderList, HeaderListTable } from '../http2/header-list.ts';
import { RequestFacts } from '../http2/request-facts.ts';
import type { MessageStream, StreamHandler } from '../http2/stream.ts';
import { limits } from '../limits.ts';
import type { Cluster } from '../../mesh/cluster.ts';
import type { CompiledMirror } from '../../mesh/route-actions.ts';
import type { Flow } from './flow.ts';
import { http1Stream, sharedConnection } from './http2-connection.ts';
import { KeptBody } from './kept-body.ts';
import { Mirror, mirrorPeer, mirrorTargets, shadowHost } from './mirror.ts';
import type { PeerFacts } from './peer-facts.ts';
import { spoken } from './route-request.ts';

/** A request that is to be mirrored, as far as it has come. Booked to its pod until it is sent or dropped. */
export class MessageCopy {
  readonly #flow: Flow;
  readonly #targets: readonly Cluster[];
  readonly #list: HeaderList;
  readonly #kept: KeptBody;

  /** @param list as it is forwarded; null: it is not to be mirrored */
  static begin(flow: Flow, mirrors: readonly CompiledMirror[], list: HeaderList): MessageCopy | null {
    const targets = mirrorTargets(flow, mirrors);
    return targets === null ? null : new MessageCopy(flow, targets, shadowOf(list, flow.context.headerLists));
  }

  private constructor(flow: Flow, targets: readonly Cluster[], list: HeaderList) {
    this.#flow = flow;
    this.#targets = targets;
    this.#list = list;
    this.#kept = new KeptBody(flow.context.keptRequests, flow.pod.usage);
  }

  /** Further octets of the body; false: it has become too long, is counted, and not mirrored. */
  add(bytes: Uint8Array, start: number, length: number): boolean {
    if (length === 0 || this.#kept.add(bytes, start, length, limits.mirrorBodyBytesMax)) return true;
    this.#flow.context.bounds.hit('mirrorBodyBytesMax');
    return false;
  }

  /** The request is complete: sends the copies. */
  send(trailers: HeaderList | null): void {
    for (const cluster of this.#targets) this.#sendTo(cluster, trailers);
    this.#kept.drop();
  }

  drop(): void {
    this.#kept.drop();
  }

  #sendTo(cluster: Cluster, trailers: HeaderList | null): void {
    const { context, pod } = this.#flow;
    const facts = RequestFacts.of(this.#list, 'NONE');
    const peer = mirrorPeer(this.#flow, cluster, facts);
    if (peer === null) return;
    const mirror = new Http2Mirror(this.#flow, peer);
    const upstream =
      spoken(cluster.port.protocol, true) === 'http1'
        ? http1Stream(context, pod, peer, facts, mirror, false)
        : sharedConnection(context, pod, peer);
    if ('reason' in upstream) mirror.cut();
    else mirror.send('begin' in upstream ? upstream.begin(mirror) : upstream, this.#list, this.#kept, trailers);
  }
}

function shadowOf(list: HeaderList, table: HeaderListTable): HeaderList {
  const at = list.names.includes(':authority') ? list.names.indexOf(':authority') : list.names.indexOf('host');
  const host = shadowHost(list.values[at] ?? '');
  if (host === null) return list;
  const isHost = (name: string): boolean => name === ':authority' || name === 'host';
  const values = list.values.map((value, i) => (isHost(list.names[i] as string) ? host : value));
  return table.intern(list.names, values, list.neverIndexed);
}

class Http2Mirror extends Mirror implements StreamHandler {
  #stream: MessageStream | null = null;

  constructor(flow: Flow, peer: PeerFacts) {
    super(flow, peer);
  }

  send(stream: MessageStream, list: HeaderList, body: KeptBody, trailers: HeaderList | null): void {
    this.#stream = stream;
    const isEmpty = body.length === 0;
    stream.sendHeaders(list, isEmpty && trailers === null);
    if (!isEmpty && !stream.closed) stream.sendData(body.octets, 0, body.length, trailers === null);
    if (trailers !== null && !stream.closed) stream.sendTrailers(trailers);
  }

  onHeaders(_stream: MessageStream, _list: HeaderList, endStream: boolean): void {
    if (endStream) this.#answered();
  }

  onData(stream: MessageStream, _from: Buffer, _start: number, length: number, endStream: boolean): void {
    stream.consumed(length);
    if (endStream) this.#answered();
  }

  onSent(): void {}

  onReset(): void {
    this.#stream = null;
    this.end('mirror_failed');
  }

  #answered(): void {
    this.#stream = null;
    this.end('mirror_answered');
  }

  protected abandon(): void {
    this.#stream?.reset(CANCEL);
    this.#stream = null;
  }
}
