import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultHttp1Limits } from '../../../agent/http1/http1-limits.ts';
import { RequestHead } from '../../../agent/http1/request-head.ts';
import { limits } from '../../../agent/limits.ts';
import { parseRequest, parseTrickled, place, type RequestResult } from './codec.ts';

const LINE = 'GET / HTTP/1.1\r\n';
const HOST = 'Host: a\r\n';
const get = (target: string, fields = HOST): string => `GET ${target} HTTP/1.1\r\n${fields}\r\n`;
const withFields = (fields: string): string => `${LINE}${HOST}${fields}\r\n`;
const post = (fields: string): string => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n`;

/** text, then what must hold of the result. */
const ACCEPTED: readonly (readonly [string, string, Partial<RequestResult>])[] = [
  [
    'the smallest request',
    get('/'),
    {
      method: 'GET',
      path: '/',
      query: '',
      host: 'a',
      versionMinor: 1,
      bodyKind: 0,
      keepAlive: true,
      hasHopByHop: false,
    },
  ],
  ['a query', get('/a?b=c&d'), { path: '/a', query: 'b=c&d', hasHopByHop: false }],
  ['an empty query', get('/a?'), { path: '/a', query: '', hasHopByHop: false }],
  ['a second question mark belongs to the query', get('/a?b?c'), { path: '/a', query: 'b?c' }],
  [
    'dots inside names',
    get('/a.b/c..d/..e/file.tar.gz'),
    { path: '/a.b/c..d/..e/file.tar.gz', pathChanged: false, hasHopByHop: false },
  ],
  [
    'dot segments are removed',
    get('/a/./b/../c?x=/../y'),
    { path: '/a/c', query: 'x=/../y', pathChanged: true, hasHopByHop: true },
  ],
  ['encoded dots are dots', get('/a/%2e%2E/c'), { path: '/c', pathChanged: true }],
  ['a backslash is a slash in the path only', get('/a\\b?c\\d'), { path: '/a/b', query: 'c\\d', pathChanged: true }],
  ['an encoded slash stays', get('/a%2Fb'), { path: '/a%2Fb', pathChanged: false, hasHopByHop: false }],
  ['an encoded NUL in the query', get('/a?b=%00'), { query: 'b=%00' }],
  ['octets clients send raw', get('/a|b"c<d>{e}^`[f]'), { path: '/a|b"c<d>{e}^`[f]' }],
  ['absolute-form', get('http://A:80/x?y', 'Host: a\r\n'), { path: '/x', query: 'y', host: 'a', hasHopByHop: true }],
  ['absolute-form without path', get('HTTP://a'), { path: '/', hasHopByHop: true }],
  ['absolute-form with a query only', get('http://a?b'), { path: '/', query: 'b' }],
  [
    'absolute-form OPTIONS without path',
    'OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n',
    { path: '*', hasHopByHop: true },
  ],
  ['asterisk-form', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', { path: '*', hasHopByHop: false }],
  [
    'authority-form',
    'CONNECT a.b:443 HTTP/1.1\r\nHost: a.b\r\n\r\n',
    { method: 'CONNECT', path: '', host: 'a.b', bodyKind: 0 },
  ],
  ['a method of its own', 'PURGE / HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'PURGE' }],
  ['methods are case-sensitive', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', { method: 'get' }],
  ['one empty line first', `\r\n${get('/')}`, { path: '/', hasHopByHop: true }],
  ['HTTP/1.0 without Host', 'GET / HTTP/1.0\r\n\r\n', { versionMinor: 0, host: '', keepAlive: false }],
  [
    'HTTP/1.0 keep-alive does not persist',
    'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
    { keepAlive: false, hasHopByHop: true },
  ],
  ['absolute-form in HTTP/1.0 gives the host', 'GET http://B/ HTTP/1.0\r\n\r\n', { host: 'b', hasHopByHop: true }],
  ['host in upper case with a port', get('/', 'Host: Echo.NS.svc:8080\r\n'), { host: 'echo.ns.svc' }],
  ['host with a final dot', get('/', 'Host: echo.ns.\r\n'), { host: 'echo.ns' }],
  ['host with an empty port', get('/', 'Host: a:\r\n'), { host: 'a' }],
  ['IPv6 host', get('/', 'Host: [FD00::1]:80\r\n'), { host: '[fd00::1]' }],
  ['no space after the colon', get('/', 'Host:a\r\n'), { host: 'a', hasHopByHop: true }],
  [
    'white space around values',
    withFields('X: \t a b \t \r\n'),
    {
      fields: [
        ['Host', 'a', false],
        ['X', 'a b', false],
      ],
      hasHopByHop: false,
    },
  ],
  [
    'an empty value',
    withFields('X:\r\nY: \r\n'),
    {
      fields: [
        ['Host', 'a', false],
        ['X', '', false],
        ['Y', '', false],
      ],
    },
  ],
  [
    'obs-text in a value',
    withFields('X: \x80\xff\r\n'),
    {
      fields: [
        ['Host', 'a', false],
        ['X', '\x80\xff', false],
      ],
    },
  ],
  ['every token mark in a name', withFields("!#$%&'*+-.^_`|~09azAZ: 1\r\n"), {}],
  ['Content-Length', post('Content-Length: 12\r\n'), { bodyKind: 1, contentLength: 12, hasHopByHop: false }],
  ['Content-Length 0 is no body', post('Content-Length: 0\r\n'), { bodyKind: 0, contentLength: 0 }],
  ['the largest length', post('Content-Length: 9007199254740991\r\n'), { contentLength: Number.MAX_SAFE_INTEGER }],
  [
    'a length between tabs is forwarded plainly',
    post('Content-Length:\t5\t\r\n'),
    { contentLength: 5, hasHopByHop: true },
  ],
  ['chunked', post('Transfer-Encoding: chunked\r\n'), { bodyKind: 2, contentLength: -1, hasHopByHop: false }],
  [
    'chunked in odd case is forwarded in lower case',
    post('TrAnSFer-EnCODinG: cHuNkeD\r\n'),
    { bodyKind: 2, hasHopByHop: true },
  ],
  [
    'Connection: keep-alive alone',
    withFields('Connection: Keep-Alive\r\n'),
    {
      hasHopByHop: false,
      keepAlive: true,
      fields: [
        ['Host', 'a', false],
        ['Connection', 'Keep-Alive', true],
      ],
    },
  ],
  ['Connection: close', withFields('Connection: close\r\n'), { keepAlive: false, hasHopByHop: true }],
  [
    'close wins over keep-alive',
    withFields('Connection: keep-alive\r\nConnection: , close,\r\n'),
    { keepAlive: false, hasHopByHop: true },
  ],
  [
    'a field named by Connection',
    withFields('X-A: 1\r\nConnection: x-a\r\nX-B: 2\r\n'),
    {
      hasHopByHop: true,
      fields: [
        ['Host', 'a', false],
        ['X-A', '1', true],
        ['Connection', 'x-a', true],
        ['X-B', '2', false],
      ],
    },
  ],
  [
    'hop-by-hop without Connection',
    withFields('Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nTE: trailers\r\nUpgrade: x\r\n'),
    {
      keepAlive: true,
      upgrade: false,
      hasHopByHop: true,
      fields: [
        ['Host', 'a', false],
        ['Keep-Alive', 'timeout=5', true],
        ['Proxy-Connection', 'close', true],
        ['TE', 'trailers', true],
        ['Upgrade', 'x', true],
      ],
    },
  ],
  [
    'proxy credentials pass',
    withFields('Proxy-Authorization: Basic x\r\n'),
    {
      hasHopByHop: false,
      fields: [
        ['Host', 'a', false],
        ['Proxy-Authorization', 'Basic x', false],
      ],
    },
  ],
  [
    'an upgrade',
    withFields('Connection: Upgrade\r\nUpgrade: websocket\r\n'),
    { upgrade: true, hasHopByHop: false, keepAlive: true },
  ],
  [
    'an upgrade with keep-alive',
    withFields('Connection: keep-alive, Upgrade\r\nUpgrade: websocket, foo/2\r\n'),
    { upgrade: true, hasHopByHop: false },
  ],
  [
    'an upgrade to h2c is ignored',
    withFields('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'),
    { upgrade: false, hasHopByHop: true },
  ],
  [
    'an upgrade that offers h2c among others is ignored',
    withFields('Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n'),
    { upgrade: false, hasHopByHop: true },
  ],
  ['an upgrade to TLS is ignored', withFields('Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n'), { upgrade: false }],
  [
    'an upgrade in HTTP/1.0 is ignored',
    'GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    { upgrade: false, hasHopByHop: true },
  ],
  [
    'an upgrade with a body is ignored',
    post('Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n'),
    { upgrade: false, bodyKind: 1 },
  ],
  [
    'Upgrade without Connection is no upgrade',
    withFields('Upgrade: websocket\r\n'),
    { upgrade: false, hasHopByHop: true },
  ],
  [
    'Connection: upgrade without Upgrade is no upgrade',
    withFields('Connection: upgrade\r\n'),
    { upgrade: false, hasHopByHop: true },
  ],
  ['Expect', post('Expect: 100-Continue\r\nContent-Length: 1\r\n'), { expectContinue: true, hasHopByHop: false }],
  ['Expect without a body waits for nothing', withFields('Expect: 100-continue\r\n'), { expectContinue: false }],
  [
    'Expect in HTTP/1.0 is ignored',
    'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
    { expectContinue: false },
  ],
];

/** text, status, reason. */
const REFUSED: readonly (readonly [string, string, number, string])[] = [
  // request line
  ['a second empty line', `\r\n\r\n${get('/')}`, 400, 'NO_METHOD'],
  ['bare LF before the request line', `\n${get('/')}`, 400, 'NO_METHOD'],
  ['bare CR before the request line', `\r${get('/')}`, 400, 'BARE_CR'],
  ['white space before the method', ` ${get('/')}`, 400, 'NO_METHOD'],
  ['a method that is no token', 'GE(T / HTTP/1.1\r\n', 400, 'BAD_METHOD'],
  ['a tab after the method', 'GET\t/ HTTP/1.1\r\n', 400, 'BAD_METHOD'],
  ['a TLS ClientHello', '\x16\x03\x01\x02\x00\x01', 400, 'NO_METHOD'],
  ['a method longer than any', `${'A'.repeat(33)} / HTTP/1.1\r\n`, 501, 'METHOD_TOO_LONG'],
  ['two spaces before the target', 'GET  / HTTP/1.1\r\n', 400, 'EMPTY_TARGET'],
  ['HTTP/0.9', 'GET /\r\n', 400, 'NO_VERSION'],
  ['no target', 'GET HTTP/1.1\r\n', 400, 'NO_VERSION'],
  ['a space in the target', 'GET /a b HTTP/1.1\r\n', 400, 'BAD_VERSION'],
  ['a tab in the target', 'GET /a\tb HTTP/1.1\r\n', 400, 'CONTROL_IN_TARGET'],
  ['NUL in the target', 'GET /a\0 HTTP/1.1\r\n', 400, 'CONTROL_IN_TARGET'],
  ['DEL in the target', 'GET /\x7f HTTP/1.1\r\n', 400, 'CONTROL_IN_TARGET'],
  ['a raw octet above ASCII', 'GET /\xc3\xa9 HTTP/1.1\r\n', 400, 'NON_ASCII_TARGET'],
  ['a fragment', 'GET /a#b HTTP/1.1\r\n', 400, 'FRAGMENT'],
  ['a fragment in the query', 'GET /a?b#c HTTP/1.1\r\n', 400, 'FRAGMENT'],
  ['an encoded NUL', 'GET /a%00 HTTP/1.1\r\n', 400, 'ENCODED_NUL'],
  ['percent at the end', 'GET /% HTTP/1.1\r\n', 400, 'BAD_PERCENT'],
  ['percent with one digit', 'GET /%4 HTTP/1.1\r\n', 400, 'BAD_PERCENT'],
  ['percent with no digits', 'GET /?a=%zz HTTP/1.1\r\n', 400, 'BAD_PERCENT'],
  ['percent with a bad first digit', 'GET /?a=%z1 HTTP/1.1\r\n', 400, 'BAD_PERCENT'],
  ['a relative target', 'GET a/b HTTP/1.1\r\n', 400, 'BAD_TARGET'],
  ['a target of backslashes', 'GET \\a HTTP/1.1\r\n', 400, 'BAD_TARGET'],
  ['https in absolute-form', 'GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'BAD_TARGET'],
  ['another scheme', 'GET file:///etc/passwd HTTP/1.1\r\n', 400, 'BAD_TARGET'],
  ['user information', 'GET http://u@a/ HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['absolute-form without host', 'GET http:/// HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['absolute-form of a scheme alone', 'GET http:// HTTP/1.1\r\n', 400, 'BAD_TARGET'],
  ['a backslash that ends the authority', 'GET http://a\\b/ HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['absolute-form that disagrees with Host', get('http://b/'), 400, 'HOST_MISMATCH'],
  ['absolute-form with another port than Host', get('http://a:81/'), 400, 'HOST_MISMATCH'],
  ['asterisk-form with GET', 'GET * HTTP/1.1\r\n', 400, 'ASTERISK_WITHOUT_OPTIONS'],
  ['authority-form with GET', 'GET a:80 HTTP/1.1\r\n', 400, 'BAD_TARGET'],
  ['CONNECT in origin-form', 'CONNECT / HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['CONNECT without port', 'CONNECT a HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['CONNECT with an empty port', 'CONNECT a: HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['CONNECT to port 0', 'CONNECT a:0 HTTP/1.1\r\n', 400, 'BAD_AUTHORITY'],
  ['CONNECT with another Host', 'CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n', 400, 'HOST_MISMATCH'],
  ['CONNECT with a body', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n', 400, 'CONNECT_WITH_BODY'],
  ['HTTP/2.0', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'VERSION_NOT_SUPPORTED'],
  ['HTTP/1.2', 'GET / HTTP/1.2\r\n', 505, 'VERSION_NOT_SUPPORTED'],
  ['HTTP/0.9 spelled out', 'GET / HTTP/0.9\r\n', 505, 'VERSION_NOT_SUPPORTED'],
  ['a version without minor', 'GET / HTTP/1\r\n', 400, 'BAD_VERSION'],
  ['a version of two digits', 'GET / HTTP/1.10\r\n', 400, 'BAD_VERSION'],
  ['a version with leading zeros', 'GET / HTTP/01.1\r\n', 400, 'BAD_VERSION'],
  ['a version in lower case', 'GET / http/1.1\r\n', 400, 'BAD_VERSION'],
  ['another protocol', 'GET / ICE/1.0\r\n', 400, 'BAD_VERSION'],
  ['white space after the version', 'GET / HTTP/1.1 \r\n', 400, 'BAD_VERSION'],
  ['bare LF after the version', 'GET / HTTP/1.1\nHost: a\n\n', 400, 'BARE_LF'],
  ['bare CR after the version', 'GET / HTTP/1.1\rHost: a\r\r', 400, 'BARE_CR'],
  // field lines
  ['white space before the first field', `${LINE} Host: a\r\n\r\n`, 400, 'SPACE_AFTER_START_LINE'],
  ['obs-fold', withFields('X: a\r\n b\r\n'), 400, 'OBS_FOLD'],
  ['obs-fold with a tab', withFields('X: a\r\n\tb\r\n'), 400, 'OBS_FOLD'],
  ['a line of white space', withFields(' \r\n'), 400, 'OBS_FOLD'],
  ['a space before the colon', withFields('Content-Length : 5\r\n'), 400, 'SPACE_BEFORE_COLON'],
  ['a tab before the colon', withFields('X\t: 5\r\n'), 400, 'SPACE_BEFORE_COLON'],
  ['an empty name', withFields(': 5\r\n'), 400, 'EMPTY_NAME'],
  ['no colon', withFields('X\r\n'), 400, 'NO_COLON'],
  ['a name that is no token', withFields('X@: 1\r\n'), 400, 'BAD_NAME'],
  ['a name above ASCII', withFields('X\xff: 1\r\n'), 400, 'BAD_NAME'],
  ['NUL in a name', withFields('X\0: 1\r\n'), 400, 'NUL'],
  ['bare LF in a name', withFields('X\n: 1\r\n'), 400, 'BARE_LF'],
  ['bare LF after a value', withFields('X: 1\nY: 2\r\n'), 400, 'BARE_LF'],
  ['bare LF as the last line', `${LINE}${HOST}\n`, 400, 'BARE_LF'],
  ['bare CR in a value', withFields('X: 1\rY: 2\r\n'), 400, 'BARE_CR'],
  ['two CR after a value', withFields('X: 1\r\r\n'), 400, 'BARE_CR'],
  ['bare CR as the last line', `${LINE}${HOST}\rX`, 400, 'BARE_CR'],
  ['NUL in a value', withFields('X: a\0b\r\n'), 400, 'NUL'],
  ['a control in a value', withFields('X: a\x0bb\r\n'), 400, 'CONTROL_IN_VALUE'],
  ['DEL in a value', withFields('X: \x7f\r\n'), 400, 'CONTROL_IN_VALUE'],
  // Host
  ['no Host', `${LINE}\r\n`, 400, 'MISSING_HOST'],
  ['no Host beside absolute-form', get('http://a/', ''), 400, 'MISSING_HOST'],
  ['two Hosts', withFields('host: a\r\n'), 400, 'REPEATED_HOST'],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n', 400, 'REPEATED_HOST'],
  ...[
    ['an empty Host', ''],
    ['a list of Hosts', 'a, b'],
    ['a Host with a space', 'a b'],
    ['a Host with a path', 'a/b'],
    ['a Host with user information', 'u@a'],
    ['a Host that is percent-encoded', '%61'],
    ['a Host above ASCII', '\xe4'],
    ['a Host of a dot', '.'],
    ['a Host of two final dots', 'a..'],
    ['a Host with a port only', ':80'],
    ['a Host with a port that is no number', 'a:8o'],
    ['a Host with a signed port', 'a:+80'],
    ['a Host with too large a port', 'a:65536'],
    ['a Host with a port of six digits', 'a:000080'],
    ['a Host with two ports', 'a:80:90'],
    ['a Host that is a bare IPv6 address', 'fd00::1'],
    ['a Host with an open bracket', '[::1'],
    ['a Host with something after the bracket', '[::1]x'],
    ['a Host with a zone', '[fe80::1%25eth0]'],
    ['a Host with brackets around a name', '[a]'],
  ].map(([name, host]) => [name, get('/', `Host: ${host}\r\n`), 400, 'BAD_HOST'] as [string, string, number, string]),
  // framing
  ['both lengths', post('Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'), 400, 'BOTH_LENGTHS'],
  [
    'both lengths, the coding unknown',
    post('Transfer-Encoding: identity\r\nContent-Length: 4\r\n'),
    400,
    'BOTH_LENGTHS',
  ],
  ['a repeated length', post('Content-Length: 4\r\nContent-Length: 4\r\n'), 400, 'REPEATED_LENGTH'],
  ['two lengths', post('Content-Length: 4\r\ncontent-length: 5\r\n'), 400, 'REPEATED_LENGTH'],
  ...['', '+5', '-5', '-0', '5, 5', '5,', '5 5', '0x5', '5.0', '5e1', 'five', '5;', '\xb2', '05', '00', "'5'"].map(
    (value) =>
      [`a length of ${JSON.stringify(value)}`, post(`Content-Length: ${value}\r\n`), 400, 'BAD_LENGTH'] as [
        string,
        string,
        number,
        string,
      ],
  ),
  ['a length of 2^53', post('Content-Length: 9007199254740992\r\n'), 400, 'LENGTH_TOO_LARGE'],
  ['a length that wraps 64 bits', post('Content-Length: 18446744073709551621\r\n'), 400, 'LENGTH_TOO_LARGE'],
  ['Content_Length', post('Content_Length: 5\r\n'), 400, 'LOOKALIKE_LENGTH'],
  ['Transfer_Encoding', post('Transfer_Encoding: chunked\r\n'), 400, 'LOOKALIKE_LENGTH'],
  ['a repeated coding', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'), 400, 'REPEATED_CODING'],
  ['a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n', 400, 'CODING_IN_HTTP_1_0'],
  ...[
    '',
    ',',
    'chunked,',
    ',chunked',
    'chunked, chunked',
    'chunked, gzip',
    'chunked;q=1',
    '"chunked"',
    'chunk ed',
    'chunked\xa0',
    '[chunked]',
    // Chunked is not the last coding: where the body ends cannot be known (RFC 9112 section 6.3).
    'identity',
    'gzip',
    'xchunked',
    'chunke',
    'chunkedd',
    "'chunked'",
  ].map(
    (value) =>
      [`a coding of ${JSON.stringify(value)}`, post(`Transfer-Encoding: ${value}\r\n`), 400, 'BAD_CODING'] as [
        string,
        string,
        number,
        string,
      ],
  ),
  ...['gzip, chunked', 'identity , chunked', 'a,b,chunked'].map(
    (value) =>
      [`a coding of ${JSON.stringify(value)}`, post(`Transfer-Encoding: ${value}\r\n`), 501, 'UNKNOWN_CODING'] as [
        string,
        string,
        number,
        string,
      ],
  ),
  // the rest
  ['another expectation', post('Expect: 200-ok\r\n'), 417, 'UNKNOWN_EXPECTATION'],
  ['a repeated expectation', post('Expect: 100-continue\r\nExpect: 100-continue\r\n'), 417, 'UNKNOWN_EXPECTATION'],
  ...[
    'Host',
    'content-length',
    'Transfer-Encoding',
    'close, Authorization',
    'Cookie',
    'x-forwarded-for',
    'Forwarded',
    'Content-Type',
  ].map(
    (value) =>
      [`Connection: ${value}`, withFields(`Connection: ${value}\r\n`), 400, 'CONNECTION_NAMES_PROTECTED'] as [
        string,
        string,
        number,
        string,
      ],
  ),
  ...['a b', '"close"', 'close;q=1', 'clo@se'].map(
    (value) =>
      [`Connection: ${value}`, withFields(`Connection: ${value}\r\n`), 400, 'BAD_CONNECTION'] as [
        string,
        string,
        number,
        string,
      ],
  ),
  ['more options than any head needs', withFields(`Connection: ${'a,'.repeat(33)}\r\n`), 400, 'TOO_MANY_OPTIONS'],
];

/** Octets up to and with the head, to cut at. */
function headOf(text: string): string {
  const end = text.indexOf('\r\n\r\n', text.startsWith('\r\n') ? 2 : 0);
  return end < 0 ? text : text.slice(0, end + 4);
}

describe('RequestHead.parse', () => {
  for (const [name, text, expected] of ACCEPTED) {
    it(`accepts ${name}`, () => {
      const found = parseRequest(text);
      assert.equal(found.refusal, '');
      assert.equal(found.result, text.length);
      for (const [key, value] of Object.entries(expected))
        assert.deepEqual(found[key as keyof RequestResult], value, key);
    });
  }

  for (const [name, text, status, reason] of REFUSED) {
    it(`refuses ${name} with ${status} ${reason}`, () => {
      assert.deepEqual(parseRequest(text), { result: -status, refusal: reason });
    });
  }

  it('has the same result wherever the octets are split, with and without the hint of what was seen', () => {
    for (const [, text] of [...ACCEPTED, ...REFUSED]) {
      const whole = parseRequest(text);
      for (let first = 0; first <= text.length; first++) {
        const { bytes, start } = place(text);
        const head = new RequestHead();
        const early = head.parse(bytes, start, start + first);
        if (early !== 0) {
          // A refusal may come early, and must then be the one of the whole; success needs every octet.
          assert.equal(early, whole.result, JSON.stringify(text.slice(0, first)));
          assert.equal(head.refusal, whole.refusal, JSON.stringify(text.slice(0, first)));
        } else if (whole.result > 0) {
          assert.ok(first < headOf(text).length, `still waiting at ${first} of ${JSON.stringify(text)}`);
        }
        // With the hint a refusal may wait for the end of the line.
        const inTwo = parseTrickled(`${text}\r\n`, first, text.length + 2);
        assert.deepEqual([inTwo.result, inTwo.refusal], [whole.result, whole.refusal], JSON.stringify(text));
      }
      const hinted = parseTrickled(`${text}\r\n`, 1, 1);
      assert.equal(hinted.result, whole.result, JSON.stringify(text));
      assert.equal(hinted.refusal, whole.refusal, JSON.stringify(text));
    }
  });

  it('asks for more for every proper prefix of a valid head', () => {
    for (const [, text] of ACCEPTED) {
      for (let length = 0; length < text.length; length++) {
        assert.equal(parseRequest(text.slice(0, length)).result, 0, JSON.stringify(text.slice(0, length)));
      }
    }
  });

  it('notices a bare CR at the next octet, even when told what was seen', () => {
    const { bytes, start } = place('GET / HTTP/1.1\rX');
    const head = new RequestHead();
    for (let have = 1; have <= 15; have++) assert.equal(head.parse(bytes, start, start + have, have - 1), 0);
    assert.equal(head.parse(bytes, start, start + 16, 15), -400);
  });

  it('does not read a head again before its line is complete, when told what was seen', () => {
    const { bytes, start } = place('GET / HTTP/1.1\r\nHost: a\0 and so on\r\n\r\n');
    const head = new RequestHead();
    assert.equal(head.parse(bytes, start, start + 20), 0);
    assert.equal(head.parse(bytes, start, start + 34, 20), 0);
    assert.equal(head.parse(bytes, start, start + 36, 34), -400);
  });

  it('finds each of several pipelined heads and forgets the one before', () => {
    const texts = [
      post('Transfer-Encoding: chunked\r\nConnection: close, X\r\nX: 1\r\n'),
      get('/a/../b?c'),
      'OPTIONS * HTTP/1.0\r\n\r\n',
      get('/d'),
    ];
    const { bytes, start, end } = place(texts.join(''));
    const head = new RequestHead();
    let at = start;
    for (const text of texts) {
      const alone = parseRequest(text);
      const length = head.parse(bytes, at, end);
      assert.equal(length, text.length);
      const again = new RequestHead();
      again.parse(bytes, at, end);
      for (const key of [
        'method',
        'path',
        'query',
        'host',
        'bodyKind',
        'keepAlive',
        'hasHopByHop',
        'headerCount',
      ] as const) {
        assert.equal(head[key], again[key], key);
        if (key !== 'headerCount') assert.equal(head[key], alone[key], key);
      }
      at += length;
    }
    assert.equal(at, end);
  });

  it('leaves nothing of a refused head in the next', () => {
    const head = new RequestHead();
    for (const [, bad] of REFUSED) {
      parseRequest(bad, head);
      assert.deepEqual(parseRequest(get('/ok'), head), parseRequest(get('/ok')));
    }
  });

  it('answers header() without regard to case, joined in order, and headerValues() one by one', () => {
    const { bytes, start, end } = place(withFields('X-A: 1\r\nx-a: \r\nX-B: 2\r\nX-A:3\r\n'));
    const head = new RequestHead();
    head.parse(bytes, start, end);
    assert.equal(head.header('x-a'), '1, , 3');
    assert.deepEqual(head.headerValues('x-a'), ['1', '', '3']);
    assert.equal(head.header('x-c'), undefined);
    assert.deepEqual(head.headerValues('x-c'), []);
  });
});

describe('RequestHead limits', () => {
  const small = { ...defaultHttp1Limits, requestLineBytesMax: 40, headBytesMax: 100, headerCountMax: 3 };

  /** All three ways to the result: at once, octet by octet, and with the hint. */
  function everyWay(text: string): RequestResult {
    const whole = parseRequest(text, new RequestHead(small));
    assert.deepEqual(parseTrickled(text, 1, 1, new RequestHead(small)), whole);
    const { bytes, start } = place(text);
    const head = new RequestHead(small);
    let result = 0;
    for (let have = 0; have <= text.length && result === 0; have++) result = head.parse(bytes, start, start + have);
    assert.deepEqual([result, head.refusal], [whole.result, whole.refusal]);
    return whole;
  }

  it('are those of agent/limits.ts when none are given', () => {
    for (const [name, value] of Object.entries(defaultHttp1Limits)) {
      assert.equal(limits[name as keyof typeof defaultHttp1Limits], value, name);
    }
  });

  it('accept a request line of exactly the limit and refuse one octet more with 414', () => {
    const line = (length: number): string => `GET /${'a'.repeat(length - 16)} HTTP/1.1\r\n`;
    assert.equal(line(40).length, 40);
    assert.equal(everyWay(`${line(40)}${HOST}\r\n`).result, 51);
    assert.deepEqual(everyWay(`${line(41)}${HOST}\r\n`), { result: -414, refusal: 'REQUEST_LINE_TOO_LONG' });
  });

  it('accept a head of exactly the limit and refuse one octet more with 431', () => {
    const head = (length: number): string => `${LINE}${HOST}X: ${'a'.repeat(length - 16 - 9 - 7)}\r\n\r\n`;
    assert.equal(head(100).length, 100);
    assert.equal(everyWay(head(100)).result, 100);
    assert.deepEqual(everyWay(head(101)), { result: -431, refusal: 'HEAD_TOO_LARGE' });
  });

  it('accept as many fields as the limit and refuse one more with 431', () => {
    assert.ok(everyWay(withFields('a:\r\nb:\r\n')).result > 0);
    assert.deepEqual(everyWay(withFields('a:\r\nb:\r\nc:\r\n')), { result: -431, refusal: 'TOO_MANY_FIELDS' });
  });

  it('refuse what never ends without looking past the limit', () => {
    assert.equal(everyWay(`GET /${'a'.repeat(200)}`).result, -414);
    assert.equal(everyWay(`${LINE}X: ${'a'.repeat(200)}`).result, -431);
    assert.equal(everyWay('A'.repeat(200)).result, -501);
  });
});
