import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { limits } from '../../../agent/limits.ts';
import { AccessLogSink } from '../../../agent/supervisor/access-log-sink.ts';

/** Takes everything at once, or (stuck) nothing ever. */
function output(stuck = false): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      if (!stuck) callback();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') };
}

test('lines of several workers are never mixed, however their sockets cut them', () => {
  const pieces = fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 12 })), { maxLength: 60 });
  fc.assert(
    fc.property(pieces, (cuts) => {
      const { stream, text } = output();
      const sink = new AccessLogSink(stream);
      const streams = [0, 1, 2].map((worker) => Buffer.from(`worker-${worker}-line\n`.repeat(40)));
      const at = [0, 0, 0];
      for (const [worker, size] of cuts) {
        const from = at[worker] ?? 0;
        sink.push(worker, streams[worker]?.subarray(from, from + size) ?? Buffer.alloc(0));
        at[worker] = from + size;
      }
      for (const line of text().split('\n').slice(0, -1)) assert.match(line, /^worker-[012]-line$/);
    }),
  );
});

test('a slow reader costs lines, which are counted; memory stays bounded', () => {
  const { stream } = output(true);
  const sink = new AccessLogSink(stream);
  const chunk = Buffer.from(`${'x'.repeat(999)}\n`.repeat(100));
  const chunks = 3 * Math.ceil(limits.accessLogOutputBytesMax / chunk.length);
  for (let i = 0; i < chunks; i++) sink.push(1, chunk);
  const { lines, dropped } = sink.counters;
  assert.equal(lines, chunks * 100);
  assert.ok(dropped > lines / 2, `${dropped} of ${lines} dropped`);
  assert.ok(stream.writableLength <= limits.accessLogOutputBytesMax);
});

test('a reader that is gone costs lines, not the agent', async () => {
  const { stream } = output();
  const sink = new AccessLogSink(stream);
  stream.destroy(new Error('EPIPE'));
  await new Promise((resolve) => setImmediate(resolve));
  sink.push(1, Buffer.from('a\nb\n'));
  assert.equal(sink.counters.dropped, 2);
});

test('a line above the bound is dropped and counted, the next one passes', () => {
  const { stream, text } = output();
  const sink = new AccessLogSink(stream);
  const half = Buffer.alloc(limits.accessLogLineBytesMax / 2 + 1, 'x');
  sink.push(1, half);
  sink.push(1, half);
  sink.push(1, Buffer.from('tail of the long one\nshort\n'));
  assert.equal(text(), 'short\n');
  assert.equal(sink.counters.tooLong, 1);
});

test('the tail has the newest whole lines, oldest first', () => {
  const sink = new AccessLogSink(output().stream);
  sink.push(1, Buffer.from('one\ntwo\nthr'));
  sink.push(2, Buffer.from('other\n'));
  sink.push(1, Buffer.from('ee\n'));
  assert.deepEqual(sink.tail(3), ['two', 'other', 'three']);
  assert.deepEqual(sink.tail(100), ['one', 'two', 'other', 'three']);
  assert.deepEqual(new AccessLogSink(output().stream).tail(5), []);
});
