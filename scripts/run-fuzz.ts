/**
 * `scripts/fuzz`: rounds of one fuzzer until the time is up, each in a process of its own with a seed of its own. Any
 * test/fuzz/NAME.fuzz.ts will do that heeds FUZZ_RUNS; it fails as a test does.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SUFFIX = '.fuzz.ts';
/** A round should last about this long: long enough to be worth its start, short enough to say something now and then. */
const ROUND_SECONDS = 15;
const FIRST_RUNS = 1_000;
/** A round that lasts this much longer than it should is hanging, which is a finding. */
const HANG_SECONDS = 180;
const SEED_MAX = 2 ** 31 - 1;
const OUTPUT_CHARACTERS_MAX = 20_000;

const root = fileURLToPath(new URL('..', import.meta.url));

const HELP = `scripts/fuzz NAME [--minutes N] [--seed S] [--runs R]
scripts/fuzz --list

NAME       a fuzzer of test/fuzz, or a part of its name ("h1-" stands for "http1-")
--minutes  how long; default 5
--seed     one round only, with this seed
--runs     runs of that round; default ${FIRST_RUNS}

What fails is minimised and written to test/fuzz/corpus/NAME/found-…, and the exit status is 1.

  scripts/fuzz http1-request --minutes 10
  scripts/fuzz h1-response
  scripts/fuzz wire --seed 7 --runs 500
`;

interface Round {
  readonly ok: boolean;
  readonly seconds: number;
  readonly output: string;
}

function fuzzers(): string[] {
  return readdirSync(join(root, 'test/fuzz'))
    .filter((file) => file.endsWith(SUFFIX))
    .map((file) => file.slice(0, -SUFFIX.length))
    .sort();
}

/** The fuzzer meant by a word, or why there is none. */
function find(word: string): { readonly name: string } | { readonly problem: string } {
  const wanted = word.replace(/^h1-/, 'http1-');
  const all = fuzzers();
  if (all.includes(wanted)) return { name: wanted };
  const [name, ...others] = all.filter((each) => each.includes(wanted));
  if (name === undefined) return { problem: `there is no fuzzer "${word}"; there are: ${all.join(', ')}` };
  return others.length === 0 ? { name } : { problem: `"${word}" may be ${[name, ...others].join(' or ')}` };
}

function runRound(name: string, seed: number, runs: number): Promise<Round> {
  const preload = fileURLToPath(new URL('runner/fuzz-preload.ts', import.meta.url));
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--import', preload, '--test-reporter=spec', join('test/fuzz', name + SUFFIX)],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, FUZZ_SEED: String(seed), FUZZ_RUNS: String(runs), FUZZ_KEEP: name },
      },
    );
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_CHARACTERS_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const watchdog = setTimeout(
      () => {
        output += `\nstill running after ${ROUND_SECONDS + HANG_SECONDS} s: a hang, or far too slow\n`;
        child.kill('SIGKILL');
      },
      (ROUND_SECONDS + HANG_SECONDS) * 1_000,
    );
    child.on('close', (code) => {
      clearTimeout(watchdog);
      resolve({ ok: code === 0, seconds: (performance.now() - started) / 1_000, output });
    });
  });
}

/** Runs for the next round, so that it lasts as long as it should. */
function nextRuns(runs: number, seconds: number): number {
  const factor = Math.min(4, Math.max(0.25, ROUND_SECONDS / Math.max(seconds, 0.1)));
  return Math.max(1, Math.round(runs * factor));
}

function reportFailure(name: string, seed: number, runs: number, round: Round): void {
  console.log(round.output);
  console.log(`${name} failed. The round again: scripts/fuzz ${name} --seed ${seed} --runs ${runs}`);
  console.log(`If a line above says "kept:", that input alone: scripts/test fuzz ${name}`);
}

async function fuzzFor(name: string, minutes: number): Promise<number> {
  const until = performance.now() + minutes * 60_000;
  let runs = FIRST_RUNS;
  let total = 0;
  for (let number = 1; performance.now() < until; number++) {
    const seed = randomInt(1, SEED_MAX);
    const round = await runRound(name, seed, runs);
    if (!round.ok) {
      reportFailure(name, seed, runs, round);
      return 1;
    }
    total += runs;
    const left = Math.max(0, (until - performance.now()) / 60_000);
    const rate = Math.round(runs / round.seconds);
    console.log(`${name} round ${number}: seed ${seed}, ${runs} runs, ${rate} runs/s, ${left.toFixed(1)} min left`);
    runs = nextRuns(runs, round.seconds);
  }
  console.log(`${name}: ${total} runs, nothing found`);
  return 0;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string' },
      runs: { type: 'string', default: String(FIRST_RUNS) },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.list) {
    console.log(fuzzers().join('\n'));
    return 0;
  }
  const [word, ...more] = positionals;
  if (word === undefined || more.length > 0) {
    console.error(HELP);
    return 2;
  }
  const found = find(word);
  if ('problem' in found) {
    console.error(`fuzz: ${found.problem}`);
    return 2;
  }
  const [minutes, runs] = [Number(values.minutes), Number(values.runs)];
  const seed = values.seed === undefined ? null : Number(values.seed);
  if (!(minutes > 0) || !Number.isSafeInteger(runs) || runs < 1 || (seed !== null && !Number.isSafeInteger(seed))) {
    console.error('fuzz: --minutes takes a number above 0, --runs and --seed take whole numbers');
    return 2;
  }
  if (seed === null) return fuzzFor(found.name, minutes);
  const round = await runRound(found.name, seed, runs);
  if (round.ok) console.log(`${found.name}: seed ${seed}, ${runs} runs: nothing found`);
  else reportFailure(found.name, seed, runs, round);
  return round.ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`fuzz: ${(error as Error).message}`);
  process.exitCode = 2;
}
