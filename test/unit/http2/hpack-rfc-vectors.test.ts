/** The examples of RFC 7541 appendix C, as octets and what they say, and the dynamic table that each leaves behind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HPACK_OK } from '../../../agent/http2/hpack-decoder.ts';
import { decodeBlock, fieldsOf, hex, newDecoder, rowsOf } from './hpack-support.ts';

interface Step {
  readonly block: string;
  readonly fields: readonly string[];
  /** The dynamic table afterwards, newest first. */
  readonly table: readonly string[];
}

/** Decodes indexes 62, 63, … until one is refused, in a decoder that has seen `blocks`. */
function tableAfter(tableSize: number, blocks: readonly string[]): string[] {
  const rows: string[] = [];
  for (let index = 62; ; index++) {
    const decoder = prepared(tableSize);
    for (const block of blocks) assert.equal(decodeBlock(decoder, hex(block)), HPACK_OK);
    if (decodeBlock(decoder, Buffer.of(0x80 | index)) !== HPACK_OK) return rows;
    const [field] = fieldsOf(decoder.list);
    rows.push(`${field?.name}: ${field?.value}`);
  }
}

function prepared(tableSize: number): ReturnType<typeof newDecoder> {
  const decoder = newDecoder();
  if (tableSize === 4_096) return decoder;
  decoder.acknowledgeTableSize(tableSize);
  assert.deepEqual(rowsOf(decoder, hex('3fe101')), [], 'size update to 256');
  return decoder;
}

function run(tableSize: number, steps: readonly Step[]): void {
  const decoder = prepared(tableSize);
  const blocks: string[] = [];
  for (const { block, fields, table } of steps) {
    assert.deepEqual(rowsOf(decoder, hex(block)), fields);
    blocks.push(block);
    assert.deepEqual(tableAfter(tableSize, blocks), table);
  }
}

describe('RFC 7541 appendix C', () => {
  it('C.1: integers, as size updates (five bits, as in the examples)', () => {
    const decoder = newDecoder();
    assert.deepEqual(rowsOf(decoder, hex('2a')), [], '10');
    assert.deepEqual(rowsOf(decoder, hex('3f9a0a')), [], '1337');
    decoder.acknowledgeTableSize(1_337);
    assert.deepEqual(rowsOf(decoder, hex('3f9a0a')), [], '1337, and no more is allowed');
    assert.notEqual(decodeBlock(decoder, hex('3f9b0a')), HPACK_OK, '1338');
  });

  it('C.2: header field representations', () => {
    run(4_096, [
      {
        block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
        fields: ['custom-key: custom-header'],
        table: ['custom-key: custom-header'],
      },
    ]);
    run(4_096, [{ block: '040c 2f73 616d 706c 652f 7061 7468', fields: [':path: /sample/path'], table: [] }]);
    run(4_096, [
      { block: '1008 7061 7373 776f 7264 0673 6563 7265 74', fields: ['password: secret (never)'], table: [] },
    ]);
    run(4_096, [{ block: '82', fields: [':method: GET'], table: [] }]);
  });

  const requests = (first: string, second: string, third: string): Step[] => [
    {
      block: first,
      fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
      table: [':authority: www.example.com'],
    },
    {
      block: second,
      fields: [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com', 'cache-control: no-cache'],
      table: ['cache-control: no-cache', ':authority: www.example.com'],
    },
    {
      block: third,
      fields: [
        ':method: GET',
        ':scheme: https',
        ':path: /index.html',
        ':authority: www.example.com',
        'custom-key: custom-value',
      ],
      table: ['custom-key: custom-value', 'cache-control: no-cache', ':authority: www.example.com'],
    },
  ];

  it('C.3: requests without Huffman coding', () => {
    run(
      4_096,
      requests(
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ),
    );
  });

  it('C.4: requests with Huffman coding', () => {
    run(
      4_096,
      requests(
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ),
    );
  });

  const DATE_21 = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
  const DATE_22 = 'date: Mon, 21 Oct 2013 20:13:22 GMT';
  const LOCATION = 'location: https://www.example.com';
  const COOKIE = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
  const responses = (first: string, second: string, third: string): Step[] => [
    {
      block: first,
      fields: [':status: 302', 'cache-control: private', DATE_21, LOCATION],
      table: [LOCATION, DATE_21, 'cache-control: private', ':status: 302'],
    },
    {
      block: second,
      fields: [':status: 307', 'cache-control: private', DATE_21, LOCATION],
      table: [':status: 307', LOCATION, DATE_21, 'cache-control: private'],
    },
    {
      block: third,
      fields: [':status: 200', 'cache-control: private', DATE_22, LOCATION, 'content-encoding: gzip', COOKIE],
      table: [COOKIE, 'content-encoding: gzip', DATE_22],
    },
  ];

  it('C.5: responses without Huffman coding, in a table of 256 octets', () => {
    run(
      256,
      responses(
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        '4803 3330 37c1 c0bf',
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
         3630 303b 2076 6572 7369 6f6e 3d31`,
      ),
    );
  });

  it('C.6: responses with Huffman coding, in a table of 256 octets', () => {
    run(
      256,
      responses(
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
         63c7 8f0b 97c8 e9ae 82ae 43d3`,
        '4883 640e ffc1 c0bf',
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ),
    );
  });
});
