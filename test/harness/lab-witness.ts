/** What a WorkerLab says when a test hangs (hang.ts): the worker's side, this process's sockets, and the kernel's view of the pods. */
import { execFileSync } from 'node:child_process';
import type { Socket } from 'node:net';
import type { ConnectionInfo, WorkerStats } from '../../agent/ipc/messages.ts';
import { onHang } from './hang.ts';

/** Of a WorkerLab. */
export interface Witnessed {
  readonly pods: ReadonlyMap<string, unknown>;
  readonly openSockets: Iterable<Socket>;
  stats(): Promise<WorkerStats>;
  connections(): Promise<readonly ConnectionInfo[]>;
}

/** Adds the lab to what is told, until what is returned is called. */
export function witness(lab: Witnessed): () => void {
  const ends = [
    onHang(() => `this process's sockets:\n${Array.from(lab.openSockets, socketLine).join('')}`),
    onHang(() => Array.from(lab.pods.keys(), podSockets).join('')),
    onHang(async () => {
      const { counters, bounds, pods } = await lab.stats();
      const active = pods.map((pod) => ({ pod: pod.name, ...nonZero(pod) }));
      return `the worker's stats: ${JSON.stringify({ ...nonZero(counters), ...nonZero(bounds) })}\n${JSON.stringify(active)}`;
    }),
    onHang(async () => {
      const rows = await lab.connections();
      return `the worker's connections:\n${rows.map((row) => `  ${JSON.stringify(row)}\n`).join('')}`;
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}

function socketLine(socket: Socket): string {
  const { localAddress, localPort, remoteAddress, remotePort, readyState, bytesRead, bytesWritten } = socket;
  const ends = `ended ${socket.readableEnded}, flowing ${socket.readableFlowing}, error ${socket.errored?.message ?? 'none'}`;
  const where = `${localAddress}:${localPort} to ${remoteAddress}:${remotePort}`;
  return `  ${where} ${readyState}, read ${bytesRead}, written ${bytesWritten}, ${ends}\n`;
}

function podSockets(pod: string): string {
  const command = ['netns', 'exec', pod, 'ss', '-Htano'];
  return `pod ${pod}:\n${execFileSync('ip', command, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })}`;
}

function nonZero(record: object): object {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => typeof value === 'number' && value !== 0));
}
