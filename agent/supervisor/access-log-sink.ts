/**
 * Access-log lines on their way from the workers to the agent's stdout (or a file): whole lines, bounded, never waited for.
 *
 * Workers send whole lines, a socket cuts them anywhere. Chunks pass through as they are up to their last newline; only what
 * follows it is copied. A slow reader costs lines, which are counted, and never delays a worker or the supervisor.
 */
import type { Writable } from 'node:stream';
import { limits } from '../limits.ts';

const NEWLINE = 0x0a;

export interface AccessLogCounters {
  readonly lines: number;
  /** The reader of the access log was too slow, or is gone. */
  readonly dropped: number;
  /** A line was longer than limits.accessLogLineBytesMax. */
  readonly tooLong: number;
}

interface Source {
  rest: Buffer;
  /** Throwing away the end of a line that was too long. */
  skipping: boolean;
}

export class AccessLogSink {
  readonly #output: Writable;
  readonly #sources = new Map<number, Source>();
  readonly #tail: Buffer[] = [];
  #tailBytes = 0;
  #lines = 0;
  #dropped = 0;
  #tooLong = 0;
  #broken = false;

  /** @param output not closed by this class; an error on it (EPIPE) ends the output, and lines are counted as dropped. */
  constructor(output: Writable) {
    this.#output = output;
    output.on('error', () => {
      this.#broken = true;
    });
  }

  get counters(): AccessLogCounters {
    return { lines: this.#lines, dropped: this.#dropped, tooLong: this.#tooLong };
  }

  /** @param source the worker's generation: each has its own unfinished line. */
  push(source: number, chunk: Buffer): void {
    const state = this.#sources.get(source) ?? { rest: Buffer.alloc(0), skipping: false };
    this.#sources.set(source, state);
    let bytes = chunk;
    if (state.skipping) {
      const newline = bytes.indexOf(NEWLINE);
      if (newline === -1) return;
      state.skipping = false;
      bytes = bytes.subarray(newline + 1);
    }
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) {
      const whole = bytes.subarray(0, end);
      this.#emit(state.rest.length > 0 ? Buffer.concat([state.rest, whole]) : whole);
      state.rest = Buffer.alloc(0);
    }
    if (end === bytes.length) return;
    if (state.rest.length + bytes.length - end > limits.accessLogLineBytesMax) {
      state.rest = Buffer.alloc(0);
      state.skipping = true;
      this.#tooLong += 1;
      return;
    }
    // A copy: the chunk's memory belongs to the stream's pool.
    state.rest = Buffer.concat([state.rest, bytes.subarray(end)]);
  }

  /** The worker is gone; its unfinished line with it. */
  forget(source: number): void {
    this.#sources.delete(source);
  }

  /** The newest lines, oldest first; at most `count`, and what fits into limits.accessLogTailBytesMax. */
  tail(count: number): string[] {
    const text = Buffer.concat(this.#tail, this.#tailBytes).toString('utf8');
    const lines = text.split('\n');
    lines.pop();
    const wanted = Math.min(count, limits.accessLogTailLinesMax);
    return wanted <= 0 ? [] : lines.slice(-wanted);
  }

  #emit(lines: Buffer): void {
    const count = countLines(lines);
    this.#lines += count;
    this.#remember(lines);
    if (this.#broken || this.#output.writableLength + lines.length > limits.accessLogOutputBytesMax)
      this.#dropped += count;
    else this.#output.write(lines);
  }

  #remember(lines: Buffer): void {
    this.#tail.push(lines);
    this.#tailBytes += lines.length;
    while (this.#tailBytes > limits.accessLogTailBytesMax && this.#tail.length > 1) {
      this.#tailBytes -= this.#tail.shift()?.length ?? 0;
    }
  }
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  return lines;
}
