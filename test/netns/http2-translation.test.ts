/** Regressions of the change between HTTP/1.1 and HTTP/2 that a review found: nothing is cut, smuggled or lost on the way. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { request } from '../harness/http2-case.ts';
import type { Http2Endpoint, ReceivedRequest } from '../harness/http2-endpoint.ts';
import * as h2 from '../harness/http2-frames.ts';
import {
  MIXED,
  MORE,
  WEB,
  client,
  ok,
  plainExchange,
  resetHandlers,
  response,
  start,
  state,
  until,
  whole,
} from './http2-review-lab.ts';

const NO_ERROR = 0;

describe('from HTTP/1.1 to HTTP/2', () => {
  before(() => start());
  after(() => state.lab.stop());
  beforeEach(resetHandlers);

  test('a request that cannot be forwarded leaves the connection that it would have gone on alone', async () => {
    const from = await client(WEB);
    state.answer = () => undefined;
    from.send(h2.headers(1, h2.block(request('GET'))));
    await until('the request', () => state.endpoints.length === 1 && state.endpoints[0]?.requests.length === 1);
    const text = await plainExchange('GET /bad-host HTTP/1.1\r\nHost: web\r\n\r\n', (got) =>
      got.includes('BAD_HEADER_EDIT: '),
    );
    assert.match(text, /^HTTP\/1\.1 500 /);
    const [endpoint] = state.endpoints as [Http2Endpoint];
    ok(endpoint, endpoint.requests[0] as ReceivedRequest);
    assert.equal((await response(from, 1)).body, 'ok');
    const streams = new Set(endpoint.requests.map(({ stream }) => stream));
    const unknown = endpoint.frames.filter(({ type, stream }) => type === h2.RST_STREAM && !streams.has(stream));
    assert.deepEqual(unknown.map(h2.describeFrame), []);
    from.destroy();
  });

  for (const [name, text] of [
    ['GET', 'GET / HTTP/1.1\r\nHost: web\r\n\r\n'],
    ['a short POST', 'POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody'],
  ] as const) {
    test(`${name} that the endpoint's GOAWAY leaves out is sent again`, async () => {
      state.answer = (endpoint, received) => {
        if (state.endpoints.indexOf(endpoint) === 0) endpoint.send(h2.goaway(0, NO_ERROR));
        else ok(endpoint, received);
      };
      const got = await plainExchange(text, whole);
      assert.match(got, /^HTTP\/1\.1 200 /);
      if (name !== 'GET') {
        const [, second] = state.endpoints;
        const sent = second?.frames.filter(({ type }) => type === h2.DATA).map(({ payload }) => payload.toString());
        assert.equal(sent?.join(''), 'body');
      }
    });

    test(`${name} on a connection that breaks is ${name === 'GET' ? 'sent again' : 'not sent again'}`, async () => {
      state.answer = (endpoint, received) => {
        if (state.endpoints.indexOf(endpoint) === 0) endpoint.close();
        else ok(endpoint, received);
      };
      const got = await plainExchange(text, whole);
      assert.match(got, name === 'GET' ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 502 /);
      assert.equal(state.endpoints.length, name === 'GET' ? 2 : 1);
    });
  }

  test('a request that names no host has no authority', async () => {
    await plainExchange('GET / HTTP/1.0\r\n\r\n', whole);
    assert.equal(state.endpoints[0]?.requests.length, 1);
    assert.equal(state.endpoints[0]?.requests[0]?.fields.has(':authority'), false);
  });
});

describe('from HTTP/2 to HTTP/1.1', () => {
  before(() => start());
  after(() => state.lab.stop());
  beforeEach(resetHandlers);

  test('CONNECT is refused, not forwarded as something else', async () => {
    let text = '';
    state.plain = (_, octets) => {
      text += octets;
    };
    const from = await client(MIXED);
    from.send(
      h2.headers(
        1,
        h2.block([
          [':method', 'CONNECT'],
          [':authority', 'web:80'],
        ]),
        MORE,
      ),
    ); // prettier-ignore
    const { status: code } = await response(from, 1);
    assert.ok(['404', '501'].includes(code), code);
    assert.equal(text, '');
    from.destroy();
  });

  test('an empty :authority does not hide the Host that was judged', async () => {
    let text = '';
    state.plain = (socket, octets) => {
      text += octets;
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    };
    const from = await client(MIXED);
    const fields = request(
      'GET',
      [
        [':authority', ''],
        ['host', 'judged'],
      ],
      [':authority'],
    ); // prettier-ignore
    from.send(h2.headers(1, h2.block(fields)));
    const { status: code, reset } = await response(from, 1);
    assert.ok(code === '400' || reset > 0, `answered ${code}; sent ${JSON.stringify(text)}`);
    assert.equal(text, '');
    from.destroy();
  });

  test('fields that some servers read as lengths are refused as over HTTP/1.1', async () => {
    const from = await client(MIXED);
    let stream = 1;
    for (const [name, value] of [
      ['transfer_encoding', 'chunked'],
      ['content_length', '5'],
    ] as const) {
      // prettier-ignore
      from.send(h2.headers(stream, h2.block(request('GET', [[name, value]]))));
      const { status: code, fields } = await response(from, stream);
      assert.deepEqual([code, fields.get('x-weir-reason')], ['400', 'LOOKALIKE_LENGTH'], name);
      stream += 2;
    }
    assert.equal(state.plainSockets.length, 0);
    from.destroy();
  });

  test('a head that header modifiers make too large is refused, not cut', async () => {
    let text = '';
    state.plain = (_, octets) => {
      text += octets;
    };
    const from = await client(MIXED);
    const long = request(
      'GET',
      [
        [':path', '/large'],
        ['x-filling', 'f'.repeat(14_000)],
      ],
      [':path'],
    ); // prettier-ignore
    const ordered = [
      ...long.filter(([name]) => name.startsWith(':')),
      ...long.filter(([name]) => !name.startsWith(':')),
    ];
    from.send(h2.headers(1, h2.block(ordered)));
    const { status: code } = await response(from, 1);
    assert.equal(code, '431');
    assert.equal(text, '');
    from.destroy();
  });

  test('trailers that belong into a head do not come behind it', async () => {
    let text = '';
    state.plain = (socket, octets) => {
      text += octets;
      if (text.endsWith('\r\n\r\n') && text.includes('\r\n0\r\n')) socket.write('HTTP/1.1 204 No\r\n\r\n');
    };
    const from = await client(MIXED);
    const trailers = [
      ['authorization', 'Bearer x'],
      ['transfer_encoding', 'chunked'],
      ['x-sum', '1'],
    ] as const; // prettier-ignore
    from.send(h2.headers(1, h2.block(request('POST')), MORE), h2.data(1, 'body'), h2.headers(1, h2.block(trailers)));
    assert.equal((await response(from, 1)).status, '204');
    assert.match(text, /\r\n0\r\nx-sum: 1\r\n\r\n$/);
    from.destroy();
  });

  test('requests with bodies use a connection again', async () => {
    state.plain = (socket, octets) => {
      if (octets.includes('body')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    };
    const from = await client(MIXED);
    for (let stream = 1; stream < 9; stream += 2) {
      const head = h2.block(request('POST', [['content-length', '4']]));
      from.send(h2.headers(stream, head, MORE), h2.data(stream, 'body', h2.END_STREAM));
      assert.equal((await response(from, stream)).body, 'ok');
    }
    assert.equal(state.plainSockets.length, 1);
    from.destroy();
  });

  test('an endpoint that answers early: the answer, and then the client is told to stop', async () => {
    state.plain = (socket) => socket.write('HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno');
    const from = await client(MIXED);
    from.send(h2.headers(1, h2.block(request('POST')), MORE), h2.data(1, 'x'));
    const { status: code, body, reset } = await response(from, 1);
    assert.deepEqual([code, body, reset], ['413', 'no', -1]);
    const told = await from.until('RST_STREAM', (frame) => frame.type === h2.RST_STREAM);
    assert.equal(told.payload.readUInt32BE(0), NO_ERROR);
    from.destroy();
  });
});
