/** HTTP/2 conformance: preface, frame format, stream states (h2spec's http2 sections 3 to 5). Names are our own. */
import {
  alive,
  closed,
  type ConformanceCase,
  connectionError,
  FILLING,
  GET,
  POST,
  request,
  responseEnds,
  responseOn,
  type Step,
  streamError,
} from './http2-case.ts';
import { settingsFirst } from './http2-cases-accepted.ts';
import * as h2 from './http2-frames.ts';

/** A type that no RFC defines. */
const UNKNOWN_FRAME = h2.frame(0x16, 0, 0, '\0\0\0\0\0\0\0\0');
const ZEROS = '\0\0\0\0\0\0\0\0';

const answered: Step = async (client) => {
  await client.until('an answer to PING', ({ type, flags }) => type === h2.PING && flags === h2.ACK);
};

/** The largest payload the server takes (RFC 9113 section 4.2). */
const frameSize = (client: h2.Http2Client): number => client.settings.get(h2.MAX_FRAME_SIZE) ?? 16_384;

/** POST with a body of the server's largest frame and some octets. */
const largeBody =
  (more: number): Step =>
  async (client) => {
    const body = Buffer.alloc(frameSize(client) + more, 0x78);
    client.send(h2.headers(1, POST, h2.END_HEADERS), h2.data(1, body, h2.END_STREAM));
  };

export const streamCases: readonly ConformanceCase[] = [
  {
    id: 'http2/3.5/1',
    source: 'RFC 9113 section 3.4',
    name: 'the server’s preface is SETTINGS, and first of all',
    bare: true,
    steps: [h2.PREFACE, h2.settings([h2.INITIAL_WINDOW_SIZE, 65_535]), settingsFirst],
  },
  {
    id: 'http2/3.5/2',
    source: 'RFC 9113 section 3.4',
    name: 'another preface closes the connection',
    bare: true,
    steps: [Buffer.from('NO PREFACE OF ANY VERSION\r\n\r\n'), closed],
  },

  {
    id: 'http2/4.1/1',
    source: 'RFC 9113 section 4.1',
    name: 'a frame of unknown type is ignored',
    steps: [UNKNOWN_FRAME, alive],
  },
  {
    id: 'http2/4.1/2',
    source: 'RFC 9113 section 4.1',
    name: 'unknown flags are ignored',
    steps: [h2.frame(h2.PING, 0x16, 0, ZEROS), answered],
  },
  {
    id: 'http2/4.1/3',
    source: 'RFC 9113 section 4.1',
    name: 'the reserved bit of the stream identifier is ignored',
    steps: [h2.frame(h2.PING, 0x16, 0x8000_0000, ZEROS), answered],
  },
  {
    id: 'http2/4.2/1',
    source: 'RFC 9113 section 4.2',
    name: 'DATA of 16,384 octets',
    steps: [largeBody(0), responseOn(1)],
  },
  {
    id: 'http2/4.2/2',
    source: 'RFC 9113 section 4.2',
    name: 'DATA larger than SETTINGS_MAX_FRAME_SIZE',
    steps: [largeBody(1), streamError(1, h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/4.2/3',
    source: 'RFC 9113 section 4.2',
    name: 'HEADERS larger than SETTINGS_MAX_FRAME_SIZE',
    steps: [
      async (client) => {
        const fields = request('GET', [['x-filling', 'x'.repeat(frameSize(client))]]);
        client.send(h2.headers(1, h2.block(fields)));
      },
      connectionError(h2.FRAME_SIZE_ERROR),
    ],
  },
  {
    id: 'http2/4.3/1',
    source: 'RFC 9113 section 4.3',
    name: 'a header block that cannot be decoded',
    steps: [h2.headers(1, Buffer.of(0x40)), connectionError(h2.COMPRESSION_ERROR)],
  },
  {
    id: 'http2/4.3/2',
    source: 'RFC 9113 section 4.3',
    name: 'PRIORITY in the middle of a header block',
    steps: [
      h2.headers(1, GET, 0),
      h2.priority(1, 0, 255),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/4.3/3',
    source: 'RFC 9113 section 4.3',
    name: 'HEADERS of another stream in the middle of a header block',
    steps: [
      h2.headers(1, GET, 0),
      h2.headers(3, GET),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },

  {
    id: 'http2/5.1/1',
    source: 'RFC 9113 section 5.1',
    name: 'idle: DATA',
    steps: [h2.data(1, 'body', h2.END_STREAM), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1/2',
    source: 'RFC 9113 section 5.1',
    name: 'idle: RST_STREAM',
    steps: [h2.rstStream(1, h2.CANCEL), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1/3',
    source: 'RFC 9113 section 5.1',
    name: 'idle: WINDOW_UPDATE',
    steps: [h2.windowUpdate(1, 100), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1/4',
    source: 'RFC 9113 section 6.10',
    name: 'idle: CONTINUATION',
    steps: [h2.continuation(1, GET, h2.END_HEADERS), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1/5',
    source: 'RFC 9113 section 5.1',
    name: 'half-closed by the client: DATA',
    steps: [h2.headers(1, GET), h2.data(1, 'body', h2.END_STREAM), streamError(1, h2.STREAM_CLOSED)],
  },
  {
    id: 'http2/5.1/6',
    source: 'RFC 9113 section 5.1',
    name: 'half-closed by the client: HEADERS',
    steps: [h2.headers(1, GET), h2.headers(1, GET), streamError(1, h2.STREAM_CLOSED)],
  },
  {
    id: 'http2/5.1/7',
    source: 'RFC 9113 sections 5.1 and 6.10',
    name: 'half-closed by the client: CONTINUATION',
    steps: [
      h2.headers(1, GET),
      h2.continuation(1, GET, h2.END_HEADERS),
      streamError(1, h2.STREAM_CLOSED, h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/5.1/8',
    source: 'RFC 9113 section 5.1',
    name: 'closed by the client’s RST_STREAM: DATA',
    steps: [
      h2.headers(1, GET, h2.END_HEADERS),
      h2.rstStream(1, h2.CANCEL),
      h2.data(1, 'body', h2.END_STREAM),
      streamError(1, h2.STREAM_CLOSED),
    ],
  },
  {
    id: 'http2/5.1/9',
    source: 'RFC 9113 section 5.1',
    name: 'closed by the client’s RST_STREAM: HEADERS',
    steps: [
      h2.headers(1, GET, h2.END_HEADERS),
      h2.rstStream(1, h2.CANCEL),
      h2.headers(1, GET),
      streamError(1, h2.STREAM_CLOSED),
    ],
  },
  {
    id: 'http2/5.1/10',
    source: 'RFC 9113 sections 5.1 and 6.10',
    name: 'closed by the client’s RST_STREAM: CONTINUATION',
    steps: [
      h2.headers(1, GET, h2.END_HEADERS),
      h2.rstStream(1, h2.CANCEL),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      streamError(1, h2.STREAM_CLOSED, h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/5.1/11',
    source: 'RFC 9113 section 5.1',
    name: 'closed by both: DATA',
    steps: [h2.headers(1, GET), responseEnds(1), h2.data(1, 'body', h2.END_STREAM), streamError(1, h2.STREAM_CLOSED)],
  },
  {
    id: 'http2/5.1/12',
    source: 'RFC 9113 section 5.1',
    name: 'closed by both: HEADERS',
    steps: [h2.headers(1, GET), responseEnds(1), h2.headers(1, GET), connectionError(h2.STREAM_CLOSED)],
  },
  {
    id: 'http2/5.1/13',
    source: 'RFC 9113 sections 5.1 and 6.10',
    name: 'closed by both: CONTINUATION',
    steps: [
      h2.headers(1, GET),
      responseEnds(1),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.STREAM_CLOSED, h2.PROTOCOL_ERROR),
    ],
  },

  {
    id: 'http2/5.1.1/1',
    source: 'RFC 9113 section 5.1.1',
    name: 'a client’s stream with an even number',
    steps: [h2.headers(2, GET), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1.1/2',
    source: 'RFC 9113 section 5.1.1',
    name: 'a stream with a lower number than the last',
    steps: [h2.headers(5, GET), h2.headers(3, GET), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.1.2/1',
    source: 'RFC 9113 section 5.1.2',
    name: 'one stream more than SETTINGS_MAX_CONCURRENT_STREAMS',
    steps: [
      h2.settings([h2.INITIAL_WINDOW_SIZE, 0]),
      async (client) => {
        const allowed = client.settings.get(h2.MAX_CONCURRENT_STREAMS);
        if (allowed === undefined) throw new Error('the server must bound its streams');
        const last = 2 * allowed + 1;
        for (let stream = 1; stream <= last; stream += 2) client.send(h2.headers(stream, GET));
        const refused = streamError(last, h2.PROTOCOL_ERROR, h2.REFUSED_STREAM);
        if (typeof refused === 'function') await refused(client);
      },
    ],
  },

  // RFC 9113 has deprecated priority and says nothing any more of a stream that depends on itself.
  {
    id: 'http2/5.3.1/1',
    source: 'RFC 7540 section 5.3.1',
    name: 'HEADERS that depend on their own stream',
    steps: [h2.headersWithPriority(1, GET, 1, 255), streamError(1, h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.3.1/2',
    source: 'RFC 7540 section 5.3.1',
    name: 'PRIORITY that depends on its own stream',
    steps: [h2.priority(1, 1, 255), streamError(1, h2.PROTOCOL_ERROR)],
  },

  {
    id: 'http2/5.4.1/1',
    source: 'RFC 9113 section 5.4.1',
    name: 'a connection error closes the connection',
    steps: [h2.frame(h2.PING, 0, 3, ZEROS), closed],
  },
  {
    id: 'http2/5.4.1/2',
    source: 'RFC 9113 section 5.4.1',
    name: 'a connection error is told with GOAWAY first',
    steps: [h2.frame(h2.PING, 0, 3, ZEROS), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/5.5/1',
    source: 'RFC 9113 section 5.5',
    name: 'an extension’s frame is ignored',
    steps: [UNKNOWN_FRAME, alive],
  },
  {
    id: 'http2/5.5/2',
    source: 'RFC 9113 section 5.5',
    name: 'an extension’s frame in the middle of a header block',
    steps: [h2.headers(1, GET, h2.END_STREAM), UNKNOWN_FRAME, connectionError(h2.PROTOCOL_ERROR)],
  },
];
