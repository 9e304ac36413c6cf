/**
 * Keeps the logs of a sandbox bounded: they may lie on a tmpfs. Processes write to them directly (O_APPEND), so a file is
 * cut in place: its end is kept, the rest goes.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { SandboxPaths } from './paths.ts';

/** A log larger than this is cut … */
const LOG_BYTES_MAX = 32 * 1024 * 1024;
/** … to its last part. */
const LOG_BYTES_KEPT = 4 * 1024 * 1024;

/** Cuts every log that has grown too large. Lines written during the cut may be lost. */
export function trimLogs(paths: SandboxPaths): void {
  for (const file of allLogs(paths))
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) trim(file);
}

function trim(file: string): void {
  const reading = openSync(file, 'r');
  const appending = openSync(file, 'a+');
  try {
    const { size } = fstatSync(reading);
    if (size <= LOG_BYTES_MAX) return;
    const kept = Buffer.alloc(LOG_BYTES_KEPT);
    readSync(reading, kept, 0, kept.length, size - kept.length);
    ftruncateSync(appending, 0);
    writeSync(appending, kept, kept.indexOf(10) + 1);
  } finally {
    closeSync(reading);
    closeSync(appending);
  }
}

/** Every log file there is. */
export function allLogs(paths: SandboxPaths): string[] {
  const folders = [
    paths.logs,
    ...list(paths.root)
      .filter((name) => /^node-\d+$/.test(name))
      .map((name) => join(paths.node(name), 'logs')),
    ...list(paths.pods).map((uid) => paths.podLogs(uid)),
  ];
  return folders.flatMap((folder) =>
    list(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => join(folder, name)),
  );
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
