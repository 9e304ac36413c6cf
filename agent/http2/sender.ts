/**
 * DATA going out on one connection: within the peer's windows, held back while the socket is full, streams taking turns of one
 * frame each.
 */
import { PAYLOAD_MAX, WINDOW_INITIAL } from './frame.ts';
import { type FrameSink, writeData } from './frame-writer.ts';
import type { Http2Stream } from './stream.ts';

export class Sender {
  /** Octets the peer lets us send on the connection. */
  window = WINDOW_INITIAL;
  readonly #sink: FrameSink;
  #head: Http2Stream | null = null;
  #tail: Http2Stream | null = null;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Writes as much as windows and socket take; returns the octets. END_STREAM goes with the last of them. Hot. */
  write(stream: Http2Stream, from: Uint8Array, start: number, length: number, endStream: boolean): number {
    if (length === 0) {
      if (endStream) writeData(this.#sink, stream.id, from, start, 0, true); // no window is needed for it
      return 0;
    }
    let sent = 0;
    while (sent < length && !this.#sink.blocked) {
      let part = length - sent;
      if (part > PAYLOAD_MAX) part = PAYLOAD_MAX;
      if (part > stream.sendWindow) part = stream.sendWindow;
      if (part > this.window) part = this.window;
      if (part <= 0) return sent;
      writeData(this.#sink, stream.id, from, start + sent, part, endStream && sent + part === length);
      stream.sendWindow -= part;
      this.window -= part;
      sent += part;
    }
    return sent;
  }

  /** The stream has DATA that waits. */
  list(stream: Http2Stream): void {
    if (stream.listed) return;
    stream.listed = true;
    stream.previous = this.#tail;
    if (this.#tail === null) this.#head = stream;
    else this.#tail.next = stream;
    this.#tail = stream;
  }

  /** It has nothing to send any more, or may not: nothing of it is kept, however long the connection's window stays shut. */
  unlist(stream: Http2Stream): void {
    if (!stream.listed) return;
    const { previous, next } = stream;
    if (previous === null) this.#head = next;
    else previous.next = next;
    if (next === null) this.#tail = previous;
    else next.previous = previous;
    stream.previous = null;
    stream.next = null;
    stream.listed = false;
  }

  /** Sends what waits, while the connection's window and the socket allow it. */
  sendListed(): void {
    while (this.#head !== null && this.window > 0 && !this.#sink.blocked) {
      const stream: Http2Stream = this.#head;
      this.unlist(stream);
      if (stream.sendWindow <= 0) continue; // listed again by its WINDOW_UPDATE
      stream.sendPending();
      if (!stream.closed && stream.pendingBytes > 0 && stream.sendWindow > 0) this.list(stream);
    }
  }
}
