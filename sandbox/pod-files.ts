/**
 * What a pod sees of the file system beyond the machine's own: /etc/hosts, /etc/hostname, resolv.conf; and what it must not
 * see: the sandbox's /run and every sandbox's state (admin sockets, other pods' logs).
 */
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SandboxPaths } from './paths.ts';
import type { Tools } from './processes.ts';

/** No DNS server runs in a sandbox: names are in /etc/hosts, everything else should fail at once instead of timing out. */
const RESOLV_CONF =
  '# Written by weir sandbox: names are in /etc/hosts.\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n';

/** Writes the files that are mounted into the pod. */
export function preparePodFiles(paths: SandboxPaths, uid: string, hostname: string, hosts: string): void {
  mkdirSync(paths.podLogs(uid), { recursive: true, mode: 0o700 });
  writeFileSync(join(paths.pod(uid), 'hostname'), `${hostname}\n`);
  writeFileSync(join(paths.pod(uid), 'resolv.conf'), RESOLV_CONF);
  writeFileSync(join(paths.pod(uid), 'hosts'), hosts);
}

/**
 * Rewrites a pod's hosts file. In place, because the file itself is mounted into the pod; written before it is cut to
 * length, so that a reader never finds it empty.
 */
export function rewriteHosts(paths: SandboxPaths, uid: string, text: string): void {
  const file = join(paths.pod(uid), 'hosts');
  if (!existsSync(file)) return;
  const fd = openSync(file, 'r+');
  try {
    const bytes = Buffer.from(text);
    writeSync(fd, bytes, 0, bytes.length, 0);
    ftruncateSync(fd, bytes.length);
  } finally {
    closeSync(fd);
  }
}

/**
 * Runs as the pod's first process, in its new mount and UTS namespace. Prints `ready`, then holds the namespaces open until
 * its stdin closes, which also happens when the sandbox dies. $0 the pod's folder, $1 its host name, $2 the folder of all
 * sandboxes.
 */
const PAUSE_SCRIPT = `
set -e
mount --bind "$0/hosts" /etc/hosts
if [ -e /etc/hostname ]; then mount --bind "$0/hostname" /etc/hostname; fi
hostname "$1" 2> /dev/null || true
resolv=$(readlink -m /etc/resolv.conf)
case "$resolv" in
  /run/*) ;;
  *) if [ -e "$resolv" ]; then mount --bind "$0/resolv.conf" "$resolv"; fi ;;
esac
conf=$(cat "$0/resolv.conf")
mount -t tmpfs -o mode=755,size=64m tmpfs /run
case "$resolv" in
  /run/*) mkdir -p "\${resolv%/*}"; printf '%s\\n' "$conf" > "$resolv" ;;
esac
if [ -d "$2" ]; then mount -t tmpfs -o mode=700,size=1m,ro tmpfs "$2"; fi
cd /
echo ready
exec cat > /dev/null
`;

/** The words that start the pause process of a pod. */
export function pauseArgv(tools: Tools, netns: string, paths: SandboxPaths, uid: string, hostname: string): string[] {
  return [
    tools.nsenter,
    `--net=${netns}`,
    '--',
    tools.unshare,
    '--mount',
    '--uts',
    '--',
    tools.sh,
    '-c',
    PAUSE_SCRIPT,
    paths.pod(uid),
    hostname,
    dirname(paths.root),
  ];
}
