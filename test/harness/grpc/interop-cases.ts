/**
 * The client's side of the gRPC interop cases, as github.com/grpc/grpc doc/interop-test-descriptions.md describes them (those that
 * need Google's credentials left out), and what a proxy has to show besides. Each throws when the case fails.
 */
import assert from 'node:assert/strict';
import { type ClientDuplexStream, type ClientWritableStream, Metadata, status } from '@grpc/grpc-js';
import type { Call, InteropChannel } from './interop-channel.ts';
import {
  type InputRequest,
  missing,
  methods,
  type OutputRequest,
  type PayloadMessage,
  sizeOf,
  zeros,
} from './interop-service.ts';

const LARGE = { responseSize: 314_159, payload: zeros(271_828) };
const STREAM = [31_415, 9, 2_653, 58_979];
const BODIES = [27_182, 8, 1_828, 45_904];
/** Of grpc-js: the message is not compressed though its channel compresses. */
const NO_COMPRESS = 2;

type Duplex = ClientDuplexStream<OutputRequest, PayloadMessage>;

function succeeded<R>(call: Call<R>): Call<R> {
  assert.equal(call.code, status.OK, call.details);
  return call;
}

async function largeUnary(channel: InteropChannel): Promise<Call<PayloadMessage>> {
  const call = succeeded(await channel.unary(LARGE));
  assert.equal(sizeOf(call.response ?? {}), LARGE.responseSize);
  return call;
}

/** The last message, with flags, which grpc-js lets no caller set. It takes one at a time: not before the one before is written. */
function endUncompressed(call: ClientWritableStream<InputRequest>, message: InputRequest): void {
  interface WithFlags {
    readonly call: { sendMessageWithContext(context: object, message: InputRequest): void };
  }
  const context = { flags: NO_COMPRESS, callback: () => call.end() };
  (call as unknown as WithFlags).call.sendMessageWithContext(context, message);
}

/** A turn of ping_pong. */
function ask(call: Duplex, turn: number): void {
  call.write({ responseParameters: [{ size: STREAM[turn] as number }], payload: zeros(BODIES[turn] as number) });
}

async function statusCase(channel: InteropChannel, message: string): Promise<void> {
  const call = await channel.unary({ responseStatus: { code: 2, message } });
  assert.deepEqual([call.code, call.details], [2, message]);
}

export const interopCases: Readonly<Record<string, (channel: InteropChannel) => Promise<unknown>>> = {
  empty_unary: async (channel) => {
    assert.notEqual(succeeded(await channel.call(methods.emptyCall, {})).response, null);
  },

  large_unary: async (channel) => {
    await largeUnary(channel);
  },

  client_compressed_unary: async (channel) => {
    const call = succeeded(await channel.unary({ ...LARGE, expectCompressed: { value: true } }));
    assert.equal(sizeOf(call.response ?? {}), LARGE.responseSize);
  },

  /** On a channel without compression: the probe of the case before, and its last step. */
  client_uncompressed_unary: async (channel) => {
    const probe = await channel.unary({ ...LARGE, expectCompressed: { value: true } });
    assert.equal(probe.code, status.INVALID_ARGUMENT);
    succeeded(await channel.unary({ ...LARGE, expectCompressed: { value: false } }));
  },

  server_compressed_unary: async (channel) => {
    for (const value of [true, false]) {
      const call = succeeded(await channel.unary({ ...LARGE, responseCompressed: { value } }));
      assert.equal(sizeOf(call.response ?? {}), LARGE.responseSize);
    }
  },

  client_streaming: async (channel) => {
    const call = await channel.input((stream) => {
      for (const size of BODIES) stream.write({ payload: zeros(size) });
      stream.end();
    });
    assert.equal(succeeded(call).response?.aggregatedPayloadSize, 74_922);
  },

  client_compressed_streaming: async (channel) => {
    const probe = await channel.input((stream) => {
      endUncompressed(stream, { expectCompressed: { value: true }, payload: zeros(27_182) });
    });
    assert.equal(probe.code, status.INVALID_ARGUMENT);
    const call = await channel.input((stream) => {
      stream.write({ expectCompressed: { value: true }, payload: zeros(27_182) }, () => {
        endUncompressed(stream, { expectCompressed: { value: false }, payload: zeros(45_904) });
      });
    });
    assert.equal(succeeded(call).response?.aggregatedPayloadSize, 73_086);
  },

  server_streaming: async (channel) => {
    const call = succeeded(await channel.output({ responseParameters: STREAM.map((size) => ({ size })) }));
    assert.deepEqual(call.messages.map(sizeOf), STREAM);
  },

  server_compressed_streaming: async (channel) => {
    const call = await channel.output({
      responseParameters: [
        { size: 31_415, compressed: { value: true } },
        { size: 92_653, compressed: { value: false } },
      ],
    });
    assert.deepEqual(succeeded(call).messages.map(sizeOf), [31_415, 92_653]);
  },

  ping_pong: async (channel) => {
    const call = await channel.duplex(
      (stream) => ask(stream, 0),
      (stream, count) => (count < STREAM.length ? ask(stream, count) : stream.end()),
    );
    assert.deepEqual(succeeded(call).messages.map(sizeOf), STREAM);
  },

  empty_stream: async (channel) => {
    const call = succeeded(await channel.duplex((stream) => stream.end(), null));
    assert.equal(call.messages.length, 0);
  },

  custom_metadata: async (channel) => {
    const metadata = new Metadata();
    metadata.set('x-grpc-test-echo-initial', 'test_initial_metadata_value');
    metadata.set('x-grpc-test-echo-trailing-bin', Buffer.from('ababab', 'hex'));
    const unary = await channel.unary(LARGE, { metadata });
    const duplex = await channel.duplex(
      (stream) => {
        stream.write({ responseParameters: [{ size: 314_159 }], payload: zeros(271_828) });
        stream.end();
      },
      null,
      { metadata },
    );
    for (const call of [unary, duplex]) {
      succeeded<unknown>(call);
      assert.equal(call.initial['x-grpc-test-echo-initial'], 'test_initial_metadata_value');
      assert.equal(call.trailing['x-grpc-test-echo-trailing-bin'], Buffer.from('ababab', 'hex').toString('base64'));
    }
  },

  status_code_and_message: async (channel) => {
    const responseStatus = { code: 2, message: 'test status message' };
    await statusCase(channel, responseStatus.message);
    const call = await channel.duplex((stream) => {
      stream.write({ responseStatus });
      stream.end();
    }, null);
    assert.deepEqual([call.code, call.details], [2, responseStatus.message]);
  },

  special_status_message: (channel) =>
    statusCase(channel, '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n'),

  unimplemented_method: async (channel) => {
    assert.equal((await channel.call(missing.method, {})).code, status.UNIMPLEMENTED);
  },

  unimplemented_service: async (channel) => {
    assert.equal((await channel.call(missing.service, {})).code, status.UNIMPLEMENTED);
  },

  /**
   * Not in the tick that makes the call: grpc-js 1.14.7 then sends HEADERS and never a reset (resolving-call.js begins the call
   * it has already ended), and the server keeps the call as long as the connection lives, with a proxy between or without.
   */
  cancel_after_begin: async (channel) => {
    assert.equal((await channel.input((stream) => setImmediate(() => stream.cancel()))).code, status.CANCELLED);
  },

  cancel_after_first_response: async (channel) => {
    const call = await channel.duplex(
      (stream) => ask(stream, 0),
      (stream) => stream.cancel(),
    );
    assert.equal(call.code, status.CANCELLED);
    assert.equal(call.messages.length, 1);
  },

  timeout_on_sleeping_server: async (channel) => {
    const call = await channel.duplex((stream) => stream.write({ payload: zeros(27_182) }), null, { deadlineMs: 1 });
    assert.equal(call.code, status.DEADLINE_EXCEEDED);
  },

  /** The same with time for the request to arrive: the server's stream has to be cancelled. */
  timeout_while_server_sleeps: async (channel) => {
    const call = await channel.duplex((stream) => ask(stream, 0), null, { deadlineMs: 300 });
    assert.equal(call.code, status.DEADLINE_EXCEEDED);
    assert.equal(call.messages.length, 1);
  },

  concurrent_large_unary: async (channel) => {
    const pods = await Promise.all(Array.from({ length: 1_000 }, () => largeUnary(channel)));
    return pods.length;
  },

  /** Beyond every window on the way. */
  huge_unary: async (channel) => {
    const call = succeeded(await channel.unary({ responseSize: 12_000_000, payload: zeros(9_000_000) }));
    assert.equal(sizeOf(call.response ?? {}), 12_000_000);
  },

  /** Streams that are open at the same time, each of which still goes both ways. */
  many_streams: async (channel) => {
    let begun = 0;
    const streams: Duplex[] = [];
    const calls = Array.from({ length: 500 }, () =>
      channel.duplex(
        (stream) => {
          streams.push(stream);
          stream.write({ responseParameters: [{ size: 1_000 }] });
        },
        (stream, count) => {
          if (count === 2) stream.end();
          if (count === 1 && ++begun === streams.length) {
            for (const one of streams) one.write({ responseParameters: [{ size: 2_000 }] });
          }
        },
      ),
    );
    for (const call of await Promise.all(calls)) assert.deepEqual(succeeded(call).messages.map(sizeOf), [1_000, 2_000]);
  },

  /** Which pods answered 60 calls of one channel. */
  pods: async (channel) => {
    const calls = await Promise.all(Array.from({ length: 60 }, () => channel.unary({ responseSize: 1 })));
    return calls.map((call) => succeeded(call).initial['x-pod']);
  },

  /** One call and all that was said of it. */
  call: (channel) => channel.unary({ responseSize: 1 }),

  call_with_deadline: (channel) => channel.unary({ responseSize: 1 }, { deadlineMs: 60_000 }),

  /** Metadata beyond what a mesh takes. */
  large_metadata: (channel) => {
    const metadata = new Metadata();
    for (let i = 0; i < 60; i++) metadata.set(`x-large-${i}`, 'v'.repeat(1_000));
    return channel.unary({ responseSize: 1 }, { metadata });
  },

  /** A stream that has had one answer, and how it ends without the client's doing. */
  watch: (channel) => channel.duplex((stream) => ask(stream, 0), null),
};
