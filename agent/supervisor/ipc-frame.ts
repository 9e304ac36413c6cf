/**
 * Frames on a worker's IPC socket: u32 little-endian length, then that many bytes of UTF-8 JSON (agent/ipc/messages.ts).
 *
 * Pure: bytes in, payloads out. Nothing is copied until a frame is complete, and then once.
 */

export const FRAME_HEADER_BYTES = 4;

/** One frame around a JSON text. Encode once, send the same Buffer to every worker. */
export function encodeFrame(json: string): Buffer {
  const length = Buffer.byteLength(json);
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
  frame.writeUInt32LE(length, 0);
  frame.write(json, FRAME_HEADER_BYTES, 'utf8');
  return frame;
}

/** Puts frames back together however the stream was cut. After an error it stays in error: the stream has no resync point. */
export class FrameDecoder {
  readonly #frameBytesMax: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #error: string | null = null;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** Bytes waiting for the rest of their frame. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Calls `onPayload` for each frame that is complete now. Returns null, or why the stream cannot be understood. */
  push(chunk: Buffer, onPayload: (payload: Buffer) => void): string | null {
    if (this.#error !== null) return this.#error;
    if (chunk.length > 0) {
      this.#chunks.push(chunk);
      this.#buffered += chunk.length;
    }
    while (this.#buffered >= FRAME_HEADER_BYTES) {
      const length = this.#head(FRAME_HEADER_BYTES).readUInt32LE(0);
      if (length === 0 || length > this.#frameBytesMax) {
        this.#error = `frame of ${length} bytes; allowed are 1 to ${this.#frameBytesMax}`;
        this.#chunks = [];
        this.#buffered = 0;
        return this.#error;
      }
      if (this.#buffered < FRAME_HEADER_BYTES + length) return null;
      const frame = this.#head(FRAME_HEADER_BYTES + length);
      this.#consume(FRAME_HEADER_BYTES + length);
      onPayload(frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length));
    }
    return null;
  }

  /** The first `count` bytes in one piece; the caller knows that they are there. */
  #head(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first;
    // Only the header may straddle chunks cheaply; a whole frame is joined once, when its last byte is here.
    if (count === FRAME_HEADER_BYTES) {
      const header = Buffer.alloc(count);
      let filled = 0;
      for (const chunk of this.#chunks) {
        filled += chunk.copy(header, filled, 0, Math.min(chunk.length, count - filled));
        if (filled === count) break;
      }
      return header;
    }
    const joined = Buffer.concat(this.#chunks, this.#buffered);
    this.#chunks = [joined];
    return joined;
  }

  #consume(count: number): void {
    const first = this.#chunks[0];
    if (first === undefined) return;
    this.#buffered -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
  }
}
