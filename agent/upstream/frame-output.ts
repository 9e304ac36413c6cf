/**
 * Where the frames of one connection are collected until the worker's turn ends: then one write(2) carries them all,
 * whichever streams and events they came from.
 *
 *   reserve() ─► pinned buffer (from a pool, only while there is something in it) ─ full, or end of turn ─► send(2)
 *                                                                          what the kernel does not take ─► Outbox
 */
import { EPIPE } from '../engine/errno.ts';
import { allocatePinned, type PinnedBuffer } from '../engine/memory.ts';
import type { FrameSink } from '../http2/frame-writer.ts';
import { limits } from '../limits.ts';
import { Outbox } from './outbox.ts';
import type { PodUsage } from './usage.ts';

/** One per worker: the buffers, and who has something in one. */
export class FrameBuffers {
  readonly #free: PinnedBuffer[] = [];
  #dirty: FrameOutput[] = [];
  #flushing: FrameOutput[] = [];

  /** Sends what has been collected. The end of a turn, before waiting for events. */
  flush(): void {
    while (this.#dirty.length > 0) {
      const outputs = this.#dirty;
      this.#dirty = this.#flushing;
      this.#flushing = outputs;
      for (let i = 0; i < outputs.length; i++) (outputs[i] as FrameOutput).flush();
      outputs.length = 0;
    }
  }

  /** @internal */
  take(output: FrameOutput): PinnedBuffer {
    this.#dirty.push(output);
    return this.#free.pop() ?? allocatePinned(limits.frameBufferBytes);
  }

  /** @internal */
  give(buffer: PinnedBuffer): void {
    if (this.#free.length < limits.frameBuffersKept) this.#free.push(buffer);
  }
}

/** Told when the socket takes no more, or is broken. */
export interface OutputOwner {
  readonly fd: number;
  /** Octets wait: watch for WRITABLE. */
  onOutputBlocked(): void;
  /** Nothing more can be sent. */
  onOutputBroken(): void;
}

export class FrameOutput implements FrameSink {
  /** Octets handed to the kernel or waiting for it. */
  written = 0;
  /** False while the socket connects: a failed send would take the reason why it could not. */
  ready: boolean;
  /** The peer takes nothing any more; what it had said before may still be read. */
  broken = false;
  readonly #buffers: FrameBuffers;
  readonly #owner: OutputOwner;
  readonly #usage: PodUsage;
  readonly #outbox: Outbox;
  #buffer: PinnedBuffer | null = null;
  #used = 0;

  constructor(buffers: FrameBuffers, owner: OutputOwner, usage: PodUsage, ready: boolean) {
    this.#usage = usage;
    this.#outbox = new Outbox(usage);
    this.ready = ready;
    this.#buffers = buffers;
    this.#owner = owner;
  }

  get bytes(): Buffer {
    return (this.#buffer as PinnedBuffer).bytes;
  }

  get blocked(): boolean {
    return this.#outbox.queuedBytes > 0;
  }

  /** Octets that wait for the socket. */
  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  reserve(octets: number): number {
    let buffer = this.#buffer;
    if (buffer !== null && this.#used + octets > buffer.length) {
      this.#send(buffer);
      this.#used = 0;
    } else if (buffer === null) {
      buffer = this.#buffers.take(this);
      this.#buffer = buffer;
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += octets;
    return at;
  }

  hold(octets: number): boolean {
    return this.#usage.hold(octets);
  }

  release(octets: number): void {
    this.#usage.release(octets);
  }

  /** Forgets what waits: the connection is closed. */
  close(): void {
    this.flush();
    this.#outbox.clear();
    this.broken = true;
  }

  /** Sends what is collected and gives the buffer back. */
  flush(): void {
    const buffer = this.#buffer;
    if (buffer === null) return;
    this.#buffer = null;
    this.#send(buffer);
    this.#used = 0;
    this.#buffers.give(buffer);
  }

  /** The socket is writable again; true when everything is out. */
  drain(): boolean {
    if (this.#outbox.queuedBytes === 0) return true;
    const flushed = this.#outbox.flush(this.#owner.fd);
    if (flushed < 0) this.#break();
    return flushed <= 0;
  }

  #send(buffer: PinnedBuffer): void {
    if (this.#used === 0 || this.broken) return;
    this.written += this.#used;
    const fd = this.#owner.fd;
    if (!this.ready) {
      if (this.#outbox.hold(buffer, 0, this.#used) < 0) this.#break();
      return;
    }
    const result = fd < 0 ? -EPIPE : this.#outbox.write(fd, buffer, 0, this.#used);
    if (result < 0) this.#break();
    else if (this.#outbox.queuedBytes > 0) this.#owner.onOutputBlocked();
  }

  /**
   * A reset is reported as an event too, and what the peer said before it is read then. When no more may be queued, nothing of
   * what follows may be sent either: the owner ends the connection.
   */
  #break(): void {
    this.broken = true;
    this.#outbox.clear();
    this.#owner.onOutputBroken();
  }
}
