/** What the attacker does: each a command that lasts so many seconds, aimed at the attacked server through the same proxy. */
import type { Contestant } from './contestant.ts';
import { program } from './programs.ts';

export interface Attack {
  readonly name: string;
  readonly title: string;
  command(contestant: Contestant, seconds: number): readonly string[];
  /** How strong it was, from what the command printed. */
  strength(output: string): string;
}

const HUGE_FIELDS = 100;
const HUGE_FIELD = 'h'.repeat(390);
const UPLOADS = 2_000;
/** Octets per second over all uploads: each gets ten a second. */
const DRIPS_PER_SECOND = 20_000;

function wrk(connections: number, seconds: number, url: string, headers: readonly string[] = []): readonly string[] {
  return ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', ...headers, url];
}

function requestRate(output: string): string {
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output);
  return rate === null ? 'no report' : `${Number(rate[1]).toFixed(0)} requests/s`;
}

/** A figure that a program of load/ printed, per second if `seconds` is there too. */
function printed(output: string, name: string): number {
  return (JSON.parse(output) as Record<string, number>)[name] ?? Number.NaN;
}

export const ATTACKS: readonly Attack[] = [
  {
    name: 'connection-flood',
    title: '128 connections at a time, opened and reset as fast as possible',
    command: (contestant, seconds) =>
      program('connection-flood', { url: `${contestant.url('attacked')}/`, seconds, parallel: 128 }),
    strength: (output) => `${printed(output, 'perSecond').toFixed(0)} connections/s`,
  },
  {
    name: 'tiny-requests',
    title: 'requests without bodies on 256 kept-alive connections',
    command: (contestant, seconds) => wrk(256, seconds, `${contestant.url('attacked')}/api/v1/items`),
    strength: requestRate,
  },
  {
    name: 'slow-bodies',
    title: `${UPLOADS} uploads that drip`,
    command: (contestant, seconds) =>
      program('slow-bodies', {
        url: `${contestant.url('attacked')}/upload/x`,
        seconds,
        connections: UPLOADS,
        rate: DRIPS_PER_SECOND,
      }),
    strength: (output) => `${printed(output, 'open')} open, ${printed(output, 'perSecond').toFixed(0)} octets/s`,
  },
  {
    name: 'huge-headers',
    title: 'heads of 40 KiB in 100 fields on 64 connections',
    command: (contestant, seconds) => {
      const fields = Array.from({ length: HUGE_FIELDS }, (_, index) => ['-H', `x-huge-${index}: ${HUGE_FIELD}`]);
      return wrk(64, seconds, `${contestant.url('attacked')}/api/v1/items`, fields.flat());
    },
    strength: requestRate,
  },
  {
    name: 'bulk',
    title: 'answers of 1 MiB on 8 connections',
    command: (contestant, seconds) => wrk(8, seconds, `${contestant.url('attacked')}/static/1m`),
    strength: requestRate,
  },
];
