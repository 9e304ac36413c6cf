/**
 * A second, independent reader of HTTP/1.1, as small and literal as the grammar allows: regular expressions over a string,
 * nothing shared with agent/http1. Tests compare the codec with it. It throws on anything it does not take for granted.
 */

export interface PlainMessage {
  /** Request: method, target, version. Response: version, status, reason. */
  readonly start: readonly [string, string, string];
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const FIELD = `${TOKEN}:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n`;
const REQUEST = new RegExp(`^(${TOKEN}) ([\\x21\\x22\\x24-\\x7e]+) HTTP/1\\.([01])\\r\\n((?:${FIELD})*)\\r\\n`);
const RESPONSE = new RegExp(
  `^HTTP/1\\.([01]) ([1-9][0-9]{2}) ([\\t\\x20-\\x7e\\x80-\\xff]*)\\r\\n((?:${FIELD})*)\\r\\n`,
);
const CHUNK = new RegExp(
  `^([0-9A-Fa-f]{1,16})((?:;${TOKEN}(?:=(?:${TOKEN}|"(?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"))?)*)\\r\\n`,
);
const TRAILERS = new RegExp(`^((?:${FIELD})*)\\r\\n`);

function fieldsOf(section: string): (readonly [string, string])[] {
  return section
    .split('\r\n')
    .slice(0, -1)
    .map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')] as const;
    });
}

/** Values of a field, by lower-case name. */
export function valuesOf(message: Pick<PlainMessage, 'fields'>, name: string): string[] {
  return message.fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
}

interface Body {
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
  readonly rest: string;
}

/** Decodes one chunked body from the start of `text`. */
export function readChunked(text: string): Body {
  let rest = text;
  let body = '';
  for (;;) {
    const line = CHUNK.exec(rest);
    if (line === null) throw new Error(`strict parser: no chunk line in ${JSON.stringify(rest.slice(0, 60))}`);
    const size = Number.parseInt(line[1] as string, 16);
    rest = rest.slice(line[0].length);
    if (size === 0) break;
    if (rest.length < size + 2 || rest.slice(size, size + 2) !== '\r\n')
      throw new Error('strict parser: chunk does not end in CRLF');
    body += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  const section = TRAILERS.exec(rest);
  if (section === null) throw new Error('strict parser: bad trailer section');
  return { body, trailers: fieldsOf(section[1] as string), rest: rest.slice(section[0].length) };
}

function readBody(fields: PlainMessage['fields'], rest: string, without: string): Body {
  const codings = valuesOf({ fields }, 'transfer-encoding');
  const lengths = valuesOf({ fields }, 'content-length');
  if (codings.length + lengths.length > 1) throw new Error('strict parser: two lengths');
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Error(`strict parser: coding ${codings[0]}`);
    return readChunked(rest);
  }
  if (lengths.length === 0)
    return without === 'none' ? { body: '', trailers: [], rest } : { body: rest, trailers: [], rest: '' };
  if (!/^[0-9]+$/.test(lengths[0] as string)) throw new Error(`strict parser: length ${lengths[0]}`);
  const length = Number(lengths[0]);
  if (rest.length < length) throw new Error('strict parser: body is cut short');
  return { body: rest.slice(0, length), trailers: [], rest: rest.slice(length) };
}

/** All requests in `text`, which must hold nothing else. */
export function readRequests(text: string): PlainMessage[] {
  const found: PlainMessage[] = [];
  let rest = text;
  while (rest !== '') {
    const head = REQUEST.exec(rest);
    if (head === null) throw new Error(`strict parser: no request in ${JSON.stringify(rest.slice(0, 80))}`);
    const [whole, method, target, minor, section] = head as unknown as [string, string, string, string, string];
    const fields = fieldsOf(section);
    if (minor === '1' && valuesOf({ fields }, 'host').length !== 1)
      throw new Error('strict parser: not exactly one Host');
    const { body, trailers, rest: next } = readBody(fields, rest.slice(whole.length), 'none');
    found.push({ start: [method, target, `1.${minor}`], fields, body, trailers });
    rest = next;
  }
  return found;
}

/** The one response in `text`; `bodyless` when it answers HEAD or its status forbids a body. */
export function readResponse(text: string, bodyless: boolean): PlainMessage & { readonly rest: string } {
  const head = RESPONSE.exec(text);
  if (head === null) throw new Error(`strict parser: no response in ${JSON.stringify(text.slice(0, 80))}`);
  const [whole, minor, status, reason, section] = head as unknown as [string, string, string, string, string];
  const fields = fieldsOf(section);
  const after = text.slice(whole.length);
  const { body, trailers, rest } = bodyless
    ? { body: '', trailers: [], rest: after }
    : readBody(fields, after, 'until close');
  return { start: [`1.${minor}`, status, reason], fields, body, trailers, rest };
}
