/** Switches tcp_migrate_req on in pods' namespaces (capture/pod-settings.ts), and says once when that cannot be done. */
import { switchSetting } from '../capture/pod-settings.ts';
import { NetworkNamespace } from '../engine/netns.ts';
import { type Log, messageOf } from './log.ts';

export class QueueMigration {
  readonly #log: Log;
  #said = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Never throws: a pod without it is captured all the same. @param pod its name, for the log. */
  enable(pod: string, netnsPath: string): void {
    const error = attempt(netnsPath);
    if (error === null || this.#said) return;
    this.#said = true;
    const message = 'net.ipv4.tcp_migrate_req cannot be set: replacing the agent may reset connections that wait';
    this.#log.warn({ error, pod }, message);
  }
}

/** Null, or what is wrong. */
function attempt(netnsPath: string): string | null {
  try {
    const netns = NetworkNamespace.open(netnsPath);
    try {
      return switchSetting(netns, 'ipv4/tcp_migrate_req');
    } finally {
      netns.close();
    }
  } catch (error) {
    return messageOf(error);
  }
}
