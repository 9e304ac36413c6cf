/** Random requests, odd ones included, as octets for a socket and as the question they are for `weir explain`. */
import fc from 'fast-check';
import { CLIENTS, type ClientPod, SERVICES } from './cluster.ts';

export interface RandomRequest {
  readonly client: ClientPod;
  readonly service: (typeof SERVICES)[number];
  readonly port: number;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly headers: readonly (readonly [string, string])[];
}

const segment = fc.constantFrom(
  'a',
  'a',
  'a',
  'a',
  'b',
  'b',
  'admin',
  'admin',
  'public',
  'A',
  'c',
  '%61',
  '%2e%2e',
  '..',
  '.',
  '',
  'a;p=1',
  '%2F',
  '%5c',
  '\\',
  '*',
  "'",
  '%c3%a9',
  '~',
  '{}',
);
/** Refused with 400, by every agent. */
const malformed = fc.constantFrom('/a#b', '/%zz', '/a%00', '/a%', 'a', '/\u00e9', '/a?b#c', '/%2');
const query = fc.constantFrom('', '', '', '?x=1', '?x=2&x=1', '?', '?q=/../admin', '?y&x=1', '?x=%31', '?a?b');
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
const target = fc.oneof(
  { weight: 20, arbitrary: fc.tuple(path, query).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: malformed },
  { weight: 1, arbitrary: fc.tuple(path, query).map((parts) => `http://web.shop${parts.join('')}`) },
);
const method = fc.constantFrom(
  'GET',
  'GET',
  'GET',
  'POST',
  'HEAD',
  'OPTIONS',
  'DELETE',
  'PUT',
  'get',
  'PURGE',
  'GET',
  'G@T',
);
const host = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constantFrom(
      'web.shop',
      'web',
      'WEB.shop:80',
      'web.shop.svc.cluster.local',
      'a.example',
      'vault.bank',
      'web.shop.',
      '[::1]:80',
    ),
  },
  // Refused with 400.
  { weight: 1, arbitrary: fc.constantFrom('a/b', '', 'web.shop:x') },
);
const header = fc.constantFrom<readonly [string, string]>(
  ['x-user', 'alice'],
  ['X-User', 'jason'],
  ['x-user', ''],
  ['x-user', 'x,y'],
  ['x-user', 'b'],
  ['x-gone', '1'],
  ['origin', 'https://good.example'],
  ['origin', 'https://bad.example'],
  ['access-control-request-method', 'PUT'],
  ['x-forwarded-for', '198.51.100.7'],
  ['x-latin', 'caf\u00e9'],
  ['accept', '*/*'],
);

export const request: fc.Arbitrary<RandomRequest> = fc
  .record({
    client: fc.constantFrom(...CLIENTS),
    service: fc.constantFrom(...SERVICES, ...Array.from({ length: 5 }, () => SERVICES[0] as (typeof SERVICES)[number])),
    port: fc.constantFrom(80, 80, 81),
    method,
    target,
    host,
    headers: fc.array(header, { maxLength: 3 }),
  })
  // RFC 9112 section 3.2.2: the two must agree, or the request is refused before there is anything to explain.
  .map((each) => (each.target.startsWith('http:') ? { ...each, host: 'web.shop' } : each));

/** The request as it is written to a socket; the connection ends with it. */
export function octetsOf({ method: verb, target: where, host: name, headers }: RandomRequest): Buffer {
  const lines = [
    `${verb} ${where} HTTP/1.1`,
    `host: ${name}`,
    ...headers.map((field) => field.join(': ')),
    'connection: close',
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'utf8');
}
