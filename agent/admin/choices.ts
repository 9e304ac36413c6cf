/** The values a user may choose at run time; the same for flags, commands and the API. */
import type { AccessLogMode, LogLevel } from '../ipc/messages.ts';

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** `errors`: requests weir refused or could not serve; `all`: every request and connection. */
export const ACCESS_LOG_MODES: readonly AccessLogMode[] = ['off', 'errors', 'all'];
