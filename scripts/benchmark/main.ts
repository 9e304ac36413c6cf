/**
 * The benchmark behind scripts/bench; docs/benchmarks.md says how to read it.
 *
 * It runs twice: first outside, where it writes the configuration and starts a sandbox with itself as the command; then
 * inside (`--inside FOLDER`), where it starts the peers beside weir, in the same kind of namespaces, and measures.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareBackend } from './backend.ts';
import { PROXY_CORE, stopAll } from './commands.ts';
import { ITEMS, type Item } from './items.ts';
import { type ItemResult, measureItem, type Plan } from './measure.ts';
import { startPeers } from './peers.ts';
import { formatItem } from './table.ts';
import { CLI, findWeir, sandboxManifest } from './weir.ts';

const USAGE = `scripts/bench [--smoke] [--only ITEM]... [--json FILE] [--rounds N] [--seconds N] [--peers-only]

  --smoke        one short round of each item: shows that everything runs and answers, not what it costs
  --only ITEM    ${ITEMS.map((item) => item.name).join(', ')}
  --json FILE    write all figures there too
  --rounds N     rounds per item (default 3); contestants alternate within each
  --seconds N    load per contestant and round (default 4)
  --peers-only   without weir, to see how noisy this machine is
`;
const FULL: Plan = { rounds: 3, seconds: 4, warmUpSeconds: 2 };
const SMOKE: Plan = { rounds: 1, seconds: 1, warmUpSeconds: 0 };

interface Options {
  readonly plan: Plan;
  readonly items: readonly Item[];
  readonly smoke: boolean;
  readonly json: string | null;
  readonly peersOnly: boolean;
  readonly inside: string | null;
}

/** Throws an Error that says what is wrong with the command line. */
function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      smoke: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'peers-only': { type: 'boolean', default: false },
      inside: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  for (const name of values.only) {
    if (!ITEMS.some((item) => item.name === name)) throw new Error(`--only ${name}: no such item`);
  }
  const base = values.smoke ? SMOKE : FULL;
  return {
    plan: {
      rounds: positive('--rounds', values.rounds ?? `${base.rounds}`),
      seconds: positive('--seconds', values.seconds ?? `${base.seconds}`),
      warmUpSeconds: base.warmUpSeconds,
    },
    items: ITEMS.filter((item) => values.only.length === 0 || values.only.includes(item.name)),
    smoke: values.smoke,
    json: values.json === undefined ? null : resolve(values.json),
    peersOnly: values['peers-only'],
    inside: values.inside ?? null,
  };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > 600)
    throw new Error(`${flag} ${text}: write a whole number from 1 to 600`);
  return value;
}

/** Outside: prepares the files, then runs this program again where pods are; resolves to its exit code. */
async function launch(args: readonly string[], options: Options): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  try {
    const manifest = join(folder, 'bench.yaml');
    mkdirSync(join(folder, 'server'));
    writeFileSync(manifest, sandboxManifest(prepareBackend(join(folder, 'server'))));
    const again = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url), ...args, '--inside', folder];
    const alone = ['sh', '-c', 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"', 'sh', ...again];
    const [program, ...rest] = options.peersOnly
      ? ['unshare', '-Urnmpf', '--kill-child', '--mount-proc', ...alone]
      : // On one core an agent starts one worker: one event loop against one event loop.
        [
          'taskset',
          '-c',
          `${PROXY_CORE}`,
          process.execPath,
          CLI,
          'sandbox',
          '-f',
          manifest,
          '--name',
          `bench-${process.pid}`,
          '--',
          ...again,
        ];
    const child = spawn(program ?? '', rest, { stdio: ['ignore', 'inherit', 'inherit'] });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    return await new Promise((done, failed) => {
      child.on('error', failed);
      child.on('exit', (code) => done(code ?? 1));
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Inside: starts the peers, measures, prints; resolves to the exit code. */
async function measure(folder: string, options: Options): Promise<number> {
  const results: ItemResult[] = [];
  try {
    const contestants = [
      ...(options.peersOnly ? [] : [await findWeir()]),
      ...(await startPeers(join(folder, 'peers'))),
    ];
    for (const item of options.items) {
      const taking = contestants.filter((each) => item.contestants.includes(each.name));
      const result = await measureItem(item, taking, options.plan);
      results.push(result);
      console.log(formatItem(result));
    }
  } finally {
    await stopAll();
  }
  if (options.json !== null)
    writeFileSync(options.json, `${JSON.stringify({ plan: options.plan, results }, null, 2)}\n`);
  const failed = results.filter((result) => result.problems.length > 0);
  if (options.smoke) console.log('one short round each: the figures above show that it runs, not what it costs');
  console.log(
    failed.length === 0
      ? `bench: ${results.length} items measured`
      : `bench: FAILED: ${failed.map((each) => each.item).join(', ')}`,
  );
  return failed.length === 0 ? 0 : 1;
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
  return options.inside === null ? launch(args, options) : measure(options.inside, options);
}

process.exitCode = await main();
