/**
 * What the kernel did not take of a write, in order, until the socket is writable again.
 *
 *   write ──► send(2) ──► all taken: nothing is copied, nothing is queued (the common case)
 *                   └──► rest copied here; the caller stops reading its source (backpressure) until flush() says drained
 *
 * Bound: a source is not read while its peer's outbox holds anything, so a queue never holds more than one read (limits.readBufferBytes)
 * and a rewritten head (limits.scratchBytes).
 */
import { EAGAIN, EINTR } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { send, sendBuffer } from '../engine/socket.ts';

export class Outbox {
  queuedBytes = 0;
  #chunks: Buffer[] = [];
  /** Octets of the first chunk already sent. */
  #sentOfFirst = 0;

  /** Sends or queues all of the range. 0, or −errno when the connection is broken. Hot. */
  write(fd: number, from: PinnedBuffer, offset: number, length: number): number {
    if (length === 0) return 0;
    let sent = 0;
    if (this.queuedBytes === 0) {
      sent = send(fd, from, offset, length);
      if (sent === length) return 0;
      if (sent < 0) {
        if (sent !== -EAGAIN && sent !== -EINTR) return sent;
        sent = 0;
      }
    }
    this.#queue(from, offset + sent, length - sent);
    return 0;
  }

  /** Queues without trying to send: for a socket that is not connected yet. */
  hold(from: PinnedBuffer, offset: number, length: number): void {
    if (length > 0) this.#queue(from, offset, length);
  }

  /** As hold(), of octets that are kept: not copied, never changed afterwards. */
  holdKept(octets: Buffer): void {
    if (octets.length === 0) return;
    this.#chunks.push(octets);
    this.queuedBytes += octets.length;
  }

  #queue(from: PinnedBuffer, offset: number, length: number): void {
    const copy = Buffer.allocUnsafeSlow(length);
    from.bytes.copy(copy, 0, offset, offset + length);
    this.#chunks.push(copy);
    this.queuedBytes += length;
  }

  /** Sends what is queued: 0 when drained, 1 when some is left, −errno when the connection is broken. */
  flush(fd: number): number {
    while (this.queuedBytes > 0) {
      const first = this.#chunks[0] as Buffer;
      const sent = sendBuffer(fd, first, this.#sentOfFirst, first.length - this.#sentOfFirst);
      if (sent === -EAGAIN || sent === -EINTR) return 1;
      if (sent < 0) return sent;
      this.queuedBytes -= sent;
      this.#sentOfFirst += sent;
      if (this.#sentOfFirst === first.length) {
        this.#chunks.shift();
        this.#sentOfFirst = 0;
      }
    }
    return 0;
  }

  /** Everything that is queued, in one buffer; the queue is empty afterwards. For handing the socket to somebody else. */
  takeAll(): Buffer {
    const [first, ...others] = this.#chunks;
    const all = first === undefined ? Buffer.alloc(0) : Buffer.concat([first.subarray(this.#sentOfFirst), ...others]);
    this.clear();
    return all;
  }

  clear(): void {
    this.#chunks = [];
    this.#sentOfFirst = 0;
    this.queuedBytes = 0;
  }
}
