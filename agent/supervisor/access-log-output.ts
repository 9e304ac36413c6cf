/** Where the access log goes: a file that is appended to, or stdout. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { withDeadline } from './deadline.ts';

/** A reader that is slower than this at the end loses the rest, ms. */
const FLUSH_MS = 1_000;

/** @param file null: stdout. */
export function openAccessLog(file: string | null): Writable {
  if (file !== null) return createWriteStream(file, { flags: 'a', mode: 0o600 });
  // A command of the CLI ends when the reader of its output is gone; an agent loses its access log and goes on.
  process.stdout.removeAllListeners('error');
  return process.stdout;
}

/** Waits until what was written has been taken, or its reader is too slow. */
export function flush(output: Writable): Promise<void> {
  return withDeadline(new Promise<void>((resolve) => output.write('', () => resolve())), FLUSH_MS);
}
