/** HTTP/2 conformance: each frame type, misused (h2spec's http2 sections 6 and 7). Names are our own. */
import {
  alive,
  aliveOrClosed,
  type ConformanceCase,
  connectionError,
  dataOf,
  FILLING,
  GET,
  pingAnswered,
  POST,
  request,
  responseOn,
  settingsAcknowledged,
  type Step,
  streamError,
} from './http2-case.ts';
import * as h2 from './http2-frames.ts';

const ZEROS = '\0\0\0\0\0\0\0\0';
const WINDOW_MAX = 0x7fff_ffff;
const window = (octets: number): Uint8Array => h2.settings([h2.INITIAL_WINDOW_SIZE, octets]);

/** RST_STREAM itself, not the end of the connection. */
function reset(stream: number, code: number): Step {
  return async (client) => {
    const frame = await client.until('RST_STREAM', ({ type }) => type === h2.RST_STREAM || type === h2.GOAWAY);
    if (frame.type !== h2.RST_STREAM || frame.stream !== stream || frame.payload.readUInt32BE(0) !== code)
      throw new Error(`expected RST_STREAM code ${code}; came: ${client.seen.join(', ')}`);
  };
}

const settingsCases: readonly ConformanceCase[] = [
  {
    id: 'http2/6.5/1',
    source: 'RFC 9113 section 6.5',
    name: 'an acknowledgement with a payload',
    steps: [h2.frame(h2.SETTINGS, h2.ACK, 0, '\0'), connectionError(h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/6.5/2',
    source: 'RFC 9113 section 6.5',
    name: 'SETTINGS on a stream',
    steps: [h2.frame(h2.SETTINGS, 0, 1, '\0\x03\0\0\0\x64'), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.5/3',
    source: 'RFC 9113 section 6.5',
    name: 'SETTINGS of a length that is no multiple of six',
    steps: [h2.frame(h2.SETTINGS, 0, 0, '\0\x03\0'), connectionError(h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/6.5.2/1',
    source: 'RFC 9113 section 6.5.2',
    name: 'SETTINGS_ENABLE_PUSH of 2',
    steps: [h2.settings([h2.ENABLE_PUSH, 2]), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.5.2/2',
    source: 'RFC 9113 section 6.5.2',
    name: 'SETTINGS_INITIAL_WINDOW_SIZE of 2^31',
    steps: [window(2 ** 31), connectionError(h2.FLOW_CONTROL_ERROR)],
  },
  {
    id: 'http2/6.5.2/3',
    source: 'RFC 9113 section 6.5.2',
    name: 'SETTINGS_MAX_FRAME_SIZE below 2^14',
    steps: [h2.settings([h2.MAX_FRAME_SIZE, 2 ** 14 - 1]), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.5.2/4',
    source: 'RFC 9113 section 6.5.2',
    name: 'SETTINGS_MAX_FRAME_SIZE of 2^24',
    steps: [h2.settings([h2.MAX_FRAME_SIZE, 2 ** 24]), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.5.2/5',
    source: 'RFC 9113 section 6.5.2',
    name: 'an unknown setting is ignored',
    steps: [h2.settings([0xff, 1]), alive],
  },
  {
    id: 'http2/6.5.3/1',
    source: 'RFC 9113 section 6.5.3',
    name: 'of two values for one setting the last counts',
    steps: [
      h2.settings([h2.INITIAL_WINDOW_SIZE, 100], [h2.INITIAL_WINDOW_SIZE, 1]),
      settingsAcknowledged,
      h2.headers(1, GET),
      dataOf(1),
    ],
  },
  {
    id: 'http2/6.5.3/2',
    source: 'RFC 9113 section 6.5.3',
    name: 'SETTINGS are acknowledged',
    steps: [h2.settings([h2.ENABLE_PUSH, 0]), settingsAcknowledged],
  },
];

const windowCases: readonly ConformanceCase[] = [
  {
    id: 'http2/6.9/1',
    source: 'RFC 9113 section 6.9',
    name: 'WINDOW_UPDATE by 0 on the connection',
    steps: [h2.windowUpdate(0, 0), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.9/2',
    source: 'RFC 9113 section 6.9',
    name: 'WINDOW_UPDATE by 0 on a stream',
    steps: [h2.headers(1, GET, h2.END_HEADERS), h2.windowUpdate(1, 0), streamError(1, h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.9/3',
    source: 'RFC 9113 section 6.9',
    name: 'WINDOW_UPDATE of three octets',
    steps: [h2.frame(h2.WINDOW_UPDATE, 0, 0, '\0\0\x01'), connectionError(h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/6.9.1/1',
    source: 'RFC 9113 section 6.9.1',
    name: 'a window of one octet takes one octet',
    steps: [window(1), settingsAcknowledged, h2.headers(1, GET), dataOf(1)],
  },
  {
    id: 'http2/6.9.1/2',
    source: 'RFC 9113 section 6.9.1',
    name: 'the connection’s window grows beyond 2^31-1',
    steps: [h2.windowUpdate(0, WINDOW_MAX), h2.windowUpdate(0, WINDOW_MAX), connectionError(h2.FLOW_CONTROL_ERROR)],
  },
  {
    id: 'http2/6.9.1/3',
    source: 'RFC 9113 section 6.9.1',
    name: 'a stream’s window grows beyond 2^31-1',
    steps: [
      h2.headers(1, GET, h2.END_HEADERS),
      h2.windowUpdate(1, WINDOW_MAX),
      h2.windowUpdate(1, WINDOW_MAX),
      reset(1, h2.FLOW_CONTROL_ERROR),
    ],
  },
  {
    id: 'http2/6.9.2/1',
    source: 'RFC 9113 section 6.9.2',
    name: 'SETTINGS_INITIAL_WINDOW_SIZE changes the windows of open streams',
    steps: [window(0), settingsAcknowledged, h2.headers(1, GET), window(1), settingsAcknowledged, dataOf(1)],
  },
  {
    id: 'http2/6.9.2/2',
    source: 'RFC 9113 section 6.9.2',
    name: 'a window may become negative',
    steps: [
      window(3),
      settingsAcknowledged,
      h2.headers(1, GET),
      dataOf(3),
      window(2),
      settingsAcknowledged,
      h2.windowUpdate(1, 2),
      dataOf(1),
    ],
  },
  {
    id: 'http2/6.9.2/3',
    source: 'RFC 9113 section 6.9.2',
    name: 'SETTINGS_INITIAL_WINDOW_SIZE beyond 2^31-1',
    steps: [h2.frame(h2.SETTINGS, 0, 0, '\0\x04\x80\0\0\0'), connectionError(h2.FLOW_CONTROL_ERROR)],
  },
];

const continuationCases: readonly ConformanceCase[] = [
  {
    id: 'http2/6.10/1',
    source: 'RFC 9113 section 6.10',
    name: 'HEADERS and two CONTINUATIONs of 4,000 octets',
    steps: [
      h2.headers(1, GET, h2.END_STREAM),
      h2.continuation(1, FILLING),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      responseOn(1),
    ],
  },
  {
    id: 'http2/6.10/2',
    source: 'RFC 9113 section 6.10',
    name: 'DATA after a CONTINUATION that is not the last',
    steps: [
      h2.headers(1, POST, 0),
      h2.continuation(1, FILLING),
      h2.data(1, 'body', h2.END_STREAM),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.10/3',
    source: 'RFC 9113 section 6.10',
    name: 'CONTINUATION on no stream',
    steps: [
      h2.headers(1, GET, h2.END_STREAM),
      h2.continuation(0, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.10/4',
    source: 'RFC 9113 section 6.10',
    name: 'CONTINUATION after HEADERS with END_HEADERS',
    steps: [h2.headers(1, GET), h2.continuation(1, FILLING, h2.END_HEADERS), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.10/5',
    source: 'RFC 9113 section 6.10',
    name: 'CONTINUATION after CONTINUATION with END_HEADERS',
    steps: [
      h2.headers(1, GET, h2.END_STREAM),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.10/6',
    source: 'RFC 9113 section 6.10',
    name: 'CONTINUATION after DATA',
    steps: [
      h2.headers(1, POST, 0),
      h2.data(1, 'body', h2.END_STREAM),
      h2.continuation(1, FILLING),
      h2.continuation(0, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
];

export const frameCases: readonly ConformanceCase[] = [
  {
    id: 'http2/6.1/1',
    source: 'RFC 9113 section 6.1',
    name: 'DATA on no stream',
    steps: [h2.data(0, 'body', h2.END_STREAM), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.1/2',
    source: 'RFC 9113 section 6.1',
    name: 'DATA on a stream that is half-closed by the client',
    steps: [h2.headers(1, POST), h2.data(1, 'body', h2.END_STREAM), streamError(1, h2.STREAM_CLOSED)],
  },
  {
    id: 'http2/6.1/3',
    source: 'RFC 9113 section 6.1',
    name: 'DATA with more padding than payload',
    steps: [
      h2.headers(1, h2.block(request('POST', [['content-length', '4']])), h2.END_HEADERS),
      h2.data(1, '\x06body', h2.PADDED | h2.END_STREAM),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.2/1',
    source: 'RFC 9113 section 6.2',
    name: 'PRIORITY between HEADERS and CONTINUATION',
    steps: [
      h2.headers(1, GET, 0),
      h2.priority(1, 0, 255),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.2/2',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS of another stream between HEADERS and CONTINUATION',
    steps: [
      h2.headers(1, GET, 0),
      h2.headers(3, GET),
      h2.continuation(1, FILLING, h2.END_HEADERS),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.2/3',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS on no stream',
    steps: [h2.headers(0, GET), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.2/4',
    source: 'RFC 9113 section 6.2',
    name: 'HEADERS with more padding than payload',
    steps: [
      h2.headers(1, Buffer.concat([Buffer.of(GET.length + 2), GET]), h2.END_HEADERS | h2.END_STREAM | h2.PADDED),
      connectionError(h2.PROTOCOL_ERROR),
    ],
  },
  {
    id: 'http2/6.3/1',
    source: 'RFC 9113 section 6.3',
    name: 'PRIORITY on no stream',
    steps: [h2.priority(0, 0, 255), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.3/2',
    source: 'RFC 9113 section 6.3',
    name: 'PRIORITY of four octets',
    steps: [h2.headers(1, GET), h2.frame(h2.PRIORITY, 0, 1, '\x80\0\0\x01'), streamError(1, h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/6.4/1',
    source: 'RFC 9113 section 6.4',
    name: 'RST_STREAM on no stream',
    steps: [h2.rstStream(0, h2.CANCEL), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.4/2',
    source: 'RFC 9113 section 6.4',
    name: 'RST_STREAM on an idle stream',
    steps: [h2.rstStream(1, h2.CANCEL), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.4/3',
    source: 'RFC 9113 section 6.4',
    name: 'RST_STREAM of three octets',
    steps: [h2.headers(1, GET), h2.frame(h2.RST_STREAM, 0, 1, '\0\0\0'), connectionError(h2.FRAME_SIZE_ERROR)],
  },
  ...settingsCases,
  {
    id: 'http2/6.7/1',
    source: 'RFC 9113 section 6.7',
    name: 'PING is answered with the same payload',
    steps: [h2.ping('12345678'), pingAnswered('12345678')],
  },
  {
    id: 'http2/6.7/2',
    source: 'RFC 9113 section 6.7',
    name: 'PING with ACK is not answered',
    steps: [h2.ping('answered', h2.ACK), h2.ping('question'), pingAnswered('question')],
  },
  {
    id: 'http2/6.7/3',
    source: 'RFC 9113 section 6.7',
    name: 'PING on a stream',
    steps: [h2.frame(h2.PING, 0, 1, ZEROS), connectionError(h2.PROTOCOL_ERROR)],
  },
  {
    id: 'http2/6.7/4',
    source: 'RFC 9113 section 6.7',
    name: 'PING of six octets',
    steps: [h2.ping('123456'), connectionError(h2.FRAME_SIZE_ERROR)],
  },
  {
    id: 'http2/6.8/1',
    source: 'RFC 9113 section 6.8',
    name: 'GOAWAY on a stream',
    steps: [h2.frame(h2.GOAWAY, 0, 1, ZEROS), connectionError(h2.PROTOCOL_ERROR)],
  },
  ...windowCases,
  ...continuationCases,
  {
    id: 'http2/7/1',
    source: 'RFC 9113 section 7',
    name: 'GOAWAY with an unknown code is like any other',
    steps: [h2.goaway(0, 0xff), aliveOrClosed],
  },
  {
    id: 'http2/7/2',
    source: 'RFC 9113 section 7',
    name: 'RST_STREAM with an unknown code is like any other',
    steps: [h2.headers(1, POST, h2.END_HEADERS), h2.rstStream(1, 0xff), alive],
  },
];
