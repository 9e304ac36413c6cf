/**
 * Step 3: what do the first octets say. Pure.
 *
 * HTTP/1 is a request line that starts with a known method token and a space (after at most one CRLF, RFC 9112 section
 * 2.2); HTTP/2 is the whole client preface (RFC 9113 section 3.4); TLS is a record that begins a ClientHello. Everything else
 * is relayed as TCP under the connection's L4 verdict, where HTTP-only ALLOW rules never match and HTTP-only DENY rules
 * deny, so that a disguised request gains nothing. On a port that is declared http nothing is guessed: what is not HTTP is
 * refused as HTTP, unless it opens with a TLS handshake, which no request does.
 */
import { PREFACE } from '../http2/frame.ts';
import { FOUND, NEED_MORE as TLS_NEEDS_MORE, looksLikeTls } from '../tls/client-hello.ts';

export const NEED_MORE = 0;
export const IS_HTTP = 1;
export const IS_OPAQUE = 2;
export const IS_HTTP2 = 3;
export const IS_TLS = 4;
export type Detected = typeof NEED_MORE | typeof IS_HTTP | typeof IS_OPAQUE | typeof IS_HTTP2 | typeof IS_TLS;

/** IANA HTTP method registry plus PURGE-like verbs in common use. `PRI` is left out: it opens HTTP/2. */
const METHODS = [
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'PATCH',
  'CONNECT',
  'TRACE',
  'PROPFIND',
  'PROPPATCH',
  'MKCOL',
  'COPY',
  'MOVE',
  'LOCK',
  'UNLOCK',
  'REPORT',
  'SEARCH',
  'MERGE',
  'PURGE',
  'LINK',
  'UNLINK',
  'BIND',
  'UNBIND',
  'REBIND',
  'ACL',
  'CHECKOUT',
  'CHECKIN',
  'MKACTIVITY',
  'MKCALENDAR',
  'NOTIFY',
  'SUBSCRIBE',
  'UNSUBSCRIBE',
  'M-SEARCH',
  'QUERY',
  'LABEL',
  'MKREDIRECTREF',
  'MKWORKSPACE',
  'ORDERPATCH',
  'UNCHECKOUT',
  'UPDATE',
  'UPDATEREDIRECTREF',
  'VERSION-CONTROL',
  'BASELINE-CONTROL',
  'SOURCE',
].map((method) => Buffer.from(`${method} `, 'latin1')); // prettier-ignore

/** ContentType handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 22;
const CR = 13;
const LF = 10;

/**
 * Classifies octets [start, end) of a new connection. NEED_MORE only while they are a proper prefix of a method, of the
 * HTTP/2 preface, or of the six octets that tell TLS.
 * @param declaredHttp the port is declared http
 */
export function detect(bytes: Uint8Array, start: number, end: number, declaredHttp = false): Detected {
  const kind = classify(bytes, start, end);
  return kind === IS_OPAQUE && declaredHttp && bytes[start] !== TLS_HANDSHAKE ? IS_HTTP : kind;
}

function classify(bytes: Uint8Array, start: number, end: number): Detected {
  let at = start;
  if (bytes[at] === CR && at < end) {
    if (end - at === 1) return NEED_MORE;
    if (bytes[at + 1] !== LF) return IS_OPAQUE;
    at += 2;
  }
  if (at >= end) return NEED_MORE;
  for (const method of METHODS) {
    const same = agreement(bytes, at, end, method);
    if (same === method.length) return IS_HTTP;
    if (same === end - at) return NEED_MORE;
  }
  if (at > start) return IS_OPAQUE;
  const preface = agreement(bytes, start, end, PREFACE);
  if (preface === PREFACE.length) return IS_HTTP2;
  if (preface === end - start) return NEED_MORE;
  const tls = looksLikeTls(bytes, start, end);
  return tls === FOUND ? IS_TLS : tls === TLS_NEEDS_MORE ? NEED_MORE : IS_OPAQUE;
}

/** How many octets at `at` agree with the text, from its beginning. */
function agreement(bytes: Uint8Array, at: number, end: number, text: Uint8Array): number {
  const length = Math.min(text.length, end - at);
  let same = 0;
  while (same < length && bytes[at + same] === text[same]) same++;
  return same;
}
