/**
 * HTTP/2 frames, a server's end and a client's: whatever arrives, the session answers with frames that are allowed, keeps within
 * windows and bounds, tells its streams' handlers the truth, and does the same however the octets are cut.
 *
 * A seed is what a client sends behind its preface. Seeds beside the corpus: the conformance cases; for the client's end what a
 * server answers to them.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { CONNECTION_LOST } from '../../agent/http2/stream.ts';
import { limits } from '../../agent/limits.ts';
import { conformanceCases } from '../harness/http2-cases.ts';
import * as h2 from '../harness/http2-frames.ts';
import { FrameChecker, framesOf } from '../unit/http2/frame-checker.ts';
import { type CheckedHandler, Feeder, TestClient, TestServer } from '../unit/http2/session-support.ts';
import { corpus, cuts, fuzz, mutate, type Random } from './http1-support.ts';

const SETTINGS = h2.settings().toString('latin1');

const cases = conformanceCases.map(({ id, steps }) => ({
  name: id,
  text:
    SETTINGS + steps.map((step) => (typeof step === 'function' ? '' : Buffer.from(step).toString('latin1'))).join(''),
}));

function encode({ type, flags, stream, payload }: h2.Frame): string {
  return h2.frame(type, flags, stream, payload).toString('latin1');
}

const pick = <T>(rng: Random, from: readonly T[]): T => from[rng.below(from.length)] as T;

/** Changes to a sequence of frames; now and then to its octets, so that lengths lie. */
function mutateFrames(rng: Random, seeds: readonly { readonly text: string }[]): string {
  if (rng.below(8) === 0) return mutate(rng, seeds);
  const read = (): h2.Frame[] => framesOf(Buffer.from(pick(rng, seeds).text, 'latin1')).frames;
  const frames = read();
  for (let changes = 1 + rng.below(6); changes > 0; changes--) {
    const at = rng.below(frames.length + 1);
    const frame = frames[at];
    const other = read();
    if (frame === undefined || rng.below(3) === 0) {
      frames.splice(at, 0, ...other.slice(rng.below(other.length + 1)).slice(0, 1 + rng.below(4)));
      continue;
    }
    switch (rng.below(7)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(at, 0, frame);
        break;
      case 2:
        frames[at] = { ...frame, type: rng.below(12) };
        break;
      case 3:
        frames[at] = { ...frame, flags: frame.flags ^ (1 << rng.below(8)) };
        break;
      case 4:
        frames[at] = { ...frame, stream: pick(rng, [0, 1, 2, 3, 5, 7, 9, frame.stream + 2, 0x7fff_ffff]) };
        break;
      case 5: {
        const payload = Buffer.from(frame.payload);
        if (payload.length > 0) payload[rng.below(payload.length)] = rng.below(256);
        frames[at] = { ...frame, payload };
        break;
      }
      default: {
        const filling = Buffer.alloc(rng.below(4) === 0 ? rng.below(16_500) : rng.below(12), rng.below(256));
        frames[at] = { ...frame, payload: Buffer.concat([frame.payload, filling]).subarray(0, 16_400) };
      }
    }
  }
  return frames.map(encode).join('').slice(0, 60_000);
}

/** Every handler whose stream did not end by itself hears so once, and none hears anything more. */
function assertEnded({ session, sink }: TestServer | TestClient, handlers: Iterable<CheckedHandler>): void {
  session.end(CONNECTION_LOST);
  assert.equal(session.active, 0);
  assert.equal(sink.held, 0, 'octets that nobody keeps are still booked');
  for (const handler of handlers) assert.ok(handler.ended || handler.resetCode >= 0, 'a stream without an end');
}

/** Feeds frame by frame and checks what comes after each. `stalls`: now and then the socket takes nothing for a while. */
function watched(frames: readonly h2.Frame[], rest: Buffer, stalls: Random | null): Buffer {
  const server = new TestServer();
  const feeder = new Feeder(server.session);
  const checker = new FrameChecker(limits.http2ConnectionWindowBytes);
  const output: Buffer[] = [];
  const collect = (): void => {
    const octets = server.sink.take();
    output.push(octets);
    checker.server(octets);
    assert.ok(server.session.active <= limits.http2StreamsMax);
  };
  feeder.feed(h2.PREFACE);
  for (const frame of frames) {
    if (server.session.failed >= 0) break;
    if (stalls !== null) server.sink.blocked = stalls.below(3) === 0;
    if (stalls?.below(10) === 0) server.sink.heldMax = 50_000;
    checker.client(frame);
    feeder.feed(Buffer.from(encode(frame), 'latin1'));
    if (stalls !== null && !server.sink.blocked) server.session.sendListed();
    collect();
  }
  feeder.feed(rest);
  server.sink.blocked = false;
  server.session.sendListed();
  collect();
  assertEnded(server, server.requests.values());
  assert.equal(server.sink.take().length, 0, 'nothing is sent on a connection that is gone');
  return Buffer.concat(output);
}

/** Feeds as it may arrive. */
function split(text: string, at: readonly number[]): Buffer {
  const server = new TestServer();
  const feeder = new Feeder(server.session);
  let from = 0;
  const octets = Buffer.concat([h2.PREFACE, Buffer.from(text, 'latin1')]);
  for (const to of [...at, octets.length]) {
    feeder.feed(octets.subarray(from, to));
    from = to;
  }
  server.session.sendListed();
  const output = server.sink.take();
  assertEnded(server, server.requests.values());
  return output;
}

it('a server’s end survives whatever a client sends', async () => {
  const check = (text: string, rng: Random): void => {
    const { frames, rest } = framesOf(Buffer.from(text, 'latin1'));
    const output = watched(frames, rest, null);
    assert.deepEqual(split(text, cuts(rng, text.length + h2.PREFACE.length)), output);
    watched(frames, rest, rng);
  };
  await fuzz('http2-frames', 4_000, check, { seeds: cases, mutation: mutateFrames });
});

/** A client with requests under way, and what it does with a server's octets. */
function answered(text: string, at: readonly number[]): { octets: Buffer; seen: readonly string[] } {
  const client = new TestClient();
  const requests = Array.from({ length: 5 }, (_, i) => client.request('/', i % 2 === 0));
  // Two POSTs, of more than the initial windows allow at once.
  for (const { stream, handler } of [requests[1], requests[3]].filter((each) => each !== undefined)) {
    handler.keptBytes = stream.sendData(Buffer.alloc(70_000), 0, 70_000, true);
  }
  const feeder = new Feeder(client.session);
  let from = 0;
  const octets = Buffer.from(text, 'latin1');
  for (const to of [...at, octets.length]) {
    feeder.feed(octets.subarray(from, to));
    from = to;
  }
  const output = client.sink.take();
  const seen = requests.map(({ handler }) => `${handler.heads.length} ${handler.body} ${handler.resetCode}`);
  assertEnded(
    client,
    requests.map(({ handler }) => handler),
  );
  return { octets: output, seen };
}

it('a client’s end survives whatever a server sends', async () => {
  const answers = [...corpus('http2-frames'), ...cases].map(({ name, text }) => ({
    name,
    text: split(text, []).toString('latin1'),
  }));
  const check = (text: string, rng: Random): void => {
    assert.deepEqual(answered(text, cuts(rng, text.length)), answered(text, []));
  };
  await fuzz('http2-frames', 3_000, check, { seeds: answers, mutation: mutateFrames });
});
