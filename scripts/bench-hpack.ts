/**
 * Nanoseconds per header block of HPACK: blocks that repeat, first requests, and requests of which one field always changes;
 * then what Huffman coding would save the wire and cost its reader.
 *
 *   node --import tsx scripts/bench-hpack.ts        (about two seconds)
 */
import { HeaderList, HeaderListTable } from '../agent/http2/header-list.ts';
import { HpackDecoder, HPACK_OK } from '../agent/http2/hpack-decoder.ts';
import { encodeHeaderList } from '../agent/http2/hpack-encoder.ts';
import { decodeHuffman } from '../agent/http2/hpack-huffman.ts';
import { huffman, ReferenceEncoder, type Representation } from '../test/unit/http2/hpack-reference.ts';

/** Wall-clock time spent on each line of the table. */
const MEASURE_MS = 120;
const BATCH = 2_000;

type Fields = readonly (readonly [name: string, value: string])[];

const browser: Fields = [
  [':method', 'GET'],
  [':path', '/static/index.html'],
  [':scheme', 'https'],
  [':authority', 'shop.example.com'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'],
  ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'],
  ['accept-language', 'en-GB,en;q=0.5'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['cookie', 'session=0123456789abcdef0123456789abcdef'],
  ['cookie', 'theme=dark'],
  ['upgrade-insecure-requests', '1'],
  ['te', 'trailers'],
];
const grpc: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/shop.Orders/Get'],
  [':authority', 'orders.shop.svc:8080'],
  ['content-type', 'application/grpc'],
  ['user-agent', 'grpc-go/1.64.0'],
  ['te', 'trailers'],
  ['grpc-accept-encoding', 'gzip'],
];
const h2load: Fields = [
  [':path', '/'],
  [':scheme', 'http'],
  [':authority', '10.96.0.10:8080'],
  [':method', 'GET'],
  ['user-agent', 'h2load nghttp2/1.52.0'],
];

let sink = 0;

function measure(name: string, octets: number, once: (i: number) => number): void {
  let turn = 0;
  for (let i = 0; i < BATCH * 5; i++) sink += once(turn++);
  let best = Number.POSITIVE_INFINITY;
  const until = performance.now() + MEASURE_MS;
  do {
    const start = process.hrtime.bigint();
    for (let i = 0; i < BATCH; i++) sink += once(turn++);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / BATCH);
  } while (performance.now() < until);
  console.log(`${name.padEnd(60)} ${String(octets).padStart(6)} B ${best.toFixed(0).padStart(6)} ns`);
}

const table = new HeaderListTable({ headerListsKeptMax: 1_024, headerListKeptBytesMax: 4_096 });
const bounds = { tableBytesMax: 4_096, listBytesMax: 65_536, fieldCountMax: 128 };
/** Where a read puts blocks: not at the start, and not alone, in the buffer. */
const buffer = Buffer.alloc(65_536);

function decodeAt(decoder: HpackDecoder, start: number, end: number): number {
  if (decoder.decode(buffer, start, end) !== HPACK_OK || decoder.list === null) throw new Error('block refused');
  return decoder.list.size;
}

/** Puts blocks one behind the other; where each starts, and where the last ends. */
function place(blocks: readonly Buffer[]): number[] {
  const starts = [64];
  for (const block of blocks) {
    const start = starts.at(-1) as number;
    if (start + block.length > buffer.length) throw new Error('too many blocks');
    block.copy(buffer, start);
    starts.push(start + block.length);
  }
  return starts;
}

function blockOf(encoder: ReferenceEncoder, fields: Fields, how: Representation, coded = true): Buffer {
  return Buffer.concat(
    fields.map(([name, value]) => {
      const whole = encoder.field(name, value, 'indexed', true, coded);
      const known = whole.length < 3 && (whole[0] as number) >= 0x80;
      return known ? whole : encoder.field(name, value, how, true, coded);
    }),
  );
}

for (const [name, fields] of Object.entries({ browser, grpc, h2load })) {
  for (const cached of [true, false]) {
    const encoder = new ReferenceEncoder();
    const decoder = new HpackDecoder(table, bounds, cached);
    const [first, second] = [blockOf(encoder, fields, 'incremental'), blockOf(encoder, fields, 'incremental')];
    const [a = 0, b = 0, c = 0] = place([first, second]);
    decodeAt(decoder, a, b);
    measure(`${name}: repeated, all indexed${cached ? '' : ', cache off'}`, c - b, () => decodeAt(decoder, b, c));
  }
}
for (const [name, fields] of Object.entries({ browser, grpc, h2load })) {
  for (const [how, coded] of [
    ['incremental', true],
    ['incremental', false],
    ['without', false],
  ] as const) {
    const block = blockOf(new ReferenceEncoder(), fields, how, coded);
    const [start = 0, end = 0] = place([block]);
    const label = `${how === 'without' ? 'literals not indexed' : 'literals indexed'}${coded ? ', Huffman' : ''}`;
    measure(`${name}: first request, ${label}`, block.length, () =>
      decodeAt(new HpackDecoder(table, bounds), start, end),
    );
  }
}
for (const how of ['incremental', 'without'] as const) {
  const encoder = new ReferenceEncoder();
  const blocks = Array.from({ length: BATCH }, (_, i) => {
    const timeout = encoder.field('grpc-timeout', `${9_999_000 + i}u`, how, true, true);
    return Buffer.concat([blockOf(encoder, grpc, 'incremental'), timeout]);
  });
  const starts = place(blocks);
  let decoder = new HpackDecoder(table, bounds);
  let at = 0;
  measure(
    `grpc: grpc-timeout always another, ${how}`,
    (starts[BATCH] as number) - (starts[BATCH - 1] as number),
    () => {
      if (at === BATCH) {
        at = 0;
        decoder = new HpackDecoder(table, bounds);
      }
      return decodeAt(decoder, starts[at] as number, starts[++at] as number);
    },
  );
}

const into = Buffer.allocUnsafe(65_536);
const list = new HeaderList(
  browser.map(([name]) => name),
  browser.map(([, value]) => value),
  null,
);
measure('browser: encode', list.encoded.length, () => encodeHeaderList(list, into, 0));
measure('browser: encode, as a new list', list.encoded.length, () => {
  return new HeaderList(list.names, list.values, null, list.size).encoded.length;
});
measure('browser: copy what is encoded', list.encoded.length, () => list.encoded.copy(into, 64));
const agent = (browser[4] as readonly [string, string])[1];
const coded = huffman(agent);
measure(`Huffman: decode user-agent (${agent.length} characters)`, coded.length, () =>
  decodeHuffman(coded, 0, coded.length, into, 0),
);
for (const [name, fields] of Object.entries({ browser, grpc, h2load })) {
  const raw = blockOf(new ReferenceEncoder(), fields, 'without', false).length;
  const huffmanCoded = blockOf(new ReferenceEncoder(), fields, 'without', true).length;
  console.log(`${name}: ${raw} octets stateless and raw, ${huffmanCoded} Huffman-coded`);
}
if (sink === 0) throw new Error('nothing was decoded');
