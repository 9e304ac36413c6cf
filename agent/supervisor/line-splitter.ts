/** Cuts a byte stream into lines, with a bound on what it remembers of an unfinished one. Pure. */

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #lineBytesMax: number;
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** True while the tail of a line that was already cut is being thrown away. */
  #skipping = false;

  constructor(lineBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** Calls `onLine` for each finished line, without its newline; a longer one is cut at the bound. */
  push(chunk: Buffer, onLine: (line: string) => void): void {
    let from = 0;
    for (;;) {
      const newline = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, newline === -1 ? chunk.length : newline);
      this.#keep(piece, onLine);
      if (newline === -1) return;
      if (!this.#skipping && this.#restBytes > 0) this.#emit(onLine);
      this.#skipping = false;
      from = newline + 1;
    }
  }

  /** What was left without a newline when the stream ended. */
  end(onLine: (line: string) => void): void {
    if (this.#restBytes > 0) this.#emit(onLine);
  }

  #keep(piece: Buffer, onLine: (line: string) => void): void {
    if (this.#skipping || piece.length === 0) return;
    const room = this.#lineBytesMax - this.#restBytes;
    const kept = piece.length > room ? piece.subarray(0, room) : piece;
    this.#rest.push(kept);
    this.#restBytes += kept.length;
    if (kept.length < piece.length) {
      this.#emit(onLine);
      this.#skipping = true;
    }
  }

  #emit(onLine: (line: string) => void): void {
    const line = Buffer.concat(this.#rest, this.#restBytes).toString('utf8');
    this.#rest = [];
    this.#restBytes = 0;
    onLine(line);
  }
}
