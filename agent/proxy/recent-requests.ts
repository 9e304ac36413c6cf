/**
 * The last requests of a worker that were logged or refused, for `weir explain`: what there is of each when its record is made anyway.
 * Bounded in number and in size; secrets are left out.
 */
import type { RequestTrace } from '../ipc/messages.ts';
import { limits } from '../limits.ts';

export class RecentRequests {
  readonly #prefix: string;
  /** A ring: the next record goes where the oldest is. */
  readonly #records: RequestTrace[] = [];
  #next = 0;
  #count: number;

  /** @param nowMs wall clock: ids of a worker that was started anew go on from there, so no two requests have the same */
  constructor(worker: number, nowMs: number) {
    this.#prefix = `w${worker}-`;
    this.#count = Math.floor(nowMs / 1000) * ID_PER_SECOND;
  }

  /** A new id: `w0-k3j2h1g0`. */
  id(): string {
    return this.#prefix + (this.#count++).toString(36);
  }

  add(record: RequestTrace): void {
    const { method, host, path, query } = record;
    this.#records[this.#next] = {
      ...record,
      method: keptText(method, limits.recentHeaderBytesMax),
      host: keptText(host, limits.recentHeaderBytesMax),
      path: keptText(path, limits.recentPathBytesMax),
      query: query === null ? null : keptText(query, limits.recentPathBytesMax),
    };
    this.#next = (this.#next + 1) % limits.recentRequestsMax;
  }

  /** Newest first; with an id that one, if it is still there. */
  list(id: string | null, most: number): RequestTrace[] {
    const { length } = this.#records;
    const found: RequestTrace[] = [];
    for (let back = 1; back <= length && found.length < most; back++) {
      const record = this.#records[(this.#next - back + length) % length] as RequestTrace;
      if (id === null || record.id === id) found.push(record);
    }
    return found;
  }
}

const ID_PER_SECOND = 1_024;

/** Fields whose values are credentials. */
const SECRET: ReadonlySet<string> = new Set(['authorization', 'proxy-authorization', 'cookie']);

/** A field as it may be kept: name in lower case, both cut, credentials left out. */
export function keptField(name: string, value: string): [string, string] {
  const lower = keptText(name.toLowerCase(), limits.recentHeaderBytesMax);
  return [lower, SECRET.has(lower) ? '(not kept)' : keptText(value, limits.recentHeaderBytesMax)];
}

/** The first octets of a text, as a text of its own: a part of a string keeps the whole of it alive. */
function keptText(text: string, octetsMax: number): string {
  return Buffer.from(text.slice(0, octetsMax), 'latin1').toString('latin1');
}
