/**
 * One direction of a relay through splice(2): octets go from socket to socket inside the kernel.
 *
 *   source socket ──splice──► pipe ──splice──► target socket
 *
 * Invariant: the pipe is filled only when it is empty. So a source that would block and a full pipe cannot be mistaken for each other
 * (splice answers EAGAIN to both), and at any time exactly one side is waited for: `wantsRead` (pipe empty) or `wantsWrite` (the target is
 * full). A pump holds a pipe only while octets are in it: an idle connection costs no descriptors beyond its sockets.
 * Memory bound: splicePipeBytes per pump whose target is full, splicePipesMax of those per worker; beyond that octets are peeked, sent and
 * discarded, which copies them but keeps nothing in user space.
 *
 * A pipe that still contains octets is closed, never pooled: another connection would receive them.
 * Node ignores SIGPIPE, on which splice to a closed socket relies.
 */
import { limits } from '../limits.ts';
import { EAGAIN } from './errno.ts';
import { readErrno } from './ffi.ts';
import { pipeEnds } from './layout.ts';
import * as libc from './libc.ts';
import { allocatePinned } from './memory.ts';
import { discard, peek, send, shutdownWrite } from './socket.ts';

const FLAGS = libc.SPLICE_F_MOVE | libc.SPLICE_F_NONBLOCK;

interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** State of the worker's pipes; `copies` counts pump() calls that found the bound reached and copied instead. */
export const splicePipes = { inUse: 0, idle: 0, created: 0, discarded: 0, copies: 0 };

const idlePipes: Pipe[] = [];
const ends = allocatePinned(pipeEnds.size);
/** For the copying fallback only; shared, holds nothing between calls. */
const copyBuffer = allocatePinned(limits.readBufferBytes);

/** An empty pipe, or null: bound reached or no descriptors left. */
function takePipe(): Pipe | null {
  const pooled = idlePipes.pop();
  if (pooled !== undefined) {
    splicePipes.idle--;
    splicePipes.inUse++;
    return pooled;
  }
  if (splicePipes.inUse >= limits.splicePipesMax) return null;
  if (libc.pipe2(ends.address, libc.O_NONBLOCK | libc.O_CLOEXEC) < 0) return null;
  const pipe = {
    readFd: ends.bytes.readInt32LE(pipeEnds.readOffset),
    writeFd: ends.bytes.readInt32LE(pipeEnds.writeOffset),
  };
  // May be refused (pipe(7), pipe-user-pages-soft): a smaller pipe works too.
  libc.fcntl(pipe.writeFd, libc.F_SETPIPE_SZ, limits.splicePipeBytes);
  splicePipes.created++;
  splicePipes.inUse++;
  return pipe;
}

function returnPipe(pipe: Pipe, isEmpty: boolean): void {
  splicePipes.inUse--;
  if (isEmpty && idlePipes.length < limits.splicePipesIdleMax) {
    idlePipes.push(pipe);
    splicePipes.idle++;
    return;
  }
  discardPipe(pipe);
}

function discardPipe(pipe: Pipe): void {
  libc.close(pipe.readFd);
  libc.close(pipe.writeFd);
  splicePipes.discarded++;
}

/** Closes the pooled pipes, for a worker that drains or is short of descriptors. */
export function closeIdlePipes(): void {
  for (let pipe = idlePipes.pop(); pipe !== undefined; pipe = idlePipes.pop()) {
    splicePipes.idle--;
    discardPipe(pipe);
  }
}

/** Moves octets from one connected socket to another until the source ends. Owns neither socket. */
export class SplicePump {
  /** Octets delivered to the target's socket so far. */
  moved = 0;
  /** The source has sent FIN and everything before it has been taken. */
  sourceEnded = false;
  /** The source has ended, everything is delivered and FIN is passed on (or left to the caller's close). */
  drained = false;
  /** False: the caller closes the target as soon as this direction is drained, which sends the FIN. */
  passesEnd = true;
  /** 0, or the errno (positive) that ended this direction; the caller resets both sides. */
  error = 0;
  /** With an error: whether it was the target's (else the source's). */
  targetFailed = false;

  private readonly sourceFd: number;
  private readonly targetFd: number;
  private pipe: Pipe | null = null;
  private inPipe = 0;
  private mayHold = true;
  /** The copying fallback found the target full. */
  private targetFull = false;

  constructor(sourceFd: number, targetFd: number) {
    this.sourceFd = sourceFd;
    this.targetFd = targetFd;
  }

  /** Ask for READABLE on the source: the pump can take more. */
  get wantsRead(): boolean {
    return this.inPipe === 0 && !this.targetFull && !this.sourceEnded && this.error === 0;
  }

  /** Ask for WRITABLE on the target: it is full, and until it drains the source is not read. */
  get wantsWrite(): boolean {
    return (this.inPipe > 0 || this.targetFull) && this.error === 0;
  }

  /** Octets in the pipe: taken from the source, not yet by the target. */
  get held(): number {
    return this.inPipe;
  }

  /**
   * Moves up to about `budget` octets without waiting: how many the target took. Look at the fields afterwards.
   * Without `mayHold` no pipe is taken: what the target does not take stays in the source, at the price of a copy.
   */
  pump(budget: number, mayHold = true): number {
    const before = this.moved;
    this.mayHold = mayHold;
    if (this.error !== 0 || this.drained) return 0;
    this.targetFull = false;
    this.drain();
    let left = budget - (this.moved - before);
    while (this.wantsRead && left > 0) {
      const taken = this.fill(left < limits.splicePipeBytes ? left : limits.splicePipeBytes);
      if (taken <= 0) break;
      this.drain();
      left -= taken;
      // A short take means that the source is nearly empty. Level-triggered: it reports what comes next.
      if (taken < limits.splicePipeBytes >> 3) break;
    }
    if (this.pipe !== null && this.inPipe === 0) this.releasePipe();
    if (this.sourceEnded && this.inPipe === 0 && this.error === 0 && !this.drained) {
      // ENOTCONN: the target was reset meanwhile; nobody is left to be told.
      if (this.passesEnd) shutdownWrite(this.targetFd);
      this.drained = true;
    }
    return this.moved - before;
  }

  /** Gives the pipe back. The sockets stay open. Idempotent. */
  close(): void {
    if (this.pipe !== null) this.releasePipe();
  }

  /** Source → empty pipe: octets taken; 0: end, error or nothing there. */
  private fill(length: number): number {
    if (this.mayHold) this.pipe ??= takePipe();
    if (this.pipe === null) return this.copy(length);
    const count = libc.splice(this.sourceFd, 0, this.pipe.writeFd, 0, length, FLAGS);
    if (count > 0) this.inPipe = count;
    else this.noteSource(count);
    return count > 0 ? count : 0;
  }

  /** Pipe → target until it is empty or the target is full. */
  private drain(): void {
    while (this.inPipe > 0 && this.pipe !== null) {
      const count = libc.splice(this.pipe.readFd, 0, this.targetFd, 0, this.inPipe, FLAGS);
      if (count <= 0) {
        if (count < 0) this.noteTarget(-readErrno());
        return;
      }
      this.inPipe -= count;
      this.moved += count;
    }
  }

  /** No pipe to be had: source → user space → target, leaving in the source what the target does not take. */
  private copy(length: number): number {
    splicePipes.copies++;
    const seen = peek(this.sourceFd, copyBuffer, 0, length < copyBuffer.length ? length : copyBuffer.length);
    if (seen <= 0) {
      if (seen === 0) this.sourceEnded = true;
      else if (seen !== -EAGAIN) this.error = -seen;
      return 0;
    }
    const sent = send(this.targetFd, copyBuffer, 0, seen);
    if (sent < 0) {
      this.noteTarget(sent);
      return 0;
    }
    discard(this.sourceFd, sent); // cannot fail: peek has just shown these octets
    this.moved += sent;
    this.targetFull = sent < seen;
    return sent;
  }

  private noteSource(count: number): void {
    if (count === 0) {
      this.sourceEnded = true;
      return;
    }
    const errno = readErrno();
    if (errno !== EAGAIN) this.error = errno;
  }

  private noteTarget(result: number): void {
    if (result === -EAGAIN) {
      if (this.inPipe === 0) this.targetFull = true;
      return;
    }
    this.error = -result;
    this.targetFailed = true;
  }

  private releasePipe(): void {
    const pipe = this.pipe;
    this.pipe = null;
    if (pipe !== null) returnPipe(pipe, this.inPipe === 0);
    this.inPipe = 0;
  }
}
