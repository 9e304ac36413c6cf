/** Gateway API HTTPCORSFilter. */
import type { Cors, StringMatch } from '../../mesh/route-model.ts';
import { HEADER_NAME } from './names.ts';
import { type ListItem, type ObjectReader, quote } from './object-reader.ts';

/** Elements of each list: what the Gateway API's schema allows is 64. */
const LIST_MAX = 128;
const INT32_MAX = 2_147_483_647;
/** Seconds a browser may keep the answer to a preflight when the filter does not say (Gateway API). */
const MAX_AGE_DEFAULT_S = 5;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '*'];
/** Scheme, host (perhaps with a wildcard for its first labels) and port. */
const ORIGIN = /^([a-z][a-z0-9+\-.]{0,31}):\/\/(\*|(?:\*\.)?[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)(:[0-9]{1,5})?$/;

/** Reads the filter; what is wrong is noted and left out. */
export function readCors(reader: ObjectReader): Cors {
  const origins = reader.list('allowOrigins', LIST_MAX);
  const allowOrigins = origins.flatMap((item) => readOrigin(reader, item) ?? []);
  refuseMixed(reader, 'allowOrigins', origins);
  const methods = reader.list('allowMethods', LIST_MAX);
  const allowMethods = methods.flatMap((item) => readMethod(reader, item) ?? []);
  refuseMixed(reader, 'allowMethods', methods);
  const headers = reader.list('allowHeaders', LIST_MAX);
  const allowHeaders = readNames(reader, headers);
  refuseMixed(reader, 'allowHeaders', headers);
  const exposeHeaders = readNames(reader, reader.list('exposeHeaders', LIST_MAX));
  const allowCredentials = reader.flag('allowCredentials') ?? false;
  const maxAgeS = reader.integer('maxAge', 1, INT32_MAX) ?? MAX_AGE_DEFAULT_S;
  reader.finish();
  return {
    type: 'cors',
    allowOrigins,
    allowMethods,
    allowHeaders,
    exposeHeaders,
    allowCredentials,
    maxAgeS,
    unmatchedPreflights: 'forward',
  };
}

/** Browsers write scheme and host in lower case, and no port where it is the scheme's. */
function readOrigin(reader: ObjectReader, item: ListItem): StringMatch | null {
  const text = reader.asText(item);
  if (text === null) return null;
  if (text === '*') return { type: 'exact', value: '*' };
  const origin = text.toLowerCase();
  const parts = ORIGIN.exec(origin);
  if (parts === null) {
    const remedy = 'write * or an origin such as https://shop.example.com or https://*.example.com';
    reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, remedy);
    return null;
  }
  const [, scheme = '', host = '', port = ''] = parts;
  if (!host.startsWith('*')) return { type: 'exact', value: origin };
  // A wildcard stands for any number of labels, never for none (Gateway API).
  const rest = host === '*' ? '' : quoted(host.slice(1));
  return { type: 'regex', value: `${quoted(scheme)}://[^/:]+${rest}${quoted(port)}` };
}

/** The text with what is special in an expression escaped. */
function quoted(text: string): string {
  return text.replace(/[.+*?^$()[\]{}|\\]/g, '\\$&');
}

function readMethod(reader: ObjectReader, item: ListItem): string | null {
  const text = reader.asText(item);
  if (text === null || METHODS.includes(text)) return text;
  reader.problems.error('INVALID_VALUE', item.path, `is ${quote(text)}`, `write one of ${METHODS.join(', ')}`);
  return null;
}

function readNames(reader: ObjectReader, items: readonly ListItem[]): string[] {
  const names = items.flatMap((item) => reader.asText(item, HEADER_NAME)?.toLowerCase() ?? []);
  return [...new Set(names)];
}

function refuseMixed(reader: ObjectReader, field: string, items: readonly ListItem[]): void {
  const any = items.find(({ value }) => value === '*');
  if (any === undefined || items.length === 1) return;
  reader.problems.error('INVALID_VALUE', any.path, '"*" stands beside others', `make it the only one of ${field}`);
}
