/** PROXY protocol headers, both versions: what is read, refused and waited for (haproxy doc/proxy-protocol.txt). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { limits } from '../../../agent/limits.ts';
import { crc32c } from '../../../agent/proxy-protocol/crc32c.ts';
import { PROXY_HEADER_BYTES_MAX, readProxyHeader } from '../../../agent/proxy-protocol/header.ts';
import { parseProxyPorts } from '../../../agent/proxy-protocol/ports.ts';
import { binaryHeader, checksummed, IPV4_BLOCK, IPV6_BLOCK, tlv } from './headers.ts';

/** As one word for tables: `found 42 1.2.3.4:5`. */
function read(bytes: Buffer): string {
  const around = Buffer.concat([Buffer.from('PROXY'), bytes, Buffer.from('\r\n')]);
  const header = readProxyHeader(around, 5, 5 + bytes.length);
  if (header.kind !== 'found') return header.kind;
  const { source } = header;
  return `found ${header.length} ${source === null ? 'unknown' : `${source.ip} ${source.port}`}`;
}

const lines: readonly [string, string][] = [
  ['PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n', 'found 47 192.168.0.1 56324'],
  ['PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n', 'found 47 192.168.0.1 56324'],
  ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', 'found 56 255.255.255.255 65535'],
  ['PROXY TCP6 FD00:0:0::1 ::2 1 0\r\n', 'found 32 fd00::1 1'],
  ['PROXY TCP6 ::ffff:10.0.0.1 ::2 1 2\r\n', 'found 36 10.0.0.1 1'],
  ['PROXY UNKNOWN\r\n', 'found 15 unknown'],
  ['PROXY UNKNOWN whatever there is\r\n', 'found 33 unknown'],
  [`PROXY UNKNOWN ${'f'.repeat(91)}\r\n`, 'found 107 unknown'],
  ['', 'need-more'],
  ['PROXY', 'need-more'],
  ['PROXY TCP4 1.2.3.4 1.2', 'need-more'],
  ['PROXY UNKNOWN\r', 'need-more'],
  ['PROXY UNKNOWN\n', 'malformed'],
  ['PROXY UNKNOWN\rX', 'malformed'],
  ['PROXY UNKNOWNX\r\n', 'malformed'],
  [`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`, 'malformed'],
  [`PROXY UNKNOWN ${'f'.repeat(93)}`, 'malformed'],
  ['PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n', 'malformed'],
  ['PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n', 'malformed'],
  ['PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3 1 2\r\n', 'malformed'],
  ['PROXY TCP4 ::1 ::2 1 2\r\n', 'malformed'],
  ['PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n', 'malformed'],
  ['PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n', 'malformed'],
  ['PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n', 'malformed'],
  ['PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n', 'malformed'],
  ['PROXY \r\n', 'malformed'],
  ['proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n', 'absent'],
  ['PROXYTCP4', 'absent'],
  ['PROPFIND / HTTP/1.1\r\n', 'absent'],
  ['GET / HTTP/1.1\r\n', 'absent'],
  ['\r\nGET / HTTP/1.1\r\n', 'absent'],
];

describe('version 1', () => {
  for (const [line, expected] of lines) {
    it(JSON.stringify(line.slice(0, 60)), () => assert.equal(read(Buffer.from(line)), expected));
  }
});

const crc = checksummed(1, 0x11, IPV4_BLOCK);
const broken = Buffer.from(crc);
broken[broken.length - 1] = (broken[broken.length - 1] ?? 0) ^ 1;
const binary: readonly [string, Buffer, string][] = [
  ['TCP over IPv4', binaryHeader(1, 0x11, IPV4_BLOCK), 'found 28 10.1.2.3 4660'],
  ['TCP over IPv6', binaryHeader(1, 0x21, IPV6_BLOCK), 'found 52 fd00::1 4660'],
  [
    'octets behind it',
    Buffer.concat([binaryHeader(1, 0x11, IPV4_BLOCK), Buffer.from('GET')]),
    'found 28 10.1.2.3 4660',
  ],
  ['LOCAL', binaryHeader(0, 0x00, Buffer.alloc(0)), 'found 16 unknown'],
  ['LOCAL with a block', binaryHeader(0, 0x11, Buffer.alloc(3)), 'found 19 unknown'],
  ['UNSPEC with octets', binaryHeader(1, 0x00, Buffer.alloc(5)), 'found 21 unknown'],
  ['UDP counts as unknown', binaryHeader(1, 0x12, IPV4_BLOCK), 'found 28 unknown'],
  ['a UNIX socket', binaryHeader(1, 0x31, Buffer.alloc(216)), 'found 232 unknown'],
  [
    'TLVs',
    binaryHeader(1, 0x11, Buffer.concat([IPV4_BLOCK, tlv(2, Buffer.from('a')), tlv(4, Buffer.alloc(9))])),
    'found 44 10.1.2.3 4660',
  ],
  ['the right checksum', crc, 'found 35 10.1.2.3 4660'],
  ['a wrong checksum', broken, 'malformed'],
  [
    'a checksum of two octets',
    binaryHeader(1, 0x11, Buffer.concat([IPV4_BLOCK, tlv(3, Buffer.alloc(2))])),
    'malformed',
  ],
  ['a TLV that ends outside', binaryHeader(1, 0x11, Buffer.concat([IPV4_BLOCK, Buffer.of(4, 0, 9)])), 'malformed'],
  ['half a TLV header', binaryHeader(1, 0x11, Buffer.concat([IPV4_BLOCK, Buffer.of(4)])), 'malformed'],
  ['addresses that do not fit', binaryHeader(1, 0x21, IPV4_BLOCK), 'malformed'],
  [
    'version 1 in binary',
    Buffer.concat([binaryHeader(1, 0x11, IPV4_BLOCK).subarray(0, 12), Buffer.of(0x11)]),
    'malformed',
  ],
  ['an unknown command', binaryHeader(2, 0x11, IPV4_BLOCK), 'malformed'],
  ['an unknown family', binaryHeader(1, 0x41, IPV4_BLOCK), 'malformed'],
  ['an unknown transport', binaryHeader(1, 0x13, IPV4_BLOCK), 'malformed'],
  ['longer than the bound', binaryHeader(1, 0x11, Buffer.alloc(PROXY_HEADER_BYTES_MAX - 15)), 'malformed'],
];

describe('version 2', () => {
  for (const [name, bytes, expected] of binary) {
    it(name, () => {
      assert.equal(read(bytes), expected);
      const whole = Number(/^found (\d+)/.exec(expected)?.[1] ?? 0);
      for (let length = 0; length < whole; length++) assert.equal(read(bytes.subarray(0, length)), 'need-more');
    });
  }

  it('checksums are CRC32c: the check value of RFC 3720 appendix B.4', () => {
    assert.equal(crc32c(Buffer.alloc(32), 0, 32), 0x8a_91_36_aa);
    assert.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3_06_92_83);
  });
});

it('the bound without an argument is the one of agent/limits.ts', () => {
  assert.equal(PROXY_HEADER_BYTES_MAX, limits.proxyHeaderBytesMax);
});

describe('weir.dev/proxy-protocol-ports', () => {
  const rows: readonly [string | undefined, number[] | RegExp][] = [
    [undefined, []],
    ['', []],
    ['8080', [8080]],
    ['8080, 9090,8080', [8080, 9090]],
    ['65535', [65535]],
    ['65536', /"65536" is not a port from 1 to 65535; write for example "8080,9090"/],
    ['0', /"0" is not a port/],
    ['08', /"08" is not a port/],
    ['80-90', /"80-90" is not a port/],
    ['80;90', /is not a port/],
    ['80,', /"" is not a port/],
    ['http', /"http" is not a port/],
    [Array.from({ length: 65 }, (_, i) => i + 1).join(','), /more than 64 ports/],
  ];
  for (const [value, expected] of rows) {
    it(JSON.stringify(value?.slice(0, 30) ?? null), () => {
      const parsed = parseProxyPorts(value === undefined ? {} : { 'weir.dev/proxy-protocol-ports': value });
      if (Array.isArray(expected)) assert.deepEqual(parsed.ok && [...parsed.ports], expected);
      else assert.match(parsed.ok ? 'accepted' : parsed.reason, expected);
    });
  }
});
