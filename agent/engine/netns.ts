/**
 * Network namespaces: entering a pod's, doing one synchronous thing there, and coming back.
 *
 * Place on the path: a listener per pod and a socket per upstream connection are opened inside run(). 3 µs there and back.
 * Security: code that runs in the wrong namespace acts as another pod. So run() either returns in the namespace it was called
 * in, or the process is aborted.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { errnoName } from './errno.ts';
import { readErrno } from './ffi.ts';
import * as libc from './libc.ts';

// This thread's namespace, not the process's: setns(2) changes one thread. Workers have one.
const OWN_NAMESPACE = '/proc/thread-self/ns/net';

/** Where this thread is when no run() is active; opened at the first run(). */
let home: NetworkNamespace | null = null;
/** Where this thread is now; null: at home. */
let entered: NetworkNamespace | null = null;

/** A handle on a network namespace; keeps it alive until closed, also when its pod has gone. */
export class NetworkNamespace {
  readonly fd: number;
  readonly path: string;
  /** How many active run() calls need this handle, to come back to or to be in. */
  private uses = 0;
  private state: 'open' | 'closing' | 'closed' = 'open';

  private constructor(fd: number, path: string) {
    this.fd = fd;
    this.path = path;
  }

  /** Opens /proc/PID/ns/net or a bind mount of it; throws when the path is missing or is not a network namespace. */
  static open(path: string): NetworkNamespace {
    const fd = openSync(path, 'r'); // close-on-exec: Node always sets it
    const type = libc.ioctl(fd, libc.NS_GET_NSTYPE, 0);
    if (type !== libc.CLONE_NEWNET) {
      closeSync(fd);
      throw new Error(`network namespace ${path}: the file is not a network namespace; expected e.g. /proc/PID/ns/net`);
    }
    return new NetworkNamespace(fd, path);
  }

  /** The namespace this thread is in now. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open(OWN_NAMESPACE);
  }

  /** What identifies the namespace among living ones: the number in `net:[4026531840]`. */
  inode(): bigint {
    return fstatSync(this.fd, { bigint: true }).ino;
  }

  /**
   * Runs `fn` inside the namespace. Calls may nest. `fn` must be synchronous: what it would await runs outside.
   * Throws when the namespace cannot be entered (fn not run) or what fn throws; aborts the process when it cannot return.
   */
  run<T>(fn: () => T): T {
    if (this.state === 'closed') throw new Error(`network namespace ${this.path}: used after close()`);
    home ??= NetworkNamespace.current();
    const before = entered ?? home;
    if (libc.setns(this.fd, libc.CLONE_NEWNET) < 0) {
      const cause = errnoName(readErrno());
      throw new Error(
        `network namespace ${this.path}: cannot be entered: ${cause}; the agent needs CAP_SYS_ADMIN over it`,
      );
    }
    this.uses++;
    before.uses++;
    noteEntered(this);
    try {
      const result = fn();
      if (result instanceof Promise)
        throw new Error(`network namespace ${this.path}: run() was given an async function`);
      return result;
    } finally {
      if (libc.setns(before.fd, libc.CLONE_NEWNET) < 0) abortInForeignNamespace(this, before, readErrno());
      noteEntered(before);
      before.release();
      this.release();
    }
  }

  /** close() was called: its pod has left this node. */
  get closed(): boolean {
    return this.state !== 'open';
  }

  /** Closes the handle; at the end of run() when one is active, because that must find its way back. Idempotent. */
  close(): void {
    if (this.state === 'open') this.state = 'closing';
    this.closeIfUnused();
  }

  private release(): void {
    this.uses--;
    this.closeIfUnused();
  }

  private closeIfUnused(): void {
    if (this.state !== 'closing' || this.uses > 0) return;
    this.state = 'closed';
    closeSync(this.fd);
  }
}

function noteEntered(namespace: NetworkNamespace): void {
  entered = namespace === home ? null : namespace;
}

function abortInForeignNamespace(inside: NetworkNamespace, wanted: NetworkNamespace, errno: number): never {
  const message =
    `fatal: cannot leave network namespace ${inside.path} for ${wanted.path}: ${errnoName(errno)}; ` +
    'aborting, because this process would act in a pod that is not its own\n';
  try {
    writeSync(2, message);
  } finally {
    process.abort();
  }
}
