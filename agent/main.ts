/** `weir agent`: runs one node's agent until it is told to stop. */
import { AgentLog, messageOf } from './supervisor/log.ts';
import type { AgentOptions } from './supervisor/options.ts';
import { Supervisor } from './supervisor/supervisor.ts';

/**
 * Starts the agent and resolves after SIGTERM or SIGINT, or when another agent has taken over, and its workers are drained; the caller
 * then exits 0. Rejects when it cannot start (the message says what to do). A second signal ends it at once.
 */
export async function runAgent(options: AgentOptions): Promise<void> {
  const log = new AgentLog(options.logLevel, options.node);
  exitOnBugs(log);
  const supervisor = new Supervisor(options, log);
  const stopped = stopOnSignal(supervisor, log);
  await supervisor.start();
  await Promise.race([stopped, ended(supervisor, options, log)]);
}

/** Resolves when the agent was replaced, unless it is to wait for the signal then. */
async function ended(supervisor: Supervisor, options: AgentOptions, log: AgentLog): Promise<void> {
  await supervisor.superseded;
  if (options.whenSuperseded === 'exit') return;
  log.info({}, 'drained; waiting to be ended');
  // Nothing else keeps the event loop alive, and Node would take that for the end.
  setInterval(() => undefined, 3_600_000);
  await new Promise<never>(() => undefined);
}

/** The workers see EOF and exit with the process; pods then refuse connections until the DaemonSet has restarted it. */
function exitOnBugs(log: AgentLog): void {
  const onBug = (kind: string, error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.error({ error: messageOf(error), stack }, `agent exits: ${kind}`);
    process.exit(1);
  };
  process.on('uncaughtException', (error) => onBug('uncaught exception', error));
  process.on('unhandledRejection', (error) => onBug('unhandled rejection', error));
}

function stopOnSignal(supervisor: Supervisor, log: AgentLog): Promise<void> {
  return new Promise((resolve, reject) => {
    let stopping = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (stopping) {
        log.warn({ signal }, 'second signal: agent exits without waiting for connections');
        process.exit(1);
      }
      stopping = true;
      supervisor.stop().then(resolve, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
