import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RequestHead } from '../../../agent/http1/request-head.ts';
import { ResponseHead } from '../../../agent/http1/response-head.ts';
import {
  closeEdits,
  type HeadEdits,
  isReserved,
  noEdits,
  REWRITE_BAD_EDIT,
  REWRITE_NO_ROOM,
  rewriteRequestHead,
  rewriteResponseHead,
} from '../../../agent/http1/rewrite.ts';
import { forwardResponseHead, parseRequest, place } from './codec.ts';
import { request, token, value } from './messages.ts';
import { readRequests, valuesOf } from './strict-parser.ts';

const edits = (change: Partial<HeadEdits>): HeadEdits => ({ ...noEdits, ...change });

/** The rewritten head, or the negative result. */
function rewritten(text: string, change: HeadEdits | null = null, room = 4_096): string | number {
  const { bytes, start, end } = place(text);
  const head = new RequestHead();
  const parsed = head.parse(bytes, start, end);
  assert.ok(parsed > 0, head.refusal);
  const into = Buffer.alloc(room + 7, 0x2a);
  const written = rewriteRequestHead(head, bytes, change, into.subarray(0, room + 3), 3);
  assert.equal(into.toString('latin1', 0, 3), '***', 'wrote before its place');
  assert.equal(into.toString('latin1', room + 3), '****', 'wrote past the end');
  return written < 0 ? written : into.toString('latin1', 3, 3 + written);
}

const head = (target: string, fields: string): string => `GET ${target} HTTP/1.1\r\n${fields}\r\n`;

describe('rewriteRequestHead', () => {
  const cases: readonly (readonly [string, string, HeadEdits | null, string])[] = [
    [
      'keeps order, case, spacing and repetition of what stays',
      head('/a?b', 'x-b:  1 \r\nHOST: a\r\nX-A:2\r\nx-b: 3\r\n'),
      null,
      head('/a?b', 'x-b:  1 \r\nHOST: a\r\nX-A:2\r\nx-b: 3\r\n'),
    ],
    [
      'drops what ends at this hop',
      head(
        '/',
        'Host: a\r\nConnection: close, X-Hop\r\nX: 1\r\nx-hop: 2\r\nKeep-Alive: 1\r\nY: 2\r\nProxy-Connection: x\r\nTE: gzip\r\n',
      ),
      null,
      head('/', 'Host: a\r\nX: 1\r\nY: 2\r\n'),
    ],
    [
      'drops an offer of h2c with its settings',
      head('/', 'Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n'),
      null,
      head('/', 'Host: a\r\n'),
    ],
    [
      'forwards an upgrade with a Connection of its own',
      head(
        '/',
        'Host: a\r\nConnection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n',
      ),
      null,
      head('/', 'Host: a\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n'),
    ],
    [
      'passes on readiness for trailers',
      head('/', 'Host: a\r\nTE: trailers, gzip\r\nConnection: TE\r\n'),
      null,
      head('/', 'Host: a\r\nTE: trailers\r\nConnection: TE\r\n'),
    ],
    [
      'does not forward the empty line before the request',
      `\r\n${head('/', 'Host: a\r\n')}`,
      null,
      head('/', 'Host: a\r\n'),
    ],
    [
      'writes the normalised path and keeps the query',
      head('/a/../b%2e?x=/../%2e', 'Host: a\r\n'),
      null,
      head('/b.?x=/../%2e', 'Host: a\r\n'),
    ],
    ['turns absolute-form into origin-form', head('http://A:80/b?c', 'Host: a\r\n'), null, head('/b?c', 'Host: a\r\n')],
    ['gives absolute-form without path a path', head('http://a?c', 'Host: a\r\n'), null, head('/?c', 'Host: a\r\n')],
    [
      'gives absolute-form OPTIONS an asterisk',
      'OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n',
      null,
      'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'keeps the authority of HTTP/1.0 as Host',
      'GET http://A:81/b HTTP/1.0\r\nX: 1\r\n\r\n',
      null,
      'GET /b HTTP/1.0\r\nHost: A:81\r\nX: 1\r\n\r\n',
    ],
    [
      'keeps authority-form',
      'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Connection: x\r\n\r\n',
      null,
      'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n',
    ],
    [
      'writes framing and Host in plain form',
      head('/', 'Host:a \r\nContent-Length: \t5\r\n'),
      null,
      head('/', 'Host: a\r\nContent-Length: 5\r\n'),
    ],
    [
      'writes chunked in lower case',
      head('/', 'Host: a\r\ntransfer-ENCODING:CHUNKED\t\r\n'),
      null,
      head('/', 'Host: a\r\ntransfer-ENCODING: chunked\r\n'),
    ],
    [
      'sets, adds and removes',
      head('/', 'Host: a\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-C: 4\r\n'),
      edits({ set: [{ name: 'x-a', value: '9' }], add: [{ name: 'X-C', value: '5' }], remove: ['X-b'] }),
      head('/', 'Host: a\r\nX-C: 4\r\nx-a: 9\r\nX-C: 5\r\n'),
    ],
    [
      'replaces the host in its place',
      head('/', 'X: 1\r\nHost: a:80\r\nY: 2\r\n'),
      edits({ host: 'B.c:8080' }),
      head('/', 'X: 1\r\nHost: B.c:8080\r\nY: 2\r\n'),
    ],
    [
      'takes a set of host for the host',
      head('/', 'Host: a\r\n'),
      edits({ set: [{ name: 'Host', value: 'b' }] }),
      head('/', 'Host: b\r\n'),
    ],
    [
      'gives HTTP/1.0 the host asked for',
      'GET / HTTP/1.0\r\nX: 1\r\n\r\n',
      edits({ host: 'b' }),
      'GET / HTTP/1.0\r\nHost: b\r\nX: 1\r\n\r\n',
    ],
    ['replaces the target', head('/a?b', 'Host: a\r\n'), edits({ target: '/c?d' }), head('/c?d', 'Host: a\r\n')],
    [
      'ignores edits of framing and of the connection',
      head('/', 'Host: a\r\nContent-Length: 5\r\n'),
      edits({
        set: [
          { name: 'content-length', value: '0' },
          { name: 'Connection', value: 'x' },
        ],
        add: [
          { name: 'Transfer-Encoding', value: 'chunked' },
          { name: 'Host', value: 'b' },
          { name: 'content_length', value: '1' },
          { name: 'Expect', value: 'x' },
        ],
        remove: ['Content-Length', 'host'],
      }),
      head('/', 'Host: a\r\nContent-Length: 5\r\n'),
    ],
    [
      'adds an empty value',
      head('/', 'Host: a\r\n'),
      edits({ add: [{ name: 'x', value: '' }] }),
      head('/', 'Host: a\r\nx: \r\n'),
    ],
  ];
  for (const [name, text, change, expected] of cases) {
    it(name, () => assert.equal(rewritten(text, change), expected));
  }

  for (const [name, change] of [
    ['a line end in a value', { add: [{ name: 'x', value: 'a\r\nY: 1' }] }],
    ['bare LF in a value', { set: [{ name: 'x', value: 'a\nY: 1' }] }],
    ['NUL in a value', { set: [{ name: 'x', value: '\0' }] }],
    ['a value beyond one octet per character', { set: [{ name: 'x', value: '\u0105' }] }],
    ['an empty name', { add: [{ name: '', value: 'a' }] }],
    ['a colon in a name', { add: [{ name: 'a:', value: 'a' }] }],
    ['a target without slash', { target: 'http://b/' }],
    ['a target with a space', { target: '/a b' }],
    ['a target with a fragment', { target: '/a#b' }],
    ['a target with half an escape', { target: '/a%2' }],
    ['an empty target', { target: '' }],
    ['an empty host', { host: '' }],
    ['a host with a line end', { host: 'a\r\nX: 1' }],
    ['a host with two ports', { host: 'a:1:2' }],
  ] satisfies (readonly [string, Partial<HeadEdits>])[]) {
    it(`refuses an edit with ${name}`, () => {
      assert.equal(rewritten(head('/', 'Host: a\r\n'), edits(change)), REWRITE_BAD_EDIT);
    });
  }

  it('says when there is no room, at every size that is too small, and writes nothing outside', () => {
    const text =
      'GET http://a/x/../b?c HTTP/1.1\r\nHost:a\r\nX: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    const change = edits({ set: [{ name: 's', value: '1' }], add: [{ name: 'a', value: '2' }], host: 'b' });
    const whole = rewritten(text, change) as string;
    for (let room = 0; room < whole.length; room++) assert.equal(rewritten(text, change, room), REWRITE_NO_ROOM);
    assert.equal(rewritten(text, change, whole.length), whole);
  });

  it('has output that parses strictly and to the same request, whatever the edits are', () => {
    const names = fc.oneof(
      token(),
      fc.constantFrom(
        'host',
        'Host',
        'content-length',
        'Transfer-Encoding',
        'connection',
        'upgrade',
        'te',
        'x-hop',
        'expect',
        'a:b',
        '',
        'x\r\n',
      ),
    );
    const values = fc.oneof(value(), fc.constantFrom('a\r\nContent-Length: 5', 'chunked', 'close', 'b.c', '5', ' x '));
    const fields = fc.array(fc.record({ name: names, value: values }), { maxLength: 3 });
    const changes = fc.record(
      {
        set: fields,
        add: fields,
        remove: fc.array(names, { maxLength: 3 }),
        target: fc.constantFrom('/new', '/new?q', 'bad', '/%zz'),
        host: fc.constantFrom('b', 'b:80', 'b c'),
      },
      { requiredKeys: ['set', 'add', 'remove'] },
    );
    fc.assert(
      fc.property(request(), changes, (generated, change) => {
        const before = parseRequest(generated.text);
        const out = rewritten(generated.text, change, 8_192);
        if (typeof out === 'number') {
          assert.equal(out, REWRITE_BAD_EDIT);
          return;
        }
        const after = parseRequest(out);
        assert.equal(after.refusal, '', out);
        assert.equal(after.result, out.length);
        assert.deepEqual(
          [after.method, after.bodyKind, after.contentLength, after.keepAlive],
          [before.method, before.bodyKind, before.contentLength, true],
        );
        assert.deepEqual(
          [after.path, after.query],
          change.target === undefined ? [before.path, before.query] : ['/new', change.target === '/new' ? '' : 'q'],
        );
        const sent =
          change.set.filter(({ name }) => !isReserved(name)).length +
          change.add.filter(({ name }) => !isReserved(name)).length;
        const [plain] = readRequests(
          out.slice(0, -2) +
            (after.bodyKind === 2 ? '\r\n0\r\n\r\n' : `\r\n${'x'.repeat(after.contentLength as number)}`),
        );
        assert.ok(plain !== undefined && plain.fields.length >= sent);
        for (const { name, value: wanted } of change.set) {
          if (!isReserved(name))
            assert.ok(valuesOf(plain, name.toLowerCase()).includes(wanted.replace(/^[ \t]+|[ \t]+$/g, '')));
        }
      }),
    );
  });
});

describe('rewriteResponseHead', () => {
  const response = (fields: string): string => `HTTP/1.1 200 OK\r\n${fields}\r\n`;
  const cases: readonly (readonly [string, string, HeadEdits | null, boolean, string])[] = [
    [
      'keeps Date, Server, order and case',
      response('date: x\r\nServer: y\r\nContent-Length: 0\r\n'),
      null,
      false,
      response('date: x\r\nServer: y\r\nContent-Length: 0\r\n'),
    ],
    [
      'drops what ends at this hop',
      response('Connection: keep-alive, X\r\nX: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n'),
      null,
      false,
      response('Content-Length: 0\r\n'),
    ],
    [
      'tells the client that the connection ends',
      response('Connection: keep-alive\r\nContent-Length: 0\r\n'),
      closeEdits,
      false,
      response('Content-Length: 0\r\nConnection: close\r\n'),
    ],
    [
      'tells it beside compiled edits',
      response('Content-Length: 0\r\n'),
      edits({ add: [{ name: 'a', value: 'b' }] }),
      true,
      response('Content-Length: 0\r\na: b\r\nConnection: close\r\n'),
    ],
    [
      'forwards HTTP/1.0 as HTTP/1.1',
      'HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\n',
      null,
      false,
      'HTTP/1.1 404 Not Found\r\n\r\n',
    ],
    ['adds the space before an absent reason', 'HTTP/1.1 503\r\n\r\n', null, false, 'HTTP/1.1 503 \r\n\r\n'],
    [
      'drops the length of 204',
      'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
      null,
      false,
      'HTTP/1.1 204 No Content\r\n\r\n',
    ],
    [
      'forwards a switch of protocols',
      'HTTP/1.1 101 Switching\r\nConnection: upgrade, X\r\nX: 1\r\nUpgrade: websocket\r\n\r\n',
      null,
      true,
      'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
    ],
    [
      'drops an unasked offer to upgrade',
      response('Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n'),
      null,
      false,
      response('Content-Length: 0\r\n'),
    ],
    [
      'keeps what 426 requires',
      'HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n',
      null,
      true,
      'HTTP/1.1 426 Upgrade Required\r\nUpgrade: foo\r\nContent-Length: 0\r\nConnection: close, upgrade\r\n\r\n',
    ],
    [
      'writes chunked in lower case',
      response('Transfer-Encoding: Chunked\r\n'),
      null,
      false,
      response('Transfer-Encoding: chunked\r\n'),
    ],
    [
      'sets, adds and removes',
      response('A: 1\r\nB: 2\r\nContent-Length: 0\r\n'),
      edits({ set: [{ name: 'a', value: '3' }], add: [{ name: 'c', value: '4' }], remove: ['b', 'content-length'] }),
      false,
      response('Content-Length: 0\r\na: 3\r\nc: 4\r\n'),
    ],
  ];
  for (const [name, text, change, close, expected] of cases) {
    it(name, () =>
      assert.equal(
        close ? forwardResponseHead(text, 'GET', change, true) : forwardResponseHead(text, 'GET', change),
        expected,
      ),
    );
  }

  it('says when there is no room, at every size that is too small', () => {
    const { bytes, start, end } = place('HTTP/1.0 200 OK\r\nA: 1\r\nTransfer_: x\r\nContent-Length:0\r\n\r\n');
    const parsed = new ResponseHead();
    parsed.parse(bytes, start, end, 'GET');
    const whole = rewriteResponseHead(parsed, bytes, closeEdits, Buffer.alloc(1_024), 0);
    assert.ok(whole > 0);
    for (let room = 0; room < whole; room++) {
      assert.equal(rewriteResponseHead(parsed, bytes, closeEdits, Buffer.alloc(room), 0), REWRITE_NO_ROOM);
    }
    assert.equal(rewriteResponseHead(parsed, bytes, closeEdits, Buffer.alloc(whole), 0), whole);
  });
});
