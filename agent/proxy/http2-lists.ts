/** Header lists that weir makes: forwarded with edits, or answered locally. Each is made once and kept with the list it comes from. */
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import type { PathNormalization } from '../../mesh/path.ts';
import type { NameValue } from '../../mesh/route-model.ts';
import { hostEnd } from '../http1/authority.ts';
import { RequestTarget } from '../http1/request-target.ts';
import { isReserved } from '../http1/rewrite.ts';
import type { HeaderList, HeaderListTable } from '../http2/header-list.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { type ConfiguredAnswer, hasType, isAnswerField, localBody, retryAfter } from './local-response.ts';

/**
 * The fields to forward: path as it was judged, edits applied; null when an edit or the path is not valid. Hot.
 * @param path what a route rewrites it to, in normal form and without query; null: as it came, normalised
 */
export function forwardedRequest(
  facts: RequestFacts,
  path: string | null,
  edits: HeaderEdits | null,
  table: HeaderListTable,
): HeaderList | null {
  if (path === null && !facts.pathChanged) return editedList(facts.list, edits, table);
  const moved = withPath(facts, path ?? facts.path, table);
  return moved === null ? null : editedList(moved, edits, table);
}

/** A path from configuration passes the same checks as one from a client. */
const target = new RequestTarget();

function withPath(facts: RequestFacts, path: string, table: HeaderListTable): HeaderList | null {
  const { list } = facts;
  if (list.path === path) return list.withPath;
  const query = facts.target.indexOf('?');
  const whole = query < 0 ? path : path + facts.target.slice(query);
  list.path = path;
  list.withPath = null;
  if (path !== facts.path && !isNormal(whole, facts.normalization)) return null;
  const values = list.values.map((value, i) => (list.names[i] === ':path' ? whole : value));
  list.withPath = table.intern(list.names, values, list.neverIndexed);
  return list.withPath;
}

function isNormal(text: string, normalization: PathNormalization): boolean {
  const octets = Buffer.from(`${text} `, 'latin1');
  target.normalization = normalization;
  if (text.charCodeAt(0) !== 0x2f || target.scan(octets, 0, octets.length) !== octets.length - 1) return false;
  return target.judge(octets, 0, 0) && !target.pathChanged;
}

/** The list with header modifiers applied (remove, set, add; names are lower case); null when one is not valid. Hot. */
export function editedList(list: HeaderList, edits: HeaderEdits | null, table: HeaderListTable): HeaderList | null {
  if (edits === null) return list;
  if (list.editedBy === edits) return list.edited;
  list.editedBy = edits;
  list.edited = applyEdits(list, edits, table);
  return list.edited;
}

function applyEdits(list: HeaderList, edits: HeaderEdits, table: HeaderListTable): HeaderList | null {
  const names: string[] = [];
  const values: string[] = [];
  const secret: number[] = [];
  const host = edits.host;
  if (host !== undefined && hostEnd(Buffer.from(host, 'latin1'), 0, host.length) < 0) return null;
  const dropped = new Set([...edits.remove, ...edits.set.map(({ name }) => name)].filter((name) => !isReserved(name)));
  for (let i = 0; i < list.names.length; i++) {
    const name = list.names[i] as string;
    if (dropped.has(name) || (host !== undefined && name === 'host')) continue;
    names.push(name);
    values.push(name === ':authority' && host !== undefined ? host : (list.values[i] as string));
    secret.push(list.neverIndexed?.[i] ?? 0);
  }
  if (host !== undefined && !names.includes(':authority')) {
    names.push('host');
    values.push(host);
    secret.push(0);
  }
  for (const { name, value } of [...edits.set, ...edits.add]) {
    if (isReserved(name)) continue;
    if (!isField(name, value)) return null;
    names.push(name);
    values.push(value);
    secret.push(0);
  }
  return table.intern(names, values, secret.includes(1) ? Uint8Array.from(secret) : null);
}

function isField(name: string, value: string): boolean {
  return name === name.toLowerCase() && isAnswerField({ name, value });
}

/**
 * What a gRPC client sees instead of an HTTP status (grpc/grpc doc/http-grpc-status-mapping.md): 400 → INTERNAL, 403 →
 * PERMISSION_DENIED, 404 → UNIMPLEMENTED, 429, 502, 503, 504 → UNAVAILABLE, else UNKNOWN; and 431 → RESOURCE_EXHAUSTED,
 * 501 → UNIMPLEMENTED. A route whose backend does not exist is UNAVAILABLE (Gateway API, GRPCRoute backendRefs).
 */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  431: 8,
  501: 12,
  502: 14,
  503: 14,
  504: 14,
};
/** Reasons that gRPC has words of its own for: UNAVAILABLE, and DEADLINE_EXCEEDED where weir's own clock ended the call. */
const GRPC_REASONS: Readonly<Record<string, number>> = {
  NO_VALID_BACKEND: 14,
  REQUEST_TIMEOUT: 4,
  UPSTREAM_TIMEOUT: 4,
};

/**
 * The head of a refusal; for gRPC a complete answer ("Trailers-Only": HTTP 200 and the status in the head).
 * @param headers further fields
 * @param id of the request, for `weir explain`; '': none was kept
 */
export function localHeaders(
  status: number,
  reason: string,
  isGrpc: boolean,
  headers: readonly NameValue[],
  id: string,
  table: HeaderListTable,
): HeaderList {
  const seconds = retryAfter(reason);
  const fields = isGrpc
    ? [[':status', '200'], ['content-type', 'application/grpc'], ...grpcOutcome(status, reason)]
    : [
        [':status', String(status)],
        ['content-type', 'text/plain'],
        ['content-length', String(localBody(reason).length)],
        ['x-weir-reason', reason],
        ...(seconds === undefined ? [] : [['retry-after', String(seconds)]]),
      ];
  return internFields([...fields, ...requestId(id), ...answerFields(headers)], table);
}

/**
 * The head of a route's own answer; gRPC is told of an abort in its own words, and of everything else as it is configured.
 * @param bodyBytes octets of the body that follows; −1: none does
 */
export function configuredHeaders(
  answer: ConfiguredAnswer,
  bodyBytes: number,
  isGrpc: boolean,
  headers: readonly NameValue[],
  id: string,
  table: HeaderListTable,
): HeaderList {
  const { status, reason } = answer;
  const fields = [[':status', String(status)], ...answerFields(answer.headers)];
  if (bodyBytes >= 0 && !hasType(answer.headers)) fields.push(['content-type', 'text/plain']);
  if (status !== 204 && status !== 304) fields.push(['content-length', String(Math.max(0, bodyBytes))]);
  if (reason !== null) fields.push(['x-weir-reason', reason]);
  if (!isGrpc || reason === null) return internFields([...fields, ...requestId(id), ...answerFields(headers)], table);
  const code = answer.grpcStatus ?? GRPC_STATUS[status] ?? 2;
  const outcome = [[':status', '200'], ['content-type', 'application/grpc'], ...grpcFields(code, reason)];
  return internFields([...outcome, ...requestId(id), ...answerFields(headers)], table);
}

function answerFields(headers: readonly NameValue[]): string[][] {
  return headers.filter(isAnswerField).map(({ name, value }) => [name.toLowerCase(), value]);
}

function requestId(id: string): string[][] {
  return id === '' ? [] : [['x-weir-request', id]];
}

function internFields(fields: readonly string[][], table: HeaderListTable): HeaderList {
  const names = fields.map(([name]) => name as string);
  const values = fields.map(([, value]) => value as string);
  return table.intern(names, values, null);
}

/** What ends a gRPC call whose response has begun. */
export function localTrailers(status: number, reason: string, table: HeaderListTable): HeaderList {
  return internFields(grpcOutcome(status, reason), table);
}

function grpcOutcome(status: number, reason: string): string[][] {
  return grpcFields(GRPC_REASONS[reason] ?? GRPC_STATUS[status] ?? 2, reason);
}

function grpcFields(code: number, reason: string): string[][] {
  return [
    ['grpc-status', String(code)],
    ['grpc-message', percentEncoded(localBody(reason).trimEnd())],
    ['x-weir-reason', reason],
  ];
}

/** `grpc-message` is percent-encoded outside printable ASCII, and `%` itself (gRPC over HTTP/2, Responses). */
function percentEncoded(text: string): string {
  return text.replace(/[^ -$&-~]/g, (character) => {
    const code = character.charCodeAt(0);
    return `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
  });
}
