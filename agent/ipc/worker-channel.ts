/**
 * The worker's end of the supervisor's socket: frames in and out, in the worker's own epoll set, never blocking.
 * The supervisor's death shows as EOF; the worker then exits, so that no orphan carries traffic nobody can steer.
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import { type PinnedBuffer, allocatePinned } from '../engine/memory.ts';
import { READABLE, type ReadyHandler, type Reactor, WRITABLE } from '../engine/reactor.ts';
import { receive, sendBuffer, setNonBlocking } from '../engine/socket.ts';
import { limits } from '../limits.ts';
import { FrameDecoder, encodeFrame } from './frame.ts';
import type { FromWorker, ToWorker } from './messages.ts';

export class WorkerChannel implements ReadyHandler {
  readonly tenant = 0;
  readonly #fd: number;
  readonly #reactor: Reactor;
  readonly #onMessage: (message: ToWorker) => void;
  readonly #onEnd: (reason: string) => void;
  readonly #decoder = new FrameDecoder(limits.ipcFrameBytesMax);
  readonly #buffer: PinnedBuffer = allocatePinned(limits.readBufferBytes);
  readonly #queue: Buffer[] = [];
  #sentOfFirst = 0;
  #queuedBytes = 0;

  constructor(fd: number, reactor: Reactor, onMessage: (message: ToWorker) => void, onEnd: (reason: string) => void) {
    this.#fd = fd;
    this.#reactor = reactor;
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    setNonBlocking(fd);
    reactor.add(fd, READABLE, this);
  }

  send(message: FromWorker): void {
    const frame = encodeFrame(JSON.stringify(message));
    if (this.#queuedBytes + frame.length > limits.ipcFrameBytesMax) {
      this.#onEnd(`the supervisor has not read ${this.#queuedBytes} octets of messages`);
      return;
    }
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.#flush();
  }

  onReady(events: number): number {
    if ((events & WRITABLE) !== 0) this.#flush();
    for (;;) {
      const got = receive(this.#fd, this.#buffer, 0, this.#buffer.length);
      if (got === -EAGAIN || got === -EINTR) return 0;
      if (got <= 0) {
        this.#onEnd('the supervisor has gone');
        return 0;
      }
      const chunk = Buffer.from(this.#buffer.bytes.subarray(0, got));
      const error = this.#decoder.push(chunk, (payload) => {
        this.#onMessage(JSON.parse(payload.toString('utf8')) as ToWorker);
      });
      if (error !== null) {
        this.#onEnd(`the supervisor's messages cannot be read: ${error}`);
        return 0;
      }
      if (got < this.#buffer.length) return 0;
    }
  }

  #flush(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const sent = sendBuffer(this.#fd, first, this.#sentOfFirst, first.length - this.#sentOfFirst);
      if (sent < 0) break; // full: WRITABLE goes on; broken: the next read says so
      this.#queuedBytes -= sent;
      this.#sentOfFirst += sent;
      if (this.#sentOfFirst < first.length) continue;
      this.#queue.shift();
      this.#sentOfFirst = 0;
    }
    this.#reactor.change(this.#fd, this.#queue.length > 0 ? READABLE | WRITABLE : READABLE);
  }
}
