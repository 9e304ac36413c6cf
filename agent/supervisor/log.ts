/** The supervisor's log: JSON lines on stderr, level changeable at run time, the last errors kept for `weir status`. */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { LogLevel } from '../ipc/messages.ts';
import { limits } from '../limits.ts';

export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export interface RecentError {
  /** ISO 8601. */
  readonly time: string;
  readonly message: string;
}

/** An error's message, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class AgentLog implements Log {
  readonly #pino: Logger;
  readonly #recent: RecentError[] = [];

  /** @param stream where lines go; stderr, synchronously, when left out: the last line before an exit must not be lost. */
  constructor(level: LogLevel, node: string, stream: DestinationStream = destination({ fd: 2, sync: true })) {
    this.#pino = pino(
      {
        level,
        base: { node },
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        messageKey: 'message',
      },
      stream,
    );
  }

  get level(): LogLevel {
    return this.#pino.level as LogLevel;
  }

  set level(level: LogLevel) {
    this.#pino.level = level;
  }

  /** Oldest first, at most limits.recentErrorsMax. */
  get recentErrors(): readonly RecentError[] {
    return this.#recent;
  }

  debug(fields: LogFields, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    const cause = typeof fields['error'] === 'string' ? `: ${fields['error']}` : '';
    this.#recent.push({ time: new Date().toISOString(), message: `${message}${cause}` });
    if (this.#recent.length > limits.recentErrorsMax) this.#recent.shift();
    this.#pino.error(fields, message);
  }
}
