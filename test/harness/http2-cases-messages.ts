/** HTTP/2 conformance: malformed messages and malformed HPACK (h2spec's http2 section 8 and hpack). Names are our own. */
import { integer, string } from '../unit/http2/hpack-reference.ts';
import { type ConformanceCase, connectionError, GET, POST, request, streamError } from './http2-case.ts';
import * as h2 from './http2-frames.ts';

/** A request whose head alone is malformed: stream error PROTOCOL_ERROR. */
function malformed(
  id: string,
  section: string,
  name: string,
  fields: readonly (readonly [string, string])[],
): ConformanceCase {
  return {
    id,
    source: `RFC 9113 section ${section}`,
    name,
    steps: [h2.headers(1, h2.block(fields)), streamError(1, h2.PROTOCOL_ERROR)],
  };
}

export const messageCases: readonly ConformanceCase[] = [
  {
    id: 'http2/8.1/1',
    source: 'RFC 9113 section 8.1',
    name: 'trailers that do not end the stream',
    steps: [
      h2.headers(1, POST, h2.END_HEADERS),
      h2.data(1, 'body'),
      h2.headers(1, h2.block([['x-sum', '1']]), h2.END_HEADERS),
      streamError(1, h2.PROTOCOL_ERROR),
    ],
  },
  malformed('http2/8.1.2/1', '8.2.1', 'a name in upper case', request('GET', [['X-Probe', '1']])),
  malformed('http2/8.1.2.1/1', '8.3', 'an unknown pseudo-field', request('GET', [[':probe', '1']])),
  malformed('http2/8.1.2.1/2', '8.3', 'a pseudo-field of responses', request('GET', [[':status', '200']])),
  {
    id: 'http2/8.1.2.1/3',
    source: 'RFC 9113 section 8.3',
    name: 'a pseudo-field in trailers',
    steps: [
      h2.headers(1, POST, h2.END_HEADERS),
      h2.data(1, 'body'),
      h2.headers(1, h2.block([[':method', 'POST']])),
      streamError(1, h2.PROTOCOL_ERROR),
    ],
  },
  malformed('http2/8.1.2.1/4', '8.3', 'a pseudo-field after a field', [['x-probe', '1'], ...request('GET')]),
  malformed('http2/8.1.2.2/1', '8.2.2', 'a connection-specific field', request('GET', [['connection', 'keep-alive']])),
  malformed('http2/8.1.2.2/2', '8.2.2', 'TE other than trailers', request('GET', [['te', 'trailers, deflate']])),
  malformed('http2/8.1.2.3/1', '8.3.1', 'an empty :path', request('GET', [[':path', '']], [':path'])),
  malformed('http2/8.1.2.3/2', '8.3.1', 'no :method', request('GET', [], [':method'])),
  malformed('http2/8.1.2.3/3', '8.3.1', 'no :scheme', request('GET', [], [':scheme'])),
  malformed('http2/8.1.2.3/4', '8.3.1', 'no :path', request('GET', [], [':path'])),
  malformed('http2/8.1.2.3/5', '8.3.1', 'two :method', request('GET', [[':method', 'GET']])),
  malformed('http2/8.1.2.3/6', '8.3.1', 'two :scheme', request('GET', [[':scheme', 'http']])),
  malformed('http2/8.1.2.3/7', '8.3.1', 'two :path', request('GET', [[':path', '/']])),
  {
    id: 'http2/8.1.2.6/1',
    source: 'RFC 9113 section 8.1.1',
    name: 'a body longer than its content-length',
    steps: [
      h2.headers(1, h2.block(request('POST', [['content-length', '1']])), h2.END_HEADERS),
      h2.data(1, 'body', h2.END_STREAM),
      streamError(1, h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/8.1.2.6/2',
    source: 'RFC 9113 section 8.1.1',
    name: 'a body in two frames longer than its content-length',
    steps: [
      h2.headers(1, h2.block(request('POST', [['content-length', '1']])), h2.END_HEADERS),
      h2.data(1, 'body'),
      h2.data(1, 'more', h2.END_STREAM),
      streamError(1, h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/8.2/1',
    source: 'RFC 9113 section 8.4',
    name: 'PUSH_PROMISE from a client',
    steps: [h2.pushPromise(1, 3, GET), connectionError(h2.PROTOCOL_ERROR)],
  },
];

/** A block that cannot be decoded, with octets before or behind those of a request. */
function undecodable(
  id: string,
  section: string,
  name: string,
  before: Uint8Array,
  behind: Uint8Array,
): ConformanceCase {
  return {
    id,
    source: `RFC 7541 section ${section}`,
    name,
    steps: [h2.headers(1, Buffer.concat([before, GET, behind])), connectionError(h2.COMPRESSION_ERROR)],
  };
}

const NOTHING = Buffer.alloc(0);
/** `x-probe`, not indexed, and then a value of these octets as Huffman code. */
const huffmanValue = (...octets: number[]): Buffer =>
  Buffer.concat([Buffer.of(0), string('x-probe', false), Buffer.of(0x80 | octets.length, ...octets)]);

export const hpackCases: readonly ConformanceCase[] = [
  undecodable('hpack/2.3.3/1', '2.3.3', 'an index beyond both tables', NOTHING, Buffer.of(0x80 | 70)),
  undecodable('hpack/4.2/1', '4.2', 'a size update behind fields', NOTHING, Buffer.of(0x21)),
  // "aaa" is 00011 00011 00011 and one bit of padding; or more.
  undecodable('hpack/5.2/1', '5.2', 'Huffman padding of nine bits', NOTHING, huffmanValue(0x18, 0xc7, 0xff)),
  undecodable('hpack/5.2/2', '5.2', 'Huffman padding of zeros', NOTHING, huffmanValue(0x18, 0xc6)),
  undecodable('hpack/5.2/3', '5.2', 'Huffman code with EOS', NOTHING, huffmanValue(0xff, 0xff, 0xff, 0xfc, 0x63)),
  undecodable('hpack/6.1/1', '6.1', 'index 0', NOTHING, Buffer.of(0x80)),
  {
    id: 'hpack/6.3/1',
    source: 'RFC 7541 section 6.3',
    name: 'a size update beyond SETTINGS_HEADER_TABLE_SIZE',
    steps: [
      async (client) => {
        const size = (client.settings.get(h2.HEADER_TABLE_SIZE) ?? 4_096) + 1;
        client.send(h2.headers(1, Buffer.concat([integer(size, 5, 0x20), GET])));
      },
      connectionError(h2.COMPRESSION_ERROR),
    ],
  },
];
