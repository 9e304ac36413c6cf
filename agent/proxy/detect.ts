/**
 * Step 3: what do the first octets say. Pure.
 *
 * HTTP/1 is a request line that starts with a known method token and a space (after at most one CRLF, RFC 9112 section
 * 2.2). Everything else is relayed as TCP under the connection's L4 verdict, where HTTP-only ALLOW rules never match and
 * HTTP-only DENY rules deny, so that a disguised request gains nothing. On a port that is declared http nothing is guessed:
 * what is not HTTP is refused as HTTP, unless it opens with a TLS handshake, which no request does.
 */
import { PREFACE } from '../http2/frame.ts';

export const NEED_MORE = 0;
export const IS_HTTP = 1;
export const IS_OPAQUE = 2;
export const IS_HTTP2 = 3;

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

const CR = 13;
const LF = 10;

/** ContentType handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;

/**
 * Classifies octets [start, end) of a new connection. NEED_MORE only while they are a proper prefix of a method.
 * @param declaredHttp the port is declared http
 */
export function detect(bytes: Uint8Array, start: number, end: number, declaredHttp = false): number {
  const kind = classify(bytes, start, end);
  return kind === IS_OPAQUE && declaredHttp && bytes[start] !== TLS_HANDSHAKE ? IS_HTTP : kind;
}

function classify(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  if (bytes[at] === CR) {
    if (end - at === 1) return NEED_MORE;
    if (bytes[at + 1] !== LF) return IS_OPAQUE;
    at += 2;
  }
  if (at >= end) return NEED_MORE;
  if (bytes[at] === PREFACE[0] && bytes[at + 1] === PREFACE[1] && bytes[at + 2] === PREFACE[2]) {
    const length = Math.min(PREFACE.length, end - at);
    for (let i = 0; i < length; i++) if (bytes[at + i] !== PREFACE[i]) return IS_OPAQUE;
    return length === PREFACE.length && at === start ? IS_HTTP2 : length < PREFACE.length ? NEED_MORE : IS_OPAQUE;
  }
  for (const method of METHODS) {
    const length = Math.min(method.length, end - at);
    let same = 0;
    while (same < length && bytes[at + same] === method[same]) same++;
    if (same === method.length) return IS_HTTP;
    if (same === end - at) return NEED_MORE;
  }
  return IS_OPAQUE;
}
