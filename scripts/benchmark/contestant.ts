/** A proxy under test, running and reachable, whichever it is. */
import type { ContestantName } from './items.ts';

export interface Contestant {
  readonly name: ContestantName;
  /** Processes that carry the bytes. */
  readonly dataPlanePids: readonly number[];
  /** Processes beside the path; weir's supervisor. Reported apart. */
  readonly controlPids: readonly number[];
  /** Base URL that reaches the backend through this proxy, from where loadCommand() runs. */
  url(layer: 'http' | 'tcp'): string;
  /** Puts the load generator where the client is. */
  loadCommand(command: readonly string[]): readonly string[];
}
