/** `weir agent`'s flags for what pods may use of each worker, and what they mean. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CliError, EXIT } from '../../cli/output.ts';
import { type Caps, DEFAULT_CAPS, type ResourceCaps } from '../ipc/caps.ts';
import { formatBytes } from './format.ts';

/** What commander makes of the flags; left out: the default. */
export interface CapFlags {
  readonly podConnectionsMax?: number;
  readonly podRequestsMax?: number;
  readonly podPendingMax?: number;
  readonly podBufferedMax?: number;
  readonly workerConnectionsMax?: number;
  readonly workerRequestsMax?: number;
  readonly workerPendingMax?: number;
  readonly workerBufferedMax?: number;
}

const COUNT_MAX = 1_000_000;
const UNITS: Readonly<Record<string, number>> = { '': 1, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };
/** Below it one relay's pipes (512 KiB) would already be too much for its pod. */
const POD_BUFFERED_MIN = 1024 ** 2;
const WORKER_BUFFERED_MIN = 16 * 1024 ** 2;

function parseCount(text: string): number {
  const count = Number(text);
  if (/^[0-9]+$/.test(text) && count >= 1 && count <= COUNT_MAX) return count;
  throw new InvalidArgumentError(`write a number from 1 to ${COUNT_MAX}`);
}

function sizeParser(least: number): (text: string) => number {
  return (text) => {
    const parts = /^([0-9]{1,12})(Ki|Mi|Gi)?$/.exec(text);
    const size = Number(parts?.[1]) * (UNITS[parts?.[2] ?? ''] ?? Number.NaN);
    if (parts !== null && size >= least && Number.isSafeInteger(size)) return size;
    throw new InvalidArgumentError(`write octets, as 67108864 or 64Mi, at least ${formatBytes(least)}`);
  };
}

const COUNTED = [
  ['connections', 'connections open at a time'],
  ['requests', 'HTTP/1.1 requests and HTTP/2 streams in flight'],
  ['pending', 'connections that wait for an endpoint to answer'],
] as const;

/** Adds the flags; their defaults and reasons are in agent/limits.ts. */
export function addCapFlags(command: Command): Command {
  for (const who of ['pod', 'worker'] as const) {
    const whose = who === 'pod' ? 'of a pod, per worker' : 'of all pods, per worker';
    const caps = DEFAULT_CAPS[who];
    for (const [name, what] of COUNTED) {
      command.addOption(
        new Option(`--${who}-${name}-max <count>`, `${what}, ${whose}`).argParser(parseCount).default(caps[name]),
      );
    }
    const least = who === 'pod' ? POD_BUFFERED_MIN : WORKER_BUFFERED_MIN;
    command.addOption(
      new Option(`--${who}-buffered-max <octets>`, `octets held because peers do not take them, ${whose}`)
        .argParser(sizeParser(least))
        .default(caps.bufferedBytes, formatBytes(caps.bufferedBytes)),
    );
  }
  return command;
}

/** Throws CliError (usage) when a pod might use more than all pods together. */
export function capsOf(flags: CapFlags): Caps {
  const defaults = DEFAULT_CAPS;
  const pod: ResourceCaps = {
    connections: flags.podConnectionsMax ?? defaults.pod.connections,
    requests: flags.podRequestsMax ?? defaults.pod.requests,
    pending: flags.podPendingMax ?? defaults.pod.pending,
    bufferedBytes: flags.podBufferedMax ?? defaults.pod.bufferedBytes,
  };
  const worker: ResourceCaps = {
    connections: flags.workerConnectionsMax ?? defaults.worker.connections,
    requests: flags.workerRequestsMax ?? defaults.worker.requests,
    pending: flags.workerPendingMax ?? defaults.worker.pending,
    bufferedBytes: flags.workerBufferedMax ?? defaults.worker.bufferedBytes,
  };
  for (const [flag, name] of [
    ['connections', 'connections'],
    ['requests', 'requests'],
    ['pending', 'pending'],
    ['buffered', 'bufferedBytes'],
  ] as const) {
    if (pod[name] <= worker[name]) continue;
    throw new CliError(
      `--pod-${flag}-max ${pod[name]} is more than --worker-${flag}-max ${worker[name]}: lower the one or raise the other`,
      EXIT.usage,
    );
  }
  return { pod, worker };
}
