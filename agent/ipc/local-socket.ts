/**
 * A unix socket of the agent: bound under a name of its own, and linked to the name that clients know when it is to serve them.
 *
 *   agent-1f3a9c.sock   bound here; another agent can always reach this one by it
 *   agent.sock          the same socket by a hard link; a successor renames its own over it, so no client ever finds nobody
 *
 * Not bound to the public name itself, because closing a server unlinks the path it was bound to, whoever serves there now.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';

/** sun_path of unix(7), less its terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;
/** Octets of the random part of a private name: enough for a handful of agents on one node. */
const NAME_OCTETS = 3;

export class LocalSocket<Kind extends Server = Server> {
  readonly server: Kind;
  /** Where clients look. */
  readonly path: string;
  /** Where this agent alone is. */
  readonly privatePath: string;
  #inode: number | null = null;

  constructor(server: Kind, path: string) {
    this.server = server;
    this.path = path;
    this.privatePath = path.replace(/(\.sock)?$/, `-${randomBytes(NAME_OCTETS).toString('hex')}$1`);
  }

  /** Listens under the private name, mode 0600, making the folder (0755) when needed. Throws Error with the remedy. */
  async listen(): Promise<void> {
    const { server, privatePath } = this;
    if (Buffer.byteLength(privatePath) > SOCKET_PATH_BYTES_MAX) {
      throw new Error(
        `socket path ${privatePath} is longer than ${SOCKET_PATH_BYTES_MAX} bytes (unix(7)); choose a shorter --run-dir`,
      );
    }
    mkdirSync(dirname(privatePath), { recursive: true, mode: 0o755 });
    await removeAbandoned(this.path);
    await new Promise<void>((resolve, reject) => {
      const onError = (error: Error): void => reject(new Error(`cannot listen on ${privatePath}: ${error.message}`));
      server.once('error', onError);
      // bind(2) happens inside listen(); the mask makes the socket private from its first moment on.
      const mask = process.umask(0o177);
      try {
        server.listen(privatePath, () => {
          server.off('error', onError);
          resolve();
        });
      } finally {
        process.umask(mask);
      }
    });
    chmodSync(privatePath, 0o600);
    this.#inode = inodeOf(privatePath);
  }

  /**
   * Takes the public name when nobody serves there: true. False: somebody does. Of two that try at the same moment one gets it.
   * Throws when the path is something else than a socket.
   */
  async publish(): Promise<boolean> {
    try {
      linkSync(this.privatePath, this.path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (this.owns()) return true;
    const found = lstatSync(this.path, { throwIfNoEntry: false });
    if (found !== undefined && !found.isSocket()) {
      throw new Error(`${this.path} exists and is not a socket; move it away, or choose another --run-dir`);
    }
    if (await answers(this.path)) return false;
    // Only what was probed: another agent may have put its own socket there meanwhile.
    if (found !== undefined && inodeOf(this.path) !== found.ino) return false;
    this.replace();
    return true;
  }

  /** Takes the public name whoever has it, atomically. */
  replace(): void {
    if (this.owns()) return; // rename(2) does nothing between two names of one file
    const temporary = `${this.privatePath}.new`;
    rmSync(temporary, { force: true });
    linkSync(this.privatePath, temporary);
    renameSync(temporary, this.path);
  }

  /** Whether the public name leads here. */
  owns(): boolean {
    return this.#inode !== null && inodeOf(this.path) === this.#inode;
  }

  /** Whether the public name leads to another socket: somebody took over. */
  isDisplaced(): boolean {
    const inode = inodeOf(this.path);
    return this.#inode !== null && inode !== null && inode !== this.#inode;
  }

  /** Gives the public name up, if it is still this one's; the server goes on under its private name. */
  withdraw(): void {
    if (this.owns()) rmSync(this.path, { force: true });
  }
}

function inodeOf(path: string): number | null {
  return lstatSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

/** The private name of the socket that `path` leads to now: it stays that one's when the public name goes elsewhere. */
export function privateNameOf(path: string): string {
  const inode = inodeOf(path);
  const folder = dirname(path);
  const name = privateNames(path).find((each) => inodeOf(join(folder, each)) === inode);
  return name === undefined || inode === null ? path : join(folder, name);
}

function privateNames(path: string): string[] {
  const stem = basename(path).replace(/\.sock$/, '');
  const pattern = new RegExp(`^${stem}-[0-9a-f]{${NAME_OCTETS * 2}}(\\.sock)?(\\.new)?$`);
  return readdirSync(dirname(path)).filter((name) => pattern.test(name));
}

/** Removes private names that agents left behind which were killed. */
async function removeAbandoned(path: string): Promise<void> {
  for (const name of privateNames(path)) {
    const found = join(dirname(path), name);
    if (lstatSync(found, { throwIfNoEntry: false })?.isSocket() !== true) continue;
    if (!(await answers(found))) rmSync(found, { force: true });
  }
}

/** Whether somebody accepts on the socket at `path`. A stopped process does: the kernel answers for it. */
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
