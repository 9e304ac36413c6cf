import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BodyScanner } from '../../../agent/http1/body-scanner.ts';
import { defaultHttp1Limits } from '../../../agent/http1/http1-limits.ts';
import { scanBody } from './codec.ts';
import { chunkedBody } from './messages.ts';
import { readChunked } from './strict-parser.ts';

const LAST = '0\r\n\r\n';

/** Valid bodies; each is the whole of its text. */
const COMPLETE: readonly (readonly [string, string])[] = [
  ['an empty body', LAST],
  ['several zeros', '000\r\n\r\n'],
  ['one chunk', `5\r\nhello\r\n${LAST}`],
  ['upper and lower case sizes', `a\r\n0123456789\r\nA\r\n0123456789\r\n${LAST}`],
  ['a size with leading zeros', `0000000000000005\r\nhello\r\n${LAST}`],
  ['line ends as data', `4\r\n\r\n\r\n\r\n${LAST}`],
  ['a body that looks like a request', `e\r\nGET / HTTP/1.1\r\n${LAST}`],
  ['extensions', `5;a;b=c;d="e;\\"\\\\ f";g=""\r\nhello\r\n0;z\r\n\r\n`],
  ['trailers', '0\r\nX-Sum: 1\r\nEmpty:\r\ngrpc-status: 0\r\n\r\n'],
];

const REFUSED: readonly (readonly [string, string, string])[] = [
  ['no size', '\r\n', '-400 BAD_CHUNK_SIZE'],
  ['an extension without size', ';a\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a size that is no number', 'g\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a hexadecimal prefix', '0x5\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a plus sign', '+5\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a minus sign', '-5\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['an underscore', '1_0\r\n', '-400 BAD_CHUNK_SIZE'],
  ['white space before the size', ' 5\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['white space after the size', '5 \r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['white space before an extension', '5 ;a\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a tab after the size', '5\t\r\nhello\r\n', '-400 BAD_CHUNK_SIZE'],
  ['a size that wraps 32 bits', '100000005\r\nhello\r\n0\r\n\r\n', 'incomplete'],
  ['a size of 2^53', '20000000000000\r\n', '-400 CHUNK_TOO_LARGE'],
  ['a size that wraps 64 bits', '10000000000000005\r\nhello\r\n', '-400 CHUNK_TOO_LARGE'],
  ['a size of 17 digits', '00000000000000005\r\nhello\r\n', '-400 CHUNK_TOO_LARGE'],
  ['bare LF after the size', '5\nhello\r\n', '-400 BARE_LF'],
  ['bare CR after the size', '5\rhello\r\n', '-400 BARE_CR'],
  ['two CR after the size', '5\r\r\nhello\r\n', '-400 BARE_CR'],
  ['NUL in the size', '5\0\r\n', '-400 BAD_CHUNK_SIZE'],
  ['an empty extension', '5;\r\nhello\r\n', '-400 BARE_CR'],
  ['an extension that begins with a space', '5; a\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['an extension without value', '5;a=\r\n', '-400 BARE_CR'],
  ['bare LF in an extension', '5;a\nhello\r\n', '-400 BARE_LF'],
  ['bare LF in an extension value', '5;a=b\nhello\r\n', '-400 BARE_LF'],
  ['bare LF in a quoted value', '5;a="b\n"\r\n', '-400 BARE_LF'],
  ['CRLF in a quoted value', '5;a="b\r\n"\r\n', '-400 BARE_CR'],
  ['bare CR in an extension', '5;a\rX\r\n', '-400 BARE_CR'],
  ['NUL in an extension', '5;a\0\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['a control in a quoted value', '5;a="\x01"\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['a control as quoted pair', '5;a="\\\x01"\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['something after a quoted value', '5;a="b"c\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['an extension name that is no token', '5;[=]\r\n', '-400 BAD_CHUNK_EXTENSION'],
  ['data longer than its size', '5\r\nhello!\r\n', '-400 NO_CRLF_AFTER_CHUNK'],
  ['data without line end', `5\r\nhello${LAST}`, '-400 NO_CRLF_AFTER_CHUNK'],
  ['data with bare LF', `5\r\nhello\n${LAST}`, '-400 NO_CRLF_AFTER_CHUNK'],
  ['data with CR and something else', `5\r\nhello\rX`, '-400 NO_CRLF_AFTER_CHUNK'],
  ['bare LF as the last line', '0\r\n\n', '-400 BARE_LF'],
  ['bare CR as the last line', '0\r\n\rX', '-400 BARE_CR'],
  ['bare LF after a trailer', '0\r\nX: 1\n\r\n', '-400 BARE_LF'],
  ['bare CR after a trailer', '0\r\nX: 1\rY', '-400 BARE_CR'],
  ['a folded trailer', '0\r\nX: 1\r\n 2\r\n\r\n', '-400 OBS_FOLD'],
  ['a trailer with a space before the colon', '0\r\nX : 1\r\n\r\n', '-400 BAD_TRAILER_NAME'],
  ['a trailer without name', '0\r\n: 1\r\n\r\n', '-400 BAD_TRAILER_NAME'],
  ['a trailer without colon', '0\r\nX\r\n\r\n', '-400 BAD_TRAILER_NAME'],
  ['NUL in a trailer', '0\r\nX: \0\r\n\r\n', '-400 CONTROL_IN_VALUE'],
  ['a request where trailers should be', '0\r\nGET / HTTP/1.1\r\n\r\n', '-400 BAD_TRAILER_NAME'],
  ...[
    'Content-Length',
    'transfer-encoding',
    'HOST',
    'Authorization',
    'cookie',
    'Set-Cookie',
    'Connection',
    'Content-Type',
    'Trailer',
    'TE',
    'Content_Length',
    'Transfer_Encoding',
  ].map(
    (name) => [`${name} as a trailer`, `0\r\n${name}: 1\r\n\r\n`, '-400 FORBIDDEN_TRAILER'] as [string, string, string],
  ),
];

describe('BodyScanner', () => {
  for (const [name, text] of COMPLETE) {
    it(`takes ${name} and nothing after it`, () => {
      assert.equal(scanBody(text, 2, -1), text.length);
      assert.equal(scanBody(`${text}GET / HTTP/1.1\r\n`, 2, -1), text.length);
    });
  }

  for (const [name, text, expected] of REFUSED) {
    it(`refuses ${name}: ${expected}`, () => assert.equal(scanBody(text, 2, -1), expected));
  }

  it('has the same result when split at any two places', () => {
    for (const text of [...COMPLETE.map(([, t]) => `${t}X`), ...REFUSED.map(([, t]) => t)]) {
      const whole = scanBody(text, 2, -1);
      for (let a = 0; a <= text.length; a++) {
        for (let b = a; b <= text.length; b += 3)
          assert.equal(scanBody(text, 2, -1, [a, b]), whole, JSON.stringify([text, a, b]));
      }
      assert.equal(
        scanBody(
          text,
          2,
          -1,
          Array.from({ length: text.length }, (_, i) => i),
        ),
        whole,
        JSON.stringify(text),
      );
    }
  });

  it('is incomplete for every proper prefix of a body', () => {
    for (const [, text] of COMPLETE) {
      for (let length = 0; length < text.length; length++)
        assert.equal(scanBody(text.slice(0, length), 2, -1), 'incomplete');
    }
  });

  it('agrees with the strict parser on generated bodies, however they are split', () => {
    fc.assert(
      fc.property(chunkedBody(), fc.array(fc.nat()), fc.string({ unit: 'binary' }), (encoded, where, after) => {
        const text = encoded.text + after;
        const cuts = where.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b);
        assert.equal(scanBody(text, 2, -1, cuts), encoded.text.length);
        const read = readChunked(text);
        assert.equal(read.body, encoded.body);
        assert.equal(read.rest, after);
      }),
    );
  });

  it('counts a body of known length across reads, and one without length until the connection ends', () => {
    const scanner = new BodyScanner();
    scanner.start(1, 10);
    const bytes = Buffer.alloc(16);
    assert.deepEqual([scanner.scan(bytes, 2, 6), scanner.complete], [4, false]);
    assert.deepEqual([scanner.scan(bytes, 6, 6), scanner.complete], [0, false]);
    assert.deepEqual([scanner.scan(bytes, 0, 16), scanner.complete], [6, true]);
    assert.deepEqual([scanner.scan(bytes, 0, 16), scanner.complete], [0, true]);
    scanner.start(0, 0);
    assert.deepEqual([scanner.scan(bytes, 0, 16), scanner.complete], [0, true]);
    scanner.start(3, -1);
    assert.deepEqual([scanner.scan(bytes, 0, 16), scanner.complete], [16, false]);
  });

  it('takes the largest length and chunk without losing count', () => {
    const scanner = new BodyScanner();
    const bytes = Buffer.from('1fffffffffffff\r\n', 'latin1');
    scanner.start(2, -1);
    assert.equal(scanner.scan(bytes, 0, bytes.length), bytes.length);
    assert.equal(scanner.remaining, Number.MAX_SAFE_INTEGER);
    scanner.start(1, Number.MAX_SAFE_INTEGER);
    assert.equal(scanner.scan(bytes, 0, bytes.length), bytes.length);
    assert.equal(scanner.remaining, Number.MAX_SAFE_INTEGER - bytes.length);
  });

  it('stays refused until the next body is started', () => {
    const scanner = new BodyScanner();
    const bad = Buffer.from('x', 'latin1');
    scanner.start(2, -1);
    assert.equal(scanner.scan(bad, 0, 1), -400);
    const good = Buffer.from(LAST, 'latin1');
    assert.deepEqual([scanner.scan(good, 0, 5), scanner.complete, scanner.refusal], [-400, false, 'BAD_CHUNK_SIZE']);
    scanner.start(2, -1);
    assert.deepEqual([scanner.scan(good, 0, 5), scanner.complete, scanner.refusal], [5, true, '']);
  });

  it('accepts a chunk line and a trailer section of exactly the limit and refuses one octet more', () => {
    const small = { ...defaultHttp1Limits, chunkLineBytesMax: 8, trailerBytesMax: 10 };
    // One scanner for all: what one body used up must not count for the next.
    const scanner = new BodyScanner(small);
    const scan = (text: string): string => {
      scanner.start(2, -1);
      const bytes = Buffer.from(text, 'latin1');
      return `${scanner.scan(bytes, 0, bytes.length)} ${scanner.refusal}`;
    };
    assert.equal(scan('0;abcdef\r\n\r\n'), '12 ');
    assert.equal(scan('0;abcdefg\r\n\r\n'), '-400 CHUNK_LINE_TOO_LONG');
    assert.equal(scan('0\r\nX: abc\r\n\r\n'), '13 ');
    assert.equal(scan('0\r\nX: abcd\r\n\r\n'), '-431 TRAILERS_TOO_LARGE');
  });
});
