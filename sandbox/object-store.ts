/**
 * The API server's storage as a folder: one file per object, replaced atomically, first line `# source: FILE:LINE` naming
 * where the user wrote it. The controller reads this folder and nothing else.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type Fields, keyOfObject, type SourceObject } from './source.ts';

/** What a file holds, before the source line. */
export interface StoredObject {
  /** File name without extension, see fileNameOf. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** Undoes a set of writes: file contents as they were, null for files that were not there. */
export type Undo = ReadonlyMap<string, string | null>;

export class ObjectStore {
  readonly #folder: string;
  #counter = 0;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  }

  /** Writes the object unless the file says so already; returns what was there before, undefined when nothing changed. */
  write(object: StoredObject): string | null | undefined {
    const path = this.#path(object.name);
    const text = `# source: ${object.file}:${object.line}\n${object.text}`;
    const before = readIfThere(path);
    if (before === text) return undefined;
    this.#replace(path, text);
    return before;
  }

  /** Removes the object; returns what was there. */
  remove(name: string): string | null {
    const before = readIfThere(this.#path(name));
    rmSync(this.#path(name), { force: true });
    return before;
  }

  /** Puts files back as they were. */
  restore(undo: Undo): void {
    for (const [name, text] of undo) {
      if (text === null) rmSync(this.#path(name), { force: true });
      else this.#replace(this.#path(name), text);
    }
  }

  #replace(path: string, text: string): void {
    this.#counter += 1;
    // A dot-file of another extension in the same folder: a reader never sees half of it, and the rename is one event.
    const temporary = join(this.#folder, `.writing-${this.#counter}`);
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, path);
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.yaml`);
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null; // not written yet
  }
}

/** One file per object of the cluster: `httproute.gateway.networking.k8s.io.shop.echo`. */
export function fileNameOf(object: Pick<SourceObject, 'apiVersion' | 'kind' | 'namespace' | 'name'>): string {
  const [group, kind, namespace, name] = keyOfObject(object).split('/');
  return [kind?.toLowerCase(), group, namespace, name].filter((part) => part !== undefined && part !== '').join('.');
}

/** An object as its user wrote it. */
export function verbatim(object: SourceObject): StoredObject {
  return { name: fileNameOf(object), file: object.file, line: object.line, text: object.text };
}

/** An object that the sandbox completed or made. */
export function generated(
  fields: Fields,
  identity: Parameters<typeof fileNameOf>[0],
  source: { file: string; line: number },
): StoredObject {
  const text = stringify(fields, { lineWidth: 0, aliasDuplicateObjects: false });
  return { name: fileNameOf(identity), file: source.file, line: source.line, text };
}
