/**
 * Watches files and folders of YAML. File events only say where to look; what is true is decided by looking: inode, size
 * and times of a file. Everything is looked at again every limits.reconcileMs, because events can be lost.
 *
 * A file renamed into place is read at once. A file written in place may be half written: it is read when it has not
 * changed for limits.debounceMs, and when it has become shorter, for limits.shrunkFileQuietMs.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import type { FileChange } from '../config/object-store.ts';
import { limits } from '../limits.ts';
import type { Logger } from '../log.ts';
import { readYamlFile, type Signature, sameSignature, signatureOf } from './file-reader.ts';
import { isYamlName, type Listing, listSources } from './folder-listing.ts';

/** Files looked at before other work gets a turn. */
const FILES_PER_TURN = 200;

interface KnownFile {
  /** As it was read; null: not read yet. */
  read: Signature | null;
  /** A state that is not read yet, and since when (monotonic ms) it has been the same; null signature: the file is gone. */
  waiting: { readonly signature: Signature | null; readonly sinceMs: number } | null;
}

export interface FileSourceOptions {
  readonly sources: readonly string[];
  /** Called with everything that a look found, when something was found. */
  readonly onChanges: (changes: readonly FileChange[]) => void;
  readonly log: Logger;
}

export class FileSource {
  readonly #options: FileSourceOptions;
  readonly #known = new Map<string, KnownFile>();
  readonly #unreadable = new Set<string>();
  readonly #watchers = new Map<string, FSWatcher>();
  /** Paths that events named since the last look; 'all' when one of them may be more than a file. */
  #dirty: Set<string> | 'all' = new Set();
  #timer: NodeJS.Timeout | null = null;
  #reconcileTimer: NodeJS.Timeout | null = null;
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: FileSourceOptions) {
    this.#options = options;
  }

  /** Reads everything once, then keeps watching. */
  async start(): Promise<void> {
    await this.sync();
    this.#reconcileTimer = setInterval(() => {
      this.#dirty = 'all';
      this.#schedule(0);
    }, limits.reconcileMs);
  }

  /** Looks at everything now and takes it as it is; resolves when onChanges has been called with what was found. */
  sync(): Promise<void> {
    return this.#enqueue(() => this.#look('all', true));
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#reconcileTimer !== null) clearInterval(this.#reconcileTimer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#work;
  }

  #enqueue(job: () => Promise<void>): Promise<void> {
    const done = this.#work.then(() => (this.#closed ? undefined : job()));
    // One look that fails must not end the watching; its caller hears of it.
    this.#work = done.catch((error: unknown) => {
      this.#options.log.error({ error: String(error) }, 'reading the sources failed');
    });
    return done;
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const dirty = this.#dirty;
      this.#dirty = new Set();
      // Failures are logged by #enqueue.
      this.#enqueue(() => this.#look(dirty, false)).catch(() => undefined);
    }, delayMs);
  }

  async #look(where: ReadonlySet<string> | 'all', force: boolean): Promise<void> {
    const changes: FileChange[] = [];
    let waitMs = Number.POSITIVE_INFINITY;
    let paths: Iterable<string> = where === 'all' ? [] : where;
    if (where === 'all') {
      const listing = listSources(this.#options.sources, this.#known);
      this.#noteUnreadable(listing, changes);
      this.#watchFolders(listing);
      paths = this.#pathsOf(listing);
    }
    let looked = 0;
    for (const path of paths) {
      if (++looked % FILES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      if (this.#closed) return;
      waitMs = Math.min(waitMs, this.#lookAt(path, force, changes));
    }
    if (changes.length > 0) this.#options.onChanges(changes);
    if (Number.isFinite(waitMs)) {
      if (this.#dirty !== 'all')
        for (const [path, known] of this.#known) if (known.waiting !== null) this.#dirty.add(path);
      this.#schedule(Math.max(waitMs, 10));
    }
  }

  /** Files of a listing, and known ones that are not in it any more (if that can be said). */
  #pathsOf(listing: Listing): string[] {
    if (!listing.complete) return [...listing.files];
    return [...new Set([...listing.files, ...this.#known.keys()])];
  }

  /** Looks at one file; answers after how many ms to look again, or Infinity. */
  #lookAt(path: string, force: boolean, changes: FileChange[]): number {
    const known = this.#known.get(path) ?? { read: null, waiting: null };
    const signature = trySignature(path);
    if (signature !== null && known.read !== null && sameSignature(signature, known.read)) {
      known.waiting = null;
      return Number.POSITIVE_INFINITY;
    }
    if (signature === null && known.read === null) {
      this.#known.delete(path);
      return Number.POSITIVE_INFINITY;
    }
    this.#known.set(path, known);
    const restMs = force ? 0 : quietRest(known, signature);
    if (restMs > 0) return restMs;
    const change: FileChange | null = signature === null ? { type: 'gone', file: path } : readYamlFile(path);
    if (change === null) return limits.debounceMs;
    changes.push(change);
    known.waiting = null;
    if (signature === null) this.#known.delete(path);
    else known.read = signature;
    return Number.POSITIVE_INFINITY;
  }

  #noteUnreadable(listing: Listing, changes: FileChange[]): void {
    const now = new Set(listing.unreadable.map(({ path }) => path));
    for (const { path, reason, remedy } of listing.unreadable) {
      if (this.#unreadable.has(path)) continue;
      this.#unreadable.add(path);
      const problem = { code: 'FILE_UNREADABLE', position: { file: path, line: 0 }, reason, remedy } as const;
      changes.push({ type: 'broken', file: path, problem });
    }
    for (const path of this.#unreadable) {
      if (now.has(path)) continue;
      this.#unreadable.delete(path);
      changes.push({ type: 'gone', file: path });
      // Read it as new: the note above stood in its place.
      this.#known.delete(path);
    }
  }

  /** Watches every folder, and the folders of sources that are files. */
  #watchFolders(listing: Listing): void {
    const wanted = new Set([...listing.folders, ...this.#options.sources.map((source) => dirname(source))]);
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (this.#closed || this.#watchers.has(folder) || this.#watchers.size >= limits.watchesMax) continue;
      try {
        const watcher = watch(folder, (_event, name) => this.#event(folder, name));
        watcher.on('error', () => this.#unwatch(folder));
        this.#watchers.set(folder, watcher);
      } catch (error) {
        // No handles left (inotify limit) or the folder has just gone: reconciliation still finds every change.
        this.#options.log.debug({ folder, error: String(error) }, 'folder is not watched, only reconciled');
      }
    }
  }

  #unwatch(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #event(folder: string, name: string | null): void {
    const path = name === null ? null : join(folder, name);
    const oneFile =
      path !== null && (this.#known.has(path) || (isYamlName(name ?? '') && this.#isInFolderSource(folder)));
    if (!oneFile) this.#dirty = 'all';
    else if (this.#dirty !== 'all') this.#dirty.add(path);
    this.#schedule(limits.debounceMs);
  }

  /** The folder is part of a source, not merely the place of a source that is a file. */
  #isInFolderSource(folder: string): boolean {
    return this.#options.sources.some((source) => folder === source || folder.startsWith(join(source, '/')));
  }
}

/** How long a changed file must still stay as it is before it is read, ms; 0: read it now. */
function quietRest(known: KnownFile, signature: Signature | null): number {
  const now = performance.now();
  const { waiting, read } = known;
  const same =
    waiting !== null &&
    (signature === null || waiting.signature === null
      ? signature === waiting.signature
      : sameSignature(signature, waiting.signature));
  if (!same) known.waiting = { signature, sinceMs: now };
  // Renamed over the old file: whole by construction.
  if (signature !== null && read !== null && signature.inode !== read.inode) return 0;
  const shrunk = signature !== null && read !== null && signature.size < read.size;
  const quietMs = shrunk ? limits.shrunkFileQuietMs : limits.debounceMs;
  return Math.max(0, (known.waiting?.sinceMs ?? now) + quietMs - now);
}

/** A path that cannot even be looked at counts as there and changed: reading it says why. */
function trySignature(path: string): Signature | null {
  try {
    return signatureOf(path);
  } catch {
    return { inode: 0n, size: -1n, modifiedNs: 0n, changedNs: 0n };
  }
}
