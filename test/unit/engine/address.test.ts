import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeAddress, parseIpOctets, prepareAddress } from '../../../agent/engine/address.ts';

/** What goes to the kernel and comes back. */
function roundTrip(ip: string, port = 80): string | undefined {
  return decodeAddress(prepareAddress({ ip, port }).pinned.bytes)?.ip;
}

test('addresses are encoded as the kernel reads them', () => {
  const v4 = prepareAddress({ ip: '10.1.2.3', port: 0x1234 });
  assert.equal(v4.family, 2);
  assert.equal(v4.length, 16);
  assert.deepEqual([...v4.pinned.bytes], [2, 0, 0x12, 0x34, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
  const v6 = prepareAddress({ ip: 'fe80::1', port: 0x1234, scopeId: 7 });
  assert.equal(v6.family, 10);
  assert.equal(v6.length, 28);
  assert.equal(
    v6.pinned.bytes.toString('hex'),
    '0a001234' + '00000000' + 'fe800000000000000000000000000001' + '07000000',
  );
});

test('text is canonical after a round trip', () => {
  const cases = [
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'], // RFC 5952 section 4.2.3: the first of equal runs
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], // section 4.2.2: a single zero group is written out
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'], // section 4.2.3: the longest run
    ['2001:0db8::0001', '2001:db8::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ] as const;
  for (const [given, expected] of cases) {
    assert.equal(roundTrip(given), expected, given);
    assert.equal(prepareAddress({ ip: given, port: 1 }).socketAddress.ip, expected, given);
  }
});

test('a link-local address keeps its scope, others have none', () => {
  const bytes = prepareAddress({ ip: 'fe80::1', port: 1, scopeId: 3 }).pinned.bytes;
  assert.deepEqual(decodeAddress(bytes), { ip: 'fe80::1', port: 1, scopeId: 3 });
  assert.deepEqual(decodeAddress(prepareAddress({ ip: 'fd00::1', port: 1 }).pinned.bytes), { ip: 'fd00::1', port: 1 });
});

test('malformed addresses and ports are refused, naming the value', () => {
  const bad = [
    '',
    ':',
    ':::',
    '1:2:3',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7::8::',
    '1:2:3:4:5:6:7::8', // "::" must stand for something
    '::1:2:3:4:5:6:7:8',
    '1.2.3',
    '1.2.3.4.5',
  ];
  const worse = [
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '0x1.2.3.4',
    '1..2.3',
    '::1.2.3',
    '1.2.3.4::',
    '::1%eth0',
    '[::1]',
    '1:2:3:4:5:6:7:',
  ];
  for (const ip of [...bad, ...worse]) {
    assert.equal(parseIpOctets(ip), null, ip);
    assert.throws(() => prepareAddress({ ip, port: 1 }), RangeError, ip);
  }
  for (const port of [-1, 65_536, 1.5, Number.NaN]) {
    assert.throws(
      () => prepareAddress({ ip: '1.2.3.4', port }),
      (error: Error) => error.message.includes(String(port)),
    );
  }
});

test('property: 16 octets survive text and back, and the text is what the WHATWG URL serialiser writes', () => {
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
      const isMapped = groups.slice(0, 5).every((value) => value === 0) && groups[5] === 0xffff;
      fc.pre(!isMapped);
      const long = groups.map((value) => value.toString(16)).join(':');
      const canonical = new URL(`http://[${long}]/`).hostname.slice(1, -1);
      assert.equal(roundTrip(long), canonical);
      assert.equal(roundTrip(canonical), canonical);
    }),
  );
});

test('property: exactly what Node accepts as an address is accepted (zones excepted)', () => {
  const alphabet = fc.constantFrom('0', '1', '9', '25', '255', '256', 'a', 'ffff', 'F', ':', '::', '.', '1.2.3.4');
  fc.assert(
    fc.property(fc.array(alphabet, { maxLength: 18 }), (parts) => {
      const text = parts.join('');
      assert.equal(parseIpOctets(text) !== null, isIPv4(text) || isIPv6(text), text);
    }),
    { numRuns: 3000 },
  );
});
