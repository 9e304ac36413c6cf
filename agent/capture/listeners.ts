/** Are the agent's listeners there? Asked of the kernel, inside the pod's namespace, not of the workers. */
import { INBOUND_PORT, OUTBOUND_PORT } from '../../mesh/ports.ts';
import type { NetworkNamespace } from '../engine/netns.ts';
import { limits } from '../limits.ts';
import type { Family } from './plan.ts';
import { readStart } from './pod-netns.ts';

/** One line per listener that is not there; empty: all are. */
export function missingListeners(netns: NetworkNamespace, families: readonly Family[]): readonly string[] {
  return netns.run(() => {
    const v4 = listeningPorts(readStart('/proc/thread-self/net/tcp', limits.listenerTableBytesMax));
    const v6 = listeningPorts(readStart('/proc/thread-self/net/tcp6', limits.listenerTableBytesMax));
    const missing: string[] = [];
    for (const port of [OUTBOUND_PORT, INBOUND_PORT]) {
      // A socket on [::] that is not v6-only serves both; the table does not tell, so it counts for IPv4 too.
      if (families.includes(4) && !v4.has(port) && !v6.has(port)) missing.push(`IPv4: no listener on port ${port}`);
      if (families.includes(6) && !v6.has(port)) missing.push(`IPv6: no listener on port ${port}`);
    }
    return missing;
  });
}

/** Ports with a socket in LISTEN (state 0A) bound to the wildcard address (proc(5), /proc/net/tcp). Pure. */
export function listeningPorts(table: string): ReadonlySet<number> {
  const ports = new Set<number>();
  for (const match of table.matchAll(/^\s*\d+: 0+:([0-9A-F]{4}) 0+:0{4} 0A /gm))
    ports.add(Number.parseInt(match[1] ?? '', 16));
  return ports;
}
