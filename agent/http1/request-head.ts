/**
 * Head of an HTTP/1.1 request (RFC 9112 sections 2 to 6), parsed in place in one pass. Strict: what two servers could read
 * differently is refused, and what policy judges (`path`, `host`) is what is forwarded.
 *
 *   [CRLF] method SP target SP HTTP/1.x CRLF fields… CRLF
 *          ^         ^         targetStart…targetEnd; path, query and host are made into strings only when asked for
 *
 * Decisions the RFCs leave open:
 * - Absolute-form must agree with Host (case aside, port 80 implied) and is forwarded in origin-form; `https:` is refused.
 * - One empty line before the request line is skipped and never forwarded (RFC 9112 section 2.2); a second is refused.
 * - HTTP/1.0 requests never persist (RFC 9112 section 9.3 forbids it to proxies) and are forwarded as HTTP/1.0, so that the
 *   response is not chunked. They may lack a Host.
 * - `Connection: keep-alive` alone does not force a rewrite: it states HTTP/1.1's default, and persistence upstream is
 *   weir's own decision. `Connection: close` always does: it must not end a pooled connection.
 * - CONNECT's target is host and port; its path is empty, and its Host, if any, must say the same.
 * - Upgrade is honoured only without a body, and never to h2c, HTTP or TLS, where requests would go unjudged.
 * - Proxy-Authenticate and Proxy-Authorization pass: weir is not the proxy they are meant for (RFC 9110 section 11.7).
 */
import type { RequestView } from '../../mesh/request.ts';
import { hostEnd, hostText } from './authority.ts';
import {
  acceptsTrailers,
  applyConnection,
  hasHopByHopField,
  keepUpgrade,
  OPTION_CLOSE,
  OPTION_TE,
  OPTION_UPGRADE,
  OPTIONS_PROTECTED,
  OPTIONS_TOO_MANY,
  upgradeMayPass,
} from './connection-options.ts';
import {
  FIELD_CONTENT_LENGTH,
  FIELD_EXPECT,
  FIELD_HOST,
  FIELD_LOOKALIKE,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
  type FieldSection,
} from './field-section.ts';
import {
  BODY_CHUNKED,
  BODY_LENGTH,
  BODY_NONE,
  CODING_CHUNKED,
  CODING_UNKNOWN,
  hasLeadingZero,
  LENGTH_TOO_LARGE,
  readContentLength,
  readTransferCoding,
} from './framing.ts';
import { defaultHttp1Limits, type Http1Limits } from './http1-limits.ts';
import { CR, equalsIgnoringCase, LF, SPACE, TOKEN } from './octets.ts';
import { MessageHead } from './message-head.ts';
import { RequestTarget } from './request-target.ts';
import { methodText } from './request-method.ts';
import { readVersion, VERSION_MALFORMED, VERSION_UNSUPPORTED } from './version.ts';

/** Reusable: parse() overwrites it. Offsets and strings are valid until the buffer changes or parse() is called again. */
export class RequestHead extends MessageHead implements RequestView {
  /** Why parse() refused, a stable code such as `BOTH_LENGTHS`; '' when it did not. */
  refusal = '';
  /** Octets the head occupies, the empty line before it included; 0 before success. */
  length = 0;
  methodStart = 0;
  methodEnd = 0;
  versionMinor: 0 | 1 = 1;
  bodyKind: 0 | 1 | 2 = BODY_NONE;
  /** Octets of the body when bodyKind is 1, 0 when there is none, −1 when chunked. */
  contentLength = 0;
  /** The client lets its connection persist: HTTP/1.1 without `Connection: close`. */
  keepAlive = true;
  /** The client waits for 100 before it sends its body. */
  expectContinue = false;
  /** True: forward what rewriteRequestHead() writes; false: the octets may go as they are. */
  hasHopByHop = false;
  /** OPTION_* bits of the Connection fields. */
  connectionOptions = 0;
  /** Transfer-Encoding is spelled in odd case and forwarded as `chunked`. */
  codingOddCase = false;
  readonly target = new RequestTarget();
  readonly #limits: Http1Limits;
  #bytes: Buffer = Buffer.alloc(0);
  #hostStart = 0;
  #hostEnd = 0;
  #method: string | null = null;
  #host: string | null = null;

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    super(limits.headerCountMax);
    this.#limits = limits;
  }

  /**
   * Parses the head that starts at `start`. Hot: allocates nothing unless the path needs normalising, the request asks for
   * an upgrade, or Connection names fields.
   * @param seen octets from `start` that an earlier call, which returned 0, was given: lets a head that trickles in be
   * skipped until a line is complete. The result is the same without it, but a refusal may wait for the end of its line.
   * @returns > 0: octets of the head; 0: more are needed, call again from `start`; < 0: −status, see `refusal`
   */
  parse(bytes: Buffer, start: number, end: number, seen = 0): number {
    if (seen > 0 && !this.#worthParsing(bytes, start, end, seen)) return 0;
    this.refusal = '';
    this.length = 0;
    this.hasHopByHop = false;
    this.#bytes = bytes;
    this.#method = null;
    this.#host = null;
    const at = this.#parseRequestLine(bytes, start, end);
    if (at <= 0) return at;
    const headBytesMax = this.#limits.headBytesMax;
    const limit = end - start < headBytesMax ? end : start + headBytesMax;
    const fields = this.fields;
    const next = fields.parse(bytes, at, limit);
    if (next <= 0) {
      if (next < 0) return this.#refuse(fields.refusal === 'TOO_MANY_FIELDS' ? 431 : 400, fields.refusal);
      return end - start < headBytesMax ? 0 : this.#refuse(431, 'HEAD_TOO_LARGE');
    }
    const status = this.#interpret(fields);
    if (status !== 0) return status;
    this.length = next - start;
    return this.length;
  }

  get method(): string {
    if (this.#method === null) this.#method = methodText(this.#bytes, this.methodStart, this.methodEnd);
    return this.#method;
  }

  get targetStart(): number {
    return this.target.start;
  }

  get targetEnd(): number {
    return this.target.end;
  }

  /** Trailers are forwarded, so a client's readiness for them is passed on as weir's own (RFC 9110 section 10.1.4). */
  get passesTrailers(): boolean {
    return (
      (this.connectionOptions & OPTION_TE) !== 0 &&
      this.versionMinor === 1 &&
      !this.upgrade &&
      acceptsTrailers(this.fields)
    );
  }

  /** As it is forwarded: of what belongs to a connection, what weir says on its own (rewrite.ts). */
  override header(name: string): string | undefined {
    if (this.connectionOptions === 0) return super.header(name);
    if (name === 'te' && this.passesTrailers) return 'trailers';
    if (name === 'connection' && this.upgrade) return 'upgrade';
    return super.header(name);
  }

  override headerValues(name: string): readonly string[] {
    if (this.connectionOptions === 0 || (name !== 'te' && name !== 'connection')) return super.headerValues(name);
    const value = this.header(name);
    return value === undefined ? [] : [value];
  }

  get path(): string {
    return this.target.pathText(this.#bytes);
  }

  /** The path differs from the octets received; rewriteRequestHead() writes the new one. */
  get pathChanged(): boolean {
    return this.target.pathChanged;
  }

  get query(): string {
    return this.target.queryText(this.#bytes);
  }

  /** Lower case, without port or final dot; an IPv6 literal keeps its brackets; '' when an HTTP/1.0 request has no Host. */
  get host(): string {
    if (this.#host === null) {
      this.#host = this.#hostStart === this.#hostEnd ? '' : hostText(this.#bytes, this.#hostStart, this.#hostEnd);
    }
    return this.#host;
  }

  /**
   * A call that returned 0 can only have another result when a line was completed since, or a limit was crossed: this
   * keeps a head sent octet by octet from being parsed once per octet.
   */
  #worthParsing(bytes: Buffer, start: number, end: number, seen: number): boolean {
    const had = seen;
    const has = end - start;
    const lineMax = this.#limits.requestLineBytesMax;
    const headMax = this.#limits.headBytesMax;
    if ((had < lineMax && has >= lineMax) || has >= headMax || bytes[start + had - 1] === CR) return true;
    for (let i = start + had; i < end; i++) if (bytes[i] === LF) return true;
    return false;
  }

  /** @returns position after the request line; 0: more octets needed; < 0: −status */
  #parseRequestLine(bytes: Buffer, start: number, end: number): number {
    const lineBytesMax = this.#limits.requestLineBytesMax;
    const limit = end - start < lineBytesMax ? end : start + lineBytesMax;
    let i = start;
    if (i < limit && bytes[i] === CR) {
      if (i + 1 < limit && bytes[i + 1] !== LF) return this.#refuse(400, 'BARE_CR');
      i += 2;
      this.hasHopByHop = true;
    }
    this.methodStart = i;
    const methodLimit = i + this.#limits.methodBytesMax;
    while (i < limit && TOKEN[bytes[i] as number] === 1) i++;
    if (i > methodLimit) return this.#refuse(501, 'METHOD_TOO_LONG');
    if (i >= limit) return this.#needMore(start, end);
    if (bytes[i] !== SPACE || i === this.methodStart) {
      return this.#refuse(400, i === this.methodStart ? 'NO_METHOD' : 'BAD_METHOD');
    }
    this.methodEnd = i;
    const target = this.target;
    i = target.scan(bytes, i + 1, limit);
    if (i === 0) return this.#needMore(start, end);
    if (i < 0) return this.#refuse(400, target.refusal);
    const version = readVersion(bytes, i + 1, limit);
    if (version < 0) {
      if (version === VERSION_UNSUPPORTED) return this.#refuse(505, 'VERSION_NOT_SUPPORTED');
      return version === VERSION_MALFORMED ? this.#refuse(400, 'BAD_VERSION') : this.#needMore(start, end);
    }
    i += 9;
    if (i >= limit) return this.#needMore(start, end);
    if (bytes[i] !== CR) return this.#refuse(400, bytes[i] === LF ? 'BARE_LF' : 'BAD_VERSION');
    if (i + 1 >= limit) return this.#needMore(start, end);
    if (bytes[i + 1] !== LF) return this.#refuse(400, 'BARE_CR');
    this.versionMinor = version === 1 ? 1 : 0;
    // The form of the target is judged only now, so that every split of the line has the same result.
    if (!target.judge(bytes, this.methodStart, this.methodEnd)) return this.#refuse(400, target.refusal);
    if (target.mustRewrite) this.hasHopByHop = true;
    return i + 2;
  }

  /** What the fields mean together. @returns 0, or −status */
  #interpret(fields: FieldSection): number {
    const status = this.#interpretLength(fields);
    if (status !== 0) return status;
    if (fields.oddlySpaced !== 0) this.hasHopByHop = true;
    if (fields.has(FIELD_LOOKALIKE)) return this.#refuse(400, 'LOOKALIKE_LENGTH');
    const hostStatus = this.#interpretHost(fields);
    if (hostStatus !== 0) return hostStatus;
    this.expectContinue = false;
    if (fields.has(FIELD_EXPECT)) {
      const expectStatus = this.#interpretExpect(fields);
      if (expectStatus !== 0) return expectStatus;
    }
    this.connectionOptions = 0;
    this.keepAlive = this.versionMinor === 1;
    this.upgrade = false;
    return hasHopByHopField(fields) ? this.#interpretConnection(fields) : 0;
  }

  #interpretLength(fields: FieldSection): number {
    this.bodyKind = BODY_NONE;
    this.contentLength = 0;
    this.codingOddCase = false;
    const hasLength = fields.has(FIELD_CONTENT_LENGTH);
    if (fields.has(FIELD_TRANSFER_ENCODING)) {
      if (hasLength) return this.#refuse(400, 'BOTH_LENGTHS');
      if (this.versionMinor === 0) return this.#refuse(400, 'CODING_IN_HTTP_1_0');
      if (fields.isRepeated(FIELD_TRANSFER_ENCODING)) return this.#refuse(400, 'REPEATED_CODING');
      const index = fields.firstOf(FIELD_TRANSFER_ENCODING);
      const coding = readTransferCoding(fields.bytes, fields.valueStart(index), fields.valueEnd(index));
      if (coding === CODING_UNKNOWN) return this.#refuse(501, 'UNKNOWN_CODING');
      if (coding < 0) return this.#refuse(400, 'BAD_CODING');
      if (coding !== CODING_CHUNKED) {
        this.codingOddCase = true;
        this.hasHopByHop = true;
      }
      this.bodyKind = BODY_CHUNKED;
      this.contentLength = -1;
    } else if (hasLength) {
      if (fields.isRepeated(FIELD_CONTENT_LENGTH)) return this.#refuse(400, 'REPEATED_LENGTH');
      const index = fields.firstOf(FIELD_CONTENT_LENGTH);
      const start = fields.valueStart(index);
      const end = fields.valueEnd(index);
      const length = readContentLength(fields.bytes, start, end);
      if (length === LENGTH_TOO_LARGE) return this.#refuse(400, 'LENGTH_TOO_LARGE');
      if (length < 0) return this.#refuse(400, 'BAD_LENGTH');
      if (hasLeadingZero(fields.bytes, start, end)) return this.#refuse(400, 'BAD_LENGTH');
      this.contentLength = length;
      if (length > 0) this.bodyKind = BODY_LENGTH;
    }
    return this.bodyKind !== BODY_NONE && this.target.isAuthority ? this.#refuse(400, 'CONNECT_WITH_BODY') : 0;
  }

  #interpretHost(fields: FieldSection): number {
    const target = this.target;
    if (!fields.has(FIELD_HOST)) {
      if (this.versionMinor === 1) return this.#refuse(400, 'MISSING_HOST');
      this.#hostStart = target.authorityStart;
      this.#hostEnd = target.authorityHostEnd;
      return 0;
    }
    if (fields.isRepeated(FIELD_HOST)) return this.#refuse(400, 'REPEATED_HOST');
    const index = fields.firstOf(FIELD_HOST);
    const start = fields.valueStart(index);
    const end = fields.valueEnd(index);
    const endOfHost = hostEnd(fields.bytes, start, end);
    if (endOfHost < 0) return this.#refuse(400, 'BAD_HOST');
    if (target.hasAuthority && !target.agreesWith(fields.bytes, start, endOfHost, end)) {
      return this.#refuse(400, 'HOST_MISMATCH');
    }
    this.#hostStart = start;
    this.#hostEnd = endOfHost;
    return 0;
  }

  #interpretExpect(fields: FieldSection): number {
    const index = fields.firstOf(FIELD_EXPECT);
    const isContinue = equalsIgnoringCase(
      fields.bytes,
      fields.valueStart(index),
      fields.valueEnd(index),
      '100-continue',
    );
    if (!isContinue || fields.isRepeated(FIELD_EXPECT)) return this.#refuse(417, 'UNKNOWN_EXPECTATION');
    // RFC 9110 section 10.1.1: ignored in HTTP/1.0; without a body there is nothing to wait for.
    this.expectContinue = this.versionMinor === 1 && this.bodyKind !== BODY_NONE;
    return 0;
  }

  #interpretConnection(fields: FieldSection): number {
    const options = applyConnection(fields, this.#limits.connectionOptionsMax);
    if (options < 0) {
      if (options === OPTIONS_PROTECTED) return this.#refuse(400, 'CONNECTION_NAMES_PROTECTED');
      return this.#refuse(400, options === OPTIONS_TOO_MANY ? 'TOO_MANY_OPTIONS' : 'BAD_CONNECTION');
    }
    this.connectionOptions = options;
    if ((options & OPTION_CLOSE) !== 0) this.keepAlive = false;
    const asksUpgrade = (options & OPTION_UPGRADE) !== 0 && fields.has(FIELD_UPGRADE);
    if (asksUpgrade && this.versionMinor === 1 && this.bodyKind === BODY_NONE && !this.target.isAuthority) {
      this.upgrade = upgradeMayPass(fields);
      if (this.upgrade) keepUpgrade(fields);
    }
    if (this.versionMinor === 0 || !this.connectionIsHarmless(options)) this.hasHopByHop = true;
    return 0;
  }

  #needMore(start: number, end: number): number {
    return end - start < this.#limits.requestLineBytesMax ? 0 : this.#refuse(414, 'REQUEST_LINE_TOO_LONG');
  }

  #refuse(status: number, reason: string): number {
    this.refusal = reason;
    return -status;
  }
}
