/** A worker's own log lines: sent to the supervisor, which writes them with worker and pod fields. */
import type { FromWorker, LogLevel } from '../ipc/messages.ts';

const ORDER: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export class WorkerLog {
  level: LogLevel = 'info';
  readonly #send: (message: FromWorker) => void;

  constructor(send: (message: FromWorker) => void) {
    this.#send = send;
  }

  write(level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>): void {
    if (ORDER[level] >= ORDER[this.level]) this.#send({ type: 'log', level, message, fields });
  }
}
