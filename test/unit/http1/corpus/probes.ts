/**
 * Conformance probes: Http11Probe (github.com/MDA2AV/Http11Probe, its Compliance, Smuggling and MalformedInput suites; names are
 * its test ids) and h1spec (github.com/uNetworking/h1spec). Where a probe lets a server choose, weir's choice is the strict one.
 */
import { head, one, type RequestCase } from './corpus-case.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n';
const POST = 'POST / HTTP/1.1\r\nHost: a\r\n';
const get = (...fields: string[]): string => head('GET / HTTP/1.1', 'Host: a', ...fields);
const counted = (length: string, body: string): string => `${POST}Content-Length: ${length}\r\n\r\n${body}`;
const chunked = (body: string): string => `${POST}Transfer-Encoding: chunked\r\n\r\n${body}`;
const WEBSOCKET = ['Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];

const COMPLIANCE: readonly RequestCase[] = [
  ['COMP-BASELINE', get(), 'same'],
  ['RFC9112-2.2-BARE-LF-REQUEST-LINE', 'GET / HTTP/1.1\nHost: a\r\n\r\n', 400],
  ['RFC9112-2.2-BARE-LF-HEADER', 'GET / HTTP/1.1\r\nHost: a\nX-Test: value\r\n\r\n', 400],
  ['RFC9112-5.1-OBS-FOLD', get('X-Test: value', ' continued'), 400],
  ['RFC9110-5.6.2-SP-BEFORE-COLON', get('X-Test : value'), 400],
  ['RFC9112-3-MULTI-SP-REQUEST-LINE', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['RFC9112-7.1-MISSING-HOST', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['RFC9112-2.3-INVALID-VERSION', 'GET / HTTP/9.9\r\nHost: a\r\n\r\n', 505],
  ['RFC9112-5-EMPTY-HEADER-NAME', get(': empty-name'), 400],
  ['RFC9112-3-CR-ONLY-LINE-ENDING', 'GET / HTTP/1.1\rHost: a\r\n\r\n', 400],
  ['RFC9112-3-MISSING-TARGET', 'GET HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['RFC9112-3.2-FRAGMENT-IN-TARGET', 'GET /path#frag HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['RFC9112-2.3-HTTP09-REQUEST', 'GET /\r\n', 400],
  ['RFC9112-5-INVALID-HEADER-NAME', get('Bad[Name: value'), 400],
  ['RFC9112-5-HEADER-NO-COLON', get('NoColonHere'), 400],
  ['RFC9110-5.4-DUPLICATE-HOST', get('Host: other.example.com'), 400],
  ['RFC9112-6.1-CL-NON-NUMERIC', counted('abc', ''), 400],
  ['RFC9112-6.1-CL-PLUS-SIGN', counted('+5', 'hello'), 400],
  ['COMP-WHITESPACE-BEFORE-HEADERS', 'GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n', 400],
  ['COMP-DUPLICATE-HOST-SAME', get('Host: a'), 400],
  ['COMP-HOST-WITH-USERINFO', head('GET / HTTP/1.1', 'Host: user@a'), 400],
  ['COMP-HOST-WITH-PATH', head('GET / HTTP/1.1', 'Host: a/path'), 400],
  ['COMP-HOST-EMPTY-VALUE', head('GET / HTTP/1.1', 'Host: '), 400],
  ['COMP-ASTERISK-WITH-GET', head('GET * HTTP/1.1', 'Host: a'), 400],
  ['COMP-OPTIONS-STAR', head('OPTIONS * HTTP/1.1', 'Host: a'), 'same'],
  ['COMP-UNKNOWN-TE-501', head('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: gzip'), 400],
  ['COMP-LEADING-CRLF', `\r\n\r\n${get()}`, 400],
  ['COMP-ABSOLUTE-FORM', head('GET http://a/ HTTP/1.1', 'Host: a'), one(get())],
  ['COMP-METHOD-CASE', head('get / HTTP/1.1', 'Host: a'), 'same'],
  ['COMP-POST-CL-BODY', counted('5', 'hello'), 'same'],
  ['COMP-POST-CL-ZERO', counted('0', ''), 'same'],
  ['COMP-POST-NO-CL-NO-TE', head('POST / HTTP/1.1', 'Host: a'), 'same'],
  ['COMP-POST-CL-UNDERSEND', counted('10', 'hello'), 'more'],
  ['COMP-CHUNKED-BODY', chunked('5\r\nhello\r\n0\r\n\r\n'), 'same'],
  ['COMP-CHUNKED-MULTI', chunked('5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n'), 'same'],
  ['COMP-CHUNKED-EMPTY', chunked('0\r\n\r\n'), 'same'],
  ['COMP-CHUNKED-NO-FINAL', chunked('5\r\nhello\r\n'), 'more'],
  ['COMP-CHUNKED-EXTENSION', chunked('5;ext=value\r\nhello\r\n0\r\n\r\n'), 'same'],
  ['COMP-CHUNKED-TRAILER-VALID', chunked('5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n'), 'same'],
  ['COMP-CHUNKED-HEX-UPPERCASE', chunked('A\r\nhelloworld\r\n0\r\n\r\n'), 'same'],
  ['COMP-UPGRADE-POST', head('POST / HTTP/1.1', 'Host: a', 'Connection: Upgrade', ...WEBSOCKET), 'same'],
  [
    'COMP-UPGRADE-MISSING-CONN',
    get(...WEBSOCKET),
    one(get('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13')),
  ],
  ['COMP-UPGRADE-UNKNOWN', get('Connection: Upgrade', 'Upgrade: totally-made-up/1.0'), 'same'],
  [
    'COMP-UPGRADE-HTTP10',
    head('GET / HTTP/1.0', 'Host: a', 'Connection: Upgrade', 'Upgrade: websocket'),
    one(head('GET / HTTP/1.0', 'Host: a')),
  ],
  [
    'an upgrade to h2c',
    get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
    one(get()),
  ],
  ['COMP-METHOD-CONNECT', head('CONNECT example.com:443 HTTP/1.1', 'Host: example.com:443'), 'same'],
  ['CONNECT in origin-form', head('CONNECT / HTTP/1.1', 'Host: a'), 400],
  ['CONNECT without a port', head('CONNECT a HTTP/1.1', 'Host: a'), 400],
  ['CONNECT with two hosts', head('CONNECT a:80 HTTP/1.1', 'Host: b:80'), 400],
  ['COMP-EXPECT-UNKNOWN', get('Expect: 200-ok'), 417],
  ['COMP-GET-WITH-CL-BODY', `${GET}Content-Length: 5\r\n\r\nhello`, 'same'],
  ['COMP-METHOD-TRACE', head('TRACE / HTTP/1.1', 'Host: a'), 'same'],
  ['COMP-REQUEST-LINE-TAB', 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['COMP-VERSION-MISSING-MINOR', 'GET / HTTP/1\r\nHost: a\r\n\r\n', 400],
  ['COMP-VERSION-LEADING-ZEROS', 'GET / HTTP/01.01\r\nHost: a\r\n\r\n', 400],
  ['COMP-VERSION-WHITESPACE', 'GET / HTTP/ 1.1\r\nHost: a\r\n\r\n', 400],
  ['COMP-HTTP12-VERSION', 'GET / HTTP/1.2\r\nHost: a\r\n\r\n', 505],
  ['COMP-CONNECTION-CLOSE', `${get('Connection: close')}${get()}`, one(get(), 'closed')],
  [
    'COMP-HTTP10-DEFAULT-CLOSE',
    `${head('GET / HTTP/1.0', 'Host: a')}${get()}`,
    one(head('GET / HTTP/1.0', 'Host: a'), 'closed'),
  ],
  ['COMP-HTTP10-NO-HOST', 'GET / HTTP/1.0\r\n\r\n', 'same'],
  ['COMP-RANGE-POST', `${POST}Content-Length: 5\r\nRange: bytes=0-10\r\n\r\nhello`, 'same'],
];

const SMUGGLING: readonly RequestCase[] = [
  ['SMUG-TE-XCHUNKED', `${POST}Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello`, 400],
  ['SMUG-TE-NOT-FINAL-CHUNKED', `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`, 400],
  ['SMUG-TE-HTTP10', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello', 400],
  ['SMUG-CL-NEGATIVE', counted('-1', ''), 400],
  ['SMUG-CL-NEGATIVE-ZERO', counted('-0', ''), 400],
  ['SMUG-CL-DOUBLE-ZERO', counted('00', ''), 400],
  ['SMUG-CL-LEADING-ZEROS-OCTAL', counted('0200', 'A'.repeat(200)), 400],
  ['SMUG-CL-UNDERSCORE', counted('1_0', 'helloworld'), 400],
  ['SMUG-CL-OCTAL', counted('0o5', 'hello'), 400],
  ['SMUG-CL-INTERNAL-SPACE', counted('1 0', 'hello12345'), 400],
  ['SMUG-CL-COMMA-SAME', counted('5, 5', 'hello'), 400],
  ['SMUG-CL-COMMA-TRIPLE', counted('5, 5, 5', 'hello'), 400],
  ['SMUG-CL-TRAILING-SPACE', counted('5 ', 'hello'), one(counted('5', 'hello'))],
  ['SMUG-CL-EXTRA-LEADING-SP', counted(' 5', 'hello'), one(counted('5', 'hello'))],
  ['SMUG-CHUNK-UNDERSCORE', chunked('1_0\r\nhello world!!!!!\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-NEGATIVE', chunked('-1\r\nhello\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-LEADING-SP', chunked(' 5\r\nhello\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-EXT-INVALID-TOKEN', chunked('5;bad[=x\r\nhello\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-EXT-CTRL', chunked('5;\0ext\r\nhello\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-SPILL', chunked('5\r\nhello!!\r\n0\r\n\r\n'), 400],
  ['SMUG-CHUNK-BARE-CR-TERM', chunked('5\rhello\r\n0\r\n\r\n'), 400],
  ['SMUG-TRAILER-TE', chunked('5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'), 400],
  ['SMUG-TRAILER-CONTENT-TYPE', chunked('5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n'), 400],
  ['SMUG-HEAD-CL-BODY', 'HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 'same'],
  ['SMUG-OPTIONS-CL-BODY', 'OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', 'same'],
  ['SMUG-ABSOLUTE-URI-HOST-MISMATCH', 'GET http://other.example.com/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['SMUG-MULTIPLE-HOST-COMMA', 'GET / HTTP/1.1\r\nHost: a, other.example.com\r\n\r\n', 400],
  ['SMUG-CLTE-DESYNC', `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX`, 400],
];

const MALFORMED: readonly RequestCase[] = [
  ['MAL-BINARY-GARBAGE', Buffer.from('8f3a10c2ff00917e0d0a550bd1', 'hex').toString('latin1'), 400],
  ['MAL-LONG-URL', head(`GET /${'A'.repeat(100_000)} HTTP/1.1`, 'Host: a'), 414],
  ['MAL-LONG-HEADER-VALUE', get(`X-Big: ${'B'.repeat(100_000)}`), 431],
  ['MAL-LONG-HEADER-NAME', get(`${'A'.repeat(100_000)}: val`), 431],
  ['MAL-MANY-HEADERS', get(...Array.from({ length: 10_000 }, (_, i) => `X-H-${i}: value`)), 431],
  // 501 is what RFC 9112 section 3 recommends.
  ['MAL-LONG-METHOD', head(`${'A'.repeat(100_000)} / HTTP/1.1`, 'Host: a'), 501],
  ['MAL-NUL-IN-URL', head('GET /\0test HTTP/1.1', 'Host: a'), 400],
  ['MAL-CONTROL-CHARS-HEADER', get('X-Test: abc\x07\x08\x0bdef'), 400],
  ['MAL-INCOMPLETE-REQUEST', 'GET / HTTP/1.1\r\nHost: a\r\nX-Test: value', 'more'],
  ['MAL-NON-ASCII-HEADER-NAME', get('X-T\xc3\xabst: value'), 400],
  ['MAL-NON-ASCII-URL', head('GET /caf\xc3\xa9 HTTP/1.1', 'Host: a'), 400],
  ['MAL-CL-OVERFLOW', counted('99999999999999999999', ''), 400],
  ['MAL-WHITESPACE-ONLY-LINE', '   \r\n\r\n', 400],
];

const H1SPEC: readonly RequestCase[] = [
  ...['G', 'GET ', 'GET /hello', 'GET /hello ', 'GET /hello HTTP', 'GET /hello HTTP/1.1', 'GET /hello HTTP/1.1\r'].map(
    (text) => [`fragment ${JSON.stringify(text)}`, text, 'more'] as const,
  ),
  ...['\n', '\nHos', '\nHost:', '\nHost: ', '\nHost: a', '\nHost: a\r', '\nHost: a\r\n', '\nHost: a\r\n\r'].map(
    (text) => [`fragment ${JSON.stringify(text)}`, `GET /hello HTTP/1.1\r${text}`, 'more'] as const,
  ),
  ['no version', 'GET / \r\n\r\n', 400],
  [
    'odd but valid fields',
    'GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n',
    one('GET / HTTP/1.1\r\nhoSt: example.com\r\nempty:\r\n\r\n'),
  ],
  ['a prefix before a request', `Extra line${get()}`, 400],
  ['CR before a field', 'GET / HTTP/1.1\r\nHost: a\r\n\rSome-Header: Test\r\n\r\n', 400],
  ['a long negative length', `${GET}Content-Length: -123456789123456789123456789\r\n\r\n`, 400],
];

export const probes: readonly RequestCase[] = [...COMPLIANCE, ...SMUGGLING, ...MALFORMED, ...H1SPEC];
