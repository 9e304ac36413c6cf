/** The controller's log: JSON lines on stderr (pino). */
import { destination, pino } from 'pino';
import type { ControllerOptions } from './options.ts';

/** What the controller's parts may log with. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Writes at once, so that the last lines before an exit are not lost; the controller logs little. */
export function createLogger(level: ControllerOptions['logLevel']): Logger {
  return pino({ name: 'weir-controller', level }, destination({ fd: 2, sync: true }));
}
