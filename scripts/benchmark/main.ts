/**
 * The benchmark behind scripts/bench; docs/benchmarks.md says how to read it.
 *
 * It runs twice: first outside, where it writes the configuration and starts sandboxes with itself as the command; then
 * inside (`--inside FOLDER --stage STAGE`), where it starts the peers beside weir, in the same kind of namespaces, and
 * measures. The outer one prints the summary and decides the exit code.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ATTACKED_PORT, HTTP_PORT, prepareBackend, prepareHttp2Backend, TCP_PORT } from './backend.ts';
import { lowPriority, PROXY_CORE, stopAll } from './commands.ts';
import { measureFootprint, sizes } from './footprint.ts';
import { type Stage, stageOf } from './items.ts';
import { footprintManifest, proxiesManifest } from './manifest.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { measureProxies } from './proxies.ts';
import type { ItemResult } from './result.ts';
import { formatItem, formatSummary } from './table.ts';
import { CLI } from './weir.ts';

const STAGES: readonly Stage[] = ['proxies', 'footprint'];

/** Outside: a sandbox per stage; resolves to the exit code. */
async function launch(args: readonly string[], options: Options): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  const results: ItemResult[] = [];
  const failed: string[] = [];
  try {
    for (const stage of STAGES) {
      if (!options.items.some((item) => stageOf(item) === stage)) continue;
      if (options.peersOnly && stage === 'footprint') continue;
      const own = join(folder, stage);
      mkdirSync(own);
      const code = await runStage(stage, own, args, options);
      results.push(...readResults(own));
      if (code !== 0) failed.push(`${stage} (exit ${code})`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const verdicts = results.flatMap((result) => result.verdicts);
  console.log(`\n${formatSummary(verdicts)}`);
  if (options.json !== null)
    writeFileSync(options.json, `${JSON.stringify({ plan: options.plan, verdicts, results }, null, 2)}\n`);
  failed.push(...results.filter((result) => result.problems.length > 0).map((result) => result.item));
  const over = verdicts.filter((each) => each.verdict === 'OVER').length;
  const met = verdicts.filter((each) => each.verdict === 'PASS').length;
  if (options.plan.smoke) console.log('one short round each: the figures above show that it runs, not what it costs');
  console.log(`bench: ${results.length} items measured, ${met} limits held, ${over} over`);
  if (failed.length > 0) console.log(`bench: FAILED: ${failed.join(', ')}`);
  return failed.length > 0 || (options.strict && over > 0) ? 1 : 0;
}

/** Starts a sandbox with this program in it; resolves to its exit code. */
async function runStage(stage: Stage, folder: string, args: readonly string[], options: Options): Promise<number> {
  const inside = ['--inside', folder, '--stage', stage];
  const again = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url), ...args, ...inside];
  const [program = '', ...rest] = options.peersOnly ? withoutMesh(again) : inSandbox(stage, folder, again, options);
  const child = spawn(program, rest, { stdio: ['ignore', 'inherit', 'inherit'] });
  const pass = (signal: NodeJS.Signals): void => void child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, pass);
  try {
    return await new Promise((done, failed) => {
      child.on('error', failed);
      child.on('exit', (code) => done(code ?? 1));
    });
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, pass);
  }
}

function withoutMesh(again: readonly string[]): readonly string[] {
  const alone = ['sh', '-c', 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"', 'sh', ...again];
  return ['unshare', '-Urnmpf', '--kill-child', '--mount-proc', ...alone];
}

function inSandbox(stage: Stage, folder: string, again: readonly string[], options: Options): readonly string[] {
  const manifest = join(folder, 'sandbox.yaml');
  const http = prepareBackend(join(folder, 'server'), [HTTP_PORT, TCP_PORT]);
  writeFileSync(
    manifest,
    stage === 'footprint'
      ? footprintManifest(sizes(options.plan).pods, http)
      : proxiesManifest({
          http,
          ...prepareHttp2Backend(join(folder, 'http2')),
          attacked: lowPriority(prepareBackend(join(folder, 'attacked'), [ATTACKED_PORT])),
        }),
  );
  const name = `bench-${process.pid}`;
  const sandbox = [process.execPath, CLI, 'sandbox', '-f', manifest, '--name', name];
  if (stage === 'footprint') return [...sandbox, '--workers', '2', '--', ...again];
  // On one core an agent starts one worker: one event loop against one event loop.
  return ['taskset', '-c', `${PROXY_CORE}`, ...sandbox, '--', ...again];
}

function resultsFile(folder: string): string {
  return join(folder, 'results.json');
}

/** What the inner run has written; nothing if it ended before. JSON has no NaN: a figure without a value is null in the file. */
function readResults(folder: string): readonly ItemResult[] {
  try {
    const revive = (key: string, value: unknown): unknown => (key === 'value' && value === null ? Number.NaN : value);
    return JSON.parse(readFileSync(resultsFile(folder), 'utf8'), revive) as readonly ItemResult[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Inside: measures the stage's items, prints each, and leaves all of them in a file; resolves to the exit code. */
async function measure(folder: string, stage: Stage, options: Options): Promise<number> {
  const results: ItemResult[] = [];
  const report = (result: ItemResult): void => {
    results.push(result);
    console.log(formatItem(result));
  };
  try {
    const items = options.items.filter((item) => stageOf(item) === stage);
    if (stage === 'proxies') await measureProxies(folder, items, options, report);
    else {
      const special = items.flatMap((item) => (item.kind === 'proxy' ? [] : [item]));
      for (const result of await measureFootprint(special, options.plan)) report(result);
    }
  } finally {
    await stopAll();
    writeFileSync(resultsFile(folder), JSON.stringify(results));
  }
  return 0;
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  let options: Options;
  try {
    options = readOptions(args);
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (options.inside === null) return launch(args, options);
  return measure(options.inside.folder, options.inside.stage, options);
}

process.exitCode = await main();
