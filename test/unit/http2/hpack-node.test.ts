/** HPACK against another implementation: the header blocks of Node's own http2 (nghttp2), both ways, over an in-memory pipe. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { describe, it } from 'node:test';
import { Duplex } from 'node:stream';
import { HeaderList } from '../../../agent/http2/header-list.ts';
import { newDecoder, rowsOf } from './hpack-support.ts';

const HEADERS = 1;

/** One end of a connection in memory: what is written comes out of `other`. */
class PipeEnd extends Duplex {
  other: PipeEnd | null = null;
  readonly #tap: (chunk: Buffer) => void;

  constructor(tap: (chunk: Buffer) => void) {
    super();
    this.#tap = tap;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#tap(chunk);
    this.other?.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }
}

/** Two ends; what `tap` sees is every octet that goes from the first to the second. */
function pipe(tap: (chunk: Buffer) => void): [PipeEnd, PipeEnd] {
  const [near, far] = [new PipeEnd(tap), new PipeEnd(() => undefined)];
  near.other = far;
  far.other = near;
  return [near, far];
}

/** Calls `onBlock` for every HEADERS frame (whole blocks only, as nghttp2 writes them when they are small). */
function headerBlocks(skip: number, onBlock: (block: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let toSkip = skip;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    if (rest.length < toSkip) return;
    rest = rest.subarray(toSkip);
    toSkip = 0;
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      // nghttp2 puts five octets of priority first when flag 0x20 is set.
      if (rest[3] === HEADERS) onBlock(rest.subarray((rest[4] as number) & 0x20 ? 14 : 9, end));
      rest = rest.subarray(end);
    }
  };
}

function requestHeaders(i: number): Record<string, string | string[]> {
  return {
    ':path': `/orders/${i % 7}`,
    ':authority': 'orders.shop.svc',
    'user-agent': 'grpc-node/1.14',
    cookie: ['a=1', `b=${i % 3}`],
    'x-request-id': `${i * 7_919}`,
    'x-marks': String.fromCharCode(...Array.from({ length: 94 }, (_, k) => 0x21 + ((k * 31 + i) % 94))),
    ...(i % 5 === 0 ? { authorization: `Bearer ${i}` } : {}),
  };
}

describe('HPACK against Node’s http2', () => {
  it('decodes what nghttp2 encodes, over 200 requests with a changing table', async () => {
    const decoder = newDecoder();
    const decoded: string[][] = [];
    const [near, far] = pipe(headerBlocks(24, (block) => decoded.push(rowsOf(decoder, block))));
    const server = http2.createServer();
    const seen: string[][] = [];
    server.on('stream', (stream, _headers, _flags, raw?: unknown) => {
      const flat = raw as string[];
      const rows: string[] = [];
      for (let i = 0; i < flat.length; i += 2) rows.push(`${flat[i]}: ${flat[i + 1]}`);
      seen.push(rows);
      stream.respond({ ':status': 200 }, { endStream: true });
    });
    server.emit('connection', far);
    const client = http2.connect('http://orders.shop.svc', { createConnection: () => near });
    for (let i = 0; i < 200; i++) {
      const request = client.request(requestHeaders(i), { endStream: true });
      request.resume();
      await once(request, 'close');
    }
    client.close();
    assert.equal(decoded.length, 200);
    const plain = decoded.map((rows) => rows.map((row) => row.replace(' (never)', '')));
    assert.deepEqual(plain, seen);
    assert.ok(
      decoded.flat().some((row) => row.endsWith('(never)')),
      'nghttp2 marks short cookies and authorization',
    );
  });

  it('what we encode is what nghttp2 decodes', async () => {
    const [near, far] = pipe(() => undefined);
    const server = http2.createServer();
    const seen: string[][] = [];
    const done = new Promise<void>((resolve) => {
      server.on('stream', (stream, _headers, _flags, raw?: unknown) => {
        const flat = raw as string[];
        seen.push(flat);
        stream.respond({ ':status': 200 }, { endStream: true });
        if (seen.length === 50) resolve();
      });
    });
    server.emit('connection', far);
    near.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from('000000040000000000', 'hex')]),
    );
    const sent: string[][] = [];
    for (let i = 0; i < 50; i++) {
      const fields: [string, string][] = [
        [':method', 'GET'],
        [':scheme', 'http'],
      ];
      for (const [name, value] of Object.entries(requestHeaders(i)))
        for (const each of [value].flat()) fields.push([name, each]);
      sent.push(fields.flat());
      const never = i % 2 === 0 ? Uint8Array.from(fields, ([name]) => Number(name === 'authorization')) : null;
      const list = new HeaderList(
        fields.map(([name]) => name),
        fields.map(([, value]) => value),
        never,
      );
      const head = Buffer.alloc(9);
      head.writeUIntBE(list.encoded.length, 0, 3);
      head[3] = HEADERS;
      head[4] = 0x05;
      head.writeUInt32BE(2 * i + 1, 5);
      near.write(Buffer.concat([head, list.encoded]));
    }
    near.resume();
    await done;
    assert.deepEqual(seen, sent);
    near.destroy();
    far.destroy();
  });
});
