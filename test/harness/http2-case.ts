/** What a case of HTTP/2 conformance is made of: octets to send, and what must come back. */
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import * as h2 from './http2-frames.ts';

/** Octets are sent; functions wait for what must come, or do both. */
export type Step = Uint8Array | ((client: h2.Http2Client) => Promise<void>);

export interface ConformanceCase {
  /** Group, section and number of the case in h2spec 2.2.1, so that results can be compared. */
  readonly id: string;
  /** Where the expected behaviour is written. */
  readonly source: string;
  readonly name: string;
  readonly steps: readonly Step[];
  /** The steps begin with the preface; else they begin after the handshake. */
  readonly bare?: boolean;
}

export const AUTHORITY = 'web';

/** The fields of a request without those of `without` and with more at the end. */
export function request(
  method: string,
  more: readonly (readonly [string, string])[] = [],
  without: readonly string[] = [],
): (readonly [string, string])[] {
  const fields: (readonly [string, string])[] = [
    [':method', method],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', AUTHORITY],
  ];
  return [...fields.filter(([name]) => !without.includes(name)), ...more];
}

export const GET = h2.block(request('GET'));
export const POST = h2.block(request('POST'));
/** A block of about 4,000 octets that may follow the block of a request. */
export const FILLING = h2.block([['x-filling', 'x'.repeat(4_000)]]);

function fail(client: h2.Http2Client, expected: string): never {
  assert.fail(`expected ${expected}; came: ${client.seen.join(', ')}`);
}

/** The connection is ended for the reason said: GOAWAY with one of the codes, then closed (RFC 9113 section 5.4.1). */
export function connectionError(...codes: number[]): Step {
  return async (client) => {
    const expected = `GOAWAY code ${codes.join(' or ')}, and close`;
    let said = false;
    for (;;) {
      const frame = await client.next();
      if (frame === null) {
        if (said) return;
        fail(client, expected);
      }
      if (frame.type !== h2.GOAWAY) continue;
      if (!codes.includes(frame.payload.readUInt32BE(4))) fail(client, expected);
      said = true;
    }
  };
}

/** The stream is reset for the reason said, or the whole connection is (RFC 9113 section 5.4.2 leaves both). */
export function streamError(stream: number, ...codes: number[]): Step {
  return async (client) => {
    const expected = `RST_STREAM or GOAWAY code ${codes.join(' or ')}`;
    for (;;) {
      const frame = await client.next();
      if (frame === null) fail(client, expected);
      const isReset = frame.type === h2.RST_STREAM && frame.stream === stream;
      if (!isReset && frame.type !== h2.GOAWAY) continue;
      if (!codes.includes(frame.payload.readUInt32BE(isReset ? 0 : 4))) fail(client, expected);
      return;
    }
  };
}

/** The connection is closed, whatever is said before. */
export const closed: Step = async (client) => {
  while ((await client.next()) !== null);
};

/** A PING comes back with its payload and ACK, no other PING before it, and no error (RFC 9113 section 6.7). */
export function pingAnswered(payload: string): Step {
  return async (client) => {
    const frame = await client.until('the PING’s answer', ({ type }) => [h2.PING, h2.GOAWAY].includes(type));
    if (frame.type !== h2.PING || frame.flags !== h2.ACK || frame.payload.toString('latin1') !== payload)
      fail(client, `PING with ACK and "${payload}"`);
  };
}

/** Sends a PING and waits for its answer: whatever came before did no harm. */
export const alive: Step = async (client) => {
  client.send(h2.ping('alive?!!'));
  await (pingAnswered('alive?!!') as (client: h2.Http2Client) => Promise<void>)(client);
};

/** The same, or the connection is closed without an error. */
export const aliveOrClosed: Step = async (client) => {
  client.send(h2.ping('alive?!!'));
  for (;;) {
    const frame = await client.next();
    if (frame === null || frame.type === h2.PING) return;
    if (frame.type === h2.GOAWAY && frame.payload.readUInt32BE(4) !== 0) fail(client, 'no error');
  }
};

/** A response begins on the stream, and neither it nor the connection is reset before. */
export function responseOn(stream: number): Step {
  return async (client) => {
    const frame = await client.until('a response', ({ type }) => [h2.HEADERS, h2.RST_STREAM, h2.GOAWAY].includes(type));
    if (frame.type !== h2.HEADERS || frame.stream !== stream) fail(client, `HEADERS on stream ${stream}`);
  };
}

/** The response on the stream comes to its end. */
export function responseEnds(stream: number): Step {
  return async (client) => {
    const frame = await client.until(
      'the end of a response',
      ({ type, flags }) =>
        type === h2.RST_STREAM ||
        type === h2.GOAWAY ||
        ((type === h2.DATA || type === h2.HEADERS) && (flags & h2.END_STREAM) !== 0),
    );
    const noError = frame.type === h2.RST_STREAM && frame.payload.readUInt32BE(0) === 0;
    if (frame.stream !== stream || (frame.type !== h2.DATA && frame.type !== h2.HEADERS && !noError))
      fail(client, `END_STREAM on stream ${stream}`);
  };
}

/** The next DATA that is not empty has so many octets. */
export function dataOf(length: number): Step {
  return async (client) => {
    const frame = await client.until(
      'DATA',
      ({ type, payload }) => type === h2.GOAWAY || type === h2.RST_STREAM || (type === h2.DATA && payload.length > 0),
    );
    if (frame.type !== h2.DATA || frame.payload.length !== length) fail(client, `DATA of ${length} octets`);
  };
}

/** Our SETTINGS are acknowledged. */
export const settingsAcknowledged: Step = async (client) => {
  const frame = await client.until('SETTINGS', ({ type }) => type === h2.SETTINGS || type === h2.GOAWAY);
  if (frame.type !== h2.SETTINGS || frame.flags !== h2.ACK || frame.payload.length !== 0)
    fail(client, 'SETTINGS with ACK');
};

/** Runs a case over a new connection to a server that answers any request with a body of at least five octets. */
export async function runCase(socket: Duplex, { steps, bare = false }: ConformanceCase): Promise<void> {
  const client = new h2.Http2Client(socket);
  try {
    if (!bare) await client.handshake();
    for (const step of steps) {
      if (typeof step === 'function') await step(client);
      else client.send(step);
    }
  } finally {
    client.destroy();
  }
}
