/** The ClientHello parser: what it reads of real and made ones, what it refuses, and that cuts never matter. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../../agent/limits.ts';
import {
  CLIENT_HELLO_BYTES_MAX,
  type ClientHello,
  ClientHelloParser,
  type ClientHelloResult,
  FOUND,
  MALFORMED,
  NEED_MORE,
  NOT_TLS,
  looksLikeTls,
} from '../../../agent/tls/client-hello.ts';
import { alpn, ECH, extension, hello, helloMessage, record, records, serverNames, vector } from './hellos.ts';

const RESULT = { [NEED_MORE]: 'need more', [FOUND]: 'found', [NOT_TLS]: 'not TLS', [MALFORMED]: 'malformed' };

function parse(bytes: Buffer, cuts: readonly number[] = []): { result: string; hello: ClientHello | null } {
  const parser = new ClientHelloParser();
  let result: ClientHelloResult = NEED_MORE;
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    // A copy per segment: nothing may be looked at outside of it.
    const segment = bytes.subarray(at, Math.max(at, cut));
    result = parser.push(Buffer.concat([Buffer.alloc(3, 22), segment, Buffer.alloc(3, 3)]), 3, 3 + segment.length);
    at = Math.max(at, cut);
  }
  return { result: RESULT[result], hello: result === FOUND ? parser.hello() : null };
}

describe('real ClientHellos', () => {
  const folder = new URL('../../fuzz/corpus/client-hello/', import.meta.url);
  const read = (name: string): ReturnType<typeof parse> => parse(readFileSync(new URL(name, folder)));
  // 31 names in two records; what is kept of them ends within the list.
  const many = ['http/1.1', ...Array.from({ length: 21 }, (_, i) => `protocol-${i}`)];
  const rows: readonly [string, ClientHello][] = [
    ['node-sni-alpn.tls', { serverName: 'shop.example.com', alpn: ['h2', 'http/1.1'], ech: false }],
    ['openssl-tls12.tls', { serverName: 'a.b.example', alpn: [], ech: false }],
    ['openssl-tls13-no-sni.tls', { serverName: '', alpn: [], ech: false }],
    ['openssl-fragmented.tls', { serverName: 'frag.example', alpn: many, ech: false }],
    ['ech-outer.tls', { serverName: 'public.example', alpn: ['h2'], ech: true }],
  ];
  for (const [name, expected] of rows)
    it(name, () => assert.deepEqual(read(name), { result: 'found', hello: expected }));

  it('every other seed has a result too', () => {
    for (const name of readdirSync(folder)) if (name.endsWith('.tls')) assert.ok(read(name).result);
  });
});

describe('ClientHello', () => {
  const found = (serverName: string, names: string[] = [], ech = false): ReturnType<typeof parse> => ({
    result: 'found',
    hello: { serverName, alpn: names, ech },
  });
  const a63 = 'a'.repeat(63);
  const longest = `${a63}.${a63}.${a63}.${'a'.repeat(61)}`;
  const accepted: readonly [string, Buffer, ReturnType<typeof parse>][] = [
    ['no extensions at all (TLS 1.0 to 1.2)', records(helloMessage({ extensions: null, version: 0x03_01 })), found('')],
    ['no extension in the list', hello(), found('')],
    ['SSL 3.0 record and version', record(helloMessage({ version: 0x03_00 }), 22, 0x03_00), found('')],
    ['a server name', hello(serverNames('a.example')), found('a.example')],
    ['lower case, without the final dot', hello(serverNames('A-1.EXAMPLE.')), found('a-1.example')],
    ['an underscore, as software makes them', hello(serverNames('outbound_.80_._.a.b')), found('outbound_.80_._.a.b')],
    ['the longest name', hello(serverNames(longest)), found(longest)],
    ['the longest name with its dot', hello(serverNames(`${longest}.`)), found(longest)],
    ['a name of an unknown type beside it', hello(serverNames([7, Buffer.from('\0')], 'a.b')), found('a.b')],
    ['only a name of an unknown type', hello(serverNames([7, Buffer.from('x')])), found('')],
    ['ALPN', hello(alpn('h2', 'http/1.1'), serverNames('a')), found('a', ['h2', 'http/1.1'])],
    ['ECH: the outer name', hello(ECH, serverNames('public.test')), found('public.test', [], true)],
    ['ALPN beyond what is kept', hello(alpn('x'.repeat(250), 'y'.repeat(9), 'z')), found('', ['x'.repeat(250)])],
    ['one octet per record', records(helloMessage({ extensions: [serverNames('a.b')] }), 1), found('a.b')],
    ['more octets behind it', Buffer.concat([hello(serverNames('a')), Buffer.from('early data')]), found('a')],
    ['no session', records(helloMessage({ session: Buffer.alloc(0), extensions: [] })), found('')],
  ];
  for (const [name, bytes, expected] of accepted) {
    it(`reads: ${name}`, () => {
      assert.deepEqual(parse(bytes), expected);
      assert.deepEqual(parse(bytes, Array.from(bytes.keys())), expected, 'octet by octet');
    });
  }

  const message = helloMessage({ extensions: [serverNames('a.b')] });
  const malformed: readonly [string, Buffer][] = [
    ['two host names', hello(serverNames('a.b', 'c.d'))],
    ['the extension twice', hello(serverNames('a.b'), serverNames('a.b'))],
    ['the extension twice, without a host name', hello(serverNames([7, Buffer.of(1)]), serverNames('a.b'))],
    ['ALPN twice', hello(alpn('h2'), alpn('h2'))],
    ['an empty name', hello(serverNames(''))],
    ['an empty list of names', hello(extension(0, vector(2)))],
    ['an empty extension', hello(extension(0, Buffer.alloc(0)))],
    ['a list shorter than its extension', hello(extension(0, Buffer.concat([vector(2), Buffer.of(0)])))],
    ['a name longer than its list', hello(extension(0, vector(2, Buffer.from('000009616263', 'hex'))))],
    ['a list that ends within an entry', hello(extension(0, vector(2, Buffer.from('0000', 'hex'))))],
    ['NUL in the name', hello(serverNames('a.example\0.evil'))],
    ['a space', hello(serverNames('a b'))],
    ['an IPv6 address', hello(serverNames('fd00::1'))],
    ['a star', hello(serverNames('*.example'))],
    ['an octet beyond ASCII', hello(serverNames('b\xfccher.example'))],
    ['only a dot', hello(serverNames('.'))],
    ['an empty label', hello(serverNames('a..b'))],
    ['a label too long', hello(serverNames(`${'a'.repeat(64)}.b`))],
    ['a name too long', hello(serverNames(`${longest}a`))],
    ['an empty ALPN name', hello(extension(16, vector(2, Buffer.of(0, 1, 65))))],
    [
      'an ALPN list that lies',
      hello(extension(16, Buffer.concat([vector(2, vector(1, Buffer.of(65))), Buffer.of(1)]))),
    ],
    ['an ALPN name longer than the list', hello(extension(16, vector(2, Buffer.of(9, 65, 65))))],
    ['an extension longer than the message', records(helloMessage({ extensions: [Buffer.from('00170009', 'hex')] }))],
    ['an extension header cut off', records(helloMessage({ extensions: [Buffer.from('0017', 'hex')] }))],
    ['a session longer than 32', records(helloMessage({ session: Buffer.alloc(33) }))],
    ['no cipher suite', records(helloMessage({ ciphers: Buffer.alloc(0) }))],
    ['half a cipher suite', records(helloMessage({ ciphers: Buffer.alloc(3) }))],
    ['no compression method', records(helloMessage({ compression: Buffer.alloc(0) }))],
    ['a message that ends early', records(Buffer.concat([Buffer.of(1, 0, 0, 10), message.subarray(4)]))],
    [
      'octets after the extensions',
      records(Buffer.concat([Buffer.of(1, 0, 0, message.length - 3), message.subarray(4), Buffer.of(0)])),
    ],
    ['another record type inside', Buffer.concat([record(message.subarray(0, 9)), record(message.subarray(9), 21)])],
    [
      'an empty record inside',
      Buffer.concat([record(message.subarray(0, 9)), record(Buffer.alloc(0)), record(message.subarray(9))]),
    ],
    ['longer than the bound', record(Buffer.concat([Buffer.of(1, 0, 0x40, 1), Buffer.alloc(100)]))],
  ];
  for (const [name, bytes] of malformed) {
    it(`refuses: ${name}`, () => {
      assert.equal(parse(bytes).result, 'malformed');
      assert.equal(parse(bytes, Array.from(bytes.keys())).result, 'malformed', 'octet by octet');
    });
  }

  it('says that it was too long', () => {
    const parser = new ClientHelloParser(100);
    assert.equal(parser.push(message, 0, 0), NEED_MORE);
    const long = records(helloMessage({ ciphers: Buffer.alloc(100) }));
    assert.equal(parser.push(long, 0, long.length), MALFORMED);
    assert.equal(parser.tooLong, true);
    parser.reset();
    const short = records(helloMessage({ extensions: null }));
    assert.deepEqual([parser.push(short, 0, short.length), parser.tooLong], [FOUND, false]);
  });

  it('the bound without an argument is the one of agent/limits.ts', () => {
    assert.equal(CLIENT_HELLO_BYTES_MAX, limits.clientHelloBytesMax);
  });

  it('tells TLS by six octets, and other protocols as soon as they differ', () => {
    const first = [22, 3, 1, 2, 0, 1];
    for (let length = 0; length < first.length; length++) {
      assert.equal(looksLikeTls(Uint8Array.from(first), 0, length), NEED_MORE);
      assert.equal(parse(Buffer.from(first.slice(0, length))).result, 'need more');
    }
    assert.equal(looksLikeTls(Uint8Array.from(first), 0, 6), FOUND);
    for (const [at, octet] of [
      [0, 21],
      [1, 2],
      [2, 5],
      [3, 0x41],
      [5, 2],
    ] as const) {
      const other = Buffer.from(first);
      other[at] = octet;
      assert.equal(looksLikeTls(other, 0, 6), NOT_TLS);
      assert.equal(parse(other).result, 'not TLS');
    }
  });

  it('a new connection after any other: reset() leaves nothing behind', () => {
    const parser = new ClientHelloParser();
    const all = [...accepted.map(([, bytes]) => bytes), ...malformed.map(([, bytes]) => bytes)];
    for (const bytes of all) {
      for (const length of [bytes.length, bytes.length >> 1, 7]) {
        parser.reset();
        parser.push(bytes, 0, length);
        parser.reset();
        const next = hello(serverNames('next.example'), alpn('x'));
        assert.equal(parser.push(next, 0, next.length), FOUND);
        assert.deepEqual(parser.hello(), { serverName: 'next.example', alpn: ['x'], ech: false });
      }
    }
  });

  it('any records and any segments give the same result', () => {
    const name = fc.array(fc.constantFrom('a', 'B', '1', '-', '.', '_', ' '), { maxLength: 12 }).map((c) => c.join(''));
    const part = fc.oneof(
      name.map((text) => serverNames(text)),
      fc.constant(ECH),
      fc.array(fc.constantFrom('h2', 'x'), { minLength: 1, maxLength: 3 }).map((names) => alpn(...names)),
      fc
        .tuple(fc.nat(65535), fc.uint8Array({ maxLength: 9 }))
        .map(([type, data]) => extension(type, Buffer.from(data))),
    );
    const cuts = fc.array(fc.nat(300), { maxLength: 8 }).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), fc.integer({ min: 1, max: 80 }), cuts, (parts, size, at) => {
        const whole = helloMessage({ extensions: parts });
        const expected = parse(records(whole));
        assert.deepEqual(parse(records(whole, size), at), expected);
      }),
      { numRuns: 2_000 },
    );
  });
});
