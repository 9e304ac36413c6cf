/** An HTTP/2 endpoint by hand, for what Node's own server does not do: frames out of order, missing, or at odds with each other. */
import type { Duplex } from 'node:stream';
import { ACK, type Frame, frame, HEADERS, Http2Client, PREFACE, SETTINGS, settings } from './http2-frames.ts';

/** Takes the client's preface and its SETTINGS; the connection from there on. `values`: ours, or null to send none. */
export async function accept(
  socket: Duplex,
  values: readonly (readonly [id: number, value: number])[] | null = [],
): Promise<Http2Client> {
  const peer = await new Promise<Http2Client>((resolve) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      socket.unshift(chunk.subarray(PREFACE.length));
      resolve(new Http2Client(socket));
      socket.resume();
    });
  });
  if (values !== null) peer.send(settings(...values), frame(SETTINGS, ACK, 0));
  return peer;
}

/** Calls `onRequest` for each stream that a client opens, until it closes. */
export async function eachRequest(peer: Http2Client, onRequest: (head: Frame) => void): Promise<void> {
  for (;;) {
    const received = await peer.next();
    if (received === null) return;
    if (received.type === HEADERS) onRequest(received);
  }
}
