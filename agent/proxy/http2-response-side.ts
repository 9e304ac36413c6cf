/**
 * What goes back to a client for a request on HTTP/2: the endpoint's response, an answer of weir's own, or a reset; and what is
 * recorded of it.
 *
 *   endpoint's stream (up): head, DATA, trailers ══► client's stream (down) ─► recorded
 *                           reset ─► nothing sent yet: repeated (http2-exchange.ts), or 502/503; else the client's stream is reset
 *
 * CONNECT (RFC 9113 section 8.5, RFC 8441) becomes a tunnel with a 2xx: it is over when both sides have ended, not with the
 * response. The request's way out is http2-exchange.ts.
 */
import { ENOBUFS } from '../engine/errno.ts';
import { hasNoContent } from '../http1/framing.ts';
import { CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM } from '../http2/frame.ts';
import type { HeaderList } from '../http2/header-list.ts';
import { grpcStatusOf, ResponseFacts } from '../http2/response-facts.ts';
import { trailersAreValid } from '../http2/field-rules.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { CONNECTION_LOST, NOT_CONNECTED } from '../http2/stream.ts';
import type { Http2Stream, MessageStream } from '../http2/stream.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { NameValue } from '../../mesh/route-model.ts';
import { limits } from '../limits.ts';
import { bufferRefusal } from './admission.ts';
import type { Http2Downstream } from './http2-downstream.ts';
import { configuredHeaders, editedList, localHeaders, localTrailers } from './http2-lists.ts';
import type { KeptBody } from './kept-body.ts';
import { type ConfiguredAnswer, localBody } from './local-response.ts';
import type { PeerFacts } from './peer-facts.ts';
import type { RequestDeadlines } from './request-deadlines.ts';
import { logRequest, type RequestLog, recordRequest, requestId } from './request-record.ts';

/**
 * The response's side of one exchange, which holds the state of both. It has neither fields nor private methods of its own: V8 (of
 * Node 20) does not set up inline what a base class adds to an object, which would double what a new exchange costs (28 → 65 ns).
 */
export abstract class Http2ResponseSide {
  protected abstract readonly client: Http2Downstream;
  protected abstract readonly down: Http2Stream;
  protected abstract readonly facts: RequestFacts | null;
  protected abstract readonly isGrpc: boolean;
  protected abstract readonly startedMs: number;
  protected abstract up: MessageStream | null;
  protected abstract readonly peer: PeerFacts | null;
  protected abstract readonly responseEdits: HeaderEdits | null;
  protected abstract readonly corsHeaders: readonly NameValue[];
  protected abstract readonly deadlines: RequestDeadlines | null;
  protected abstract readonly kept: KeptBody | null;
  protected abstract readonly requestEnded: boolean;
  protected abstract readonly requestBytes: number;
  protected abstract readonly log: RequestLog | null;
  protected abstract isTunnel: boolean;
  protected abstract tunnelHalfClosed: boolean;
  protected abstract interims: number;
  protected abstract status: number;
  protected abstract grpcStatus: string;
  protected abstract recorded: boolean;
  protected abstract responseBytes: number;

  /** The request is no longer in flight; what the client's windows hold back may still be. */
  protected abstract leave(): void;

  /** Sends the request once more if what became of it, `code`, allows that; false: it does not. */
  protected abstract repeat(code: number): boolean;

  // --- the endpoint's response

  protected onResponse(up: MessageStream, list: HeaderList, endStream: boolean): void {
    const facts = (list.response ??= new ResponseFacts(list));
    const { method } = this.facts as RequestFacts;
    // Content-Length says nothing of what follows (RFC 9110 section 9.3.6).
    const isTunnel = method === 'CONNECT' && facts.status >= 200 && facts.status < 300;
    const isBodiless = hasNoContent(method, facts.status) && !isTunnel;
    const lengthLies = endStream && facts.contentLength > 0 && !isBodiless && !isTunnel;
    if (facts.malformed !== '' || (facts.status < 200 && endStream) || lengthLies) {
      this.upstreamMalformed(up);
      return;
    }
    if (facts.status < 200) {
      this.onInterim(up, list);
      return;
    }
    up.headSeen = true;
    up.expected = isTunnel ? -1 : isBodiless ? 0 : facts.contentLength;
    this.isTunnel = isTunnel;
    if (isTunnel) this.deadlines?.stop();
    this.kept?.drop();
    this.status = facts.status;
    this.grpcStatus = facts.grpcStatus;
    const edited = editedList(list, this.responseEdits, this.client.context.headerLists);
    if (edited === null) {
      this.status = 0;
      up.reset(CANCEL);
      this.respond(500, 'BAD_HEADER_EDIT', '-');
      return;
    }
    this.down.sendHeaders(edited, endStream);
    if (endStream) this.onResponseEnd();
  }

  protected onInterim(up: MessageStream, list: HeaderList): void {
    if (++this.interims > limits.interimResponsesMax) {
      this.client.context.bounds.hit('interimResponsesMax');
      this.upstreamMalformed(up);
    } else {
      this.down.sendHeaders(list, false);
    }
  }

  protected onResponseBody(up: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void {
    this.responseBytes += length;
    const kept = this.down.sendData(from, start, length, endStream);
    if (length > kept) up.consumed(length - kept);
    if (endStream) this.onResponseEnd();
  }

  protected onTrailers(up: MessageStream, list: HeaderList, endStream: boolean): void {
    if (!endStream || this.isTunnel || !trailersAreValid(list)) {
      this.upstreamMalformed(up);
      return;
    }
    this.grpcStatus = grpcStatusOf(list);
    this.down.sendTrailers(list);
    this.complete();
  }

  /** A tunnel goes on while the client has something to say. */
  protected onResponseEnd(): void {
    if (this.isTunnel && !this.requestEnded) this.tunnelHalfClosed = true;
    else this.complete();
  }

  /** The response has been received whole; what the client's windows hold back is still to be sent, and the request may go on. */
  protected complete(): void {
    this.record('-', null);
    if (this.requestEnded) this.leave();
  }

  protected upstreamMalformed(up: MessageStream): void {
    up.reset(INTERNAL_ERROR);
    this.up = null;
    this.fail(502, 'UPSTREAM_MALFORMED', 'UPE', INTERNAL_ERROR);
  }

  protected onUpstreamReset(code: number): void {
    const up = this.up;
    this.up = null;
    if (this.recorded) {
      // The response was complete; the endpoint has no use for the rest of the request (RFC 9113 section 8.1).
      this.leave();
      if (!this.requestEnded) this.down.resetWhenSent(NO_ERROR);
      return;
    }
    if (this.log !== null) this.log.errno = up?.errno ?? 0;
    if (this.status === 0 && this.repeat(code)) return;
    if (up?.errno === -ENOBUFS) {
      const { reason, flags } = bufferRefusal(this.client.flow.pod);
      this.fail(503, reason, flags, REFUSED_STREAM);
    } else if (code === NOT_CONNECTED) this.fail(503, 'UPSTREAM_CONNECT_FAILED', 'UF', REFUSED_STREAM);
    else if (code === REFUSED_STREAM) this.fail(503, 'UPSTREAM_OVERFLOW', 'UO', REFUSED_STREAM);
    else if (code === CONNECTION_LOST) this.fail(502, 'UPSTREAM_RESET', 'UC', INTERNAL_ERROR);
    else this.passReset(code);
  }

  /** The endpoint has reset the stream: so do we, with its code. */
  protected passReset(code: number): void {
    if (this.status === 0) this.status = 502;
    this.record('UR', 'UPSTREAM_RESET');
    this.leave();
    this.down.reset(code === NO_ERROR ? INTERNAL_ERROR : code);
  }

  // --- answers of weir's own

  /** Answers if nothing has been answered yet, else ends the stream with an error that the client can see. */
  protected fail(status: number, reason: string, flags: string, code: number): void {
    this.client.context.bounds.event(`http2_${reason.toLowerCase()}`);
    if (this.status === 0) {
      this.respond(status, reason, flags);
      return;
    }
    const down = this.down;
    // A call that has begun can still be told why it ends, unless the client is behind with reading.
    const isTold = this.isGrpc && !down.closed && !down.localClosed && down.pendingBytes === 0;
    if (isTold) {
      const trailers = localTrailers(status, reason, this.client.context.headerLists);
      this.grpcStatus = grpcStatusOf(trailers);
      down.sendTrailers(trailers);
    }
    this.record(flags, reason);
    this.leave();
    down.reset(isTold ? NO_ERROR : code);
  }

  /** Answers a request that goes nowhere. */
  refuse(status: number, reason: string): void {
    this.respond(status, reason, 'DPE');
  }

  protected respond(status: number, reason: string, flags: string): void {
    const { context } = this.client;
    const isGrpc = this.isGrpc;
    const id = this.log === null ? '' : requestId(context, this.log);
    const list = localHeaders(status, reason, isGrpc, this.corsHeaders, id, context.headerLists);
    this.status = isGrpc ? 200 : status;
    this.grpcStatus = grpcStatusOf(list);
    const down = this.down;
    if (isGrpc || this.facts?.method === 'HEAD') {
      down.sendHeaders(list, true);
    } else {
      const body = Buffer.from(localBody(reason), 'latin1');
      down.sendHeaders(list, false);
      this.responseBytes = body.length;
      down.sendData(body, 0, body.length, true);
    }
    this.answered(flags, reason);
  }

  /** Gives the answer that the route itself has. */
  protected answer(answer: ConfiguredAnswer, flags: string): void {
    const { context } = this.client;
    const isGrpc = this.isGrpc && answer.reason !== null;
    const hasBody = !isGrpc && answer.body !== null && answer.status !== 204 && answer.status !== 304;
    const body = hasBody ? Buffer.from(answer.body, 'utf8') : null;
    const id = answer.reason === null || this.log === null ? '' : requestId(context, this.log);
    const octets = body === null ? -1 : body.length;
    const list = configuredHeaders(answer, octets, this.isGrpc, this.corsHeaders, id, context.headerLists);
    this.status = isGrpc ? 200 : answer.status;
    this.grpcStatus = grpcStatusOf(list);
    const isEmpty = body === null || body.length === 0 || this.facts?.method === 'HEAD';
    this.down.sendHeaders(list, isEmpty);
    if (!isEmpty) {
      this.responseBytes = body.length;
      this.down.sendData(body, 0, body.length, true);
    }
    this.answered(flags, answer.reason);
  }

  /** An answer by weir has been given. */
  protected answered(flags: string, reason: string | null): void {
    this.record(flags, reason);
    this.leave();
    // The rest of the request is of no use (RFC 9113 section 8.1).
    if (!this.requestEnded) this.down.resetWhenSent(NO_ERROR);
  }

  // --- the end

  protected record(flags: string, reason: string | null): void {
    if (this.recorded) return;
    this.recorded = true;
    const { flow, context } = this.client;
    const durationMs = context.reactor.nowMs - this.startedMs;
    const grpc = this.isGrpc ? this.grpcStatus : null;
    const peer = this.peer;
    recordRequest(flow, peer, this.status, flags, durationMs, this.requestBytes, this.responseBytes, grpc);
    const log = this.log;
    const failed = this.status >= 400 || reason !== null || (grpc !== null && grpc !== '0');
    if (log === null || !(failed || context.accessLog.wants(false))) return;
    const protocol = grpc === null ? ('http2' as const) : ('grpc' as const);
    const result = { protocol, status: this.status, grpcStatus: grpc, reason, durationMs, failed };
    logRequest(flow, peer, log, result, this.requestBytes, this.responseBytes);
  }
}
