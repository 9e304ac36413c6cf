/**
 * Seeds, mutations and reporting of the fuzzers over octets (HTTP/1.1 and others). Deterministic: FUZZ_SEED (default 1) and
 * FUZZ_RUNS decide all; each run has its own random numbers, so that one can be repeated alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { keepFailure, keepsFailures, minimise } from './kept-failures.ts';

/** Integers in [0, below), from a 32-bit state (mulberry32). */
export interface Random {
  below(limit: number): number;
}

export function random(seed: number): Random {
  let state = seed >>> 0;
  return {
    below(limit) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
    },
  };
}

function wholeNumber(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined) return fallback;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new Error(`${name} must be a positive whole number, not "${text}"`);
  return number;
}

/** The files of test/fuzz/corpus/NAME as octet strings, with their names; an empty corpus is an error. */
export function corpus(name: string): readonly { readonly name: string; readonly text: string }[] {
  const folder = new URL(`./corpus/${name}/`, import.meta.url);
  const seeds = readdirSync(folder)
    .filter((file) => !file.startsWith('.'))
    .sort()
    .map((file) => ({ name: file, text: readFileSync(new URL(file, folder), 'latin1') }));
  if (seeds.length === 0) throw new Error(`no seeds in ${folder.pathname}`);
  return seeds;
}

/** What attackers put where it does not belong. */
const FRAGMENTS = [
  '\r\n',
  '\r',
  '\n',
  '\r\n\r\n',
  '\n\n',
  '\r\r\n',
  '\0',
  ' ',
  '\t',
  '\x0b',
  '\x7f',
  '\x80',
  '\xff',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '%',
  '#',
  '?',
  '%00',
  '%2e',
  '/../',
  '/./',
  '\\',
  'http://a',
  '*',
  '0\r\n\r\n',
  '5\r\n',
  'ffffffffffffffff',
  '0x',
  '+',
  '-',
  ';a="b"',
  'chunked',
  ', chunked',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Host: b\r\n',
  'Connection: close, x\r\n',
  'Upgrade: h2c\r\n',
  'Expect: 100-continue\r\n',
  ' HTTP/1.1\r\n',
  ' HTTP/1.0\r\n',
  'HTTP/2.0',
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
] as const;

/** One to six small changes to a seed; now and then a part of another seed. */
export function mutate(rng: Random, seeds: readonly { readonly text: string }[]): string {
  let text = (seeds[rng.below(seeds.length)] as { text: string }).text;
  for (let changes = 1 + rng.below(6); changes > 0; changes--) {
    const at = rng.below(text.length + 1);
    const span = rng.below(rng.below(4) === 0 ? 40 : 4);
    switch (rng.below(6)) {
      case 0:
        text = text.slice(0, at) + String.fromCharCode(rng.below(256)) + text.slice(at + 1);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(at + span);
        break;
      case 2:
        text = text.slice(0, at) + (FRAGMENTS[rng.below(FRAGMENTS.length)] as string) + text.slice(at);
        break;
      case 3:
        text = text.slice(0, at) + (FRAGMENTS[rng.below(FRAGMENTS.length)] as string) + text.slice(at + span);
        break;
      case 4:
        text = text.slice(0, at) + text.slice(at, at + span) + text.slice(at);
        break;
      default: {
        const other = (seeds[rng.below(seeds.length)] as { text: string }).text;
        const from = rng.below(other.length + 1);
        text = text.slice(0, at) + other.slice(from, from + rng.below(60)) + text.slice(at);
      }
    }
  }
  return text.slice(0, 8_192);
}

/** Runs `check` over the seeds as they are, then over FUZZ_RUNS mutations; a failure names the octets and how to keep them. */
export async function fuzz(
  name: string,
  runsByDefault: number,
  check: (text: string, rng: Random) => void | Promise<void>,
): Promise<void> {
  const seeds = corpus(name);
  const seed = wholeNumber('FUZZ_SEED', 1);
  const runs = wholeNumber('FUZZ_RUNS', runsByDefault);
  for (let run = -seeds.length; run < runs; run++) {
    const runSeed = Math.imul(seed, 0x9e3779b1) + run;
    const text = run < 0 ? (seeds[run + seeds.length] as { text: string }).text : mutate(random(runSeed), seeds);
    try {
      await check(text, random(~runSeed));
    } catch (cause) {
      const what = `FUZZ_SEED=${seed}, run ${run}: ${JSON.stringify(text)}`;
      throw new Error(`${what}\n${await kept(name, text, (shorter) => check(shorter, random(~runSeed)))}`, { cause });
    }
  }
}

/** Keeps what failed, made small, or says how to. */
async function kept(name: string, text: string, check: (text: string) => void | Promise<void>): Promise<string> {
  if (!keepsFailures) {
    const octets = Buffer.from(text, 'latin1').toString('base64');
    return `keep it: echo ${octets} | base64 -d > test/fuzz/corpus/${name}/NAME`;
  }
  const small = await minimise(text, async (shorter) => {
    try {
      await check(shorter);
      return false;
    } catch {
      return true;
    }
  });
  return `minimised: ${JSON.stringify(small)}\nkept: ${keepFailure(name, Buffer.from(small, 'latin1'))}`;
}

/** Up to four places to split a text at, in order. */
export function cuts(rng: Random, length: number): number[] {
  return Array.from({ length: rng.below(5) }, () => rng.below(length + 1)).sort((a, b) => a - b);
}
