/** Fields from HTTP/1.1 to HTTP/2 and back (RFC 9113 section 8.2, RFC 9112): what ends at this hop is left out. */
import { isForbiddenTrailer } from '../http1/body-scanner.ts';
import { FIELD_CONNECTION, FIELD_HOST, FIELD_TRANSFER_ENCODING, FieldSection } from '../http1/field-section.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import type { HeaderList, HeaderListTable } from '../http2/header-list.ts';
import type { RequestFacts } from '../http2/request-facts.ts';
import { limits } from '../limits.ts';

/** Fields of HTTP/1.1 that have no place in HTTP/2 whatever Connection says. */
const NOT_IN_HTTP2: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
  'host',
]);

class Fields {
  readonly names: string[] = [];
  readonly values: string[] = [];

  add(name: string, value: string): void {
    this.names.push(name);
    this.values.push(value);
  }

  addAll(fields: FieldSection): void {
    for (let i = 0; i < fields.count; i++) {
      const kind = fields.kinds[i];
      if (fields.removed[i] === 1 || kind === FIELD_CONNECTION || kind === FIELD_HOST) continue;
      if (kind === FIELD_TRANSFER_ENCODING) continue;
      const name = fields.bytes.toString('latin1', fields.nameStart(i), fields.nameEnd(i)).toLowerCase();
      if (NOT_IN_HTTP2.has(name)) continue;
      this.add(name, fields.bytes.toString('latin1', fields.valueStart(i), fields.valueEnd(i)));
    }
  }

  list(table: HeaderListTable): HeaderList {
    return table.intern(this.names, this.values, null);
  }
}

/** The fields of an HTTP/1.1 request as an HTTP/2 one. @param target path and query as they are forwarded */
export function requestList(head: RequestHead, host: string, target: string, table: HeaderListTable): HeaderList {
  const fields = new Fields();
  fields.add(':method', head.method);
  fields.add(':scheme', 'http');
  // An HTTP/1.0 request may name none; an empty one would name nobody (RFC 9113 section 8.3.1).
  if (host !== '') fields.add(':authority', host);
  fields.add(':path', target);
  fields.addAll(head.fields);
  // The trailers that an HTTP/2 endpoint may send are passed on in chunks.
  fields.add('te', 'trailers');
  return fields.list(table);
}

/** The fields of an HTTP/1.1 response as an HTTP/2 one. */
export function responseList(head: ResponseHead, table: HeaderListTable): HeaderList {
  const fields = new Fields();
  fields.add(':status', String(head.status));
  fields.addAll(head.fields);
  return fields.list(table);
}

/** Trailer lines with the empty line after them; null when there are none. */
export function trailerList(lines: Buffer, table: HeaderListTable): HeaderList | null {
  const section = new FieldSection(limits.headerCountMax);
  if (section.parse(lines, 0, lines.length) <= 0 || section.count === 0) return null;
  const fields = new Fields();
  fields.addAll(section);
  return fields.list(table);
}

/** The head of an HTTP/1.1 request that says what an HTTP/2 one does. `chunked`: a body of unknown length follows. */
export function requestText(facts: RequestFacts, list: HeaderList, chunked: boolean): string {
  const { names, values } = list;
  const path = values[names.indexOf(':path')] as string;
  const authorityAt = names.indexOf(':authority');
  let text = `${facts.method} ${path} HTTP/1.1\r\n`;
  if (authorityAt >= 0) text += `host: ${values[authorityAt]}\r\n`;
  let cookies = '';
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (name.charCodeAt(0) === 0x3a || name === 'te' || (name === 'host' && authorityAt >= 0)) continue;
    if (name === 'cookie') cookies += `${cookies === '' ? '' : '; '}${values[i]}`;
    else text += `${name}: ${values[i]}\r\n`;
  }
  if (cookies !== '') text += `cookie: ${cookies}\r\n`;
  return `${text}${chunked ? 'transfer-encoding: chunked\r\n' : ''}\r\n`;
}

/**
 * The head of an HTTP/1.1 response that says what an HTTP/2 one does; reason phrases do not exist there.
 * @param empty there is no body, and the head does not say so by itself
 */
export function responseText(list: HeaderList, status: number, chunked: boolean, empty: boolean): string {
  const { names, values } = list;
  let text = `HTTP/1.1 ${status} \r\n`;
  for (let i = 0; i < names.length; i++) {
    if ((names[i] as string).charCodeAt(0) !== 0x3a) text += `${names[i]}: ${values[i]}\r\n`;
  }
  const framing = chunked ? 'transfer-encoding: chunked\r\n' : empty ? 'content-length: 0\r\n' : '';
  return `${text}${framing}\r\n`;
}

/** Trailers as the end of a chunked body, without those that HTTP/1.1 forbids there: some servers merge them into the head. */
export function lastChunkText(trailers: HeaderList | null): string {
  let text = '0\r\n';
  trailers?.names.forEach((name, i) => {
    if (!isForbiddenTrailer(name)) text += `${name}: ${trailers.values[i]}\r\n`;
  });
  return `${text}\r\n`;
}
