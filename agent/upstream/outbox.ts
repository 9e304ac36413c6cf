/**
 * What the kernel did not take of a write, in order, until the socket is writable again.
 *
 *   write ──► send(2) ──► all taken: nothing is copied, nothing is queued (the common case)
 *                   └──► rest copied here; the caller stops reading its source (backpressure) until flush() says drained
 *
 * Bound: a source is not read while its peer's outbox holds anything, so a queue never holds more than one read (limits.readBufferBytes)
 * and a rewritten head (limits.scratchBytes). All queues of a pod together are bounded by its account: what does not fit is
 * not queued, and the connection must end (−ENOBUFS).
 */
import { EAGAIN, EINTR, ENOBUFS } from '../engine/errno.ts';
import type { PinnedBuffer } from '../engine/memory.ts';
import { send, sendBuffer } from '../engine/socket.ts';
import type { PodUsage } from './usage.ts';

export class Outbox {
  queuedBytes = 0;
  readonly #usage: PodUsage;
  #chunks: Buffer[] = [];
  /** Octets of the first chunk already sent. */
  #sentOfFirst = 0;

  /** @param usage the pod that pays for what is queued; clear() gives it back. */
  constructor(usage: PodUsage) {
    this.#usage = usage;
  }

  /**
   * Sends or queues all of the range. 0, or −errno when the connection is broken, −ENOBUFS when the rest may not be queued. Hot.
   * @param last the caller closes or shuts down at once when nothing is queued: see `more` of send().
   */
  write(fd: number, from: PinnedBuffer, offset: number, length: number, last = false): number {
    if (length === 0) return 0;
    let sent = 0;
    if (this.queuedBytes === 0) {
      sent = send(fd, from, offset, length, last);
      if (sent === length) return 0;
      if (sent < 0) {
        if (sent !== -EAGAIN && sent !== -EINTR) return sent;
        sent = 0;
      }
    }
    return this.#queue(from, offset + sent, length - sent);
  }

  /** Queues without trying to send, for a socket that is not connected yet: 0 or −ENOBUFS. */
  hold(from: PinnedBuffer, offset: number, length: number): number {
    return length > 0 ? this.#queue(from, offset, length) : 0;
  }

  /** As hold(), of octets that are kept: not copied, never changed afterwards. 0 or −ENOBUFS. */
  holdKept(octets: Buffer): number {
    if (!this.#usage.hold(octets.length)) return -ENOBUFS;
    this.#chunks.push(octets);
    this.queuedBytes += octets.length;
    return 0;
  }

  #queue(from: PinnedBuffer, offset: number, length: number): number {
    if (!this.#usage.hold(length)) return -ENOBUFS;
    const copy = Buffer.allocUnsafeSlow(length);
    from.bytes.copy(copy, 0, offset, offset + length);
    this.#chunks.push(copy);
    this.queuedBytes += length;
    return 0;
  }

  /** Sends what is queued: 0 when drained, 1 when some is left, −errno when the connection is broken. */
  flush(fd: number): number {
    while (this.queuedBytes > 0) {
      const first = this.#chunks[0] as Buffer;
      const sent = sendBuffer(fd, first, this.#sentOfFirst, first.length - this.#sentOfFirst);
      if (sent === -EAGAIN || sent === -EINTR) return 1;
      if (sent < 0) return sent;
      this.queuedBytes -= sent;
      this.#usage.release(sent);
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
    this.#usage.release(this.queuedBytes);
    this.queuedBytes = 0;
  }
}
