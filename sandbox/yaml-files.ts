/** Reads the files and folders that `-f` names. A folder's own files are read, not those of its subfolders, as kubectl does. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SourceFile } from './source.ts';

const EXTENSIONS = /\.(ya?ml|json)$/;

/** All files in the order given, a folder's sorted by name; `-` is stdin. Throws naming what cannot be read and why. */
export function readYamlFiles(paths: readonly string[]): SourceFile[] {
  return paths.flatMap((path) => {
    if (path === '-') return [{ path: 'stdin', text: readFileSync(0, 'utf8') }];
    return listFiles(path).map((file) => ({ path: file, text: read(file) }));
  });
}

function listFiles(path: string): string[] {
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch {
    throw new Error(`-f ${path}: there is no such file or folder`);
  }
  if (!isFolder) return [path];
  const names = readdirSync(path).filter((name) => EXTENSIONS.test(name) && !name.startsWith('.'));
  if (names.length === 0) throw new Error(`-f ${path}: the folder has no file ending in .yaml, .yml or .json`);
  return names.sort().map((name) => join(path, name));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`-f ${file}: cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}
