/**
 * What the peer may still send on a connection (RFC 9113 section 6.9): given back as octets are passed on, in large steps, since each
 * step is a frame.
 */
import { limits } from '../limits.ts';
import { WINDOW_INITIAL } from './frame.ts';
import { type FrameSink, writeWindowUpdate } from './frame-writer.ts';
import type { Http2Stream } from './stream.ts';

export class ReceiveCredit {
  readonly #sink: FrameSink;
  #window: number = limits.http2ConnectionWindowBytes;
  #returnable = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Octets have arrived; false: more than the window allows. */
  take(octets: number): boolean {
    if (octets > this.#window) return false;
    this.#window -= octets;
    return true;
  }

  /** Octets of the connection are held no longer. Hot. */
  give(octets: number): void {
    this.#returnable += octets;
    if (this.#returnable < limits.http2ConnectionWindowBytes >> 2) return;
    writeWindowUpdate(this.#sink, 0, this.#returnable);
    this.#window += this.#returnable;
    this.#returnable = 0;
  }

  /** The same for octets of a stream, which has a window of its own as long as its peer may send. Hot. */
  giveStream(stream: Http2Stream, octets: number): void {
    stream.unconsumed -= octets;
    this.give(octets);
    if (stream.remoteClosed) return;
    stream.returnable += octets;
    if (stream.returnable < WINDOW_INITIAL >> 1) return;
    writeWindowUpdate(this.#sink, stream.id, stream.returnable);
    stream.receiveWindow += stream.returnable;
    stream.returnable = 0;
  }
}
