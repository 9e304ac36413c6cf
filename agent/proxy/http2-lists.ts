/** Header lists that weir makes: forwarded with edits, or answered locally. Each is made once and kept with the list it comes from. */
import type { HeaderEdits } from '../../mesh/header-edits.ts';
import { hostEnd } from '../http1/authority.ts';
import { FIELD_VALUE, TOKEN } from '../http1/octets.ts';
import { isReserved } from '../http1/rewrite.ts';
import type { HeaderList, HeaderListTable } from '../http2/header-list.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { localBody, retryAfter } from './local-response.ts';

/** The fields to forward: path as it was judged, edits applied; null when an edit is no valid field. Hot. */
export function forwardedRequest(
  facts: RequestFacts,
  edits: HeaderEdits | null,
  table: HeaderListTable,
): HeaderList | null {
  const { list } = facts;
  if (!facts.pathChanged) return editedList(list, edits, table);
  if (list.normalised === null) {
    const query = facts.target.indexOf('?');
    const target = query < 0 ? facts.path : facts.path + facts.target.slice(query);
    const values = list.values.map((value, i) => (list.names[i] === ':path' ? target : value));
    list.normalised = table.intern(list.names, values, list.neverIndexed);
  }
  return editedList(list.normalised, edits, table);
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
  const fits = (text: string, allowed: Uint8Array): boolean => {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0xff || allowed[code] === 0) return false;
    }
    return true;
  };
  return name !== '' && fits(name, TOKEN) && name === name.toLowerCase() && fits(value, FIELD_VALUE);
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

/** The head of a local answer; for gRPC a complete one ("Trailers-Only": HTTP 200 and the status in the head). */
export function localHeaders(status: number, reason: string, isGrpc: boolean, table: HeaderListTable): HeaderList {
  const body = localBody(reason);
  const seconds = retryAfter(reason);
  const fields = isGrpc
    ? [[':status', '200'], ['content-type', 'application/grpc'], ...grpcOutcome(status, reason)]
    : [
        [':status', String(status)],
        ['content-type', 'text/plain'],
        ['content-length', String(body.length)],
        ['x-weir-reason', reason],
        ...(seconds === undefined ? [] : [['retry-after', String(seconds)]]),
      ];
  return table.intern(
    fields.map(([name]) => name as string),
    fields.map(([, value]) => value as string),
    null,
  );
}

/** What ends a gRPC call whose response has begun. */
export function localTrailers(status: number, reason: string, table: HeaderListTable): HeaderList {
  const fields = grpcOutcome(status, reason);
  return table.intern(
    fields.map(([name]) => name),
    fields.map(([, value]) => value),
    null,
  );
}

function grpcOutcome(status: number, reason: string): [string, string][] {
  const code = reason === 'NO_VALID_BACKEND' ? 14 : (GRPC_STATUS[status] ?? 2);
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
