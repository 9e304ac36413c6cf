/** One file: its signature, and its text if it could be read whole. */
import { closeSync, fstatSync, openSync, readSync, statSync, type BigIntStats } from 'node:fs';
import { limits } from '../limits.ts';
import type { FileChange } from '../config/object-store.ts';
import { type FileProblem, parseYaml } from './yaml-document.ts';

/** What tells one state of a file from another without reading it. */
export interface Signature {
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** null: there is no such file now. */
export function signatureOf(path: string): Signature | null {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : fromStats(stats);
}

/** True when nothing was written to or renamed over the file in between. */
export function sameSignature(a: Signature, b: Signature): boolean {
  return a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs;
}

function fromStats(stats: BigIntStats): Signature {
  return { inode: stats.ino, size: stats.size, modifiedNs: stats.mtimeNs, changedNs: stats.ctimeNs };
}

/** Reads and parses a file; null when it was written to meanwhile: look again later. Never throws for what is in it. */
export function readYamlFile(path: string): FileChange | null {
  const broken = (code: FileProblem['code'], line: number, reason: string, remedy: string): FileChange => {
    return { type: 'broken', file: path, problem: { code, position: { file: path, line }, reason, remedy } };
  };
  let bytes: Buffer | 'changed' | 'too large';
  try {
    bytes = readWhole(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return broken(
      'FILE_UNREADABLE',
      0,
      `cannot be read: ${(error as Error).message}`,
      'make it readable for the controller',
    );
  }
  if (bytes === 'changed') return null;
  if (bytes === 'too large') {
    return broken('FILE_TOO_LARGE', 0, `is larger than ${limits.fileBytesMax} octets`, 'split it into several files');
  }
  const text = decodeUtf8(bytes);
  if (text === null) {
    const line = lineOfInvalidUtf8(bytes);
    return broken('NOT_UTF8', line, 'is not UTF-8 text', 'save it as UTF-8');
  }
  const parsed = parseYaml(text, path);
  if (parsed.ok) return { type: 'parsed', file: path, documents: parsed.documents };
  return { type: 'broken', file: path, problem: parsed.problem };
}

function readWhole(path: string): Buffer | 'changed' | 'too large' {
  const fd = openSync(path, 'r');
  try {
    const before = fstatSync(fd, { bigint: true });
    if (!before.isFile()) throw new Error('not a regular file');
    if (before.size > BigInt(limits.fileBytesMax)) return 'too large';
    const bytes = Buffer.alloc(Number(before.size));
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      read = readSync(fd, bytes, length, bytes.length - length, length);
    }
    const unchanged = sameSignature(fromStats(before), fromStats(fstatSync(fd, { bigint: true })));
    return unchanged && length === bytes.length ? bytes : 'changed';
  } finally {
    closeSync(fd);
  }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // TextDecoder says "invalid" by throwing; null says it here.
    return null;
  }
}

/** Line of the first octet sequence that is not UTF-8, by halving: each probe decodes a prefix as a stream. */
function lineOfInvalidUtf8(bytes: Uint8Array): number {
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    if (isUtf8Prefix(bytes.subarray(0, middle))) valid = middle;
    else invalid = middle;
  }
  return bytes.subarray(0, valid).reduce((lines, octet) => lines + (octet === 0x0a ? 1 : 0), 1);
}

function isUtf8Prefix(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    // As above.
    return false;
  }
}
