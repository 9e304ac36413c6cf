/**
 * Finds where a message body ends (RFC 9112 sections 6 and 7), in octets that arrive split anywhere. It does not decode:
 * the octets are forwarded as they are, so each of them must be beyond doubt.
 *
 *   size [;ext]… CRLF data CRLF  …  0 [;ext]… CRLF [trailer CRLF]… CRLF
 *
 * Stricter than the grammar where leniency has been exploited: no white space around chunk extensions, at most 16 digits of
 * size, CRLF only, and no trailer field that could change framing, routing or who is asking.
 */
import { BODY_CHUNKED, BODY_NONE, BODY_UNTIL_CLOSE, type BodyKind } from './framing.ts';
import { defaultHttp1Limits, type Http1Limits } from './http1-limits.ts';
import { COLON, CR, FIELD_VALUE, HEX, HTAB, LF, LOWER, SPACE, TOKEN } from './octets.ts';

const SIZE_FIRST = 0;
const SIZE = 1;
const EXT_NAME_FIRST = 2;
const EXT_NAME = 3;
const EXT_VALUE_FIRST = 4;
const EXT_VALUE = 5;
const EXT_QUOTED = 6;
const EXT_QUOTED_PAIR = 7;
const EXT_QUOTED_END = 8;
const SIZE_LF = 9;
const DATA = 10;
const DATA_CR = 11;
const DATA_LF = 12;
const TRAILER_FIRST = 13;
const TRAILER_NAME = 14;
const TRAILER_VALUE = 15;
const TRAILER_LF = 16;
const LAST_LF = 17;
const COUNTED = 18;
const UNTIL_CLOSE = 19;
const DONE = 20;
const REFUSED = 21;

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const SIZE_DIGITS_MAX = 16;
/** Longest forbidden trailer name and one more, so that a longer name never equals one of them. */
const NAME_KEPT = 32;

/** Fields that mean something before the body only (RFC 9110 section 6.5.1): framing, routing, authentication, content. */
const FORBIDDEN_TRAILERS: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
]);

/** @param name in lower case. `_` counts as `-`: CGI-like servers do not tell them apart. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN_TRAILERS.has(name.replaceAll('_', '-'));
}

/** One body at a time; start() makes it ready for the next. Holds no octet of the body. */
export class BodyScanner {
  /** All octets of the body have been seen. Never true for a body that lasts until the connection ends. */
  complete = true;
  /** Why scan() refused; '' otherwise. */
  refusal = '';
  /** Octets of content still to come in this chunk or counted body. */
  remaining = 0;
  readonly #limits: Http1Limits;
  #state = DONE;
  #status = 0;
  #lineOctets = 0;
  #sizeDigits = 0;
  #trailerOctets = 0;
  readonly #name = new Uint8Array(NAME_KEPT);
  #nameLength = 0;

  constructor(limits: Http1Limits = defaultHttp1Limits) {
    this.#limits = limits;
  }

  /** Prepares for a body: `kind` and `length` as RequestHead and ResponseHead give them. */
  start(kind: BodyKind, length: number): void {
    this.refusal = '';
    this.#status = 0;
    this.#trailerOctets = 0;
    this.remaining = 0;
    this.complete = false;
    if (kind === BODY_CHUNKED) {
      this.#beginSize();
    } else if (kind === BODY_UNTIL_CLOSE) {
      this.#state = UNTIL_CLOSE;
    } else if (kind === BODY_NONE || length <= 0) {
      this.#state = DONE;
      this.complete = true;
    } else {
      this.#state = COUNTED;
      this.remaining = length;
    }
  }

  /**
   * Takes the octets [start, end). Hot; data is skipped by arithmetic, only lines are read octet by octet. No allocation,
   * except one string per trailer field.
   * @returns how many of them belong to this body (fewer than given only when `complete`); −400 malformed, −431 trailers too large
   */
  scan(bytes: Uint8Array, start: number, end: number): number {
    if (this.#state === COUNTED) {
      const available = end - start;
      if (available < this.remaining) {
        this.remaining -= available;
        return available;
      }
      const taken = this.remaining;
      this.remaining = 0;
      this.#finish();
      return taken;
    }
    if (this.#state === UNTIL_CLOSE) return end - start;
    if (this.#state === DONE) return 0;
    if (this.#state === REFUSED) return -this.#status;
    return this.#scanChunked(bytes, start, end);
  }

  #scanChunked(bytes: Uint8Array, start: number, end: number): number {
    let i = start;
    while (i < end) {
      if (this.#state === DATA) {
        if (end - i < this.remaining) {
          this.remaining -= end - i;
          return end - start;
        }
        i += this.remaining;
        this.remaining = 0;
        this.#state = DATA_CR;
        continue;
      }
      const octet = bytes[i++] as number;
      if (this.#state >= TRAILER_FIRST) this.#takeTrailer(octet);
      else this.#takeLine(octet);
      if (this.#state === DONE) return i - start;
      if (this.#state === REFUSED) return -this.#status;
    }
    return end - start;
  }

  /** One octet of a chunk-size line or of the CRLF after chunk data. */
  #takeLine(octet: number): void {
    switch (this.#state) {
      case DATA_CR:
        if (octet !== CR) this.#refuse('NO_CRLF_AFTER_CHUNK');
        else this.#state = DATA_LF;
        return;
      case DATA_LF:
        if (octet !== LF) this.#refuse('NO_CRLF_AFTER_CHUNK');
        else this.#beginSize();
        return;
      case SIZE_LF:
        if (octet !== LF) this.#refuse('BARE_CR');
        else this.#state = this.remaining === 0 ? TRAILER_FIRST : DATA;
        return;
      default:
        if (++this.#lineOctets > this.#limits.chunkLineBytesMax && octet !== CR) this.#refuse('CHUNK_LINE_TOO_LONG');
        else if (this.#state <= SIZE) this.#takeSize(octet);
        else this.#takeExtension(octet);
    }
  }

  #takeSize(octet: number): void {
    const digit = HEX[octet] as number;
    if (digit < 16) {
      this.remaining = this.remaining * 16 + digit;
      if (++this.#sizeDigits > SIZE_DIGITS_MAX || this.remaining > Number.MAX_SAFE_INTEGER)
        this.#refuse('CHUNK_TOO_LARGE');
      else this.#state = SIZE;
    } else if (this.#state === SIZE_FIRST) {
      this.#refuse('BAD_CHUNK_SIZE');
    } else if (octet === CR) {
      this.#state = SIZE_LF;
    } else if (octet === SEMICOLON) {
      this.#state = EXT_NAME_FIRST;
    } else {
      this.#refuse(octet === LF ? 'BARE_LF' : 'BAD_CHUNK_SIZE');
    }
  }

  /** `;name`, `;name=token`, `;name="quoted"` (RFC 9112 section 7.1.1), without the white space it deprecates. */
  #takeExtension(octet: number): void {
    const isToken = TOKEN[octet] === 1;
    switch (this.#state) {
      case EXT_NAME_FIRST:
        if (isToken) this.#state = EXT_NAME;
        else this.#refuseExtension(octet);
        return;
      case EXT_NAME:
        if (isToken) return;
        if (octet === EQUALS) this.#state = EXT_VALUE_FIRST;
        else this.#endExtension(octet);
        return;
      case EXT_VALUE_FIRST:
        if (isToken) this.#state = EXT_VALUE;
        else if (octet === QUOTE) this.#state = EXT_QUOTED;
        else this.#refuseExtension(octet);
        return;
      case EXT_VALUE:
        if (!isToken) this.#endExtension(octet);
        return;
      case EXT_QUOTED:
        if (octet === QUOTE) this.#state = EXT_QUOTED_END;
        else if (octet === BACKSLASH) this.#state = EXT_QUOTED_PAIR;
        else if (FIELD_VALUE[octet] === 0) this.#refuseExtension(octet);
        return;
      case EXT_QUOTED_PAIR:
        if (FIELD_VALUE[octet] === 0) this.#refuseExtension(octet);
        else this.#state = EXT_QUOTED;
        return;
      default:
        this.#endExtension(octet);
    }
  }

  #endExtension(octet: number): void {
    if (octet === SEMICOLON) this.#state = EXT_NAME_FIRST;
    else if (octet === CR) this.#state = SIZE_LF;
    else this.#refuseExtension(octet);
  }

  #refuseExtension(octet: number): void {
    this.#refuse(octet === LF ? 'BARE_LF' : octet === CR ? 'BARE_CR' : 'BAD_CHUNK_EXTENSION');
  }

  #takeTrailer(octet: number): void {
    if (++this.#trailerOctets > this.#limits.trailerBytesMax) {
      this.#refuse('TRAILERS_TOO_LARGE', 431);
      return;
    }
    switch (this.#state) {
      case TRAILER_FIRST:
        this.#nameLength = 0;
        if (octet === CR) this.#state = LAST_LF;
        else if (TOKEN[octet] === 1) this.#takeTrailerName(octet);
        else if (octet === SPACE || octet === HTAB) this.#refuse('OBS_FOLD');
        else this.#refuse(octet === LF ? 'BARE_LF' : 'BAD_TRAILER_NAME');
        return;
      case TRAILER_NAME:
        if (TOKEN[octet] === 1) this.#takeTrailerName(octet);
        else if (octet !== COLON) this.#refuse('BAD_TRAILER_NAME');
        else if (this.#nameIsForbidden()) this.#refuse('FORBIDDEN_TRAILER');
        else this.#state = TRAILER_VALUE;
        return;
      case TRAILER_VALUE:
        if (octet === CR) this.#state = TRAILER_LF;
        else if (FIELD_VALUE[octet] === 0) this.#refuse(octet === LF ? 'BARE_LF' : 'CONTROL_IN_VALUE');
        return;
      case TRAILER_LF:
        if (octet !== LF) this.#refuse('BARE_CR');
        else this.#state = TRAILER_FIRST;
        return;
      default:
        if (octet !== LF) this.#refuse('BARE_CR');
        else this.#finish();
    }
  }

  #takeTrailerName(octet: number): void {
    this.#state = TRAILER_NAME;
    if (this.#nameLength < NAME_KEPT) this.#name[this.#nameLength++] = LOWER[octet] as number;
  }

  #nameIsForbidden(): boolean {
    let name = '';
    for (let i = 0; i < this.#nameLength; i++) name += String.fromCharCode(this.#name[i] as number);
    return isForbiddenTrailer(name);
  }

  #beginSize(): void {
    this.#state = SIZE_FIRST;
    this.#lineOctets = 0;
    this.#sizeDigits = 0;
    this.remaining = 0;
  }

  #finish(): void {
    this.#state = DONE;
    this.complete = true;
  }

  #refuse(reason: string, status = 400): void {
    this.#state = REFUSED;
    this.refusal = reason;
    this.#status = status;
  }
}
