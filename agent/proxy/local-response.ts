/**
 * Responses that weir itself gives. A refusal carries `x-weir-reason` (a stable code that `weir explain` will expand) and one
 * line of text; none says which policy decided (that is in the access log, for the operator only). What a route asks for (a redirect,
 * a direct response, a preflight's answer, an injected fault) is a ConfiguredAnswer.
 */
import type { PinnedBuffer } from '../engine/memory.ts';
import { TOKEN } from '../http1/octets.ts';
import { isReserved } from '../http1/rewrite.ts';
import { isHeaderValue } from '../../mesh/header-edits.ts';
import type { NameValue } from '../../mesh/route-model.ts';

/** What a route answers by itself. */
export interface ConfiguredAnswer {
  readonly status: number;
  /** x-weir-reason; null: nothing went wrong, and nothing is said. */
  readonly reason: string | null;
  /** Lower-case names. */
  readonly headers: readonly NameValue[];
  /** null: none. */
  readonly body: string | null;
  /** `grpc-status` to a gRPC client instead of what `status` maps to; null: that. */
  readonly grpcStatus: number | null;
}

export const NO_HEADERS: readonly NameValue[] = [];

const REASON_PHRASES: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  410: 'Gone',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  418: "I'm a teapot",
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** What each code tells the client; codes not listed are parser refusals, named by themselves. */
const EXPLANATIONS: Readonly<Record<string, string>> = {
  RBAC_DENIED: 'an authorization policy does not allow this request',
  NETWORK_POLICY_DENIED: 'a network policy does not allow connections to this endpoint',
  NOT_IN_REGISTRY: 'the mesh does not know this destination, and its outbound traffic policy allows no others',
  NO_ROUTE: 'no rule of the routes attached to this service matches the request',
  EXPRESSION_LIMIT: "the route's regular expressions would take too long on a request of this size",
  NO_VALID_BACKEND: 'the route refers to a backend that does not exist',
  BAD_HEADER_EDIT: "the route's rewrites or header modifiers would make this message invalid",
  FAULT_ABORT: 'the route injects this fault',
  DIRECT_RESPONSE: 'the route answers this by itself',
  REQUEST_TIMEOUT: "the response was not complete within the route's timeout",
  NO_HEALTHY_UPSTREAM: 'the service has no ready endpoint',
  CONNECT_UNSUPPORTED: 'the endpoint speaks HTTP/1.1, and a CONNECT that came in HTTP/2 is not translated',
  EXTENDED_CONNECT_UNSUPPORTED: 'the endpoint has not announced that it takes an extended CONNECT (RFC 8441)',
  UPSTREAM_CONNECT_FAILED: 'the endpoint refused the connection or did not answer in time',
  UPSTREAM_TIMEOUT: "the endpoint's response was not complete within the route's timeout for one attempt",
  UPSTREAM_OVERFLOW: 'the endpoint takes no more requests at a time',
  UPSTREAM_RESET: 'the endpoint closed the connection before it answered',
  UPSTREAM_MALFORMED: 'the endpoint sent an ambiguous or malformed response',
  OVERLOADED: 'the node is overloaded and this pod is among those that use most of its capacity; try again later',
  POD_LIMIT_REQUESTS: 'this pod has as many requests in flight as it may have',
  POD_LIMIT_PENDING: 'too many connections of this pod wait for endpoints that do not answer',
  POD_LIMIT_BUFFERED: 'peers of this pod do not take what is held for them, and no more may be held',
  HEAD_TIMEOUT: 'the request head did not arrive in time',
};

/** Refusals that pass by themselves: when to come back, seconds (RFC 9110 section 10.2.3). */
const RETRY_AFTER_S: Readonly<Record<string, number>> = {
  OVERLOADED: 1,
  POD_LIMIT_REQUESTS: 1,
  POD_LIMIT_PENDING: 1,
  POD_LIMIT_BUFFERED: 1,
};

/** Seconds, or undefined when coming back would change nothing. */
export function retryAfter(reason: string): number | undefined {
  return RETRY_AFTER_S[reason];
}

/** The text that goes with a reason: one line of ASCII. */
export function localBody(reason: string): string {
  return `${reason}: ${EXPLANATIONS[reason] ?? 'the request is malformed or ambiguous and was not forwarded'}\n`;
}

/** Whether a field that configuration or a request has made may stand in an answer; others are left out. */
export function isAnswerField({ name, value }: NameValue): boolean {
  if (name === '' || isReserved(name)) return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code > 0xff || TOKEN[code] === 0) return false;
  }
  // Without spaces around it, which HTTP/2 does not allow (RFC 9113 section 8.2.1).
  return isHeaderValue(value);
}

/**
 * Writes a complete refusal at the start of `into`; returns its length.
 * @param body what localBody() gave
 * @param headers further ones
 * @param id of the request, for `weir explain`; '': none was kept
 * @param withBody false for HEAD: the head is the one GET would have got (RFC 9110 section 9.3.2).
 */
export function localResponse(
  into: PinnedBuffer,
  status: number,
  reason: string,
  body: string,
  headers: readonly NameValue[],
  id: string,
  keepAlive: boolean,
  withBody: boolean,
): number {
  const seconds = RETRY_AFTER_S[reason];
  const head =
    `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? 'Error'}\r\n` +
    `content-type: text/plain\r\ncontent-length: ${body.length}\r\nx-weir-reason: ${reason}\r\n` +
    `${id === '' ? '' : `x-weir-request: ${id}\r\n`}` +
    `${seconds === undefined ? '' : `retry-after: ${seconds}\r\n`}` +
    `${fieldLines(headers)}${keepAlive ? '' : 'connection: close\r\n'}\r\n`;
  return into.bytes.write(withBody ? head + body : head, 0, 'latin1');
}

/** Writes the head of a route's own answer at the start of `into`; returns its length. @param body UTF-8; null: none */
export function configuredHead(
  into: PinnedBuffer,
  answer: ConfiguredAnswer,
  body: Buffer | null,
  headers: readonly NameValue[],
  id: string,
  keepAlive: boolean,
): number {
  const { status, reason } = answer;
  // These have no content, and say so by themselves (RFC 9110 sections 8.6 and 15.3.5).
  const length = status === 204 || status === 304 ? '' : `content-length: ${body?.length ?? 0}\r\n`;
  const type = body === null || hasType(answer.headers) ? '' : 'content-type: text/plain\r\n';
  const head =
    `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? ''}\r\n${fieldLines(answer.headers)}${type}${length}` +
    `${reason === null ? '' : `x-weir-reason: ${reason}\r\n`}${id === '' ? '' : `x-weir-request: ${id}\r\n`}` +
    `${fieldLines(headers)}${keepAlive ? '' : 'connection: close\r\n'}\r\n`;
  return into.bytes.write(head, 0, 'latin1');
}

/** Whether an answer says what its body is. */
export function hasType(headers: readonly NameValue[]): boolean {
  return headers.some(({ name }) => name === 'content-type');
}

function fieldLines(headers: readonly NameValue[]): string {
  let text = '';
  for (const field of headers) if (isAnswerField(field)) text += `${field.name}: ${field.value}\r\n`;
  return text;
}
