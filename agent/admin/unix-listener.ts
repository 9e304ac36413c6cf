/** Listening on a unix socket that only the owner may use, without stealing it from an agent that lives. */
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';

/** sun_path of unix(7), less its terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;

function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/** Whether somebody accepts on the socket at `path`. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => {
      probe.destroy();
      resolve(false); // nobody listens (ECONNREFUSED), or it went away just now (ENOENT)
    });
  });
}

/** Removes a socket nobody listens on. Throws when somebody does, or when the path is not a socket. */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new Error(`${path} exists and is not a socket; move it away, or choose another --run-dir`);
  if (await answers(path)) {
    throw new Error(
      `another agent already serves ${path}; stop it first, or give this one its own --run-dir and --state-dir`,
    );
  }
  // Only what was probed: a second agent may have put its own socket there meanwhile.
  if (inodeOf(path) === found.ino) rmSync(path, { force: true });
}

/**
 * Listens on `path` with mode 0600, making its folder (0755) when needed and replacing a stale socket. Resolves with a
 * function that removes the socket file if it is still this one. Throws Error with the remedy.
 */
export async function listenPrivately(server: Server, path: string): Promise<() => void> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(
      `socket path ${path} is longer than ${SOCKET_PATH_BYTES_MAX} bytes (unix(7)); choose a shorter --run-dir`,
    );
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  await removeStale(path);
  await new Promise<void>((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        new Error(
          taken ? `another agent took ${path} at the same moment` : `cannot listen on ${path}: ${error.message}`,
        ),
      );
    };
    server.once('error', onError);
    // bind(2) happens inside listen(); the mask makes the socket private from its first moment on.
    const mask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', onError);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
  chmodSync(path, 0o600);
  const inode = inodeOf(path);
  return () => {
    if (inode !== null && inodeOf(path) === inode) rmSync(path, { force: true });
  };
}
