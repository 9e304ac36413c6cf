/**
 * The field lines of a head: one pass over the octets, offsets into a preallocated array, no string made. RequestHead and
 * ResponseHead each own one; what the fields mean together (framing, host, persistence) is decided there.
 *
 *   name ':' OWS value OWS CRLF        strict: no bare CR or LF, no NUL or control, no space before the colon, no folding
 *   ^    ^       ^    ^
 *   4i   4i+1    4i+2 4i+3             offsets[], absolute positions in the buffer
 */
import { COLON, CR, equalsIgnoringCase, FIELD_VALUE, HTAB, LF, namesEqual, SPACE, TOKEN } from './octets.ts';
import { textOf } from './octet-text.ts';

const FIELD_OTHER = 0;
export const FIELD_HOST = 1;
export const FIELD_CONTENT_LENGTH = 2;
export const FIELD_TRANSFER_ENCODING = 3;
export const FIELD_CONNECTION = 4;
export const FIELD_KEEP_ALIVE = 5;
export const FIELD_PROXY_CONNECTION = 6;
export const FIELD_TE = 7;
export const FIELD_UPGRADE = 8;
export const FIELD_EXPECT = 9;
export const FIELD_HTTP2_SETTINGS = 10;
/** `Content_Length` and `Transfer_Encoding`: CGI-like servers read them as the real ones. */
export const FIELD_LOOKALIKE = 11;
const FIELD_KINDS = 12;

/** Which known field [start, end) names; compared as bytes, most names leave at the switch or the first octet. */
function classify(bytes: Uint8Array, start: number, end: number): number {
  const first = (bytes[start] as number) | 0x20;
  switch (end - start) {
    case 2:
      return first === 0x74 && equalsIgnoringCase(bytes, start, end, 'te') ? FIELD_TE : FIELD_OTHER;
    case 4:
      return first === 0x68 && equalsIgnoringCase(bytes, start, end, 'host') ? FIELD_HOST : FIELD_OTHER;
    case 6:
      return first === 0x65 && equalsIgnoringCase(bytes, start, end, 'expect') ? FIELD_EXPECT : FIELD_OTHER;
    case 7:
      return first === 0x75 && equalsIgnoringCase(bytes, start, end, 'upgrade') ? FIELD_UPGRADE : FIELD_OTHER;
    case 10:
      if (first === 0x63) return equalsIgnoringCase(bytes, start, end, 'connection') ? FIELD_CONNECTION : FIELD_OTHER;
      return first === 0x6b && equalsIgnoringCase(bytes, start, end, 'keep-alive') ? FIELD_KEEP_ALIVE : FIELD_OTHER;
    case 14:
      if (first === 0x63) {
        if (equalsIgnoringCase(bytes, start, end, 'content-length')) return FIELD_CONTENT_LENGTH;
        return equalsIgnoringCase(bytes, start, end, 'content_length') ? FIELD_LOOKALIKE : FIELD_OTHER;
      }
      return first === 0x68 && equalsIgnoringCase(bytes, start, end, 'http2-settings')
        ? FIELD_HTTP2_SETTINGS
        : FIELD_OTHER;
    case 16:
      return first === 0x70 && equalsIgnoringCase(bytes, start, end, 'proxy-connection')
        ? FIELD_PROXY_CONNECTION
        : FIELD_OTHER;
    case 17:
      if (first !== 0x74) return FIELD_OTHER;
      if (equalsIgnoringCase(bytes, start, end, 'transfer-encoding')) return FIELD_TRANSFER_ENCODING;
      return equalsIgnoringCase(bytes, start, end, 'transfer_encoding') ? FIELD_LOOKALIKE : FIELD_OTHER;
    default:
      return FIELD_OTHER;
  }
}

/** Why an octet cannot stand where a field name goes on; `start` is where the line begins. */
function nameRefusal(octet: number, at: number, start: number, isFirstLine: boolean): string {
  if (octet === SPACE || octet === HTAB) {
    if (at > start) return 'SPACE_BEFORE_COLON';
    return isFirstLine ? 'SPACE_AFTER_START_LINE' : 'OBS_FOLD';
  }
  if (octet === COLON) return 'EMPTY_NAME';
  if (octet === CR) return 'NO_COLON';
  if (octet === LF) return 'BARE_LF';
  if (octet === 0) return 'NUL';
  return 'BAD_NAME';
}

function valueRefusal(octet: number): string {
  if (octet === LF) return 'BARE_LF';
  return octet === 0 ? 'NUL' : 'CONTROL_IN_VALUE';
}

/** Fields of one head, reused for the next. All offsets are into the buffer last parsed and are void once it changes. */
export class FieldSection {
  /** Why parse() refused; '' otherwise. */
  refusal = '';
  count = 0;
  /** Bit k: a field of kind k is there. */
  seen = 0;
  /** Bit k: more than one field of kind k is there. */
  repeated = 0;
  /** Bit k: the field of kind k that says where to or how long is not written `Name: value`; forwarded so. */
  oddlySpaced = 0;
  bytes: Buffer = Buffer.alloc(0);
  readonly offsets: Int32Array;
  /** FIELD_* of each field. */
  readonly kinds: Uint8Array;
  /** 1: not to be forwarded; set by whoever interprets the head. */
  readonly removed: Uint8Array;
  readonly #first = new Int32Array(FIELD_KINDS);
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
    this.offsets = new Int32Array(countMax * 4);
    this.kinds = new Uint8Array(countMax);
    this.removed = new Uint8Array(countMax);
  }

  /** Forgets the fields of the last head. */
  reset(bytes: Buffer): void {
    this.bytes = bytes;
    this.refusal = '';
    this.count = 0;
    this.seen = 0;
    this.repeated = 0;
    this.oddlySpaced = 0;
  }

  /**
   * Reads field lines from `at` up to and with the empty line. Hot.
   * @returns position after the empty line; 0: `limit` reached first; −1: refused, see `refusal` ('TOO_MANY_FIELDS' or syntax)
   */
  parse(bytes: Buffer, at: number, limit: number): number {
    this.reset(bytes);
    const offsets = this.offsets;
    let count = 0;
    let i = at;
    for (;;) {
      const lineStart = i;
      while (i < limit && TOKEN[bytes[i] as number] === 1) i++;
      if (i >= limit) return 0;
      if (bytes[i] !== COLON || i === lineStart) {
        if (bytes[i] !== CR || i !== lineStart)
          return this.#refuse(nameRefusal(bytes[i] as number, i, lineStart, count === 0));
        if (i + 1 >= limit) return 0;
        if (bytes[i + 1] !== LF) return this.#refuse('BARE_CR');
        this.count = count;
        return i + 2;
      }
      if (count === this.#countMax) return this.#refuse('TOO_MANY_FIELDS');
      const nameEnd = i++;
      while (i < limit && (bytes[i] === SPACE || bytes[i] === HTAB)) i++;
      const valueStart = i;
      // Four at a time: a fifth less for long values (scripts/bench-http1.ts).
      while (i + 3 < limit) {
        const two = (FIELD_VALUE[bytes[i] as number] as number) & (FIELD_VALUE[bytes[i + 1] as number] as number);
        const more = (FIELD_VALUE[bytes[i + 2] as number] as number) & (FIELD_VALUE[bytes[i + 3] as number] as number);
        if ((two & more) === 0) break;
        i += 4;
      }
      while (i < limit && FIELD_VALUE[bytes[i] as number] === 1) i++;
      if (i >= limit) return 0;
      if (bytes[i] !== CR) return this.#refuse(valueRefusal(bytes[i] as number));
      if (i + 1 >= limit) return 0;
      if (bytes[i + 1] !== LF) return this.#refuse('BARE_CR');
      let valueEnd = i;
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === HTAB)) valueEnd--;
      i += 2;
      const slot = count * 4;
      offsets[slot] = lineStart;
      offsets[slot + 1] = nameEnd;
      offsets[slot + 2] = valueStart;
      offsets[slot + 3] = valueEnd;
      const kind = classify(bytes, lineStart, nameEnd);
      this.kinds[count] = kind;
      this.removed[count] = 0;
      if (kind !== FIELD_OTHER) this.#note(bytes, count, kind);
      count++;
    }
  }

  nameStart(index: number): number {
    return this.offsets[index * 4] as number;
  }

  nameEnd(index: number): number {
    return this.offsets[index * 4 + 1] as number;
  }

  valueStart(index: number): number {
    return this.offsets[index * 4 + 2] as number;
  }

  valueEnd(index: number): number {
    return this.offsets[index * 4 + 3] as number;
  }

  /** Index of the first field of a kind; only when its bit in `seen` is set. */
  firstOf(kind: number): number {
    return this.#first[kind] as number;
  }

  has(kind: number): boolean {
    return (this.seen & (1 << kind)) !== 0;
  }

  isRepeated(kind: number): boolean {
    return (this.repeated & (1 << kind)) !== 0;
  }

  /** Values joined with `, `, cookies with `; `; undefined when absent. Makes a string. */
  value(name: string): string | undefined {
    let joined: string | undefined;
    for (let i = 0; i < this.count; i++) {
      if (!this.#isNamed(i, name)) continue;
      const value = this.valueText(i);
      joined = joined === undefined ? value : `${joined}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
    return joined;
  }

  /** Each value in order, of cookies all in one (see RequestView); empty when absent. Allocates. */
  values(name: string): readonly string[] {
    if (name === 'cookie') {
      const joined = this.value(name);
      return joined === undefined ? [] : [joined];
    }
    const found: string[] = [];
    for (let i = 0; i < this.count; i++) {
      if (this.#isNamed(i, name)) found.push(this.valueText(i));
    }
    return found;
  }

  /** What ends at this hop (connection-options.ts): the endpoint never sees it, so nobody is to decide by it. */
  #isNamed(index: number, name: string): boolean {
    return this.removed[index] === 0 && namesEqual(this.bytes, this.nameStart(index), this.nameEnd(index), name);
  }

  nameText(index: number): string {
    return textOf(this.bytes, this.nameStart(index), this.nameEnd(index));
  }

  valueText(index: number): string {
    return textOf(this.bytes, this.valueStart(index), this.valueEnd(index));
  }

  #note(bytes: Buffer, index: number, kind: number): void {
    const nameEnd = this.nameEnd(index);
    const start = this.valueStart(index);
    const isPlain = start - nameEnd === 2 && bytes[nameEnd + 1] === SPACE && bytes[this.valueEnd(index)] === CR;
    const bit = 1 << kind;
    if ((this.seen & bit) !== 0) {
      this.repeated |= bit;
    } else {
      this.seen |= bit;
      this.#first[kind] = index;
    }
    if (!isPlain && kind <= FIELD_TRANSFER_ENCODING) this.oddlySpaced |= bit;
  }

  #refuse(reason: string): number {
    this.refusal = reason;
    return -1;
  }
}
