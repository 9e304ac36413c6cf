/** What is left of policy once source and port of a connection are known (see authz.ts): the groups of rules that it matches. */
import { type Clause, type RequestIndex, verdictOnTcp } from './authz-request-index.ts';
import type { SourceGroup } from './authz-source-index.ts';
import type { RequestView } from './request.ts';
import { ALLOWED_BY_DEFAULT, type Verdict } from './verdict.ts';

/** Policy for one connection. Kept for its life; rebind when the state's Authorization is another object. */
export interface BoundAuthorization {
  /**
   * Non-null when every request and a plain TCP connection get the same answer: nothing needs to be parsed for policy. It names a
   * rule that gives that answer to all of them; request() may name one before it.
   */
  readonly settled: Verdict | null;
  /** The verdict when the connection carries no HTTP. */
  connection(): Verdict;
  /** The verdict for one request. */
  request(view: RequestView): Verdict;
}

/** The rules of one action that this connection can still match. */
export class BoundAction {
  /** Matches every request: the first such clause. */
  readonly always: Clause | null;
  /** Matches the connection when it carries no HTTP. */
  readonly onTcp: Verdict | null;
  /** Where a request may match something that comes before `always`. */
  readonly groups: readonly SourceGroup[];

  constructor(groups: readonly SourceGroup[]) {
    let always: Clause | null = null;
    let onTcp: Clause | null = null;
    let gated = false;
    for (const { requests, gate } of groups) {
      if (gate === null) always = earlier(always, requests.always);
      const candidate = requests.onTcp;
      if (candidate === null || (onTcp !== null && !isBetterOnTcp(candidate, gate !== null, onTcp, gated))) continue;
      onTcp = candidate;
      gated = gate !== null;
    }
    this.always = always;
    this.onTcp = onTcp === null ? null : verdictOnTcp(onTcp, gated);
    const limit = always?.placed.ordinal ?? Number.POSITIVE_INFINITY;
    this.groups = groups.filter(({ requests, gate }) => firstAsked(requests, gate !== null) < limit);
  }

  /** The first clause that a request matches. */
  find(view: RequestView): Clause | null {
    let best = this.always;
    const groups = this.groups;
    for (let i = 0; i < groups.length; i++) {
      const { gate, requests } = groups[i] as SourceGroup;
      if (gate === null) best = requests.find(view, best);
      else if (gate.matches(view)) best = earlier(requests.find(view, best), requests.always);
    }
    return best;
  }
}

function earlier(left: Clause | null, right: Clause | null): Clause | null {
  if (left === null || right === null) return left ?? right;
  return right.placed.ordinal < left.placed.ordinal ? right : left;
}

/** By the order of rules; of the same rule, one that needs no HTTP names it more truly. */
function isBetterOnTcp(candidate: Clause, gated: boolean, known: Clause, knownGated: boolean): boolean {
  if (candidate.placed.ordinal !== known.placed.ordinal) return candidate.placed.ordinal < known.placed.ordinal;
  return (known.request !== null || knownGated) && candidate.request === null && !gated;
}

/** The lowest ordinal that depends on the request. */
function firstAsked(requests: RequestIndex, gated: boolean): number {
  const first = requests.first?.placed.ordinal ?? Number.POSITIVE_INFINITY;
  return gated ? Math.min(first, requests.always?.placed.ordinal ?? first) : first;
}

/** Both actions together. */
export class BoundRules implements BoundAuthorization {
  readonly settled: Verdict | null;
  readonly #deny: BoundAction;
  readonly #allow: BoundAction;
  /** When no rule matches. */
  readonly #otherwise: Verdict;
  readonly #onTcp: Verdict;
  /** Settled, and no request matches a rule before the one that is named. */
  readonly #isExact: boolean;

  constructor(deny: BoundAction, allow: BoundAction, noneMatched: Verdict | null) {
    this.#deny = deny;
    this.#allow = allow;
    this.#otherwise = noneMatched ?? ALLOWED_BY_DEFAULT;
    this.#onTcp = deny.onTcp ?? (noneMatched === null ? ALLOWED_BY_DEFAULT : (allow.onTcp ?? noneMatched));
    this.settled = this.#settle();
    const ofAllow = deny.always === null && noneMatched !== null;
    this.#isExact = this.settled !== null && deny.groups.length === 0 && !(ofAllow && allow.groups.length > 0);
  }

  connection(): Verdict {
    return this.#onTcp;
  }

  request(view: RequestView): Verdict {
    if (this.#isExact) return this.settled as Verdict;
    const denied = this.#deny.find(view);
    if (denied !== null) return denied.placed.rule.verdict;
    if (this.#otherwise.allowed) return this.#otherwise;
    return this.#allow.find(view)?.placed.rule.verdict ?? this.#otherwise;
  }

  /** Settled only when plain TCP agrees too: an ALLOW rule that also names HTTP fields admits requests, never raw bytes. */
  #settle(): Verdict | null {
    const { always, groups } = this.#deny;
    if (always !== null) return always.placed.rule.verdict;
    const mayAllow = this.#otherwise.allowed || this.#allow.always !== null || this.#allow.groups.length > 0;
    if (!mayAllow) return this.#otherwise;
    if (groups.length > 0) return null;
    if (this.#otherwise.allowed) return this.#otherwise;
    return this.#allow.always !== null && this.#onTcp.allowed ? this.#allow.always.placed.rule.verdict : null;
  }
}

/** Nothing can be denied. */
export const BOUND_ALLOWED: BoundAuthorization = {
  settled: ALLOWED_BY_DEFAULT,
  connection: () => ALLOWED_BY_DEFAULT,
  request: () => ALLOWED_BY_DEFAULT,
};
