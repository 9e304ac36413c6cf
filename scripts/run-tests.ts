/**
 * The test runner behind scripts/test.
 *
 *   node --import tsx scripts/run-tests.ts [--timeout-ms N] [--hang-ms N] [--root DIR] [GROUP...] [PART-OF-A-PATH...]
 *
 * Node 20's own `--test` takes no globs and calls a folder of .ts files a success; this one fails when nothing ran.
 * The last line is always `N passed, N failed[, N skipped]`.
 */
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { discover, runsAlone, select, type TestFile } from './runner/discover.ts';
import { type FileResult, killAll, runFile } from './runner/run-file.ts';

/** Test files at a time, where the group allows it; the machine this must run on has two cores. */
const PARALLEL_FILES = 2;
/** A hang, not a performance check: ten times what the slowest file takes. */
const FILE_TIMEOUT_MS = 300_000;
/** Likewise, for what one test (or hook) takes. */
const HANG_MS = 120_000;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { root: { type: 'string' }, 'timeout-ms': { type: 'string' }, 'hang-ms': { type: 'string' } },
  });
  const root = resolve(values.root ?? dirname(fileURLToPath(new URL('.', import.meta.url))));
  const fileMs = Number(values['timeout-ms'] ?? FILE_TIMEOUT_MS);
  const hangMs = Number(values['hang-ms'] ?? HANG_MS);
  if (![fileMs, hangMs].every((ms) => Number.isSafeInteger(ms) && ms > 0)) {
    console.error('run-tests: --timeout-ms and --hang-ms need a positive whole number of milliseconds');
    return 2;
  }
  const files = select(discover(root), positionals);
  const results: FileResult[] = [];
  const run = async (file: TestFile): Promise<void> => {
    const result = await runFile(file, root, { fileMs, hangMs });
    results.push(result);
    printFile(result);
  };
  await runQueue(
    files.filter((file) => !runsAlone(file.group)),
    PARALLEL_FILES,
    run,
  );
  await runQueue(
    files.filter((file) => runsAlone(file.group)),
    1,
    run,
  );
  return summarise(results, positionals);
}

async function runQueue<T>(items: readonly T[], parallel: number, run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: parallel }, lane));
}

function printFile(result: FileResult): void {
  const word = result.failures.length === 0 ? 'ok  ' : 'FAIL';
  const skipped = result.skipped === 0 ? '' : `, ${result.skipped} skipped`;
  const failed = result.failures.length === 0 ? '' : `, ${result.failures.length} failed`;
  console.log(
    `${word} ${result.file.name}  ${result.passed} passed${failed}${skipped}  (${result.seconds.toFixed(1)} s)`,
  );
}

/** Prints the failures and the closing line; returns the exit code. */
function summarise(results: readonly FileResult[], words: readonly string[]): number {
  for (const result of results.filter((each) => each.failures.length > 0)) {
    console.log(`\n--- ${result.file.name}`);
    for (const failure of result.failures) {
      console.log(`  FAIL ${failure.test}\n${indent(failure.error)}`);
    }
    if (result.output.trim() !== '') console.log(`  the last of its output:\n${indent(lastLines(result.output, 20))}`);
  }
  const sum = (count: (result: FileResult) => number): number => results.reduce((n, result) => n + count(result), 0);
  const passed = sum((result) => result.passed);
  const skipped = sum((result) => result.skipped);
  let failed = sum((result) => result.failures.length);
  if (passed + failed === 0) {
    failed += 1;
    console.log(words.length === 0 ? '\nno test was found' : `\nno test was found for: ${words.join(' ')}`);
  }
  console.log(`\n${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`);
  return failed === 0 ? 0 : 1;
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ');
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    killAll();
    process.exit(130);
  });
}
process.exitCode = await main();
