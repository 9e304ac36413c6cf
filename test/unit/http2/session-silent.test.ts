/** Streams on which nothing moves, and connections that their client leaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CANCEL, NO_ERROR } from '../../../agent/http2/frame.ts';
import { POST } from '../../harness/http2-case.ts';
import * as h2 from '../../harness/http2-frames.ts';
import { framesOf } from './frame-checker.ts';
import { Feeder, list, type MemorySink, TestClient, TestServer } from './session-support.ts';

const OK = h2.block([[':status', '200']]);
const TEN = Buffer.alloc(10, 'x');

/** RST_STREAM frames that were sent, as [stream, code]. */
function resets(sink: MemorySink): number[][] {
  return framesOf(sink.take())
    .frames.filter(({ type }) => type === h2.RST_STREAM)
    .map(({ stream, payload }) => [stream, payload.readUInt32BE(0)]);
}

describe('silent streams of a client', () => {
  const begin = (endStream = false) => {
    const client = new TestClient();
    const feeder = new Feeder(client.session);
    feeder.feed(h2.settings());
    const made = client.request('/', endStream);
    assert.equal(client.session.endSilent(true), 0, 'what has just begun is not silent');
    client.sink.take();
    return { client, feeder, ...made };
  };

  it('are reset when nothing has moved since the last question; their handlers are told', () => {
    const { client, stream, handler } = begin();
    assert.equal(client.session.endSilent(true), 1);
    assert.deepEqual(resets(client.sink), [[stream.id, CANCEL]]);
    assert.deepEqual([handler.resetCode, stream.closed, client.session.active], [CANCEL, true, 0]);
    assert.equal(client.session.endSilent(true), 0);
  });

  it('are not silent while octets go out, and are once they do not', () => {
    const { client, stream } = begin();
    for (let i = 0; i < 3; i++) {
      stream.sendData(TEN, 0, TEN.length, false);
      assert.equal(client.session.endSilent(true), 0);
    }
    assert.equal(client.session.endSilent(true), 1);
  });

  it('wait for their answer as long as it takes, when they have been sent whole', () => {
    const { client } = begin(true);
    for (let i = 0; i < 3; i++) assert.equal(client.session.endSilent(true), 0);
    assert.deepEqual(resets(client.sink), []);
    assert.equal(client.session.endSilent(false), 1);
  });

  it('last as long as they like once their answer has begun', () => {
    const { client, feeder, stream } = begin();
    feeder.feed(h2.headers(stream.id, OK, h2.END_HEADERS));
    for (let i = 0; i < 3; i++) assert.equal(client.session.endSilent(true), 0);
    assert.deepEqual(resets(client.sink), []);
  });
});

describe('silent streams of a server', () => {
  it('are told from those that receive, that pass on, and that send', () => {
    const server = new TestServer(true);
    const feeder = new Feeder(server.session);
    feeder.feed(Buffer.concat([h2.PREFACE, h2.settings()]));
    for (const stream of [1, 3, 5, 7]) feeder.feed(h2.headers(stream, POST, h2.END_HEADERS));
    assert.equal(server.session.endSilent(false), 0);
    server.sink.take();
    feeder.feed(h2.data(3, 'x'));
    server.session.streams.get(5)?.sendHeaders(list({ ':status': '103' }), false);
    server.session.streams.get(7)?.consumed(0);
    assert.equal(server.session.endSilent(false), 1);
    assert.deepEqual(resets(server.sink), [[1, CANCEL]]);
    assert.equal(server.requests.get(1)?.resetCode, CANCEL);
    assert.equal(server.session.active, 3);
  });
});

describe('a client that leaves', () => {
  it('is done with when its last stream has ended, not before', () => {
    const server = new TestServer(true);
    const feeder = new Feeder(server.session);
    feeder.feed(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, POST, h2.END_HEADERS)]));
    assert.equal(server.session.drained, false);
    feeder.feed(h2.goaway(0, NO_ERROR));
    assert.equal(server.session.drained, false);
    feeder.feed(h2.data(1, 'all', h2.END_STREAM));
    assert.equal(server.session.drained, true);
  });

  it('is asked to open no more streams when we leave, too', () => {
    const server = new TestServer(true);
    const feeder = new Feeder(server.session);
    feeder.feed(Buffer.concat([h2.PREFACE, h2.settings(), h2.headers(1, POST, h2.END_HEADERS)]));
    feeder.feed(h2.goaway(0, NO_ERROR));
    server.sink.take();
    server.session.drain();
    const sent = framesOf(server.sink.take()).frames.map(({ type }) => type);
    assert.deepEqual(sent, [h2.GOAWAY, h2.PING]);
  });
});
