/** HTTP/2 frames on the wire (RFC 9113 sections 4 and 6): numbers, and a frame header written in place. */

/** Octets of a frame header. */
export const FRAME_HEADER = 9;
/** Largest payload we accept and send: SETTINGS_MAX_FRAME_SIZE at its initial value (RFC 9113 section 6.5.2). */
export const PAYLOAD_MAX = 16_384;

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const FLAG_END_STREAM = 0x1;
export const FLAG_ACK = 0x1;
export const FLAG_END_HEADERS = 0x4;
export const FLAG_PADDED = 0x8;
export const FLAG_PRIORITY = 0x20;

export const SETTING_HEADER_TABLE_SIZE = 1;
export const SETTING_ENABLE_PUSH = 2;
export const SETTING_MAX_CONCURRENT_STREAMS = 3;
export const SETTING_INITIAL_WINDOW_SIZE = 4;
export const SETTING_MAX_FRAME_SIZE = 5;
export const SETTING_MAX_HEADER_LIST_SIZE = 6;
/** RFC 8441 section 3. */
export const SETTING_ENABLE_CONNECT_PROTOCOL = 8;

export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const SETTINGS_TIMEOUT = 4;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const CONNECT_ERROR = 10;
export const ENHANCE_YOUR_CALM = 11;
export const HTTP_1_1_REQUIRED = 13;

const ERROR_NAMES: readonly string[] = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
];

/** RFC 9113 section 7; `0x…` for a code that has no name. */
export function errorName(code: number): string {
  return ERROR_NAMES[code] ?? `0x${code.toString(16)}`;
}

/** The initial window of a stream and of a connection (RFC 9113 section 6.9.2). */
export const WINDOW_INITIAL = 65_535;
/** No window may grow beyond it (RFC 9113 section 6.9.1). */
export const WINDOW_MAX = 0x7fff_ffff;
export const STREAM_ID_MAX = 0x7fff_ffff;

/** What a client sends first (RFC 9113 section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Writes a frame header; returns where its payload starts. Hot. */
export function writeFrameHeader(
  into: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  into[at] = length >>> 16;
  into[at + 1] = (length >>> 8) & 0xff;
  into[at + 2] = length & 0xff;
  into[at + 3] = type;
  into[at + 4] = flags;
  return writeUint32(into, at + 5, streamId);
}

/** Big-endian; returns the position after it. */
export function writeUint32(into: Uint8Array, at: number, value: number): number {
  into[at] = (value >>> 24) & 0xff;
  into[at + 1] = (value >>> 16) & 0xff;
  into[at + 2] = (value >>> 8) & 0xff;
  into[at + 3] = value & 0xff;
  return at + 4;
}

/** Big-endian, 0 to 2^32 − 1. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x1_00_00_00 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

/** 31 bits: the reserved bit is ignored when received (RFC 9113 section 4.1). */
export function readStreamId(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) & 0x7f) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
