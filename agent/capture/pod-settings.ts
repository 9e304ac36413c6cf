/**
 * Settings of the kernel in a pod's namespace (Documentation/networking/ip-sysctl.rst). Those of ipv4 hold for IPv6 too where not said otherwise.
 *
 * tcp_migrate_req (kernel 5.14): when one listener of an SO_REUSEPORT group closes, its unfinished handshakes and the connections in its
 * accept queue go to another of the group. Without it they are reset. Measured: of 200 connections queued on each of two
 * listeners, closing one lost all of its own. It helps when an agent is replaced and when a worker dies.
 *
 * Marks of replies (MARKS_OF_REPLIES): tcp_fwmark_accept gives an accepted socket the mark of the packets that opened it, fwmark_reflect (of each
 * family) gives answers without a socket, resets, the mark of what they answer. Only where the rules of plan.ts stand: they see to it that this
 * is REPLY_MARK. Without them every packet of a reply is tracked, marked and routed again.
 *
 * src_valid_mark: the source of what arrives is validated with its mark, see WEIR_ARRIVED in plan.ts. Interception mode TPROXY needs it.
 *
 * The file belongs to the namespace of whoever opens it.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { NetworkNamespace } from '../engine/netns.ts';

export type PodSetting = MarkSetting | 'ipv4/tcp_migrate_req' | 'ipv4/conf/all/src_valid_mark';
type MarkSetting = 'ipv4/tcp_fwmark_accept' | 'ipv4/fwmark_reflect' | 'ipv6/fwmark_reflect';

/** On together, off together. */
const MARKS_OF_REPLIES: readonly MarkSetting[] = [
  'ipv4/tcp_fwmark_accept',
  'ipv4/fwmark_reflect',
  'ipv6/fwmark_reflect',
];

/** In a container /proc/sys is read-only; the manifests mount the node's own beside it. Both follow the caller's namespace. */
const FOLDERS: readonly string[] = ['/proc/sys/net', '/host/proc/sys/net'];

/** Switches it on (or off) in the namespace. Null, or why it stays as it is; the pod is captured all the same. */
export function switchSetting(netns: NetworkNamespace, setting: PodSetting, on = true): string | null {
  return netns.run(() => change(setting, () => (on ? '1' : '0')));
}

export function isOn(netns: NetworkNamespace, setting: PodSetting): boolean {
  return netns.run(() => read(`${FOLDERS[0]}/${setting}`) === '1');
}

/** Whether answers of applications get the mark of what they answer. */
export function repliesAreMarked(netns: NetworkNamespace): boolean {
  return netns.run(() => MARKS_OF_REPLIES.filter(isThere).every((setting) => read(`${FOLDERS[0]}/${setting}`) === '1'));
}

/** Whether they can be made to, found out by writing what is there already. */
export function canMarkReplies(netns: NetworkNamespace): boolean {
  return netns.run(() => MARKS_OF_REPLIES.filter(isThere).every((setting) => change(setting, (now) => now) === null));
}

/** After the rules that they need when switched on, before these go when switched off. */
export function markReplies(netns: NetworkNamespace, on: boolean): void {
  netns.run(() => {
    for (const setting of MARKS_OF_REPLIES.filter(isThere)) change(setting, () => (on ? '1' : '0'));
  });
}

/** A kernel or namespace without IPv6 has none of its settings. */
function isThere(setting: PodSetting): boolean {
  if (!setting.startsWith('ipv6/')) return true;
  try {
    read(`${FOLDERS[0]}/${setting}`);
    return true;
  } catch {
    return false;
  }
}

/** Null, or why it could not be written. */
function change(setting: PodSetting, wanted: (now: string) => string): string | null {
  let why = '';
  for (const folder of FOLDERS) {
    try {
      write(`${folder}/${setting}`, wanted);
      return null;
    } catch (error) {
      why = why === '' ? (error as Error).message : why;
    }
  }
  return why;
}

function write(file: string, wanted: (now: string) => string): void {
  const fd = openSync(file, 'r+');
  try {
    writeSync(fd, `${wanted(read(file))}\n`);
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
