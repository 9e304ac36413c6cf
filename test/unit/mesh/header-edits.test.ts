import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileHeaderEdits, type HeaderEdits, headerNameRefusal, isHeaderValue } from '../../../mesh/header-edits.ts';
import type { HeaderModifier, NameValue } from '../../../mesh/route-model.ts';

function modifier(fields: Partial<HeaderModifier>): HeaderModifier {
  return { type: 'requestHeaderModifier', set: [], add: [], remove: [], ...fields };
}

/** Applies edits as header-edits.ts promises that they are applied: remove, set, add. */
function applied(fields: readonly NameValue[], edits: HeaderEdits | null): NameValue[] {
  if (edits === null) return [...fields];
  const gone = new Set([...edits.remove, ...edits.set.map(({ name }) => name)]);
  return [...fields.filter(({ name }) => !gone.has(name)), ...edits.set, ...edits.add];
}

describe('compileHeaderEdits', () => {
  it('is null when there is nothing to do', () => {
    assert.equal(compileHeaderEdits([], 'requestHeaderModifier'), null);
    assert.equal(compileHeaderEdits([modifier({})], 'requestHeaderModifier'), null);
    assert.equal(compileHeaderEdits([modifier({ remove: ['x'] })], 'responseHeaderModifier'), null);
  });

  it('writes names in lower case and takes Host out as host', () => {
    const set = [
      { name: 'X-A', value: '1' },
      { name: 'Host', value: 'other' },
    ];
    assert.deepEqual(compileHeaderEdits([modifier({ set, remove: ['X-B'] })], 'requestHeaderModifier'), {
      set: [{ name: 'x-a', value: '1' }],
      add: [],
      remove: ['x-b'],
      host: 'other',
    });
  });

  it('a backend that sets what the rule added replaces it', () => {
    const rule = modifier({ add: [{ name: 'x', value: 'rule' }], set: [{ name: 'y', value: 'rule' }] });
    const backend = modifier({ set: [{ name: 'X', value: 'backend' }], remove: ['Y'] });
    assert.deepEqual(compileHeaderEdits([rule, backend], 'requestHeaderModifier'), {
      set: [{ name: 'x', value: 'backend' }],
      add: [],
      remove: ['y'],
    });
  });

  it('merged filters give what applying one after the other gives', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const field: fc.Arbitrary<NameValue> = fc.record({ name, value: fc.constantFrom('1', '2') });
    const filter = fc
      .record({
        set: fc.uniqueArray(field, { selector: (f) => f.name }),
        add: fc.array(field, { maxLength: 2 }),
        remove: fc.array(name),
      })
      .map((fields) => modifier(fields));
    const sorted = (fields: NameValue[]): string[] => fields.map((f) => `${f.name}:${f.value}`).sort();
    fc.assert(
      fc.property(fc.array(field, { maxLength: 5 }), fc.array(filter, { maxLength: 4 }), (fields, filters) => {
        let expected = fields;
        for (const one of filters) expected = applied(expected, compileHeaderEdits([one], 'requestHeaderModifier'));
        const merged = compileHeaderEdits(filters, 'requestHeaderModifier');
        assert.deepEqual(sorted(applied(fields, merged)), sorted(expected));
        const names = merged?.set.map((f) => f.name) ?? [];
        assert.equal(new Set(names).size, names.length, 'set names a header once');
        assert.ok(!names.some((one) => merged?.remove.includes(one)), 'what is set is not also removed');
      }),
      { numRuns: 2000 },
    );
  });
});

describe('header names and values a filter may write', () => {
  for (const name of ['X-A', 'accept', 'x_y', 'Host']) {
    it(`${name} is allowed`, () => assert.equal(headerNameRefusal(name), null));
  }
  for (const name of [
    '',
    ':path',
    'a b',
    'a:',
    'a\r\nb',
    'ü',
    'Content-Length',
    'transfer-encoding',
    'Connection',
    'Upgrade',
    'TE',
    'trailer',
    'keep-alive',
  ]) {
    it(`${JSON.stringify(name)} is refused`, () => assert.equal(typeof headerNameRefusal(name), 'string'));
  }
  it('values are free of control characters and outer spaces', () => {
    for (const value of ['', 'a', 'a b', 'a\tb', 'é']) assert.ok(isHeaderValue(value), value);
    for (const value of [' a', 'a ', 'a\r\nb', 'a\0', '\x7f', '中'])
      assert.ok(!isHeaderValue(value), JSON.stringify(value));
  });
});
