/** What the HPACK decoder refuses, what it bounds, and that both leave the dynamic table as the peer thinks it is. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HPACK_ERROR, HPACK_OK, HPACK_TOO_LARGE } from '../../../agent/http2/hpack-decoder.ts';
import { CODE_LENGTHS, decodeHuffman, HUFFMAN_CODES } from '../../../agent/http2/hpack-huffman.ts';
import { integer, ReferenceEncoder, string } from './hpack-reference.ts';
import { decodeBlock, hex, newDecoder, newTable, rowsOf } from './hpack-support.ts';

describe('blocks that cannot be decoded are errors', () => {
  const cases: readonly (readonly [name: string, block: string])[] = [
    ['index 0', '80'],
    ['index beyond the static table, dynamic table empty', 'be'],
    ['index far beyond', 'ffffffff07'],
    ['name index beyond both tables', '7f00 01 61'],
    ['name index beyond both tables, not indexed', '0f30 01 61'],
    ['integer cut short', 'ff'],
    ['integer cut short in its continuation', 'ff80'],
    ['integer of five continuation octets', 'ff8080808000'],
    ['integer beyond 2^31', 'ffffffffff0f'],
    ['literal without a name', '40'],
    ['literal with a name cut short', '400361'],
    ['literal without a value', '400161'],
    ['literal with a value cut short', '4001610361'],
    ['string length cut short', '400161ff'],
    ['string length beyond the block', '4001617f8001'],
    ['size update after a field', '8220'],
    ['size update after a field and before another', '822086'],
    ['size update beyond the limit', '3fe21f'],
    ['second size update beyond the limit', '203fe21f'],
    ['size update cut short', '3f'],
    ['Huffman: EOS', '400161 84ffffffff'],
    ['Huffman: EOS after a symbol', '400161 851fffffffff'],
    ['Huffman: padding of zeros', '400161 8118'],
    ['Huffman: eight bits of padding', '400161 821fff'],
    ['Huffman: only padding, eight bits', '400161 81ff'],
    ['Huffman: a code cut short', '400161 82fffe'],
    ['Huffman in the name: padding of zeros', '408118 0161'],
  ];
  for (const [name, block] of cases) {
    it(name, () => {
      const decoder = newDecoder();
      assert.equal(decodeBlock(decoder, hex(block)), HPACK_ERROR);
      assert.equal(decoder.list, null);
    });
  }

  it('and their neighbours are not', () => {
    const rows = (block: string): string[] => rowsOf(newDecoder(), hex(block));
    assert.deepEqual(rows('bd'), ['www-authenticate: '], 'the last static entry');
    assert.deepEqual(rows('000161 81 1f'), ['a: a'], 'three bits of padding');
    assert.deepEqual(rows('203fe11f82'), [':method: GET'], 'size updates up to the limit');
    assert.deepEqual(rows('00 00 00'), [': '], 'empty strings are for others to judge');
  });
});

describe('integers', () => {
  it('may be padded with empty continuation octets, up to four in all', () => {
    // 15 + 46 = 61, www-authenticate.
    for (const padded of ['0f2e', '0fae00', '0fae8000', '0fae808000']) {
      assert.deepEqual(rowsOf(newDecoder(), hex(`${padded} 0161`)), ['www-authenticate: a'], padded);
    }
    assert.equal(decodeBlock(newDecoder(), hex('0fae80808000 0161')), HPACK_ERROR);
  });
});

describe('Huffman code', () => {
  it('is complete, and is the one of appendix B', () => {
    assert.equal(
      CODE_LENGTHS.reduce((sum, length) => sum + 2 ** (30 - length), 0),
      2 ** 30,
    );
    const code = (symbol: number): string => {
      const found = HUFFMAN_CODES.find((each) => each.symbol === symbol);
      return `${found?.code.toString(16)} ${found?.length}`;
    };
    const known: Record<number, string> = { 0: '1ff8 13', 10: '3ffffffc 30', 48: '0 5', 97: '3 5', 92: '7fff0 19' };
    for (const [symbol, expected] of Object.entries({
      ...known,
      249: 'ffffffe 28',
      255: '3ffffee 26',
      256: '3fffffff 30',
    })) {
      assert.equal(code(Number(symbol)), expected, symbol);
    }
  });

  it('every symbol decodes, alone and after each length of odd bits', () => {
    const into = Buffer.alloc(64);
    for (const { symbol } of HUFFMAN_CODES.filter((each) => each.symbol < 256)) {
      for (const before of ['', '0', '00', '000', '0000', 'XX', 'X', '\u0000']) {
        const text = before + String.fromCharCode(symbol);
        const coded = string(text, true);
        const length = decodeHuffman(coded, 1, coded.length, into, 3);
        assert.equal(into.toString('latin1', 3, 3 + Math.max(length, 0)), text);
      }
    }
  });
});

describe('size of the dynamic table', () => {
  const entry = new ReferenceEncoder().field('a', 'b', 'incremental', false, false);

  it('an entry larger than the table empties it and is a field nevertheless', () => {
    const decoder = newDecoder();
    assert.deepEqual(rowsOf(decoder, entry), ['a: b']);
    const huge = 'x'.repeat(5_000);
    const block = new ReferenceEncoder().field('n', huge, 'incremental', false, false);
    assert.deepEqual(rowsOf(decoder, block), [`n: ${huge}`]);
    assert.equal(decodeBlock(decoder, hex('be')), HPACK_ERROR);
  });

  it('a reduction that was acknowledged must be the next block’s first word', () => {
    const decoder = newDecoder();
    decoder.acknowledgeTableSize(100);
    assert.equal(decodeBlock(decoder, hex('82')), HPACK_ERROR, 'no update');
    for (const [updates, expected] of [
      ['3f45', HPACK_OK],
      ['20', HPACK_OK],
      ['3f46', HPACK_ERROR],
      ['203f45', HPACK_OK],
      ['203f46', HPACK_ERROR],
    ] as const) {
      const other = newDecoder();
      other.acknowledgeTableSize(100);
      assert.equal(decodeBlock(other, hex(`${updates}82`)), expected, updates);
    }
  });

  it('two changes in a row: the smallest must be said first, then up to the last', () => {
    for (const [updates, expected] of [
      ['203fe11f', HPACK_OK],
      ['20', HPACK_OK],
      ['3fe11f', HPACK_ERROR],
      ['', HPACK_ERROR],
    ] as const) {
      const decoder = newDecoder();
      decoder.acknowledgeTableSize(0);
      decoder.acknowledgeTableSize(4_096);
      assert.equal(decodeBlock(decoder, hex(`${updates}82`)), expected, updates);
    }
  });

  it('may grow beyond the initial 4,096 octets when that was acknowledged, and not before', () => {
    const update = integer(65_536, 5, 0x20);
    assert.equal(decodeBlock(newDecoder(), update), HPACK_ERROR);
    const decoder = newDecoder({ tableBytesMax: 65_536 });
    decoder.acknowledgeTableSize(65_536);
    assert.equal(decodeBlock(decoder, update), HPACK_OK);
    const encoder = new ReferenceEncoder();
    encoder.resize(65_536);
    for (let i = 0; i < 200; i++) {
      rowsOf(decoder, encoder.field(`name-${i}`, `${i}`, 'incremental', false, false));
    }
    assert.deepEqual(rowsOf(decoder, encoder.field('name-0', '0', 'indexed', true, false)), ['name-0: 0']);
  });

  it('a block of the cache does not pass over an update that is due', () => {
    const decoder = newDecoder();
    for (let i = 0; i < 4; i++) assert.equal(decodeBlock(decoder, hex('82')), HPACK_OK);
    decoder.acknowledgeTableSize(0);
    assert.equal(decodeBlock(decoder, hex('82')), HPACK_ERROR);
  });
});

describe('bounds', () => {
  it('a list is as large as allowed, and no larger; the next block is none the worse', () => {
    // :method GET counts 42 octets.
    const decoder = newDecoder({ listBytesMax: 84 });
    assert.equal(decodeBlock(decoder, hex('8282')), HPACK_OK);
    assert.equal(decoder.list?.size, 84);
    assert.equal(decodeBlock(decoder, hex('828282')), HPACK_TOO_LARGE);
    assert.equal(decoder.list, null);
    assert.equal(decodeBlock(decoder, hex('82')), HPACK_OK);
  });

  it('fields are counted, cookie crumbs too', () => {
    const decoder = newDecoder({ fieldCountMax: 3 });
    assert.equal(decodeBlock(decoder, hex('a0a0a0')), HPACK_OK);
    assert.equal(decodeBlock(decoder, hex('a0a0a0a0')), HPACK_TOO_LARGE);
  });

  it('what a refused list inserted is in the table, before and behind the bound', () => {
    const decoder = newDecoder({ fieldCountMax: 2 });
    const encoder = new ReferenceEncoder();
    const block = Buffer.concat(
      ['one', 'two', 'three', 'four'].map((name) => encoder.field(name, '1', 'incremental', false, true)),
    );
    assert.equal(decodeBlock(decoder, block), HPACK_TOO_LARGE);
    for (const name of ['one', 'two', 'three', 'four']) {
      assert.deepEqual(rowsOf(decoder, encoder.field(name, '1', 'indexed', true, false)), [`${name}: 1`]);
    }
  });

  it('errors behind the bound are errors', () => {
    const decoder = newDecoder({ fieldCountMax: 1 });
    assert.equal(decodeBlock(decoder, hex('8282 be')), HPACK_ERROR);
    assert.equal(decodeBlock(newDecoder({ fieldCountMax: 1 }), hex('8282 000161 8118')), HPACK_ERROR);
  });

  it('a bomb: 16 KiB of references to a 4,000-octet entry builds no list', () => {
    const decoder = newDecoder({ fieldCountMax: 1_000_000 });
    const bomb = new ReferenceEncoder().field('cookie', 'x'.repeat(4_000), 'incremental', false, false);
    assert.equal(decodeBlock(decoder, Buffer.concat([bomb, Buffer.alloc(16_384, 0xbe)])), HPACK_TOO_LARGE);
    assert.deepEqual(rowsOf(decoder, hex('82')), [':method: GET']);
  });

  it('a Huffman string larger than the scratch decodes', () => {
    const text = '0'.repeat(50_000);
    assert.deepEqual(rowsOf(newDecoder(), Buffer.concat([hex('000161'), string(text, true)])), [`a: ${text}`]);
  });
});

describe('cache of blocks', () => {
  it('a repeated block gives the same list object, and a changed table another', () => {
    const decoder = newDecoder();
    const encoder = new ReferenceEncoder();
    rowsOf(decoder, encoder.field('user', 'anna', 'incremental', false, true));
    const repeated = hex('be');
    for (let i = 0; i < 3; i++) assert.deepEqual(rowsOf(decoder, repeated), ['user: anna']);
    const list = decoder.list;
    assert.deepEqual(rowsOf(decoder, repeated), ['user: anna']);
    assert.equal(decoder.list, list);
    rowsOf(decoder, encoder.field('user', 'berta', 'incremental', false, true));
    assert.deepEqual(rowsOf(decoder, repeated), ['user: berta']);
  });

  it('an entry too large for the table makes the cache forget, too', () => {
    const decoder = newDecoder();
    rowsOf(decoder, new ReferenceEncoder().field('user', 'anna', 'incremental', false, true));
    for (let i = 0; i < 3; i++) assert.deepEqual(rowsOf(decoder, hex('be')), ['user: anna']);
    rowsOf(decoder, new ReferenceEncoder().field('n', 'x'.repeat(5_000), 'incremental', false, false));
    assert.equal(decodeBlock(decoder, hex('be')), HPACK_ERROR);
  });

  it('equal lists are one object across connections, however they were written', () => {
    const table = newTable();
    const [one, two] = [newDecoder({}, true, table), newDecoder({}, true, table)];
    for (let i = 0; i < 3; i++) {
      rowsOf(one, new ReferenceEncoder().field('user', 'anna', 'without', false, true));
      rowsOf(two, new ReferenceEncoder().field('user', 'anna', 'incremental', false, false));
    }
    assert.equal(one.list, two.list);
  });

  it('never-indexed fields are not kept', () => {
    const decoder = newDecoder();
    const secret = new ReferenceEncoder().field('authorization', 'x', 'never', true, false);
    const seen = new Set<unknown>();
    for (let i = 0; i < 5; i++) {
      assert.deepEqual(rowsOf(decoder, secret), ['authorization: x (never)']);
      seen.add(decoder.list);
    }
    assert.equal(seen.size, 5);
    assert.deepEqual(rowsOf(decoder, new ReferenceEncoder().field('authorization', 'x', 'without', true, false)), [
      'authorization: x',
    ]);
  });
});
