/**
 * names.json in the state folder: the last good answers of DNS, so that an agent that starts while DNS is away goes on where the one
 * before it was. What is in the file is not trusted: an answer that is none is left out. Two agents that follow each other may both
 * write it; each writes all that it knows, whole.
 */
import { readFileSync, statSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { limits } from '../limits.ts';
import { type Log, messageOf } from './log.ts';
import type { KeptAnswer } from './name-schedule.ts';

const FORMAT = 1;

type Fields = Readonly<Record<string, unknown>>;

export class NameStore {
  readonly path: string;
  readonly #log: Pick<Log, 'warn'>;
  /** What is to be written; null: nothing. */
  #next: { readonly answers: readonly KeptAnswer[]; readonly atMs: number } | null = null;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();
  #last = '';

  constructor(folder: string, log: Pick<Log, 'warn'>) {
    this.path = join(folder, 'names.json');
    this.#log = log;
  }

  /** What is there; a file that is not usable is as none, and the log says why. */
  load(): readonly KeptAnswer[] {
    const file = statSync(this.path, { throwIfNoEntry: false });
    if (file === undefined) return [];
    try {
      if (file.size > limits.nameStoreBytesMax) throw new Error(`has ${file.size} octets`);
      return parseAnswers(readFileSync(this.path, 'utf8'), Date.now());
    } catch (error) {
      this.#log.warn({ path: this.path, error: messageOf(error) }, 'stored answers of DNS are not usable');
      return [];
    }
  }

  /** Is on disk a moment later; what comes meanwhile is written with it. */
  save(answers: readonly KeptAnswer[]): void {
    this.#next = { answers, atMs: Date.now() };
    this.#timer ??= setTimeout(() => void this.#write(), limits.snapshotDelayMs);
  }

  /** Resolves when everything is on disk, or could not be written. */
  async close(): Promise<void> {
    await this.#write();
  }

  #write(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#writing = this.#writing.then(() => this.#writeNext());
    return this.#writing;
  }

  async #writeNext(): Promise<void> {
    const next = this.#next;
    this.#next = null;
    if (next === null) return;
    const answers = next.answers.map(({ name, family, addresses, ageMs }) => ({
      name,
      family,
      addresses,
      answeredAt: Math.round(next.atMs - ageMs),
    }));
    const temporary = `${this.path}.${process.pid}.new`;
    try {
      await writeFile(temporary, `${JSON.stringify({ format: FORMAT, answers })}\n`, { mode: 0o600 });
      await rename(temporary, this.path);
      this.#last = '';
    } catch (error) {
      const reason = messageOf(error);
      if (reason !== this.#last) this.#log.warn({ path: this.path, error: reason }, 'answers of DNS cannot be stored');
      this.#last = reason;
    }
  }
}

/** Throws when the text is none of ours; answers that are malformed are left out. */
function parseAnswers(text: string, nowMs: number): readonly KeptAnswer[] {
  const value = JSON.parse(text) as unknown;
  if (!isFields(value) || value['format'] !== FORMAT || !Array.isArray(value['answers'])) {
    throw new Error(`is not of format ${FORMAT}`);
  }
  return value['answers'].flatMap((entry: unknown): KeptAnswer[] => {
    if (!isFields(entry)) return [];
    const { name, family, addresses, answeredAt } = entry;
    if (typeof name !== 'string' || (family !== 4 && family !== 6) || typeof answeredAt !== 'number') return [];
    if (!Array.isArray(addresses) || !addresses.every((ip) => typeof ip === 'string')) return [];
    // A clock that was put back does not make an answer younger than it can be.
    return [{ name, family, addresses, ageMs: Math.max(0, nowMs - answeredAt) }];
  });
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
