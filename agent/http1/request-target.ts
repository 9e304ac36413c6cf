/**
 * Request target (RFC 9112 section 3.2): origin-form, absolute-form for `http:`, authority-form for CONNECT, `*` for OPTIONS.
 *
 * The path is normalised as the mesh asks for (BASE where nobody says: dot segments removed, `\` read as `/`). Most paths hold
 * nothing to normalise and are used as they lie in the buffer; only one with `/.`, `\` or `%`, and with a merging mode `//`, takes the
 * slow road through mesh/path.ts.
 */
import { normalisePath, type PathNormalization } from '../../mesh/path.ts';
import { hostEnd, portOf } from './authority.ts';
import {
  CR,
  equalsIgnoringCase,
  HEX,
  LF,
  rangesEqual,
  SPACE,
  TARGET,
  TARGET_BACKSLASH,
  TARGET_DOT,
  TARGET_PERCENT,
  TARGET_PLAIN,
  TARGET_QUERY,
} from './octets.ts';
import { methodIs } from './request-method.ts';
import { sharedTexts, textOf } from './octet-text.ts';

const SLASH = 0x2f;
const ASTERISK = 0x2a;
const HTTP_PORT = 80;
const SCHEME = 'http://';

function octetRefusal(octet: number): string {
  if (octet === 0x23) return 'FRAGMENT';
  if (octet >= 0x80) return 'NON_ASCII_TARGET';
  return octet === CR || octet === LF ? 'NO_VERSION' : 'CONTROL_IN_TARGET';
}

/** Target of the request being parsed; part of RequestHead. */
export class RequestTarget {
  /** What judge() makes of paths; to be set before it. */
  normalization: PathNormalization = 'BASE';
  refusal = '';
  start = 0;
  end = 0;
  /** Raw path, before normalisation; empty for authority-form. */
  pathStart = 0;
  pathEnd = 0;
  /** Position of `?`, or −1. */
  queryMark = -1;
  /** CONNECT host:port. */
  isAuthority = false;
  hasAuthority = false;
  authorityStart = 0;
  /** End of host without port. */
  authorityHostEnd = 0;
  authorityEnd = 0;
  pathChanged = false;
  /** The octets received are not the ones to forward. */
  mustRewrite = false;
  #needsWork = false;
  #path: string | null = null;
  #query: string | null = null;

  /**
   * Finds the end of the target and refuses what may stand in none.
   * @returns position of the space after it; 0: `limit` reached first; −1: see `refusal`
   */
  scan(bytes: Uint8Array, at: number, limit: number): number {
    this.start = at;
    this.queryMark = -1;
    this.#needsWork = false;
    let i = at;
    for (; i < limit; i++) {
      const octet = bytes[i] as number;
      const kind = TARGET[octet];
      if (kind === TARGET_PLAIN) continue;
      if (kind === TARGET_DOT) {
        const before = bytes[i - 1];
        if (before === SLASH && this.queryMark < 0) this.#needsWork = true;
      } else if (kind === TARGET_QUERY) {
        if (this.queryMark < 0) this.queryMark = i;
      } else if (kind === TARGET_BACKSLASH) {
        if (this.queryMark < 0) this.#needsWork = true;
      } else if (kind === TARGET_PERCENT) {
        if (this.queryMark < 0) this.#needsWork = true;
        if (i + 1 < limit && HEX[bytes[i + 1] as number] === 255) return this.#refuse('BAD_PERCENT');
        if (i + 2 < limit) {
          if (HEX[bytes[i + 2] as number] === 255) return this.#refuse('BAD_PERCENT');
          if (this.queryMark < 0 && bytes[i + 1] === 0x30 && bytes[i + 2] === 0x30) return this.#refuse('ENCODED_NUL');
        }
      } else {
        break;
      }
    }
    if (i >= limit) return 0;
    if (bytes[i] !== SPACE) return this.#refuse(octetRefusal(bytes[i] as number));
    if (i === at) return this.#refuse('EMPTY_TARGET');
    this.end = i;
    return i;
  }

  /** Decides the form and normalises the path; false: refused. */
  judge(bytes: Buffer, methodStart: number, methodEnd: number): boolean {
    this.#path = null;
    this.#query = null;
    this.isAuthority = false;
    this.hasAuthority = false;
    this.authorityStart = this.authorityHostEnd = this.authorityEnd = 0;
    this.pathChanged = false;
    this.mustRewrite = false;
    this.pathStart = this.start;
    this.pathEnd = this.queryMark < 0 ? this.end : this.queryMark;
    const isConnect = methodEnd - methodStart === 7 && methodIs(bytes, methodStart, methodEnd, 'CONNECT');
    if (isConnect) return this.#judgeAuthority(bytes);
    const first = bytes[this.start];
    if (first === ASTERISK && this.end - this.start === 1) {
      if (methodIs(bytes, methodStart, methodEnd, 'OPTIONS')) return true;
      this.refusal = 'ASTERISK_WITHOUT_OPTIONS';
      return false;
    }
    if (first !== SLASH && !this.#judgeAbsolute(bytes, methodIs(bytes, methodStart, methodEnd, 'OPTIONS')))
      return false;
    return this.#needsWork || (this.normalization !== 'BASE' && this.#mayMerge(bytes)) ? this.#normalise(bytes) : true;
  }

  /** True when a Host value says the same as the authority of the target; a port that is left out is 80 (CONNECT: any). */
  agreesWith(bytes: Uint8Array, start: number, endOfHost: number, end: number): boolean {
    if (!rangesEqual(bytes, start, endOfHost, this.authorityStart, this.authorityHostEnd)) return false;
    const own = portOf(bytes, this.authorityHostEnd, this.authorityEnd, HTTP_PORT);
    return portOf(bytes, endOfHost, end, this.isAuthority ? own : HTTP_PORT) === own;
  }

  /** Normalised path without query; '' for authority-form. */
  pathText(bytes: Buffer): string {
    if (this.#path === null) this.#path = sharedTexts.textOf(bytes, this.pathStart, this.pathEnd);
    return this.#path;
  }

  /** Octets after `?`; '' when there is none. */
  queryText(bytes: Buffer): string {
    if (this.#query === null) {
      this.#query = this.queryMark < 0 ? '' : textOf(bytes, this.queryMark + 1, this.end);
    }
    return this.#query;
  }

  #judgeAuthority(bytes: Uint8Array): boolean {
    const endOfHost = hostEnd(bytes, this.start, this.end);
    if (endOfHost < 0 || portOf(bytes, endOfHost, this.end, 0) === 0) {
      this.refusal = 'BAD_AUTHORITY';
      return false;
    }
    this.isAuthority = true;
    this.#setAuthority(this.start, endOfHost, this.end);
    this.pathStart = this.pathEnd = this.end;
    return true;
  }

  #judgeAbsolute(bytes: Uint8Array, isOptions: boolean): boolean {
    const authority = this.start + SCHEME.length;
    if (authority >= this.end || !equalsIgnoringCase(bytes, this.start, authority, SCHEME)) {
      this.refusal = 'BAD_TARGET';
      return false;
    }
    let i = authority;
    while (i < this.pathEnd && bytes[i] !== SLASH) i++;
    const endOfHost = hostEnd(bytes, authority, i);
    if (endOfHost < 0) {
      this.refusal = 'BAD_AUTHORITY';
      return false;
    }
    this.#setAuthority(authority, endOfHost, i);
    this.mustRewrite = true;
    this.pathStart = i;
    // RFC 9112 section 3.2.4: the last proxy turns an OPTIONS without path into `*`.
    if (i === this.pathEnd) this.#path = isOptions && this.queryMark < 0 ? '*' : '/';
    return true;
  }

  #setAuthority(start: number, endOfHost: number, end: number): void {
    this.hasAuthority = true;
    this.authorityStart = start;
    this.authorityHostEnd = endOfHost;
    this.authorityEnd = end;
  }

  /** Slashes are merged, and there are two in a row. */
  #mayMerge(bytes: Uint8Array): boolean {
    if (this.normalization === 'NONE') return false;
    for (let i = this.pathStart + 1; i < this.pathEnd; i++)
      if (bytes[i] === SLASH && bytes[i - 1] === SLASH) return true;
    return false;
  }

  #normalise(bytes: Buffer): boolean {
    if (this.pathStart === this.pathEnd) return true;
    const raw = textOf(bytes, this.pathStart, this.pathEnd);
    const normal = normalisePath(raw, this.normalization);
    if (!normal.ok) {
      this.refusal = 'BAD_PATH';
      return false;
    }
    this.#path = normal.path;
    this.pathChanged = normal.path !== raw;
    if (this.pathChanged) this.mustRewrite = true;
    return true;
  }

  #refuse(reason: string): number {
    this.refusal = reason;
    return -1;
  }
}
