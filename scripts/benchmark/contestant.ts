/** A proxy under test, running and reachable, whichever it is. */
import type { ContestantName } from './items.ts';

/**
 * A way through a proxy: to the HTTP server, to the same as plain TCP, to the HTTP/2 servers, or to the server that is attacked
 * (a server of its own, so that what suffers beside it can only be the proxy).
 */
export type Entry = 'http' | 'tcp' | 'http2' | 'grpc' | 'attacked';

export interface Contestant {
  readonly name: ContestantName;
  /** Processes that carry the bytes. */
  readonly dataPlanePids: readonly number[];
  /** Processes beside the path; weir's supervisor. Reported apart. */
  readonly controlPids: readonly number[];
  /** Base URL that reaches a backend through this proxy, from where loadCommand() runs. */
  url(entry: Entry): string;
  /** Puts the load generator where the client is; `quiet` is the pod that has the attacker for a neighbour. */
  loadCommand(command: readonly string[], from?: 'client' | 'quiet'): readonly string[];
  /**
   * Requests of the client that the proxy itself has counted since it started; null: this proxy is not asked. It shows that
   * weir took the octets for requests and did not just relay them.
   */
  requestsSeen(): Promise<number | null>;
}
