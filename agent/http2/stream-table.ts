/** The streams of a connection: those that are open, the numbers that were used, and those that ended last (RFC 9113 section 5.1.1). */
import { STREAM_ID_MAX } from './frame.ts';
import { RecentStreams } from './recent-streams.ts';
import type { Http2Stream } from './stream.ts';

export class StreamTable {
  readonly recent = new RecentStreams();
  /** Highest number the peer has used. */
  lastOfPeer = 0;
  readonly #server: boolean;
  readonly #open = new Map<number, Http2Stream>();
  #nextOwn = 1;

  constructor(server: boolean) {
    this.#server = server;
  }

  get(id: number): Http2Stream | undefined {
    return this.#open.get(id);
  }

  /** May be removed from while it is gone through. */
  values(): Iterable<Http2Stream> {
    return this.#open.values();
  }

  add(stream: Http2Stream): void {
    this.#open.set(stream.id, stream);
  }

  /** `reset`: by us, so that what is still under way for it is no error. */
  remove(stream: Http2Stream, reset: boolean): void {
    this.#open.delete(stream.id);
    this.recent.add(stream.id, reset);
  }

  /** Client: numbers are left. */
  get hasNumbers(): boolean {
    return this.#nextOwn < STREAM_ID_MAX;
  }

  /** Client: the number of the next stream. */
  takeNumber(): number {
    const id = this.#nextOwn;
    this.#nextOwn += 2;
    return id;
  }

  /** Nobody has used the number yet, or nobody may. */
  isIdle(id: number): boolean {
    return (id & 1) === 0 || (this.#server ? id > this.lastOfPeer : id >= this.#nextOwn);
  }
}
