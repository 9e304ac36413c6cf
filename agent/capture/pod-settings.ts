/**
 * Settings of the kernel in a pod's namespace (Documentation/networking/ip-sysctl.rst). The first two hold for IPv6 too.
 *
 * tcp_migrate_req (kernel 5.14): when one listener of an SO_REUSEPORT group closes, its unfinished handshakes and the connections in its
 * accept queue go to another of the group. Without it they are reset. Measured: of 200 connections queued on each of two
 * listeners, closing one lost all of its own. It helps when an agent is replaced and when a worker dies.
 *
 * tcp_fwmark_accept: an accepted socket takes the mark of the packets that opened it. Only where the rules of plan.ts stand: they see
 * to it that this is REPLY_MARK. Without it every packet of a reply is marked and routed again.
 *
 * src_valid_mark: the source of what arrives is validated with its mark, see WEIR_ARRIVED in plan.ts. Interception mode TPROXY needs it.
 *
 * The file belongs to the namespace of whoever opens it.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { NetworkNamespace } from '../engine/netns.ts';

export type PodSetting = 'tcp_migrate_req' | 'tcp_fwmark_accept' | 'conf/all/src_valid_mark';

/** In a container /proc/sys is read-only; the manifests mount the node's own beside it. Both follow the caller's namespace. */
const FOLDERS: readonly string[] = ['/proc/sys/net/ipv4', '/host/proc/sys/net/ipv4'];

/** Switches it on (or off) in the namespace. Null, or why it stays as it is; the pod is captured all the same. */
export function switchSetting(netns: NetworkNamespace, setting: PodSetting, on = true): string | null {
  return netns.run(() => {
    let why = '';
    for (const folder of FOLDERS) {
      try {
        write(`${folder}/${setting}`, on ? '1' : '0');
        return null;
      } catch (error) {
        why = why === '' ? (error as Error).message : why;
      }
    }
    return why;
  });
}

function write(file: string, value: '0' | '1'): void {
  if (read(file) === value) return;
  const fd = openSync(file, 'r+');
  try {
    writeSync(fd, `${value}\n`);
  } finally {
    closeSync(fd);
  }
}

function read(file: string): string {
  const fd = openSync(file, 'r');
  try {
    const value = Buffer.alloc(1);
    return value.toString('latin1', 0, readSync(fd, value, 0, 1, 0));
  } finally {
    closeSync(fd);
  }
}
