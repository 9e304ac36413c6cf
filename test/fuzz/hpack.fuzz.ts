/**
 * HPACK: whatever blocks come one after the other, the decoder says what the reference says, with its cache and without, until
 * one of them refuses a block; and a list that is over the bounds leaves the table right.
 *
 * A seed is a sequence of steps: an octet n below 0xff, then a block of n octets; or 0xff and an octet m, the peer
 * acknowledges a table of 32 m octets.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HeaderListTable } from '../../agent/http2/header-list.ts';
import { HPACK_ERROR, HPACK_TOO_LARGE, type HpackDecoder } from '../../agent/http2/hpack-decoder.ts';
import { type Field, HpackFault, ReferenceDecoder } from '../unit/http2/hpack-reference.ts';
import { decodeBlock, fieldsOf, newDecoder } from '../unit/http2/hpack-support.ts';
import { fuzz } from './http1-support.ts';

/** Small, so that mutated blocks reach it; and one table for all runs, so that it is full of other runs' lists. */
const BOUNDS = { listBytesMax: 2_000, fieldCountMax: 16 };
const table = new HeaderListTable({ headerListsKeptMax: 256, headerListKeptBytesMax: 1_000 });

type Step = { readonly acknowledge: number } | { readonly block: Buffer };

function stepsOf(text: string): Step[] {
  const octets = Buffer.from(text, 'latin1');
  const steps: Step[] = [];
  for (let at = 0; at < octets.length; ) {
    const length = octets[at++] as number;
    if (length === 0xff) {
      steps.push({ acknowledge: Math.min((octets[at++] ?? 0) * 32, 4_096) });
    } else {
      steps.push({ block: octets.subarray(at, at + length) });
      at += length;
    }
  }
  return steps;
}

/** The fields of a block, null when it is refused for good. */
function expectation(reference: ReferenceDecoder, block: Buffer): Field[] | null {
  try {
    return reference.decode(block);
  } catch (cause) {
    if (cause instanceof HpackFault) return null;
    throw cause;
  }
}

function compare(decoder: HpackDecoder, block: Buffer, expected: Field[] | null): void {
  const result = decodeBlock(decoder, block);
  if (expected === null) {
    assert.equal(result, HPACK_ERROR);
    return;
  }
  const size = expected.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
  if (size > BOUNDS.listBytesMax || expected.length > BOUNDS.fieldCountMax) {
    assert.equal(result, HPACK_TOO_LARGE);
    return;
  }
  assert.deepEqual(fieldsOf(decoder.list), expected);
  assert.equal(decoder.list?.size, size);
  assert.deepEqual(fieldsOf(decoder.list), new ReferenceDecoder().decode(decoder.list?.encoded ?? Buffer.alloc(0)));
}

it('header blocks survive mutation', async () => {
  await fuzz('hpack', 5_000, (text) => {
    const reference = new ReferenceDecoder();
    const decoders = [newDecoder(BOUNDS, true, table), newDecoder(BOUNDS, false, table)];
    for (const step of stepsOf(text)) {
      if ('acknowledge' in step) {
        reference.acknowledge(step.acknowledge);
        for (const decoder of decoders) decoder.acknowledgeTableSize(step.acknowledge);
        continue;
      }
      const expected = expectation(reference, step.block);
      for (const decoder of decoders) compare(decoder, step.block, expected);
      if (expected === null) return;
    }
  });
});
