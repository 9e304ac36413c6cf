/**
 * What a fuzzer does with an input that failed: make it small, and under `scripts/fuzz` (which sets FUZZ_KEEP) write it into
 * the fuzzer's corpus, so that every later run tries it first.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Attempts to make one input smaller; each is one run of the fuzzer. */
const MINIMISE_ATTEMPTS = 3_000;

/** Whether failures are to be minimised and kept: a bounded run in `scripts/test` only reports them. */
export const keepsFailures = process.env['FUZZ_KEEP'] !== undefined;

/** Writes the input to test/fuzz/corpus/NAME/found-HASH; the path from the root of the repository. */
export function keepFailure(name: string, octets: string | Uint8Array): string {
  const hash = createHash('sha256').update(octets).digest('hex').slice(0, 12);
  const folder = new URL(`./corpus/${name}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`found-${hash}`, folder);
  writeFileSync(file, octets);
  return fileURLToPath(file);
}

/** The smallest text found, by leaving out spans of halving length, for which `fails` still holds. */
export async function minimise(text: string, fails: (text: string) => Promise<boolean>): Promise<string> {
  let smallest = text;
  let attempts = MINIMISE_ATTEMPTS;
  for (let span = Math.ceil(text.length / 2); span >= 1; span = Math.floor(span / 2)) {
    for (let at = 0; at < smallest.length && attempts > 0; ) {
      const shorter = smallest.slice(0, at) + smallest.slice(at + span);
      attempts--;
      if (await fails(shorter)) smallest = shorter;
      else at += span;
    }
  }
  return smallest;
}
