/**
 * Loaded into a fuzzer by scripts/run-fuzz.ts: fast-check takes its seed from FUZZ_SEED, and what it has shrunk a failure to is
 * kept when it is one text or one array of bytes, as corpora hold them. (Fuzzers over octets keep theirs by themselves, see
 * test/fuzz/http1-support.ts.)
 */
import fc from 'fast-check';
import { keepFailure } from '../../test/fuzz/kept-failures.ts';

const seed = Number(process.env['FUZZ_SEED']);

fc.configureGlobal({
  seed,
  reporter: (run: fc.RunDetails<unknown>): void => {
    if (!run.failed) return;
    const [value, ...others] = Array.isArray(run.counterexample) ? (run.counterexample as unknown[]) : [];
    const isPlain = others.length === 0 && (typeof value === 'string' || value instanceof Uint8Array);
    const kept = isPlain
      ? `kept: ${keepFailure(process.env['FUZZ_KEEP'] ?? 'unnamed', value)}`
      : 'not kept: it is no single text or bytes; put what it stands for into the corpus by hand';
    throw new Error(`${fc.defaultReportMessage(run) ?? 'failed'}\n${kept}`);
  },
});
