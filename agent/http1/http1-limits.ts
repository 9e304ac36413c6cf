/**
 * The bounds of the codec. They are kept in agent/limits.ts, with their reasons; a codec over bytes does not import the
 * agent, so they are handed in. A test asserts that the defaults below are those of agent/limits.ts.
 */
export interface Http1Limits {
  /** Request line with its CRLF, octets: 414. Status line of a response: malformed. */
  readonly requestLineBytesMax: number;
  /** Whole head, octets: 431. */
  readonly headBytesMax: number;
  /** Header fields: 431. */
  readonly headerCountMax: number;
  /** Chunk-size line with extensions, without CRLF, octets: 400. */
  readonly chunkLineBytesMax: number;
  /** Trailer section with its last CRLF, octets: 431. */
  readonly trailerBytesMax: number;
  /** Method, octets: 501 (RFC 9112 section 3). */
  readonly methodBytesMax: number;
  /** Options in all Connection fields of a head: 400. */
  readonly connectionOptionsMax: number;
}

/** Used by a codec that is given no limits; the same figures as agent/limits.ts. */
export const defaultHttp1Limits: Http1Limits = {
  requestLineBytesMax: 16_384,
  headBytesMax: 49_152,
  headerCountMax: 128,
  chunkLineBytesMax: 1_024,
  trailerBytesMax: 8_192,
  methodBytesMax: 32,
  connectionOptionsMax: 32,
};
