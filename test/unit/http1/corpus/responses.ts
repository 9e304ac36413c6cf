/**
 * Responses: llhttp's tests (github.com/nodejs/llhttp, test/response/*.md), and the ways in which an endpoint, or somebody who
 * speaks through one, tries to have an answer read twice: response splitting, lengths that disagree or are there where no body
 * is (RFC 9112 section 6.3), surplus octets, 1xx.
 */
import { head, type ResponseCase } from './corpus-case.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
const ok = (...fields: string[]): string => head('HTTP/1.1 200 OK', ...fields);
const chunked = (body: string): string => `${ok('Transfer-Encoding: chunked')}${body}`;
const kept = (sent: string): { sent: string; reused: true } => ({ sent, reused: true });
const spent = (sent: string): { sent: string; reused: false } => ({ sent, reused: false });
const CLOSED = 'Connection: close';

const LLHTTP_INVALID: readonly ResponseCase[] = [
  ['an incomplete protocol', 'GET', 'HTP/1.1 200 OK\r\n\r\n', 502],
  ['an extra digit in the major version', 'GET', 'HTTP/01.1 200 OK\r\n\r\n', 502],
  ['another one', 'GET', 'HTTP/11.1 200 OK\r\n\r\n', 502],
  ['an extra digit in the minor version', 'GET', 'HTTP/1.01 200 OK\r\n\r\n', 502],
  ['a tab after the version', 'GET', 'HTTP/1.1\t200 OK\r\n\r\n', 502],
  ['CR first', 'GET', '\rHTTP/1.1 200 OK\r\n\r\n', 502],
  ['an empty line first', 'GET', `\r\n${ok('Content-Length: 0')}`, 502],
  ['headers separated by CR', 'GET', `${OK}Foo: 1\rBar: 2\r\n\r\n`, 502],
  ['an unknown version', 'GET', 'HTTP/5.6 200 OK\r\n\r\n', 502],
  ['HTTP/2.0', 'GET', 'HTTP/2.0 200 OK\r\n\r\n', 502],
  ['space after the start line', 'GET', `${OK} Host: foo\r\n\r\n`, 502],
  ['two spaces before the status', 'GET', 'HTTP/1.1  200 OK\r\n\r\n', 502],
  [
    'two spaces before the reason',
    'GET',
    head('HTTP/1.1 200  OK', 'Content-Length: 0'),
    kept(head('HTTP/1.1 200  OK', 'Content-Length: 0')),
  ],
  ['one digit of status', 'GET', 'HTTP/1.1 2 OK\r\n\r\n', 502],
  ['four digits of status', 'GET', 'HTTP/1.1 2000 OK\r\n\r\n', 502],
  ['a status below 100', 'GET', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n', 502],
  ['only LFs', 'GET', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 502],
  ['RTSP', 'GET', 'RTSP/1.1 200 OK\r\n\r\n', 502],
  ['ICE', 'GET', 'ICE/1.1 200 OK\r\n\r\n', 502],
  ['HTTPER', 'GET', 'HTTPER/1.1 200 OK\r\n\r\n', 502],
];

const LLHTTP_SAMPLES: readonly ResponseCase[] = [
  [
    'simple',
    'GET',
    ok('Header1: Value1', 'Header2:\t Value2', 'Content-Length: 0'),
    kept(ok('Header1: Value1', 'Header2:\t Value2', 'Content-Length: 0')),
  ],
  [
    'spaces around a length',
    'GET',
    `${head('HTTP/1.1 301 Moved Permanently', 'X-$PrototypeBI-Version: 1.6.0.3', 'Server: gws', 'Content-Length:  3  ')}abc`,
    kept(
      `${head('HTTP/1.1 301 Moved Permanently', 'X-$PrototypeBI-Version: 1.6.0.3', 'Server: gws', 'Content-Length: 3')}abc`,
    ),
  ],
  ['tabs around a length', 'GET', `${ok('Content-Length:\t2\t')}ab`, kept(`${ok('Content-Length: 2')}ab`)],
  ['amazon.com', 'GET', chunked('1\r\n\n\r\n0\r\n\r\n'), kept(chunked('1\r\n\n\r\n0\r\n\r\n'))],
  ['no headers', 'GET', 'HTTP/1.1 404 Not Found\r\n\r\n', { sentUntilClose: head('HTTP/1.1 404 Not Found', CLOSED) }],
  ['no reason', 'GET', 'HTTP/1.1 301\r\nContent-Length: 0\r\n\r\n', kept('HTTP/1.1 301 \r\nContent-Length: 0\r\n\r\n')],
  [
    'an empty reason',
    'GET',
    'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n',
    kept('HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'),
  ],
  [
    'an underscore',
    'GET',
    ok('DCLK_imp: v7;x;1;~~okv=;dcmt=text/xml;;~cs=o', 'Content-Length: 0'),
    kept(ok('DCLK_imp: v7;x;1;~~okv=;dcmt=text/xml;;~cs=o', 'Content-Length: 0')),
  ],
  [
    'HTTP/1.0 and keep-alive',
    'GET',
    head(
      'HTTP/1.0 301 Moved Permanently',
      'Pragma: ',
      'Location: http://a/',
      'Content-Length: 0',
      'Connection: keep-alive',
    ),
    spent(head('HTTP/1.1 301 Moved Permanently', 'Pragma: ', 'Location: http://a/', 'Content-Length: 0')),
  ],
  [
    'names with an octet off',
    'GET',
    `${ok('.et-Cookie: a=b', '_eep-Alive: timeout=45', '_onnection: Keep-Alive', 'Transfer-Encoding: chunked', CLOSED)}0\r\n\r\n`,
    spent(
      `${ok('.et-Cookie: a=b', '_eep-Alive: timeout=45', '_onnection: Keep-Alive', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ),
  ],
  [
    'Content-Length-X',
    'GET',
    `${ok('Content-Length-X: 0', 'Transfer-Encoding: chunked')}2\r\nOK\r\n0\r\n\r\n`,
    kept(`${ok('Content-Length-X: 0', 'Transfer-Encoding: chunked')}2\r\nOK\r\n0\r\n\r\n`),
  ],
  [
    'Proxy-Connection',
    'GET',
    `${ok('Content-Length: 2', 'Proxy-Connection: close')}ab`,
    kept(`${ok('Content-Length: 2')}ab`),
  ],
  [
    'HTTP/1.0, keep-alive, no length',
    'GET',
    `${head('HTTP/1.0 200 OK', 'Connection: keep-alive')}HTTP/1.0 200 OK`,
    { sentUntilClose: `${ok(CLOSED)}HTTP/1.0 200 OK` },
  ],
  [
    'HTTP/1.0, 204, and more',
    'GET',
    `${head('HTTP/1.0 204 No content', 'Connection: keep-alive')}HTTP/1.0 200 OK`,
    spent(head('HTTP/1.1 204 No content')),
  ],
  ['no length', 'GET', `${ok()}HTTP/1.1 200 OK`, { sentUntilClose: `${ok(CLOSED)}HTTP/1.1 200 OK` }],
  ['204, and more', 'GET', `${head('HTTP/1.1 204 No content')}HTTP/1.1 200 OK`, spent(head('HTTP/1.1 204 No content'))],
  [
    'close, and more',
    'GET',
    `${ok('Content-Length: 5', CLOSED)}2ad731e3-4dcd`,
    spent(`${ok('Content-Length: 5')}2ad73`),
  ],
  // Nobody asked for an upgrade.
  [
    '101 with a length',
    'GET',
    `${head('HTTP/1.1 101 Switching Protocols', 'Connection: upgrade', 'Upgrade: h2c', 'Content-Length: 4')}bodyproto`,
    502,
  ],
  [
    '101 with chunks',
    'GET',
    `${head('HTTP/1.1 101 Switching Protocols', 'Connection: upgrade', 'Upgrade: h2c', 'Transfer-Encoding: chunked')}2\r\nbo\r\n`,
    502,
  ],
  [
    '200 that offers h2c',
    'GET',
    `${ok('Connection: upgrade', 'Upgrade: h2c', 'Content-Length: 4')}body`,
    kept(`${ok('Content-Length: 4')}body`),
  ],
  [
    '200 that offers h2c, chunked',
    'GET',
    `${ok('Connection: upgrade', 'Upgrade: h2c', 'Transfer-Encoding: chunked')}2\r\nbo\r\n0\r\n\r\n`,
    kept(chunked('2\r\nbo\r\n0\r\n\r\n')),
  ],
];

const LLHTTP_CHUNKED: readonly ResponseCase[] = [
  ['an empty coding and a length', 'GET', `${ok('Transfer-Encoding:', 'Content-Length: 5')}hello`, 502],
  ['an empty coding', 'GET', `${ok('Transfer-Encoding:')}hello`, 502],
  ['chunked before another', 'GET', `${ok('Transfer-Encoding: chunked, deflate')}World`, 502],
  ['chunked, then identity', 'GET', `${ok('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}World`, 502],
  ['chunkedchunked', 'GET', `${ok('Transfer-Encoding: chunkedchunked')}2\r\nOK\r\n0\r\n\r\n`, 502],
  ['folding after chunked', 'GET', `${ok('Transfer-Encoding: chunked', '  abc')}5\r\nWorld\r\n0\r\n\r\n`, 502],
  [
    'extensions',
    'GET',
    chunked('5;a;b=c\r\nhello\r\n6;d="e; f"\r\n world\r\n0\r\n\r\n'),
    kept(chunked('5;a;b=c\r\nhello\r\n6;d="e; f"\r\n world\r\n0\r\n\r\n')),
  ],
  ['spaces after a size', 'GET', chunked('2  \r\nab\r\n0\r\n\r\n'), 502],
  ['no semicolon', 'GET', chunked('2 erfrferferf\r\naa\r\n0 rrrr\r\n\r\n'), 502],
  ['no extension after the semicolon', 'GET', chunked('2;\r\naa\r\n0\r\n\r\n'), 502],
  ['unbalanced quotes', 'GET', chunked('5;a="abc";b="def; ghi\r\nhello\r\n0\r\n\r\n'), 502],
  [
    'trailers',
    'GET',
    chunked('2\r\nok\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n'),
    kept(chunked('2\r\nok\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n')),
  ],
  ['a trailer that frames', 'GET', chunked('2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n'), 502],
  ['a trailer with LF', 'GET', chunked('2\r\nok\r\n0\r\nX: y\n\r\n'), 502],
  [
    'a coding in odd case',
    'GET',
    `${ok('transfer-encoding: Chunked')}0\r\n\r\n`,
    kept(`${ok('transfer-encoding: chunked')}0\r\n\r\n`),
  ],
];

const SPLITTING: readonly ResponseCase[] = [
  ['both lengths', 'GET', `${ok('Content-Length: 2', 'Transfer-Encoding: chunked')}0\r\n\r\n`, 502],
  ['two lengths', 'GET', `${ok('Content-Length: 2', 'Content-Length: 3')}ok`, 502],
  ['the same length twice', 'GET', `${ok('Content-Length: 2', 'Content-Length: 2')}ok`, 502],
  ['a list of lengths', 'GET', `${ok('Content-Length: 2, 2')}ok`, 502],
  ['a signed length', 'GET', `${ok('Content-Length: +2')}ok`, 502],
  ['Content_Length', 'GET', `${ok('Content_Length: 2')}ok`, 502],
  ['a length named by Connection', 'GET', `${ok('Connection: content-length', 'Content-Length: 2')}ok`, 502],
  ['a coding in HTTP/1.0', 'GET', `${head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked')}0\r\n\r\n`, 502],
  [
    'a second response behind the first',
    'GET',
    `${ok('Content-Length: 2')}ok${EVIL}`,
    spent(`${ok('Content-Length: 2')}ok`),
  ],
  [
    'a second response behind a chunked one',
    'GET',
    `${chunked('2\r\nok\r\n0\r\n\r\n')}${EVIL}`,
    spent(chunked('2\r\nok\r\n0\r\n\r\n')),
  ],
  [
    'a response split by a header value',
    'GET',
    `${OK}Location: /x\r\nContent-Length: 0\r\n\r\n${EVIL}`,
    spent(`${OK}Location: /x\r\nContent-Length: 0\r\n\r\n`),
  ],
  ['a response split by LF', 'GET', `${OK}Location: /x\nContent-Length: 0\n\n${EVIL}`, 502],
  ['a body on HEAD', 'HEAD', `${ok('Content-Length: 71')}${EVIL}`, spent(ok('Content-Length: 71'))],
  ['a length on HEAD', 'HEAD', ok('Content-Length: 71'), kept(ok('Content-Length: 71'))],
  ['a coding on HEAD', 'HEAD', ok('Transfer-Encoding: chunked'), kept(ok('Transfer-Encoding: chunked'))],
  ['nothing on HEAD', 'HEAD', ok('X: y'), kept(ok('X: y'))],
  ['both lengths on HEAD', 'HEAD', ok('Content-Length: 2', 'Transfer-Encoding: chunked'), 502],
  ['a length on 204', 'GET', head('HTTP/1.1 204 No', 'Content-Length: 4'), spent(head('HTTP/1.1 204 No'))],
  ['a length of 0 on 204', 'GET', head('HTTP/1.1 204 No', 'Content-Length: 0'), kept(head('HTTP/1.1 204 No'))],
  ['a coding on 204', 'GET', `${head('HTTP/1.1 204 No', 'Transfer-Encoding: chunked')}0\r\n\r\n`, 502],
  [
    'a length on 304',
    'GET',
    head('HTTP/1.1 304 Same', 'Content-Length: 4'),
    kept(head('HTTP/1.1 304 Same', 'Content-Length: 4')),
  ],
  [
    'a body on 304',
    'GET',
    `${head('HTTP/1.1 304 Same', 'Content-Length: 4')}evil`,
    spent(head('HTTP/1.1 304 Same', 'Content-Length: 4')),
  ],
  [
    '100 and 200',
    'GET',
    `${head('HTTP/1.1 100 Continue')}${ok('Content-Length: 0')}`,
    kept(`${head('HTTP/1.1 100 Continue')}${ok('Content-Length: 0')}`),
  ],
  [
    'several 1xx',
    'GET',
    `${head('HTTP/1.1 100 Continue')}${head('HTTP/1.1 103 Early Hints', 'Link: </a>')}${head('HTTP/1.1 103 Early Hints', 'Link: </b>')}${ok('Content-Length: 0')}`,
    kept(
      `${head('HTTP/1.1 100 Continue')}${head('HTTP/1.1 103 Early Hints', 'Link: </a>')}${head('HTTP/1.1 103 Early Hints', 'Link: </b>')}${ok('Content-Length: 0')}`,
    ),
  ],
  [
    '102 with a length',
    'GET',
    `${head('HTTP/1.1 102 Processing', 'Content-Length: 3')}${ok('Content-Length: 0')}`,
    kept(`${head('HTTP/1.1 102 Processing')}${ok('Content-Length: 0')}`),
  ],
  ['a coding on 103', 'GET', `${head('HTTP/1.1 103 Hints', 'Transfer-Encoding: chunked')}${EVIL}`, 502],
  // The interim response has gone out by then: what follows it is the 502.
  ['103 and then nonsense', 'GET', `${head('HTTP/1.1 103 Hints')}nonsense\r\n\r\n`, 502],
  [
    '101 that nobody asked for',
    'GET',
    `${head('HTTP/1.1 101 Switching', 'Connection: upgrade', 'Upgrade: websocket')}${EVIL}`,
    502,
  ],
  ['101 without Upgrade', 'GET', head('HTTP/1.1 101 Switching'), 502],
  ['a head without end', 'GET', `${OK}${'X: y\r\n'.repeat(200)}\r\n`, 502],
  ['a truncated body', 'GET', `${ok('Content-Length: 9')}half`, 'cut'],
  ['truncated chunks', 'GET', chunked('9\r\nhalf'), 'cut'],
  ['chunks without a last one', 'GET', chunked('2\r\nok\r\n'), 'cut'],
];

export const responses: readonly ResponseCase[] = [
  ...LLHTTP_INVALID,
  ...LLHTTP_SAMPLES,
  ...LLHTTP_CHUNKED,
  ...SPLITTING,
];
