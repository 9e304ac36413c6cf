/**
 * What goes back to a client for a request: the endpoint's response, or an answer of weir's own; and what is recorded of it.
 *
 *   onResponse(), onResponseBody() ─► client ─► onResponseEnd() ─► recorded ─► done
 *   onUpstreamFailed() ─► nothing sent yet: replayed (http-exchange.ts), or 502/503; else cut
 *
 * The request's way out is http-exchange.ts. It talks to the client only through ClientSide.
 */
import { ENOBUFS } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { BODY_CHUNKED, BODY_UNTIL_CLOSE } from '../http1/framing.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import { type HeadEdits, noEdits, REWRITE_BAD_EDIT, rewriteResponseHead } from '../http1/rewrite.ts';
import type { HttpUpstream, UpstreamConnection, UpstreamFailure } from '../upstream/http-upstream.ts';
import { bufferRefusal } from './admission.ts';
import type { WorkerContext } from './context.ts';
import type { Flow } from './flow.ts';
import { Http1Connections } from './http1-connections.ts';
import { type ConfiguredAnswer, configuredHead, localBody, localResponse, NO_HEADERS } from './local-response.ts';
import type { PeerFacts } from './peer-facts.ts';
import { isReplayable, KeptRequest } from './replay.ts';
import { logRequest, type RequestLog, recordRequest, requestId } from './request-record.ts';
import type { NameValue } from '../../mesh/route-model.ts';

/** The connection that the request came on. */
export interface ClientSide {
  /**
   * Sends or queues; false when the client is gone (the exchange has then been ended).
   * @param last nothing follows but the end of the connection, at once: both may leave in one segment.
   */
  write(from: PinnedBuffer, offset: number, length: number, last: boolean): boolean;
  /** Octets wait for the client to read: do not read the endpoint meanwhile. */
  readonly blocked: boolean;
  pauseReading(): void;
  resumeReading(): void;
  /** The response is complete. `close`: no further request on this connection. */
  exchangeEnded(close: boolean): void;
  /** begin() has held the request back and left its octets to the connection: begin() is to be called with them again, now. */
  resumeRequest(): void;
  /** Ends the connection so that the client sees an error. */
  reset(): void;
  /** Hands both sockets to a relay: the endpoint opened a tunnel for `request` (a head). `octets` are its first to the client. */
  becomeTunnel(upstream: HttpUpstream, peer: PeerFacts, request: Buffer, octets: Buffer): void;
}

/** The response's side of an exchange: one object per connection, used again for each request. */
export abstract class HttpResponseSide {
  /** A request is in flight. */
  active = false;
  /** The request's last octet has been read. */
  requestComplete = true;
  status = 0;
  peer: PeerFacts | null = null;
  protected readonly context: WorkerContext;
  protected readonly flow: Flow;
  protected readonly client: ClientSide;
  protected upstream: UpstreamConnection | null = null;
  protected readonly connections: Http1Connections;
  protected responseEdits: HeadEdits | null = null;
  protected readonly kept: KeptRequest;
  protected responseStarted = false;
  protected closeAfter = false;
  protected method = '';
  /** The head of a request that may become a tunnel, which policy goes on judging the tunnel by. */
  protected tunnelHead: Buffer | null = null;
  protected http10 = false;
  protected requestBytes = 0;
  protected log: RequestLog | null = null;
  protected corsHeaders: readonly NameValue[] = NO_HEADERS;
  #startedMs = 0;
  #responseBytes = 0;

  constructor(context: WorkerContext, flow: Flow, client: ClientSide) {
    this.context = context;
    this.flow = flow;
    this.client = client;
    this.connections = new Http1Connections(context, flow);
    this.kept = new KeptRequest(context.keptRequests, flow.pod.usage);
  }

  /** The request is no longer in flight: `active` becomes false, and what was kept or armed for it is let go. */
  protected abstract leave(): void;

  /** Sends the request once more, on another connection; false: it cannot be. */
  protected abstract tryReplay(): boolean;

  /** Another request begins. */
  protected started(): void {
    this.active = true;
    this.status = 0;
    this.peer = null;
    this.requestComplete = true;
    this.method = '';
    this.responseEdits = null;
    this.responseStarted = false;
    this.#startedMs = this.context.reactor.nowMs;
    this.requestBytes = 0;
    this.#responseBytes = 0;
    this.log = null;
    this.corsHeaders = NO_HEADERS;
  }

  // --- the endpoint's response

  onInterim(head: ResponseHead, from: PinnedBuffer, offset: number, length: number): void {
    // An HTTP/1.0 client would take it for the answer (RFC 9110 section 15.2).
    if (this.http10) return;
    if (!head.hasHopByHop) {
      this.#toClient(from, offset, length, false);
      return;
    }
    const rewritten = rewriteResponseHead(head, from.bytes, noEdits, this.context.scratch.bytes, 0);
    if (rewritten > 0) this.#toClient(this.context.scratch, 0, rewritten, false);
  }

  onResponse(
    head: ResponseHead,
    from: PinnedBuffer,
    offset: number,
    headLength: number,
    bodyLength: number,
    last: boolean,
  ): void {
    this.kept.dropReplay();
    if (this.http10 && head.bodyKind === BODY_CHUNKED) {
      // It was asked in HTTP/1.0 and must not answer in chunks, which the client could not read (RFC 9112 section 7.1).
      this.abortUpstream();
      this.respond(502, 'UPSTREAM_MALFORMED', 'UPE');
      return;
    }
    this.responseStarted = true;
    this.status = head.status;
    this.#responseBytes = bodyLength;
    if (head.bodyKind === BODY_UNTIL_CLOSE || !this.requestComplete) this.closeAfter = true;
    const edits = this.responseEdits;
    if (!head.hasHopByHop && edits === null && !this.closeAfter) {
      this.#toClient(from, offset, headLength + bodyLength, false);
      return;
    }
    const scratch = this.context.scratch;
    const rewritten = rewriteResponseHead(head, from.bytes, edits ?? noEdits, scratch.bytes, 0, this.closeAfter);
    if (rewritten < 0 || rewritten + bodyLength > scratch.length) {
      this.responseStarted = false;
      this.abortUpstream();
      if (rewritten === REWRITE_BAD_EDIT) this.respond(500, 'BAD_HEADER_EDIT', '-');
      else this.respond(502, 'UPSTREAM_MALFORMED', 'UPE');
      return;
    }
    from.bytes.copy(scratch.bytes, rewritten, offset + headLength, offset + headLength + bodyLength);
    this.#toClient(scratch, 0, rewritten + bodyLength, last && this.closeAfter);
  }

  onResponseBody(from: PinnedBuffer, offset: number, length: number, last: boolean): void {
    this.#responseBytes += length;
    this.#toClient(from, offset, length, last && this.closeAfter);
  }

  onResponseEnd(): void {
    this.upstream = null;
    if (this.active) this.#end('-', null);
  }

  onTunnel(head: ResponseHead, from: PinnedBuffer, offset: number, headLength: number, surplus: number): void {
    const upstream = this.upstream as HttpUpstream;
    const request = this.tunnelHead;
    const isExpected = head.tunnel === (this.method === 'CONNECT');
    if (request === null || !this.requestComplete || !isExpected) {
      upstream.abort();
      this.onUpstreamFailed('malformed', 0);
      return;
    }
    this.closeAfter = false;
    this.onResponse(head, from, offset, headLength, 0, false);
    if (!this.active) return;
    const start = offset + headLength;
    this.#record('-', null);
    this.leave();
    this.upstream = null;
    this.connections.forget(upstream);
    this.client.becomeTunnel(
      upstream,
      this.peer as PeerFacts,
      request,
      Buffer.from(from.bytes.subarray(start, start + surplus)),
    );
  }

  onUpstreamFailed(failure: UpstreamFailure, errno: number): void {
    const upstream = this.upstream;
    this.upstream = null;
    if (!this.active) return;
    this.context.bounds.event(`upstream_${failure}`);
    if (this.responseStarted) {
      // Half a response is out: the only honest end is an error that the client can see.
      this.cut('UPSTREAM_RESET', 'UC');
      this.client.reset();
      return;
    }
    const mayRepeat = failure === 'refused' || (failure === 'reset' && isReplayable(this.method));
    if (mayRepeat && upstream?.reused === true && !upstream.answered && this.tryReplay()) return;
    this.kept.dropReplay();
    if (this.log !== null) this.log.errno = errno;
    if (errno === -ENOBUFS) {
      const { reason, flags } = bufferRefusal(this.flow.pod);
      this.respond(503, reason, flags);
      return;
    }
    if (failure === 'connect') this.respond(503, 'UPSTREAM_CONNECT_FAILED', 'UF');
    else if (failure === 'refused') this.respond(503, 'UPSTREAM_OVERFLOW', 'UO');
    else if (failure === 'malformed') this.respond(502, 'UPSTREAM_MALFORMED', 'UPE');
    else this.respond(502, 'UPSTREAM_RESET', 'UC');
  }

  #toClient(from: PinnedBuffer, offset: number, length: number, last: boolean): void {
    if (!this.active || !this.client.write(from, offset, length, last)) return;
    if (this.client.blocked) this.upstream?.pauseReading();
  }

  /** What was queued for the client is out. */
  clientDrained(): void {
    this.upstream?.resumeReading();
  }

  // --- answers of weir's own

  protected respond(status: number, reason: string, flags: string): void {
    this.status = status;
    if (!this.requestComplete) this.closeAfter = true;
    const { scratch } = this.context;
    const body = localBody(reason);
    const withBody = this.method !== 'HEAD';
    const id = this.log === null ? '' : requestId(this.flow.context, this.log);
    const length = localResponse(scratch, status, reason, body, this.corsHeaders, id, !this.closeAfter, withBody);
    this.#responseBytes = withBody ? body.length : 0;
    this.#toClient(scratch, 0, length, this.closeAfter);
    if (this.active) this.#end(flags, reason);
  }

  /** Gives the answer that the route itself has. */
  protected answer(answer: ConfiguredAnswer, flags: string): void {
    this.status = answer.status;
    if (!this.requestComplete) this.closeAfter = true;
    const { scratch } = this.context;
    const body = answer.body === null ? null : Buffer.from(answer.body, 'utf8');
    const id = answer.reason === null || this.log === null ? '' : requestId(this.context, this.log);
    const length = configuredHead(scratch, answer, body, this.corsHeaders, id, !this.closeAfter);
    this.#toClient(scratch, 0, length, false);
    if (body !== null && this.method !== 'HEAD' && answer.status !== 204 && answer.status !== 304) {
      this.#responseBytes = body.length;
      for (let at = 0; at < body.length && this.active; at += scratch.length) {
        this.#toClient(scratch, 0, body.copy(scratch.bytes, 0, at, at + scratch.length), false);
      }
    }
    if (this.active) this.#end(flags, answer.reason);
  }

  // --- the end

  #end(flags: string, reason: string | null): void {
    this.#record(flags, reason);
    this.leave();
    this.client.exchangeEnded(this.closeAfter);
  }

  /** Ends the exchange without an answer: the client is gone, or policy no longer allows it. The caller closes. */
  cut(reason: string, flags: string): void {
    if (!this.active) return;
    if (this.status === 0) this.status = 499;
    this.#record(flags, reason);
    this.leave();
    this.abortUpstream();
  }

  /**
   * This response is the connection's last. `patient`: only if it can still say so; a client that was not told would send its next
   * request into a closed connection.
   */
  closeAfterResponse(patient: boolean): void {
    if (!patient || !this.responseStarted) this.closeAfter = true;
  }

  protected abortUpstream(): void {
    const upstream = this.upstream;
    this.upstream = null;
    upstream?.abort();
  }

  #record(flags: string, reason: string | null): void {
    const durationMs = this.context.reactor.nowMs - this.#startedMs;
    const { status, peer } = this;
    recordRequest(this.flow, peer, status, flags, durationMs, this.requestBytes, this.#responseBytes);
    const failed = status >= 400 || reason !== null;
    if (this.log === null || !(failed || this.context.accessLog.wants(false))) return;
    const result = { protocol: 'http' as const, status, grpcStatus: null, reason, durationMs, failed };
    logRequest(this.flow, peer, this.log, result, this.requestBytes, this.#responseBytes);
  }
}
