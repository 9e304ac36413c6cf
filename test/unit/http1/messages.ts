/** Generators of valid HTTP/1.1 messages, as text, with what they are meant to say. */
import fc from 'fast-check';

const TOKEN_UNITS = [..."!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"];
const VALUE_UNITS = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).filter(
  (c) => c === '\t' || (c >= ' ' && c !== '\x7f'),
);
const PATH_UNITS = [
  ..."abcXYZ019-_~!$&'()*+,;=:@",
  '/',
  '/',
  '.',
  '..',
  '/.',
  '/..',
  '\\',
  '%2e',
  '%41',
  '%2F',
  '%ff',
  '|',
  '{',
  '"',
];
const QUERY_UNITS = [...PATH_UNITS, '?', '&', '=', '%00'];

const text = (units: string[], minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...units), { minLength, maxLength }).map((parts) => parts.join(''));

export const token = (): fc.Arbitrary<string> => text(TOKEN_UNITS, 1, 12);

/** Names that mean nothing to the codec, so that generated fields never frame or route by accident. */
export const plainName = (): fc.Arbitrary<string> => token().map((name) => `x-${name}`);

export const value = (): fc.Arbitrary<string> => text(VALUE_UNITS, 0, 24).map((v) => v.replace(/^[ \t]+|[ \t]+$/g, ''));

export interface EncodedBody {
  readonly text: string;
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
}

const extension = (): fc.Arbitrary<string> =>
  fc.oneof(
    token().map((name) => `;${name}`),
    fc.tuple(token(), token()).map(([name, val]) => `;${name}=${val}`),
    fc.tuple(token(), text(VALUE_UNITS, 0, 8)).map(([name, val]) => `;${name}="${val.replace(/["\\]/g, '\\$&')}"`),
  );

const chunk = (): fc.Arbitrary<{ data: string; zeros: number; upper: boolean; extensions: string }> =>
  fc.record({
    data: fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).map((s) => Buffer.from(s).toString('latin1')),
      fc.constantFrom('\r\n0\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'a'.repeat(300)),
    ),
    zeros: fc.nat({ max: 3 }),
    upper: fc.boolean(),
    extensions: fc.array(extension(), { maxLength: 2 }).map((list) => list.join('')),
  });

export const field = (): fc.Arbitrary<readonly [string, string]> => fc.tuple(plainName(), value());

/** A chunked body, its content and its trailers. */
export const chunkedBody = (): fc.Arbitrary<EncodedBody> =>
  fc
    .record({
      chunks: fc.array(chunk(), { maxLength: 4 }),
      end: fc.array(extension(), { maxLength: 1 }),
      trailers: fc.array(field(), { maxLength: 2 }),
    })
    .map(({ chunks, end, trailers }) => {
      let encoded = '';
      for (const { data, zeros, upper, extensions } of chunks) {
        const size = '0'.repeat(zeros) + data.length.toString(16);
        encoded += `${upper ? size.toUpperCase() : size}${extensions}\r\n${data}\r\n`;
      }
      encoded += `0${end.join('')}\r\n${trailers.map(([name, val]) => `${name}: ${val}\r\n`).join('')}\r\n`;
      return { text: encoded, body: chunks.map((c) => c.data).join(''), trailers };
    });

const space = (): fc.Arbitrary<string> => fc.constantFrom('', ' ', ' ', ' ', '\t', '  ');

export const hostName = (): fc.Arbitrary<string> =>
  fc.constantFrom('a', 'Echo.Ns.svc.cluster.local', 'shop.example.com.', '10.0.0.1', '[fd00::1]', 'a_b', 'x-1');

const port = (): fc.Arbitrary<string> => fc.constantFrom('', ':80', ':8080', ':', ':65535');

/** Methods that Node's parser knows, so that it can be asked for its opinion. */
export const method = (): fc.Arbitrary<string> =>
  fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'PURGE');

export interface GeneratedRequest {
  readonly text: string;
  readonly method: string;
  /** Without Connection and other hop-by-hop fields, in order. */
  readonly endToEnd: readonly (readonly [string, string])[];
  readonly body: string;
  readonly closes: boolean;
}

const path = (): fc.Arbitrary<string> => text(PATH_UNITS, 0, 12).map((rest) => `/${rest}`);

const target = (host: string): fc.Arbitrary<string> =>
  fc.tuple(path(), fc.option(text(QUERY_UNITS, 0, 10)), fc.integer({ min: 0, max: 5 })).map(([at, query, form]) => {
    const origin = query === null ? at : `${at}?${query}`;
    return form === 0 ? `http://${host}${origin}` : origin;
  });

const connection = (): fc.Arbitrary<readonly (readonly [string, string])[]> =>
  fc.constantFrom<readonly (readonly [string, string])[]>(
    [],
    [],
    [['Connection', 'keep-alive']],
    [['connection', 'close']],
    [
      ['Connection', 'keep-alive, X-Hop'],
      ['X-Hop', '1'],
    ],
    [
      ['TE', 'trailers'],
      ['Connection', 'TE'],
    ],
    [
      ['Keep-Alive', 'timeout=5'],
      ['Proxy-Connection', 'keep-alive'],
    ],
    [
      ['Upgrade', 'h2c'],
      ['HTTP2-Settings', 'AAA'],
      ['Connection', 'Upgrade, HTTP2-Settings'],
    ],
  );

const HOP = /^(?:connection|keep-alive|proxy-connection|te|upgrade|http2-settings|x-hop)$/i;

/** A valid request with its body; `version` 1.1. */
export const request = (): fc.Arbitrary<GeneratedRequest> =>
  fc.tuple(hostName(), port()).chain(([name, at]) => {
    const host = name + at;
    return fc
      .record({
        method: method(),
        target: target(host),
        fields: fc.array(field(), { maxLength: 4 }),
        connection: connection(),
        spaces: fc.tuple(space(), space()),
        body: fc.oneof(
          fc.constant(null),
          fc.string({ unit: 'binary', maxLength: 30 }).map((s) => Buffer.from(s).toString('latin1')),
          chunkedBody(),
        ),
        order: fc.nat({ max: 3 }),
        emptyLine: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      })
      .map((r) => {
        const [before, after] = r.spaces;
        const framing: (readonly [string, string])[] =
          r.body === null
            ? []
            : typeof r.body === 'string'
              ? [['Content-Length', String(r.body.length)]]
              : [['Transfer-Encoding', 'chunked']];
        const fields = [['Host', host] as const, ...r.fields, ...r.connection, ...framing];
        const turned = [...fields.slice(r.order), ...fields.slice(0, r.order)];
        const head = turned.map(([key, val]) => `${key}:${before}${val}${after}\r\n`).join('');
        const body = r.body === null ? '' : typeof r.body === 'string' ? r.body : r.body.text;
        return {
          text: `${r.emptyLine ? '\r\n' : ''}${r.method} ${r.target} HTTP/1.1\r\n${head}\r\n${body}`,
          method: r.method,
          endToEnd: turned.filter(([key]) => !HOP.test(key)),
          body: r.body === null ? '' : typeof r.body === 'string' ? r.body : r.body.body,
          closes: r.connection.some(([, val]) => val === 'close'),
        };
      });
  });

export interface GeneratedResponse {
  readonly text: string;
  readonly status: number;
  readonly endToEnd: readonly (readonly [string, string])[];
  readonly body: string;
}

/** A valid final response to GET, with its body. */
export const response = (): fc.Arbitrary<GeneratedResponse> =>
  fc
    .record({
      status: fc.constantFrom(200, 201, 204, 206, 301, 304, 404, 426, 500, 599),
      reason: value(),
      fields: fc.array(field(), { maxLength: 4 }),
      connection: fc.constantFrom<readonly (readonly [string, string])[]>(
        [],
        [
          ['Connection', 'keep-alive'],
          ['Keep-Alive', 'timeout=5'],
        ],
        [['Connection', 'close']],
        [
          ['X-Hop', '1'],
          ['Connection', 'x-hop'],
        ],
      ),
      body: fc.oneof(
        fc.string({ unit: 'binary', maxLength: 30 }).map((s) => Buffer.from(s).toString('latin1')),
        chunkedBody(),
      ),
    })
    .map((r) => {
      const bodyless = r.status === 204 || r.status === 304;
      const framing: readonly (readonly [string, string])[] = bodyless
        ? []
        : typeof r.body === 'string'
          ? [['Content-Length', String(r.body.length)]]
          : [['transfer-encoding', 'chunked']];
      const fields = [...r.fields, ...r.connection, ...framing];
      const head = fields.map(([name, val]) => `${name}: ${val}\r\n`).join('');
      const body = bodyless ? '' : typeof r.body === 'string' ? r.body : r.body.text;
      return {
        text: `HTTP/1.1 ${r.status} ${r.reason}\r\n${head}\r\n${body}`,
        status: r.status,
        endToEnd: fields.filter(([name]) => !HOP.test(name)),
        body: bodyless ? '' : typeof r.body === 'string' ? r.body : r.body.body,
      };
    });
