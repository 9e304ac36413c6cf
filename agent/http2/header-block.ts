/** A header block that arrives in HEADERS and CONTINUATION, put together: at most limits.http2HeaderBlockBytesMax octets. */
import { limits } from '../limits.ts';

export class HeaderBlock {
  /** The stream whose block is unfinished; 0: none. */
  streamId = 0;
  /** Of the block that was taken last. */
  lastStreamId = 0;
  endStream = false;
  selfDependent = false;
  #octets: Buffer = Buffer.alloc(0);
  #length = 0;
  #frames = 0;

  begin(streamId: number, endStream: boolean, selfDependent: boolean, bytes: Buffer, start: number, end: number): void {
    this.streamId = streamId;
    this.endStream = endStream;
    this.selfDependent = selfDependent;
    this.#length = 0;
    this.#frames = 0;
    this.#put(bytes, start, end);
  }

  /** False: too large, or in too many frames (CVE-2024-24549 and its kin). */
  append(bytes: Buffer, start: number, end: number): boolean {
    this.#frames++;
    if (this.#length + end - start > limits.http2HeaderBlockBytesMax) return false;
    if (this.#frames > limits.http2ContinuationsMax) return false;
    this.#put(bytes, start, end);
    return true;
  }

  /** The whole block; another may begin. Valid until then. */
  take(): Buffer {
    this.lastStreamId = this.streamId;
    this.streamId = 0;
    const octets = this.#octets.subarray(0, this.#length);
    this.#octets = Buffer.alloc(0); // rare and large: not kept
    return octets;
  }

  #put(bytes: Buffer, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#octets.length) {
      const larger = Buffer.allocUnsafeSlow(
        Math.min(Math.max(needed, this.#octets.length * 2), limits.http2HeaderBlockBytesMax),
      );
      this.#octets.copy(larger, 0, 0, this.#length);
      this.#octets = larger;
    }
    bytes.copy(this.#octets, this.#length, start, end);
    this.#length = needed;
  }
}
