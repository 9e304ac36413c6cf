/**
 * Responses that weir itself gives. Each carries `x-weir-reason` (a stable code that `weir explain` will expand) and one
 * line of text; none says which policy decided (that is in the access log, for the operator only).
 */
import type { PinnedBuffer } from '../engine/memory.ts';

const REASON_PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
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
  NO_ROUTE: 'no rule of the routes attached to this service matches the request',
  NO_VALID_BACKEND: 'the route refers to a backend that does not exist',
  BAD_HEADER_EDIT: "the route's header modifiers would make this message invalid",
  NO_HEALTHY_UPSTREAM: 'the service has no ready endpoint',
  CONNECT_UNSUPPORTED: 'the endpoint speaks HTTP/1.1, and a CONNECT that came in HTTP/2 is not translated',
  EXTENDED_CONNECT_UNSUPPORTED: 'the endpoint has not announced that it takes an extended CONNECT (RFC 8441)',
  UPSTREAM_CONNECT_FAILED: 'the endpoint refused the connection or did not answer in time',
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

/**
 * Writes a complete response at the start of `into`; returns its length.
 * @param body what localBody() gave
 * @param withBody false for HEAD: the head is the one GET would have got (RFC 9110 section 9.3.2).
 */
export function localResponse(
  into: PinnedBuffer,
  status: number,
  reason: string,
  body: string,
  keepAlive: boolean,
  withBody: boolean,
): number {
  const seconds = RETRY_AFTER_S[reason];
  const head =
    `HTTP/1.1 ${status} ${REASON_PHRASES[status] ?? 'Error'}\r\n` +
    `content-type: text/plain\r\ncontent-length: ${body.length}\r\nx-weir-reason: ${reason}\r\n` +
    `${seconds === undefined ? '' : `retry-after: ${seconds}\r\n`}` +
    `${keepAlive ? '' : 'connection: close\r\n'}\r\n`;
  return into.bytes.write(withBody ? head + body : head, 0, 'latin1');
}
