/**
 * What a request's fields say (RFC 9113 section 8.3.1), read once per distinct list: equal lists are the same object
 * (header-list.ts), so a request that was seen before costs nothing here.
 */
import { normalisePath, type PathNormalization } from '../../mesh/path.ts';
import type { RequestView } from '../../mesh/request.ts';
import { hostEnd, hostText, portOf } from '../http1/authority.ts';
import { RequestTarget } from '../http1/request-target.ts';
import { limits } from '../limits.ts';
import { readLength, regularFieldsAreValid } from './field-rules.ts';
import type { HeaderList } from './header-list.ts';

const scratch = Buffer.alloc(limits.headBytesMax + 1);
const target = new RequestTarget();
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*$/;

export class RequestFacts implements RequestView {
  readonly list: HeaderList;
  /** How `path` was made of what was received. */
  readonly normalization: PathNormalization;
  /** '' when the request is well-formed; else it is malformed (RFC 9113 section 8.1.1) and this says why. */
  malformed = '';
  /** Well-formed, but not to be forwarded: the status to answer with and its reason. */
  refusedStatus = 0;
  refusal = '';
  method = '';
  scheme = '';
  authority = '';
  /** As received, query included. '' for CONNECT. */
  target = '';
  path = '';
  query = '';
  host = '';
  /** `:protocol` of an extended CONNECT (RFC 8441), or null. */
  protocol: string | null = null;
  /** −1: not announced. */
  contentLength = -1;
  pathChanged = false;
  isGrpc = false;
  /** The client understands trailers (RFC 9110 section 10.1.4). */
  acceptsTrailers = false;

  constructor(list: HeaderList, normalization: PathNormalization = 'BASE') {
    this.list = list;
    this.normalization = normalization;
    this.malformed = this.#read(list);
    if (this.malformed === '') this.#judge();
  }

  get isConnect(): boolean {
    return this.method === 'CONNECT' && this.protocol === null;
  }

  header(name: string): string | undefined {
    const { names, values } = this.list;
    let found: string | undefined;
    for (let i = 0; i < names.length; i++) {
      if (names[i] !== name) continue;
      const value = values[i] as string;
      // Cookie may be split into crumbs, which belong together (RFC 9113 section 8.2.3).
      found = found === undefined ? value : `${found}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
    return found === undefined && name === 'host' && this.authority !== '' ? this.authority : found;
  }

  headerValues(name: string): readonly string[] {
    const { names, values } = this.list;
    if (name === 'cookie') {
      const joined = this.header(name);
      return joined === undefined ? [] : [joined];
    }
    const found = values.filter((_, i) => names[i] === name);
    return found.length === 0 && name === 'host' && this.authority !== '' ? [this.authority] : found;
  }

  /** Those of a list, read once per list and mode: most requests cost a comparison here. Hot. */
  static of(list: HeaderList, normalization: PathNormalization): RequestFacts {
    const known = list.request;
    if (known !== null && known.normalization === normalization) return known;
    const facts = new RequestFacts(list, normalization);
    list.request = facts;
    return facts;
  }

  #read(list: HeaderList): string {
    const { names, values } = list;
    let at = 0;
    let seen = 0;
    for (; at < names.length && (names[at] as string).charCodeAt(0) === 0x3a; at++) {
      const bit = this.#pseudo(names[at] as string, values[at] as string);
      if (bit === 0) return `unknown pseudo-header ${names[at]}`;
      if ((seen & bit) !== 0) return `repeated pseudo-header ${names[at]}`;
      seen |= bit;
    }
    if (!regularFieldsAreValid(list, at)) return 'a field that HTTP/2 does not allow';
    const length = readLength(list, at);
    if (length < -1) return 'content-length is not one number';
    this.contentLength = length;
    return this.#pseudosFit(seen);
  }

  /** Takes a pseudo-header; its bit, or 0 when there is no such. */
  #pseudo(name: string, value: string): number {
    switch (name) {
      case ':method':
        this.method = value;
        return HAS_METHOD;
      case ':scheme':
        this.scheme = value;
        return HAS_SCHEME;
      case ':authority':
        this.authority = value;
        return HAS_AUTHORITY;
      case ':path':
        this.target = value;
        return HAS_PATH;
      case ':protocol':
        this.protocol = value;
        return HAS_PROTOCOL;
      default:
        return 0;
    }
  }

  #pseudosFit(seen: number): string {
    if ((seen & HAS_METHOD) === 0 || !METHOD.test(this.method)) return 'no valid :method';
    if ((seen & HAS_PROTOCOL) !== 0) {
      if (this.method !== 'CONNECT' || (seen & HAS_AUTHORITY) === 0) return ':protocol without CONNECT';
    } else if (this.method === 'CONNECT') {
      if ((seen & (HAS_SCHEME | HAS_PATH)) !== 0 || (seen & HAS_AUTHORITY) === 0)
        return 'CONNECT with :path or :scheme';
      return '';
    }
    if ((seen & HAS_SCHEME) === 0 || !SCHEME.test(this.scheme)) return 'no valid :scheme';
    if ((seen & HAS_PATH) === 0 || this.target === '') return 'no :path';
    return '';
  }

  /** What may be forwarded: the same judgement as HTTP/1's, by the same code. */
  #judge(): void {
    this.isGrpc = isGrpcType(this.header('content-type') ?? '');
    this.acceptsTrailers = this.list.names.includes('te');
    if (this.list.names.some((name) => LOOKALIKES.has(name))) return this.#refuse('LOOKALIKE_LENGTH');
    if (!this.#judgeAuthority()) return;
    if (this.isConnect) return;
    const end = scratch.write(`${this.target} `, 0, 'latin1');
    const first = this.target.charCodeAt(0);
    const isAsterisk = this.target === '*' && this.method === 'OPTIONS';
    if (first !== 0x2f && !isAsterisk) return this.#refuse('BAD_TARGET');
    if (target.scan(scratch, 0, end) !== end - 1) return this.#refuse(target.refusal || 'BAD_TARGET');
    const mark = this.target.indexOf('?');
    const raw = mark < 0 ? this.target : this.target.slice(0, mark);
    this.query = mark < 0 ? '' : this.target.slice(mark + 1);
    const normal = isAsterisk ? ({ ok: true, path: '*' } as const) : normalisePath(raw, this.normalization);
    if (!normal.ok) return this.#refuse('BAD_PATH');
    this.path = normal.path;
    this.pathChanged = normal.path !== raw;
  }

  /** `:authority` and Host name the same; either may be missing (RFC 9113 section 8.3.1). */
  #judgeAuthority(): boolean {
    const { names, values } = this.list;
    const hostAt = names.indexOf('host');
    const text = this.authority === '' && hostAt >= 0 ? (values[hostAt] as string) : this.authority;
    if (text === '' || (this.authority === '' && names.includes(':authority'))) {
      // One that is there and empty would be forwarded beside, or instead of, the Host that is judged.
      this.#refuse(text === '' ? 'MISSING_HOST' : 'BAD_HOST');
      return false;
    }
    const end = scratch.write(text, 0, 'latin1');
    const endOfHost = hostEnd(scratch, 0, end);
    if (endOfHost < 0 || (this.isConnect && portOf(scratch, endOfHost, end, 0) === 0)) {
      this.#refuse(this.isConnect ? 'BAD_AUTHORITY' : 'BAD_HOST');
      return false;
    }
    this.host = hostText(scratch, 0, endOfHost);
    if (hostAt < 0) return true;
    if (names.indexOf('host', hostAt + 1) >= 0) this.#refuse('REPEATED_HOST');
    else if ((values[hostAt] as string).toLowerCase() !== text.toLowerCase()) this.#refuse('HOST_MISMATCH');
    return this.refusedStatus === 0;
  }

  #refuse(reason: string): void {
    this.refusedStatus = 400;
    this.refusal = reason;
  }
}

/** Whether a request of that content-type is a gRPC call (gRPC over HTTP/2, Requests). */
export function isGrpcType(contentType: string): boolean {
  return contentType === 'application/grpc' || /^application\/grpc[+;]/.test(contentType);
}

/** Some servers of HTTP/1.1 read `_` as `-`, and these as lengths: refused whatever version of HTTP brings them. */
const LOOKALIKES: ReadonlySet<string> = new Set(['content_length', 'transfer_encoding']);
const HAS_METHOD = 1;
const HAS_SCHEME = 2;
const HAS_AUTHORITY = 4;
const HAS_PATH = 8;
const HAS_PROTOCOL = 16;
