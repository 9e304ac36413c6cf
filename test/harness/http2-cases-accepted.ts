/** HTTP/2 conformance: what a server must take without complaint (h2spec's generic group). Names are our own. */
import { string } from '../unit/http2/hpack-reference.ts';
import {
  alive,
  aliveOrClosed,
  type ConformanceCase,
  dataOf,
  GET,
  pingAnswered,
  POST,
  request,
  responseEnds,
  responseOn,
  settingsAcknowledged,
  type Step,
} from './http2-case.ts';
import * as h2 from './http2-frames.ts';

/** The first frame is SETTINGS and no acknowledgement (RFC 9113 section 3.4). */
export const settingsFirst: Step = async (client) => {
  const first = await client.next();
  if (first?.type !== h2.SETTINGS || (first.flags & h2.ACK) !== 0) throw new Error(`came: ${client.seen.join(', ')}`);
};

const NO_WINDOW = h2.settings([h2.INITIAL_WINDOW_SIZE, 0]);
const PRIORITY = 'RFC 9113 section 5.3.2';

/** A field in one representation of RFC 7541 section 6.2: its first octet, then name and value. */
function literal(pattern: number, name: number | string, coded: boolean): Uint8Array {
  const value = string('probe', coded);
  if (typeof name === 'string') return Buffer.concat([Buffer.of(pattern), string(name, coded), value]);
  // 58, user-agent, fits the six bits of one pattern and not the four of the others.
  const index = pattern === 0x40 ? Buffer.of(pattern | name) : Buffer.of(pattern | 0x0f, name - 0x0f);
  return Buffer.concat([index, value]);
}

const USER_AGENT = 58;

const representations: readonly (readonly [number: number, name: string, field: Uint8Array])[] = [
  [1, 'an indexed field', Buffer.of(0x80 | USER_AGENT)],
  [2, 'indexed from now on, name by index', literal(0x40, USER_AGENT, false)],
  [3, 'indexed from now on, name by index, Huffman', literal(0x40, USER_AGENT, true)],
  [4, 'indexed from now on, new name', literal(0x40, 'x-probe', false)],
  [5, 'indexed from now on, new name, Huffman', literal(0x40, 'x-probe', true)],
  [6, 'not indexed, name by index', literal(0x00, USER_AGENT, false)],
  [7, 'not indexed, name by index, Huffman', literal(0x00, USER_AGENT, true)],
  [8, 'not indexed, new name', literal(0x00, 'x-probe', false)],
  [9, 'not indexed, new name, Huffman', literal(0x00, 'x-probe', true)],
  [10, 'never indexed, name by index', literal(0x10, USER_AGENT, false)],
  [11, 'never indexed, name by index, Huffman', literal(0x10, USER_AGENT, true)],
  [12, 'never indexed, new name', literal(0x10, 'x-probe', false)],
  [13, 'never indexed, new name, Huffman', literal(0x10, 'x-probe', true)],
];

export const acceptedCases: readonly ConformanceCase[] = [
  {
    id: 'generic/1/1',
    source: 'RFC 9113 section 3.4',
    name: 'the preface is answered with SETTINGS',
    bare: true,
    steps: [h2.PREFACE, h2.settings([h2.INITIAL_WINDOW_SIZE, 65_535]), settingsFirst],
  },

  {
    id: 'generic/2/1',
    source: PRIORITY,
    name: 'PRIORITY on an idle stream',
    steps: [h2.priority(1, 0, 255), alive],
  },
  {
    id: 'generic/2/2',
    source: 'RFC 9113 section 5.1',
    name: 'WINDOW_UPDATE on a half-closed stream lets the response go on',
    steps: [NO_WINDOW, h2.headers(1, GET), h2.windowUpdate(1, 1), dataOf(1)],
  },
  {
    id: 'generic/2/3',
    source: PRIORITY,
    name: 'PRIORITY on a half-closed stream',
    steps: [NO_WINDOW, h2.headers(1, GET), h2.priority(1, 0, 255), h2.windowUpdate(1, 1), dataOf(1)],
  },
  {
    id: 'generic/2/4',
    source: 'RFC 9113 section 5.1',
    name: 'RST_STREAM on a half-closed stream',
    steps: [h2.headers(1, GET), h2.rstStream(1, h2.CANCEL), alive],
  },
  {
    id: 'generic/2/5',
    source: PRIORITY,
    name: 'PRIORITY on a closed stream',
    steps: [h2.headers(1, GET), responseEnds(1), h2.priority(1, 0, 255), alive],
  },

  {
    id: 'generic/3.1/1',
    source: 'RFC 9113 section 6.1',
    name: 'a body in one DATA frame',
    steps: [h2.headers(1, POST, h2.END_HEADERS), h2.data(1, 'body', h2.END_STREAM), responseOn(1)],
  },
  {
    id: 'generic/3.1/2',
    source: 'RFC 9113 section 6.1',
    name: 'a body in two DATA frames',
    steps: [h2.headers(1, POST, h2.END_HEADERS), h2.data(1, 'body'), h2.data(1, 'more', h2.END_STREAM), responseOn(1)],
  },
  {
    id: 'generic/3.1/3',
    source: 'RFC 9113 section 6.1',
    name: 'DATA with padding',
    steps: [
      h2.headers(1, POST, h2.END_HEADERS),
      h2.data(1, '\x05body\0\0\0\0\0', h2.PADDED | h2.END_STREAM),
      responseOn(1),
    ],
  },

  {
    id: 'generic/3.2/1',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS',
    steps: [h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/3.2/2',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS with padding',
    steps: [
      h2.headers(1, Buffer.concat([Buffer.of(8), GET, Buffer.alloc(8)]), h2.END_HEADERS | h2.END_STREAM | h2.PADDED),
      responseOn(1),
    ],
  },
  {
    id: 'generic/3.2/3',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS with priority',
    steps: [h2.headersWithPriority(1, GET, 0, 255), responseOn(1)],
  },

  {
    id: 'generic/3.3/1',
    source: 'RFC 9113 section 6.3',
    name: 'PRIORITY of the least weight',
    steps: [h2.priority(1, 0, 0), h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/3.3/2',
    source: 'RFC 9113 section 6.3',
    name: 'PRIORITY of the greatest weight',
    steps: [h2.priority(1, 0, 255), h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/3.3/3',
    source: 'RFC 9113 section 6.3',
    name: 'PRIORITY that depends on a stream to come',
    steps: [h2.priority(3, 1, 0), h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/3.3/4',
    source: 'RFC 9113 section 6.3',
    name: 'exclusive PRIORITY',
    steps: [h2.priority(1, 0, 0, true), h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/3.3/5',
    source: PRIORITY,
    name: 'PRIORITY on a stream does not use up the ones below it',
    steps: [h2.priority(3, 0, 255), h2.headers(1, GET), responseOn(1)],
  },

  {
    id: 'generic/3.4/1',
    source: 'RFC 9113 section 6.4',
    name: 'RST_STREAM on an open stream',
    steps: [h2.headers(1, GET, h2.END_HEADERS), h2.rstStream(1, h2.CANCEL), alive],
  },
  {
    id: 'generic/3.5/1',
    source: 'RFC 9113 section 6.5',
    name: 'SETTINGS with every defined parameter',
    steps: [
      h2.settings(
        [h2.HEADER_TABLE_SIZE, 4_096],
        [h2.ENABLE_PUSH, 1],
        [h2.MAX_CONCURRENT_STREAMS, 100],
        [h2.INITIAL_WINDOW_SIZE, 65_535],
        [h2.MAX_FRAME_SIZE, 16_384],
        [h2.MAX_HEADER_LIST_SIZE, 100],
      ),
      settingsAcknowledged,
    ],
  },
  {
    id: 'generic/3.7/1',
    source: 'RFC 9113 section 6.7',
    name: 'PING',
    steps: [h2.ping('8 octets'), pingAnswered('8 octets')],
  },
  {
    id: 'generic/3.8/1',
    source: 'RFC 9113 section 6.8',
    name: 'GOAWAY without an error',
    steps: [h2.goaway(0, 0, 'bye'), aliveOrClosed],
  },
  {
    id: 'generic/3.9/1',
    source: 'RFC 9113 section 6.9',
    name: 'WINDOW_UPDATE on the connection',
    steps: [h2.windowUpdate(0, 1), alive],
  },
  {
    id: 'generic/3.9/2',
    source: 'RFC 9113 section 6.9',
    name: 'WINDOW_UPDATE on a stream',
    steps: [h2.headers(1, GET), h2.windowUpdate(1, 1), responseOn(1)],
  },
  {
    id: 'generic/3.10/1',
    source: 'RFC 9113 section 6.10',
    name: 'a block in HEADERS and one CONTINUATION',
    steps: [
      h2.headers(1, GET.subarray(0, 5), h2.END_STREAM),
      h2.continuation(1, GET.subarray(5), h2.END_HEADERS),
      responseOn(1),
    ],
  },
  {
    id: 'generic/3.10/2',
    source: 'RFC 9113 section 6.10',
    name: 'a block in HEADERS and two CONTINUATIONs',
    steps: [
      h2.headers(1, GET.subarray(0, 3), h2.END_STREAM),
      h2.continuation(1, GET.subarray(3, 5)),
      h2.continuation(1, GET.subarray(5), h2.END_HEADERS),
      responseOn(1),
    ],
  },

  {
    id: 'generic/4/1',
    source: 'RFC 9113 section 8.1',
    name: 'GET',
    steps: [h2.headers(1, GET), responseOn(1)],
  },
  {
    id: 'generic/4/2',
    source: 'RFC 9113 section 8.1',
    name: 'HEAD',
    steps: [h2.headers(1, h2.block(request('HEAD'))), responseOn(1)],
  },
  {
    id: 'generic/4/3',
    source: 'RFC 9113 section 8.1',
    name: 'POST',
    steps: [h2.headers(1, POST, h2.END_HEADERS), h2.data(1, 'body', h2.END_STREAM), responseOn(1)],
  },
  {
    id: 'generic/4/4',
    source: 'RFC 9113 section 8.1',
    name: 'POST with trailers',
    steps: [
      h2.headers(1, h2.block(request('POST', [['trailer', 'x-sum']])), h2.END_HEADERS),
      h2.data(1, 'body'),
      h2.headers(1, h2.block([['x-sum', '1']])),
      responseOn(1),
    ],
  },

  ...representations.map(([number, name, field]) => ({
    id: `generic/5/${number}`,
    source: 'RFC 7541 section 6',
    name,
    steps: [h2.headers(1, Buffer.concat([GET, field])), responseOn(1)],
  })),
  {
    id: 'generic/5/14',
    source: 'RFC 7541 section 6.3',
    name: 'a size update of the dynamic table',
    steps: [h2.headers(1, Buffer.concat([Buffer.of(0x3f, 0x61), GET])), responseOn(1)],
  },
  {
    id: 'generic/5/15',
    source: 'RFC 7541 section 4.2',
    name: 'two size updates of the dynamic table',
    steps: [h2.headers(1, Buffer.concat([Buffer.of(0x3f, 0x61, 0x3f, 0xe1, 0x1f), GET])), responseOn(1)],
  },
];
