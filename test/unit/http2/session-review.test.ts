/** Regressions of one HTTP/2 session that a review found: streams that end at odd moments. */
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, it } from 'node:test';
import { CANCEL, NO_ERROR } from '../../../agent/http2/frame.ts';
import { Http2Session } from '../../../agent/http2/session.ts';
import type { SessionOwner } from '../../../agent/http2/session-owner.ts';
import type { Http2Stream } from '../../../agent/http2/stream.ts';
import { GET, POST } from '../../harness/http2-case.ts';
import * as h2 from '../../harness/http2-frames.ts';
import { framesOf } from './frame-checker.ts';
import { CheckedHandler, Feeder, list, MemorySink, table, TestClient, TestServer } from './session-support.ts';

const OK = h2.block([[':status', '200']]);

/** Answers each request with 100 octets at once, and wants no more of it. */
class Answering implements SessionOwner {
  readonly sink = new MemorySink();
  readonly session: Http2Session = new Http2Session(true, this, this.sink, table, 0);

  onRequest(stream: Http2Stream): void {
    const handler = new CheckedHandler();
    stream.handler = handler;
    stream.sendHeaders(list({ ':status': '200' }), false);
    handler.keptBytes += stream.sendData(Buffer.alloc(100, 'x'), 0, 100, true);
    stream.resetWhenSent(NO_ERROR);
  }

  onTooLarge(): void {}

  onStreamClosed(): void {}

  onGoAway(): void {}

  onBound(): void {}
}

function resets(output: Buffer): number[] {
  return framesOf(output)
    .frames.filter(({ type }) => type === h2.RST_STREAM)
    .map(({ stream }) => stream);
}

describe('a client that cancels', () => {
  it('takes answers to requests that it cancelled long ago, however many have ended since', () => {
    const client = new TestClient();
    const feeder = new Feeder(client.session);
    feeder.feed(h2.settings([h2.MAX_CONCURRENT_STREAMS, 1_000]));
    const early = client.request('/cancelled', true).stream;
    early.reset(CANCEL);
    for (let i = 0; i < 3_000; i++) {
      const { stream } = client.request('/', true);
      feeder.feed(h2.headers(stream.id, OK));
    }
    feeder.feed(Buffer.concat([h2.headers(early.id, OK, h2.END_HEADERS), h2.data(early.id, 'late', h2.END_STREAM)]));
    assert.equal(client.session.failed, -1, client.session.failure);
  });

  it('never names a stream to its peer that it did not open there', () => {
    const client = new TestClient();
    client.sink.take();
    client.session.open().reset(CANCEL);
    const next = client.session.open();
    next.sendHeaders(list({ ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'web' }), true);
    const output = client.sink.take();
    assert.deepEqual(resets(output), []);
    assert.equal(next.id, 3);
  });
});

describe('a server whose answers wait', () => {
  it('keeps nothing of streams that are cancelled while the window of the connection is shut', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const server = new TestServer();
    const feeder = new Feeder(server.session);
    feeder.feed(Buffer.concat([h2.PREFACE, h2.settings()]));
    // Stream 3 answers with more than the connection's window at once; what is cancelled afterwards waits behind it.
    feeder.feed(h2.headers(3, GET));
    const kept: WeakRef<object>[] = [];
    for (let id = 11; kept.length < 50; id += 8) {
      feeder.feed(h2.headers(id, GET));
      kept.push(new WeakRef(server.requests.get(id) as object));
      server.requests.delete(id);
      feeder.feed(h2.rstStream(id, CANCEL));
    }
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    assert.equal(kept.filter((each) => each.deref() !== undefined).length <= 1, true, 'cancelled streams are kept');
  });

  it('sends all of an answer before it resets what is left of the request', () => {
    const owner = new Answering();
    const feeder = new Feeder(owner.session);
    feeder.feed(Buffer.concat([h2.PREFACE, h2.settings([h2.INITIAL_WINDOW_SIZE, 10])]));
    feeder.feed(h2.headers(1, POST, h2.END_HEADERS));
    assert.deepEqual(resets(owner.sink.take()), []);
    feeder.feed(h2.windowUpdate(1, 1_000));
    assert.deepEqual(
      framesOf(owner.sink.take()).frames.map(({ type, flags, payload }) => [type, flags, payload.length]),
      [
        [h2.DATA, h2.END_STREAM, 90],
        [h2.RST_STREAM, 0, 4],
      ],
    );
    assert.equal(owner.session.active, 0);
    assert.equal(owner.sink.held, 0);
  });
});
