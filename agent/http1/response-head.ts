/**
 * Head of an HTTP/1.1 response (RFC 9112 sections 4 and 6). Whatever is malformed is refused with −502: the upstream is at
 * fault, and its connection is not to be used again.
 *
 * Decisions the RFCs leave open:
 * - Obsolete folding, bare LF and space before the colon are refused, not repaired.
 * - A status line without the space after the code is accepted and rewritten; an HTTP/1.0 response is forwarded as HTTP/1.1.
 * - 1xx and 204 have no body: their Content-Length is dropped, and a non-zero one ends persistence; Transfer-Encoding there
 *   is malformed. Any coding but `chunked` is malformed, because no TE was forwarded that asked for it.
 * - After CONNECT's 2xx comes the tunnel, whatever lengths the answer states: they are dropped (RFC 9110 section 9.3.6).
 */
import {
  applyConnection,
  hasHopByHopField,
  keepUpgrade,
  OPTION_CLOSE,
  OPTION_KEEP_ALIVE,
  OPTION_UPGRADE,
} from './connection-options.ts';
import {
  FIELD_CONNECTION,
  FIELD_CONTENT_LENGTH,
  FIELD_LOOKALIKE,
  FIELD_TRANSFER_ENCODING,
  FIELD_UPGRADE,
  FieldSection,
} from './field-section.ts';
import {
  BODY_CHUNKED,
  BODY_LENGTH,
  BODY_NONE,
  BODY_UNTIL_CLOSE,
  type BodyKind,
  CODING_CHUNKED,
  LENGTH_TOO_LARGE,
  readContentLength,
  readTransferCoding,
} from './framing.ts';
import { defaultHttp1Limits, type Http1Limits } from './http1-limits.ts';
import { CR, FIELD_VALUE, LF, SPACE } from './octets.ts';
import { readVersion, VERSION_INCOMPLETE } from './version.ts';
import { textOf } from './octet-text.ts';

const MALFORMED = -502;
const STATUS_OFFSET = 9;

/** Reusable: parse() overwrites it. Offsets are valid until the buffer changes or parse() is called again. */
export class ResponseHead {
  /** Why parse() refused; '' when it did not. */
  refusal = '';
  /** Octets the head occupies. */
  length = 0;
  /** 100 to 999. */
  status = 0;
  versionMinor: 0 | 1 = 1;
  reasonStart = 0;
  reasonEnd = 0;
  /** 1xx: another head follows, except after 101. */
  interim = false;
  bodyKind: BodyKind = BODY_NONE;
  /** Octets of the body; what Content-Length says for HEAD and 304; −1 when unknown. */
  contentLength = -1;
  /** The upstream lets its connection persist once this response is complete. */
  keepAlive = true;
  /** 101 with Connection: upgrade and Upgrade: the octets that follow are opaque. */
  upgrade = false;
  /** A successful answer to CONNECT: the octets that follow are opaque. */
  tunnel = false;
  /** True: forward what rewriteResponseHead() writes; false: the octets may go as they are. */
  hasHopByHop = false;
  connectionOptions = 0;
  codingOddCase = false;
  readonly fields: FieldSection;
  readonly #limits: Http1Limits;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    this.#limits = limits;
    this.fields = new FieldSection(limits.headerCountMax);
  }

  /**
   * Parses the head at `start`. Hot: allocates nothing unless Connection names fields.
   * @param request method of the request it answers; true stands for 'HEAD', false for one without rules of its own
   * @returns > 0: octets of the head; 0: more are needed, call again from `start`; −502: malformed, see `refusal`
   */
  parse(bytes: Buffer, start: number, end: number, request: string | boolean): number {
    this.refusal = '';
    this.length = 0;
    this.hasHopByHop = false;
    this.#bytes = bytes;
    const headBytesMax = this.#limits.headBytesMax;
    const limit = end - start < headBytesMax ? end : start + headBytesMax;
    const at = this.#parseStatusLine(bytes, start, limit);
    if (at < 0) return at;
    const fields = this.fields;
    const next = at === 0 ? 0 : fields.parse(bytes, at, limit);
    if (next < 0) return this.#refuse(fields.refusal);
    if (next === 0) return end - start < headBytesMax ? 0 : this.#refuse('HEAD_TOO_LARGE');
    const status = this.#interpret(fields, request);
    if (status !== 0) return status;
    this.length = next - start;
    return this.length;
  }

  get reason(): string {
    return textOf(this.#bytes, this.reasonStart, this.reasonEnd);
  }

  header(name: string): string | undefined {
    return this.fields.value(name);
  }

  headerValues(name: string): readonly string[] {
    return this.fields.values(name);
  }

  get headerCount(): number {
    return this.fields.count;
  }

  nameStart(index: number): number {
    return this.fields.nameStart(index);
  }

  nameEnd(index: number): number {
    return this.fields.nameEnd(index);
  }

  valueStart(index: number): number {
    return this.fields.valueStart(index);
  }

  valueEnd(index: number): number {
    return this.fields.valueEnd(index);
  }

  /** The field ends at this hop: a rewrite drops it. */
  hopByHop(index: number): boolean {
    return this.fields.removed[index] === 1;
  }

  /** @returns position after the status line; 0: more octets needed; −502 */
  #parseStatusLine(bytes: Buffer, start: number, limit: number): number {
    const version = readVersion(bytes, start, limit);
    if (version < 0) return version === VERSION_INCOMPLETE ? 0 : this.#refuse('BAD_VERSION');
    this.versionMinor = version === 1 ? 1 : 0;
    if (version === 0) this.hasHopByHop = true;
    let status = 0;
    let i = start + STATUS_OFFSET - 1;
    if (i >= limit) return 0;
    if (bytes[i] !== SPACE) return this.#refuse('BAD_STATUS');
    for (i++; i < start + STATUS_OFFSET + 3; i++) {
      if (i >= limit) return 0;
      const digit = (bytes[i] as number) - 0x30;
      if (digit < 0 || digit > 9) return this.#refuse('BAD_STATUS');
      status = status * 10 + digit;
    }
    if (status < 100) return this.#refuse('BAD_STATUS');
    this.status = status;
    if (i >= limit) return 0;
    if (bytes[i] === SPACE) i++;
    else if (bytes[i] === CR) this.hasHopByHop = true;
    else return this.#refuse(bytes[i] === LF ? 'BARE_LF' : 'BAD_STATUS');
    this.reasonStart = i;
    while (i < limit && FIELD_VALUE[bytes[i] as number] === 1) i++;
    if (i >= limit) return 0;
    if (bytes[i] !== CR) return this.#refuse(bytes[i] === LF ? 'BARE_LF' : 'CONTROL_IN_REASON');
    if (i + 1 >= limit) return 0;
    if (bytes[i + 1] !== LF) return this.#refuse('BARE_CR');
    this.reasonEnd = i;
    return i + 2;
  }

  #interpret(fields: FieldSection, request: string | boolean): number {
    const status = this.status;
    this.interim = status < 200;
    this.tunnel = request === 'CONNECT' && status >= 200 && status < 300;
    this.keepAlive = this.versionMinor === 1;
    this.upgrade = false;
    this.connectionOptions = 0;
    if (fields.has(FIELD_LOOKALIKE)) return this.#refuse('LOOKALIKE_LENGTH');
    if (fields.oddlySpaced !== 0) this.hasHopByHop = true;
    const framing = this.tunnel
      ? this.#dropFraming(fields)
      : this.#interpretLength(fields, request === 'HEAD' || request === true);
    if (framing !== 0) return framing;
    const connection = hasHopByHopField(fields) ? this.#interpretConnection(fields) : 0;
    if (connection !== 0) return connection;
    if (this.interim || this.status === 204) this.#dropLength(fields);
    if (status === 101 && !this.upgrade) return this.#refuse('BAD_SWITCH');
    if (this.bodyKind === BODY_UNTIL_CLOSE || this.tunnel || status === 101) this.keepAlive = false;
    return 0;
  }

  #interpretLength(fields: FieldSection, isHead: boolean): number {
    const status = this.status;
    const bodyless = status < 200 || status === 204;
    this.codingOddCase = false;
    this.contentLength = -1;
    let kind: BodyKind = BODY_UNTIL_CLOSE;
    const hasLength = fields.has(FIELD_CONTENT_LENGTH);
    if (fields.has(FIELD_TRANSFER_ENCODING)) {
      if (hasLength) return this.#refuse('BOTH_LENGTHS');
      if (this.versionMinor === 0) return this.#refuse('CODING_IN_HTTP_1_0');
      if (bodyless) return this.#refuse('CODING_WITHOUT_BODY');
      if (fields.isRepeated(FIELD_TRANSFER_ENCODING)) return this.#refuse('REPEATED_CODING');
      const index = fields.firstOf(FIELD_TRANSFER_ENCODING);
      const coding = readTransferCoding(fields.bytes, fields.valueStart(index), fields.valueEnd(index));
      if (coding < 0) return this.#refuse('BAD_CODING');
      if (coding !== CODING_CHUNKED) {
        this.codingOddCase = true;
        this.hasHopByHop = true;
      }
      kind = BODY_CHUNKED;
    } else if (hasLength) {
      if (fields.isRepeated(FIELD_CONTENT_LENGTH)) return this.#refuse('REPEATED_LENGTH');
      const index = fields.firstOf(FIELD_CONTENT_LENGTH);
      const length = readContentLength(fields.bytes, fields.valueStart(index), fields.valueEnd(index));
      if (length < 0) return this.#refuse(length === LENGTH_TOO_LARGE ? 'LENGTH_TOO_LARGE' : 'BAD_LENGTH');
      this.contentLength = length;
      kind = length > 0 ? BODY_LENGTH : BODY_NONE;
    }
    this.bodyKind = bodyless || isHead || status === 304 ? BODY_NONE : kind;
    return 0;
  }

  #interpretConnection(fields: FieldSection): number {
    const options = applyConnection(fields, this.#limits.connectionOptionsMax);
    if (options < 0) return this.#refuse('BAD_CONNECTION');
    this.connectionOptions = options;
    if ((options & OPTION_CLOSE) !== 0) this.keepAlive = false;
    const offersUpgrade = (options & OPTION_UPGRADE) !== 0 && fields.has(FIELD_UPGRADE) && this.versionMinor === 1;
    // 101 switches; 426 must say to what (RFC 9110 section 15.5.22). An unasked offer (h2c, mostly) ends here.
    if (offersUpgrade && (this.status === 101 || this.status === 426)) {
      this.upgrade = this.status === 101;
      keepUpgrade(fields);
    }
    if (!this.#connectionIsHarmless(fields, options)) this.hasHopByHop = true;
    return 0;
  }

  #connectionIsHarmless(fields: FieldSection, options: number): boolean {
    const needed = this.upgrade ? OPTION_UPGRADE : OPTION_KEEP_ALIVE;
    if ((options & ~OPTION_KEEP_ALIVE & ~needed) !== 0 || (options & needed) === 0) return false;
    for (let i = 0; i < fields.count; i++) {
      if (fields.removed[i] === 1 && fields.kinds[i] !== FIELD_CONNECTION) return false;
    }
    return true;
  }

  /** What a tunnel's head says about lengths goes no further. @returns 0 */
  #dropFraming(fields: FieldSection): number {
    this.codingOddCase = false;
    this.contentLength = -1;
    this.bodyKind = BODY_NONE;
    for (let i = 0; i < fields.count; i++) {
      const kind = fields.kinds[i];
      if (kind !== FIELD_CONTENT_LENGTH && kind !== FIELD_TRANSFER_ENCODING) continue;
      fields.removed[i] = 1;
      this.hasHopByHop = true;
    }
    return 0;
  }

  #dropLength(fields: FieldSection): void {
    if (!fields.has(FIELD_CONTENT_LENGTH)) return;
    fields.removed[fields.firstOf(FIELD_CONTENT_LENGTH)] = 1;
    this.hasHopByHop = true;
    if (this.contentLength > 0) this.keepAlive = false;
    this.contentLength = -1;
  }

  #refuse(reason: string): number {
    this.refusal = reason;
    return MALFORMED;
  }
}
