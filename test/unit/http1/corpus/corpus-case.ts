/**
 * The form of the tables in this folder: octets that other people's tests and findings send, and what weir must do with them.
 * The octets are facts about the published case; the verdicts are ours. unit/http1/corpus.test.ts judges the codec by them and
 * netns/http1-recorder.test.ts the whole data path.
 */

/**
 * - a number: refused with that status, nothing of it forwarded
 * - 'same': forwarded octet for octet
 * - 'more': not complete: nothing is forwarded yet
 * - otherwise: what is forwarded, and what becomes of the octets after it ('end': there are none)
 */
export type RequestVerdict =
  | number
  | 'same'
  | 'more'
  | { readonly forwarded: string; readonly requests: number; readonly rest: number | 'end' | 'more' | 'closed' };

/** [name, the client's octets, verdict] */
export type RequestCase = readonly [string, string, RequestVerdict];

/**
 * - 502: the response is not forwarded
 * - 'cut': its head is good, its body is not: the client sees an error, never a complete response
 * - otherwise: what the client is sent of the endpoint's octets, and whether the connection to the endpoint is used again
 */
export type ResponseVerdict =
  | 502
  | 'cut'
  | { readonly sent: string; readonly reused: boolean }
  | { readonly sentUntilClose: string };

/** [name, method of the request, the endpoint's octets, verdict] */
export type ResponseCase = readonly [string, string, string, ResponseVerdict];

/** A head of these lines, each with CRLF, and the empty line. */
export function head(...lines: string[]): string {
  return lines.map((line) => `${line}\r\n`).join('') + '\r\n';
}

/** A request whose verdict is that of all the octets; `rest` for what follows it. */
export function one(
  forwarded: string,
  rest: number | 'end' | 'more' | 'closed' = 'end',
): { forwarded: string; requests: 1; rest: number | 'end' | 'more' | 'closed' } {
  return { forwarded, requests: 1, rest };
}
