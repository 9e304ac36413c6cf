/** Runs the codec over plain strings, as the proxy would over its read buffer; for tests and fuzzers. */
import { BodyScanner } from '../../../agent/http1/body-scanner.ts';
import type { BodyKind } from '../../../agent/http1/framing.ts';
import { RequestHead } from '../../../agent/http1/request-head.ts';
import { ResponseHead } from '../../../agent/http1/response-head.ts';
import { type HeadEdits, rewriteRequestHead, rewriteResponseHead } from '../../../agent/http1/rewrite.ts';

/** Octets on either side of a message that parsing must not look at: each is one that would change the result. */
const GUARD = 'GET /guard HTTP/1.1\r\nHost: guard\r\nContent-Length: 5\r\n\r\n\r\n0\r\n\r\n';

export interface Placed {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Puts text in the middle of a buffer of misleading octets. */
export function place(text: string): Placed {
  const bytes = Buffer.from(GUARD + text + GUARD, 'latin1');
  return { bytes, start: GUARD.length, end: GUARD.length + text.length };
}

/** Everything observable of a parsed request head, or why it was refused. */
export interface RequestResult {
  readonly result: number;
  readonly refusal: string;
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly host?: string;
  readonly versionMinor?: number;
  readonly bodyKind?: number;
  readonly contentLength?: number;
  readonly keepAlive?: boolean;
  readonly upgrade?: boolean;
  readonly expectContinue?: boolean;
  readonly hasHopByHop?: boolean;
  readonly pathChanged?: boolean;
  readonly fields?: readonly (readonly [string, string, boolean])[];
}

export function describeRequest(head: RequestHead, bytes: Buffer, result: number): RequestResult {
  if (result <= 0) return { result, refusal: head.refusal };
  const fields: (readonly [string, string, boolean])[] = [];
  for (let i = 0; i < head.headerCount; i++) {
    const name = bytes.toString('latin1', head.nameStart(i), head.nameEnd(i));
    fields.push([name, bytes.toString('latin1', head.valueStart(i), head.valueEnd(i)), head.hopByHop(i)]);
  }
  const { refusal, method, path, query, host, versionMinor, bodyKind, contentLength, keepAlive } = head;
  const { upgrade, expectContinue, hasHopByHop, pathChanged } = head;
  return {
    result,
    refusal,
    method,
    path,
    query,
    host,
    versionMinor,
    bodyKind,
    contentLength,
    keepAlive,
    upgrade,
    expectContinue,
    hasHopByHop,
    pathChanged,
    fields,
  };
}

/** Parses one head; a new RequestHead unless one is given. */
export function parseRequest(text: string, head = new RequestHead()): RequestResult {
  const { bytes, start, end } = place(text);
  return describeRequest(head, bytes, head.parse(bytes, start, end));
}

/**
 * Parses a head that arrives as its first `first` octets, then `first + step`, and so on, as a connection would.
 * @returns the first result that is not "more"; 0 when there never was one
 */
export function parseTrickled(text: string, first: number, step: number, head = new RequestHead()): RequestResult {
  const { bytes, start } = place(text);
  let seen = 0;
  for (let have = Math.min(first, text.length); ; have = Math.min(have + step, text.length)) {
    // The read buffer is not the same each time: what lies after the octets received differs.
    const received = place(text.slice(0, have));
    const result = head.parse(received.bytes, received.start, received.end, seen);
    if (result !== 0) return describeRequest(head, bytes, result);
    if (have === text.length) return { result: 0, refusal: '' };
    seen = have;
    if (start === 0) throw new Error('the guard is gone');
  }
}

export function parseResponse(
  text: string,
  request: string | boolean = 'GET',
): { head: ResponseHead; result: number; placed: Placed } {
  const head = new ResponseHead();
  const placed = place(text);
  return { head, result: head.parse(placed.bytes, placed.start, placed.end, request), placed };
}

/** Scans `text` in pieces that end at `cuts`. @returns octets that belong to the body, or the refusal */
export function scanBody(text: string, kind: BodyKind, length: number, cuts: readonly number[] = []): number | string {
  const scanner = new BodyScanner();
  scanner.start(kind, length);
  let taken = 0;
  let at = 0;
  for (const cut of [...cuts, text.length]) {
    const { bytes, start, end } = place(text.slice(at, cut));
    const result = scanner.scan(bytes, start, end);
    if (result < 0) return `${result} ${scanner.refusal}`;
    taken += result;
    if (scanner.complete) return taken;
    if (result !== end - start) throw new Error('an incomplete body must take every octet');
    at = cut;
  }
  return scanner.complete ? taken : 'incomplete';
}

/** What the proxy would send upstream for a whole client stream, or why it would stop. Stops at the first refusal. */
export interface Forwarded {
  readonly text: string;
  readonly requests: number;
  /** Octets of the stream that were consumed. */
  readonly consumed: number;
  readonly stopped: '' | 'refused' | 'incomplete' | 'tunnel';
  /** Of the refusal; 0 when there is none. */
  readonly status: number;
}

export function forwardStream(text: string, edits: HeadEdits | null = null, alwaysRewrite = false): Forwarded {
  const { bytes, start, end } = place(text);
  const head = new RequestHead();
  const scanner = new BodyScanner();
  const into = Buffer.alloc(text.length + 65_536);
  let forwarded = '';
  let requests = 0;
  let at = start;
  const stop = (stopped: Forwarded['stopped'], status = 0): Forwarded => ({
    text: forwarded,
    requests,
    consumed: at - start,
    stopped,
    status,
  });
  while (at < end) {
    const length = head.parse(bytes, at, end);
    if (length <= 0) return stop(length === 0 ? 'incomplete' : 'refused', -length);
    scanner.start(head.bodyKind, head.contentLength);
    const body = scanner.scan(bytes, at + length, end);
    if (body < 0) return stop('refused', -body);
    if (!scanner.complete) return stop('incomplete');
    let headText = bytes.toString('latin1', at, at + length);
    if (head.hasHopByHop || alwaysRewrite || edits !== null) {
      const written = rewriteRequestHead(head, bytes, edits, into, 0);
      if (written < 0) throw new Error(`rewrite failed: ${written}`);
      headText = into.toString('latin1', 0, written);
    }
    forwarded += headText + bytes.toString('latin1', at + length, at + length + body);
    at += length + body;
    requests++;
    if (head.upgrade || head.method === 'CONNECT') return stop('tunnel');
    if (!head.keepAlive) break;
  }
  return stop('');
}

/** The head of a response as it would be sent to the client. */
export function forwardResponseHead(
  text: string,
  request: string | boolean,
  edits: HeadEdits | null,
  close?: boolean,
): string {
  const { head, result, placed } = parseResponse(text, request);
  if (result <= 0) throw new Error(`response refused: ${head.refusal}`);
  const into = Buffer.alloc(text.length + 65_536);
  const written = rewriteResponseHead(head, placed.bytes, edits, into, 0, close);
  if (written < 0) throw new Error(`rewrite failed: ${written}`);
  return into.toString('latin1', 0, written);
}
