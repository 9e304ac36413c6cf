/**
 * Headers that end at a hop (RFC 9110 section 7.6.1), for requests made of plain values: what agents do not forward nobody is to decide
 * by. Agents do the same with octets (agent/http1/connection-options.ts); which version of HTTP it is, a plain request does not say, so
 * `TE: trailers` without Connection counts as HTTP/2's, which is forwarded.
 */
import type { NameValue } from './route-model.ts';

const ENDS_HERE: ReadonlySet<string> = new Set(['keep-alive', 'proxy-connection', 'http2-settings']);
/** Protocols that weir does not switch to: requests inside them would go unjudged. */
const HIDES_REQUESTS = /^(?:h2|http|tls)/;

/** The fields that are forwarded, in order. */
export function withoutHopByHop(headers: readonly NameValue[]): readonly NameValue[] {
  const named = new Map<string, string[]>();
  for (const { name, value } of headers) {
    const lower = name.toLowerCase();
    if (lower !== 'connection' && lower !== 'te' && lower !== 'upgrade' && !ENDS_HERE.has(lower)) continue;
    named.set(lower, [...(named.get(lower) ?? []), ...value.split(',').map((part) => part.trim().toLowerCase())]);
  }
  if (named.size === 0) return headers;
  const options = named.get('connection') ?? [];
  const offered = named.get('upgrade') ?? [];
  const switches =
    options.includes('upgrade') && offered.length > 0 && !offered.some((protocol) => HIDES_REQUESTS.test(protocol));
  const trailers = named.get('te')?.includes('trailers') === true && !switches;
  const passesTrailers = trailers && (!named.has('connection') || options.includes('te'));
  const kept = headers.filter(({ name }) => {
    const lower = name.toLowerCase();
    if (lower === 'upgrade') return switches;
    return lower !== 'connection' && lower !== 'te' && !ENDS_HERE.has(lower) && !options.includes(lower);
  });
  if (switches) return [...kept, { name: 'connection', value: 'upgrade' }];
  return passesTrailers ? [...kept, { name: 'te', value: 'trailers' }] : kept;
}
