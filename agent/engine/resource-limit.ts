/** Process limits that a worker raises before it opens sockets. */
import { readErrno } from './ffi.ts';
import { rlimit } from './layout.ts';
import * as libc from './libc.ts';
import { allocatePinned } from './memory.ts';

/**
 * Raises the soft limit of open files to the hard one (getrlimit(2), RLIMIT_NOFILE): the limit now in force, descriptors, or −errno.
 * Node does this when it starts; a parent's later setting, or another Node, need not.
 */
export function raiseNoFileLimit(): number {
  const limit = allocatePinned(rlimit.size);
  if (libc.prlimit(0, libc.RLIMIT_NOFILE, 0, limit.address) < 0) return -readErrno();
  const hard = limit.bytes.readBigUInt64LE(rlimit.hardOffset);
  if (limit.bytes.readBigUInt64LE(rlimit.softOffset) < hard) {
    limit.bytes.writeBigUInt64LE(hard, rlimit.softOffset);
    if (libc.prlimit(0, libc.RLIMIT_NOFILE, limit.address, 0) < 0) return -readErrno();
  }
  return Number(hard);
}
