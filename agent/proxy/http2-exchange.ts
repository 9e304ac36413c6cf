/**
 * One request on a client's HTTP/2 connection: route → authorise → stream to the endpoint → response back → recorded.
 *
 *   client's stream (down) ══ DATA, trailers ══► endpoint's stream (up)
 *                          ◄═ head, DATA, trailers ══
 *
 * What one side's stream does not take waits there, and the other side gets its window back only as it is sent: memory is
 * bounded by the windows. A reset on one side resets the other with the same code (gRPC gives those codes meaning).
 *
 * A short body is kept until the response begins: a request that an endpoint has not looked at is routed and sent again. Here is
 * the request's way out; http2-response-side.ts has what goes back.
 */
import { UNBALANCED_SLOT } from '../../mesh/cluster.ts';
import { CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM } from '../http2/frame.ts';
import type { HeaderList } from '../http2/header-list.ts';
import { trailersAreValid } from '../http2/field-rules.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { CONNECTION_LOST } from '../http2/stream.ts';
import type { Http2Stream, MessageStream, StreamHandler } from '../http2/stream.ts';
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { RouteActions } from '../../mesh/route-actions.ts';
import type { NameValue } from '../../mesh/route-model.ts';
import type { RequestView } from '../../mesh/request.ts';
import { limits } from '../limits.ts';
import { Http2Upstream, type SettingsWaiter } from '../upstream/http2-upstream.ts';
import { type AdmissionRefusal, admitRequest, requestEnded } from './admission.ts';
import { http1Stream, OVERFLOW, sharedConnection, UNREACHABLE } from './http2-connection.ts';
import type { Http2Downstream } from './http2-downstream.ts';
import { addedToResponses } from './cors-edits.ts';
import { ForwardedView } from './forwarded-view.ts';
import { forwardedRequest } from './http2-lists.ts';
import { MessageCopy } from './http2-mirror.ts';
import { Http2ResponseSide } from './http2-response-side.ts';
import { KeptBody } from './kept-body.ts';
import { NO_HEADERS } from './local-response.ts';
import { NETWORK_POLICY_DENIED } from './network-policy.ts';
import type { PeerFacts } from './peer-facts.ts';
import { type DeadlineOwner, type DeadlineReason, RequestDeadlines } from './request-deadlines.ts';
import { captureRequest, listSample, type RequestLog } from './request-record.ts';
import { AGAIN, DELAYED, FIRST, type RouteOutcome, routeRequest, type Stage } from './route-request.ts';

/** Answered with 501. */
const NO_EXTENDED_CONNECT: AdmissionRefusal = { reason: 'EXTENDED_CONNECT_UNSUPPORTED', flags: '-' };

/** Requests in flight as they were forwarded, to be judged again. */
const forwarded = new ForwardedView();

export class Http2Exchange extends Http2ResponseSide implements StreamHandler, SettingsWaiter, DeadlineOwner {
  protected override readonly client: Http2Downstream;
  protected override readonly down: Http2Stream;
  /** null: the fields were too large to be kept. */
  protected override readonly facts: RequestFacts | null;
  protected override readonly isGrpc: boolean;
  protected override readonly startedMs: number;
  protected override up: MessageStream | null = null;
  #speaks: RouteOutcome['speaks'] = 'same';
  protected override peer: PeerFacts | null = null;
  #sent: HeaderList | null = null;
  protected override responseEdits: HeaderEdits | null = null;
  /** What its route changes of it: policy judges what is forwarded. */
  #path: string | null = null;
  #requestEdits: HeaderEdits | null = null;
  /** What its route asks for beside forwarding; null: nothing. */
  #actions: RouteActions | null = null;
  protected override corsHeaders: readonly NameValue[] = NO_HEADERS;
  protected override deadlines: RequestDeadlines | null = null;
  /** What is to be mirrored, while the request is still coming. */
  #copy: MessageCopy | null = null;
  #attempts = 0;
  /** The request as far as it has come, while it may have to be sent again; null: no body so far. */
  protected override kept: KeptBody | null = null;
  #requestTrailers: HeaderList | null = null;
  /** Octets of it that wait at the endpoint's stream, and for which the client has its window back already. */
  #credited = 0;
  protected override requestEnded = false;
  /** The endpoint has ended its side of a tunnel. */
  protected override tunnelHalfClosed = false;
  protected override isTunnel = false;
  /** An extended CONNECT waits for the SETTINGS of this connection. */
  #waitsFor: Http2Upstream | null = null;
  protected override interims = 0;
  protected override status = 0;
  protected override grpcStatus = '';
  protected override recorded = false;
  /** The request counts as in flight. */
  #admitted = false;
  protected override requestBytes = 0;
  protected override responseBytes = 0;
  protected override log: RequestLog | null = null;

  constructor(client: Http2Downstream, down: Http2Stream, facts: RequestFacts | null, isGrpc: boolean) {
    super();
    this.client = client;
    this.down = down;
    this.facts = facts;
    this.isGrpc = isGrpc;
    this.startedMs = client.context.reactor.nowMs;
    down.handler = this;
  }

  // --- the request's head

  /** Routes, authorises and sends it on. Hot. */
  begin(endStream: boolean): void {
    const facts = this.facts as RequestFacts;
    const { context } = this.client;
    this.requestEnded = endStream;
    const { mode } = context.accessLog;
    if (mode !== 'off') this.log = captureRequest(facts);
    if (mode === 'all' && this.log !== null) this.log.sample = listSample(facts.list, facts.query);
    const refusal = admitRequest(this.client.flow.pod);
    if (refusal !== null) {
      this.respond(503, refusal.reason, refusal.flags);
      return;
    }
    this.#admitted = true;
    if (facts.refusedStatus !== 0) {
      this.refuse(facts.refusedStatus, facts.refusal);
      return;
    }
    this.#route(facts, FIRST);
  }

  /** Chooses where it goes, and sends what there is of it. Hot. */
  #route(facts: RequestFacts, stage: Stage): void {
    const outcome = routeRequest(this.client.flow, facts, stage);
    if (outcome.delayMs > 0) {
      if (!this.#clock().delay(outcome.delayMs)) this.#route(facts, DELAYED);
      return;
    }
    this.peer = outcome.peer;
    this.client.lastPeer = outcome.peer;
    if (this.log !== null) {
      this.log.route = outcome.routeName;
      this.log.policy = outcome.policy;
      if (outcome.status !== 0) this.log.sample ??= listSample(facts.list, facts.query);
    }
    this.#actions = outcome.actions;
    this.corsHeaders = outcome.corsHeaders;
    if (outcome.answer !== null) this.answer(outcome.answer, outcome.flags);
    else if (outcome.status !== 0) this.respond(outcome.status, outcome.reason, outcome.flags);
    else this.#forward(facts, outcome);
  }

  #clock(): RequestDeadlines {
    const { context, flow } = this.client;
    this.deadlines ??= new RequestDeadlines(context, flow.pod.index, this);
    return this.deadlines;
  }

  onDelayOver(): void {
    this.#route(this.facts as RequestFacts, DELAYED);
  }

  onDeadline(reason: DeadlineReason): void {
    if (this.recorded) return;
    this.up?.reset(CANCEL);
    this.up = null;
    this.fail(504, reason, 'UT', CANCEL);
  }

  // --- to the endpoint

  #forward(facts: RequestFacts, outcome: RouteOutcome): void {
    this.responseEdits = addedToResponses(outcome.responseEdits, outcome.corsHeaders);
    this.#path = outcome.path;
    this.#requestEdits = outcome.requestEdits;
    this.#speaks = outcome.speaks;
    if (facts.method === 'CONNECT' && this.#speaks === 'http1') {
      this.respond(501, facts.protocol === null ? 'CONNECT_UNSUPPORTED' : NO_EXTENDED_CONNECT.reason, '-');
      return;
    }
    const list = forwardedRequest(facts, outcome.path, outcome.requestEdits, this.client.context.headerLists);
    if (list === null) {
      this.respond(500, 'BAD_HEADER_EDIT', '-');
      return;
    }
    // Lines of HTTP/1.1 are shorter than what a list's size counts for its fields.
    if (this.#speaks === 'http1' && list.size > limits.scratchBytes) {
      this.refuse(431, 'HEAD_TOO_LARGE');
      return;
    }
    this.#sent = list;
    const copy = outcome.actions === null ? null : this.#act(outcome.actions, list);
    const up = this.#open(this.peer as PeerFacts);
    if (up !== null) this.#send(list, up);
    copy?.send(null);
  }

  /** What its route asks for while it is forwarded; the copy that is to be mirrored now. */
  #act({ timeouts, mirrors }: RouteActions, list: HeaderList): MessageCopy | null {
    if (timeouts.requestMs !== null || timeouts.backendRequestMs !== null) {
      const clock = this.#clock();
      clock.attemptBegins(timeouts.backendRequestMs);
      if (this.requestEnded) clock.requestComplete(timeouts.requestMs);
    }
    // What is sent again was copied the first time; tunnels are nobody's to copy.
    if (mirrors.length === 0 || this.#attempts > 0 || this.facts?.method === 'CONNECT') return null;
    const copy = MessageCopy.begin(this.client.flow, mirrors, list);
    const kept = this.kept;
    const isWhole = kept === null || (kept.whole && copy?.add(kept.octets, 0, kept.length) !== false);
    if (copy === null || !isWhole) return null;
    if (this.requestEnded && this.#requestTrailers === null) return copy;
    if (this.requestEnded) copy.send(this.#requestTrailers);
    else this.#copy = copy;
    return null;
  }

  /** Sends what there is of the request; most often that is its head. Hot. */
  #send(list: HeaderList, up: MessageStream | AdmissionRefusal): void {
    if ('reason' in up) {
      this.respond(up === NO_EXTENDED_CONNECT ? 501 : 503, up.reason, up.flags);
      return;
    }
    this.#attempts++;
    this.up = up;
    this.#credited = 0;
    const kept = this.kept;
    const trailers = this.#requestTrailers;
    const isEmpty = kept === null || kept.length === 0;
    up.sendHeaders(list, this.requestEnded && isEmpty && trailers === null);
    if (kept !== null && !isEmpty && this.up === up) this.#sendKept(up, kept, trailers === null);
    if (trailers !== null && this.up === up) up.sendTrailers(trailers);
  }

  /** The client gets its window back for all that does not wait; what it has had back before is not given twice. */
  #sendKept(up: MessageStream, kept: KeptBody, isLast: boolean): void {
    const waiting = up.sendData(kept.octets, 0, kept.length, this.requestEnded && isLast);
    const owed = this.down.unconsumed;
    if (owed > waiting) this.down.consumed(owed - waiting);
    else this.#credited = waiting - owed;
  }

  /** A stream to the peer, on a connection that is there or dialled; why there is none; or null: onSettled() will be called. */
  #open(peer: PeerFacts): MessageStream | AdmissionRefusal | null {
    const { context, flow } = this.client;
    if (this.#speaks === 'http1') {
      return http1Stream(context, flow.pod, peer, this.facts as RequestFacts, this, this.#attempts > 0);
    }
    const isOwn = peer.endpoint.slot === UNBALANCED_SLOT;
    const upstream = isOwn ? this.client.dedicated(peer) : sharedConnection(context, flow.pod, peer);
    if (!(upstream instanceof Http2Upstream)) return upstream;
    if (this.facts?.protocol === null) return upstream.begin(this);
    if (upstream.session.settled) return this.#openExtended(upstream);
    this.#waitsFor = upstream;
    upstream.awaitSettings(this);
    return null;
  }

  /** For a request that only some endpoints understand (RFC 8441 section 3). */
  #openExtended(upstream: Http2Upstream): MessageStream | AdmissionRefusal {
    if (!upstream.session.peer.extendedConnect) return NO_EXTENDED_CONNECT;
    return upstream.hasRoom ? upstream.begin(this) : OVERFLOW;
  }

  onSettled(): void {
    const upstream = this.#waitsFor as Http2Upstream;
    this.#waitsFor = null;
    this.#send(this.#sent as HeaderList, this.#openExtended(upstream));
  }

  onNotSettled(errno: number): void {
    this.#waitsFor = null;
    if (this.log !== null) this.log.errno = errno;
    this.fail(503, UNREACHABLE.reason, UNREACHABLE.flags, REFUSED_STREAM);
  }

  /**
   * What the endpoint has refused was not acted on (RFC 9113 section 8.7). When a connection broke before any answer it may have
   * been, which only idempotent methods allow, and once.
   */
  #mayRepeat(code: number): boolean {
    if (code === REFUSED_STREAM) return this.#attempts < limits.http2AttemptsMax;
    const method = this.facts?.method;
    const isSafe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
    return code === CONNECTION_LOST && isSafe && this.#attempts === 1;
  }

  /** Sends it once more, wherever it belongs now: an endpoint that takes no more requests may have left its service. */
  protected override repeat(code: number): boolean {
    const facts = this.facts;
    if (!this.#mayRepeat(code) || facts === null || this.kept?.whole === false) return false;
    this.client.context.bounds.event('upstream_replayed');
    this.#route(facts, AGAIN);
    return true;
  }

  // --- both streams

  onHeaders(stream: MessageStream, list: HeaderList, endStream: boolean): void {
    if (stream === this.down) this.#onRequestTrailers(list);
    else if (stream.headSeen) this.onTrailers(stream, list, endStream);
    else this.onResponse(stream, list, endStream);
  }

  onData(stream: MessageStream, from: Buffer, start: number, length: number, endStream: boolean): void {
    if (stream === this.down) this.#onRequestBody(from, start, length, endStream);
    else this.onResponseBody(stream, from, start, length, endStream);
  }

  onSent(stream: MessageStream, octets: number): void {
    if (stream === this.down) {
      this.up?.consumed(octets);
      return;
    }
    const before = Math.min(octets, this.#credited);
    this.#credited -= before;
    if (octets > before) this.down.consumed(octets - before);
  }

  onReset(stream: MessageStream, code: number): void {
    if (stream === this.down) this.#onClientReset(code);
    else this.onUpstreamReset(code);
  }

  // --- from the client

  #onRequestBody(from: Buffer, start: number, length: number, endStream: boolean): void {
    this.requestBytes += length;
    if (this.#copy?.add(from, start, length) === false) this.#copy = null;
    if (endStream) this.#onRequestEnded(null);
    if (this.#waitsFor !== null || this.deadlines?.delayed === true) {
      this.#keepWaiting(from, start, length);
      return;
    }
    const up = this.up;
    if (up === null || up.closed || up.localClosed) {
      this.down.consumed(length); // answered already: what still comes is dropped
      return;
    }
    if (this.status === 0 && length > 0) this.#body().add(from, start, length, limits.replayBytesMax);
    const waiting = up.sendData(from, start, length, endStream);
    if (length > waiting) this.down.consumed(length - waiting);
    if (endStream && this.tunnelHalfClosed) this.complete();
  }

  #body(): KeptBody {
    this.kept ??= new KeptBody(this.client.context.keptRequests, this.client.flow.pod.usage);
    return this.kept;
  }

  /** What the client says before anybody has agreed to the tunnel: within its window, which it does not get back yet. */
  #keepWaiting(from: Buffer, start: number, length: number): void {
    if (length === 0 || this.#body().add(from, start, length, limits.http2WaitingBodyBytesMax)) return;
    this.client.context.bounds.hit('http2WaitingBodyBytesMax');
    this.fail(503, 'POD_LIMIT_BUFFERED', 'UO', ENHANCE_YOUR_CALM);
  }

  /** It has come whole. Copies are sent also when it was answered before its end (RFC 9113 section 8.1). */
  #onRequestEnded(trailers: HeaderList | null): void {
    this.requestEnded = true;
    if (this.#actions !== null) this.deadlines?.requestComplete(this.#actions.timeouts.requestMs);
    this.#copy?.send(trailers);
    this.#copy = null;
    if (this.recorded) this.leave();
  }

  #onRequestTrailers(list: HeaderList): void {
    // A tunnel has none (RFC 9113 section 8.5).
    if (!trailersAreValid(list) || this.facts?.method === 'CONNECT') {
      this.down.session.malformed(this.down);
      return;
    }
    this.#onRequestEnded(list);
    if (this.status === 0) this.#requestTrailers = list;
    this.up?.sendTrailers(list);
  }

  #onClientReset(code: number): void {
    if (this.status === 0) this.status = 499;
    this.record('DC', 'CLIENT_GONE');
    this.leave();
    this.up?.reset(code === NO_ERROR || code >= CONNECTION_LOST ? CANCEL : code);
    this.up = null;
  }

  // --- the end

  /** Policy changed: cut the request if it would be refused now. */
  reevaluate(): void {
    const peer = this.peer;
    const facts = this.facts;
    if (peer === null || facts === null) return;
    const authorization = this.client.flow.authorization(peer);
    const verdict =
      authorization === null ? null : (authorization.settled ?? authorization.request(this.#asForwarded(facts)));
    if (verdict === null || verdict.allowed) return;
    if (this.log !== null) this.log.policy = verdict.policy;
    this.client.context.bounds.event('connection_cut_by_policy');
    this.up?.reset(CANCEL);
    this.up = null;
    if (!this.recorded) {
      this.fail(verdict.reason === NETWORK_POLICY_DENIED ? 503 : 403, verdict.reason, '-', CANCEL);
      return;
    }
    // Answered in full: only its request goes on.
    this.leave();
    this.down.resetWhenSent(NO_ERROR);
  }

  #asForwarded(facts: RequestFacts): RequestView {
    const isEdited = this.#path !== null || this.#requestEdits !== null;
    return isEdited ? forwarded.of(facts, this.#path, this.#requestEdits) : facts;
  }

  protected override leave(): void {
    this.client.ended(this);
    this.kept?.drop();
    this.#copy?.drop();
    this.#copy = null;
    this.deadlines?.stop();
    this.#waitsFor?.forget(this);
    this.#waitsFor = null;
    if (this.#admitted) requestEnded(this.client.flow.pod);
    this.#admitted = false;
  }
}
