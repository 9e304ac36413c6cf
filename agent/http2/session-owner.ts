import type { LimitName } from '../limits.ts';
import type { HeaderList } from './header-list.ts';
import type { Http2Stream } from './stream.ts';

/** Who owns the connection: a client's connection to us, or ours to an endpoint. */
export interface SessionOwner {
  /** Server: a request. Sets stream.handler, or answers at once. */
  onRequest(stream: Http2Stream, list: HeaderList, endStream: boolean): void;
  /** Server: a request whose fields exceed the bounds; it has to be answered (431). `contentType` as far as it was seen, else ''. */
  onTooLarge(stream: Http2Stream, contentType: string): void;
  /** A stream has ended, in whatever way. */
  onStreamClosed(): void;
  /** The peer takes no more streams. */
  onGoAway(): void;
  onBound(name: LimitName): void;
}
