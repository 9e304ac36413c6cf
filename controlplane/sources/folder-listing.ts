/** Which YAML files the sources consist of right now, in a fixed order. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { compareText } from '../finding.ts';
import { limits } from '../limits.ts';

/** A folder or source that could not be looked at; what was known of it stays. */
export interface UnreadablePath {
  readonly path: string;
  readonly reason: string;
  readonly remedy: string;
}

export interface Listing {
  readonly files: readonly string[];
  readonly folders: readonly string[];
  readonly unreadable: readonly UnreadablePath[];
  /** False: files may be missing from the list, so nothing may be concluded from their absence. */
  readonly complete: boolean;
}

const YAML_NAME = /^[^.].*\.(ya?ml|json)$/;

/** True for names that are read: `*.yaml`, `*.yml`, `*.json`, not hidden (editors and kubelets keep theirs behind a dot). */
export function isYamlName(name: string): boolean {
  return YAML_NAME.test(name);
}

/** Lists all sources. A source that is a file counts whatever its name. A missing source is unreadable, not empty. */
export function listSources(sources: readonly string[], knownFiles: ReadonlyMap<string, unknown>): Listing {
  const walk = new Walk();
  for (const source of [...new Set(sources)].sort(compareText)) {
    try {
      if (statSync(source).isDirectory()) walk.folder(source, 0);
      else walk.file(source);
    } catch (error) {
      // A file that was there and is deleted takes its objects with it; a folder never does.
      const gone = (error as NodeJS.ErrnoException).code === 'ENOENT' && knownFiles.has(source);
      if (!gone) walk.fail(source, error, 'create it or correct --source');
    }
  }
  return { files: walk.files, folders: walk.folders, unreadable: walk.unreadable, complete: walk.complete };
}

class Walk {
  readonly files: string[] = [];
  readonly folders: string[] = [];
  readonly unreadable: UnreadablePath[] = [];
  complete = true;
  readonly #seen = new Set<string>();

  file(path: string): void {
    if (this.#seen.has(path)) return;
    this.#seen.add(path);
    if (this.files.length < limits.filesMax) this.files.push(path);
    else if (this.complete)
      this.#incomplete(path, `is beyond the ${limits.filesMax} files that are read`, 'remove files');
  }

  folder(path: string, depth: number): void {
    if (depth > limits.folderDepthMax) {
      return this.#incomplete(path, `is more than ${limits.folderDepthMax} folders deep`, 'move it up');
    }
    this.folders.push(path);
    try {
      const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) => compareText(a.name, b.name));
      for (const entry of entries) {
        if (entry.name.startsWith('.')) continue;
        const below = join(path, entry.name);
        // A kubelet's mounted ConfigMap consists of symbolic links.
        const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && isFolderLink(below));
        if (isFolder) this.folder(below, depth + 1);
        else if (isYamlName(entry.name)) this.file(below);
      }
    } catch (error) {
      this.fail(path, error, 'make it readable for the controller');
    }
  }

  fail(path: string, error: unknown, remedy: string): void {
    this.#incomplete(path, `cannot be read: ${(error as Error).message}`, remedy);
  }

  #incomplete(path: string, reason: string, remedy: string): void {
    this.complete = false;
    this.unreadable.push({ path, reason, remedy });
  }
}

function isFolderLink(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
