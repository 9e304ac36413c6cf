/**
 * net.ipv4.tcp_migrate_req in a pod's namespace (kernel 5.14, Documentation/networking/ip-sysctl.rst): when one listener of an
 * SO_REUSEPORT group closes, its unfinished handshakes and the connections in its accept queue go to another of the group. Without
 * it they are reset. Also for IPv6. Measured: of 200 connections queued on each of two listeners, closing one lost all of its own.
 *
 * It helps when an agent is replaced and when a worker dies. The file belongs to the namespace of whoever opens it.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { NetworkNamespace } from '../engine/netns.ts';

/** In a container /proc/sys is read-only; the manifests mount the node's own beside it. Both follow the caller's namespace. */
const FILES: readonly string[] = ['/proc/sys/net/ipv4/tcp_migrate_req', '/host/proc/sys/net/ipv4/tcp_migrate_req'];

/** Switches it on in the namespace. Null, or why it stays off; the pod is captured all the same. */
export function migrateRequests(netns: NetworkNamespace): string | null {
  return netns.run(() => {
    let why = '';
    for (const file of FILES) {
      try {
        switchOn(file);
        return null;
      } catch (error) {
        why = why === '' ? (error as Error).message : why;
      }
    }
    return why;
  });
}

function switchOn(file: string): void {
  if (isOn(file)) return;
  const fd = openSync(file, 'r+');
  try {
    writeSync(fd, '1\n');
  } finally {
    closeSync(fd);
  }
}

function isOn(file: string): boolean {
  const fd = openSync(file, 'r');
  try {
    const value = Buffer.alloc(1);
    return readSync(fd, value, 0, 1, 0) === 1 && value[0] === 0x31;
  } finally {
    closeSync(fd);
  }
}
