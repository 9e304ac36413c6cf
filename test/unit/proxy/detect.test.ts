/** What the first octets of a connection are taken for, at every length. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IS_HTTP, IS_HTTP2, IS_OPAQUE, IS_TLS, NEED_MORE, detect } from '../../../agent/proxy/detect.ts';
import { hello, serverNames } from '../tls/hellos.ts';

const NAMES = {
  [NEED_MORE]: 'need more',
  [IS_HTTP]: 'http',
  [IS_OPAQUE]: 'opaque',
  [IS_HTTP2]: 'http2',
  [IS_TLS]: 'tls',
};
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

function kinds(octets: Buffer): string[] {
  return Array.from({ length: octets.length + 1 }, (_, length) => {
    const around = Buffer.concat([Buffer.from('GET '), octets.subarray(0, length), Buffer.from(' * HTTP')]);
    return NAMES[detect(around, 4, 4 + length)];
  });
}

describe('detect', () => {
  const rows: readonly [string, Buffer, first: number, kind: string][] = [
    ['GET', Buffer.from('GET / HTTP/1.1\r\n'), 4, 'http'],
    ['a CRLF before the request line', Buffer.from('\r\nPOST /'), 7, 'http'],
    ['two CRLFs', Buffer.from('\r\n\r\nGET /'), 3, 'opaque'],
    ['a bare CR', Buffer.from('\rGET /'), 2, 'opaque'],
    ['the HTTP/2 preface', Buffer.from(`${PREFACE}\0\0`), 24, 'http2'],
    ['a preface that differs at its end', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\rX'), 24, 'opaque'],
    ['a preface of HTTP/1.1', Buffer.from('PRI * HTTP/1.1\r\n'), 12, 'opaque'],
    ['CRLF and a preface', Buffer.from(`\r\n${PREFACE}`), 5, 'opaque'],
    ['TLS', hello(serverNames('a.b')), 6, 'tls'],
    ['a TLS alert', Buffer.from('15030100020228', 'hex'), 1, 'opaque'],
    ['a server’s handshake message', Buffer.from('16030100020200', 'hex'), 6, 'opaque'],
    ['SSH', Buffer.from('SSH-2.0-x\r\n'), 2, 'opaque'],
    ['MySQL', Buffer.from('4a0000000a38', 'hex'), 1, 'opaque'],
    ['a PROXY header', Buffer.from('PROXY TCP4 '), 4, 'opaque'],
    ['a binary PROXY header', Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), 3, 'opaque'],
    ['lower case', Buffer.from('get / HTTP/1.1\r\n'), 1, 'opaque'],
  ];
  for (const [name, octets, first, kind] of rows) {
    it(`${name}: ${kind} from octet ${first} on`, () => {
      const expected = Array.from({ length: octets.length + 1 }, (_, length) => (length < first ? 'need more' : kind));
      assert.deepEqual(kinds(octets), expected);
    });
  }
});
