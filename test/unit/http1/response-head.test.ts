import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultHttp1Limits } from '../../../agent/http1/http1-limits.ts';
import { ResponseHead } from '../../../agent/http1/response-head.ts';
import { parseResponse, place } from './codec.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const ok = (fields: string): string => `${OK}${fields}\r\n`;
const status = (line: string, fields = ''): string => `HTTP/1.1 ${line}\r\n${fields}\r\n`;

type Expected = Partial<
  Pick<
    ResponseHead,
    | 'status'
    | 'reason'
    | 'versionMinor'
    | 'interim'
    | 'bodyKind'
    | 'contentLength'
    | 'keepAlive'
    | 'upgrade'
    | 'tunnel'
    | 'hasHopByHop'
  >
>;

const ACCEPTED: readonly (readonly [string, string, string | boolean, Expected])[] = [
  [
    'a counted body',
    ok('Content-Length: 5\r\n'),
    'GET',
    {
      status: 200,
      reason: 'OK',
      versionMinor: 1,
      interim: false,
      bodyKind: 1,
      contentLength: 5,
      keepAlive: true,
      hasHopByHop: false,
    },
  ],
  ['an empty body', ok('Content-Length: 0\r\n'), 'GET', { bodyKind: 0, contentLength: 0, keepAlive: true }],
  ['a padded length', ok('Content-Length: 000012\r\n'), 'GET', { bodyKind: 1, contentLength: 12 }],
  [
    'chunked',
    ok('Transfer-Encoding: chunked\r\n'),
    'GET',
    { bodyKind: 2, contentLength: -1, keepAlive: true, hasHopByHop: false },
  ],
  ['no length: until close', ok(''), 'GET', { bodyKind: 3, contentLength: -1, keepAlive: false }],
  [
    'HEAD with a length',
    ok('Content-Length: 5\r\n'),
    'HEAD',
    { bodyKind: 0, contentLength: 5, keepAlive: true, hasHopByHop: false },
  ],
  ['HEAD as a flag', ok('Content-Length: 5\r\n'), true, { bodyKind: 0 }],
  ['not HEAD as a flag', ok('Content-Length: 5\r\n'), false, { bodyKind: 1 }],
  ['HEAD chunked', ok('Transfer-Encoding: chunked\r\n'), 'HEAD', { bodyKind: 0, keepAlive: true }],
  ['HEAD without a length', ok(''), 'HEAD', { bodyKind: 0, keepAlive: true }],
  ['a method named like HEAD', ok(''), 'HEADS', { bodyKind: 3 }],
  [
    '304 with a length',
    status('304 Not Modified', 'Content-Length: 5\r\n'),
    'GET',
    { bodyKind: 0, keepAlive: true, hasHopByHop: false },
  ],
  ['204', status('204 No Content'), 'GET', { bodyKind: 0, keepAlive: true, hasHopByHop: false }],
  [
    '204 with a length of 0',
    status('204 No Content', 'Content-Length: 0\r\n'),
    'GET',
    { bodyKind: 0, keepAlive: true, hasHopByHop: true },
  ],
  [
    '204 with a length is not to be trusted further',
    status('204 No Content', 'Content-Length: 5\r\n'),
    'GET',
    { bodyKind: 0, keepAlive: false, hasHopByHop: true },
  ],
  ['100', status('100 Continue'), 'POST', { interim: true, bodyKind: 0, keepAlive: true, hasHopByHop: false }],
  ['103', status('103 Early Hints', 'Link: </a>\r\n'), 'GET', { interim: true, bodyKind: 0 }],
  [
    '101',
    status('101 Switching Protocols', 'Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    'GET',
    { interim: true, upgrade: true, bodyKind: 0, keepAlive: false, hasHopByHop: false },
  ],
  [
    'CONNECT accepted',
    status('200 OK', 'Content-Length: 5\r\n'),
    'CONNECT',
    { tunnel: true, bodyKind: 0, keepAlive: false, hasHopByHop: true },
  ],
  [
    'CONNECT accepted, with a coding',
    status('200 OK', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: z\r\n'),
    'CONNECT',
    { tunnel: true, bodyKind: 0, contentLength: -1, keepAlive: false, hasHopByHop: true },
  ],
  [
    'CONNECT refused',
    status('403 No', 'Content-Length: 5\r\n'),
    'CONNECT',
    { tunnel: false, bodyKind: 1, keepAlive: true },
  ],
  ['an empty reason', status('200 ', 'Content-Length: 0\r\n'), 'GET', { reason: '', hasHopByHop: false }],
  ['no space before the reason', status('200', 'Content-Length: 0\r\n'), 'GET', { reason: '', hasHopByHop: true }],
  ['a reason of many octets', status('200 \t a \xff', 'Content-Length: 0\r\n'), 'GET', { reason: '\t a \xff' }],
  ['an unknown status', status('999 ?', 'Content-Length: 0\r\n'), 'GET', { status: 999, interim: false }],
  [
    'HTTP/1.0',
    'HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n',
    'GET',
    { versionMinor: 0, bodyKind: 1, keepAlive: false, hasHopByHop: true },
  ],
  [
    'Connection: close',
    ok('Content-Length: 5\r\nConnection: close\r\n'),
    'GET',
    { keepAlive: false, hasHopByHop: true },
  ],
  [
    'Connection: keep-alive',
    ok('Content-Length: 5\r\nConnection: keep-alive\r\n'),
    'GET',
    { keepAlive: true, hasHopByHop: false },
  ],
  [
    'Keep-Alive',
    ok('Content-Length: 5\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n'),
    'GET',
    { keepAlive: true, hasHopByHop: true },
  ],
  [
    'an unasked offer to upgrade',
    ok('Content-Length: 5\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\n'),
    'GET',
    { upgrade: false, hasHopByHop: true },
  ],
];

const REFUSED: readonly (readonly [string, string, string])[] = [
  ['another protocol', 'ICY 200 OK\r\n\r\n', 'BAD_VERSION'],
  ['an empty line first', `\r\n${OK}\r\n`, 'BAD_VERSION'],
  ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n', 'BAD_VERSION'],
  ['a body where a head should be', '<html>', 'BAD_VERSION'],
  ['a status of two digits', 'HTTP/1.1 99 X\r\n\r\n', 'BAD_STATUS'],
  ['a status of four digits', 'HTTP/1.1 2000 X\r\n\r\n', 'BAD_STATUS'],
  ['a status below 100', 'HTTP/1.1 099 X\r\n\r\n', 'BAD_STATUS'],
  ['a status that is no number', 'HTTP/1.1 2x0 X\r\n\r\n', 'BAD_STATUS'],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\n\r\n', 'BAD_STATUS'],
  ['a tab after the version', 'HTTP/1.1\t200 OK\r\n\r\n', 'BAD_STATUS'],
  ['bare LF', 'HTTP/1.1 200 OK\n\n', 'BARE_LF'],
  ['bare LF after the status', 'HTTP/1.1 200\n\n', 'BARE_LF'],
  ['bare CR in the reason', 'HTTP/1.1 200 O\rK\r\n\r\n', 'BARE_CR'],
  ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', 'CONTROL_IN_REASON'],
  ['obs-fold', ok('X: a\r\n b\r\n'), 'OBS_FOLD'],
  ['a space before the colon', ok('Content-Length : 5\r\n'), 'SPACE_BEFORE_COLON'],
  ['both lengths', ok('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'), 'BOTH_LENGTHS'],
  ['a repeated length', ok('Content-Length: 5\r\nContent-Length: 5\r\n'), 'REPEATED_LENGTH'],
  ['a list of lengths', ok('Content-Length: 5, 5\r\n'), 'BAD_LENGTH'],
  ['a signed length', ok('Content-Length: +5\r\n'), 'BAD_LENGTH'],
  ['a length of 2^53', ok('Content-Length: 9007199254740992\r\n'), 'LENGTH_TOO_LARGE'],
  ['an invalid length on 304', status('304 X', 'Content-Length: x\r\n'), 'BAD_LENGTH'],
  ['a repeated coding', ok('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), 'REPEATED_CODING'],
  ['another coding', ok('Transfer-Encoding: gzip, chunked\r\n'), 'BAD_CODING'],
  ['an identity coding', ok('Transfer-Encoding: identity\r\n'), 'BAD_CODING'],
  ['a coding in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'CODING_IN_HTTP_1_0'],
  ['a coding on 204', status('204 X', 'Transfer-Encoding: chunked\r\n'), 'CODING_WITHOUT_BODY'],
  ['a coding on 100', status('100 X', 'Transfer-Encoding: chunked\r\n'), 'CODING_WITHOUT_BODY'],
  ['101 without Upgrade', status('101 X', 'Connection: upgrade\r\n'), 'BAD_SWITCH'],
  ['101 without Connection', status('101 X', 'Upgrade: websocket\r\n'), 'BAD_SWITCH'],
  ['Connection that names framing', ok('Connection: content-length\r\nContent-Length: 5\r\n'), 'BAD_CONNECTION'],
  ['Transfer_Encoding', ok('Transfer_Encoding: chunked\r\n'), 'LOOKALIKE_LENGTH'],
];

describe('ResponseHead.parse', () => {
  for (const [name, text, request, expected] of ACCEPTED) {
    it(`accepts ${name}`, () => {
      const { head, result } = parseResponse(text, request);
      assert.equal(head.refusal, '');
      assert.equal(result, text.length);
      for (const [key, value] of Object.entries(expected)) assert.equal(head[key as keyof ResponseHead], value, key);
    });
  }

  for (const [name, text, reason] of REFUSED) {
    it(`refuses ${name} with ${reason}`, () => {
      const { head, result } = parseResponse(text);
      assert.deepEqual([result, head.refusal], [-502, reason]);
    });
  }

  it('has the same result wherever the octets are split', () => {
    for (const [, text, request] of [...ACCEPTED, ...REFUSED.map(([name, text]) => [name, text, 'GET'] as const)]) {
      const whole = parseResponse(text, request);
      const { bytes, start } = place(text);
      for (let have = 0; have < text.length; have++) {
        const head = new ResponseHead();
        const early = head.parse(bytes, start, start + have, request);
        if (early === 0) continue;
        assert.deepEqual(
          [early, head.refusal],
          [whole.result, whole.head.refusal],
          JSON.stringify(text.slice(0, have)),
        );
        assert.ok(early < 0, `complete after ${have} octets of ${JSON.stringify(text)}`);
      }
    }
  });

  it('leaves nothing of one head in the next', () => {
    const head = new ResponseHead();
    const texts = [...ACCEPTED.map(([, text]) => text), ...REFUSED.map(([, text]) => text)];
    for (const text of texts) {
      const before = place(text);
      head.parse(before.bytes, before.start, before.end, 'CONNECT');
      const next = place(ok('Content-Length: 5\r\n'));
      assert.equal(head.parse(next.bytes, next.start, next.end, 'GET'), next.end - next.start);
      const { refusal, bodyKind, contentLength, keepAlive, upgrade, tunnel, interim, hasHopByHop } = head;
      assert.deepEqual(
        { refusal, bodyKind, contentLength, keepAlive, upgrade, tunnel, interim, hasHopByHop },
        {
          refusal: '',
          bodyKind: 1,
          contentLength: 5,
          keepAlive: true,
          upgrade: false,
          tunnel: false,
          interim: false,
          hasHopByHop: false,
        },
      );
    }
  });

  it('refuses a head above the limit and one field too many, however it arrives', () => {
    const small = { ...defaultHttp1Limits, headBytesMax: 60, headerCountMax: 2 };
    const head = (length: number): string => ok(`X: ${'a'.repeat(length - 24)}\r\n`);
    for (const [text, expected] of [
      [head(60), 60],
      [head(61), -502],
      [ok('a:\r\nb:\r\n'), 27],
      [ok('a:\r\nb:\r\nc:\r\n'), -502],
    ] as const) {
      const { bytes, start } = place(text);
      for (const step of [1, text.length]) {
        const small1 = new ResponseHead(small);
        let result = 0;
        for (let have = step; have <= text.length && result === 0; have += step)
          result = small1.parse(bytes, start, start + have, 'GET');
        assert.equal(result, expected, text);
      }
    }
  });
});
