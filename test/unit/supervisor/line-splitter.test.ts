import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineSplitter } from '../../../agent/supervisor/line-splitter.ts';

test('lines come out the same however the stream is cut', () => {
  const line = fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\n', ' '));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(9)), (lines, cuts) => {
      const stream = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const splitter = new LineSplitter(1_000);
      const seen: string[] = [];
      let at = 0;
      for (const cut of [...cuts, stream.length]) {
        splitter.push(stream.subarray(at, at + cut), (text) => seen.push(text));
        at = Math.min(stream.length, at + cut);
      }
      assert.deepEqual(
        seen,
        lines.filter((text) => text !== ''),
      );
    }),
  );
});

test('a line above the bound is cut once, and the next line is whole', () => {
  const splitter = new LineSplitter(4);
  const seen: string[] = [];
  for (const piece of ['abc', 'defgh', 'ijk', '\nxy\n']) splitter.push(Buffer.from(piece), (text) => seen.push(text));
  assert.deepEqual(seen, ['abcd', 'xy']);
});

test('the last words without a newline come at the end', () => {
  const splitter = new LineSplitter(100);
  const seen: string[] = [];
  splitter.push(Buffer.from('one\ntwo'), (text) => seen.push(text));
  splitter.end((text) => seen.push(text));
  assert.deepEqual(seen, ['one', 'two']);
});
