/** Properties of the HPACK codec, against the reference: same fields, same refusals, same table, with the cache and without. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodedLength, encodeHeaderList } from '../../../agent/http2/hpack-encoder.ts';
import { HPACK_ERROR, HPACK_OK, HPACK_TOO_LARGE, type HpackDecoder } from '../../../agent/http2/hpack-decoder.ts';
import { STATIC_NAMES, STATIC_VALUES } from '../../../agent/http2/hpack-static.ts';
import { HeaderList } from '../../../agent/http2/header-list.ts';
import { type Field, HpackFault, ReferenceDecoder, ReferenceEncoder, type Representation } from './hpack-reference.ts';
import { BOUNDS, decodeBlock, fieldsOf, newDecoder } from './hpack-support.ts';

const octetText = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((octets) => Buffer.from(octets).toString('latin1'));

const staticIndex = fc.integer({ min: 1, max: 61 });
const name = fc.oneof(
  staticIndex.map((i) => STATIC_NAMES[i] as string),
  fc.constantFrom('grpc-timeout', 'x-request-id', 'te', 'cookie'),
  octetText(12),
);
const value = fc.oneof(
  staticIndex.map((i) => STATIC_VALUES[i] as string),
  fc.constantFrom('1', '100m', 'trailers', 'a'.repeat(300)),
  octetText(40),
);

interface Written {
  readonly name: string;
  readonly value: string;
  readonly how: Representation;
  readonly indexName: boolean;
  readonly coded: boolean;
}

const written: fc.Arbitrary<Written> = fc.record({
  name,
  value,
  how: fc.constantFrom<Representation>('indexed', 'incremental', 'without', 'never'),
  indexName: fc.boolean(),
  coded: fc.boolean(),
});

/** Few and alike, so that blocks, fields and entries recur. */
const recurring: fc.Arbitrary<Written> = fc.record({
  name: fc.constantFrom('a', 'bb', ':path'),
  value: fc.constantFrom('', '1', '/', 'x'.repeat(1_500)),
  how: fc.constantFrom<Representation>('indexed', 'indexed', 'indexed', 'incremental', 'without', 'never'),
  indexName: fc.constant(true),
  coded: fc.constant(false),
});

function encodeWith(encoder: ReferenceEncoder, fields: readonly Written[]): Buffer {
  return Buffer.concat(
    fields.map((field) => encoder.field(field.name, field.value, field.how, field.indexName, field.coded)),
  );
}

function referenceResult(decoder: ReferenceDecoder, block: Uint8Array): Field[] | null {
  try {
    return decoder.decode(block);
  } catch (cause) {
    if (cause instanceof HpackFault) return null;
    throw cause;
  }
}

/** What the product says of a block, comparable with the reference: its fields, or null when refused for good. */
function productResult(decoder: HpackDecoder, block: Uint8Array): Field[] | null | 'too large' {
  const result = decodeBlock(decoder, block);
  if (result === HPACK_TOO_LARGE) return 'too large';
  return result === HPACK_OK ? fieldsOf(decoder.list) : null;
}

describe('properties of HPACK', () => {
  it('what our encoder writes decodes to the same list, and takes the length foretold', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ name, value, never: fc.boolean() }, { noNullPrototype: true }), { maxLength: 20 }),
        (fields) => {
          const never = fields.some((field) => field.never)
            ? Uint8Array.from(fields, (field) => Number(field.never))
            : null;
          const list = new HeaderList(
            fields.map((field) => field.name),
            fields.map((field) => field.value),
            never,
          );
          assert.deepEqual(new ReferenceDecoder().decode(list.encoded), fields);
          assert.deepEqual(productResult(newDecoder(), list.encoded), fields);
          const length = encodedLength(list);
          const into = Buffer.alloc(length + 5, 0xee);
          assert.equal(encodeHeaderList(list, into, 6), -1, 'no room');
          assert.equal(encodeHeaderList(list, into, 3), length);
          assert.deepEqual(into.subarray(3, 3 + length), list.encoded);
          assert.deepEqual([...into.subarray(0, 3), ...into.subarray(3 + length)], [0xee, 0xee, 0xee, 0xee, 0xee]);
        },
      ),
    );
  });

  it('blocks of any representation say what the reference says, from block to block', () => {
    fc.assert(
      fc.property(fc.array(fc.array(written, { maxLength: 12 }), { maxLength: 12 }), (blocks) => {
        const encoder = new ReferenceEncoder();
        const reference = new ReferenceDecoder();
        const decoder = newDecoder();
        for (const fields of blocks) {
          const block = encodeWith(encoder, fields);
          const expected = reference.decode(block);
          assert.deepEqual(
            expected.map((field) => [field.name, field.value]),
            fields.map((field) => [field.name, field.value]),
          );
          assert.deepEqual(productResult(decoder, block), expected);
          const size = expected.reduce((sum, field) => sum + field.name.length + field.value.length + 32, 0);
          assert.equal(decoder.list?.size, size);
        }
      }),
    );
  });

  it('any octets are refused or decoded as the reference does, until one refuses', () => {
    const octets = fc.uint8Array({ maxLength: 60 });
    const likely = fc.array(
      fc.constantFrom(0x82, 0xbe, 0xbf, 0xc0, 0x40, 0x01, 0x61, 0x00, 0x10, 0x3f, 0x20, 0x83, 0x84),
      {
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            octets,
            likely.map((list) => Uint8Array.from(list)),
          ),
          { maxLength: 8 },
        ),
        (blocks) => {
          const reference = new ReferenceDecoder();
          const decoder = newDecoder();
          for (const block of blocks) {
            const expected = referenceResult(reference, block);
            assert.deepEqual(productResult(decoder, block), expected);
            if (expected === null) return;
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('with the cache and without, in whatever order blocks come and the table changes', () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: fc.array(recurring, { minLength: 1, maxLength: 1 }) },
      { weight: 3, arbitrary: fc.array(recurring, { minLength: 1, maxLength: 4 }) },
      { weight: 1, arbitrary: fc.constantFrom(0, 100, 4_096) },
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
        const encoder = new ReferenceEncoder();
        const [cached, plain] = [newDecoder({ fieldCountMax: 3 }), newDecoder({ fieldCountMax: 3 }, false)];
        const reference = new ReferenceDecoder();
        let updates = Buffer.alloc(0);
        for (const each of steps) {
          if (typeof each === 'number') {
            updates = Buffer.concat([updates, encoder.resize(each)]);
            continue;
          }
          const block = Buffer.concat([updates, encodeWith(encoder, each)]);
          updates = Buffer.alloc(0);
          const expected = each.length > 3 ? 'too large' : reference.decode(block);
          if (each.length > 3) reference.decode(block);
          assert.deepEqual(productResult(plain, block), expected);
          assert.deepEqual(productResult(cached, block), expected);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('bounds are exact: over the list’s size or count exactly when the reference’s list is', () => {
    fc.assert(
      fc.property(
        fc.array(written, { maxLength: 12 }),
        fc.nat(600),
        fc.nat(12),
        (fields, listBytesMax, fieldCountMax) => {
          const block = encodeWith(new ReferenceEncoder(), fields);
          const size = fields.reduce((sum, field) => sum + field.name.length + field.value.length + 32, 0);
          const over = size > listBytesMax || fields.length > fieldCountMax;
          const decoder = newDecoder({ ...BOUNDS, listBytesMax, fieldCountMax });
          assert.equal(decodeBlock(decoder, block), over ? HPACK_TOO_LARGE : HPACK_OK);
          assert.notEqual(decodeBlock(decoder, Buffer.of(0x82)), HPACK_ERROR);
        },
      ),
    );
  });
});
