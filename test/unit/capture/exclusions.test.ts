/** Exclusion annotations: strict, explained, and never a way into a rule. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseExclusions } from '../../../agent/capture/exclusions.ts';
import { captureRestore, planCapture } from '../../../agent/capture/plan.ts';

const OUT = 'weir.dev/exclude-outbound-ports';
const IN = 'weir.dev/exclude-inbound-ports';
const CIDRS = 'weir.dev/exclude-outbound-cidrs';

describe('exclusion annotations', () => {
  test('absent and empty exclude nothing; other annotations are not looked at', () => {
    for (const annotations of [{}, { [OUT]: '' }, { [IN]: ' ' }, { 'weir.dev/other': '; rm' }]) {
      const parsed = parseExclusions(annotations, 'default/web');
      assert.deepEqual(parsed.ok && parsed.value, { outboundPorts: [], inboundPorts: [], outboundCidrs: [] });
    }
  });

  test('ports and ranges are sorted and joined, CIDRs canonical and distinct', () => {
    const parsed = parseExclusions(
      {
        [OUT]: '443, 80,81',
        [IN]: '9000-9010,9005-9020,1',
        [CIDRS]: '10.0.0.0/8,192.0.2.7,FD00:0:0:1::/64,10.0.0.0/8',
      },
      'default/web',
    );
    assert.deepEqual(parsed.ok && parsed.value, {
      outboundPorts: [
        { first: 80, last: 81 },
        { first: 443, last: 443 },
      ],
      inboundPorts: [
        { first: 1, last: 1 },
        { first: 9000, last: 9020 },
      ],
      outboundCidrs: [
        { family: 4, text: '10.0.0.0/8' },
        { family: 4, text: '192.0.2.7/32' },
        { family: 6, text: 'fd00:0:0:1::/64' },
      ],
    });
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    [OUT, '0', /neither a port nor a range; write e\.g\./],
    [OUT, '65536', /beyond port 65535/],
    [OUT, '080', /neither a port/],
    [OUT, '80,', /neither a port/],
    [OUT, '80;90', /neither a port/],
    [OUT, '80 -j ACCEPT', /neither a port/],
    [OUT, '80\n-A OUTPUT -j ACCEPT', /neither a port/],
    [OUT, '90-80', /empty range; write 80-90/],
    [OUT, '٨٠', /neither a port/],
    [OUT, '15001', /contains port 15001; weir's own ports/],
    [IN, '15000-15010', /contains port 15001/],
    [IN, '15008', /contains port 15008/],
    [IN, '1-65535', /contains port 15001/],
    [OUT, Array.from({ length: 65 }, (_, n) => n + 1).join(','), /more than 64 entries/],
    [OUT, '1,'.repeat(4_000), /longer than 4096 characters/],
    [CIDRS, '10.0.0.0/33', /not a CIDR/],
    [CIDRS, '10.1.2.3/8', /bits beyond its prefix; write 10\.0\.0\.0\/8/],
    [CIDRS, '0.0.0.0/0', /excludes everything/],
    [CIDRS, '::/0', /excludes everything/],
    [CIDRS, '10.0.0.0/8 -j ACCEPT', /not a CIDR/],
    [CIDRS, 'example.com', /not a CIDR/],
    [CIDRS, 'fe80::1%eth0', /not a CIDR/],
    [CIDRS, '!10.0.0.0/8', /not a CIDR/],
  ];
  for (const [name, value, reason] of refused) {
    test(`${name}=${JSON.stringify(value.slice(0, 40))} is refused, naming pod, annotation, value and reason`, () => {
      const parsed = parseExclusions({ [name]: value }, 'shop/cart');
      assert.ok(!parsed.ok);
      assert.equal(parsed.error.code, 'INVALID_ANNOTATION');
      assert.match(parsed.error.message, reason);
      assert.ok(parsed.error.message.startsWith(`pod shop/cart: annotation ${name}=`));
      assert.doesNotMatch(parsed.error.message, /\n/);
    });
  }

  test('property: whatever the annotations are, each line of the rules is one the plan could have written', () => {
    const form =
      /^(\*[a-z]+|:WEIR_[A-Z_]+ - \[0:0\]|COMMIT|-I [A-Z]+ 1 (-[io] lo )?-p tcp (-m (mark|tcp) [-!A-Za-z0-9,/ ]+)?-m comment --comment "weir: capture" -j WEIR_[A-Z_]+|-A WEIR_[A-Z_]+ [-A-Za-z0-9!,:./ ]*-m comment --comment "weir: [-a-z0-9:./ ]+" -j [-A-Za-z0-9/ ]+|)$/;
    const rangeish = fc.stringMatching(/^[0-9,\- ]{0,20}$/);
    const cidrish = fc.stringMatching(/^[0-9a-f:./,\- ]{0,40}$/);
    const value = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), rangeish, cidrish);
    fc.assert(
      fc.property(value, value, value, fc.constantFrom(4 as const, 6 as const), (outbound, inbound, cidrs, family) => {
        const parsed = parseExclusions({ [OUT]: outbound, [IN]: inbound, [CIDRS]: cidrs }, 'a/b');
        if (!parsed.ok) return;
        for (const line of captureRestore(planCapture(family, parsed.value), '').split('\n')) assert.match(line, form);
      }),
      // Most of what is made up is refused: one that is not, so that the form is looked at in every run.
      { examples: [['3306', '9090-9099', '10.0.0.0/8,fd00:1::/64', 4]] },
    );
  });
});
