/** A pod's network namespace as capture sees it: opened for one operation, and what /proc says inside it. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { NetworkNamespace } from '../engine/netns.ts';
import { failure, type Result, success } from './result.ts';

/** Opens a namespace; NETNS_UNUSABLE says why not. The caller closes it. */
export function openNetns(path: string): Result<NetworkNamespace> {
  try {
    return success(NetworkNamespace.open(path));
  } catch (error) {
    return netnsUnusable(path, error);
  }
}

/** Opens the namespace for one operation; what is thrown inside (setns refused) becomes NETNS_UNUSABLE. */
export async function withNetns<T>(
  path: string,
  operation: (netns: NetworkNamespace) => Promise<Result<T>>,
): Promise<Result<T>> {
  const opened = openNetns(path);
  if (!opened.ok) return opened;
  try {
    return await operation(opened.value);
  } catch (error) {
    return netnsUnusable(path, error);
  } finally {
    opened.value.close();
  }
}

function netnsUnusable(path: string, error: unknown): Result<never> {
  const cause = error instanceof Error ? error.message : String(error);
  const remedy =
    "mount the runtime's namespace folder (/run/netns or /var/run/netns) into the agent with HostToContainer propagation";
  return failure('NETNS_UNUSABLE', `network namespace ${path}: ${cause}; ${remedy}`);
}

/** Why IPv6 is not captured in this namespace; null when it is to be: some device there has it enabled. */
export function ipv6Skipped(netns: NetworkNamespace): string | null {
  const folder = '/proc/sys/net/ipv6/conf';
  return netns.run(() => {
    const devices = listOrNull(folder);
    if (devices === null) return 'IPv6: the kernel has none';
    // `all` is only what was last written to it: a device may have been enabled since.
    const enabled = devices.some(
      (device) =>
        device !== 'all' && device !== 'default' && readOrNull(`${folder}/${device}/disable_ipv6`)?.trim() === '0',
    );
    return enabled ? null : 'IPv6: disabled in this namespace (net.ipv6.conf.*.disable_ipv6=1)';
  });
}

/**
 * Whether anything uses the legacy iptables interface in this namespace. A namespace made before its user namespace had a uid map
 * (`unshare -Urn` makes both at once) shows these files to nobody; legacy iptables cannot work there either.
 */
export function legacyTablesExist(netns: NetworkNamespace): boolean {
  return netns.run(() =>
    ['ip_tables_names', 'ip6_tables_names'].some((name) => {
      try {
        return (readOrNull(`/proc/thread-self/net/${name}`) ?? '') !== '';
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EACCES') return false;
        throw error;
      }
    }),
  );
}

/** The first `bytesMax` octets of a /proc file, '' when there is none; call it inside the namespace. */
export function readStart(path: string, bytesMax: number): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isAbsent(error)) return '';
    throw error;
  }
  try {
    const bytes = Buffer.alloc(bytesMax);
    let length = 0;
    // /proc gives a page at a time.
    for (let got = -1; got !== 0 && length < bytesMax; length += got)
      got = readSync(fd, bytes, length, bytesMax - length, null);
    return bytes.toString('latin1', 0, length);
  } finally {
    closeSync(fd);
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

function listOrNull(path: string): readonly string[] | null {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

/** This kernel or namespace has no such thing; a device may also go between listing and reading. */
function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
