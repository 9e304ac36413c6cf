/** What HTTP/2 allows in a field section (RFC 9113 section 8.2), for requests, responses and trailers alike. */
import { FIELD_VALUE, TOKEN } from '../http1/octets.ts';
import type { HeaderList } from './header-list.ts';

/** They speak of the connection, which HTTP/2 does by other means (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** True when no field from index `from` on is a pseudo-header or has a name or value that HTTP/2 forbids. */
export function regularFieldsAreValid(list: HeaderList, from: number): boolean {
  const { names, values } = list;
  for (let i = from; i < names.length; i++) {
    const name = names[i] as string;
    if (!isName(name) || !isValue(values[i] as string) || CONNECTION_FIELDS.has(name)) return false;
    if (name === 'te' && (values[i] as string).toLowerCase() !== 'trailers') return false;
  }
  return true;
}

/** Content-Length among the fields from index `from` on: octets, −1 when there is none, −2 when it is not one number. */
export function readLength(list: HeaderList, from: number): number {
  const { names, values } = list;
  let length = -1;
  for (let i = from; i < names.length; i++) {
    if (names[i] !== 'content-length') continue;
    if (length !== -1 || !/^\d{1,15}$/.test(values[i] as string)) return -2;
    length = Number(values[i]);
  }
  return length;
}

/** Trailers: regular fields only, and none that frames the message (RFC 9110 section 6.5.1). */
export function trailersAreValid(list: HeaderList): boolean {
  return regularFieldsAreValid(list, 0) && !list.names.includes('content-length');
}

function isName(name: string): boolean {
  if (name === '') return false;
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code > 0x7f || TOKEN[code] === 0 || (code >= 0x41 && code <= 0x5a)) return false;
  }
  return true;
}

function isValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (FIELD_VALUE[value.charCodeAt(i)] !== 1) return false;
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return first !== 0x20 && first !== 0x09 && last !== 0x20 && last !== 0x09;
}
