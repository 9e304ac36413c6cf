/**
 * One request in flight on a client's connection: route → authorise → forward → relay the response → record.
 *
 *   begin() ─► routed, allowed ─► upstream taken or dialled ─► request octets up, response octets down ─► recorded ─► done
 *      └─► local response (403, 404, 5xx)                          └─► upstream failed: replayed, 502/503, or cut
 *
 * One object per connection, used again for each request. Here is the request's way out; http-response-side.ts has what goes back.
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { BodyScanner } from '../http1/body-scanner.ts';
import { BODY_NONE } from '../http1/framing.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { contentHasMeaning } from '../http1/request-method.ts';
import { type HeadEdits, noEdits, REWRITE_BAD_EDIT, REWRITE_NO_ROOM, rewriteRequestHead } from '../http1/rewrite.ts';
import type { Exchange, UpstreamConnection } from '../upstream/http-upstream.ts';
import { admitRequest, requestEnded } from './admission.ts';
import { addedToResponses } from './cors-edits.ts';
import { HttpResponseSide } from './http-response-side.ts';
import { RequestCopy } from './http1-mirror.ts';
import { NO_HEADERS } from './local-response.ts';
import type { PeerFacts, PeerPolicy, PeerVerdict } from './peer-facts.ts';
import { isReplayable } from './replay.ts';
import { type DeadlineOwner, type DeadlineReason, RequestDeadlines } from './request-deadlines.ts';
import { captureRequest, headSample } from './request-record.ts';
import { DELAYED, FIRST, type RouteOutcome, routeRequest, type Stage } from './route-request.ts';
import type { RouteActions } from '../../mesh/route-actions.ts';

/** One object per connection; `begin()` with each request. */
export class HttpExchange extends HttpResponseSide implements Exchange, DeadlineOwner {
  #scanner: BodyScanner | null = null;
  /** The request counts as in flight. */
  #admitted = false;
  /** What its route asks for beside forwarding; null: nothing. */
  #actions: RouteActions | null = null;
  /** Made for the first request whose route has a clock. */
  #deadlines: RequestDeadlines | null = null;
  /** What is to be mirrored, while the body is still to come. */
  #copy: RequestCopy | null = null;

  // --- from the client

  /**
   * Starts the request whose head is [at, at+length); returns where the octets after it (or its body so far) start. `at`: it is held
   * back, see resumeRequest(). Hot.
   */
  begin(head: RequestHead, buffer: PinnedBuffer, at: number, length: number, end: number): number {
    const stage = this.active ? DELAYED : FIRST;
    if (stage === FIRST) this.#reset();
    const isConnect = head.target.isAuthority;
    this.method = head.method;
    this.tunnelHead = head.upgrade || isConnect ? Buffer.from(buffer.bytes.subarray(at, at + length)) : null;
    this.http10 = head.versionMinor === 0;
    // An HTTP/1.0 client's keep-alive is a convention of its own (RFC 9112 appendix C.2.2): answered, then closed. After a
    // CONNECT that was refused, what follows may be meant for the tunnel, so it is not read as requests (RFC 9931).
    this.closeAfter = !head.keepAlive || this.http10 || isConnect || this.context.draining;
    const body = this.#scanBody(head, buffer, at + length, end);
    if (body < 0) {
      this.refuse(-body, this.#scanner?.refusal ?? '');
      return end;
    }
    this.requestBytes = body;
    if (stage === FIRST && !this.#admit(head)) return at + length + body;
    const outcome = this.#route(head, stage);
    if (outcome.delayMs > 0) return at;
    if (outcome.answer !== null) this.answer(outcome.answer, outcome.flags);
    else if (outcome.status !== 0) this.respond(outcome.status, outcome.reason, outcome.flags);
    else this.#forward(head, buffer, at, length, body, outcome);
    return at + length + body;
  }

  /** False: it was answered, since there are too many. Hot. */
  #admit(head: RequestHead): boolean {
    const { mode } = this.context.accessLog;
    if (mode !== 'off') this.log = captureRequest(head);
    if (mode === 'all' && this.log !== null) this.log.sample = headSample(head);
    const refusal = admitRequest(this.flow.pod);
    if (refusal !== null) {
      this.respond(503, refusal.reason, refusal.flags);
      return false;
    }
    this.#admitted = true;
    return true;
  }

  /** What is to become of it; with a delay, it is held back. Hot. */
  #route(head: RequestHead, stage: Stage): RouteOutcome {
    const outcome = routeRequest(this.flow, head, stage);
    if (outcome.delayMs > 0) {
      this.#deadlines ??= new RequestDeadlines(this.context, this.flow.pod.index, this);
      return this.#deadlines.delay(outcome.delayMs) ? outcome : this.#route(head, DELAYED);
    }
    this.peer = outcome.peer;
    if (outcome.actions !== null) {
      this.#actions = outcome.actions;
      this.corsHeaders = outcome.corsHeaders;
    }
    if (this.log !== null) {
      this.log.route = outcome.routeName;
      this.log.policy = outcome.policy;
      if (outcome.status !== 0) this.log.sample ??= headSample(head);
    }
    return outcome;
  }

  onDelayOver(): void {
    this.client.resumeRequest();
  }

  onDeadline(reason: DeadlineReason): void {
    if (!this.active) return;
    this.abortUpstream();
    if (!this.responseStarted) {
      this.respond(504, reason, 'UT');
      return;
    }
    // Half a response is out: the only honest end is an error that the client can see.
    this.cut(reason, 'UT');
    this.client.reset();
  }

  /** Answers a request that was not understood: nothing went upstream, nothing after it can be trusted. */
  refuse(status: number, reason: string): void {
    if (!this.active) this.#reset();
    this.closeAfter = true;
    this.respond(status, reason, 'DPE');
  }

  /** Further body octets from the client; returns where what follows the body starts. */
  forwardBody(buffer: PinnedBuffer, start: number, end: number): number {
    const scanner = this.#scanner as BodyScanner;
    const body = scanner.scan(buffer.bytes, start, end);
    if (body < 0) {
      if (this.responseStarted) {
        this.cut(scanner.refusal, 'DPE');
        this.client.reset();
        return end;
      }
      this.abortUpstream();
      this.refuse(-body, scanner.refusal);
      return end;
    }
    this.requestBytes += body;
    this.requestComplete = scanner.complete;
    const upstream = this.upstream;
    if (upstream === null) return start + body;
    const copy = this.#actions === null ? null : this.#bodyGoesOn(buffer, start, body);
    if (this.requestComplete) upstream.requestFinished();
    const result = upstream.write(buffer, start, body);
    if (result < 0) this.#writeFailed(upstream, result);
    else if (upstream.blocked && !this.requestComplete) this.client.pauseReading();
    copy?.send();
    return start + body;
  }

  /** Further body octets of a request whose route has actions; the copy that is to be mirrored now. */
  #bodyGoesOn(buffer: PinnedBuffer, start: number, body: number): RequestCopy | null {
    if (this.requestComplete) this.#deadlines?.requestComplete(this.#actions?.timeouts.requestMs ?? null);
    const copy = this.#copy;
    if (copy === null) return null;
    if (!copy.add(buffer.bytes, start, body)) this.#copy = null;
    if (!this.requestComplete || this.#copy === null) return null;
    this.#copy = null;
    return copy;
  }

  #reset(): void {
    this.started();
    this.#actions = null;
  }

  /** Octets of the body that are here; −status when it is malformed. Sets `requestComplete`. */
  #scanBody(head: RequestHead, buffer: PinnedBuffer, start: number, end: number): number {
    if (head.bodyKind === BODY_NONE) return 0;
    this.#scanner ??= new BodyScanner();
    this.#scanner.start(head.bodyKind, head.contentLength);
    const body = this.#scanner.scan(buffer.bytes, start, end);
    this.requestComplete = body >= 0 && this.#scanner.complete;
    return body;
  }

  // --- to the endpoint

  #forward(
    head: RequestHead,
    buffer: PinnedBuffer,
    at: number,
    length: number,
    body: number,
    outcome: RouteOutcome,
  ): void {
    const upstream = this.connections.take(outcome.peer as PeerFacts, outcome.speaks, this.tunnelHead !== null);
    if (upstream === null) {
      this.respond(503, this.connections.refusal.reason, this.connections.refusal.flags);
      return;
    }
    let from = buffer;
    let start = at;
    let octets = length + body;
    const isEdited = outcome.requestEdits !== null || outcome.path !== null;
    if (head.hasHopByHop || head.pathChanged || isEdited) {
      from = this.context.scratch;
      start = 0;
      octets = this.#rewrite(head, buffer, at + length, body, headEdits(head, outcome));
      if (octets < 0) {
        upstream.close();
        if (octets === REWRITE_BAD_EDIT) this.respond(500, 'BAD_HEADER_EDIT', '-');
        else this.refuse(431, 'HEAD_TOO_LARGE');
        return;
      }
    }
    this.upstream = upstream;
    this.responseEdits = outcome.responseEdits;
    const copy = outcome.actions === null ? null : this.#act(outcome.actions, from, start, octets - body, octets);
    upstream.begin(this, this.method, this.#mayReuseUpstream);
    if (this.requestComplete) upstream.requestFinished();
    if (upstream.reused && this.requestComplete && (upstream.mayRefuse || isReplayable(this.method)))
      this.kept.keepReplay(from, start, octets);
    // Only a pod of this node has its policy decided here.
    if (isEdited) this.#keepForwarded(from, start, octets - body);
    else if ((outcome.peer as PeerFacts).localPod !== null) this.kept.keepHead(buffer, at, length, from === buffer);
    const result = upstream.write(from, start, octets);
    if (result < 0) this.#writeFailed(upstream, result);
    else if (upstream.blocked && !this.requestComplete) this.client.pauseReading();
    copy?.send();
  }

  /** What is forwarded is not what came: policy goes on judging what is forwarded. */
  #keepForwarded(from: PinnedBuffer, start: number, length: number): void {
    if (this.peer?.localPod !== null) this.kept.keepHead(from, start, length, true);
    if (this.tunnelHead !== null) this.tunnelHead = Buffer.from(from.bytes.subarray(start, start + length));
  }

  /** What its route asks for while it is forwarded; the copy that is to be mirrored now. */
  #act(
    actions: RouteActions,
    from: PinnedBuffer,
    start: number,
    headLength: number,
    octets: number,
  ): RequestCopy | null {
    if (this.corsHeaders !== NO_HEADERS) {
      this.responseEdits = addedToResponses(this.responseEdits, this.corsHeaders);
    }
    this.#attemptBegins();
    if (actions.mirrors.length === 0 || this.tunnelHead !== null) return null;
    const copy = RequestCopy.begin(this.flow, actions.mirrors, from.bytes, start, headLength, octets);
    if (this.requestComplete) return copy;
    this.#copy = copy;
    return null;
  }

  #attemptBegins(): void {
    const timeouts = this.#actions?.timeouts;
    if (timeouts === undefined || (timeouts.requestMs === null && timeouts.backendRequestMs === null)) return;
    this.#deadlines ??= new RequestDeadlines(this.context, this.flow.pod.index, this);
    this.#deadlines.attemptBegins(timeouts.backendRequestMs);
    if (this.requestComplete) this.#deadlines.requestComplete(timeouts.requestMs);
  }

  /** Head with its edits, then the body octets that came with it, in the scratch buffer; REWRITE_NO_ROOM or REWRITE_BAD_EDIT (< 0) otherwise. */
  #rewrite(head: RequestHead, buffer: PinnedBuffer, bodyStart: number, body: number, edits: HeadEdits): number {
    const scratch = this.context.scratch.bytes;
    const headLength = rewriteRequestHead(head, buffer.bytes, edits, scratch, 0);
    if (headLength < 0) return headLength;
    if (headLength + body > scratch.length) return REWRITE_NO_ROOM;
    if (body > 0) buffer.bytes.copy(scratch, headLength, bodyStart, bodyStart + body);
    return headLength + body;
  }

  /** More of the request's body is to come, and there is room for it. */
  get takesBody(): boolean {
    return !this.requestComplete && this.upstream !== null && !this.upstream.blocked;
  }

  get #mayReuseUpstream(): boolean {
    const withoutBody = this.requestComplete && this.requestBytes === 0;
    return withoutBody || contentHasMeaning(this.method);
  }

  #writeFailed(upstream: UpstreamConnection, errno: number): void {
    const failure = upstream.connected ? 'reset' : 'connect';
    upstream.abort();
    this.onUpstreamFailed(failure, errno);
  }

  onUpstreamDrained(): void {
    if (!this.requestComplete) this.client.resumeReading();
  }

  /** The reused connection was closed by the endpoint before it saw the request, or it refused to look: once more on another. */
  protected override tryReplay(): boolean {
    if (!this.kept.replayable || this.peer === null) return false;
    const upstream = this.connections.again(this.peer);
    if (upstream === null) return false;
    this.context.bounds.event('upstream_replayed');
    this.#attemptBegins();
    const octets = this.kept.takeReplay(this.context.scratch);
    this.upstream = upstream;
    upstream.begin(this, this.method, this.#mayReuseUpstream);
    upstream.requestFinished();
    if (upstream.write(this.context.scratch, 0, octets) === 0) return true;
    this.abortUpstream();
    return false;
  }

  // --- the end

  protected override leave(): void {
    this.active = false;
    this.kept.drop();
    if (this.#actions !== null || this.#deadlines !== null) this.#forgetActions();
    if (!this.#admitted) return;
    this.#admitted = false;
    requestEnded(this.flow.pod);
  }

  #forgetActions(): void {
    this.#deadlines?.stop();
    this.#copy?.drop();
    this.#copy = null;
  }

  /** Policy changed: the policy that now denies this exchange outright, or null. */
  deniedNow(): string | null {
    if (!this.active || this.peer === null) return null;
    const authorization = this.flow.authorization(this.peer);
    if (authorization === null) return null;
    const verdict = authorization.settled ?? this.#judgeAgain(authorization);
    if (verdict?.allowed === true) return null;
    if (this.log !== null) this.log.policy = verdict?.policy ?? null;
    return verdict?.reason ?? 'RBAC_DENIED';
  }

  /** What policy says of the request in flight; null: its head could not be kept (the pod holds too much), so nobody can say. */
  #judgeAgain(authorization: PeerPolicy): PeerVerdict | null {
    const { requestHead } = this.context;
    return this.kept.parseHead(requestHead) ? authorization.request(requestHead) : null;
  }

  /** The connection is closing: nothing of this exchange stays open. */
  close(): void {
    this.leave();
    this.abortUpstream();
    this.connections.close();
  }
}

/** What is changed of the head that is forwarded. */
function headEdits(head: RequestHead, outcome: RouteOutcome): HeadEdits {
  const edits = outcome.requestEdits ?? noEdits;
  if (outcome.path === null) return edits;
  return { ...edits, target: head.target.queryMark < 0 ? outcome.path : `${outcome.path}?${head.query}` };
}
