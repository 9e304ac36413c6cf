/**
 * HTTP/2 clients that make a worker work for nothing: each flood ends its own connection with ENHANCE_YOUR_CALM, is counted under
 * its bound, and nobody else notices.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import type { limits } from '../../agent/limits.ts';
import {
  alive,
  connectionError,
  FILLING,
  GET,
  POST,
  request,
  responseOn,
  runCase,
  type Step,
} from '../harness/http2-case.ts';
import * as h2 from '../harness/http2-frames.ts';
import { service, workload, WorkerLab } from '../harness/worker-lab.ts';
import { string } from '../unit/http2/hpack-reference.ts';

const VIP = '10.96.0.20';
const ENHANCE_YOUR_CALM = 11;
/** More than a burst and what is allowed in a second beside it; together less than is read of a connection that has ended. */
const MANY = 30_000;

let lab: WorkerLab;

before(async () => {
  lab = await WorkerLab.start('off');
  await lab.addPod('a');
  const b = await lab.addPod('b');
  await lab.mesh([
    service('web', VIP, 80, 'http2'),
    workload(b, { app: 'b' }, { 'default/web': [{ servicePort: 80, targetPort: 8080 }] }),
  ]);
  const server = createServer((incoming, response) => {
    incoming.on('error', () => undefined);
    incoming.resume();
    incoming.on('end', () => response.end('hello\n'));
  });
  await lab.serve('b', 8080, (socket) => server.emit('connection', socket));
});
after(() => lab.stop());

function steps(...list: Step[]): Promise<void> {
  return runCase(lab.dial('a', VIP, 80), { id: '', source: '', name: '', steps: list });
}

const repeat = (count: number, make: (i: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

const streams = (count: number, make: (stream: number) => Uint8Array[]): Buffer =>
  repeat(count, (i) => Buffer.concat(make(2 * i + 1)));

interface Flood {
  readonly name: string;
  readonly bound: keyof typeof limits;
  readonly octets: () => Uint8Array;
}

const floods: readonly Flood[] = [
  {
    name: 'requests that are cancelled at once (CVE-2023-44487)',
    bound: 'http2CancelBurst',
    octets: () => streams(8_000, (stream) => [h2.headers(stream, GET), h2.rstStream(stream, h2.CANCEL)]),
  },
  {
    name: 'requests that the server is made to reset (CVE-2025-8671)',
    bound: 'http2CancelBurst',
    octets: () => streams(8_000, (stream) => [h2.headers(stream, POST, h2.END_HEADERS), h2.windowUpdate(stream, 0)]),
  },
  {
    name: 'malformed requests',
    bound: 'http2CancelBurst',
    octets: () => streams(8_000, (stream) => [h2.headers(stream, h2.block(request('GET', [['X', 'y']])))]),
  },
  {
    name: 'CONTINUATION without octets and without end (CVE-2024-27316)',
    bound: 'http2HeaderBlockBytesMax',
    octets: () =>
      Buffer.concat([h2.headers(1, GET, h2.END_STREAM), repeat(MANY, () => h2.continuation(1, Buffer.alloc(0)))]),
  },
  {
    name: 'CONTINUATION with octets and without end',
    bound: 'http2HeaderBlockBytesMax',
    octets: () => Buffer.concat([h2.headers(1, GET, h2.END_STREAM), repeat(100, () => h2.continuation(1, FILLING))]),
  },
  { name: 'PING (CVE-2019-9512)', bound: 'http2ControlBurst', octets: () => repeat(MANY, () => h2.ping('12345678')) },
  { name: 'SETTINGS (CVE-2019-9515)', bound: 'http2ControlBurst', octets: () => repeat(MANY, () => h2.settings()) },
  {
    name: 'PRIORITY (CVE-2019-9513)',
    bound: 'http2ControlBurst',
    octets: () => repeat(MANY, (i) => h2.priority(2 * (i % 100) + 1, 0, i % 256)),
  },
  {
    name: 'DATA without octets (CVE-2019-9518)',
    bound: 'http2ControlBurst',
    octets: () => Buffer.concat([h2.headers(1, POST, h2.END_HEADERS), repeat(MANY, () => h2.data(1, ''))]),
  },
  {
    name: 'frames of unknown type',
    bound: 'http2ControlBurst',
    octets: () => repeat(MANY, () => h2.frame(0x77, 0, 0)),
  },
  {
    name: 'WINDOW_UPDATE by one octet on a stream that waits for none',
    bound: 'http2ControlBurst',
    octets: () => Buffer.concat([h2.headers(1, POST, h2.END_HEADERS), repeat(MANY, () => h2.windowUpdate(1, 1))]),
  },
  {
    name: 'GOAWAY again and again',
    bound: 'http2ControlBurst',
    // After the first one, a connection without a request would end.
    octets: () => Buffer.concat([h2.headers(1, POST, h2.END_HEADERS), repeat(MANY, () => h2.goaway(0, 0))]),
  },
];

describe('floods end with ENHANCE_YOUR_CALM', () => {
  for (const { name, bound, octets } of floods) {
    test(name, async () => {
      const before = (await lab.stats()).bounds[bound] ?? 0;
      await steps(octets(), connectionError(ENHANCE_YOUR_CALM));
      assert.equal((await lab.stats()).bounds[bound], before + 1);
      await steps(h2.headers(1, GET), responseOn(1));
    });
  }
});

/** The status on a stream, whose head is the first block of the connection that has come. */
function statusOn(stream: number, status: string): Step {
  return async (client) => {
    const head = await client.until('a response', (frame) => frame.type === h2.HEADERS && frame.stream === stream);
    assert.equal(client.fields(head)[0]?.value, status);
  };
}

describe('header bombs are answered 431, and the connection lives on', () => {
  const bombs: readonly (readonly [name: string, block: Buffer])[] = [
    [
      '16,000 references to a field of 3,000 octets',
      Buffer.concat([
        GET,
        Buffer.of(0x40),
        string('x-bomb', false),
        string('x'.repeat(3_000), false),
        Buffer.alloc(12_000, 0xbe),
      ]),
    ],
    ['cookie in 1,000 crumbs', Buffer.concat([GET, Buffer.alloc(1_000, 0xa0)])],
    [
      'one field of 60,000 octets, Huffman-coded to 37,500',
      Buffer.concat([GET, h2.block([['x', '0'.repeat(60_000)]], 'without', true)]),
    ],
  ];
  for (const [name, block] of bombs) {
    test(name, async () => {
      const before = (await lab.stats()).bounds['headBytesMax'] ?? 0;
      const frames = [];
      for (let at = 0; at < block.length; at += 16_000) {
        const part = block.subarray(at, at + 16_000);
        const end = at + part.length === block.length ? h2.END_HEADERS : 0;
        frames.push(at === 0 ? h2.headers(1, part, end | h2.END_STREAM) : h2.continuation(1, part, end));
      }
      await steps(...frames, statusOn(1, '431'), alive, h2.headers(3, GET), statusOn(3, '200'));
      assert.equal((await lab.stats()).bounds['headBytesMax'], before + 1);
    });
  }
});

test('a thousand streams whose windows stay shut hold little, and others are served', async () => {
  const client = new h2.Http2Client(lab.dial('a', VIP, 80));
  await client.handshake([h2.INITIAL_WINDOW_SIZE, 0]);
  client.send(streams(1_000, (stream) => [h2.headers(stream, GET)]));
  for (let heads = 0; heads < 1_000; heads++) await client.until('a head', ({ type }) => type === h2.HEADERS);
  await steps(h2.headers(1, GET), responseOn(1));
  client.send(streams(1_000, (stream) => [h2.windowUpdate(stream, 100)]));
  for (let ends = 0; ends < 1_000; ends++)
    await client.until('an end', ({ type, flags }) => type === h2.DATA && (flags & h2.END_STREAM) !== 0);
  client.destroy();
});
