import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalIp, cidrContains, familyOf, formatCidr, formatIp, parseCidr, parseIp } from '../../../mesh/ip.ts';

describe('canonicalIp', () => {
  const valid: [string, string][] = [
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8::A', '2001:db8::a'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], // one zero group is not shortened (RFC 5952 section 4.2.2)
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'], // the longest run
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], // the first of equal runs
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['::ffff:0a01:0203', '10.1.2.3'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ];
  for (const [text, canonical] of valid) {
    it(`${text} is ${canonical}`, () => assert.equal(canonicalIp(text), canonical));
  }

  const malformed = [
    '',
    ' ',
    '1',
    '10.0.0',
    '10.0.0.1.2',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.01',
    '10.0.0.1 ',
    ' 10.0.0.1',
    '10..0.1',
    '10.0.0.',
    '.10.0.0.1',
    '0x10.0.0.1',
    '10.0.0.1:80',
    '10.0.0.1/32',
    '+1.2.3.4',
    '-1.2.3.4',
    '1e1.0.0.0',
    ':',
    ':::',
    '1:',
    ':1',
    '1::2::3',
    '12345::',
    '::g',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    'fe80::1%eth0',
    '[::1]',
    '::1]',
    '::ffff:1.2.3',
    '::ffff:1.2.3.256',
    '::1.2.3.4:5',
    '1.2.3.4::',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::/0',
    '１.2.3.4',
    'localhost',
    '::ffff:01.2.3.4',
    '0'.repeat(60),
  ];
  for (const text of malformed) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(canonicalIp(text), null));
  }

  it('agrees with the platform on any text made of address characters', () => {
    const letters = fc.string({
      unit: fc.constantFrom('0', '1', '2', '5', 'f', 'A', ':', ':', '.', '::'),
      maxLength: 24,
    });
    fc.assert(
      fc.property(letters, (text) => {
        assert.equal(canonicalIp(text) !== null, isIP(text) !== 0, text);
      }),
      { numRuns: 5000 },
    );
  });

  it('every address has one canonical text, and that text is its own', () => {
    const text = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(text, (ip) => {
        const canonical = canonicalIp(ip) as string;
        assert.equal(canonicalIp(canonical), canonical);
        assert.deepEqual(parseIp(canonical), parseIp(ip));
        assert.equal(familyOf(canonical), parseIp(ip)?.family);
        // The URL parser of the platform writes RFC 5952 too, except that it keeps v4-mapped addresses as IPv6.
        if (canonical.includes(':')) assert.equal(new URL(`http://[${ip}]/`).hostname, `[${canonical}]`);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('parseCidr', () => {
  const valid: [string, string, boolean][] = [
    ['10.1.0.0/16', '10.1.0.0/16', false],
    ['10.1.2.3/16', '10.1.0.0/16', true],
    ['0.0.0.0/0', '0.0.0.0/0', false],
    ['10.0.0.1', '10.0.0.1/32', false],
    ['10.0.0.1/32', '10.0.0.1/32', false],
    ['2001:db8::/33', '2001:db8::/33', false],
    ['2001:db8::1/64', '2001:db8::/64', true],
    ['::/0', '::/0', false],
    ['::1', '::1/128', false],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8', false],
  ];
  for (const [text, canonical, hostBits] of valid) {
    it(`${text} is ${canonical}`, () => {
      const cidr = parseCidr(text);
      assert.ok(cidr);
      assert.equal(formatCidr(cidr), canonical);
      assert.equal(cidr.hadHostBits, hostBits);
    });
  }
  for (const text of [
    '',
    '/',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/+8',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '::/129',
    '::ffff:10.0.0.0/95',
    '10.0.0.0/ 8',
    '10.0.0.0/8 ',
    '10.0.0.0/255.0.0.0',
    '*',
    '10.0.0.0/1e1',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseCidr(text), null));
  }

  it('contains exactly the addresses that share the prefix bits', () => {
    const ip = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(ip, ip, fc.nat(128), (base, other, bits) => {
        const network = parseIp(base);
        const address = parseIp(other);
        assert.ok(network && address);
        const width = network.family === 4 ? 32 : 128;
        const prefix = Math.min(bits, width);
        const cidr = parseCidr(`${formatIp(network)}/${prefix}`);
        assert.ok(cidr);
        const binary = ({ a, b, c, d, family }: typeof network): string =>
          (family === 4 ? [d] : [a, b, c, d]).map((word) => word.toString(2).padStart(32, '0')).join('');
        const expected =
          network.family === address.family && binary(network).slice(0, prefix) === binary(address).slice(0, prefix);
        assert.equal(cidrContains(cidr, address), expected);
        assert.ok(cidrContains(cidr, network));
      }),
      { numRuns: 2000 },
    );
  });
});
