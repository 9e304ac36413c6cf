import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder } from '../../../agent/ipc/frame.ts';

function collect(decoder: FrameDecoder, chunk: Buffer, into: string[]): string | null {
  return decoder.push(chunk, (payload) => into.push(payload.toString('utf8')));
}

test('frames come back whole however the stream is cut', () => {
  const texts = fc.array(fc.string({ minLength: 1, unit: 'grapheme' }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(texts, fc.array(fc.nat(64)), (messages, cuts) => {
      const stream = Buffer.concat(messages.map(encodeFrame));
      const decoder = new FrameDecoder(1 << 20);
      const seen: string[] = [];
      let at = 0;
      for (const cut of cuts) {
        assert.equal(collect(decoder, stream.subarray(at, at + cut), seen), null);
        at = Math.min(stream.length, at + cut);
      }
      assert.equal(collect(decoder, stream.subarray(at), seen), null);
      assert.deepEqual(seen, messages);
      assert.equal(decoder.buffered, 0);
    }),
  );
});

test('a stream that arrives byte by byte is decoded', () => {
  const decoder = new FrameDecoder(100);
  const seen: string[] = [];
  for (const byte of Buffer.concat([encodeFrame('{"a":1}'), encodeFrame('ü')])) {
    assert.equal(collect(decoder, Buffer.from([byte]), seen), null);
  }
  assert.deepEqual(seen, ['{"a":1}', 'ü']);
});

test('a frame longer than the bound is refused from its header alone, and the stream stays refused', () => {
  const decoder = new FrameDecoder(16);
  const seen: string[] = [];
  const header = Buffer.alloc(4);
  header.writeUInt32LE(17);
  assert.match(collect(decoder, header, seen) ?? '', /17 bytes; allowed are 1 to 16/);
  assert.match(collect(decoder, encodeFrame('{}'), seen) ?? '', /17 bytes/);
  assert.deepEqual(seen, []);
  assert.equal(decoder.buffered, 0);
});

test('a frame of exactly the bound passes, an empty one is refused', () => {
  const seen: string[] = [];
  assert.equal(collect(new FrameDecoder(16), encodeFrame('x'.repeat(16)), seen), null);
  assert.deepEqual(seen, ['x'.repeat(16)]);
  assert.match(collect(new FrameDecoder(16), Buffer.alloc(4), seen) ?? '', /0 bytes/);
});
