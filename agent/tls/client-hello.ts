/**
 * Reads the ClientHello that opens a TLS connection, and of it the little that weir may look at: the server name (SNI), the
 * ALPN names, and whether the real name is hidden (ECH). Nothing is decrypted or changed.
 *
 *   TCP segments ─► records (RFC 8446 section 5.1) ─► handshake message (section 4) ─► ClientHello (section 4.1.2)
 *                   type 22, length, fragment         type 1, length                  fields ─► extensions
 *
 * All three layers are cut independently: a record may hold one octet of the message, a segment one octet of a record. So this
 * is a machine that takes octets as they come and remembers only where it is: whatever the cuts, the same result, in time
 * linear in the octets. It allocates nothing until `hello()` is asked, and never throws.
 *
 * What a server could read otherwise than we do is MALFORMED rather than guessed at, because policy is decided by the
 * answer: two server names, a name with impossible octets, lengths that disagree.
 */

/** The octets so far are the beginning of a ClientHello. */
export const NEED_MORE = 0;
/** Whole and well-formed: see `hello()`. */
export const FOUND = 1;
/** Not a TLS handshake: another protocol. */
export const NOT_TLS = 2;
/** A TLS handshake whose ClientHello is broken, too long, or readable in two ways. */
export const MALFORMED = 3;
export type ClientHelloResult = typeof NEED_MORE | typeof FOUND | typeof NOT_TLS | typeof MALFORMED;

/** What a ClientHello says in the clear. */
export interface ClientHello {
  /** Lower case, without a final dot; '' when the client names no server. With ECH: the name of the provider, not the target. */
  readonly serverName: string;
  /** In the client's order of preference (RFC 7301); those that fit in `ALPN_OCTETS_MAX`. */
  readonly alpn: readonly string[];
  /** The extension encrypted_client_hello is there (RFC 9849); many clients send it as a decoy, so it proves nothing. */
  readonly ech: boolean;
}

/** Octets of a ClientHello, headers of records apart; the default of agent/limits.ts `clientHelloBytesMax`. */
export const CLIENT_HELLO_BYTES_MAX = 16_384;
/** RFC 8446 section 5.1: the length of a record MUST NOT exceed 2^14. */
const RECORD_LENGTH_MAX = 16_384;
/** DNS names are at most 253 characters (RFC 1035 section 2.3.4), and one for the final dot. */
const NAME_OCTETS_MAX = 254;
const LABEL_OCTETS_MAX = 63;
/** Octets kept of the ALPN list, each name with its length. Real ones take a dozen. */
const ALPN_OCTETS_MAX = 256;

const DOT = 0x2e;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;
const UPPER_A = 0x41;
const UPPER_Z = 0x5a;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const EXTENSION_ECH = 0xfe_0d;
const HOST_NAME = 0;

const RECORD_HEADER_OCTETS = 5;
const MESSAGE_HEADER_OCTETS = 4;
/** legacy_version and random. */
const FIXED_OCTETS = 34;

// Fields of the message, in the order in which they come. `#field` is the one being read, `#left` its octets still to come.
const MESSAGE_HEADER = 0;
const FIXED = 1;
const SESSION_LENGTH = 2;
const SESSION = 3;
const CIPHERS_LENGTH = 4;
const CIPHERS = 5;
const COMPRESSION_LENGTH = 6;
const COMPRESSION = 7;
const EXTENSIONS_LENGTH = 8;
const EXTENSION_HEADER = 9;
const EXTENSION_SKIPPED = 10;
const NAMES_LENGTH = 11;
const NAME_HEADER = 12;
const NAME = 13;
const NAME_SKIPPED = 14;
const ALPN_LENGTH = 15;
const ALPN_NAME_LENGTH = 16;
const ALPN_NAME = 17;

/**
 * The first octets of a TLS connection, for detection: FOUND when they can open a ClientHello (six octets), NEED_MORE on a
 * proper prefix of that, NOT_TLS otherwise. RFC 8446 section 5.1 has the record's version ignored; all that were ever sent
 * are 3.0 to 3.4.
 */
export function looksLikeTls(bytes: Uint8Array, start: number, end: number): ClientHelloResult {
  const length = end - start;
  if (length >= 1 && bytes[start] !== HANDSHAKE) return NOT_TLS;
  if (length >= 2 && bytes[start + 1] !== 3) return NOT_TLS;
  if (length >= 3 && (bytes[start + 2] as number) > 4) return NOT_TLS;
  if (length >= 5) {
    const record = ((bytes[start + 3] as number) << 8) | (bytes[start + 4] as number);
    if (record === 0 || record > RECORD_LENGTH_MAX) return NOT_TLS;
  }
  if (length < RECORD_HEADER_OCTETS + 1) return NEED_MORE;
  return bytes[start + RECORD_HEADER_OCTETS] === CLIENT_HELLO ? FOUND : NOT_TLS;
}

export class ClientHelloParser {
  readonly #lengthMax: number;
  readonly #name = new Uint8Array(NAME_OCTETS_MAX);
  readonly #alpn = new Uint8Array(ALPN_OCTETS_MAX);
  #result: ClientHelloResult = NEED_MORE;
  #tooLong = false;
  /** Octets of the record header read so far; 5: inside a record. */
  #headerRead = 0;
  /** Octets of the record still to come; while its header is read, the length. */
  #record = 0;
  #firstRecord = true;
  #field = MESSAGE_HEADER;
  #left = MESSAGE_HEADER_OCTETS;
  /** The number being read, big-endian; never more than 32 bits. */
  #number = 0;
  /** Octets still to come of the message, of the extension and of the list inside it. */
  #message = 0;
  #extension = 0;
  #list = 0;
  #nameLength = 0;
  #sawName = false;
  #sawAlpn = false;
  #alpnLength = 0;
  #alpnFull = false;
  #ech = false;

  /** @param lengthMax octets of the handshake message; a longer one is MALFORMED and `tooLong`. */
  constructor(lengthMax = CLIENT_HELLO_BYTES_MAX) {
    this.#lengthMax = lengthMax;
  }

  /** MALFORMED because it is longer than the bound. */
  get tooLong(): boolean {
    return this.#tooLong;
  }

  /** Ready for another connection. */
  reset(): void {
    this.#result = NEED_MORE;
    this.#tooLong = false;
    this.#headerRead = 0;
    this.#record = 0;
    this.#firstRecord = true;
    this.#field = MESSAGE_HEADER;
    this.#left = MESSAGE_HEADER_OCTETS;
    this.#number = 0;
    this.#message = 0;
    this.#extension = 0;
    this.#list = 0;
    this.#nameLength = 0;
    this.#sawName = false;
    this.#sawAlpn = false;
    this.#alpnLength = 0;
    this.#alpnFull = false;
    this.#ech = false;
  }

  /** Takes the next octets, [start, end). Once the answer is not NEED_MORE it stays; what follows the ClientHello is ignored. */
  push(bytes: Uint8Array, start: number, end: number): ClientHelloResult {
    let at = start;
    while (at < end && this.#result === NEED_MORE) {
      if (this.#headerRead < RECORD_HEADER_OCTETS) {
        this.#takeRecordOctet(bytes[at] as number);
        at++;
        continue;
      }
      const stop = Math.min(end, at + this.#record);
      this.#takeFragment(bytes, at, stop);
      this.#record -= stop - at;
      at = stop;
      if (this.#record === 0) this.#headerRead = 0;
    }
    return this.#result;
  }

  /** What was read, once push() answered FOUND. */
  hello(): ClientHello {
    return {
      serverName: text(this.#name, 0, this.#nameLength),
      alpn: names(this.#alpn, this.#alpnLength),
      ech: this.#ech,
    };
  }

  #takeRecordOctet(octet: number): void {
    const position = this.#headerRead++;
    // Only the first record tells TLS from other protocols; a later one of another type breaks a handshake that has begun.
    const wrong = this.#firstRecord ? NOT_TLS : MALFORMED;
    if (position === 0) {
      if (octet !== HANDSHAKE) this.#result = wrong;
    } else if (position === 1) {
      if (octet !== 3) this.#result = wrong;
    } else if (position === 2) {
      if (octet > 4) this.#result = wrong;
    } else if (position === 3) this.#record = octet << 8;
    else {
      this.#record |= octet;
      // Section 5.1: no empty fragments of handshake messages.
      if (this.#record === 0 || this.#record > RECORD_LENGTH_MAX) this.#result = wrong;
    }
  }

  /** Octets of the handshake message. */
  #takeFragment(bytes: Uint8Array, start: number, end: number): void {
    if (this.#firstRecord) {
      this.#firstRecord = false;
      if (bytes[start] !== CLIENT_HELLO) {
        this.#result = NOT_TLS;
        return;
      }
    }
    let at = start;
    while (at < end && this.#result === NEED_MORE) {
      const count = Math.min(this.#left, end - at);
      this.#takeField(bytes, at, at + count);
      at += count;
      this.#left -= count;
      if (this.#field !== MESSAGE_HEADER) this.#message -= count;
      // A field of no octets ends as soon as it begins.
      while (this.#left === 0 && this.#result === NEED_MORE) this.#endField();
    }
  }

  #takeField(bytes: Uint8Array, start: number, end: number): void {
    switch (this.#field) {
      case FIXED:
      case SESSION:
      case CIPHERS:
      case COMPRESSION:
      case EXTENSION_SKIPPED:
      case NAME_SKIPPED:
        return;
      case NAME:
        for (let at = start; at < end; at++) this.#name[this.#nameLength++] = bytes[at] as number;
        return;
      case ALPN_NAME:
        if (this.#alpnFull) return;
        for (let at = start; at < end; at++) this.#alpn[this.#alpnLength++] = bytes[at] as number;
        return;
      default:
        for (let at = start; at < end; at++) this.#number = (this.#number << 8) | (bytes[at] as number);
    }
  }

  #begin(field: number, octets: number): void {
    this.#field = field;
    this.#left = octets;
    this.#number = 0;
    if (octets > this.#message) this.#result = MALFORMED;
  }

  #endField(): void {
    const number = this.#number >>> 0;
    switch (this.#field) {
      case MESSAGE_HEADER:
        this.#message = number & 0xff_ff_ff;
        this.#tooLong = this.#message > this.#lengthMax;
        if (this.#tooLong) this.#result = MALFORMED;
        else this.#begin(FIXED, FIXED_OCTETS);
        return;
      case FIXED:
        this.#begin(SESSION_LENGTH, 1);
        return;
      case SESSION_LENGTH:
        this.#begin(SESSION, number);
        if (number > 32) this.#result = MALFORMED;
        return;
      case SESSION:
        this.#begin(CIPHERS_LENGTH, 2);
        return;
      case CIPHERS_LENGTH:
        this.#begin(CIPHERS, number);
        if (number < 2 || number % 2 !== 0) this.#result = MALFORMED;
        return;
      case CIPHERS:
        this.#begin(COMPRESSION_LENGTH, 1);
        return;
      case COMPRESSION_LENGTH:
        this.#begin(COMPRESSION, number);
        if (number < 1) this.#result = MALFORMED;
        return;
      case COMPRESSION:
        // Up to TLS 1.2 a ClientHello may end here (RFC 5246 section 7.4.1.2).
        if (this.#message === 0) this.#result = FOUND;
        else this.#begin(EXTENSIONS_LENGTH, 2);
        return;
      case EXTENSIONS_LENGTH:
        if (number !== this.#message) this.#result = MALFORMED;
        else this.#nextExtension();
        return;
      default:
        this.#endExtensionField(number);
    }
  }

  #endExtensionField(number: number): void {
    switch (this.#field) {
      case EXTENSION_HEADER:
        this.#beginExtension(number >>> 16, number & 0xff_ff);
        return;
      case NAMES_LENGTH:
        // The list is not empty and fills its extension (RFC 6066 section 3).
        this.#list = number;
        if (number === 0 || number !== this.#extension - 2) this.#result = MALFORMED;
        else this.#nextName();
        return;
      case NAME_HEADER:
        this.#beginName(number >>> 16, number & 0xff_ff);
        return;
      case NAME:
        if (this.#normaliseName()) this.#nextName();
        else this.#result = MALFORMED;
        return;
      case NAME_SKIPPED:
        this.#nextName();
        return;
      case ALPN_LENGTH:
        this.#list = number;
        if (number < 2 || number !== this.#extension - 2) this.#result = MALFORMED;
        else this.#nextAlpn();
        return;
      case ALPN_NAME_LENGTH:
        this.#beginAlpn(number);
        return;
      case ALPN_NAME:
        this.#nextAlpn();
        return;
      default:
        // EXTENSION_SKIPPED
        this.#nextExtension();
    }
  }

  #nextExtension(): void {
    if (this.#message === 0) this.#result = FOUND;
    else this.#begin(EXTENSION_HEADER, 4);
  }

  #beginExtension(type: number, length: number): void {
    this.#extension = length;
    if (length > this.#message) {
      this.#result = MALFORMED;
    } else if (type === EXTENSION_SERVER_NAME) {
      // Section 4.2: no extension twice. Of two, servers may take the first or the last.
      if (this.#sawName || length < 2) this.#result = MALFORMED;
      this.#sawName = true;
      if (this.#result === NEED_MORE) this.#begin(NAMES_LENGTH, 2);
    } else if (type === EXTENSION_ALPN) {
      if (this.#sawAlpn || length < 2) this.#result = MALFORMED;
      this.#sawAlpn = true;
      if (this.#result === NEED_MORE) this.#begin(ALPN_LENGTH, 2);
    } else {
      if (type === EXTENSION_ECH) this.#ech = true;
      this.#begin(EXTENSION_SKIPPED, length);
    }
  }

  #nextName(): void {
    if (this.#list === 0) this.#nextExtension();
    else if (this.#list < 3) this.#result = MALFORMED;
    else this.#begin(NAME_HEADER, 3);
  }

  #beginName(type: number, length: number): void {
    this.#list -= 3 + length;
    if (this.#list < 0 || length === 0) {
      this.#result = MALFORMED;
    } else if (type !== HOST_NAME) {
      // All future names begin with a length of 16 bits too (RFC 6066 section 3).
      this.#begin(NAME_SKIPPED, length);
    } else if (this.#nameLength > 0 || length > NAME_OCTETS_MAX) {
      // "MUST NOT contain more than one name of the same name_type".
      this.#result = MALFORMED;
    } else this.#begin(NAME, length);
  }

  /** Lower-cases the name in place and takes a final dot off; false when it is no host name. */
  #normaliseName(): boolean {
    const name = this.#name;
    if (name[this.#nameLength - 1] === DOT) this.#nameLength--;
    let label = 0;
    for (let at = 0; at < this.#nameLength; at++) {
      const octet = name[at] as number;
      if (octet === DOT) {
        if (label === 0) return false;
        label = 0;
        continue;
      }
      if (!isNameOctet(octet) || ++label > LABEL_OCTETS_MAX) return false;
      if (octet >= UPPER_A && octet <= UPPER_Z) name[at] = octet + 32;
    }
    return label > 0 && this.#nameLength < NAME_OCTETS_MAX;
  }

  #nextAlpn(): void {
    if (this.#list === 0) this.#nextExtension();
    else this.#begin(ALPN_NAME_LENGTH, 1);
  }

  #beginAlpn(length: number): void {
    this.#list -= 1 + length;
    if (this.#list < 0 || length === 0) {
      this.#result = MALFORMED;
      return;
    }
    this.#alpnFull ||= this.#alpnLength + 1 + length > ALPN_OCTETS_MAX;
    if (!this.#alpnFull) this.#alpn[this.#alpnLength++] = length;
    this.#begin(ALPN_NAME, length);
  }
}

/** Letters, digits and hyphen, and the underscore that names made by software have (RFC 6066 leaves the syntax to RFC 5890). */
function isNameOctet(octet: number): boolean {
  return (
    (octet >= 0x61 && octet <= 0x7a) ||
    (octet >= UPPER_A && octet <= UPPER_Z) ||
    (octet >= 0x30 && octet <= 0x39) ||
    octet === HYPHEN ||
    octet === UNDERSCORE
  );
}

function text(octets: Uint8Array, start: number, end: number): string {
  let result = '';
  for (let at = start; at < end; at++) result += String.fromCharCode(octets[at] as number);
  return result;
}

/** Names, each after an octet with its length. */
function names(octets: Uint8Array, length: number): string[] {
  const result: string[] = [];
  for (let at = 0; at < length; at += 1 + (octets[at] as number)) {
    result.push(text(octets, at + 1, at + 1 + (octets[at] as number)));
  }
  return result;
}
