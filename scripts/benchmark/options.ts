/** The command line of scripts/bench. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ATTACKS } from './attacks.ts';
import { type Item, ITEMS, type Stage } from './items.ts';
import type { Plan } from './result.ts';

export const USAGE = `scripts/bench [--smoke] [--only ITEM]... [--attack NAME]... [--json FILE] [--rounds N] [--seconds N] [--strict] [--peers-only]

  --smoke        one short round of each item: shows that everything runs and answers, not what it costs
  --only ITEM    ${ITEMS.map((item) => item.name).join(', ')}
  --attack NAME  of hostile, only these: ${ATTACKS.map((attack) => attack.name).join(', ')}
  --json FILE    write all figures there too
  --rounds N     rounds per item (default 3); contestants alternate within each
  --seconds N    load per contestant and round (default 4)
  --strict       exit 1 when a figure is over its limit, too; without it only when something fails
  --peers-only   without weir, to see how noisy this machine is

scripts/bench decisions
                 what routes and policies cost by their number: to compile, and per decision. Also at the end of a full run
`;
const FULL: Plan = { rounds: 3, seconds: 4, warmUpSeconds: 2, smoke: false, attacks: [] };
const SMOKE: Plan = { rounds: 1, seconds: 1, warmUpSeconds: 0, smoke: true, attacks: [] };

export interface Options {
  readonly plan: Plan;
  readonly items: readonly Item[];
  readonly json: string | null;
  readonly strict: boolean;
  readonly peersOnly: boolean;
  /** Set where this program has started itself again inside a sandbox: the folder, and what is measured there. */
  readonly inside: { readonly folder: string; readonly stage: Stage } | null;
  readonly help: boolean;
}

/** Throws an Error that says what is wrong with the command line. */
export function readOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      smoke: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      attack: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      strict: { type: 'boolean', default: false },
      'peers-only': { type: 'boolean', default: false },
      inside: { type: 'string' },
      stage: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  for (const name of values.only) {
    if (!ITEMS.some((item) => item.name === name)) throw new Error(`--only ${name}: no such item`);
  }
  for (const name of values.attack) {
    if (!ATTACKS.some((attack) => attack.name === name)) throw new Error(`--attack ${name}: no such attack`);
  }
  const base = values.smoke ? SMOKE : FULL;
  const stage: Stage = values.stage === 'footprint' ? 'footprint' : 'proxies';
  return {
    plan: {
      ...base,
      rounds: positive('--rounds', values.rounds ?? `${base.rounds}`),
      seconds: positive('--seconds', values.seconds ?? `${base.seconds}`),
      attacks: values.attack,
    },
    items: ITEMS.filter((item) => values.only.length === 0 || values.only.includes(item.name)),
    json: values.json === undefined ? null : resolve(values.json),
    strict: values.strict,
    peersOnly: values['peers-only'],
    inside: values.inside === undefined ? null : { folder: values.inside, stage },
    help: values.help,
  };
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > 600)
    throw new Error(`${flag} ${text}: write a whole number from 1 to 600`);
  return value;
}
