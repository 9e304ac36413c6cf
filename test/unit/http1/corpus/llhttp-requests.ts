/**
 * Requests of llhttp's tests (github.com/nodejs/llhttp, test/request/*.md), strict variants. Most of them have no Host, which
 * HTTP/1.1 requires (RFC 9112 section 3.2): they are refused as they are, and stand here once more with a Host.
 */
import { head, one, type RequestCase } from './corpus-case.ts';

const HOST = 'Host: a';
const put = (...fields: string[]): string => head('PUT /url HTTP/1.1', HOST, ...fields);
const post = (path: string, ...fields: string[]): string => head(`POST ${path} HTTP/1.1`, HOST, ...fields);
const chunked = (body: string): string => put('Transfer-Encoding: chunked') + body;

const INVALID: readonly RequestCase[] = [
  ['ICE protocol and GET', head('GET /music/sweet/music ICE/1.0', 'Host: example.com'), 400],
  ['ICE protocol, but not really', head('GET /music/sweet/music IHTTP/1.0', 'Host: example.com'), 400],
  ['RTSP protocol and PUT', head('PUT /music/sweet/music RTSP/1.0', 'Host: example.com'), 400],
  ['HTTP protocol and ANNOUNCE', head('ANNOUNCE /music/sweet/music HTTP/1.0', 'Host: example.com'), 'same'],
  ['headers separated by CR', head('GET / HTTP/1.1', HOST, 'Foo: 1\rBar: 2'), 400],
  [
    'headers separated by LF',
    `${head('POST / HTTP/1.1', 'Host: localhost:5000', 'x:x\nTransfer-Encoding: chunked')}1\r\nA\r\n0\r\n\r\n`,
    400,
  ],
  [
    'headers separated by dummy characters',
    'GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\rZGET /evil: HTTP/1.1\r\nHost: a\r\n\r\n',
    400,
  ],
  [
    'empty headers separated by CR',
    `${head('POST / HTTP/1.1', 'Connection: Close', 'Host: localhost:5000', 'x:\rTransfer-Encoding: chunked')}1\r\nA\r\n0\r\n\r\n`,
    400,
  ],
  [
    'empty headers separated by LF',
    `${head('POST / HTTP/1.1', 'Host: localhost:5000', 'x:\nTransfer-Encoding: chunked')}1\r\nA\r\n0\r\n\r\n`,
    400,
  ],
  ['invalid header token 1', head('GET / HTTP/1.1', HOST, 'Fo@: Failure'), 400],
  ['invalid header token 2', head('GET / HTTP/1.1', HOST, 'Foo\x01test: Bar'), 400],
  ['invalid header token 3', head('GET / HTTP/1.1', HOST, ': Bar'), 400],
  ['a method that is no registered one', head('MKCOLA / HTTP/1.1', HOST), 'same'],
  ['folding in a field name', head('GET / HTTP/1.1', HOST, 'name', ' : value'), 400],
  [
    'a corrupted Connection',
    head('GET / HTTP/1.1', 'Host: www.example.com', 'Connection\r\x1b\x41\xd5eep-Alive', 'Accept-Encoding: gzip'),
    400,
  ],
  [
    'missing CR between headers',
    `${head('GET / HTTP/1.1', 'Host: localhost', 'Dummy: x\nContent-Length: 23')}GET / HTTP/1.1\r\nDummy: GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    400,
  ],
  ['an unknown version', 'GET / HTTP/5.6\r\n', 505],
  ['space after the start line', 'GET / HTTP/1.1\r\n Host: foo\r\n', 400],
  ['only LFs', 'POST / HTTP/1.1\nTransfer-Encoding: chunked\nTrailer: Baz\n\n1\nA\n0\n\n', 400],
  [
    'spaces before headers',
    `${head('POST /hello HTTP/1.1', 'Host: localhost', 'Foo: bar', ' Content-Length: 38')}GET /bye HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    400,
  ],
];

const FRAMING: readonly RequestCase[] = [
  ['empty Transfer-Encoding with a length', `${post('/first', 'Transfer-Encoding:', 'Content-Length: 5')}hello`, 400],
  ['chunked, body still to come', put('Transfer-Encoding: chunked'), 'more'],
  ['lower-case size', chunked('a\r\n0123456789\r\n0\r\n\r\n'), 'same'],
  ['upper-case size', chunked('A\r\n0123456789\r\n0\r\n\r\n'), 'same'],
  ['POST chunked', chunked('1e\r\nall your base are belong to us\r\n0\r\n\r\n'), 'same'],
  ['a last chunk of three zeros', chunked('5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n'), 'same'],
  // A trailer may not say what the content is (RFC 9110 section 6.5.1).
  ['trailing headers', chunked('5\r\nhello\r\n6\r\n world\r\n0\r\nVary: *\r\nContent-Type: text/plain\r\n\r\n'), 400],
  ['trailing headers that may be', chunked('5\r\nhello\r\n6\r\n world\r\n0\r\nVary: *\r\n\r\n'), 'same'],
  [
    'chunk extensions',
    chunked(
      '5;ilovew3;somuchlove=aretheseparametersfor;another=withvalue\r\nhello\r\n6;blahblah;blah\r\n world\r\n0\r\n\r\n',
    ),
    'same',
  ],
  ['no semicolon before extensions', chunked('2 erfrferferf\r\naa\r\n0 rrrr\r\n\r\n'), 400],
  ['no extension after the semicolon', chunked('2;\r\naa\r\n0\r\n\r\n'), 400],
  [
    'quoted extensions',
    chunked('5;ilovew3="I \\"love\\"; \\\\extensions\\\\";somuchlove="x";blah;foo=bar\r\nhello\r\n0\r\n\r\n'),
    'same',
  ],
  ['unbalanced quotes', chunked('5;ilovew3="abc";somuchlove="def; ghi\r\nhello\r\n0\r\n\r\n'), 400],
  ['pigeons', put('Transfer-Encoding: pigeons'), 400],
  ['identity with a length', `${post('/p?q=search', 'Transfer-Encoding: identity', 'Content-Length: 5')}World`, 400],
  [
    'three empty codings with a length',
    `${post('/', 'Content-Length: 10', 'Transfer-Encoding:', 'Transfer-Encoding:', 'Transfer-Encoding:')}2\r\nAA\r\n0\r\n`,
    400,
  ],
  ['chunked before another coding', `${post('/', 'Transfer-Encoding: chunked, deflate')}World`, 400],
  ['chunked, then deflate', `${post('/', 'Transfer-Encoding: chunked', 'Transfer-Encoding: deflate')}World`, 400],
  ['chunked as the last coding', `${post('/', 'Transfer-Encoding: deflate, chunked')}5\r\nWorld\r\n0\r\n\r\n`, 501],
  [
    'chunked as the last coding, two fields',
    `${post('/', 'Transfer-Encoding: deflate', 'Transfer-Encoding: chunked')}5\r\nWorld\r\n0\r\n\r\n`,
    400,
  ],
  ['chunkedchunked', `${post('/', 'Transfer-Encoding: chunkedchunked')}5\r\nWorld\r\n0\r\n\r\n`, 400],
  ['missing last chunk', chunked('3\r\nfoo\r\n\r\n'), 400],
  ['chunk parameters with a line break', chunked('3 \n  \r\nfoo\r\n'), 400],
  ['folding after chunked', `${put('Transfer-Encoding: chunked', '  abc')}5\r\nWorld\r\n0\r\n\r\n`, 400],
  [
    'a chunk header not ended by CRLF',
    `${head('GET / HTTP/1.1', HOST, 'Connection: close ', 'Transfer-Encoding: chunked ')}5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n`,
    400,
  ],
  ['chunk data not ended by CRLF', chunked('5\r\nABCDE0\r\n\r\n'), 400],
  ['space after a chunk size', chunked('a \r\n0123456789\r\n0\r\n\r\n'), 400],
  ['a length with zeros before it', `${put('Content-Length: 003')}abc`, 400],
  ['a length that overflows', put('Content-Length: 1000000000000000000000'), 400],
  ['two lengths', put('Content-Length: 1', 'Content-Length: 2'), 400],
  ['a length and identity', put('Content-Length: 1', 'Transfer-Encoding: identity'), 400],
  ['a funky length', `${head('GET /get_funky HTTP/1.0', 'conTENT-Length: 5')}HELLO`, 'same'],
  ['spaces around a length', `${post('/', 'Content-Length:  2 ')}ab`, one(`${post('/', 'Content-Length: 2')}ab`)],
  ['a space in a length', post('/', 'Content-Length: 4 2'), 400],
  ['another space in a length', post('/', 'Content-Length: 13 37'), 400],
  ['an empty length', post('/', 'Content-Length:'), 400],
  ['CR instead of the dash', `${put('Content\rLength: 003')}abc`, 400],
];

const CONNECTION: readonly RequestCase[] = [
  ['keep-alive', put('Connection: keep-alive'), 'same'],
  [
    'keep-alive, twice',
    put('Connection: keep-alive').repeat(2),
    { forwarded: put('Connection: keep-alive').repeat(2), requests: 2, rest: 'end' },
  ],
  ['HTTP/1.0 and then more', `PUT /url HTTP/1.0\r\n\r\n${put()}`, one('PUT /url HTTP/1.0\r\n\r\n', 'closed')],
  [
    'CRLF between requests',
    `${post('/', 'Content-Length: 4')}q=42\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n`,
    { forwarded: `${post('/', 'Content-Length: 4')}q=42GET / HTTP/1.1\r\nHost: a\r\n\r\n`, requests: 2, rest: 'end' },
  ],
  ['close', put('Connection: close'), one(put(), 'end')],
  [
    'close and then more',
    `${post('/', 'Content-Length: 4', 'Connection: close')}q=42\r\nGET / HTTP/1.1\r\n`,
    one(`${post('/', 'Content-Length: 4')}q=42`, 'closed'),
  ],
  ['many options', put('Connection: close, token, upgrade, token, keep-alive'), one(put())],
  [
    'folded options',
    head(
      'GET /demo HTTP/1.1',
      'Host: example.com',
      'Connection: Something,',
      ' Upgrade, ,Keep-Alive',
      'Upgrade: WebSocket',
    ),
    400,
  ],
  [
    'keep-alive and upgrade',
    `${head('GET /demo HTTP/1.1', HOST, 'Connection: keep-alive, upgrade', 'Upgrade: WebSocket')}Hot diggity dogg`,
    one(head('GET /demo HTTP/1.1', HOST, 'Connection: keep-alive, upgrade', 'Upgrade: WebSocket'), 'more'),
  ],
  ['upgrade', put('Connection: upgrade', 'Upgrade: ws'), 'same'],
  // With a body the upgrade is not passed on: the request is answered as it is (RFC 9110 section 7.8).
  [
    'upgrade with a body',
    `${put('Connection: upgrade', 'Content-Length: 4', 'Upgrade: ws')}abcd`,
    one(`${put('Content-Length: 4')}abcd`),
  ],
  [
    'upgrade to HTTP/2.0',
    `${head('POST /demo HTTP/1.1', 'Host: example.com', 'Connection: Upgrade', 'Upgrade: HTTP/2.0', 'Content-Length: 15')}sweet post body`,
    one(`${head('POST /demo HTTP/1.1', 'Host: example.com', 'Content-Length: 15')}sweet post body`),
  ],
];

const SAMPLES: readonly RequestCase[] = [
  ['a simple request', head('OPTIONS /url HTTP/1.1', HOST, 'Header1: Value1', 'Header2:\t Value2'), 'same'],
  ['without Host', head('OPTIONS /url HTTP/1.1', 'Header1: Value1', 'Header2:\t Value2'), 400],
  ['HEAD', head('HEAD /url HTTP/1.1', HOST), 'same'],
  // `=` is a sub-delimiter that no Kubernetes name has; narrower than RFC 3986 section 3.2.2 on purpose.
  ['curl, with an odd host', head('GET /test HTTP/1.1', 'Host: 0.0.0.0=5000', 'Accept: */*'), 400],
  [
    'Firefox',
    head('GET /favicon.ico HTTP/1.1', 'Host: 0.0.0.0:5000', 'Keep-Alive: 300', 'Connection: keep-alive'),
    one(head('GET /favicon.ico HTTP/1.1', 'Host: 0.0.0.0:5000')),
  ],
  ['dumbpack', head('GET /dumbpack HTTP/1.1', HOST, 'aaaaaaaaaaaaa:++++++++++'), 'same'],
  ['no headers', head('GET /get_no_headers_no_body/world HTTP/1.1'), 400],
  [
    'ApacheBench',
    head('GET /test HTTP/1.0', 'Host: 0.0.0.0:5000', 'User-Agent: ApacheBench/2.3', 'Accept: */*'),
    'same',
  ],
  ['an empty line first', `\r\n${head('GET /test HTTP/1.1', HOST)}`, one(head('GET /test HTTP/1.1', HOST))],
  ['no version', 'GET /\r\n\r\n', 400],
  ['folding', head('GET / HTTP/1.1', HOST, 'Line1:   abc', '\tdef', ' ghi'), 400],
  ['folding of nothing', head('GET / HTTP/1.1', HOST, 'Line4: ', ' '), 400],
  ['folding with LF', 'GET / HTTP/1.1\nHost: a\nLine1:   abc\n\tdef\n\n', 400],
  ['obs-text', head('GET / HTTP/1.1', HOST, 'Test: D\xfcsseldorf'), 'same'],
  ['0xff in a value', head('OPTIONS /url HTTP/1.1', HOST, 'Header2: \xffValue2'), 'same'],
];

const METHODS: readonly RequestCase[] = [
  ['REPORT', head('REPORT /test HTTP/1.1', HOST), 'same'],
  [
    'CONNECT, and data before the answer',
    `${head('CONNECT 0-home0.netscape.com:443 HTTP/1.0', 'User-agent: Mozilla/1.1N', 'Proxy-authorization: basic aGVsbG86d29ybGQ=')}some data\r\nand yet even more data`,
    one(
      head(
        'CONNECT 0-home0.netscape.com:443 HTTP/1.0',
        'User-agent: Mozilla/1.1N',
        'Proxy-authorization: basic aGVsbG86d29ybGQ=',
      ),
      'more',
    ),
  ],
  ['CONNECT in capitals', head('CONNECT HOME0.NETSCAPE.COM:443 HTTP/1.1', 'Host: HOME0.NETSCAPE.COM:443'), 'same'],
  ['CONNECT with a body', `${head('CONNECT foo.bar.com:443 HTTP/1.0', 'Content-Length: 10')}blarfcicle`, 400],
  [
    'CONNECT with _ in the host',
    head('CONNECT home_0.netscape.com:443 HTTP/1.1', 'Host: home_0.netscape.com:443'),
    'same',
  ],
  // `*` is for OPTIONS alone (RFC 9112 section 3.2.4).
  [
    'M-SEARCH',
    head('M-SEARCH * HTTP/1.1', 'HOST: 239.255.255.250:1900', 'MAN: "ssdp:discover"', 'ST: "ssdp:all"'),
    400,
  ],
  [
    'PATCH',
    `${head('PATCH /file.txt HTTP/1.1', HOST, 'If-Match: "e0023aa4e"', 'Content-Length: 10')}cccccccccc`,
    'same',
  ],
  ['PURGE', head('PURGE /file.txt HTTP/1.1', HOST), 'same'],
  ['SEARCH', head('SEARCH / HTTP/1.1', HOST), 'same'],
  [
    'LINK',
    head('LINK /images/my_dog.jpg HTTP/1.1', HOST, 'Link: <http://a/b>; rel="tag"', 'Link: <http://a/c>; rel="tag"'),
    'same',
  ],
  ['UNLINK', head('UNLINK /images/my_dog.jpg HTTP/1.1', HOST, 'Link: <http://a/c>; rel="tag"'), 'same'],
  ['SOURCE', head('SOURCE /music/sweet/music HTTP/1.1', HOST), 'same'],
];

const TARGETS: readonly RequestCase[] = [
  ['quotes', head('GET /with_"lovely"_quotes?foo="bar" HTTP/1.1', HOST), 'same'],
  ['a second question mark', head('GET /test.cgi?foo=bar?baz HTTP/1.1', HOST), 'same'],
  [
    'a host ended by a query',
    head('GET http://hypnotoad.org?hail=all HTTP/1.1', 'Host: hypnotoad.org'),
    one(head('GET /?hail=all HTTP/1.1', 'Host: hypnotoad.org')),
  ],
  [
    'host and port ended by a query',
    head('GET http://hypnotoad.org:1234?hail=all HTTP/1.1', 'Host: hypnotoad.org:1234'),
    one(head('GET /?hail=all HTTP/1.1', 'Host: hypnotoad.org:1234')),
  ],
  ['a vertical bar', head('GET /test.cgi?query=| HTTP/1.1', HOST), 'same'],
  [
    'host and port alone',
    head('GET http://hypnotoad.org:1234 HTTP/1.1', 'Host: hypnotoad.org:1234'),
    one(head('GET / HTTP/1.1', 'Host: hypnotoad.org:1234')),
  ],
  ['UTF-8', head('GET /\xce\xb4\xc2\xb6/\xce\xb4t/pope?q=1 HTTP/1.1', 'Host: github.com'), 400],
  ['a fragment', head('GET /forums/1/topics/2375?page=1#posts-17408 HTTP/1.1', HOST), 400],
  ['user information', head('GET http://a%12:b!&*$@hypnotoad.org:1234/toto HTTP/1.1', 'Host: hypnotoad.org:1234'), 400],
  ['a space', head('GET /foo bar/ HTTP/1.1', HOST), 400],
];

export const llhttpRequests: readonly RequestCase[] = [
  ...INVALID,
  ...FRAMING,
  ...CONNECTION,
  ...SAMPLES,
  ...METHODS,
  ...TARGETS,
];
