/**
 * Live connections that bypass the agent: read from the connection tracking table of the pod's namespace, and cut there.
 *
 * The rules refuse every packet of a connection that may not bypass any more (plan.ts); cutting only makes both ends notice before
 * they next send something. The table may not be readable (kernel without CONFIG_NF_CONNTRACK_PROCFS), and sockets not destroyable
 * (without CONFIG_INET_DIAG_DESTROY): then they notice with their next packet.
 */
import { canonicalIp } from '../../mesh/ip.ts';
import { BYPASSED_MARK, MARK_MASK } from '../../mesh/ports.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import { limits } from '../limits.ts';
import { runCommand } from './command.ts';

/** One connection, as its client addressed it. */
export interface BypassedFlow {
  /** Connection tracking's name of the state, e.g. ESTABLISHED. */
  readonly state: string;
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
}

/** The bypassed connections of a namespace; null: the table cannot be read. */
export async function readBypassedFlows(netns: NetworkNamespace): Promise<readonly BypassedFlow[] | null> {
  // grep leaves the captured ones out, which are many; 1: nothing found.
  const outcome = await runCommand(netns, 'grep', ['-E', ' mark=[1-9]', '/proc/net/nf_conntrack'], '');
  if (outcome.status !== 0 && outcome.status !== 1) return null;
  return parseFlows(outcome.stdout);
}

/** Connections with the bypass mark in a text of /proc/net/nf_conntrack; those that have ended are left out. Pure. */
export function parseFlows(table: string): BypassedFlow[] {
  const flows: BypassedFlow[] = [];
  for (const line of table.split('\n')) {
    const mark = Number(/ mark=(\d+)/.exec(line)?.[1] ?? 0);
    if ((mark & MARK_MASK) !== BYPASSED_MARK) continue;
    // The first tuple is the direction in which the connection was opened.
    const tuple = / tcp +6 +\d+ ([A-Z_0-9]+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) /.exec(line);
    if (tuple === null || ENDED.has(tuple[1] ?? '')) continue;
    const [source, destination] = [canonicalIp(tuple[2] ?? ''), canonicalIp(tuple[3] ?? '')];
    if (source === null || destination === null) continue;
    flows.push({
      state: tuple[1] ?? '',
      source: { ip: source, port: Number(tuple[4]) },
      destination: { ip: destination, port: Number(tuple[5]) },
    });
  }
  return flows;
}

const ENDED = new Set(['TIME_WAIT', 'CLOSE', 'LAST_ACK', 'NONE']);

/** Destroys the sockets of these connections inside the namespace; both ends get RST. What cannot be destroyed stays. */
export async function cutFlows(
  netns: NetworkNamespace,
  flows: readonly BypassedFlow[],
  own: readonly string[],
): Promise<void> {
  for (let at = 0; at < flows.length; at += limits.bypassCutsPerCommand) {
    const batch = flows.slice(at, at + limits.bypassCutsPerCommand);
    await runCommand(netns, 'ss', ['--kill', '--tcp', '--numeric', killFilter(batch, own)], '');
  }
}

/** The filter of ss(8) that names the pod's end of each connection. Pure. `own`: the pod's addresses. */
export function killFilter(flows: readonly BypassedFlow[], own: readonly string[]): string {
  return flows
    .map(({ source, destination }) => {
      const [local, peer] = own.includes(source.ip) ? [source, destination] : [destination, source];
      return `( src ${endText(local)} and dst ${endText(peer)} )`;
    })
    .join(' or ');
}

function endText({ ip, port }: BypassedFlow['source']): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
