/** The table of recurring lists: equal content is one object, different content never is, and it stays within its bounds. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type HeaderList, HeaderListTable } from '../../../agent/http2/header-list.ts';

const bounds = { headerListsKeptMax: 64, headerListKeptBytesMax: 1_000 };

describe('HeaderListTable', () => {
  it('keeps a list from its second time on', () => {
    const table = new HeaderListTable(bounds);
    const intern = (): HeaderList => table.intern([':path', 'x'], ['/', 'y'], null);
    const [first, second, third, fourth] = [intern(), intern(), intern(), intern()];
    assert.notEqual(first, second);
    assert.equal(second, third);
    assert.equal(third, fourth);
    assert.deepEqual([third.names, third.values, third.size], [[':path', 'x'], ['/', 'y'], 72]);
  });

  it('copies what it is given', () => {
    const names = ['a'];
    const values = ['1'];
    const never = Uint8Array.of(1);
    const list = new HeaderListTable(bounds).intern(names, values, never);
    names[0] = 'b';
    values[0] = '2';
    never[0] = 0;
    assert.deepEqual([list.names, list.values, list.neverIndexed], [['a'], ['1'], Uint8Array.of(1)]);
  });

  it('keeps neither large lists nor such with never-indexed fields', () => {
    const table = new HeaderListTable(bounds);
    const large = 'x'.repeat(1_000);
    const lists = new Set<HeaderList>();
    for (let i = 0; i < 4; i++) {
      lists.add(table.intern(['a'], [large], null));
      lists.add(table.intern(['a'], ['1'], Uint8Array.of(1)));
    }
    assert.equal(lists.size, 8);
  });

  it('a list whose flags are all 0 has none', () => {
    assert.equal(new HeaderListTable(bounds).intern(['a'], ['1'], Uint8Array.of(0)).neverIndexed, null);
  });

  it('never confuses lists, not even such that hash alike', () => {
    // One slot: every list collides with every other.
    const table = new HeaderListTable({ ...bounds, headerListsKeptMax: 1 });
    const text = fc.constantFrom(
      '',
      'a',
      'b',
      'ab',
      `${'x'.repeat(40)}1${'y'.repeat(40)}`,
      `${'x'.repeat(40)}2${'y'.repeat(40)}`,
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text), { maxLength: 3 }), (fields) => {
        const names = fields.map(([name]) => name);
        const values = fields.map(([, value]) => value);
        for (let i = 0; i < 3; i++) {
          const list = table.intern(names, values, null);
          assert.deepEqual([list.names, list.values], [names, values]);
        }
        assert.equal(table.intern(names, values, null), table.intern(names, values, null));
      }),
    );
  });

  it('refuses a number of slots that is not a power of two', () => {
    assert.throws(() => new HeaderListTable({ ...bounds, headerListsKeptMax: 1_000 }), /power of two/);
  });
});
