/** A server of HTTP/2 by hand: the other end of Http2Client, for endpoints that do what real ones should not. */
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import * as h2 from './http2-frames.ts';

/** A connection without the client's preface, which is no frame. */
class WithoutPreface extends Duplex {
  #left = h2.PREFACE.length;

  constructor(socket: Socket) {
    super({ emitClose: false });
    socket.on('data', (chunk: Buffer) => {
      const skipped = Math.min(this.#left, chunk.length);
      this.#left -= skipped;
      if (chunk.length > skipped) this.emit('data', chunk.subarray(skipped));
    });
    for (const event of ['end', 'close']) socket.on(event, () => this.emit(event));
    this.write = ((octets: Uint8Array) => socket.write(octets)) as Duplex['write'];
    this.destroy = () => {
      socket.destroy();
      return this;
    };
  }

  override _read(): void {}
}

/** A request as the endpoint has received it: its HEADERS. */
export interface ReceivedRequest {
  readonly stream: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly endStream: boolean;
}

export class Http2Endpoint {
  readonly frames: h2.Frame[] = [];
  readonly requests: ReceivedRequest[] = [];
  closed = false;
  readonly #client: h2.Http2Client;

  /** @param onRequest called with each request. */
  constructor(
    socket: Socket,
    onRequest: (endpoint: Http2Endpoint, request: ReceivedRequest) => void,
    settings: readonly (readonly [number, number])[] = [],
  ) {
    this.#client = new h2.Http2Client(new WithoutPreface(socket));
    this.send(h2.settings(...settings));
    void this.#read(onRequest);
  }

  async #read(onRequest: (endpoint: Http2Endpoint, request: ReceivedRequest) => void): Promise<void> {
    for (;;) {
      const received = await this.#client.next().catch(() => null);
      if (received === null) break;
      this.frames.push(received);
      if (received.type === h2.SETTINGS && (received.flags & h2.ACK) === 0) this.send(h2.frame(h2.SETTINGS, h2.ACK, 0));
      if (received.type !== h2.HEADERS || this.requests.some(({ stream }) => stream === received.stream)) continue;
      const fields = new Map(this.#client.fields(received).map(({ name, value }) => [name, value]));
      const request = { stream: received.stream, fields, endStream: (received.flags & h2.END_STREAM) !== 0 };
      this.requests.push(request);
      onRequest(this, request);
    }
    this.closed = true;
  }

  send(...octets: readonly Uint8Array[]): void {
    this.#client.send(...octets);
  }

  close(): void {
    this.#client.destroy();
  }
}
