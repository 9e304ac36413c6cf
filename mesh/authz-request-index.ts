/**
 * Many alternatives of rules that the same connections can match, found by what a request says: by its path (exact, prefix, suffix,
 * template), then host, method, token. What none of these tells apart is tried in order.
 *
 *   Bucket ── path '/a' ──► Bucket ── host 'x' ──► Bucket: a few clauses, in order
 *      │                       └── the rest ──► Bucket …
 *      └── the rest (no `paths`) ──► Bucket …
 *
 * A bucket is split when it is asked for the first time, and only if it is large. Clauses come and go at any time, split or not: what
 * that costs goes by the clause, not by how many there are (but for a few moved pointers). The answer is always the clause whose rule comes
 * first, so what cannot be better than what was found is not looked at.
 */
import { type RequestMatch, requestPrincipalOf, validTemplate } from './authz-request.ts';
import { insertInOrder, itemsOf, type PlacedRule, removeInOrder } from './authz-order.ts';
import { isPathTemplate } from './path-template.ts';
import type { RequestView } from './request.ts';
import { StringIndex } from './string-index.ts';
import { TemplateTrie } from './template-trie.ts';
import type { Verdict } from './verdict.ts';

/** One alternative of one rule: a source, an operation and the conditions together. */
export interface Clause {
  /** The rule, and its place in the order of evaluation: the lowest that matches decides. */
  readonly placed: PlacedRule;
  /** null: every request matches. */
  readonly request: RequestMatch | null;
}

/** Clauses up to which one after the other is faster than an index. */
const SCAN_MAX = 8;

/**
 * Values of a field but `paths` up to which a clause is listed under each of them; one with more is tried. Below every path
 * of a clause its hosts may be listed, and so on: this bounds the product.
 */
const LISTED_VALUES_MAX = 16;

/** What buckets are split by, most telling first. */
const DIMENSIONS: readonly Dimension[] = [
  { patterns: ({ operation }) => operation?.pathPatterns ?? [], read: (view) => view.path },
  { patterns: ({ operation }) => operation?.hostPatterns ?? [], read: (view) => view.host },
  { patterns: ({ operation }) => operation?.methodPatterns ?? [], read: (view) => view.method },
  { patterns: ({ principal }) => principal?.patterns ?? [], read: requestPrincipalOf },
];

interface Dimension {
  /** Empty: the match does not depend on it. */
  readonly patterns: (match: RequestMatch) => readonly string[];
  readonly read: (view: RequestView) => string;
}

/** Results of lookups; every user takes off what it has put on. */
const found: Bucket[] = [];

class Bucket {
  /** All, in the order of ordinals. */
  #clauses: Clause[] = [];
  /** The first dimension that it may be split by. */
  readonly #from: number;
  /** The one that it is split by, or comes next in looking for one; how many there are when there is none. */
  #level: number;
  #index: StringIndex<Bucket> | null = null;
  /** Of paths only. */
  #templates: TemplateTrie<Bucket> | null = null;
  /** Set once the bucket is split: what has no pattern in the dimension. */
  #rest: Bucket | null = null;

  constructor(from: number) {
    this.#from = from;
    this.#level = from;
  }

  get first(): Clause | undefined {
    return this.#clauses[0];
  }

  get isEmpty(): boolean {
    return this.#clauses.length === 0;
  }

  add(clause: Clause): void {
    if (this.#rest === null) {
      insertInOrder(this.#clauses, clause);
      this.#level = this.#from;
      return;
    }
    for (let level = this.#from; level < this.#level; level++) {
      if (patternsAt(level, clause).length === 0) continue;
      this.#wrap(level);
      break;
    }
    if (insertInOrder(this.#clauses, clause)) this.#file(clause, this.#rest);
  }

  /** Removes the clauses of a rule. */
  remove(placed: PlacedRule): void {
    for (const clause of itemsOf(this.#clauses, placed)) this.#removeOne(clause);
  }

  /** The clause that matches with the lowest ordinal, if that is lower than `best`'s; else `best`. */
  find(view: RequestView, best: Clause | null): Clause | null {
    if (this.#level === DIMENSIONS.length || this.#clauses.length <= SCAN_MAX) return this.#scan(view, best);
    const rest = this.#rest ?? this.#split();
    if (rest === null) return this.#scan(view, best);
    const base = found.length;
    this.#collect((DIMENSIONS[this.#level] as Dimension).read(view));
    const end = found.length;
    for (let i = base; i < end; i++) best = (found[i] as Bucket).find(view, best);
    while (found.length > base) found.pop(); // setting the length would take longer than all of the above
    return rest.find(view, best);
  }

  #collect(text: string): void {
    this.#index?.collect(text, found);
    this.#templates?.collect(text, found);
  }

  #scan(view: RequestView, best: Clause | null): Clause | null {
    const clauses = this.#clauses;
    for (let i = 0; i < clauses.length; i++) {
      const clause = clauses[i] as Clause;
      if (best !== null && clause.placed.ordinal >= best.placed.ordinal) return best;
      if ((clause.request as RequestMatch).matches(view)) return clause;
    }
    return best;
  }

  /** By the first dimension that some clause goes by; null: there is none. Returns the rest. */
  #split(): Bucket | null {
    while (!this.#clauses.some((clause) => patternsAt(this.#level, clause).length > 0)) {
      this.#level++;
      if (this.#level === DIMENSIONS.length) return null;
    }
    this.#rest = new Bucket(this.#level + 1);
    for (const clause of this.#clauses) this.#file(clause, this.#rest);
    return this.#rest;
  }

  /** Splits by a dimension that was passed over because nothing went by it: all that is there becomes the rest of that. */
  #wrap(level: number): void {
    const rest = new Bucket(level + 1);
    rest.#clauses = this.#clauses.slice();
    rest.#level = this.#level;
    rest.#index = this.#index;
    rest.#templates = this.#templates;
    rest.#rest = this.#rest;
    this.#level = level;
    this.#index = null;
    this.#templates = null;
    this.#rest = rest;
  }

  #file(clause: Clause, rest: Bucket): void {
    const values = this.#listedUnder(clause);
    if (values.length === 0) rest.add(clause);
    else for (const value of values) this.#bucketOf(value).add(clause);
  }

  #removeOne(clause: Clause): void {
    if (!removeInOrder(this.#clauses, clause) || this.#rest === null) return;
    const values = this.#listedUnder(clause);
    if (values.length === 0) this.#rest.#removeOne(clause);
    for (const value of values) {
      const bucket = this.#bucketOf(value);
      bucket.#removeOne(clause);
      if (bucket.isEmpty) this.#dropBucket(value);
    }
  }

  /** The values that the clause is found by; empty: it is of the rest. */
  #listedUnder(clause: Clause): readonly string[] {
    const values = patternsAt(this.#level, clause);
    return this.#level > 0 && values.length > LISTED_VALUES_MAX ? [] : values;
  }

  #isTemplate(value: string): boolean {
    return this.#level === 0 && isPathTemplate(value);
  }

  #bucketOf(value: string): Bucket {
    const make = (): Bucket => new Bucket(this.#level + 1);
    if (this.#isTemplate(value)) {
      this.#templates ??= new TemplateTrie<Bucket>();
      return this.#templates.entry(validTemplate(value), make);
    }
    this.#index ??= new StringIndex<Bucket>();
    return this.#index.entry(value, make);
  }

  #dropBucket(value: string): void {
    if (this.#isTemplate(value)) this.#templates?.delete(validTemplate(value));
    else this.#index?.delete(value);
  }
}

function patternsAt(level: number, clause: Clause): readonly string[] {
  return (DIMENSIONS[level] as Dimension).patterns(clause.request as RequestMatch);
}

/** The clauses of one action that hang on the same source. */
export class RequestIndex {
  readonly #denies: boolean;
  /** Those that every request matches. */
  readonly #always: Clause[] = [];
  /** Those that depend on the request; null: none ever did. */
  #bucket: Bucket | null = null;
  /** undefined: to be looked for. */
  #onTcp: Clause | null | undefined = null;

  constructor(denies: boolean) {
    this.#denies = denies;
  }

  /** The first clause that every request matches. What comes after it is unreachable for requests. */
  get always(): Clause | null {
    return this.#always[0] ?? null;
  }

  /** Of a DENY: the first clause, one without HTTP-only parts before others of the same rule. Of an ALLOW: the first of a rule without. */
  get onTcp(): Clause | null {
    if (this.#onTcp === undefined) this.#onTcp = this.#denies ? this.#firstOfAll() : this.#firstWithoutHttp();
    return this.#onTcp;
  }

  /** The first clause that depends on the request; undefined when none does. */
  get first(): Clause | undefined {
    return this.#bucket?.first;
  }

  get isEmpty(): boolean {
    return this.#always.length === 0 && (this.#bucket === null || this.#bucket.isEmpty);
  }

  add(clause: Clause): void {
    this.#onTcp = undefined;
    if (clause.request === null) insertInOrder(this.#always, clause);
    else {
      this.#bucket ??= new Bucket(0);
      this.#bucket.add(clause);
    }
  }

  /** Removes the clauses of a rule. */
  remove(placed: PlacedRule): void {
    this.#onTcp = undefined;
    for (const clause of itemsOf(this.#always, placed)) removeInOrder(this.#always, clause);
    this.#bucket?.remove(placed);
  }

  /** As Bucket.find; `always` is not considered. */
  find(view: RequestView, best: Clause | null): Clause | null {
    return this.#bucket === null ? best : this.#bucket.find(view, best);
  }

  #firstOfAll(): Clause | null {
    const { always, first } = this;
    if (always === null || first === undefined) return always ?? first ?? null;
    return first.placed.ordinal < always.placed.ordinal ? first : always;
  }

  #firstWithoutHttp(): Clause | null {
    return this.#always.find(({ placed }) => !placed.rule.usesHttp) ?? null;
  }
}

/** The verdict of a clause on a connection without HTTP. `gated`: its source asked for something of the request as well. */
export function verdictOnTcp(clause: Clause, gated: boolean): Verdict {
  return clause.request === null && !gated ? clause.placed.rule.verdict : clause.placed.rule.verdictWithoutHttp;
}
