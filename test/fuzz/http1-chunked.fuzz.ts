/** Chunked bodies: the same octets belong to the body however they are split, and a second parser finds the same end. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { scanBody } from '../unit/http1/codec.ts';
import { readChunked } from '../unit/http1/strict-parser.ts';
import { cuts, fuzz } from './http1-support.ts';

/** Refusals of what the grammar allows: bounds, and trailers that would change the message. */
const STRICTER_THAN_GRAMMAR = /FORBIDDEN_TRAILER|CHUNK_TOO_LARGE|CHUNK_LINE_TOO_LONG|TRAILERS_TOO_LARGE/;

it('chunked bodies survive mutation', async () => {
  await fuzz('http1-chunked', 10_000, (text, rng) => {
    const whole = scanBody(text, 2, -1);
    assert.equal(scanBody(text, 2, -1, cuts(rng, text.length)), whole);
    if (typeof whole === 'number') {
      assert.equal(readChunked(text).rest.length, text.length - whole);
    } else if (!STRICTER_THAN_GRAMMAR.test(whole)) {
      assert.throws(() => readChunked(text), /strict parser/);
    }
  });
});
