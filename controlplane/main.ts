/** `weir controller`: one controller per process, until SIGTERM or SIGINT. */
import { startController } from './controller.ts';
import { createLogger } from './log.ts';
import type { ControllerOptions } from './options.ts';

export type { ControllerOptions } from './options.ts';

/**
 * Runs a controller until the process is told to stop; resolves after a graceful end. Rejects when it cannot start (an
 * address in use, a TLS file that cannot be read). A second signal ends the process at once.
 */
export async function runController(options: ControllerOptions): Promise<void> {
  // Sockets and folders the controller makes are its owner's alone.
  process.umask(0o077);
  const log = createLogger(options.logLevel);
  const controller = await startController(options, log);
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  log.info({ signal }, 'controller is stopping');
  await controller.close();
}
