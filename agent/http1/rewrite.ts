/**
 * Writes the head that is forwarded: hop-by-hop fields dropped, edits applied, everything else as it was, in its order and
 * case. The output always parses strictly and to the same message, whatever the edits say: an edit cannot touch framing,
 * and one that is no valid field is refused.
 *
 * Order: start line, fields that stay, fields that are set, fields that are added, Connection, empty line. Edits are what
 * mesh/header-edits.ts compiles (remove, set, add).
 */
import type { NameValue } from '../../mesh/route-model.ts';
import { hostEnd } from './authority.ts';
import { FIELD_HOST, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, type FieldSection } from './field-section.ts';
import { FIELD_VALUE, HOST_NAME, namesEqual, TARGET, TOKEN } from './octets.ts';
import type { RequestHead } from './request-head.ts';
import { RequestTarget } from './request-target.ts';
import type { ResponseHead } from './response-head.ts';

/** Returned when `into` has no room: try again with a larger one. */
export const REWRITE_NO_ROOM = -1;
/** Returned when an edit is not a valid field, target or host: the configuration that made it is at fault. */
export const REWRITE_BAD_EDIT = -2;

/** Changes to a head. Names are compared without case. Framing and connection fields in it are ignored, see isReserved(). */
export interface HeadEdits {
  /** Replaces every field of that name, or adds it; `host` works as HeadEdits.host. */
  readonly set: readonly NameValue[];
  readonly add: readonly NameValue[];
  readonly remove: readonly string[];
  /** Whole new request target (path and query). Default: the received one, path normalised, in origin-form. */
  readonly target?: string;
  readonly host?: string;
  /** Responses: adds `Connection: close`. */
  readonly close?: boolean;
}

/** No change but the removal of what ends at this hop. */
export const noEdits: HeadEdits = { set: [], add: [], remove: [] };
/** The same, and the client is told that its connection ends. */
export const closeEdits: HeadEdits = { set: [], add: [], remove: [], close: true };

/** Below this a loop over octets is faster than a call of Buffer.copy (scripts/bench-http1.ts). */
const LOOP_COPY_MAX = 96;

const RESERVED: ReadonlySet<string> = new Set([
  'te',
  'host',
  'expect',
  'trailer',
  'upgrade',
  'connection',
  'keep-alive',
  'content-length',
  'http2-settings',
  'proxy-connection',
  'transfer-encoding',
]);

/** True for a name that edits may not touch: what frames the message or belongs to this connection. */
export function isReserved(name: string): boolean {
  return name.length <= 17 && RESERVED.has(name.toLowerCase().replaceAll('_', '-'));
}

function copyOctets(from: Buffer, start: number, end: number, into: Buffer, at: number): number {
  if (at < 0) return at;
  const length = end - start;
  if (length > into.length - at) return REWRITE_NO_ROOM;
  if (length <= LOOP_COPY_MAX) for (let i = 0; i < length; i++) into[at + i] = from[start + i] as number;
  else from.copy(into, at, start, end);
  return at + length;
}

/** Writes trusted ASCII. */
function writeText(text: string, into: Buffer, at: number): number {
  if (at < 0) return at;
  if (text.length > into.length - at) return REWRITE_NO_ROOM;
  for (let i = 0; i < text.length; i++) into[at + i] = text.charCodeAt(i);
  return at + text.length;
}

/** Writes text whose every octet must be of a class; empty text is refused unless `mayBeEmpty`. */
function writeChecked(text: string, allowed: Uint8Array, mayBeEmpty: boolean, into: Buffer, at: number): number {
  if (at < 0) return at;
  if (text.length === 0 && !mayBeEmpty) return REWRITE_BAD_EDIT;
  if (text.length > into.length - at) return REWRITE_NO_ROOM;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff || allowed[code] === 0) return REWRITE_BAD_EDIT;
    into[at + i] = code;
  }
  return at + text.length;
}

function writeField(field: NameValue, into: Buffer, at: number): number {
  const colon = writeText(': ', into, writeChecked(field.name, TOKEN, false, into, at));
  return writeText('\r\n', into, writeChecked(field.value, FIELD_VALUE, true, into, colon));
}

function writeFields(list: readonly NameValue[], into: Buffer, at: number): number {
  let next = at;
  for (let i = 0; i < list.length && next >= 0; i++) {
    const field = list[i] as NameValue;
    if (!isReserved(field.name)) next = writeField(field, into, next);
  }
  return next;
}

/** The field is replaced or removed by an edit. */
function isEdited(fields: FieldSection, index: number, edits: HeadEdits): boolean {
  const start = fields.nameStart(index);
  const end = fields.nameEnd(index);
  for (let i = 0; i < edits.set.length; i++) {
    const name = (edits.set[i] as NameValue).name;
    if (namesEqual(fields.bytes, start, end, name)) return !isReserved(name);
  }
  for (let i = 0; i < edits.remove.length; i++) {
    const name = edits.remove[i] as string;
    if (namesEqual(fields.bytes, start, end, name)) return !isReserved(name);
  }
  return false;
}

/** The host an edit asks for, or null. */
function editedHost(edits: HeadEdits): string | null {
  if (edits.host !== undefined) return edits.host;
  for (let i = 0; i < edits.set.length; i++) {
    const field = edits.set[i] as NameValue;
    if (field.name.length === 4 && field.name.toLowerCase() === 'host') return field.value;
  }
  return null;
}

/** Octets of an authority, brackets and colon included; what they spell is checked where the edit is made. */
const HOST_OCTETS = HOST_NAME.map((kind, octet) =>
  kind !== 0 || octet === 0x3a || octet === 0x5b || octet === 0x5d ? 1 : 0,
);

/** Copies the fields that stay, in runs; Host and framing that is not in plain form is written anew in its place. */
function writeKept(
  fields: FieldSection,
  bytes: Buffer,
  edits: HeadEdits,
  host: string | null,
  lowerCaseCoding: boolean,
  into: Buffer,
  at: number,
): number {
  const hasEdits = edits.set.length > 0 || edits.remove.length > 0;
  let anew = fields.oddlySpaced;
  if (host !== null) anew |= 1 << FIELD_HOST;
  if (lowerCaseCoding) anew |= 1 << FIELD_TRANSFER_ENCODING;
  let next = at;
  let runStart = -1;
  let runEnd = -1;
  for (let i = 0; i < fields.count; i++) {
    const kind = fields.kinds[i] as number;
    const isAnew = (anew & (1 << kind)) !== 0;
    const stays = fields.removed[i] === 0 && !(hasEdits && isEdited(fields, i, edits));
    if (stays && !isAnew) {
      if (runStart < 0) runStart = fields.nameStart(i);
      runEnd = lineEnd(fields, bytes, i);
      continue;
    }
    if (runStart >= 0) next = copyOctets(bytes, runStart, runEnd, into, next);
    runStart = -1;
    if (!stays) continue;
    next = writeText(': ', into, copyOctets(bytes, fields.nameStart(i), fields.nameEnd(i), into, next));
    if (kind === FIELD_HOST && host !== null) next = writeHost(host, into, next);
    else if (kind === FIELD_TRANSFER_ENCODING) next = writeText('chunked', into, next);
    else next = copyOctets(bytes, fields.valueStart(i), fields.valueEnd(i), into, next);
    next = writeText('\r\n', into, next);
  }
  return runStart >= 0 ? copyOctets(bytes, runStart, runEnd, into, next) : next;
}

/** Position after the CRLF of a field line; white space may lie between the value and it. */
function lineEnd(fields: FieldSection, bytes: Buffer, index: number): number {
  let i = fields.valueEnd(index);
  while (bytes[i] !== 0x0d) i++;
  return i + 2;
}

function writeTarget(head: RequestHead, bytes: Buffer, edits: HeadEdits, into: Buffer, at: number): number {
  const target = head.target;
  if (edits.target !== undefined) return writeEditedTarget(edits.target, head, bytes, into, at);
  if (!target.mustRewrite) return copyOctets(bytes, target.start, target.end, into, at);
  const next = writeChecked(head.path, TARGET, false, into, at);
  return target.queryMark < 0 ? next : copyOctets(bytes, target.queryMark, target.end, into, next);
}

/** A target from configuration passes the same checks as one from a client, and must be in the normal form that was judged. */
const checkedTarget = new RequestTarget();

function writeEditedTarget(text: string, head: RequestHead, bytes: Buffer, into: Buffer, at: number): number {
  if (at < 0) return at;
  if (text.charCodeAt(0) !== 0x2f || head.target.isAuthority) return REWRITE_BAD_EDIT;
  const end = writeText(' ', into, writeChecked(text, TARGET, false, into, at));
  if (end < 0) return end;
  checkedTarget.normalization = head.target.normalization;
  const accepted = checkedTarget.scan(into, at, end) === end - 1 && checkedTarget.judge(into, at, at);
  return accepted && !checkedTarget.pathChanged ? end - 1 : REWRITE_BAD_EDIT;
}

function writeHost(host: string, into: Buffer, at: number): number {
  const end = writeChecked(host, HOST_OCTETS, false, into, at);
  return end < 0 || hostEnd(into, at, end) >= 0 ? end : REWRITE_BAD_EDIT;
}

/**
 * Writes the request head to forward at `into[at]`. Hot when an edit or a hop-by-hop field asks for it.
 * @param head as parse() left it; `bytes` still hold what it parsed, and are not `into`
 * @param edits null: none
 * @returns octets written, REWRITE_NO_ROOM or REWRITE_BAD_EDIT
 */
export function rewriteRequestHead(
  head: RequestHead,
  bytes: Buffer,
  edits: HeadEdits | null,
  into: Buffer,
  at: number,
): number {
  const fields = head.fields;
  const changes = edits ?? noEdits;
  let next = copyOctets(bytes, head.methodStart, head.methodEnd + 1, into, at);
  next = writeTarget(head, bytes, changes, into, next);
  next = writeText(head.versionMinor === 1 ? ' HTTP/1.1\r\n' : ' HTTP/1.0\r\n', into, next);
  const host = head.target.isAuthority ? null : editedHost(changes);
  if (!fields.has(FIELD_HOST)) {
    if (host !== null) next = writeText('\r\n', into, writeHost(host, into, writeText('Host: ', into, next)));
    else if (head.target.hasAuthority) next = writeAuthority(head, bytes, into, next);
  }
  next = writeKept(fields, bytes, changes, host, head.codingOddCase, into, next);
  next = writeFields(changes.set, into, next);
  next = writeFields(changes.add, into, next);
  next = writeRequestConnection(head, into, next);
  next = writeText('\r\n', into, next);
  return next < 0 ? next : next - at;
}

/** HTTP/1.0 in absolute-form without Host: the authority would be lost with the form. */
function writeAuthority(head: RequestHead, bytes: Buffer, into: Buffer, at: number): number {
  const named = writeText('Host: ', into, at);
  const next = copyOctets(bytes, head.target.authorityStart, head.target.authorityEnd, into, named);
  return writeText('\r\n', into, next);
}

function writeRequestConnection(head: RequestHead, into: Buffer, at: number): number {
  if (head.upgrade) return writeText('Connection: upgrade\r\n', into, at);
  return head.passesTrailers ? writeText('TE: trailers\r\nConnection: TE\r\n', into, at) : at;
}

/**
 * Writes the response head to forward at `into[at]`: always as HTTP/1.1 (RFC 9110 section 2.5), the reason phrase kept.
 * @param edits null: none
 * @param close tells the client that its connection ends after this response; lets compiled edits be used as they are
 * @returns octets written, REWRITE_NO_ROOM or REWRITE_BAD_EDIT
 */
export function rewriteResponseHead(
  head: ResponseHead,
  bytes: Buffer,
  edits: HeadEdits | null,
  into: Buffer,
  at: number,
  close = edits?.close === true,
): number {
  const fields = head.fields;
  const changes = edits ?? noEdits;
  let next = writeText('HTTP/1.1 ', into, at);
  next = writeStatus(head.status, into, next);
  next = copyOctets(bytes, head.reasonStart, head.reasonEnd, into, next);
  next = writeText('\r\n', into, next);
  next = writeKept(fields, bytes, changes, null, head.codingOddCase, into, next);
  next = writeFields(changes.set, into, next);
  next = writeFields(changes.add, into, next);
  const offersUpgrade = fields.has(FIELD_UPGRADE) && fields.removed[fields.firstOf(FIELD_UPGRADE)] === 0;
  if (offersUpgrade) {
    const line = close && !head.upgrade ? 'Connection: close, upgrade\r\n' : 'Connection: upgrade\r\n';
    next = writeText(line, into, next);
  } else if (close) {
    next = writeText('Connection: close\r\n', into, next);
  }
  next = writeText('\r\n', into, next);
  return next < 0 ? next : next - at;
}

function writeStatus(status: number, into: Buffer, at: number): number {
  if (at < 0) return at;
  if (into.length - at < 4) return REWRITE_NO_ROOM;
  into[at] = 0x30 + Math.floor(status / 100);
  into[at + 1] = 0x30 + (Math.floor(status / 10) % 10);
  into[at + 2] = 0x30 + (status % 10);
  into[at + 3] = 0x20;
  return at + 4;
}
