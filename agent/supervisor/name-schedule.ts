/**
 * Which host names are looked up when, and what they lead to meanwhile. Pure: time and randomness are arguments.
 *
 *   addresses  used until the next lookup, which their TTL says, within bounds
 *   none       the name does not exist, or has no address of that family: it leads nowhere (as Envoy's STRICT_DNS takes it)
 *   failed     the last good answer is used for as long as a bound says; the lookup is tried again, less and less often
 *
 * Each name is two queries, A and AAAA, that do not wait for each other: some servers never answer one of them.
 */
import { CidrSet } from '../../mesh/cidr-trie.ts';
import { canonicalIp, type Family, parseCidr, parseIp } from '../../mesh/ip.ts';

/** How a lookup ended. `ttlMs`: how long the addresses may be used. */
export type LookupResult =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[]; readonly ttlMs: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly reason: string };

/** See limits.ts. */
export interface NameBounds {
  readonly resolvedNamesMax: number;
  readonly resolvedAddressesMax: number;
  readonly nameRefreshMinMs: number;
  readonly nameRefreshMaxMs: number;
  readonly nameAbsentRefreshMs: number;
  readonly nameRetryMinMs: number;
  readonly nameRetryMaxMs: number;
  readonly nameStaleMaxMs: number;
}

/** A query that is due. */
export interface Query {
  readonly name: string;
  readonly family: Family;
}

/** A last good answer as it outlives the agent. */
export interface KeptAnswer extends Query {
  readonly addresses: readonly string[];
  /** Since it was given. */
  readonly ageMs: number;
}

/** What is known of one name, for `weir status`. */
export interface NameState {
  readonly name: string;
  readonly addresses: readonly string[];
  /** Which lookup fails now, and why: `AAAA: ETIMEOUT`; null: none does. */
  readonly problem: string | null;
  /** False: neither addresses nor that there are none has been learnt so far. */
  readonly answered: boolean;
}

/** Counted since the start. */
export interface NameCounters {
  lookups: number;
  failures: number;
  /** Last good answers that became too old. */
  expired: number;
  /** Addresses of answers that were left out: too many, or such as no name outside the mesh leads to. */
  addressesLeftOut: number;
}

class Asked implements Query {
  readonly name: string;
  readonly family: Family;
  /** null: not learnt yet. */
  addresses: readonly string[] | null = null;
  answeredMs = 0;
  dueMs: number;
  running = false;
  /** It has ended once, however. */
  concluded = false;
  failures = 0;
  problem: string | null = null;

  constructor(name: string, family: Family, dueMs: number) {
    this.name = name;
    this.family = family;
    this.dueMs = dueMs;
  }
}

const FAMILIES: readonly Family[] = [4, 6];

/** What a query asks for, as people write it. */
export function recordOf({ family }: Query): 'A' | 'AAAA' {
  return family === 4 ? 'A' : 'AAAA';
}

/**
 * Where no TCP service is, or only the pod itself that dials: this network, loopback, multicast and reserved. An answer that names them
 * is a mistake, or means harm.
 */
const NOWHERE = new CidrSet(
  ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/127', 'ff00::/8'].map((text) => {
    const block = parseCidr(text);
    if (block === null) throw new Error(`${text} is no block`);
    return block;
  }),
);

export class NameSchedule {
  readonly counters: NameCounters = { lookups: 0, failures: 0, expired: 0, addressesLeftOut: 0 };
  readonly #bounds: NameBounds;
  readonly #random: () => number;
  readonly #names = new Map<string, readonly Asked[]>();
  /** The queries of all names. */
  #all: readonly Asked[] = [];
  /** Of an agent before, for names that are not needed yet. */
  readonly #recalled = new Map<string, { readonly addresses: readonly string[]; readonly answeredMs: number }>();
  #omitted = 0;

  /** @param random yields [0, 1) */
  constructor(bounds: NameBounds, random: () => number) {
    this.#bounds = bounds;
    this.#random = random;
  }

  /** Names beyond the bound, which are not looked up. */
  get omitted(): number {
    return this.#omitted;
  }

  /** Answers that an agent before had: each is as good as one's own of that age, once its name is needed. */
  recall(answers: readonly KeptAnswer[], nowMs: number): void {
    for (const { name, family, addresses, ageMs } of answers) {
      if (ageMs > this.#bounds.nameStaleMaxMs) continue;
      const usable = this.#usable(addresses, family);
      this.#recalled.set(`${family} ${name}`, { addresses: usable, answeredMs: nowMs - ageMs });
    }
  }

  /** The last good answers of the names that are needed. */
  kept(nowMs: number): readonly KeptAnswer[] {
    return this.#all.flatMap(({ name, family, addresses, answeredMs }) =>
      addresses === null || addresses.length === 0 ? [] : [{ name, family, addresses, ageMs: nowMs - answeredMs }],
    );
  }

  /**
   * The names that are needed now; of too many the first. Those that are new are due at once, and are the answer as far as something
   * is known of them already.
   */
  want(names: Iterable<string>, nowMs: number): readonly string[] {
    const wanted = new Set(names);
    const known: string[] = [];
    for (const name of this.#names.keys()) if (!wanted.has(name)) this.#names.delete(name);
    let omitted = 0;
    for (const name of wanted) {
      if (this.#names.has(name)) continue;
      if (this.#names.size >= this.#bounds.resolvedNamesMax) {
        omitted++;
        continue;
      }
      const asked = FAMILIES.map((family) => this.#first(name, family, nowMs));
      this.#names.set(name, asked);
      if (asked.some(({ addresses }) => addresses !== null)) known.push(name);
    }
    this.#omitted = omitted;
    this.#all = [...this.#names.values()].flat();
    return known;
  }

  /** At most so many queries that are to be made now, the longest due first. Each must be concluded. */
  due(nowMs: number, countMax: number): readonly Query[] {
    if (countMax <= 0) return [];
    const found = this.#all.filter(({ running, dueMs }) => !running && dueMs <= nowMs);
    const taken = found.sort((a, b) => a.dueMs - b.dueMs).slice(0, countMax);
    for (const query of taken) query.running = true;
    this.counters.lookups += taken.length;
    return taken;
  }

  /** When the next query that does not run is due; Infinity: there is none. */
  get nextDueMs(): number {
    return this.#all.reduce((next, { running, dueMs }) => (running ? next : Math.min(next, dueMs)), Infinity);
  }

  /** The query is still one of those that are made. */
  asks(query: Query): boolean {
    return this.#find(query) !== undefined;
  }

  /** Takes what became of a query; the name it is about when that is to be told, null when the name is not needed any more. */
  conclude(query: Query, result: LookupResult, nowMs: number): string | null {
    if (result.kind === 'failed') this.counters.failures++;
    const asked = this.#find(query);
    if (asked === undefined) return null;
    asked.running = false;
    asked.concluded = true;
    if (result.kind === 'failed') this.#failed(asked, result.reason, nowMs);
    else this.#answered(asked, result, nowMs);
    return asked.name;
  }

  /** What a name leads to; null: nothing can be said yet, since one query still runs for the first time and the other found nothing. */
  answerOf(name: string): readonly string[] | null {
    const asked = this.#names.get(name);
    if (asked === undefined) return null;
    const addresses = asked.flatMap((query) => query.addresses ?? []);
    if (addresses.length > 0) return addresses;
    const isKnown = asked.every(({ concluded }) => concluded) && asked.some((query) => query.addresses !== null);
    return isKnown ? addresses : null;
  }

  /** Of every name some address is known, or its queries have ended once, well or not. */
  get settled(): boolean {
    for (const asked of this.#names.values()) {
      if (asked.some(({ addresses }) => addresses !== null && addresses.length > 0)) continue;
      if (!asked.every(({ concluded }) => concluded)) return false;
    }
    return true;
  }

  states(): readonly NameState[] {
    return Array.from(this.#names, ([name, asked]) => {
      const answer = this.answerOf(name);
      const failing = asked.find(({ problem }) => problem !== null);
      const problem = failing === undefined ? null : `${recordOf(failing)}: ${failing.problem}`;
      return { name, addresses: answer ?? [], problem, answered: answer !== null };
    });
  }

  #first(name: string, family: Family, nowMs: number): Asked {
    const asked = new Asked(name, family, nowMs);
    const key = `${family} ${name}`;
    const recalled = this.#recalled.get(key);
    this.#recalled.delete(key);
    if (recalled === undefined || nowMs - recalled.answeredMs > this.#bounds.nameStaleMaxMs) return asked;
    asked.addresses = recalled.addresses;
    asked.answeredMs = recalled.answeredMs;
    return asked;
  }

  #find(query: Query): Asked | undefined {
    return this.#names.get(query.name)?.find((each) => each === query);
  }

  #answered(asked: Asked, result: Exclude<LookupResult, { readonly kind: 'failed' }>, nowMs: number): void {
    const { nameRefreshMinMs, nameRefreshMaxMs, nameAbsentRefreshMs } = this.#bounds;
    asked.failures = 0;
    asked.problem = null;
    asked.answeredMs = nowMs;
    asked.addresses = result.kind === 'none' ? [] : this.#usable(result.addresses, asked.family);
    const waitMs = result.kind === 'none' ? nameAbsentRefreshMs : result.ttlMs;
    // Agents that have started together are not to ask together for ever.
    const early = 1 - 0.1 * this.#random();
    asked.dueMs = nowMs + Math.min(Math.max(waitMs * early, nameRefreshMinMs), nameRefreshMaxMs);
  }

  #failed(asked: Asked, reason: string, nowMs: number): void {
    const { nameRetryMinMs, nameRetryMaxMs, nameStaleMaxMs } = this.#bounds;
    asked.problem = reason;
    const waitMs = Math.min(nameRetryMinMs * 2 ** Math.min(asked.failures, 30), nameRetryMaxMs);
    asked.failures++;
    asked.dueMs = nowMs + waitMs * (1 - 0.5 * this.#random());
    if (asked.addresses === null || asked.addresses.length === 0) return;
    if (nowMs - asked.answeredMs <= nameStaleMaxMs) return;
    asked.addresses = [];
    this.counters.expired++;
  }

  #usable(addresses: readonly string[], family: Family): readonly string[] {
    const found: string[] = [];
    for (const text of addresses) {
      const ip = canonicalIp(text);
      const isFit = ip !== null && ip.includes(':') === (family === 6) && !isNowhere(ip);
      if (isFit && found.includes(ip)) continue;
      if (isFit && found.length < this.#bounds.resolvedAddressesMax) found.push(ip);
      else this.counters.addressesLeftOut++;
    }
    return found;
  }
}

function isNowhere(ip: string): boolean {
  const address = parseIp(ip);
  return address === null || NOWHERE.contains(address);
}
